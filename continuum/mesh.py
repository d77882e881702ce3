"""Sizes of cells and vertices of intervals; plain arrays, no DOLFINx."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError


def graded(
    length: float,
    first: float,
    *,
    growth: float = 1.1,
    largest: float = np.inf,
    both: bool = False,
) -> np.ndarray:
    """Vertices from 0 to `length`, fine at 0.

    Parameters
    ----------
    length
        Of the interval.
    first
        Size of the cell at 0; the cells are scaled down together to fill the interval.
    growth
        Ratio of a cell to the one before it, at least 1.
    largest
        Upper bound of a cell.
    both
        Fine at `length` too, and symmetric.

    Returns
    -------
    ndarray, shape (n_cells + 1,)

    Raises
    ------
    InputError
        When a size is not positive or `growth` is below 1.
    """
    if both:
        half = graded(length / 2, first, growth=growth, largest=largest)
        return np.concatenate([half, length - half[-2::-1]])
    if not (first > 0 and 0 < length < np.inf and growth >= 1 and largest > 0):
        raise InputError(
            "mesh sizes out of range",
            wanted="positive lengths, growth >= 1",
            got=f"length {length:g}, first {first:g}, growth {growth:g}",
        )
    sizes = [min(first, largest)]
    total = sizes[0]
    while total < length:
        sizes.append(min(sizes[-1] * growth, largest))
        total += sizes[-1]
    vertices = np.concatenate([[0.0], np.cumsum(sizes)]) * (length / total)
    vertices[-1] = length
    return vertices


def with_points(vertices: np.ndarray, points: ArrayLike) -> np.ndarray:
    """Vertices that contain `points`, which replace their near neighbours.

    Parameters
    ----------
    vertices
        Shape (n_vertices,), increasing.
    points
        Positions strictly inside, any number.

    Raises
    ------
    InputError
        When a point is not inside the interval.
    """
    wanted = np.unique(np.asarray(points, dtype=float))
    outside = wanted[(wanted <= vertices[0]) | (wanted >= vertices[-1])]
    if outside.size:
        raise InputError(
            "a point outside the mesh",
            wanted=f"between {vertices[0]:g} and {vertices[-1]:g}",
            got=f"{outside[0]:g}",
        )
    # A sliver beside a point would gain nothing; the ends stay.
    nearest = np.abs(vertices[:, None] - wanted).min(axis=1, initial=np.inf)
    keep = nearest > 0.3 * np.gradient(vertices)
    keep[[0, -1]] = True
    return np.union1d(vertices[keep], wanted)


def layered(
    lengths: ArrayLike,
    first: float,
    *,
    growth: float = 1.1,
    largest: float = np.inf,
    seam: float | None = None,
) -> np.ndarray:
    """Vertices of layers one after another from 0 on, fine at the ends of each.

    Where two layers meet lies a cell of width `seam`, half in either: coefficients that
    differ from layer to layer change there alone.

    Parameters
    ----------
    lengths
        Of the layers.
    first
        Size of the cells at the ends of a layer.
    growth, largest
        See `graded`.
    seam
        A hundredth of `first` by default.

    Returns
    -------
    ndarray, shape (n_cells + 1,)

    Raises
    ------
    InputError
        When a size is not positive, `growth` is below 1 or a seam wide beside a cell.
    """
    width = 0.01 * first if seam is None else seam
    if not 0 < width <= first / 4:
        raise InputError(
            "width of a seam",
            wanted=f"above 0, up to a quarter of the first cell, {first:g}",
            got=f"{width:g}",
        )
    vertices, end = [0.0], 0.0
    for length in np.atleast_1d(np.asarray(lengths, dtype=float)):
        inner = graded(length, first, growth=growth, largest=largest, both=True)[1:-1]
        start, end = end, end + length
        if start > 0:
            vertices.append(start + 0.5 * width)
        vertices += [*(start + inner), end - 0.5 * width]
    return np.array([*vertices[:-1], end])


def wall_size(debye: float, *, cells_per_debye: float = 10, zeta: float = 0.0) -> float:
    """Size of the cell at a charged wall.

    The field of point ions at a wall falls off over the Gouy-Chapman length
    ``debye / sinh(zeta / 2)`` when that is below the screening length; adding the two
    inverse lengths in squares gives ``debye / cosh(zeta / 2)``, which shrinks as
    ``2 exp(-zeta / 2)``. Crowded ions make thicker layers: the size errs on the safe
    side for them.

    Parameters
    ----------
    debye
        Screening length of the bulk.
    cells_per_debye
        Cells in the length over which the field at the wall falls off.
    zeta
        Potential between wall and bulk times the valence of the counter-ion, in kT/e.

    Raises
    ------
    InputError
        When a length or number is not positive.
    """
    if not (0 < debye < np.inf and 0 < cells_per_debye < np.inf):
        raise InputError(
            "size at a wall out of range",
            wanted="a positive screening length and number of cells",
            got=f"debye {debye:g}, cells_per_debye {cells_per_debye:g}",
        )
    return debye / (cells_per_debye * np.cosh(zeta / 2))


def boundary_layer(
    length: float,
    debye: float,
    *,
    both: bool = False,
    cells_per_debye: float = 10,
    growth: float = 1.15,
    largest: float = np.inf,
    zeta: float = 0.0,
) -> np.ndarray:
    """Vertices from 0 to `length` that resolve the diffuse layer of a charged wall.

    Parameters
    ----------
    length, debye
        Of the interval; screening length of the bulk.
    both
        Walls at both ends (the vertices are symmetric) instead of at 0 alone.
    cells_per_debye, zeta
        See `wall_size`.
    growth, largest
        See `graded`.

    Returns
    -------
    ndarray, shape (n_cells + 1,)

    Raises
    ------
    InputError
        When a length is not positive or `growth` is below 1.
    """
    first = wall_size(debye, cells_per_debye=cells_per_debye, zeta=zeta)
    return graded(length, first, growth=growth, largest=largest, both=both)


@dataclass(frozen=True)
class Sizes:
    """Cells of size ``min(first + (growth - 1) d, largest)`` at distance d from a wall.

    Attributes
    ----------
    first, growth, largest
        ``0 < first <= largest`` and ``growth > 1``.
    refine
        How much finer than by default.
    """

    first: float
    growth: float
    largest: float
    refine: float

    def vertices(self, length: float, *, both: bool = False) -> np.ndarray:
        """Vertices of an interval, see `graded`."""
        return graded(
            length, self.first, growth=self.growth, largest=self.largest, both=both
        )


@dataclass(frozen=True)
class Grading:
    """What the sizes of cells at charged walls follow from.

    Cells that grow by 30 % from a tenth of the screening length lay nine quadratic
    elements into the five screening lengths of a diffuse layer.

    Attributes
    ----------
    debye
        Screening length at the charged walls.
    first
        Size at these walls; a tenth of `debye` by default (`wall_size` gives that for
        high charges).
    growth
        Ratio of a cell to its neighbour nearer to the wall, above 1.
    largest
        Upper bound; each shape has its default.
    refine
        Divides all sizes: 2 halves them.

    Raises
    ------
    InputError
        When a size is not positive or `growth` not above 1.
    """

    debye: float
    first: float | None = None
    growth: float = 1.3
    largest: float | None = None
    refine: float = 1.0

    def __post_init__(self):
        sizes = (self.debye, self.first, self.largest, self.refine)
        given = [size for size in sizes if size is not None]
        if not (min(given) > 0 and max(given) < np.inf and 1 < self.growth < np.inf):
            raise InputError(
                "grading of a mesh out of range",
                wanted="positive sizes and a growth above 1",
                got=f"{self}",
            )

    def sizes(self, narrow: float, wide: float) -> Sizes:
        """Sizes in a shape: `narrow` gets three cells, `wide` is the default largest."""
        first = min(self.first or self.debye / 10, narrow / 3)
        largest = max(self.largest or wide, first)
        growth = 1 + (self.growth - 1) / self.refine
        return Sizes(first / self.refine, growth, largest / self.refine, self.refine)
