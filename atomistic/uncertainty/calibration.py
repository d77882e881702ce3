"""From a trained potential and labelled frames to how sure it is of its forces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import xarray as xr
from torch import Tensor

from ...core.errors import InputError
from ..potential.baseline import baseline_record, without_baseline
from ..potential.data import Frame, load_frames
from ..potential.potential import Potential
from ..potential.uncertainty import LEVELS, Uncertainty
from .conformal import conformal_scale
from .heads import fit_heads, mean_square
from .mahalanobis import fit_features
from .responses import Responses, features_of, responses

#: Frames below which parts of them say nothing, and most atoms that are looked at.
FEWEST, MOST_ATOMS = 8, 10_000
#: Parts that are left out in turn: heads of half of few frames are much less sure.
FOLDS = 5


@dataclass(frozen=True)
class Observed:
    """All that a calibration looks at.

    Attributes
    ----------
    mean, whiten
        Of the training set, as `Uncertainty` has them.
    responses
        Of frames that were held out.
    groups
        Of these frames, in the order of their numbers.
    """

    mean: Tensor
    whiten: Tensor
    responses: Responses
    groups: tuple[str, ...]

    def fit(self, frames: Tensor, heads: int, seed: int) -> Uncertainty:
        """Heads of some frames; scales from what heads of the others say of each fold."""
        n, drawn = len(self.mean), torch.Generator().manual_seed(seed)
        blank = torch.zeros(n, dtype=torch.float64)
        rough = Uncertainty(self.mean, self.whiten, blank.new_zeros(0), blank, blank)

        def fitted(r: Responses) -> Uncertainty:
            distance = rough.distance(r.features, r.species)
            if not distance.isfinite().all():
                raise InputError("frames to calibrate on", got="others",
                                 wanted="elements of the training set",
                                 mend="train on frames that hold them")  # fmt: skip
            weights, floor = fit_heads(r, distance, n, heads, seed)
            return replace(rough, heads=weights, floor=floor)

        order = frames[torch.randperm(len(frames), generator=drawn)]
        scores, species = [], []
        for k in range(FOLDS):
            left = torch.zeros(len(order), dtype=torch.bool)
            left[k::FOLDS] = True
            own, other = (self.responses.of_frames(order[part]) for part in (~left, left))
            std = force_std(fitted(own), other)
            scores.append(other.errors.abs() / std.unsqueeze(1))
            species.append(other.species)
        scale = conformal_scale(torch.cat(scores), torch.cat(species), n, LEVELS)
        return replace(fitted(self.responses.of_frames(frames)), scale=scale)


def calibrate(
    potential: Potential,
    training: Sequence[xr.Dataset],
    held_out: Sequence[xr.Dataset],
    *,
    heads: int = 4,
    seed: int = 0,
) -> Uncertainty:
    """Fit distances to the training set, heads and intervals to frames held out.

    All frames that were held out train the heads. Intervals are scaled by what heads of
    four fifths say of the rest: what they promise holds for frames like those.

    Parameters
    ----------
    potential
        Trained on `training`.
    training, held_out
        `frames/1`, labelled, as for the training: what a baseline left of the labels,
        or, for a potential with its baseline, whole ones.
    heads
        M; four to eight.
    seed
        Of the heads, and of how frames are halved.

    Raises
    ------
    InputError
        When there are too few frames, or atoms of an element.
    """
    found = observe(potential, training, held_out, seed)
    return found.fit(torch.arange(len(found.groups)), heads, seed)


def observe(
    potential: Potential,
    training: Sequence[xr.Dataset],
    held_out: Sequence[xr.Dataset],
    seed: int = 0,
) -> Observed:
    """What `calibrate` looks at; raises as it does."""
    cutoff, n = potential.model.cutoff, len(potential.species)
    known = [f for f in load_frames(training, potential.species, cutoff)
             if not f.isolated]  # fmt: skip
    held_out = _without_baseline(potential, held_out)
    frames = _some(load_frames(held_out, potential.species, cutoff), seed)
    mean, whiten = fit_features(*features_of(potential.model, known), n)
    found = responses(potential.model, frames)
    return Observed(mean, whiten, found, tuple(f.group for f in frames))


def _without_baseline(
    potential: Potential, sets: Sequence[xr.Dataset]
) -> Sequence[xr.Dataset]:
    """Labels that the network alone was trained for."""
    if potential.baseline is None or baseline_record(sets) is not None:
        return sets
    oracle = potential.baseline.calculator
    bare = (ds.drop_vars("stress", errors="ignore") for ds in sets)
    return [without_baseline(ds, oracle, source="baseline") for ds in bare]


def force_std(u: Uncertainty, r: Responses) -> Tensor:
    """`Uncertainty.force_std` of atoms whose responses are known, shape (N,)."""
    distance = u.distance(r.features, r.species)
    return u.force_std(distance, mean_square(r.pulls, u.heads), r.species)


def _some(frames: list[Frame], seed: int) -> list[Frame]:
    """Frames to calibrate on: all, or so many drawn that they can be held."""
    frames = [f for f in frames if not f.isolated]
    if len(frames) < FEWEST:
        raise InputError("frames to calibrate on", wanted=f"{FEWEST} or more",
                         got=str(len(frames)), mend="hold out more frames")  # fmt: skip
    atoms = sum(len(f.species) for f in frames)
    if atoms <= MOST_ATOMS:
        return frames
    order = torch.randperm(len(frames), generator=torch.Generator().manual_seed(seed))
    most = max(FEWEST, len(frames) * MOST_ATOMS // atoms)
    return [frames[i] for i in sorted(order[:most].tolist())]
