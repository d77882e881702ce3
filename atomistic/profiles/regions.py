"""Who is where: booleans for residence times."""

from __future__ import annotations

import numpy as np

from ...core.errors import InputError
from .images import narrowest, nearest
from .paths import box_matrix


def inside_slab(
    positions: np.ndarray, low: float, high: float, *, axis: int = 2, period: float = 0.0
) -> np.ndarray:
    """Particles between two planes.

    Parameters
    ----------
    positions
        Shape (F, N, 3), m.
    low, high
        The planes, m; `low` belongs to the slab, `high` does not.
    axis
        Normal to the planes.
    period
        Edge of the box along the axis, m, when positions are to be wrapped into it; the
        slab may then reach over the boundary. 0 takes positions as they are.

    Returns
    -------
    ndarray of bool, shape (F, N)

    Raises
    ------
    InputError
        When the planes are not in order or further apart than the period, or positions
        are not finite.
    """
    width = high - low
    if not width > 0 or (period and width > period):
        raise InputError(
            "slab of a residence time",
            wanted="low < high" + (f", at most {period:g} m apart" if period else ""),
            got=f"{low:g} and {high:g} m",
        )
    z = _finite(positions)[..., axis] - low
    if period:
        z = z % period
        z[z >= period] = 0.0  # what rounding makes of -1e-25 m
    return (z >= 0) & (z < width)


def inside_shell(
    positions: np.ndarray,
    centres: np.ndarray,
    radius: float,
    *,
    box=None,
    pairs: bool = False,
) -> np.ndarray:
    """Particles within a distance of any centre, or each pair within it.

    Parameters
    ----------
    positions
        Shape (F, N, 3), m, wrapped or not.
    centres
        Shape (F, M, 3), m; other particles than `positions`.
    radius
        m.
    box
        Edges (3,) of a rectangular box, or vectors of any, m, for the nearest images.
    pairs
        Give each pair of particle and centre, (F, N * M) with the centre fastest: for
        the life of a contact rather than of coordination to anybody.

    Returns
    -------
    ndarray of bool, shape (F, N) or (F, N * M)

    Raises
    ------
    InputError
        When the box is smaller than twice the radius, or positions
        and centres are not finite or of different frames.
    """
    positions, centres = _finite(positions), _finite(centres)
    if len(positions) != len(centres) or not radius > 0:
        raise InputError(
            "coordination shell",
            wanted="as many frames of positions as of centres, a radius above zero",
            got=f"{len(positions)} and {len(centres)} frames, {radius:g} m",
        )
    matrix = None if box is None else box_matrix(box)
    if matrix is not None and 2 * radius > narrowest(matrix):
        raise InputError(
            "box of a coordination shell",
            wanted=f"images that are at least {2 * radius:g} m apart",
            got=f"{narrowest(matrix):g} m",
        )
    out = []
    for x, c in zip(positions, centres, strict=True):
        d = x[:, None] - c
        if matrix is not None:
            d = nearest(d.reshape(-1, 3), matrix).reshape(d.shape)
        near = (d**2).sum(-1) < radius**2
        out.append(near.ravel() if pairs else near.any(axis=1))
    return np.array(out)


def _finite(positions) -> np.ndarray:
    """Positions as floats; NaN would be outside of everything."""
    x = np.asarray(positions, dtype=float)
    if x.ndim != 3 or x.shape[-1] != 3 or not np.isfinite(x).all():
        raise InputError(
            "positions",
            wanted="finite numbers, shape (frames, particles, 3)",
            got=f"shape {x.shape}, {np.count_nonzero(~np.isfinite(x))} not finite",
        )
    return x
