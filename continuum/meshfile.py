"""Domains from mesh files of gmsh."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.errors import InputError
from . import _gmsh
from .domain import Domain

#: Dimension -> gmsh's number of the simplex with straight edges.
_SIMPLEX = {2: 2, 3: 4}


def from_file(
    path: str | Path, *, unit: float = 1.0, symmetry: str = "none", comm=None
) -> Domain:
    """Mesh of a gmsh file; the named physical groups of its borders become borders.

    Parameters
    ----------
    path
        Of a .msh file of triangles or tetrahedra.
    unit
        Unit of length of the file in that of the model.
    symmetry, comm
        See `interval`.

    Raises
    ------
    InputError
        When the file is missing, has other cells or no border with a name, or gmsh is
        missing.
    """
    path = Path(path)
    if path.suffix != ".msh" or not path.is_file():
        raise InputError("mesh file", wanted="a .msh file that exists", got=str(path))
    if not 0 < unit < np.inf:
        raise InputError(
            "unit of a mesh file", wanted="a positive number", got=f"{unit:g}"
        )
    return _gmsh.domain(
        lambda gmsh: _read(gmsh, str(path), unit), symmetry=symmetry, comm=comm
    )


def _read(gmsh, path: str, unit: float):
    gmsh.merge(path)
    dim = gmsh.model.getDimension()
    _check_cells(gmsh, dim, path)
    borders = _named_borders(gmsh, dim, path)
    gmsh.model.mesh.affineTransform((np.eye(4)[:3] * unit).ravel())
    gmsh.model.removePhysicalGroups()
    return _gmsh.name_borders(gmsh, dim, borders)


def _check_cells(gmsh, dim: int, path: str) -> None:
    kinds = list(gmsh.model.mesh.getElementTypes(dim)) if dim in _SIMPLEX else []
    if not kinds or kinds != [_SIMPLEX[dim]]:
        names = [gmsh.model.mesh.getElementProperties(kind)[0] for kind in kinds]
        raise InputError(
            f"cells of {path}",
            wanted="triangles with straight edges, or such tetrahedra",
            got=", ".join(names) or "none",
            mend="mesh again with Mesh.ElementOrder = 1 and Mesh.RecombineAll = 0",
        )
    _, points, _ = gmsh.model.mesh.getNodes()
    extent = np.ptp(points.reshape(-1, 3), axis=0)
    if dim == 2 and extent[2] > 1e-9 * extent.max():
        raise InputError(
            f"surface in {path}",
            wanted="a flat one, normal to the third axis",
            got=f"one that extends over {extent[2]:.3g} along it",
        )


def _named_borders(gmsh, dim: int, path: str) -> dict[str, list[int]]:
    borders: dict[str, list[int]] = {}
    for _, group in gmsh.model.getPhysicalGroups(dim - 1):
        name = gmsh.model.getPhysicalName(dim - 1, group)
        entities = gmsh.model.getEntitiesForPhysicalGroup(dim - 1, group)
        meshed = [int(e) for e in entities if len(_elements(gmsh, dim - 1, e))]
        if name and meshed:
            borders.setdefault(name, []).extend(meshed)
    every = [entity for entities in borders.values() for entity in entities]
    if not every:
        kind = "Curve" if dim == 2 else "Surface"
        raise InputError(
            f"borders of {path}",
            wanted=f"physical groups of {dim - 1} dimensions that have names",
            got="none",
            mend=f'Physical {kind}("wall") = {{...}}; and mesh again',
        )
    if len(set(every)) < len(every):
        raise InputError(
            f"borders of {path}",
            wanted="each curve or surface in one physical group",
            got=f"one that is in two of {', '.join(borders)}",
        )
    return borders


def _elements(gmsh, dim: int, entity: int):
    return gmsh.model.mesh.getElements(dim, entity)[0]
