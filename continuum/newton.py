"""Newton's method on a compiled residual, with values held at chosen unknowns."""

from __future__ import annotations

import numpy as np

from ._dolfinx import (
    PETSc,
    assemble_matrix,
    assemble_vector,
    create_matrix,
    petsc_vector,
)


class NotConverged(Exception):  # noqa: N818
    """Newton's method stopped without a solution; its message says why."""


class Newton:
    """Solver of ``residual(u) = 0``.

    Parameters
    ----------
    residual, jacobian
        Compiled forms.
    u
        The function they depend on, which `solve` changes.
    tolerance
        Largest increment of any unknown in the last iteration.
    max_iterations
        Iterations before `solve` gives up.
    """

    def __init__(
        self, residual, jacobian, u, *, tolerance: float = 1e-9, max_iterations: int = 20
    ):
        self.residual, self.jacobian, self.u = residual, jacobian, u
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self._matrix = create_matrix(jacobian)
        self._matrix.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        self._right = petsc_vector(u).duplicate()
        self._step = petsc_vector(u).duplicate()
        self._ksp = self._new_ksp()

    def _new_ksp(self):
        ksp = PETSc.KSP().create(self._matrix.comm)
        ksp.setOperators(self._matrix)
        ksp.setType("preonly")
        ksp.getPC().setType("lu")
        ksp.getPC().setFactorSolverType("mumps")
        return ksp

    def reactions(self) -> np.ndarray:
        """Residual of every unknown; at held ones it is what flows in there."""
        assemble_vector(self._right, self.residual)
        return self._right.array.copy()

    def solve(self, held: np.ndarray) -> int:
        """Bring the residual of all unknowns but `held` to zero.

        Parameters
        ----------
        held
            Indices of unknowns that keep their value.

        Returns
        -------
        int
            Number of iterations.

        Raises
        ------
        NotConverged
            When a value is not finite, the factorisation fails or iterations run out.
        """
        for iteration in range(1, self.max_iterations + 1):
            right = self.reactions()
            right[held] = 0.0
            try:
                step = self.linear(right, held)
            except NotConverged as exc:
                raise NotConverged(f"{exc} in iteration {iteration}") from exc
            self.u.x.array[:] -= step
            if np.abs(step).max() < self.tolerance:
                return iteration
        raise NotConverged(f"no convergence in {self.max_iterations} iterations")

    def linear(self, right: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Solution s of ``J(u) s = right``, where s is ``right`` at `held`.

        Raises
        ------
        NotConverged
            When a value is not finite or the factorisation fails.
        """
        if not np.isfinite(right).all():
            raise NotConverged("a residual that overflows")
        assemble_matrix(self._matrix, self.jacobian)
        self._matrix.zeroRows(np.asarray(held, dtype=PETSc.IntType), diag=1.0)
        self._right.array[:] = right
        failed = ""
        try:
            self._ksp.solve(self._right, self._step)
        except PETSc.Error as exc:
            failed = f"PETSc error {exc.ierr}"
        if not failed and self._ksp.getConvergedReason() < 0:
            failed = f"KSP reason {self._ksp.getConvergedReason()}"
        if not failed and not np.isfinite(self._step.array).all():
            failed = "a step that is not finite"
        if failed:
            # A KSP whose factorisation failed fails ever after: start with a new one.
            self._ksp.destroy()
            self._ksp = self._new_ksp()
            raise NotConverged(failed)
        return self._step.array.copy()
