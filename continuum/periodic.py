"""Opposite borders that are one, and the mean field between them.

A periodic cell stands for an endless pattern of its kind: the period of a rough or
patterned electrode beside a reservoir, or that of a porous body. Concentrations are
periodic. With a mean field psi_i and phi are not: their gradients are those of periodic
functions and, on top, ``z_i g`` and ``g``, where ``g = jump t / |t|^2`` and t is the way
from the master to the slave. It leaves concentrations as they are, since they depend on
``psi_i - z_i phi``. The unknowns, what is held of them, and the potentials of electrodes
are those of the periodic functions.

In a steady state the amount of each species is determined where it is held; in a cell
without a reservoir `solve_closed` keeps the amounts of the state that it starts from.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..core.errors import InputError
from ._dolfinx import PETSc
from .domain import Domain

#: Distance of two nodes that count as one, as a part of the domain.
SAME = 1e-8


@dataclass(frozen=True)
class Periodic:
    """Two opposite borders, equal but for a translation.

    Attributes
    ----------
    master, slave
        Names of the borders.
    jump
        Electric potential of the slave less that of the master, kT/e.
    """

    master: str
    slave: str
    jump: float = 0.0

    def signature(self) -> tuple[str, str]:
        """What a model depends on."""
        return self.master, self.slave


class Ties:
    """Which nodes are one.

    Parameters
    ----------
    domain, space
        Where, and the blocked space of the unknowns.
    pairs
        The borders.

    Attributes
    ----------
    matrix
        PETSc matrix that gives slaves the values of their masters.
    slaves
        Unknowns of this process that follow others.
    ways
        Translation from master to slave of each pair, shape (n_pairs, 3).

    Raises
    ------
    InputError
        When the nodes of two borders do not match.
    """

    def __init__(self, domain: Domain, space, pairs: Sequence[Periodic]):
        self._domain, self._space = domain, space
        self._map = space.dofmap.index_map
        found = [self._matched(pair) for pair in pairs]
        self.ways = np.array([way for way, _ in found])
        master_of: dict[int, int] = {}
        for _, nodes in found:
            master_of |= nodes
        # A corner's master may itself be a slave in another direction.
        while any(master in master_of for master in master_of.values()):
            master_of = {s: master_of.get(m, m) for s, m in master_of.items()}
        self._put_matrix(master_of)

    def _matched(self, pair: Periodic) -> tuple[np.ndarray, dict[int, int]]:
        """Way between the borders of a pair, and slave -> master by global number."""
        (at, masters), (there, slaves) = map(self._nodes, pair.signature())
        way = np.zeros(3)
        if len(at) and len(there):
            way = (there.min(axis=0) + there.max(axis=0) - at.min(axis=0)) / 2
            way = way - at.max(axis=0) / 2
        across = abs(way[0]) > SAME * self._domain.extent
        if self._domain.symmetry != "none" and across:
            raise InputError(
                "periodic borders at two radii",
                wanted="a period along the axis",
                got=f"from {pair.master!r} to {pair.slave!r}",
            )
        distance, partner = np.full(1, np.inf), np.zeros(0, dtype=int)
        if len(at):
            distance, partner = cKDTree(at + way).query(there)
        far = distance.max(initial=0.0)
        twice = len(np.unique(partner)) < len(partner)
        if len(at) != len(there) or far > SAME * self._domain.extent or twice:
            raise InputError(
                f"periodic borders that do not match: {pair.master!r}, {pair.slave!r}",
                wanted="nodes at the same places after a translation",
                got=f"{len(at)} and {len(there)} nodes, up to {far:.3g} apart",
                mend="mesh both borders alike (in gmsh: setPeriodic)",
            )
        return way, dict(zip(slaves.tolist(), masters[partner].tolist(), strict=True))

    def _nodes(self, border: str) -> tuple[np.ndarray, np.ndarray]:
        """Positions and global numbers of the nodes of a border, of all processes."""
        local = self._domain.nodes(self._space, border)
        mine = np.asarray(local[local < self._map.size_local], dtype=np.int32)
        positions = self._space.tabulate_dof_coordinates()[mine]
        parts = self._domain.comm.allgather((positions, self._map.local_to_global(mine)))
        where, numbers = zip(*parts, strict=True)
        return np.concatenate(where), np.concatenate(numbers)

    def spread(self, vector) -> None:
        """Give slaves the values of their masters."""
        self.matrix.mult(vector.copy(), vector)

    def fold(self, vector, kept: np.ndarray) -> None:
        """Add what slaves have to their masters, but leave some unknowns as they are."""
        before = vector.copy()
        self.matrix.multTranspose(before, vector)
        vector.array[kept] = before.array[kept]

    def united(self, rows: np.ndarray) -> np.ndarray:
        """Unknowns of this process that are one with any of these, of all processes."""
        marked, masters = self.matrix.createVecs()
        marked.array[rows[rows < len(marked.array)]] = 1.0
        self.matrix.multTranspose(marked, masters)
        self.matrix.mult(masters, marked)
        return np.flatnonzero(marked.array)

    def carried(self, rows: dict[int, int]) -> dict[int, int]:
        """What is said of unknowns, that of slaves at their masters instead.

        Parameters
        ----------
        rows
            Unknown -> a number; that of a master comes first, then the highest.
        """
        n, (first, end) = self._space.dofmap.index_map_bs, self._map.local_range
        moved = [
            (self._target[row], number)
            for row, number in rows.items()
            if row in self._target
        ]
        kept = {row: number for row, number in rows.items() if row not in self._target}
        parts = self._domain.comm.allgather(moved)
        for target, number in sorted(itertools.chain(*parts), key=lambda one: -one[1]):
            if n * first <= target < n * end:
                kept.setdefault(target - n * first, number)
        return kept

    def _put_matrix(self, master_of: dict[int, int]) -> None:
        n = self._space.dofmap.index_map_bs
        first, end = self._map.local_range
        own = np.arange(first, end)
        masters = np.array([master_of.get(node, node) for node in own.tolist()])
        slaves = np.flatnonzero(masters != own)
        inside = np.arange(n)
        self.slaves = (n * slaves[:, None] + inside).ravel()
        targets = (n * masters[slaves][:, None] + inside).ravel()
        self._target = dict(zip(self.slaves.tolist(), targets.tolist(), strict=True))
        # A slave keeps a zero of its own: a place for the diagonal of its row.
        rows = np.append(np.arange(n * len(own)), self.slaves)
        columns = n * np.append(masters, own[slaves])[:, None] + inside
        values = np.append(np.ones(n * len(own)), np.zeros(len(self.slaves)))
        order = np.lexsort((columns.ravel(), rows))
        starts = np.append(0, np.cumsum(np.bincount(rows)))
        csr = starts.astype(PETSc.IntType), columns.ravel()[order].astype(PETSc.IntType)
        sizes = (n * len(own), n * self._map.size_global)
        self.matrix = PETSc.Mat().createAIJ(
            (sizes, sizes), bsize=n, csr=(*csr, values[order]), comm=self._domain.comm
        )


def slope_of(ties: Ties, pairs: Sequence[Periodic], dim: int) -> np.ndarray:
    """Mean gradient of phi for the jumps of all pairs, shape (dim,)."""
    jumps = np.array([pair.jump for pair in pairs])
    return (jumps / (ties.ways**2).sum(axis=1)) @ ties.ways[:, :dim]
