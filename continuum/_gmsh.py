"""gmsh at arm's length: its session, its size fields, and a `Domain` at the end.

gmsh (GPL) is imported only when a mesh is asked for, and only rank 0 drives it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import InputError
from . import _dolfinx as fx
from ._outline import Edge, lengths
from .collective import on_root
from .domain import Domain
from .mesh import Sizes

#: What a user's session or files could have set otherwise.
_OPTIONS = {
    "General.Terminal": 0,
    "Mesh.Algorithm": 6,
    "Mesh.Algorithm3D": 1,
    "Mesh.ElementOrder": 1,
    "Mesh.LcIntegrationPrecision": 1e-4,
    "Mesh.MeshSizeExtendFromBoundary": 0,
    "Mesh.MeshSizeFactor": 1,
    "Mesh.MeshSizeFromCurvature": 0,
    "Mesh.MeshSizeFromPoints": 0,
    "Mesh.MeshSizeMax": 1e22,
    "Mesh.MeshSizeMin": 0,
    "Mesh.RecombineAll": 0,
    "Mesh.SubdivisionAlgorithm": 0,
}
#: Cells to a full turn of a curved border.
_AROUND = 24


def load() -> Any:
    """Return the module gmsh, or say how to get it."""
    mend = (
        "pip install 'mesobridge[mesh]', and where a library is missing: apt-get "
        "install libgl1 libglu1-mesa libxcursor1 libxft2 libxinerama1 libxrender1"
    )
    try:
        import gmsh
    except (ImportError, OSError) as exc:  # OSError: a shared library is missing
        raise InputError(
            "gmsh cannot be imported",
            wanted="gmsh 4.12 or newer",
            got=str(exc),
            mend=mend,
        ) from exc
    version = tuple(int(part) for part in gmsh.GMSH_API_VERSION.split(".")[:2])
    if version < (4, 12):
        raise InputError(
            "gmsh is too old",
            wanted="4.12 or newer",
            got=gmsh.GMSH_API_VERSION,
            mend=mend,
        )
    return gmsh


@contextlib.contextmanager
def session(gmsh) -> Iterator[None]:
    """A fresh model, in a session of our own or beside the models of a user's."""
    ours = not gmsh.isInitialized()
    if ours:
        # Neither the user's option files nor Ctrl-C are for us to take.
        gmsh.initialize([], readConfigFiles=False, interruptible=False)
    model = gmsh.model.getCurrent()
    options = {name: gmsh.option.getNumber(name) for name in _OPTIONS}
    try:
        for name, value in _OPTIONS.items():
            gmsh.option.setNumber(name, value)
        gmsh.model.add("mesobridge")
        yield
    finally:
        if ours:
            gmsh.finalize()
        else:
            gmsh.model.remove()
            gmsh.model.setCurrent(model)
            for name, value in options.items():
                gmsh.option.setNumber(name, value)


def domain(draw: Callable, *, symmetry: str = "none", comm=None) -> Domain:
    """Domain of the mesh that `draw` makes; collective.

    Parameters
    ----------
    draw
        Called with gmsh on rank 0 alone; meshes the current model and returns its
        dimension and, by border, the names and numbers of its physical groups.
    symmetry, comm
        See `interval`.

    Raises
    ------
    InputError
        On every rank, when gmsh is missing or fails.
    """
    gmsh = load()
    comm = fx.MPI.COMM_SELF if comm is None else comm
    with contextlib.ExitStack() as stack:

        def work():
            with _explained():
                stack.enter_context(session(gmsh))
                return draw(gmsh)

        dim, borders = on_root(comm, work)
        mesh, tags = fx.from_gmsh(gmsh.model, comm, dim)
    return Domain(mesh, tags, borders, symmetry)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Errors of gmsh, which raises nothing specific, as those of its input."""
    try:
        yield
    except InputError:
        raise
    except Exception as exc:
        raise InputError(
            "gmsh could not make the mesh",
            wanted="sizes and lengths that fit each other",
            got=str(exc) or type(exc).__name__,
        ) from exc


def outline(gmsh, edges: Sequence[Edge]) -> dict[str, list[int]]:
    """Draw a closed chain of edges and the surface inside; curves by border."""
    geo = gmsh.model.geo
    corners = [geo.addPoint(*edge.end, 0) for edge in edges]
    chain: list[int] = []
    borders: dict[str, list[int]] = {}
    for k, edge in enumerate(edges):
        ends = corners[k - 1], corners[k]
        if edge.centre is not None:
            curve = geo.addCircleArc(ends[0], geo.addPoint(*edge.centre, 0), ends[1])
        elif edge.via:
            between = [geo.addPoint(*point, 0) for point in edge.via]
            curve = geo.addSpline([ends[0], *between, ends[1]])
        else:
            curve = geo.addLine(*ends)
        chain.append(curve)
        borders.setdefault(edge.border, []).append(curve)
    geo.addPlaneSurface([geo.addCurveLoop(chain)])
    geo.synchronize()
    return borders


def grade(gmsh, curves: Sequence[int], edges: Sequence[Edge], sizes: Sizes) -> None:
    """Set the sizes of cells by the distance to some curves, and by curvature."""
    field = gmsh.model.mesh.field
    distance = field.add("Distance")
    field.setNumbers(distance, "CurvesList", curves)
    # gmsh measures the distance to samples: as dense as the cells.
    samples = int(np.ceil(max(lengths(edges)) / sizes.first)) + 1
    field.setNumber(distance, "Sampling", samples)
    size = field.add("Threshold")
    values = {
        "InField": distance,
        "SizeMin": sizes.first,
        "SizeMax": sizes.largest,
        "DistMin": 0.0,
        "DistMax": (sizes.largest - sizes.first) / (sizes.growth - 1),
    }
    for name, value in values.items():
        field.setNumber(size, name, value)
    field.setAsBackgroundMesh(size)
    gmsh.option.setNumber("Mesh.MeshSizeFromCurvature", _AROUND * sizes.refine)
    # A kink of a profile has no radius of curvature.
    gmsh.option.setNumber("Mesh.MeshSizeMin", sizes.first / 4)


def cylinder(gmsh, radius: float, along: np.ndarray, sizes: Sizes, around: int):
    """Draw a cylinder of layers at the vertices `along`; surfaces by border."""
    geo, field = gmsh.model.geo, gmsh.model.mesh.field
    centre = geo.addPoint(0, 0, 0)
    rim = [
        geo.addPoint(radius * np.cos(angle), radius * np.sin(angle), 0)
        for angle in np.arange(4) * np.pi / 2
    ]
    arcs = [geo.addCircleArc(rim[k - 1], centre, rim[k]) for k in range(4)]
    disk = geo.addPlaneSurface([geo.addCurveLoop(arcs)])
    ones = [1] * (len(along) - 1)
    top, _, *walls = geo.extrude(
        [(2, disk)], 0, 0, along[-1], numElements=ones, heights=along[1:] / along[-1]
    )
    geo.synchronize()
    for arc in arcs:
        gmsh.model.mesh.setTransfiniteCurve(arc, around // 4 + 1)
    chord = 2 * np.pi * radius / around
    layer = field.add("BoundaryLayer")
    field.setNumbers(layer, "CurvesList", arcs)
    for name, value in {
        "Size": min(sizes.first, chord),
        "Ratio": sizes.growth,
        # Until the layers are as high as they are long.
        "Thickness": min(chord / (sizes.growth - 1), radius / 2),
        "Quads": 0,
    }.items():
        field.setNumber(layer, name, value)
    field.setAsBoundaryLayer(layer)
    core = field.add("MathEval")
    field.setString(core, "F", repr(float(max(chord, sizes.largest))))
    field.setAsBackgroundMesh(core)
    return {"wall": [tag for _, tag in walls], "left": [disk], "right": [top[1]]}


def finish(gmsh, dim: int, borders: Mapping[str, Sequence[int]]):
    """Mesh the current model and name its borders; see `domain`."""
    gmsh.model.mesh.generate(dim)
    return name_borders(gmsh, dim, borders)


def name_borders(gmsh, dim: int, borders: Mapping[str, Sequence[int]]):
    """Make the borders, and all that they enclose, physical groups; see `domain`."""
    numbers = {name: number for number, name in enumerate(borders, start=1)}
    for name, entities in borders.items():
        gmsh.model.addPhysicalGroup(dim - 1, entities, numbers[name], name=name)
    inside = [tag for _, tag in gmsh.model.getEntities(dim)]
    gmsh.model.addPhysicalGroup(dim, inside, 1, name="inside")
    _drop_loose_nodes(gmsh, dim)
    return dim, numbers


def _drop_loose_nodes(gmsh, dim: int) -> None:
    """Remove nodes of no cell, as centres of arcs: DOLFINx 0.5 crashes on them."""
    mesh = gmsh.model.mesh
    used = np.unique(np.concatenate(mesh.getElements(dim)[2]))
    for entity in gmsh.model.getEntities():
        nodes = mesh.getNodes(*entity)[0]
        if entity[0] < dim and len(nodes) and not np.isin(nodes, used).any():
            mesh.clear([entity])
    mesh.renumberNodes()
