"""Linear systems of Newton's method: direct when small, preconditioned when large."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..core.errors import InputError
from ._dolfinx import PETSc, put_options
from .blocks import Blocks, Guide

#: Unknowns above which two- and three-dimensional systems are solved by iterations.
DIRECT_UP_TO = 50_000
#: Unknowns up to which what iterations cannot solve is left to the direct solver.
RESCUE_UP_TO = 400_000
METHODS = ("auto", "direct", "fieldsplit")
#: Options of PETSc with this prefix change the solvers of the methods.
PREFIX = "mesobridge_"
#: Relative accuracy of iterations unless another one is asked for.
ACCURATE = 1e-11

Method = str | Mapping[str, str | int | float]
_serial = itertools.count()


class NotConverged(Exception):  # noqa: N818
    """A solver stopped without a solution; its message says why."""


class LinearSolver:
    """Solves with one matrix whose values change.

    Parameters
    ----------
    matrix
        PETSc matrix with one block per node, the potential last.
    method
        ``"direct"`` (MUMPS; PETSc's own for intervals), ``"fieldsplit"`` (GMRES with
        `Blocks`), ``"auto"`` (by the number of unknowns), or options of PETSc that make
        up another solver. Options of the command line or of ``PETSC_OPTIONS`` named
        ``-mesobridge_...`` change the first two.
    dim
        Dimensions of the mesh: intervals are always solved directly.
    guide
        See `Blocks`; needed by fieldsplit.

    Attributes
    ----------
    iterations
        Of the last solve; 1 when direct.
    rescues
        Systems that iterations, or PETSc's own elimination, left to MUMPS.

    Raises
    ------
    InputError
        When there is no such method.
    """

    def __init__(
        self,
        matrix,
        method: Method = "auto",
        dim: int = 2,
        guide: Callable[[], Guide] | None = None,
    ):
        if method == "auto":
            large = matrix.getSize()[0] > DIRECT_UP_TO and dim > 1
            method = "fieldsplit" if large else "direct"
        if isinstance(method, str) and method not in METHODS:
            raise InputError(
                "unknown linear solver",
                wanted=f"{', '.join(METHODS)}, or options of PETSc",
                got=repr(method),
            )
        self.method, self._matrix = method, matrix
        self._guide: Any = guide if method == "fieldsplit" else None
        self._ksp: Any = None
        self._blocks: Blocks | None = None
        self._rescue: LinearSolver | None = None
        # Bands need no ordering, and PETSc's own elimination then takes a third of the
        # time; without pivoting it may fail where MUMPS does not.
        self._banded = self.direct and dim == 1 and matrix.comm.size == 1
        self.iterations = self.rescues = 0

    @property
    def direct(self) -> bool:
        """Whether solutions are exact to rounding."""
        return self.method == "direct"

    def solve(
        self, right, out, *, transposed: bool = False, accuracy: float = ACCURATE
    ) -> None:
        """Solution of ``A out = right`` with the matrix as it is now.

        Parameters
        ----------
        right, out
            PETSc vectors.
        transposed
            Solve with the transposed matrix.
        accuracy
            Of iterations, relative.

        Raises
        ------
        NotConverged
            When the factorisation or the iterations fail.
        """
        try:
            if self.method == "fieldsplit":
                self._iterate(right, out, transposed, accuracy)
            else:
                self._run(right, out, transposed, accuracy)
        except NotConverged:
            # A KSP whose factorisation failed fails ever after: start with new ones.
            self._ksp = self._blocks = None
            last = self.direct and not self._banded
            if last or self._matrix.getSize()[0] > RESCUE_UP_TO:
                raise
            self._rescue = self._rescue or LinearSolver(self._matrix, "direct")
            self._rescue.solve(right, out, transposed=transposed)
            self.rescues, self.iterations = self.rescues + 1, self.iterations + 1

    def note_move(self, distance: float) -> None:
        """Take down how far an unknown has moved since the last solve."""
        if self._blocks is not None:
            self._blocks.note_move(distance)

    def _iterate(self, right, out, transposed: bool, accuracy: float) -> None:
        """With the preconditioner of an earlier matrix as long as that pays."""
        if self._blocks is None:
            self._blocks = Blocks(PREFIX + "blocks_", self._guide)
        fresh = self._blocks.worn
        try:
            if fresh:
                self._blocks.build(self._matrix)
            self._run(right, out, transposed, accuracy)
        except (NotConverged, PETSc.Error) as exc:
            if fresh:
                raise NotConverged(str(exc)) from exc
            self._ksp = self._blocks = None
            self._iterate(right, out, transposed, accuracy)
        else:
            self._blocks.note(self.iterations / -np.log10(accuracy))

    def _run(self, right, out, transposed: bool, accuracy: float) -> None:
        self._ksp = self._ksp or self._new()
        if not self.direct:
            self._ksp.setTolerances(rtol=accuracy)
        try:
            (self._ksp.solveTranspose if transposed else self._ksp.solve)(right, out)
        except PETSc.Error as exc:
            failed = f"PETSc error {exc.ierr}"
        else:
            reason = self._ksp.getConvergedReason()
            failed = f"KSP reason {reason}" if reason < 0 else ""
        self.iterations = self._ksp.getIterationNumber()
        if failed:
            raise NotConverged(f"a linear system that cannot be solved ({failed})")

    def _new(self):
        ksp = PETSc.KSP().create(self._matrix.comm)
        ksp.setOperators(self._matrix)
        ksp.setOptionsPrefix(PREFIX)
        if self.direct:
            ksp.setType("preonly")
            ksp.getPC().setType("lu")
            if self._banded:
                ksp.getPC().setFactorSolverType("petsc")
                ksp.getPC().setFactorOrdering("natural")
                ksp.getPC().setFactorPivot(zeropivot=0.0)
            else:
                ksp.getPC().setFactorSolverType("mumps")
        elif isinstance(self.method, Mapping):
            prefix = f"{PREFIX}{next(_serial)}_"
            ksp.setOptionsPrefix(prefix)
            put_options(prefix, self.method)
        else:
            ksp.setType("gmres")
            ksp.setGMRESRestart(60)
            ksp.setTolerances(max_it=120)
            ksp.getPC().setType("python")
            ksp.getPC().setPythonContext(self._blocks)
        ksp.setFromOptions()
        return ksp
