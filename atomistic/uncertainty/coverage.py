"""Whether intervals hold what they promise, on frames of any kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import xarray as xr
from ase import Atoms
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from ...core.errors import InputError
from ...core.stats import bootstrap_weights, interval95
from ..oracle import total_charge
from ..potential.baseline import baseline_record
from ..potential.labelled_frame import Keys
from ..potential.potential import Potential
from ..potential.uncertainty import LEVELS, Uncertainty
from ..validation.labels import labelled_atoms

REPLICATES, SEED = 400, 0


@dataclass(frozen=True)
class Coverage:
    """Errors of forces beside what was said of them, for A atoms of F frames.

    Attributes
    ----------
    error
        Length of the error of the force on each atom, shape (A,), eV/A.
    std, distance
        As the potential says, shape (A,); eV/A and one.
    element, frame, group
        Symbol, number of the frame and what that was made for, of each atom, shape (A,).
    inside
        Components of each atom inside the interval of each level, shape (A, L).
    """

    error: np.ndarray
    std: np.ndarray
    distance: np.ndarray
    element: np.ndarray
    frame: np.ndarray
    group: np.ndarray
    inside: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """Probabilities of intervals, shape (L,)."""
        return np.array(LEVELS)

    @property
    def frames(self) -> int:
        """F."""
        return len(np.unique(self.frame))

    @property
    def found(self) -> np.ndarray:
        """Part of the components inside each interval, shape (L,)."""
        return self.inside.mean(0) / 3

    @property
    def interval(self) -> np.ndarray:
        """95 % intervals of `found` from the bootstrap over frames, shape (L, 2).

        NaN of a single frame; too narrow where frames of one trajectory are alike.
        """
        _, place = np.unique(self.frame, return_inverse=True)
        n, size = int(place.max()) + 1, 3 * np.bincount(place)
        if n == 1:
            return np.full((len(LEVELS), 2), np.nan)
        hits = np.stack([np.bincount(place, column) for column in self.inside.T], 1)
        weights = bootstrap_weights(n, REPLICATES, SEED)
        drawn = (weights @ hits) / (weights @ size)[:, None]
        return np.clip([interval95(column, n) for column in drawn.T], 0, 1)

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of errors with standard deviations; NaN where these are equal."""
        if len(self.std) < 3 or not np.ptp(self.std):
            return float("nan")
        return float(spearmanr(self.error, self.std).statistic)

    @property
    def calibration(self) -> float:
        """Root mean square of error components over standard deviations: one is right."""
        return float(np.sqrt(np.mean(self.error**2 / (3 * self.std**2))))

    def among(self, chosen: np.ndarray) -> Coverage:
        """Of some of the atoms, booleans of shape (A,)."""
        return Coverage(*(getattr(self, f.name)[chosen] for f in fields(self)))


def coverage(potential: Potential, frames: Sequence[xr.Dataset]) -> Coverage:
    """What intervals of a calibrated potential hold on labelled frames.

    Parameters
    ----------
    potential
        Calibrated.
    frames
        `frames/1` with labels, that were used neither to train nor to calibrate; whole
        labels or, of all frames, what a baseline left of them.

    Raises
    ------
    InputError
        When it was not calibrated.
    SchemaError
        When a species is unknown, or some frames only are without a baseline.
    """
    if baseline_record(frames) is not None:
        potential = replace(potential, baseline=None)
    return coverage_of([a for ds in frames for a in labelled_atoms(ds)], potential)


def coverage_of(
    frames: Sequence[Atoms],
    potential: Potential,
    progress: Callable[[float, float, str], None] | None = None,
) -> Coverage:
    """`coverage` on atoms whose calculators hold labels of forces.

    Parameters
    ----------
    frames
        Atoms without such labels, and single ones in vacuum, are left out.
    potential
        Calibrated, with its baseline.
    progress
        Called with (frames done, frames, text).

    Raises
    ------
    InputError
        When it was not calibrated, or no frame has forces.
    """
    u, parts = potential.calibrated(), []
    for i, atoms in enumerate(frames):
        labels = atoms.calc.results if atoms.calc is not None else {}
        if "forces" in labels and (len(atoms) > 1 or atoms.pbc.any()):
            symbols = np.array(atoms.get_chemical_symbols())
            found = potential.evaluate(
                atoms.positions, symbols, atoms.cell.array, atoms.pbc,
                total_charge(atoms.info), stress=False, spread=True,
            )  # fmt: skip
            where = symbols, i, str(atoms.info.get(Keys.group, "all"))
            parts.append(said(
                u, torch.from_numpy(labels["forces"] - found.forces),
                torch.from_numpy(found.force_std), torch.from_numpy(found.distances),
                torch.from_numpy(potential.numbers(symbols)), *where,
            ))  # fmt: skip
        if progress is not None:
            progress(i + 1, len(frames), "intervals of forces")
    if not parts:
        raise InputError("frames to judge intervals by", wanted="labels of forces",
                         got=f"{len(frames)} frames without")  # fmt: skip
    return together(parts)


def said(
    u: Uncertainty,
    errors: Tensor,
    std: Tensor,
    distance: Tensor,
    species: Tensor,
    symbols: np.ndarray,
    frame: np.ndarray | int,
    group: np.ndarray | str,
) -> Coverage:
    """Errors (N, 3) of atoms beside what was said of them."""
    half = torch.stack([u.half_width(std, species, level) for level in LEVELS], 1)
    inside = (errors.abs().unsqueeze(2) <= half.unsqueeze(1)).sum(1)
    n = len(std)
    return Coverage(
        errors.norm(dim=1).numpy(), std.numpy(), distance.numpy(), symbols,
        np.broadcast_to(frame, n), np.broadcast_to(group, n), inside.numpy(),
    )  # fmt: skip


def together(parts: Sequence[Coverage]) -> Coverage:
    """Several as one; their frames have numbers of their own."""
    names = [f.name for f in fields(Coverage)]
    return Coverage(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def auroc(score: np.ndarray, event: np.ndarray) -> float:
    """Area under the curve of hits against false alarms: one half is chance.

    Parameters
    ----------
    score
        What should be high where the event is, shape (N,).
    event
        Booleans, shape (N,).

    Raises
    ------
    InputError
        When all or none are events.
    """
    hits = int(event.sum())
    others = len(event) - hits
    if not hits or not others:
        raise InputError("area under the curve", wanted="events and others",
                         got=f"{hits} and {others}")  # fmt: skip
    ranks = rankdata(score)[event].sum()
    return float((ranks - hits * (hits + 1) / 2) / (hits * others))
