"""Finite-element functions seen as arrays of nodes."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from . import _dolfinx as fx
from ._dolfinx import ufl


class NodalField:
    """A function whose components are arrays over nodes.

    Parameters
    ----------
    space
        Blocked Lagrange space.

    Attributes
    ----------
    function
        What forms use.
    points
        Nodes of this process, ghosts among them, shape (n_nodes, 3). On an interval they
        are in increasing order.
    order
        Index in the function of each of these nodes.
    """

    def __init__(self, space):
        self.function = fx.function(space)
        positions = fx.node_positions(space)
        one_dimensional = space.mesh.topology.dim == 1
        self.order = (
            np.argsort(positions[:, 0]) if one_dimensional else np.arange(len(positions))
        )
        self.points = positions[self.order]
        self._blocks = self.function.x.array.reshape(len(self.points), -1)  # a view

    @property
    def values(self) -> np.ndarray:
        """Copy of the values, shape (n_components, n_nodes)."""
        return self._blocks[self.order].T.copy()

    @values.setter
    def values(self, values: np.ndarray) -> None:
        self._blocks[self.order] = values.T

    def put(self, components: slice, values: np.ndarray) -> None:
        """Overwrite some components, (n, n_nodes), or a single one, (n_nodes,) or ()."""
        self._blocks[self.order, components] = np.atleast_2d(values).T


class Gather:
    """Brings arrays of nodes of all processes together.

    Parameters
    ----------
    field
        Whose nodes they are.

    Attributes
    ----------
    points
        Each node once, shape (n_all, 3), the same on every process and for any number of
        processes: ordered by coordinates.
    """

    def __init__(self, field: NodalField):
        space = field.function.function_space
        self.comm = space.mesh.comm
        n_owned = space.dofmap.index_map.size_local
        self._owned = np.flatnonzero(field.order < n_owned)
        points = self._together(field.points.T).T
        # Rounding keeps copies of a coordinate on different processes equal.
        keys = np.round(points / np.abs(points).max(initial=1e-300), 12)
        self._sorted = np.lexsort(keys.T[::-1])
        self.points = points[self._sorted]
        self._mine = cKDTree(self.points).query(field.points)[1]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """All nodes' values, shape (..., n_all), on every process."""
        return self._together(values)[..., self._sorted]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Inverse: this process's part (..., n_nodes) of values of all nodes."""
        return values[..., self._mine]

    def _together(self, values: np.ndarray) -> np.ndarray:
        parts = self.comm.allgather(values[..., self._owned])
        return np.concatenate(parts, axis=-1)


def unit_normal(distance):
    """Gradient of a wall distance, at unit length; zero where it has none."""
    slope = ufl.grad(distance)
    return slope / ufl.sqrt(ufl.inner(slope, slope) + 1e-12)
