"""Energy conservation: drift, and fluctuation against the time step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .canonical import inefficiency


@dataclass(frozen=True)
class Drift:
    """Linear drift of a total energy and what is left beside it.

    Attributes
    ----------
    drift, error
        meV/atom/ps, with its standard error.
    fluctuation
        Standard deviation about the line, meV/atom.
    """

    drift: float
    error: float
    fluctuation: float


def drift(time: np.ndarray, total: np.ndarray, n_atoms: int) -> Drift:
    """Drift of an NVE run.

    Parameters
    ----------
    time
        ps, shape (F,).
    total
        Total energy, eV, shape (F,).
    n_atoms
        Number of atoms.
    """
    t = time - time.mean()
    energy = 1e3 * (total - total.mean()) / n_atoms
    slope = float(t @ energy / (t @ t))
    left = energy - slope * t
    spread = float(np.sqrt(left @ left / max(1, len(t) - 2)))
    # Residuals are correlated: fewer of them count.
    error = spread * np.sqrt(inefficiency(left) / (t @ t))
    return Drift(slope, float(error), spread)


def order(timesteps: Sequence[float], fluctuations: Sequence[float]) -> float:
    """Exponent p of fluctuation ~ dt^p, by least squares of logarithms.

    Verlet conserves a shadow energy that differs from the energy by dt^2 where forces are
    smooth gradients (Hairer, Lubich & Wanner 2003, doi:10.1017/S0962492902000144).
    """
    return float(np.polyfit(np.log(timesteps), np.log(fluctuations), 1)[0])
