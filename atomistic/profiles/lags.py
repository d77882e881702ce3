"""Lags of a mean-square displacement, blocks of time, and whether motion is diffusive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.stats import half_width95
from .settings import whole_steps

#: A log-log slope within this of 1 counts as diffusive, however small its error.
EXPONENT_TOLERANCE = 0.05


@dataclass(frozen=True)
class Window:
    """Lags at which displacements are taken, and the block they lie in.

    Attributes
    ----------
    spacing
        Time between frames, s.
    size
        Intervals between frames in a block.
    steps
        Shape (L,), lags in intervals, rising.
    """

    spacing: float
    size: int
    steps: np.ndarray

    @property
    def lags(self) -> np.ndarray:
        """Lags, s, shape (L,)."""
        return self.steps * self.spacing

    def slope(self, msd: np.ndarray) -> np.ndarray:
        """Least-squares slope over the lags: (R + 1, L, ...) to (R + 1, ...), per s."""
        return _slope(self.lags, msd)

    def exponent(self, msd: np.ndarray) -> np.ndarray:
        """Slope of log MSD over log lag: 1 is diffusive, 2 ballistic."""
        return _slope(np.log(self.lags), np.log(np.maximum(msd, np.finfo(float).tiny)))


def fit_window(
    spacing: float,
    block: float,
    lags: tuple[float, float] | None = None,
    n_lags: int = 8,
) -> Window:
    """Equally spaced lags between two ends.

    Parameters
    ----------
    spacing
        Time between frames, s.
    block
        Unit of the bootstrap, s.
    lags
        Shortest and longest lag, s; a fifth and three fifths of a block when ``None``.
    n_lags
        How many at most, both ends among them.

    Raises
    ------
    InputError
        When the lags do not fit into the block or the spacing.
    """
    size = whole_steps(block, spacing, "a block")
    if lags is None:
        first = max(1, size // 5)
        last = max(3 * size // 5, first + 1)
        lags = (first * spacing, last * spacing)
    if not 0 < lags[0] < lags[1] < block * (1 - 1e-9):
        raise InputError(
            "lags of the fit",
            wanted=f"0 < shorter < longer < {block:g} s, a block",
            got=f"{lags[0]:g} and {lags[1]:g} s",
            mend="shorter lags, longer blocks or frames saved more often",
        )
    first, last = (whole_steps(lag, spacing, "a lag") for lag in lags)
    steps = np.unique(np.linspace(first, last, n_lags).round().astype(int))
    return Window(spacing, size, steps)


def blocks_of(n_frames: int, size: int, spacing: float) -> list[slice]:
    """Blocks of `size` intervals: both end frames belong, neighbours share one.

    Raises
    ------
    InputError
        When there is not one.
    """
    n_blocks = (n_frames - 1) // size
    if n_blocks < 1:
        raise InputError(
            "a replica is too short",
            wanted=f"one block of {size * spacing:g} s",
            got=f"{n_frames} frames, {(n_frames - 1) * spacing:g} s",
            mend="shorter blocks or a longer run",
        )
    return [slice(b * size, (b + 1) * size + 1) for b in range(n_blocks)]


def enough(n_units: int, replicates: int) -> None:
    """Refuse errors from fewer than two blocks or from few replicates.

    Raises
    ------
    InputError
        Says which.
    """
    if n_units < 2:
        raise InputError(
            "too few blocks for errors",
            wanted="at least two, better ten and more",
            got=str(n_units),
            mend="shorter blocks, longer runs or more replicas",
        )
    if replicates < 50:
        raise InputError(
            "too few bootstrap replicates for an interval",
            wanted="at least 50",
            got=str(replicates),
        )


def regimes(exponent: np.ndarray, n_units: int) -> list[str]:
    """``diffusive``, ``subdiffusive`` or ``superdiffusive`` for each column.

    A slope is off when it differs from 1 by more than its 95 % half width and by more
    than `EXPONENT_TOLERANCE`. Rattling in a cage adds a constant to the MSD and lowers
    the slope too: longer lags tell the two apart.

    Parameters
    ----------
    exponent
        Shape (R + 1, K), replicate 0 first.
    n_units
        Blocks that were resampled.
    """
    margin = np.maximum(half_width95(exponent, n_units), EXPONENT_TOLERANCE)
    off = np.where(np.abs(exponent[0] - 1) > margin, np.sign(exponent[0] - 1), 0)
    return [("subdiffusive", "diffusive", "superdiffusive")[int(k) + 1] for k in off]


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    weight = x - x.mean()
    return np.einsum("l,rl...->r...", weight / (weight**2).sum(), y)
