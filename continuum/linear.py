"""Linear systems of Newton's method: direct when small, preconditioned when large."""

from __future__ import annotations

from ._dolfinx import PETSc

#: Unknowns above which two- and three-dimensional systems are solved by iterations.
DIRECT_UP_TO = 50_000
METHODS = ("auto", "direct", "fieldsplit")


class NotConverged(Exception):  # noqa: N818
    """A solver stopped without a solution; its message says why."""


class LinearSolver:
    """Solves with one matrix whose values change.

    Parameters
    ----------
    matrix
        PETSc matrix with one block per node.
    method
        ``"direct"`` (MUMPS), ``"fieldsplit"`` (GMRES; each species and the potential by
        BoomerAMG, one after the other) or ``"auto"``.
    dim
        Dimensions of the mesh: intervals are always solved directly.

    Attributes
    ----------
    iterations
        Of the last solve; 1 when direct.
    """

    def __init__(self, matrix, method: str = "auto", dim: int = 1):
        if method == "auto":
            large = matrix.getSize()[0] > DIRECT_UP_TO and dim > 1
            method = "fieldsplit" if large else "direct"
        self.method, self._matrix, self.iterations = method, matrix, 0
        self._ksp = self._new()

    def _new(self):
        ksp = PETSc.KSP().create(self._matrix.comm)
        ksp.setOperators(self._matrix)
        if self.method == "direct":
            ksp.setType("preonly")
            ksp.getPC().setType("lu")
            ksp.getPC().setFactorSolverType("mumps")
        else:
            self._split(ksp)
        return ksp

    def _split(self, ksp) -> None:
        ksp.setType("gmres")
        ksp.setGMRESRestart(60)
        ksp.setTolerances(rtol=1e-8, max_it=200)
        pc = ksp.getPC()
        pc.setType("fieldsplit")
        pc.setFieldSplitType(PETSc.PC.CompositeType.MULTIPLICATIVE)
        n = self._matrix.getBlockSize()
        # At equilibrium psi does not feel phi: in this order one sweep is exact.
        pc.setFieldSplitFields(n, *((f"f{i}", [i]) for i in range(n)))

    def solve(self, right, out, *, transposed: bool = False) -> None:
        """Solution of ``A out = right`` with the matrix as it is now.

        Raises
        ------
        NotConverged
            When the factorisation or the iterations fail.
        """
        failed = ""
        try:
            if self.method != "direct":
                self._prepare()
            (self._ksp.solveTranspose if transposed else self._ksp.solve)(right, out)
        except PETSc.Error as exc:
            failed = f"PETSc error {exc.ierr}"
        if not failed and self._ksp.getConvergedReason() < 0:
            failed = f"KSP reason {self._ksp.getConvergedReason()}"
        if failed:
            # A KSP whose factorisation failed fails ever after: start with a new one.
            self._ksp.destroy()
            self._ksp = self._new()
            raise NotConverged(f"a linear system that cannot be solved ({failed})")
        self.iterations = self._ksp.getIterationNumber()

    def _prepare(self) -> None:
        self._ksp.setUp()
        for part in self._ksp.getPC().getFieldSplitSubKSP():
            if part.getPC().getType() != "hypre":
                part.setType("preonly")
                part.getPC().setType("hypre")
                part.getPC().setHYPREType("boomeramg")
