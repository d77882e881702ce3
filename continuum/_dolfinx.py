"""The one file that knows which DOLFINx is installed (0.5.2 to the newest).

Boundary conditions, vectors and Newton steps are written in `newton.py` with the calls
that never changed; here is what did.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import inspect
import logging
import pathlib
import platform
import warnings
from collections.abc import Iterator, Mapping

import h5py  # noqa: F401 - before dolfinx, whose HDF5 is another one
import numpy as np

from ..core.errors import InputError

try:
    import dolfinx.fem
    import dolfinx.io
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
    "MPI",
    "PETSc",
    "assemble_matrix",
    "assemble_scalar",
    "assemble_vector",
    "border_nodes",
    "constant",
    "create_blocks",
    "create_matrix",
    "evaluator",
    "facet_vertices",
    "form",
    "from_gmsh",
    "function",
    "interval",
    "lagrange",
    "merged",
    "node_positions",
    "over_all",
    "petsc_vector",
    "put_options",
    "quiet",
    "rectangle",
    "release",
    "tag_borders",
    "tagged",
    "ufl",
    "write_xdmf",
]

FORWARD = (PETSc.InsertMode.INSERT, PETSc.ScatterMode.FORWARD)
_REVERSE = (PETSc.InsertMode.ADD, PETSc.ScatterMode.REVERSE)


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


# ---------------------------------------------------------------------------- meshes


def interval(vertices: np.ndarray, comm):
    """Mesh of an interval with the given increasing vertices."""
    n = len(vertices) - 1
    mesh = dolfinx.mesh.create_interval(comm, n, [0.0, float(n)])
    # Moving a uniform mesh needs none of the calls that create_mesh changed.
    x = mesh.geometry.x
    x[:, 0] = np.interp(x[:, 0], np.arange(n + 1), vertices)
    return mesh


def rectangle(x: np.ndarray, y: np.ndarray, comm):
    """Triangles of a rectangle with the given increasing grid lines, crossed evenly."""
    n = len(x) - 1, len(y) - 1
    mesh = dolfinx.mesh.create_rectangle(
        comm,
        [np.zeros(2), np.array(n, dtype=float)],
        n,
        dolfinx.mesh.CellType.triangle,
        diagonal=dolfinx.mesh.DiagonalType.left_right,
    )
    points = mesh.geometry.x
    for axis, lines in enumerate((x, y)):
        points[:, axis] = np.interp(points[:, axis], np.arange(len(lines)), lines)
    return mesh


def from_gmsh(model, comm, dim: int):
    """Mesh and facet tags of a gmsh model that rank 0 holds."""
    try:
        gmshio = importlib.import_module("dolfinx.io.gmshio")
    except ImportError:  # 0.10: renamed
        gmshio = importlib.import_module("dolfinx.io.gmsh")
    with quiet():  # which compiles the element of the geometry
        data = gmshio.model_to_mesh(model, comm, 0, gdim=dim)
    if hasattr(data, "facet_tags"):
        return data.mesh, data.facet_tags
    return data[0], data[2]


def tag_borders(mesh, markers: dict) -> tuple[object, dict[str, int]]:
    """Facet tags of borders, each a function of points (3, n) that says which it holds.

    Returns
    -------
    tags
        DOLFINx facet tags.
    numbers
        Name -> tag.
    """
    dim = mesh.topology.dim - 1
    mesh.topology.create_connectivity(dim, dim + 1)
    found = [
        dolfinx.mesh.locate_entities_boundary(mesh, dim, marker)
        for marker in markers.values()
    ]
    facets = np.concatenate(found).astype(np.int32)
    values = np.repeat(np.arange(1, len(found) + 1), [len(f) for f in found])
    facets, first = np.unique(facets, return_index=True)
    tags = dolfinx.mesh.meshtags(mesh, dim, facets, values[first].astype(np.int32))
    return tags, {name: number for number, name in enumerate(markers, start=1)}


def tagged(tags, number: int) -> np.ndarray:
    """Facets of this process with a tag."""
    return tags.indices[tags.values == number]


def facet_vertices(mesh, facets: np.ndarray) -> np.ndarray:
    """Positions of the vertices of facets, shape (n_facets, dimension, 3)."""
    return _vertices(mesh, mesh.topology.dim - 1, facets)


def cell_vertices_at(mesh, facets: np.ndarray) -> np.ndarray:
    """Positions of the vertices of a cell at each facet, shape (n, dimension + 1, 3)."""
    dim = mesh.topology.dim
    mesh.topology.create_connectivity(dim - 1, dim)
    beside = mesh.topology.connectivity(dim - 1, dim)
    cells = np.array([beside.links(facet)[0] for facet in facets], dtype=np.int32)
    return _vertices(mesh, dim, cells)


def owned_facets(mesh, facets: np.ndarray) -> np.ndarray:
    """Those facets that no other process counts as its own."""
    dim = mesh.topology.dim - 1
    return facets[facets < mesh.topology.index_map(dim).size_local]


def _vertices(mesh, dim: int, entities: np.ndarray) -> np.ndarray:
    if len(entities) == 0:  # 0.9 would end the process
        return np.empty((0, dim + 1, 3))
    mesh.topology.create_connectivity(dim, mesh.topology.dim)
    if hasattr(dolfinx.mesh, "entities_to_geometry"):  # 0.8
        nodes = dolfinx.mesh.entities_to_geometry(mesh, dim, entities)
    else:
        inner = mesh._cpp_object if hasattr(mesh, "_cpp_object") else mesh._mesh
        nodes = dolfinx.cpp.mesh.entities_to_geometry(inner, dim, entities, False)
    return mesh.geometry.x[nodes].reshape(len(entities), dim + 1, 3)


# ---------------------------------------------------------------------------- spaces


def over_all(comm, value, op=MPI.SUM):
    """Sum, or another reduction, of the values of all processes.

    Alone it is the value: a call of MPI from Python costs as much as 1000 additions.
    """
    return value if comm.size == 1 else comm.allreduce(value, op=op)


def lagrange(mesh, degree: int, size: int):
    """Continuous Lagrange space of `size` components, blocked node by node.

    Zero components make a space of scalars.
    """
    element = ("Lagrange", degree)
    with quiet():
        if hasattr(dolfinx.fem, "functionspace"):
            shaped = (*element, (size,)) if size else element
            return dolfinx.fem.functionspace(mesh, shaped)
        if size:
            return dolfinx.fem.VectorFunctionSpace(mesh, element, dim=size)
        return dolfinx.fem.FunctionSpace(mesh, element)


def node_positions(space) -> np.ndarray:
    """Coordinates of the nodes of this process, shared ones last, shape (n_nodes, 3)."""
    return space.tabulate_dof_coordinates().copy()


def cell_nodes(space) -> np.ndarray:
    """Nodes of each cell of this process, shape (n_cells, nodes of a cell)."""
    listed = space.dofmap.list
    listed = getattr(listed, "array", listed)  # an adjacency list before 0.7
    return np.asarray(listed).reshape(-1, space.dofmap.dof_layout.num_dofs)


def border_nodes(space, facets: np.ndarray) -> np.ndarray:
    """Nodes on facets, as indices of this process."""
    mesh = space.mesh
    dim = mesh.topology.dim - 1
    mesh.topology.create_connectivity(dim, dim + 1)
    return dolfinx.fem.locate_dofs_topological(space, dim, facets)


def function(space):
    """Function of a space, zero."""
    return dolfinx.fem.Function(space)


def evaluator(space, values: list):
    """What gives UFL values at the nodes when it is called, shape (n_nodes, n_values).

    The nodes are those of `space`, which has as many components.
    """
    points = space.element.interpolation_points
    points = points() if callable(points) else points
    with quiet():
        expression = dolfinx.fem.Expression(ufl.as_vector(values), points)
    target = dolfinx.fem.Function(space)

    def evaluate() -> np.ndarray:
        target.interpolate(expression)
        return target.x.array.reshape(-1, len(values))

    return evaluate


def constant(mesh, value):
    """Value that a compiled form reads at run time: no new kernel when it changes."""
    return dolfinx.fem.Constant(mesh, np.asarray(value, dtype=PETSc.ScalarType))


# ---------------------------------------------------------------------------- assembly


def merged(form):
    """UFL form with one integral for all over the same cells or facets.

    UFL compares integrands of one kind with each other: with closures that iterate this
    had not ended after minutes.
    """
    found: dict = {}
    for one in form.integrals():
        kind = one.integral_type(), one.subdomain_id(), str(one.metadata())
        if kind in found:
            one = one.reconstruct(found[kind].integrand() + one.integrand())
        found[kind] = one
    return ufl.Form(list(found.values()))


def form(expression):
    """Compile a UFL form."""
    with quiet():
        return dolfinx.fem.form(expression, **_jit())


@functools.cache
def _jit() -> dict:
    """Options that compile for this machine, where its processor can be told.

    The cache of compiled forms tells them apart by options: machines with other
    processors may share it, because the name of the processor's abilities is one.
    """
    cpu = pathlib.Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not cpu.exists():
        return {}
    able = next(line for line in cpu.read_text().splitlines() if line[:5] == "flags")
    name = hashlib.sha256(able.encode()).hexdigest()[:16]
    flags = ["-O3", "-march=native", "-g0", f"-DCPU_{name}"]
    known = inspect.signature(dolfinx.fem.form).parameters
    options = "jit_options" if "jit_options" in known else "jit_params"  # before 0.6
    return {options: {"cffi_extra_compile_args": flags}}


def petsc_vector(u):
    """PETSc vector that shares the memory of a function."""
    return u.x.petsc_vec if hasattr(u.x, "petsc_vec") else u.vector


def release(comm) -> None:
    """Free PETSc objects that were dropped; all processes of `comm` call it together.

    Without it PETSc 3.18 and later keep them: processes need not drop them in one order.
    """
    if hasattr(PETSc, "garbage_cleanup"):
        PETSc.garbage_cleanup(comm)


def put_options(prefix: str, options: Mapping) -> None:
    """Defaults of PETSc's options: what the user gave stays."""
    known = PETSc.Options(prefix)
    for name, value in options.items():
        if not known.hasName(name):
            known[name] = value


def create_matrix(compiled):
    """Matrix with the sparsity of a bilinear form."""
    return _petsc.create_matrix(compiled)


def create_blocks(compiled):
    """The same, stored node by node: put together in half the time."""
    return _petsc.create_matrix(compiled, "baij")


def assemble_matrix(matrix, compiled) -> None:
    """Overwrite `matrix` with the assembled bilinear form."""
    matrix.zeroEntries()
    _petsc.assemble_matrix(matrix, compiled)
    matrix.assemble()


def assemble_vector(vector, compiled) -> None:
    """Overwrite `vector` with the assembled linear form; shares of all are added up."""
    with vector.localForm() as local:
        local.set(0.0)
    _petsc.assemble_vector(vector, compiled)
    vector.ghostUpdate(*_REVERSE)


def assemble_scalar(compiled, comm) -> float:
    """Value of a functional, the sum over all processes."""
    return comm.allreduce(dolfinx.fem.assemble_scalar(compiled), op=MPI.SUM)


def write_xdmf(path, mesh, fields: dict, time: float | None = None) -> None:
    """Write scalar P1 functions for ParaView, with the mesh."""
    with dolfinx.io.XDMFFile(mesh.comm, str(path), "w") as file:
        file.write_mesh(mesh)
        for name, field in fields.items():
            field.name = name
            file.write_function(field, 0.0 if time is None else time)
