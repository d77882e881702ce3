"""Newton's method on a compiled residual, with values held at chosen unknowns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ._dolfinx import (
    FORWARD,
    MPI,
    PETSc,
    assemble_matrix,
    assemble_vector,
    create_blocks,
    over_all,
    petsc_vector,
    release,
)
from .blocks import Guide, Ions
from .held import Floating, Held
from .linear import ACCURATE, LinearSolver, Method, NotConverged
from .shortening import shortened

#: Relative accuracy of increments: Newton's method needs as many as with exact ones.
ROUGH = 1e-3
#: That after an increment above 1 kT: the next one is most likely shortened, too.
LOOSE = 3e-2


class Newton:
    """Solver of ``residual(u) = 0``.

    Parameters
    ----------
    residual, jacobian
        Compiled forms.
    u
        The function they depend on, which `solve` changes.
    linear
        A method of `linear.LinearSolver`.
    tolerance
        Largest increment of any unknown in the last iteration.
    max_iterations
        Iterations before `solve` gives up.
    ions
        What preconditioners know.
    ties
        Unknowns that follow others (`periodic.Ties`).

    Attributes
    ----------
    load
        PETSc vector that is added to the residual, or None.
    before_assembly
        Called before the forms are assembled.
    damped
        Whether increments above 1 count as ``1 + ln`` of them (`shortening`).
    stalled
        Increments below this that no longer shrink are those of rounding.
    iterations, linear_iterations
        Of all solves so far, failed ones too.
    """

    def __init__(
        self,
        residual,
        jacobian,
        u,
        *,
        linear: Method = "auto",
        tolerance: float = 1e-9,
        max_iterations: int = 20,
        before_assembly=lambda: None,
        ions: Ions | None = None,
        ties: Any = None,
    ):
        self.residual, self.jacobian, self.u = residual, jacobian, u
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self.before_assembly = before_assembly
        self.load: Any = None
        self.damped = False
        self.stalled = 1e-6
        self.iterations = self.linear_iterations = 0
        space = u.function_space
        self._map = space.dofmap.index_map
        self._block = space.dofmap.index_map_bs
        self.n_owned = self._map.size_local * self._block
        self.comm = space.mesh.comm
        release(self.comm)  # matrices of solvers before this one
        self._ties, self._blocks = ties, create_blocks(jacobian)
        assemble_matrix(self._blocks, jacobian)  # the pattern of what comes from it
        self._matrix = self._loose = self._blocks.convert("aij", PETSc.Mat())
        if ties is not None:
            self._matrix = self._loose.PtAP(ties.matrix)
        self._matrix.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        self._right = petsc_vector(u).duplicate()
        self._step = petsc_vector(u).duplicate()
        self._scale = petsc_vector(u).duplicate()
        dim = space.mesh.topology.dim
        self._solver = LinearSolver(self._matrix, linear, dim, self.guide)
        self._ions, self._seen = ions, u.x.array.copy()

    def reactions(self) -> np.ndarray:
        """Residual of the unknowns that this process owns, shape (n_owned,).

        At held unknowns it is what flows in there.
        """
        self.before_assembly()
        assemble_vector(self._right, self.residual)
        if self.load is not None:
            self._right.axpy(1.0, self.load)
        return self._right.array.copy()

    def solve(
        self,
        held: Held,
        floating: Floating | None = None,
        *,
        fresh: bool = True,
        keep: float = 0.0,
    ) -> int:
        """Bring the residual of all unknowns but the held ones to zero.

        Parameters
        ----------
        held
            What some unknowns obey instead.
        floating
            A number that is found along with the unknowns.
        fresh
            Whether to assemble the first Jacobian, or to begin with the last.
        keep
            A Jacobian serves once more where increments shrink below this part of those
            before.

        Returns
        -------
        int
            Number of iterations.

        Raises
        ------
        NotConverged
            When a value is not finite, a linear solve fails or iterations run out.
        """
        if self._ties is not None:
            self._ties.spread(petsc_vector(self.u))
            petsc_vector(self.u).ghostUpdate(*FORWARD)
        if floating is not None:
            floating.put(floating.value, held)
        # In units of kT increments shrink to their squares about, if they are exact.
        last, accuracy = 1.0 if self.direct else 0.0, ROUGH
        for iteration in range(1, self.max_iterations + 1):
            try:
                size = self.step(held, floating, fresh=fresh, accuracy=accuracy)
            except NotConverged as exc:
                raise NotConverged(f"{exc} in iteration {iteration}") from exc
            # With a kept Jacobian increments go on shrinking as they did.
            rate = size / last if keep and size < last else 1.0
            if size < self.tolerance or size * rate < self.tolerance * (1 - rate):
                return iteration
            if self.direct and self.stalled > size > last / 2:  # what is left is rounding
                return iteration
            fresh, last = size > keep * last, size
            accuracy = LOOSE if size > 1 else ROUGH
        raise NotConverged(f"no convergence in {self.max_iterations} iterations")

    def step(
        self,
        held: Held,
        floating: Floating | None = None,
        *,
        fresh: bool = True,
        accuracy: float = ROUGH,
    ) -> float:
        """One iteration of `solve`; its largest increment.

        Parameters
        ----------
        held, floating, fresh
            As for `solve`.
        accuracy
            Of linear systems that iterations solve, relative.

        Raises
        ------
        NotConverged
            When a value is not finite or the linear solve fails.
        """
        self.iterations += 1
        change, right = 0.0, self._right_side(held)
        if fresh:
            self.assemble(held)
        step = self.linear(right, accuracy=accuracy)
        if floating is not None:
            step, change = self._bordered(step, right, held, floating)
        z = None if self._ions is None else self._ions.charge_numbers
        self.u.x.array[:] -= shortened(step, z, self.largest) if self.damped else step
        return max(self.largest(step), abs(change))

    def _right_side(self, held: Held) -> np.ndarray:
        right = self.reactions()
        mine = held.rows < self.n_owned
        right[held.rows[mine]] = held.mismatch(self.u.x.array)[mine]
        return right

    def _bordered(
        self, step: np.ndarray, right: np.ndarray, held: Held, floating: Floating
    ) -> tuple[np.ndarray, float]:
        """Step of the unknowns and that of a number along with them, made here."""
        value, unknowns = floating.value, self.u.x.array
        before = floating.mismatch()
        nudge = 1e-6 * max(1.0, abs(value))
        floating.put(value + nudge, held)
        direct = (floating.mismatch() - before) / nudge
        response = self.linear((self._right_side(held) - right) / nudge, accuracy=ROUGH)
        floating.put(value, held)

        def along(direction: np.ndarray) -> float:
            part = 1e-6 / max(self.largest(direction), 1e-6)
            unknowns[:] += part * direction
            after = floating.mismatch()
            unknowns[:] -= part * direction
            return (after - before) / part

        slope = direct - along(response)
        if slope == 0.0:
            raise NotConverged("a current that does not depend on the potential")
        change = (along(step) - before) / slope
        floating.put(value + change, held)
        return step + change * response, change

    @property
    def direct(self) -> bool:
        """Whether linear systems are solved to rounding."""
        return self._solver.direct

    @property
    def method(self) -> Method:
        """Of the linear systems, as it was chosen."""
        return self._solver.method

    @property
    def rescues(self) -> int:
        """Linear systems so far that iterations left to the direct solver."""
        return self._solver.rescues

    @property
    def matrix(self):
        """PETSc matrix of the last `assemble`, each row times its `scale`."""
        return self._matrix

    @property
    def scale(self) -> np.ndarray:
        """Factors of the rows of the matrix, shape (n_owned,)."""
        return self._scale.array

    def assemble(self, held: Held) -> None:
        """Jacobian at the present state, with the rows of what is held."""
        self._held = held
        if not self.direct:
            self._solver.note_move(self.largest(self.u.x.array - self._seen))
            self._seen = self.u.x.array.copy()
        self.before_assembly()
        assemble_matrix(self._blocks, self.jacobian)
        self._blocks.convert("aij", self._loose)
        if self._ties is not None:
            self._loose.PtAP(self._ties.matrix, self._matrix)
            self._matrix.zeroRows(self._global(self._ties.slaves), diag=1.0)
        mine = held.rows < self.n_owned
        self._matrix.zeroRows(self._global(held.rows[mine]), diag=1.0)
        which, others, slopes = held.entries(self.u.x.array)
        coupled = mine[which]
        if over_all(self.comm, int(coupled.sum())):
            rows, columns = map(self._global, (held.rows[which], others))
            for j in np.flatnonzero(coupled):
                self._matrix.setValue(rows[j], columns[j], slopes[j])
            self._matrix.assemble()
        self._scale.set(1.0)
        if self.direct:
            # Rows of depleted species are tens of decades below the others.
            self._matrix.getDiagonal(self._scale)
            self._scale.reciprocal()
            self._matrix.diagonalScale(L=self._scale)

    def guide(self, rate: float | None = None) -> Guide:
        """What preconditioners know of the matrix of the last `assemble`.

        Parameters
        ----------
        rate
            Weight of the storage in it, where it is another than the equations'.
        """
        nodes = self._map.size_local
        if self._ions is None:
            shape = nodes, self._block - 1
            return Guide(np.zeros(shape), np.ones(shape))
        mine = self._held.rows < self.n_owned
        rows, alone = self._held.rows[mine], self._held.factors[mine] == 0
        slaves = () if self._ties is None else self._ties.slaves
        held = np.append(rows[alone], slaves).astype(int)
        ions = self._ions if rate is None else replace(self._ions, rate=lambda: rate)
        return ions.guide(nodes, held, rows[~alone])

    def linear(
        self, right: np.ndarray, *, transposed: bool = False, accuracy: float = ACCURATE
    ) -> np.ndarray:
        """Solution of ``J s = right`` with the Jacobian of the last `assemble`.

        Parameters
        ----------
        right
            Shape (n_owned,).
        transposed
            Solve with the transposed Jacobian.
        accuracy
            Of iterations, relative.

        Returns
        -------
        ndarray, shape (n_local,)
            With the ghosts.

        Raises
        ------
        NotConverged
            When a value is not finite or the factorisation fails.
        """
        if not self._all_finite(right):
            raise NotConverged("a residual that overflows")
        self._right.array[:] = right
        if self._ties is not None:
            rows = self._held.rows[self._held.rows < self.n_owned]
            self._ties.fold(self._right, rows[:0] if transposed else rows)
        if not transposed:
            self._right.pointwiseMult(self._right, self._scale)
        self._solver.solve(
            self._right, self._step, transposed=transposed, accuracy=accuracy
        )
        if transposed:
            self._step.pointwiseMult(self._step, self._scale)
        self.linear_iterations += self._solver.iterations
        if self._ties is not None:
            self._ties.spread(self._step)
        self._step.ghostUpdate(*FORWARD)
        with self._step.localForm() as local:
            step = local.array.copy()
        if not self._all_finite(step):
            raise NotConverged("a step that is not finite")
        return step

    def largest(self, values: np.ndarray) -> float:
        """Largest absolute value over all processes."""
        local = float(np.abs(values).max(initial=0.0))
        return over_all(self.comm, local, MPI.MAX)

    def _all_finite(self, values: np.ndarray) -> bool:
        return over_all(self.comm, bool(np.isfinite(values).all()), MPI.LAND)

    def _global(self, rows: np.ndarray) -> np.ndarray:
        if self.comm.size == 1:
            return rows.astype(PETSc.IntType)
        nodes = np.asarray(rows // self._block, dtype=np.int32)
        first = np.asarray(self._map.local_to_global(nodes)) * self._block
        return (first + rows % self._block).astype(PETSc.IntType)
