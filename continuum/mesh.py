"""Vertices of one-dimensional meshes; plain arrays, no DOLFINx."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError


def graded(
    length: float, first: float, *, growth: float = 1.1, largest: float = np.inf
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

    Returns
    -------
    ndarray, shape (n_cells + 1,)

    Raises
    ------
    InputError
        When a size is not positive or `growth` is below 1.
    """
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
