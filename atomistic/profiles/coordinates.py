"""Distance across an interface of the particles of a frame: planes, cylinders, spheres.

What users give is in m; positions, boxes and distances of frames are in nm. Boxes are
orthorhombic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...core.errors import InputError
from ...core.units import NM

AXES = {"x": 0, "y": 1, "z": 2}


class Coordinate(Protocol):
    """How far across a particle is, and where it is along the interface.

    Attributes
    ----------
    kind
        ``"planar"``, ``"cylindrical"`` or ``"spherical"``.
    along
        Axes along which particles move parallel to the interface.
    everywhere
        Whether every place of the box is in a cell.
    """

    @property
    def kind(self) -> str:
        """See above."""

    @property
    def along(self) -> list[int]:
        """See above."""

    @property
    def everywhere(self) -> bool:
        """See above."""

    def extent(self, box: np.ndarray) -> float:
        """Of the coordinate in a box of lengths (3,)."""

    def across(
        self,
        positions: np.ndarray,
        box: np.ndarray,
        origin: np.ndarray | None,
        unit: float = 1.0,
    ) -> np.ndarray:
        """Coordinate of positions (n, 3), from 0; outside it is negative or too large.

        `unit` is that of the positions, in nm.
        """

    def volumes(self, faces: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Volumes of the cells between faces (n + 1,) in a box of lengths (3,)."""


@dataclass(frozen=True)
class Planar:
    """Distance along an axis, from a wall or from the border of the box.

    Attributes
    ----------
    axis
        ``"x"``, ``"y"`` or ``"z"``.
    left, right
        Positions of the walls; measured from the origin where there is a moving one.
        Without both the whole box is covered, and scaled to its mean length where it
        varies.
    """

    axis: str = "z"
    left: float | None = None
    right: float | None = None

    def __post_init__(self):
        _check_axis(self.axis)
        if (self.left is None) != (self.right is None):
            raise InputError(
                "walls of planar profiles",
                wanted="left and right, or neither",
                got=f"left {self.left}, right {self.right}",
            )
        if self.right is not None and not (self.left or 0.0) < self.right:
            raise InputError(
                "walls of planar profiles",
                wanted="left < right",
                got=f"{self.left:g} and {self.right:g} m",
            )

    @property
    def kind(self) -> str:
        """See `Coordinate`."""
        return "planar"

    @property
    def along(self) -> list[int]:
        """The other two axes."""
        return [i for i in range(3) if i != AXES[self.axis]]

    @property
    def everywhere(self) -> bool:
        """Unless there are walls."""
        return self.left is None

    def extent(self, box):
        """Between the walls, or the length of the box."""
        length = float(box[AXES[self.axis]])
        if self.left is None or self.right is None:
            return length
        extent = (self.right - self.left) / NM
        _check_fits("walls", extent, length)
        return extent

    def across(self, positions, box, origin, unit=1.0):
        """Into the first period right of the left wall."""
        k = AXES[self.axis]
        s = positions[:, k] * np.float64(unit)
        if origin is not None:
            # Without walls the origin is the middle.
            s -= origin[k] if self.left is not None else origin[k] - 0.5 * box[k]
        if self.left is not None:
            s -= self.left / NM
        images = s / box[k]
        np.floor(images, out=images)
        images *= box[k]
        s -= images
        return s

    def volumes(self, faces, box):
        """Slices of the box."""
        a, b = (box[i] for i in self.along)
        return np.diff(faces) * a * b


@dataclass(frozen=True)
class Cylindrical:
    """Distance from an axis of a cylindrical pore.

    Where there is no wall at the radius, D within some sqrt(2 D lag) of it is biased:
    those who leave are not seen again. Take it further out.

    Attributes
    ----------
    axis
        Along the pore.
    radius
        Outermost distance.
    """

    radius: float
    axis: str = "z"

    def __post_init__(self):
        _check_axis(self.axis)
        _check_radius(self.radius)

    @property
    def kind(self) -> str:
        """See `Coordinate`."""
        return "cylindrical"

    @property
    def along(self) -> list[int]:
        """The axis."""
        return [AXES[self.axis]]

    @property
    def everywhere(self) -> bool:
        """No: the corners are not."""
        return False

    def extent(self, box):
        """The radius."""
        across = np.delete(box, AXES[self.axis])
        _check_fits("diameter", 2 * self.radius / NM, float(across.min()))
        return self.radius / NM

    def across(self, positions, box, origin, unit=1.0):
        """Nearest image to the origin, by default the middle of the box."""
        plane = [i for i in range(3) if i != AXES[self.axis]]
        return _from(positions * unit, box, origin, plane)

    def volumes(self, faces, box):
        """Shells as long as the box."""
        return np.pi * np.diff(faces**2) * box[AXES[self.axis]]


@dataclass(frozen=True)
class Spherical:
    """Distance from a point: droplets, micelles, cavities.

    Where there is no wall at the radius, D near it is biased as in `Cylindrical`.

    Attributes
    ----------
    radius
        Outermost distance.
    """

    radius: float

    def __post_init__(self):
        _check_radius(self.radius)

    @property
    def kind(self) -> str:
        """See `Coordinate`."""
        return "spherical"

    @property
    def along(self) -> list[int]:
        """None: no direction stays parallel."""
        return []

    @property
    def everywhere(self) -> bool:
        """No: the corners are not."""
        return False

    def extent(self, box):
        """The radius."""
        _check_fits("diameter", 2 * self.radius / NM, float(np.min(box)))
        return self.radius / NM

    def across(self, positions, box, origin, unit=1.0):
        """Nearest image to the origin, by default the middle of the box."""
        return _from(positions * unit, box, origin, [0, 1, 2])

    def volumes(self, faces, box):
        """Shells."""
        return 4 / 3 * np.pi * np.diff(faces**3)


def _from(positions, box, origin, axes) -> np.ndarray:
    centre = 0.5 * box if origin is None else origin
    apart = positions[:, axes] - centre[axes]
    apart = apart - box[axes] * np.round(apart / box[axes])
    return np.sqrt((apart**2).sum(axis=1))


def _check_fits(what: str, extent: float, length: float) -> None:
    if extent > length * (1 + 1e-6):
        raise InputError(
            f"{what} of profiles beyond the box",
            wanted=f"at most {length:.4g} nm",
            got=f"{extent:.4g} nm",
        )


def _check_axis(axis: str) -> None:
    if axis not in AXES:
        raise InputError("axis of profiles", wanted="x, y or z", got=repr(axis))


def _check_radius(radius: float) -> None:
    if not radius > 0:
        raise InputError(
            "radius of profiles", wanted="a positive length", got=f"{radius:g} m"
        )
