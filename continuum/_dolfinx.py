"""The one file that knows which DOLFINx is installed (0.5.2 to the newest).

Boundary conditions, vectors and Newton steps are written in `newton.py` with the calls
that never changed; here is what did.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

import h5py  # noqa: F401 - before dolfinx, whose HDF5 is another one
import numpy as np

from ..core.errors import InputError

try:
    import dolfinx.fem
    import dolfinx.mesh
    import ufl
    from mpi4py import MPI
    from petsc4py import PETSc

    try:
        import dolfinx.fem.petsc as _petsc
    except ImportError:  # 0.5: an attribute of the package, not a module
        _petsc = dolfinx.fem.petsc
except ImportError as exc:
    raise InputError(
        "DOLFINx cannot be imported",
        wanted="a Python that imports dolfinx, 0.5.2 or newer",
        got=str(exc),
        mend="apt-get install python3-dolfinx-real, or conda install -c conda-forge "
        "fenics-dolfinx, or the Docker image dolfinx/dolfinx; then make setup",
    ) from exc

__all__ = [
    "PETSc",
    "assemble_matrix",
    "assemble_vector",
    "constant",
    "create_matrix",
    "form",
    "function",
    "interval",
    "node_positions",
    "petsc_vector",
    "quiet",
    "ufl",
    "vector_space",
]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the form compiler and its build tools log and warn of."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logging.disable(before)


def interval(vertices: np.ndarray):
    """Mesh of an interval with the given increasing vertices, on this process alone."""
    n = len(vertices) - 1
    domain = dolfinx.mesh.create_interval(MPI.COMM_SELF, n, [0.0, float(n)])
    # Moving a uniform mesh needs none of the calls that create_mesh changed.
    x = domain.geometry.x
    x[:, 0] = np.interp(x[:, 0], np.arange(n + 1), vertices)
    return domain


def vector_space(domain, degree: int, size: int):
    """Continuous Lagrange space of `size` > 1 components, blocked node by node."""
    if hasattr(dolfinx.fem, "functionspace"):
        return dolfinx.fem.functionspace(domain, ("Lagrange", degree, (size,)))
    return dolfinx.fem.VectorFunctionSpace(domain, ("Lagrange", degree), dim=size)


def node_positions(space) -> np.ndarray:
    """Coordinate of each node of a space on an interval, shape (n_nodes,)."""
    return space.tabulate_dof_coordinates()[:, 0].copy()


def function(space):
    """Function of a space, zero."""
    return dolfinx.fem.Function(space)


def constant(domain, value):
    """Value that a compiled form reads at run time: no new kernel when it changes."""
    return dolfinx.fem.Constant(domain, np.asarray(value, dtype=PETSc.ScalarType))


def form(expression):
    """Compile a UFL form."""
    return dolfinx.fem.form(expression)


def petsc_vector(u):
    """PETSc vector that shares the memory of a function."""
    return u.x.petsc_vec if hasattr(u.x, "petsc_vec") else u.vector


def create_matrix(compiled):
    """Matrix with the sparsity of a bilinear form."""
    return _petsc.create_matrix(compiled)


def assemble_matrix(matrix, compiled) -> None:
    """Overwrite `matrix` with the assembled bilinear form."""
    matrix.zeroEntries()
    _petsc.assemble_matrix(matrix, compiled)
    matrix.assemble()


def assemble_vector(vector, compiled) -> None:
    """Overwrite `vector` with the assembled linear form."""
    vector.set(0.0)
    _petsc.assemble_vector(vector, compiled)
