"""Systems ``(K + i omega M) x = b`` in real numbers: PETSc here has no others."""

from __future__ import annotations

from functools import partial

import numpy as np

from ._dolfinx import PETSc, release
from .linear import LinearSolver, NotConverged
from .newton import Newton

SAME = PETSc.Mat.Structure.SAME_NONZERO_PATTERN
#: Numbers a + ib as matrices, of a = 1 and of b = 1.
REAL, IMAGINARY = np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]])
#: Relative accuracy of iterations: below any error of a mesh.
ACCURATE = 1e-8
#: Of solves inside: rougher ones cost more iterations around them.
ROUGH = 1e-2
#: Iterations; ten to twenty are usual.
MOST = 100


#: Unknowns above which iterations take less time: by little at frequencies whose waves
#: are as long as cells, tenfold at low ones.
DIRECT_UP_TO = 150_000


def systems(newton: Newton, rate, dim: int) -> Direct | Iterated:
    """What solves the systems of a K, the matrix of `newton`, and an M, at any omega."""
    large = newton.matrix.getSize()[0] > DIRECT_UP_TO
    if newton.method == "fieldsplit" and large:
        return Iterated(newton, rate)
    return Direct(newton.matrix, rate, dim)


class Direct:
    """By elimination, every unknown with its imaginary part beside it.

    Both matrices have one pattern, which is analysed once.

    Parameters
    ----------
    steady, rate
        K and M, PETSc matrices of one pattern.
    dim
        Dimensions of the mesh.
    """

    def __init__(self, steady, rate, dim: int):
        self._steady, self._rate = _paired(steady, REAL), _paired(rate, IMAGINARY)
        self._matrix = self._steady.duplicate()
        self._solver = LinearSolver(self._matrix, "direct", dim)
        self._out, self._right = self._matrix.createVecs()

    def solve(self, omega: float, right: np.ndarray) -> np.ndarray:
        """Complex solution for a real right side, both of the unknowns of this process.

        Raises
        ------
        NotConverged
        """
        self._steady.copy(self._matrix, SAME)
        self._matrix.axpy(omega, self._rate, SAME)
        self._right.array[::2] = right
        self._solver.solve(self._right, self._out)
        return self._out.array[::2] + 1j * self._out.array[1::2]


class Iterated:
    """By GMRES on real and imaginary parts, with solves of time steps inside.

    The equations of phi times i are the displacement current's, and real and imaginary
    part A and B of the whole are symmetric at equilibrium, neither of them negative. Then
    two solves with A + B, the matrix of a time step, make a preconditioner, ``A, -B;
    B, A + 2 B``, whose iterations depend neither on the mesh nor on omega;
    doi:10.1007/s11075-013-9764-1.

    Parameters
    ----------
    newton
        Its matrix is K; it tells what preconditioners need to know.
    rate
        M.
    """

    def __init__(self, newton: Newton, rate):
        self._newton, self._rate = newton, rate
        whole = newton.matrix
        self._n, n_block = whole.getSizes()[0][0], whole.getBlockSize()
        self._of_phi = np.arange(self._n) % n_block == n_block - 1
        self._real, self._field = (
            _rows(whole, mine) for mine in (~self._of_phi, self._of_phi)
        )
        self._imaginary, self._step = whole.duplicate(), whole.duplicate()
        self._x, self._y = whole.createVecs()
        self._sum, self._rest = whole.createVecs()
        size = 2 * self._n, 2 * whole.getSize()[0]
        self._both = PETSc.Mat().createPython((size, size), self, whole.comm)
        self._out, self._right = self._both.createVecs()
        self.iterations = 0

    def solve(self, omega: float, right: np.ndarray) -> np.ndarray:
        """As `Direct.solve`."""
        self._field.copy(self._imaginary, SAME)
        self._imaginary.axpy(omega, self._rate, SAME)
        self._imaginary.copy(self._step, SAME)
        self._step.axpy(1.0, self._real, SAME)
        release(self._both.comm)  # what was made for the frequency before
        guide = partial(self._newton.guide, omega)
        self._inner = LinearSolver(self._step, "fieldsplit", guide=guide)
        ksp = PETSc.KSP().create(self._both.comm)
        ksp.setOperators(self._both)
        ksp.setType("fgmres")
        ksp.setTolerances(rtol=ACCURATE, max_it=MOST)
        ksp.getPC().setType("python")
        ksp.getPC().setPythonContext(self)
        self._right.array[: self._n] = np.where(self._of_phi, 0.0, right)
        self._right.array[self._n :] = np.where(self._of_phi, right, 0.0)
        ksp.solve(self._right, self._out)
        self.iterations = ksp.getIterationNumber()
        if ksp.getConvergedReason() < 0:
            raise NotConverged(f"no solution in {self.iterations} iterations")
        return self._out.array[: self._n] + 1j * self._out.array[self._n :]

    def mult(self, matrix, x, y) -> None:
        """``A x - B y, B x + A y``."""
        n, given, out = self._n, x.getArray(readonly=True), y.getArray()
        for mine, other, sign in (
            (slice(n), slice(n, None), -1.0),
            (slice(n, None), slice(n), 1.0),
        ):
            self._x.array[:] = sign * given[other]
            self._imaginary.mult(self._x, self._rest)
            self._x.array[:] = given[mine]
            self._real.multAdd(self._x, self._rest, self._y)
            out[mine] = self._y.array

    def apply(self, pc, x, y) -> None:
        """The preconditioner."""
        n, given, out = self._n, x.getArray(readonly=True), y.getArray()
        self._x.array[:] = given[:n] + given[n:]
        self._inner.solve(self._x, self._sum, accuracy=ROUGH)
        self._x.array[:] = given[:n]
        self._imaginary.multAdd(self._sum, self._x, self._rest)
        self._inner.solve(self._rest, self._y, accuracy=ROUGH)
        out[:n], out[n:] = self._y.array, self._sum.array - self._y.array


def _rows(matrix, mine: np.ndarray):
    """Copy of a matrix whose other rows are zero."""
    left = matrix.createVecLeft()
    left.array[:] = mine
    copy = matrix.copy()
    copy.diagonalScale(left)
    return copy


def _paired(matrix, number: np.ndarray):
    """Matrix with every entry times a number like `REAL`."""
    first, columns, values = matrix.getValuesCSR()
    size = tuple(2 * n for n in matrix.getSizes()[0])
    blocks = (first, columns, values[:, None, None] * number)
    return PETSc.Mat().createBAIJ((size, size), 2, csr=blocks, comm=matrix.comm)
