"""Which lag D_perp is read at, whether it is on a plateau, and what that leaves unsure.

At short lags ions rattle in their cages or still fly, and D is too large or too small;
at long lags nothing is left but noise. All lags are fitted to the same resamples, so that
the error of a *difference* of two lags is known, and small.
Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from .perpendicular import PerpendicularDiffusion, estimate_perpendicular, widest_cell

#: Change of ln D on a face between lags beyond which there is no plateau.
PLATEAU = 0.15
#: Change of smoothed ln D that is tolerated when a lag is chosen, even if significant.
LEVEL = 0.01
#: Standard errors of a difference within which two lags agree.
SIGNIFICANT = 2.0
#: Part of the well visited faces that must agree at the chosen lag.
MOSTLY = 0.8
#: Part of the slab over which differences are smoothed.
ZONE = 0.2


@dataclass(frozen=True)
class LagScan:
    """D_perp over lags; L lags, n cells.

    Attributes
    ----------
    lags
        Shape (L,), ps.
    D
        On all faces, shape (L, R + 1, n + 1), nm2/ps.
    chosen
        Index of the shortest lag that is long enough for the cells (`widest_cell`) and
        from which smoothed D stays; the last but one where there is none.
    fits
        What `estimate_perpendicular` found for each lag.
    drifting
        Faces on which a longer lag gives another D, shape (n + 1,).
    few
        Faces with too few transitions at the chosen lag, shape (n + 1,).
    systematic
        Larger of the largest smoothed difference between the chosen lag and longer ones
        and a third of that between cells of single and double width, in excess of their
        standard errors, shape (n + 1,), nm2/ps. Where D goes like 1 / lag to its limit,
        as after ballistic starts, twice the lag shows half of what is missing.
    """

    lags: np.ndarray
    D: np.ndarray
    chosen: int
    fits: tuple[PerpendicularDiffusion, ...]
    drifting: np.ndarray
    few: np.ndarray
    systematic: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """D at the chosen lag, shape (R + 1, n + 1)."""
        return self.D[self.chosen]

    def no_plateau(self) -> np.ndarray:
        """Cells both of whose faces drift, shape (n,)."""
        return self.drifting[1:] & self.drifting[:-1]

    def few_visits(self) -> np.ndarray:
        """Cells with too few transitions through either face, shape (n,)."""
        return self.few[1:] | self.few[:-1]


def scan_lags(
    transitions: Sequence[np.ndarray],
    lags: Sequence[float],
    overlaps: Sequence[int],
    visits: np.ndarray,
    weights: np.ndarray,
    h: float,
    periodic: bool = False,
) -> LagScan:
    """Fit D_perp at every lag and see from which on it stays.

    Parameters
    ----------
    transitions
        For each lag, per unit, shape (U, n, n); n even.
    lags, overlaps
        ps, ascending, and pairs that start within each.
    visits, weights, h, periodic
        As for `estimate_perpendicular`.

    Raises
    ------
    InputError
        When there are fewer than two lags, or they do not ascend.
    """
    times = np.asarray(lags, dtype=float)
    if len(times) < 2 or not (np.diff(times) > 0).all():
        raise InputError(
            "lags of a plateau test",
            wanted="at least two, ascending",
            got=", ".join(f"{t:g} ps" for t in times),
        )
    n = visits.shape[-1]
    fits = tuple(
        estimate_perpendicular(counts, visits, weights, h, lag, overlap, periodic)
        for counts, lag, overlap in zip(transitions, times, overlaps, strict=True)
    )
    D = np.array([fit.on_all_faces(n) for fit in fits])
    few = np.array([_on_all_faces(fit, n) for fit in fits])
    chosen = _choose(np.log(D), few, times, h)
    change, error = _differences(np.log(D), chosen)
    limit = np.maximum(PLATEAU, SIGNIFICANT * error)
    drifting = (change > limit).any(axis=0) & ~few[chosen]
    coarse = estimate_perpendicular(
        _merged(transitions[chosen]), _paired(visits), weights, 2 * h,
        times[chosen], overlaps[chosen], periodic,
    )  # fmt: skip
    wider = np.stack([np.log(D[chosen]), _interpolated(coarse, n)])
    excess = []
    # What wide cells get wrong grows by h^2 at least: single ones miss a third of it.
    for log_D, index, part in ((np.log(D), chosen, 1.0), (wider, 0, 1 / 3)):
        c, e = _differences(_smooth(log_D), index)
        excess.append(part * np.sqrt(np.maximum(c**2 - e**2, 0.0)))
    systematic = D[chosen, 0] * np.concatenate(excess).max(axis=0)
    return LagScan(times, D, chosen, fits, drifting, few[chosen], systematic)


def _choose(log_D: np.ndarray, few: np.ndarray, lags: np.ndarray, h: float) -> int:
    """Shortest lag from which D stays on most faces that are visited enough."""
    smooth = _smooth(log_D)
    for index in range(len(log_D) - 1):
        good = ~few[index]
        typical = np.exp(np.median(log_D[index, 0]))
        if not good.any() or h > widest_cell(typical, lags[index]):
            continue
        change, error = _differences(smooth, index)
        agree = (change <= np.maximum(LEVEL, SIGNIFICANT * error)).all(axis=0)
        if agree[good].mean() >= MOSTLY:
            return index
    return len(log_D) - 2


def _smooth(log_D: np.ndarray) -> np.ndarray:
    """Means over `ZONE` of the slab, fewer faces near its ends."""
    half = max(1, round(0.5 * ZONE * log_D.shape[-1]))
    total = np.cumsum(np.insert(log_D, 0, 0.0, axis=-1), axis=-1)
    face = np.arange(log_D.shape[-1])
    low, high = np.maximum(face - half, 0), np.minimum(face + half + 1, len(face))
    return (total[..., high] - total[..., low]) / (high - low)


def _differences(log_D: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """|ln D_j - ln D_index| of later entries and its error, shapes (later, n + 1)."""
    off = log_D[index + 1 :] - log_D[index]
    return np.abs(off[:, 0]), off[:, 1:].std(axis=1)


def _on_all_faces(fit: PerpendicularDiffusion, n: int) -> np.ndarray:
    """`few`, true also beyond the faces that were fitted."""
    few = np.ones(n + 1, dtype=bool)
    few[fit.faces] = fit.few
    return few


def _merged(transitions: np.ndarray) -> np.ndarray:
    """Transitions between pairs of cells."""
    units, n = transitions.shape[:2]
    return transitions.reshape(units, n // 2, 2, n // 2, 2).sum(axis=(2, 4))


def _paired(visits: np.ndarray) -> np.ndarray:
    return visits.reshape(len(visits), -1, 2).sum(axis=-1)


def _interpolated(coarse: PerpendicularDiffusion, n: int) -> np.ndarray:
    """From cells of double width to the faces of single ones: ln D, (R + 1, n + 1)."""
    face = np.clip(np.arange(n + 1) / 2, coarse.faces[0], coarse.faces[-1])
    left = np.minimum(face.astype(int), coarse.faces[-1] - 1) - coarse.faces[0]
    part = face - coarse.faces[0] - left
    log_D = np.log(coarse.D)
    return (1 - part) * log_D[:, left] + part * log_D[:, left + 1]
