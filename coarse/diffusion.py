"""Self-diffusion of beads, in the time of their own run.

In Langevin dynamics each bead rubs against a bath at rest. Momentum is not conserved, so
beads and their periodic images do not drag each other along: the size of the box needs no
correction like that of Yeh & Hummer 2004 (doi:10.1021/jp0477147) for all-atom values,
and the motion of the centre of mass is diffusion too, which is left in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from ..core.stats import bootstrap_weights, half_width95
from .langevin import check_shape

#: Parts of a run that are resampled: replicas, cut in time where they are fewer.
PARTS = 10
#: Slopes agree within so many halves of the 95 % interval of their difference: many are
#: compared.
AGREE = 1.5


@dataclass(frozen=True)
class Diffusion:
    """Self-diffusion coefficients of S species.

    Attributes
    ----------
    species
        Names, length S.
    D
        Shape (R + 1, S), nm2/ps; replicate 0 is the point estimate.
    lag
        Shape (S,), ps: D is the slope of the mean-square displacement over six between
        this lag and twice it.
    n_units
        Parts of the run that were resampled.
    """

    species: tuple[str, ...]
    D: np.ndarray
    lag: np.ndarray
    n_units: int

    @property
    def interval(self) -> np.ndarray:
        """Value and half of the 95 % interval, shape (S, 2), nm2/ps."""
        return np.stack([self.D[0], half_width95(self.D, self.n_units)], 1)


def diffusion(
    x: np.ndarray,
    species: Sequence[str],
    spacing: float,
    *,
    replicates: int = 200,
    seed: int = 0,
) -> Diffusion:
    """Slope of the mean-square displacement, over six, where it no longer changes.

    Slopes are taken between lags t and 2t of 1, 2, 4 ... frames. The plateau starts at
    the first that all later ones agree with; D is the slope after that, whose bias is
    then well below its error. Beads of one molecule come to have the D of the molecule.

    Parameters
    ----------
    x
        Unwrapped positions, shape (F, R, B, 3), nm, such as `recording.record` gives.
    species
        Of each bead, length B.
    spacing
        Between frames, ps.
    replicates, seed
        Of the bootstrap.

    Raises
    ------
    InputError
        When the run is too short, or there is no plateau.
    """
    check_shape("positions", x, (None, None, len(species), 3))
    names = tuple(dict.fromkeys(species))
    parts = -(-PARTS // x.shape[1])
    size = len(x) // parts
    lags = 2 ** np.arange(max(size - 1, 1).bit_length())
    if len(lags) < 4:
        raise InputError(
            "a run too short for diffusion", wanted=f"{9 * parts} frames at least",
            got=str(len(x)), mend="save more often, or run longer or more replicas",
        )  # fmt: skip
    share = np.array([[s == name for name in names] for s in species], dtype=float)
    sums, counts = _displacements(x, share / share.sum(0), lags, parts)
    weights = bootstrap_weights(len(sums), replicates, seed)
    msd = np.einsum("ru,uls->rls", weights, sums) / (weights @ counts)[..., None]
    slope = np.diff(msd, axis=1) / (6 * spacing * np.diff(lags)[:, None])
    found = [_plateau(slope[..., s], len(sums), name) for s, name in enumerate(names)]
    D = np.stack([slope[:, k, s] for s, k in enumerate(found)], 1)
    return Diffusion(names, D, spacing * lags[found], len(sums))


def _displacements(
    x: np.ndarray, share: np.ndarray, lags: np.ndarray, parts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares (U, L, S) over origins and their numbers (U, L), U of R x parts.

    A displacement belongs to the part of its origin and may end in the next one.
    """
    size, n = len(x) // parts, x.shape[1]
    sums = np.zeros((parts, n, len(lags), share.shape[1]))
    counts = np.zeros((parts, n, len(lags)))
    for index, lag in enumerate(lags):
        for part in range(parts):
            start = part * size
            stop = min(start + size, len(x) - lag)
            step = x[start + lag : stop + lag] - x[start:stop]
            square = np.einsum("frbk,frbk->rb", step, step, dtype=float)
            sums[part, :, index] = square @ share
            counts[part, :, index] = stop - start
    return sums.reshape(-1, *sums.shape[2:]), counts.reshape(-1, len(lags))


def _plateau(slope: np.ndarray, n_units: int, name: str) -> int:
    """Which of the slopes (R + 1, L) is D."""
    last = slope.shape[1] - 1
    for k in range(last + 1):
        later = slope[:, k + 1 :] - slope[:, k : k + 1]
        if (np.abs(later[0]) <= AGREE * half_width95(later, n_units)).all():
            break
    end = slope[:, -1] - slope[:, -2]
    if abs(end[0]) > 2 * half_width95(end, n_units) or not slope[0, min(k + 1, last)] > 0:
        raise InputError(
            f"diffusion of {name}", wanted="a mean-square displacement that grows evenly",
            got=f"D = {slope[0, -2]:.3g} and {slope[0, -1]:.3g} nm2/ps at the longest "
            "lags", mend="run longer; beads must be unwrapped and free to move",
        )  # fmt: skip
    return min(k + 1, last)
