"""Domains of pores, slits and rough electrodes, fine where a wall is charged.

Lengths are in the scaled unit of the model (`Scales.length`). Straight channels without
reservoirs are grids stretched towards the walls; everything else is meshed by gmsh
(extra ``mesh``) with cells as long as high, so that corners are resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..core.errors import InputError
from . import _dolfinx as fx
from . import _gmsh, _outline
from .domain import Domain, rectangle
from .mesh import Grading, Sizes
from .meshfile import from_file

__all__ = ["from_file", "pore", "pore3d", "rough_electrode", "slit"]

#: Borders that may be fine, the wall first.
_FINE = ("wall", "membrane")
#: Coordinates along and across, symmetry and name of the middle of a plane channel.
_PLANE = (0, 1, "none", "symmetry")


def slit(
    length: float,
    height: float,
    *,
    debye: float,
    half: bool = True,
    reservoir: tuple[float, float] | None = None,
    fine_membrane: bool = True,
    comm=None,
    **grading: float,
) -> Domain:
    """Slit between two charged walls, along the first coordinate from 0 to `length`.

    Borders: "wall", "left", "right" and, of the upper half, "symmetry" (the mid-plane,
    second coordinate zero). Reservoirs add "membrane" (the faces of the solid) and
    "top" (their outer edges along the slit).

    Parameters
    ----------
    length, height
        Of the slit; `height` from wall to wall.
    debye
        Screening length at the walls.
    half
        Only the half above the mid-plane.
    reservoir
        Length along the slit, and full height, of a reservoir at either end.
    fine_membrane
        Resolve a diffuse layer at the membrane's faces too.
    comm
        MPI communicator; this process alone by default.
    **grading
        Other attributes of `Grading`.

    Raises
    ------
    InputError
        When sizes do not fit each other, or gmsh is needed and missing.
    """
    _positive(length=length, height=height)
    plan = Grading(debye, **grading)
    if reservoir is None:
        return _strip(length, height / 2, height / 2, plan, half=half, comm=comm)
    depth, wide = _extent(reservoir, height)
    edges = _outline.channel(length, height / 2, height / 2, (depth, wide / 2))
    if not half:
        edges = _outline.mirrored(edges)
    edges = _outline.renamed(edges, {"axis": "symmetry", "side": "top"})
    sizes = plan.sizes(min(height / 2, length), min(depth, wide / 2) / 6)
    return _flat(edges, sizes, _FINE[: 1 + fine_membrane], comm=comm)


def pore(
    radius: float,
    length: float,
    *,
    debye: float,
    tip: float | None = None,
    reservoir: float | tuple[float, float] | None = None,
    rim: float = 0.0,
    fine_membrane: bool = True,
    comm=None,
    **grading: float,
) -> Domain:
    """Axisymmetric pore: coordinates (r, z), the pore from z = 0 to z = `length`.

    Borders: "axis", "wall" (inside of the pore and its rims), "left" (lowest z) and
    "right". Reservoirs add "membrane" (its faces), and square ones "side".

    Parameters
    ----------
    radius, length
        Of the pore.
    debye
        Screening length at the wall.
    tip
        Radius at z = `length` of a conical pore, whose `radius` is that at z = 0.
    reservoir
        Radius of a half ball at either end, or depth and radius of a cylinder.
    rim
        Radius of the rounded edges between wall and membrane.
    fine_membrane, comm, **grading
        See `slit`.

    Raises
    ------
    InputError
        When sizes do not fit each other, or gmsh is needed and missing.
    """
    tip = radius if tip is None else tip
    _positive(radius=radius, length=length, tip=tip)
    narrow, plan = min(radius, tip), Grading(debye, **grading)
    if reservoir is None:
        if rim:
            raise InputError("a rim without a reservoir", wanted="rim 0", got=f"{rim:g}")
        return _strip(length, radius, tip, plan, axial=True, comm=comm)
    depth, wide = _extent(reservoir, max(radius, tip))
    edges = _outline.channel(length, radius, tip, reservoir)
    if rim:
        _positive(rim=rim)
        mouth = [edge.border for edge in edges].index("membrane")
        edges = _outline.rounded(edges, mouth, rim)
        edges = _outline.rounded(edges, mouth + 2, rim)
    sizes = plan.sizes(min(narrow, length), min(depth, wide) / 6)
    return _flat(
        _outline.turned(edges),
        sizes,
        _FINE[: 1 + fine_membrane],
        symmetry="axial",
        comm=comm,
    )


def rough_electrode(
    width: float,
    height: float,
    *,
    debye: float,
    amplitude: float = 0.0,
    wavelength: float | None = None,
    profile: Callable[[np.ndarray], np.ndarray] | None = None,
    comm=None,
    **grading: float,
) -> Domain:
    """Electrolyte above a corrugated electrode, one period of it.

    Borders: "electrode" (below), "bulk" (at the second coordinate `height`), "left" and
    "right", whose nodes match.

    Parameters
    ----------
    width, height
        Of the domain; heights count from the mean plane of the electrode.
    debye
        Screening length at the electrode.
    amplitude, wavelength
        Of its surface ``amplitude cos(2 pi x / wavelength)``; one wave by default.
    profile
        Heights of the surface at positions x, shape (n,) -> (n,), instead.
    comm, **grading
        See `slit`.

    Raises
    ------
    InputError
        When the surface does not repeat or reaches the bulk, or gmsh is missing.
    """
    _positive(width=width, height=height)
    plan = Grading(debye, **grading)
    narrow = height
    if profile is None:
        wave = width if wavelength is None else wavelength
        _positive(wavelength=wave)
        narrow = min(height, wave / 4)

        def profile(x):
            return amplitude * np.cos(2 * np.pi / wave * x)

    sizes = plan.sizes(narrow, height / 6)
    points = _surface(profile, width, height, sizes.first)
    edges = [
        _outline.Edge("electrode", points[-1], via=tuple(points[1:-1])),
        _outline.Edge("right", (width, height)),
        _outline.Edge("bulk", (0.0, height)),
        _outline.Edge("left", points[0]),
    ]
    return _flat(edges, sizes, ("electrode",), repeat=width, comm=comm)


def pore3d(
    radius: float,
    length: float,
    *,
    debye: float,
    around: int = 32,
    comm=None,
    **grading: float,
) -> Domain:
    """Cylindrical pore in three dimensions, along the third coordinate from 0.

    Layers of flat cells line the wall. Borders: "wall", "left" (lowest z), "right".

    Parameters
    ----------
    radius, length
        Of the pore.
    debye
        Screening length at the wall.
    around
        Edges, a multiple of four, of the polygon that stands for the circle: its area
        is the same, the wall larger by ``1.6 / around**2`` of it.
    comm, **grading
        See `slit`.

    Raises
    ------
    InputError
        When sizes do not fit each other, or gmsh is missing.
    """
    _positive(radius=radius, length=length)
    if around < 8 or around % 4:
        raise InputError(
            "edges around a pore", wanted="a multiple of four from 8", got=str(around)
        )
    plan = Grading(debye, **grading)
    sizes = plan.sizes(radius, radius / 4)
    along = plan.sizes(radius, max(radius / 2, length / 40)).vertices(length, both=True)
    turn = 2 * np.pi / around
    corner = radius * np.sqrt(turn / np.sin(turn))

    def draw(gmsh):
        borders = _gmsh.cylinder(gmsh, corner, along, sizes, around)
        return _gmsh.finish(gmsh, 3, borders)

    return _gmsh.domain(draw, comm=comm)


def _strip(
    length: float, base: float, tip: float, plan: Grading, *, half=True, axial=False, comm
) -> Domain:
    """Grid of a channel without reservoirs, stretched towards its walls and ends."""
    wide, narrow = max(base, tip), min(base, tip)
    along = plan.sizes(narrow, max(narrow / 2, length / 40)).vertices(length, both=True)
    sizes = plan.sizes(narrow, narrow / 4)
    if half:
        across = wide - sizes.vertices(wide)[::-1]
    else:
        across = sizes.vertices(2 * wide, both=True) - wide
    x, y, symmetry, middle = (1, 0, "axial", "axis") if axial else _PLANE
    lines = (across, along) if axial else (along, across)
    mesh = rectangle(*lines, symmetry=symmetry, comm=comm).mesh
    borders = {
        "left": lambda p: p[x] < 1e-9 * length,
        "right": lambda p: p[x] > (1 - 1e-9) * length,
        "wall": lambda p: abs(p[y]) > (1 - 1e-9) * wide,
    }
    if half:
        borders[middle] = lambda p: abs(p[y]) < 1e-9 * wide
    tags = fx.tag_borders(mesh, borders)
    points = mesh.geometry.x
    points[:, y] *= np.interp(points[:, x], [0, length], [base / wide, tip / wide])
    return Domain(mesh, *tags, symmetry)


def _flat(
    edges: list[_outline.Edge],
    sizes: Sizes,
    fine: Sequence[str],
    *,
    repeat: float = 0.0,
    symmetry: str = "none",
    comm,
) -> Domain:
    """Domain inside an outline, graded from its borders `fine`; `repeat` is a period."""

    def draw(gmsh):
        borders = _gmsh.outline(gmsh, edges)
        curves = [curve for name in fine for curve in borders[name]]
        _gmsh.grade(gmsh, curves, edges, sizes)
        if repeat:
            shift = np.eye(4)
            shift[0, 3] = repeat
            sides = borders["right"], borders["left"]
            gmsh.model.mesh.setPeriodic(1, *sides, shift.ravel())
        return _gmsh.finish(gmsh, 2, borders)

    return _gmsh.domain(draw, symmetry=symmetry, comm=comm)


def _surface(profile: Callable, width: float, height: float, spacing: float):
    """Points of a profile, at most half of `spacing` apart where it is not too steep."""
    x = np.linspace(0, width, 1001)
    rise = np.abs(np.diff(_heights(profile, x))).sum()
    x = np.linspace(0, width, 2 * int(np.ceil((width + rise) / spacing)) + 1)
    y = _heights(profile, x)
    if abs(y[0] - y[-1]) > 1e-6 * spacing:
        raise InputError(
            "a rough electrode that does not repeat",
            wanted=f"equal heights at 0 and {width:g}",
            got=f"{y[0]:g} and {y[-1]:g}",
            mend="make the width a whole number of wavelengths",
        )
    if y.max() >= height:
        raise InputError(
            "a rough electrode that reaches the bulk",
            wanted=f"heights below {height:g}",
            got=f"{y.max():g}",
        )
    y[-1] = y[0]
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _heights(profile: Callable, x: np.ndarray) -> np.ndarray:
    y = np.array(profile(x), dtype=float)
    if y.shape != x.shape or not np.isfinite(y).all():
        raise InputError(
            "profile of a rough electrode",
            wanted="a function from positions (n,) to finite heights (n,)",
            got=f"an array of shape {y.shape}" if y.shape != x.shape else "not finite",
        )
    return y


def _extent(reservoir, opening: float) -> tuple[float, float]:
    """Depth and width of a reservoir, which must be wider than what opens into it."""
    depth, wide = reservoir if isinstance(reservoir, tuple) else (reservoir, reservoir)
    _positive(reservoir=depth)
    if not opening < wide < np.inf:
        raise InputError(
            "a reservoir narrower than the pore",
            wanted=f"above {opening:g}",
            got=f"{wide:g}",
        )
    return depth, wide


def _positive(**lengths: float) -> None:
    for name, value in lengths.items():
        if not 0 < value < np.inf:
            raise InputError(
                f"{name} of a shape", wanted="a positive length", got=f"{value:g}"
            )
