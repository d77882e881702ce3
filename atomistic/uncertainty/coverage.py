"""Whether intervals hold what they promise, on frames of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from scipy.stats import rankdata, spearmanr

from ...core.errors import InputError
from ...core.stats import bootstrap_weights, interval95
from ..potential.data import load_frames
from ..potential.potential import Potential
from ..potential.uncertainty import LEVELS
from .calibration import force_std
from .responses import responses

REPLICATES = 400


@dataclass(frozen=True)
class Coverage:
    """Errors of forces beside what was said of them, for A atoms of F frames.

    Attributes
    ----------
    error
        Length of the error of the force on each atom, shape (A,), eV/A.
    std, distance
        As the potential says, shape (A,); eV/A and one.
    element
        Symbols, shape (A,).
    frame
        Of each atom, shape (A,).
    levels
        Probabilities of intervals, shape (L,).
    found
        Part of the components inside each, shape (L,), and of its bootstrap over frames
        the 95 % interval, shape (L, 2).
    """

    error: np.ndarray
    std: np.ndarray
    distance: np.ndarray
    element: np.ndarray
    frame: np.ndarray
    levels: np.ndarray
    found: np.ndarray
    interval: np.ndarray

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of errors with standard deviations."""
        return float(spearmanr(self.error, self.std).statistic)

    @property
    def calibration(self) -> float:
        """Root mean square of error components over standard deviations: one is right."""
        return float(np.sqrt(np.mean(self.error**2 / (3 * self.std**2))))


def coverage(
    potential: Potential, frames: Sequence[xr.Dataset], seed: int = 0
) -> Coverage:
    """What intervals of a calibrated potential hold on labelled frames.

    Parameters
    ----------
    potential
        Calibrated.
    frames
        `frames/1` with labels, that were used neither to train nor to calibrate.
    seed
        Of the bootstrap over frames.

    Raises
    ------
    InputError
        When it was not calibrated.
    """
    u = potential.calibrated()
    loaded = load_frames(frames, potential.species, potential.model.cutoff)
    r = responses(potential.model, [f for f in loaded if not f.isolated])
    std = force_std(u, r)
    half = torch.stack([u.half_width(std, r.species, level) for level in LEVELS], 1)
    inside = (r.errors.abs().unsqueeze(2) <= half.unsqueeze(1)).sum(1).double().numpy()
    frame, n = r.frame.numpy(), int(r.frame.max()) + 1
    hits = np.stack([np.bincount(frame, column, n) for column in inside.T], 1)
    size = 3 * np.bincount(frame, minlength=n)
    weights = bootstrap_weights(n, REPLICATES, seed)[1:]
    drawn = (weights @ hits) / (weights @ size)[:, None]
    return Coverage(
        r.errors.norm(dim=1).numpy(), std.numpy(),
        u.distance(r.features, r.species).numpy(),
        np.array(potential.species)[r.species.numpy()], frame, np.array(LEVELS),
        hits.sum(0) / size.sum(), np.array([interval95(d) for d in drawn.T]),
    )  # fmt: skip


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
