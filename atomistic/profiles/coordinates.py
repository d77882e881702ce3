"""Distance across an interface of the particles of a frame: planes, cylinders, spheres.

What users give is in m; positions, boxes and distances of frames are in nm. Boxes are
matrices whose rows are box vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...core.errors import InputError
from ...core.units import NM
from .images import narrowest, nearest

#: Slope of a box vector above which it is not along an axis, or not in a plane.
TILT = 1e-4
AXES = {"x": 0, "y": 1, "z": 2}


class Coordinate(Protocol):
    """How far across a particle is, and where it is along the interface.

    Attributes
    ----------
    kind
        ``"planar"``, ``"cylindrical"``, ``"spherical"`` or ``"surface"``.
    along
        Axes along which particles move parallel to the interface.
    everywhere
        Whether every place of the box is in a cell.
    bulk
        Part of the extent, of 1, where W is zero.
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

    @property
    def bulk(self) -> tuple[float, float]:
        """See above."""

    def extent(self, box: np.ndarray) -> float:
        """Of the coordinate in a box (3, 3); refuses one that does not suit it."""

    def across(
        self,
        positions: np.ndarray,
        box: np.ndarray,
        origin: Any,
        unit: float = 1.0,
    ) -> np.ndarray:
        """Coordinate of positions (n, 3), from 0; outside it is negative or too large.

        `unit` is that of the positions, in nm; `origin` is what moves in this frame, a
        place (3,) or `Heights`, or None.
        """

    def volumes(self, faces: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Volumes of the cells between faces (n + 1,) in a box (3, 3)."""


@dataclass(frozen=True)
class Planar:
    """Distance along an axis, from a wall or from the border of the box.

    The other two box vectors must be normal to the axis: for z they always are.

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
        check_axis(self.axis)
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

    @property
    def bulk(self) -> tuple[float, float]:
        """The middle fifth."""
        return 0.4, 0.6

    def extent(self, box):
        """Between the walls, or the length of the box."""
        length = height(box, self.axis)
        if self.left is None or self.right is None:
            return length
        extent = (self.right - self.left) / NM
        _check_fits("walls", extent, length)
        return extent

    def across(self, positions, box, origin, unit=1.0):
        """Into the first period right of the left wall."""
        k = AXES[self.axis]
        period = box[k, k]
        first = 0.0 if self.left is None else self.left / NM
        if origin is not None:
            # Without walls the origin is the middle.
            first += origin[k] - (0.5 * period if self.left is None else 0.0)
        return into_period(positions[:, k], first, period, unit)

    def volumes(self, faces, box):
        """Slices of the box."""
        return np.diff(faces) * area(box, self.axis)


@dataclass(frozen=True)
class Cylindrical:
    """Distance from an axis of a cylindrical pore.

    A box vector must lie along the axis. Where there is no wall at the radius, D within
    some sqrt(2 D lag) of it is biased: those who leave are not seen again. Take it
    further out.

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
        check_axis(self.axis)
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

    @property
    def bulk(self) -> tuple[float, float]:
        """The inner half."""
        return 0.0, 0.5

    def extent(self, box):
        """The radius."""
        k = AXES[self.axis]
        check_along(box[k], k, f"the pore's box vector along {self.axis}")
        _check_fits("diameter", 2 * self.radius / NM, narrowest(self._section(box)))
        return self.radius / NM

    def across(self, positions, box, origin, unit=1.0):
        """Nearest image to the origin, by default the middle of the box."""
        plane = [i for i in range(3) if i != AXES[self.axis]]
        return _from(positions * unit, box, origin, plane, self._section(box))

    def volumes(self, faces, box):
        """Shells as long as the box."""
        k = AXES[self.axis]
        return np.pi * np.diff(faces**2) * box[k, k]

    def _section(self, box):
        """Box vectors across the pore, seen along it, shape (2, 2)."""
        k = AXES[self.axis]
        return np.delete(np.delete(box, k, axis=0), k, axis=1)


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

    @property
    def bulk(self) -> tuple[float, float]:
        """The inner half."""
        return 0.0, 0.5

    def extent(self, box):
        """The radius."""
        _check_fits("diameter", 2 * self.radius / NM, narrowest(box))
        return self.radius / NM

    def across(self, positions, box, origin, unit=1.0):
        """Nearest image to the origin, by default the middle of the box."""
        return _from(positions * unit, box, origin, [0, 1, 2], box)

    def volumes(self, faces, box):
        """Shells."""
        return 4 / 3 * np.pi * np.diff(faces**3)


def into_period(z, first: float, period: float, unit: float = 1.0) -> np.ndarray:
    """From `first`, z (n,) in the first period."""
    if first:
        s = (z * np.float64(unit) - first) / period
    else:
        s = z * np.float64(unit / period)
    s -= np.floor(s)
    s *= period
    return s


def height(box: np.ndarray, axis: str) -> float:
    """Of a box whose other two vectors are normal to an axis.

    Raises
    ------
    InputError
        When they are not.
    """
    k = AXES[axis]
    tilt = np.delete(box[:, k], k) / np.linalg.norm(np.delete(box, k, axis=0), axis=1)
    if np.abs(tilt).max() > TILT:
        raise InputError(
            f"planes normal to {axis} in this box",
            wanted=f"two box vectors normal to {axis}",
            got=str(np.array2string(box, precision=4)),
            mend="take axis z, to which they are normal in any box of MDAnalysis",
        )
    return float(box[k, k])


def area(box: np.ndarray, axis: str) -> float:
    """Of the box seen along an axis that `height` allows."""
    return float(abs(np.linalg.det(box))) / box[AXES[axis], AXES[axis]]


def check_along(vector: np.ndarray, k: int, what: str) -> None:
    """Refuse a box vector that is not along axis `k`."""
    if np.abs(np.delete(vector, k)).max() > TILT * abs(vector[k]):
        raise InputError(
            f"{what} is tilted",
            wanted="one along it, as in prisms",
            got=str(np.array2string(vector, precision=4)) + " nm",
        )


def _from(positions, box, origin, axes, section) -> np.ndarray:
    centre = 0.5 * box.sum(axis=0) if origin is None else origin
    apart = nearest(positions[:, axes] - centre[axes], section)
    return np.sqrt((apart**2).sum(axis=1))


def _check_fits(what: str, extent: float, length: float) -> None:
    if extent > length * (1 + 1e-6):
        raise InputError(
            f"{what} of profiles beyond the box",
            wanted=f"at most {length:.4g} nm",
            got=f"{extent:.4g} nm",
        )


def check_axis(axis: str) -> None:
    """Refuse what is no axis."""
    if axis not in AXES:
        raise InputError("axis of profiles", wanted="x, y or z", got=repr(axis))


def _check_radius(radius: float) -> None:
    if not radius > 0:
        raise InputError(
            "radius of profiles", wanted="a positive length", got=f"{radius:g} m"
        )
