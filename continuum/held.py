"""What takes the place of equations of some unknowns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Held:
    """Unknowns that obey ``u[row] + factor u[partner] = value`` instead of the residual.

    Attributes
    ----------
    rows, partners
        Indices of this process, shape (n_held,); ghosts are among them.
    factors, values
        Shape (n_held,).
    """

    rows: np.ndarray
    partners: np.ndarray
    factors: np.ndarray
    values: np.ndarray

    def mismatch(self, u: np.ndarray) -> np.ndarray:
        """How far the unknowns are from what they must be."""
        return u[self.rows] + self.factors * u[self.partners] - self.values

    def entries(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Derivatives of the mismatch by other unknowns: row, unknown, value."""
        which = np.flatnonzero(self.factors)
        return which, self.partners[which], self.factors[which]


class Floating(Protocol):
    """A number that is an unknown too: an electrode's potential at a given current."""

    value: float

    def put(self, value: float, held: Held) -> None:
        """Take over a value, in the equations and in what is held."""

    def mismatch(self) -> float:
        """The equation that determines it, at the present state."""
