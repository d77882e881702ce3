"""Pair potentials as cubic B-splines that end at a cut-off. nm and kJ/mol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: The last basis functions would let value or slope jump at the cut-off.
_DROPPED = 3


@dataclass(frozen=True)
class PairSpline:
    """Uniform cubic B-splines on [0, cutoff]; value, slope and curvature end at zero.

    Attributes
    ----------
    cutoff
        nm.
    spacing
        Wanted distance of the knots, nm; the nearest that divides the cut-off is used.
    """

    cutoff: float
    spacing: float

    @property
    def intervals(self) -> int:
        """Number of knot intervals."""
        return max(4, round(self.cutoff / self.spacing))

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return self.intervals + 3 - _DROPPED

    def evaluate(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The four functions that are not zero at each distance.

        Parameters
        ----------
        r
            Shape (n,), within [0, cutoff).

        Returns
        -------
        first : ndarray, shape (n,)
            Index of the first of them; indices of `size` and more are dropped.
        value, slope : ndarray, shape (n, 4)
            Their values and derivatives (1/nm).
        """
        h = self.cutoff / self.intervals
        first = np.minimum((r / h).astype(np.intp), self.intervals - 1)
        t = r / h - first
        s = 1 - t
        value = np.stack(
            [s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3], axis=1
        )
        slope = np.stack(
            [-(s**2), 3 * t**2 - 4 * t, -3 * s**2 + 4 * s, t**2], axis=1
        )  # fmt: skip
        return first, value / 6, slope / (2 * h)

    def design(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Dense values and derivatives of all functions, shape (n, size) each."""
        first, value, slope = self.evaluate(r)
        column = first[:, None] + np.arange(4)
        dense = np.zeros((2, len(r), self.intervals + 3))
        row = np.arange(len(r))[:, None]
        dense[0, row, column], dense[1, row, column] = value, slope
        return dense[0, :, : self.size], dense[1, :, : self.size]
