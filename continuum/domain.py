"""Where the equations hold: a mesh whose borders have names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from . import _dolfinx as fx
from ._dolfinx import ufl

#: Kind of symmetry -> measure of a shell at radius r; r is the first coordinate.
SYMMETRIES: dict[str, Callable] = {
    "none": lambda r: 1.0,
    "axial": lambda r: 2 * np.pi * r,
    "spherical": lambda r: 4 * np.pi * r**2,
}


@dataclass(frozen=True, eq=False)
class Domain:
    """A mesh, the names of its borders and its symmetry.

    Attributes
    ----------
    mesh
        DOLFINx mesh; lengths are in the scaled unit of the model (`Scales.length`).
    tags
        Facet tags of the borders.
    borders
        Name -> tag.
    symmetry
        A key of `SYMMETRIES`: with ``"axial"`` the first coordinate is the distance from
        the axis and integrals run over the full turn, with ``"spherical"`` (one
        dimension) that from the centre.
    """

    mesh: Any
    tags: Any
    borders: Mapping[str, int]
    symmetry: str = "none"

    def __post_init__(self):
        if self.symmetry not in SYMMETRIES:
            raise InputError(
                "unknown symmetry", wanted=", ".join(SYMMETRIES), got=repr(self.symmetry)
            )
        if self.symmetry == "spherical" and self.dim != 1:
            raise InputError(
                "a spherical domain of more than one dimension",
                wanted="an interval of radii",
                got=f"{self.dim} dimensions",
            )
        if self.symmetry != "none" and self._lowest() < -1e-12:
            raise InputError(
                "a radius below zero",
                wanted="first coordinates that are distances from the axis",
                got=f"{self._lowest():.4g}",
            )

    def _lowest(self) -> float:
        local = self.mesh.geometry.x[:, 0].min(initial=np.inf)
        return self.comm.allreduce(float(local), op=fx.MPI.MIN)

    @property
    def comm(self):
        """MPI communicator."""
        return self.mesh.comm

    @property
    def dim(self) -> int:
        """Dimensions of the mesh."""
        return self.mesh.topology.dim

    @property
    def extent(self) -> float:
        """Largest difference of a coordinate."""
        return max(high - low for low, high in map(self._extent, self.mesh.geometry.x.T))

    @property
    def measure(self):
        """What integrands are multiplied by: the circumference in axial symmetry."""
        return SYMMETRIES[self.symmetry](ufl.SpatialCoordinate(self.mesh)[0])

    def ds(self, border: str, degree: int):
        """UFL measure of a border, without `measure`."""
        number = self._number(border)
        metadata = {"quadrature_degree": degree}
        whole = ufl.Measure(
            "ds", domain=self.mesh, subdomain_data=self.tags, metadata=metadata
        )
        return whole(number)

    def facets(self, border: str) -> np.ndarray:
        """Facets of a border on this process."""
        return fx.tagged(self.tags, self._number(border))

    def area(self, border: str) -> float:
        """Size of a border: length or area, over the full turn in axial symmetry."""
        facets = fx.owned_facets(self.mesh, self.facets(border))
        corners = fx.facet_vertices(self.mesh, facets)
        middle = corners[:, :, 0].mean(axis=1)
        shell = SYMMETRIES[self.symmetry](middle) * np.ones(len(corners))
        local = float((shell * _sizes(corners)).sum())
        return self.comm.allreduce(local, op=fx.MPI.SUM)

    def size_at(self, border: str) -> float:
        """Height of the highest cell at a border."""
        facets = self.facets(border)
        corners = fx.facet_vertices(self.mesh, facets)
        # Of a simplex only the corner opposite to the facet is off its plane.
        offset = fx.cell_vertices_at(self.mesh, facets) - corners[:, :1]
        heights = np.abs(np.einsum("fcx,fx->fc", offset, _normals(corners))).max(axis=1)
        local = float(heights.max(initial=0.0))
        return self.comm.allreduce(local, op=fx.MPI.MAX)

    def nodes(self, space, place: str | float) -> np.ndarray:
        """Nodes of a space at a place, as indices of this process.

        Parameters
        ----------
        space
            A Lagrange space on the mesh.
        place
            Name of a border, or the position of a node in one dimension.

        Raises
        ------
        InputError
            When there is no such border, or no node at the position.
        """
        if isinstance(place, str):
            return fx.border_nodes(space, self.facets(place))
        if self.dim != 1:
            raise InputError(
                "a position in more than one dimension",
                wanted=f"a border: {', '.join(self.borders)}",
                got=repr(place),
            )
        x = fx.node_positions(space)[:, 0]
        low, high = self._extent(x)
        distance = np.abs(x - place)
        best = self.comm.allreduce(float(distance.min(initial=np.inf)), op=fx.MPI.MIN)
        if best > 1e-9 * (high - low):
            raise InputError(
                "a condition between the nodes",
                wanted="the position of a node",
                got=f"{place:.10g}, {best:.3g} from the nearest",
                mend="put the position among the vertices (mesh.with_points)",
            )
        return np.flatnonzero(distance <= best + 1e-12 * (high - low))

    def _extent(self, x: np.ndarray) -> tuple[float, float]:
        low = self.comm.allreduce(float(x.min(initial=np.inf)), op=fx.MPI.MIN)
        high = self.comm.allreduce(float(x.max(initial=-np.inf)), op=fx.MPI.MAX)
        return low, high

    def _number(self, border: str) -> int:
        if border not in self.borders:
            raise InputError(
                "unknown border", wanted=", ".join(self.borders), got=repr(border)
            )
        return self.borders[border]


def _sizes(corners: np.ndarray) -> np.ndarray:
    """Length or area of points, segments or triangles (n, k, 3)."""
    edges = corners[:, 1:] - corners[:, :1]
    if edges.shape[1] == 0:
        return np.ones(len(corners))
    if edges.shape[1] == 1:
        return np.linalg.norm(edges[:, 0], axis=1)
    return np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2


def _normals(corners: np.ndarray) -> np.ndarray:
    """Unit normals of points (along x), segments in the plane, or triangles."""
    edges = corners[:, 1:] - corners[:, :1]
    if edges.shape[1] == 0:
        return np.tile([1.0, 0.0, 0.0], (len(corners), 1))
    last = edges[:, 1] if edges.shape[1] == 2 else np.array([0.0, 0.0, 1.0])
    normal = np.cross(edges[:, 0], last)
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def interval(
    vertices: ArrayLike,
    *,
    symmetry: str = "none",
    names: tuple[str, str] = ("left", "right"),
    comm=None,
) -> Domain:
    """One-dimensional domain.

    Parameters
    ----------
    vertices
        Shape (n_cells + 1,), increasing.
    symmetry
        See `Domain`.
    names
        Of the two ends.
    comm
        MPI communicator; this process alone by default.

    Raises
    ------
    InputError
        When the vertices do not increase.
    """
    vertices = np.asarray(vertices, dtype=float)
    _check_lines(vertices, "vertices")
    if len(set(names)) < 2:
        raise InputError(
            "ends of an interval", wanted="two different names", got=str(names)
        )
    mesh = fx.interval(vertices, fx.MPI.COMM_SELF if comm is None else comm)
    tags, borders = fx.tag_borders(mesh, _markers(0, vertices, names))
    return Domain(mesh, tags, borders, symmetry)


def rectangle(x: ArrayLike, y: ArrayLike, *, symmetry: str = "none", comm=None) -> Domain:
    """Rectangle of triangles; its borders are left, right (in x), bottom, top (in y).

    Parameters
    ----------
    x, y
        Grid lines, increasing.
    symmetry, comm
        As for `interval`.

    Raises
    ------
    InputError
        When the lines do not increase.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    _check_lines(x, "x")
    _check_lines(y, "y")
    mesh = fx.rectangle(x, y, fx.MPI.COMM_SELF if comm is None else comm)
    markers = {
        **_markers(0, x, ("left", "right")),
        **_markers(1, y, ("bottom", "top")),
    }
    tags, borders = fx.tag_borders(mesh, markers)
    return Domain(mesh, tags, borders, symmetry)


def _markers(axis: int, lines: np.ndarray, names: tuple[str, str]) -> dict:
    small = 1e-9 * (lines[-1] - lines[0])
    return {
        name: lambda p, end=end: np.abs(p[axis] - end) < small
        for name, end in zip(names, (lines[0], lines[-1]), strict=True)
    }


def _check_lines(lines: np.ndarray, name: str) -> None:
    good = lines.ndim == 1 and len(lines) > 1 and np.isfinite(lines).all()
    if not good or not (np.diff(lines) > 0).all():
        raise InputError(
            f"{name} of a mesh",
            wanted="two or more finite numbers that increase",
            got=str(lines)[:80],
        )
