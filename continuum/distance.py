"""Distance from points to the walls of a domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from ..core.errors import InputError
from . import _dolfinx as fx
from .domain import Domain

#: Points and pairs of a point with a facet that are looked at together.
_BLOCK, _PAIRS = 2048, 200_000


def wall_distance(
    domain: Domain, borders: str | Sequence[str], points: ArrayLike
) -> np.ndarray:
    """Distance from points to the nearest facet of some borders; collective.

    It is exact for the facets of the mesh: a curved wall is further away by up to the
    sagitta of its chords. In axial symmetry the meridian plane holds the nearest facet.

    Parameters
    ----------
    domain
        Of any dimension; each process may ask for other points.
    borders
        One name or several.
    points
        Shape (n, 3), as nodes and mesh vertices have.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    InputError
        When there is no such border, none is given, or points have another shape.
    """
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError("points in space", wanted="shape (n, 3)", got=str(points.shape))
    facets = _gathered(domain, [borders] if isinstance(borders, str) else list(borders))
    middle = facets.mean(axis=1)
    reach = np.linalg.norm(facets - middle[:, None], axis=2).max()
    tree = cKDTree(middle)
    result = np.empty(len(points))
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        nearest = tree.query(block)[1]
        bound = to_simplices(block, facets[nearest])
        # A facet reaches out from its middle, so only those within can be nearer.
        candidates = tree.query_ball_point(block, (bound + reach) * (1 + 1e-9))
        result[start : start + _BLOCK] = _nearest(block, facets, candidates)
    return result


def _gathered(domain: Domain, borders: list[str]) -> np.ndarray:
    """Vertices of the facets of all processes, shape (n_facets, dimension, 3)."""
    own = np.concatenate([np.empty(0, np.int32), *map(domain.facets, borders)])
    mine = fx.facet_vertices(domain.mesh, own)
    facets = np.concatenate(domain.comm.allgather(mine))
    if not len(facets):
        raise InputError(
            "walls to measure a distance from",
            wanted=f"some of {', '.join(domain.borders)}",
            got=", ".join(borders) or "none",
        )
    return facets


def _nearest(points: np.ndarray, facets: np.ndarray, candidates) -> np.ndarray:
    """Distance of each point to the nearest of its candidates."""
    counts = np.array([len(found) for found in candidates])
    result = np.empty(len(points))
    parts = np.searchsorted(np.cumsum(counts), np.arange(0, counts.sum(), _PAIRS))
    for low, high in zip(parts, [*parts[1:], len(points)], strict=True):
        if low == high:
            continue
        part = counts[low:high]
        chosen = np.concatenate(candidates[low:high]).astype(int)
        pairs = to_simplices(np.repeat(points[low:high], part, axis=0), facets[chosen])
        starts = np.concatenate([[0], np.cumsum(part)[:-1]])
        result[low:high] = np.minimum.reduceat(pairs, starts)
    return result


def to_simplices(points: np.ndarray, simplices: np.ndarray) -> np.ndarray:
    """Distance of each point to its own point, segment or triangle.

    Parameters
    ----------
    points
        Shape (n, 3).
    simplices
        Vertices, shape (n, k, 3) with k from 1 to 3.

    Returns
    -------
    ndarray, shape (n,)
    """
    if simplices.shape[1] == 1:
        return np.linalg.norm(points - simplices[:, 0], axis=1)
    if simplices.shape[1] == 2:
        return _to_segments(points, simplices[:, 0], simplices[:, 1])
    a, b, c = simplices.swapaxes(0, 1)
    edges = [_to_segments(points, *ends) for ends in ((a, b), (b, c), (c, a))]
    normal = np.cross(b - a, c - a)
    twice_area = np.linalg.norm(normal, axis=1)
    # Beside no edge the foot of the perpendicular is inside.
    sides = [
        np.einsum("ij,ij->i", np.cross(end - start, points - start), normal)
        for start, end in ((a, b), (b, c), (c, a))
    ]
    above = np.abs(np.einsum("ij,ij->i", points - a, normal)) / twice_area
    return np.where(np.min(sides, axis=0) >= 0, above, np.min(edges, axis=0))


def _to_segments(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    along = b - a
    share = np.einsum("ij,ij->i", points - a, along) / np.einsum("ij,ij->i", along, along)
    foot = a + np.clip(share, 0, 1)[:, None] * along
    return np.linalg.norm(points - foot, axis=1)
