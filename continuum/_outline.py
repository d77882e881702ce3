"""Outlines of flat shapes: closed chains of named edges; plain geometry, no gmsh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import InputError

Point = tuple[float, float]


@dataclass(frozen=True)
class Edge:
    """From the end of the edge before it, straight unless it says otherwise.

    Attributes
    ----------
    border
        Name of the border that it belongs to.
    end
        Where it ends.
    centre
        Of the arc, less than half a turn, that it is.
    via
        Points of the curve that it is, without its ends.
    """

    border: str
    end: Point
    centre: Point | None = None
    via: tuple[Point, ...] = ()


def channel(length: float, base: float, tip: float, reservoir) -> list[Edge]:
    """Upper half of a channel along the first coordinate, from (0, 0) to (length, 0).

    Parameters
    ----------
    length
        Of the channel.
    base, tip
        Its half-width at 0 and at `length`.
    reservoir
        Radius of a round one, or depth and half-width of a square one.

    Returns
    -------
    list of Edge
        Anticlockwise from the end of "axis"; the others are "right", "side" (of a
        square reservoir), "membrane", "wall" and "left".
    """
    corner, mouth = (0.0, base), (length, tip)
    if isinstance(reservoir, tuple):
        depth, wide = reservoir
        high = [
            Edge("right", (length + depth, wide)),
            Edge("side", (length, wide)),
        ]
        low = [Edge("side", (-depth, wide)), Edge("left", (-depth, 0.0))]
    else:
        depth = wide = reservoir
        high = [Edge("right", (length, wide), centre=(length, 0.0))]
        low = [Edge("left", (-depth, 0.0), centre=(0.0, 0.0))]
    return [
        Edge("axis", (length + depth, 0.0)),
        *high,
        Edge("membrane", mouth),
        Edge("wall", corner),
        Edge("membrane", (0.0, wide)),
        *low,
    ]


def rounded(edges: Sequence[Edge], index: int, radius: float) -> list[Edge]:
    """Edges whose corner at the end of one is rounded off; the arc belongs to "wall".

    Raises
    ------
    InputError
        When the arc does not fit between its neighbours.
    """
    before, edge, after = edges[index - 1], edges[index], edges[index + 1]
    corner = np.array(edge.end)
    back, ahead = np.array(before.end) - corner, np.array(after.end) - corner
    room = min(np.linalg.norm(back), np.linalg.norm(ahead))
    back, ahead = back / np.linalg.norm(back), ahead / np.linalg.norm(ahead)
    half_angle = np.arccos(back @ ahead) / 2
    cut = radius / np.tan(half_angle)
    if not cut < room:
        raise InputError(
            "a rim that does not fit",
            wanted=f"a radius below {room * np.tan(half_angle):.4g}",
            got=f"{radius:.4g}",
        )
    inward = (back + ahead) / np.linalg.norm(back + ahead)
    start, end, centre = (
        (float(p[0]), float(p[1]))
        for p in (
            corner + cut * back,
            corner + cut * ahead,
            corner + inward * radius / np.sin(half_angle),
        )
    )
    arc = Edge("wall", end, centre=centre)
    return [*edges[:index], replace(edge, end=start), arc, *edges[index + 1 :]]


def mirrored(edges: Sequence[Edge]) -> list[Edge]:
    """Both halves of a shape of which `edges` bound the upper; the first was the axis."""
    upper = edges[1:]
    starts = [edge.end for edge in edges[:-1]]
    lower = [
        Edge(edge.border, _below(start), edge.centre and _below(edge.centre))
        for edge, start in zip(upper, starts, strict=True)
    ]
    return [*upper, *lower[::-1]]


def turned(edges: Sequence[Edge]) -> list[Edge]:
    """The same shape with its coordinates exchanged."""
    return [
        replace(edge, end=edge.end[::-1], centre=edge.centre and edge.centre[::-1])
        for edge in edges
    ]


def renamed(edges: Sequence[Edge], names: Mapping[str, str]) -> list[Edge]:
    """The same shape with other names for some borders."""
    return [replace(edge, border=names.get(edge.border, edge.border)) for edge in edges]


def lengths(edges: Sequence[Edge]) -> list[float]:
    """Length of each edge; of an arc a little more."""
    result = []
    for start, edge in zip([edges[-1], *edges[:-1]], edges, strict=True):
        points = np.array([start.end, *edge.via, edge.end])
        chord = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
        result.append(chord * (np.pi / 2 if edge.centre else 1.0))
    return result


def _below(point: Point) -> Point:
    return point[0], -point[1]
