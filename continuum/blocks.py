"""Preconditioner of Newton's systems: each unknown by multigrid, one after the other.

At equilibrium psi does not feel phi, and one sweep over psi_i and then phi is exact;
where a psi_i stays to the last bit, its turn costs nothing. Three changes keep it good
elsewhere.

Where ions flow, ``D_i c_i grad psi_i`` follows c_i, which follows phi, which follows
every psi_j through the charge. In a neutral medium that is a local rule::

    dphi = sum_j w_j dpsi_j,    w_j = z_j c_j / (sum_k z_k^2 c_k + p eps q^2 / 2)

for changes longer than the screening length; q^2, the mean of ``|grad psi_k|^2`` with the
weights ``z_k^2 c_k``, switches it off where a strong field leaves few ions. The sweep is
over psi_j and ``dphi - sum_j w_j dpsi_j``.

Where phi stays, ``c_i grad psi_i`` is that of ``exp(psi_i)`` times a field that does not
depend on psi_i. The sweep is over ``exp(psi_i) dpsi_i``: nothing then flows up or down in
its equation, which multigrid would bear badly.

In time steps concentrations stay where phi moves. A psi_i follows phi by ``s_i z_i``, s_i
being the part of storage in the diagonal of its equation, and the sweep is over
``dpsi_i - s_i z_i dphi``: exact in short steps. In longer ones it hardly sees a smooth
shift of phi with ``dpsi_i = z_i dphi``, which has an equation of its own: the
conservation of the current of ions and of the displacement, the sum of the others with
the weights z_i and, for phi, the rate of the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._dolfinx import PETSc, put_options

# One sweep forward on the way down and one back on the way up are as good as two each.
AMG = {
    "ksp_type": "preonly",
    "pc_type": "hypre",
    "pc_hypre_type": "boomeramg",
    "pc_hypre_boomeramg_relax_type_down": "SOR/Jacobi",
    "pc_hypre_boomeramg_relax_type_up": "backward-SOR/Jacobi",
    "pc_hypre_boomeramg_relax_type_coarse": "Gaussian-elimination",
}
#: PETSc's own, for builds without hypre: some more iterations.
GAMG = {
    "ksp_type": "preonly",
    "pc_type": "gamg",
    "mg_levels_ksp_type": "richardson",
    "mg_levels_ksp_max_it": 2,
    "mg_levels_pc_type": "sor",
}
#: A preconditioner is made again when solves take this many times the iterations, or when
#: an unknown has moved this far (kT) since: concentrations follow its exponential.
SLOWER, FARTHEST = 1.5, 0.7
#: Steps that are longer than this part of the time of diffusion count as steady.
FASTEST = 10.0
#: Psi (kT) beyond which its exponential is kept from overflow.
LARGEST = 300.0


def multigrid() -> dict:
    """Options of PETSc for one unknown."""
    return AMG if PETSc.Sys.hasExternalPackage("hypre") else GAMG


@dataclass(frozen=True)
class Guide:
    """What the unknowns on the nodes of this process mean to `Blocks`, phi last.

    Attributes
    ----------
    follow
        The w above, shape (n_nodes, n_species).
    activities
        ``exp(psi_i)``, of the same shape.
    current
        How the unknowns change with a shift of phi, and the weights of their equations in
        the conservation of current, each of shape (n_nodes, n_species + 1); None when
        steady.
    """

    follow: np.ndarray
    activities: np.ndarray
    current: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Ions:
    """What a model tells of its unknowns.

    Attributes
    ----------
    charge_numbers
        Shape (n_species,).
    follow, psi
        Give the w above and psi at the present state on the nodes of this process and
        perhaps on more, shape (n_nodes, n_species).
    rate
        Gives the weight of the concentrations in the equations: 0, or that of the step.
    extent
        Of the domain: shifts of phi are faster than slow steps.
    """

    charge_numbers: np.ndarray
    follow: Callable[[], np.ndarray]
    psi: Callable[[], np.ndarray]
    rate: Callable[[], float]
    extent: float

    def guide(self, n_nodes: int, held: np.ndarray, tied: np.ndarray) -> Guide:
        """What a preconditioner is made with.

        Parameters
        ----------
        n_nodes
            That this process owns.
        held, tied
            Indices of the unknowns that are held at values, and of the psi_i of which
            ``psi_i - z_i phi`` is.
        """
        n = len(self.charge_numbers) + 1
        follow = self.follow()[:n_nodes].copy()
        activities = np.exp(np.clip(self.psi()[:n_nodes], -LARGEST, LARGEST))
        follow[np.append(held[held % n == n - 1], tied) // n] = 0.0
        rate = self.rate()
        if rate * self.extent**2 < FASTEST:
            return Guide(follow, activities)
        shift = np.tile(np.append(self.charge_numbers, 1.0), (n_nodes, 1))
        weights = np.tile(np.append(self.charge_numbers, rate), (n_nodes, 1))
        psi = held[held % n < n - 1]
        shift.flat[psi] = weights.flat[psi] = weights.flat[tied] = 0.0
        return Guide(follow, activities, (shift, weights))


class Blocks:
    """A preconditioner made from one matrix and used for those that are like it.

    A context of PETSc's ``python`` preconditioner.

    Parameters
    ----------
    prefix
        Of PETSc's options; those of the solver of unknown i have ``fieldsplit_f<i>_``
        added, those of the conservation of current ``shift_``.
    guide
        Asked whenever it is made.

    Attributes
    ----------
    worn
        Nothing is made yet, or a new one would pay.
    """

    def __init__(self, prefix: str, guide: Callable[[], Guide]):
        self._prefix, self._guide = prefix, guide
        self._change: Any = None
        self._sweep: Any = None
        self._back: Any = None
        self._current: _Current | None = None
        self._best, self._moved = np.inf, 0.0
        self.worn = True

    def build(self, matrix) -> None:
        """Make it from a matrix as it is now."""
        guide = self._guide()
        if self._change is None:
            self._start(matrix)
        a, ones = guide.activities, np.ones((len(guide.follow), 1))
        along, share = np.zeros((2, *a.shape))
        if guide.current is not None:
            along, charge = self._along(matrix), guide.current[0][:, :-1]
            share = np.divide(along, charge, out=share, where=charge != 0)
        beside = np.stack([1 / a, along], axis=2).reshape(len(a), -1)
        self._change.put(beside, guide.follow * (1 - share) / a, ones)
        matrix.matMult(self._change.matrix, self._changed)
        self._sweep.build(self._changed)
        self._back = None
        if guide.current is None:
            self._current = None
        else:
            self._current = self._current or _Current(self._prefix, matrix)
            self._current.build(*guide.current)
        self.worn, self._best, self._moved = False, np.inf, 0.0

    def _start(self, matrix) -> None:
        (first, nodes), n = _nodes(matrix), matrix.getBlockSize()
        own = np.stack([np.arange(n - 1), np.full(n - 1, n - 1)], axis=1)
        inside = np.append(own, np.arange(n))
        counts = np.tile(np.append(np.full(n - 1, 2), n), nodes)
        columns = n * (first + np.arange(nodes))[:, None] + inside
        self._change = _Sparse(matrix.comm, matrix.getSizes(), counts, columns)
        self._changed = matrix.matMult(self._change.matrix)
        self._part = matrix.createVecLeft()
        self._sweep = _Sweep(self._prefix, self._changed, range(n))

    def _along(self, matrix) -> np.ndarray:
        """Shares of a change of phi that psi_i follow at once, (n_nodes, n_species)."""
        (first, nodes), n = _nodes(matrix), matrix.getBlockSize()
        parts = [
            PETSc.IS().createStride(nodes, n * first + i, n, comm=matrix.comm)
            for i in range(n)
        ]
        found = [
            matrix.createSubMatrix(parts[i], parts[-1]).getDiagonal().array
            / matrix.createSubMatrix(parts[i], parts[i]).getDiagonal().array
            for i in range(n - 1)
        ]
        return -np.stack(found, axis=1)

    def note(self, cost: float) -> None:
        """Take down what a solve cost: iterations for a digit."""
        self._best = min(self._best, cost)
        self.worn |= cost > SLOWER * self._best

    def note_move(self, distance: float) -> None:
        """Take down how far an unknown has moved."""
        self._moved += distance
        self.worn |= self._moved > FARTHEST

    def apply(self, pc, x, y) -> None:
        """Apply it."""
        self._sweep.apply(x, self._part)
        self._change.matrix.mult(self._part, y)
        if self._current is not None:
            self._current.correct(x, y)

    def applyTranspose(self, pc, x, y) -> None:  # noqa: N802
        """Apply a preconditioner of the transposed matrix, of a steady state."""
        if self._back is None:
            # BoomerAMG has no transpose: the transposed blocks, the other way round.
            back = self._changed.transpose(PETSc.Mat())
            self._back = _Sweep(self._prefix, back, range(back.getBlockSize())[::-1])
            self._back.build(back)
        self._change.matrix.multTranspose(x, self._part)
        self._back.apply(self._part, y)


class _Sweep:
    """The unknowns of a matrix one after the other, each by multigrid."""

    def __init__(self, prefix: str, matrix, order: Sequence[int]):
        (first, nodes), n = _nodes(matrix), matrix.getBlockSize()
        parts = [
            PETSc.IS().createStride(nodes, n * first + i, n, comm=matrix.comm)
            for i in range(n)
        ]
        self._order = order
        self._blocks = {
            (i, j): (parts[i], parts[j], matrix.createSubMatrix(parts[i], parts[j]))
            for k, i in enumerate(order)
            for j in order[: k + 1]
        }
        self._solvers = {}
        for i in order:
            put_options(f"{prefix}fieldsplit_f{i}_", multigrid())
            self._solvers[i] = _solver(f"{prefix}fieldsplit_f{i}_", self._blocks[i, i][2])
            self._solvers[i].setFromOptions()
        self._found = {i: self._blocks[i, i][2].createVecs() for i in order}

    def build(self, matrix) -> None:
        """Take over the values of a matrix of the same pattern."""
        for rows, columns, block in self._blocks.values():
            matrix.createSubMatrix(rows, columns, block)
        for i, solver in self._solvers.items():
            solver.setOperators(self._blocks[i, i][2])

    def apply(self, x, y) -> None:
        """Bring y near to the solution for the right side x."""
        n = len(self._order)
        given, out = x.getArray(readonly=True), y.getArray()
        for k, i in enumerate(self._order):
            found, rest = self._found[i]
            np.negative(given[i::n], out=rest.array)
            for j in self._order[:k]:
                self._blocks[i, j][2].multAdd(self._found[j][0], rest, rest)
            rest.scale(-1.0)
            # A multigrid cycle, and its set-up, for nothing: psi at equilibrium.
            if rest.norm() == 0.0:
                found.set(0.0)
            else:
                self._solvers[i].apply(rest, found)
            out[i::n] = found.array


class _Current:
    """Correction by the conservation of current."""

    def __init__(self, prefix: str, matrix):
        first, nodes = _nodes(matrix)
        n = matrix.getBlockSize()
        many, few = matrix.getSizes()[0], (nodes, matrix.getSize()[0] // n)
        own = first + np.arange(nodes)
        unknowns = n * own[:, None] + np.arange(n)
        comm = matrix.comm
        self._shift = _Sparse(comm, (many, few), np.ones(n * nodes), np.repeat(own, n))
        self._weights = _Sparse(comm, (few, many), np.full(nodes, n), unknowns)
        self._whole = matrix
        self._shifted = matrix.matMult(self._shift.matrix)
        self._matrix = self._weights.matrix.matMult(self._shifted)
        self._rest = matrix.createVecLeft()
        self._source, self._found = self._matrix.createVecs()
        self._solver = _solver(prefix + "shift_", self._matrix)
        put_options(prefix + "shift_", multigrid())
        self._solver.setFromOptions()

    def build(self, shift: np.ndarray, weights: np.ndarray) -> None:
        """Make it from the matrix as it is now."""
        self._shift.put(shift)
        self._weights.put(weights)
        self._whole.matMult(self._shift.matrix, self._shifted)
        self._weights.matrix.matMult(self._shifted, self._matrix)
        self._solver.setOperators(self._matrix)
        self._solver.setUp()

    def correct(self, x, y) -> None:
        """Bring y nearer to the solution for the right side x."""
        self._whole.mult(y, self._rest)
        self._rest.aypx(-1.0, x)
        self._weights.matrix.mult(self._rest, self._source)
        self._solver.apply(self._source, self._found)
        self._shift.matrix.multAdd(self._found, y, y)


class _Sparse:
    """A matrix whose pattern stays: `counts` columns in each row of this process."""

    def __init__(self, comm, sizes, counts: np.ndarray, columns: np.ndarray):
        starts = np.append(0, np.cumsum(counts)).astype(PETSc.IntType)
        self._pattern = starts, columns.ravel().astype(PETSc.IntType)
        csr = (*self._pattern, np.ones(columns.size))
        self.matrix = PETSc.Mat().createAIJ(sizes, csr=csr, comm=comm)

    def put(self, *values: np.ndarray) -> None:
        """Overwrite the values, given node by node."""
        self.matrix.setValuesCSR(*self._pattern, np.hstack(values).ravel())
        self.matrix.assemble()


def _nodes(matrix) -> tuple[int, int]:
    """First node of this process, and how many it has."""
    n = matrix.getBlockSize()
    return matrix.getOwnershipRange()[0] // n, matrix.getLocalSize()[0] // n


def _solver(prefix: str, matrix):
    pc = PETSc.PC().create(matrix.comm)
    pc.setOptionsPrefix(prefix)
    pc.setOperators(matrix)
    return pc
