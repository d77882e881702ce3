"""A trajectory of MDAnalysis, and how profiles look at it.

Lengths are in nm in this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from MDAnalysis.lib.mdamath import triclinic_vectors

from ...core.errors import InputError
from .coordinates import Coordinate
from .images import nearest
from .particles import Particles
from .surface import Surface

ANGSTROM = 0.1
#: Degrees by which a right angle may be rounded.
RIGHT = 1e-3


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
        Atoms whose centre of mass, or surface, is the origin in each frame, or None.

    Raises
    ------
    InputError
        When the atoms that move have no mass.
    """

    universe: Any
    particles: Particles
    coordinate: Coordinate
    moving: Any = None

    def __post_init__(self):
        if self.moving is None or isinstance(self.coordinate, Surface):
            return
        if not self.particles.masses[self.moving.indices].sum() > 0:
            raise InputError(
                "origin that moves with atoms without mass",
                wanted="masses: it is their centre",
                got="0",
                mend="set atoms.masses; MDAnalysis guesses none for unknown types",
            )

    def box(self, ts) -> np.ndarray:
        """Box vectors of a frame in rows (3, 3), nm.

        Raises
        ------
        InputError
            When there are none.
        """
        box, lengths = np.zeros((3, 3)), ts.dimensions
        if lengths is not None:
            right = np.abs(lengths[3:] - 90).max() < RIGHT
            box = np.diag(lengths[:3]) if right else triclinic_vectors(lengths, float)
        if not (box.diagonal() > 0).all():
            raise InputError(
                f"frame {ts.frame} has no box",
                wanted="lengths and angles of a box",
                got=str(lengths),
                mend="set universe.dimensions, or add a transformation that does",
            )
        return ANGSTROM * box.astype(float)

    def origin(self, x: np.ndarray | None, box: np.ndarray, frame: int) -> Any:
        """Centre (3,) of what moves, nm, or its surface; None when nothing does."""
        if self.moving is None or x is None:
            return None
        atoms = self.moving.indices
        if isinstance(self.coordinate, Surface):
            return self.coordinate.heights(x[atoms], box, frame)
        return _centre(x[atoms], box, self.particles.masses[atoms])

    def frame(self, ts) -> tuple[np.ndarray, np.ndarray, Any]:
        """Positions (nm), box vectors, and the origin."""
        box = self.box(ts)
        x = ANGSTROM * ts.positions
        return x, box, self.origin(x, box, ts.frame)


def _centre(x, box, masses) -> np.ndarray:
    """Centre of mass in a periodic box.

    By the mean angles of Bai & Breen 2008 (doi:10.1080/2151237X.2008.10129266).
    """
    weight = masses / masses.sum()
    mean = weight @ np.exp(2j * np.pi * (x @ np.linalg.inv(box)))
    middle = np.mod(np.angle(mean) / (2 * np.pi), 1.0) @ box
    # Angles weigh far atoms less: the images about their mean tell where it is.
    return middle + weight @ nearest(x - middle, box)
