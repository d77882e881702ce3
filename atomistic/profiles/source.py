"""A trajectory of MDAnalysis, and how profiles look at it.

Lengths are in nm in this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.errors import InputError
from .coordinates import Coordinate
from .particles import Particles

ANGSTROM = 0.1


@dataclass(frozen=True)
class Source:
    """A trajectory and how it is looked at.

    Attributes
    ----------
    universe
        Of MDAnalysis.
    particles
        Who is counted.
    coordinate
        Distance across.
    moving
        Atoms whose centre of mass is the origin in each frame, or None.
    """

    universe: Any
    particles: Particles
    coordinate: Coordinate
    moving: Any = None

    def box(self, ts) -> np.ndarray:
        """Box lengths of a frame, nm.

        Raises
        ------
        InputError
            When there are none, or angles are not right.
        """
        lengths = ts.dimensions
        if lengths is None or not (lengths[:3] > 0).all():
            raise InputError(
                f"frame {ts.frame} has no box",
                wanted="lengths of an orthorhombic box",
                got=str(lengths),
                mend="set universe.dimensions, or add a transformation that does",
            )
        if np.abs(lengths[3:] - 90).max() > 1e-3:
            raise InputError(
                f"box of frame {ts.frame}", wanted="right angles", got=str(lengths[3:])
            )
        return ANGSTROM * lengths[:3].astype(float)

    def origin(self, x: np.ndarray | None, box: np.ndarray) -> np.ndarray | None:
        """Centre of what moves, nm."""
        if self.moving is None or x is None:
            return None
        return _centre(x, box, self.moving.indices, self.particles.masses)

    def frame(self, ts) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Positions (nm), box lengths, and the origin."""
        box = self.box(ts)
        x = ANGSTROM * ts.positions
        return x, box, self.origin(x, box)


def _centre(x, box, atoms, masses) -> np.ndarray:
    """Centre of mass on a periodic box (Bai & Breen 2008)."""
    angle = 2 * np.pi * x[atoms] / box
    weight = masses[atoms] / masses[atoms].sum()
    mean = weight @ np.exp(1j * angle)
    middle = np.mod(np.angle(mean), 2 * np.pi) * box / (2 * np.pi)
    # Angles weigh far atoms less: the images about their mean tell where it is.
    apart = x[atoms] - middle
    apart -= box * np.round(apart / box)
    return middle + weight @ apart
