"""Shapes against their areas, volumes and the layers they have to resolve."""

import contextlib
import shutil
import signal
import sys

import numpy as np
import pytest
from mpi import by_processes

pytest.importorskip("dolfinx")
gmsh = pytest.importorskip("gmsh", minversion="4.12")

import dolfinx  # noqa: E402
import ufl  # noqa: E402
from scipy.special import i0, i1  # noqa: E402

from mesobridge.continuum import _dolfinx as fx  # noqa: E402
from mesobridge.continuum import shapes  # noqa: E402
from mesobridge.continuum.distance import wall_distance  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem
PI = np.pi


def integral(domain, expression, measure) -> float:
    with fx.quiet():
        form = fx.form(expression * domain.measure * measure)
    return fx.assemble_scalar(form, domain.comm)


def volume(domain) -> float:
    one = fx.constant(domain.mesh, 1.0)
    return integral(domain, one, ufl.dx(domain.mesh, degree=1))


def areas(domain) -> dict[str, float]:
    one = fx.constant(domain.mesh, 1.0)
    return {b: integral(domain, one, domain.ds(b, 1)) for b in domain.borders}


def size_at(domain, *borders) -> float:
    """Longest edge at some borders."""
    facets = np.concatenate([domain.facets(border) for border in borders])
    ends = fx.facet_vertices(domain.mesh, facets)
    return np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).max()


def height_at(domain, border) -> float:
    """Distance of the first nodes off a wall, the largest along it."""
    mesh = domain.mesh
    cells = mesh.geometry.dofmap
    cells = cells.array.reshape(-1, domain.dim + 1) if hasattr(cells, "array") else cells
    distance = wall_distance(domain, border, mesh.geometry.x)[cells]
    at_wall = (distance < 1e-9).sum(axis=1) == domain.dim
    return distance[at_wall].max()


def assert_tagged_once(domain):
    topology = domain.mesh.topology
    topology.create_connectivity(domain.dim - 1, domain.dim)
    outside = dolfinx.mesh.exterior_facet_indices(topology)
    assert sorted(domain.tags.indices) == sorted(outside)
    assert set(domain.tags.values) == set(domain.borders.values())


def energy(domain, potential) -> float:
    """Debye-Hueckel energy of a potential laid on the quadratic elements of a mesh."""
    space = fx.lagrange(domain.mesh, 2, 0)
    phi = fx.function(space)
    phi.x.array[:] = potential(*fx.node_positions(space).T)
    density = ufl.inner(ufl.grad(phi), ufl.grad(phi)) + phi * phi
    return integral(domain, density, ufl.dx(domain.mesh, degree=4))


# ------------------------------------------------------------- straight, by the grid


@pytest.mark.parametrize("half", [True, False])
def test_slit(half):
    slit = shapes.slit(20.0, 10.0, debye=1.0, half=half)
    assert_tagged_once(slit)
    assert volume(slit) == pytest.approx(100.0 if half else 200.0)
    expected = {"left": 5, "right": 5, "wall": 20} if half else {}
    expected |= {"symmetry": 20} if half else {"left": 10, "right": 10, "wall": 40}
    assert areas(slit) == pytest.approx(expected)
    assert height_at(slit, "wall") <= 0.1
    assert slit.mesh.geometry.x[:, 1].min() == (0.0 if half else -5.0)


def test_the_grid_resolves_the_layer_to_a_hundred_thousandth():
    """The excess of the energy is the relative error of charge and capacitance."""
    slit = shapes.slit(20.0, 10.0, debye=1.0)
    found = energy(slit, lambda x, y, z: np.cosh(y) / np.cosh(5.0))
    assert found == pytest.approx(20 * np.tanh(5.0), rel=1e-5)


def test_straight_and_conical_pore():
    pore = shapes.pore(5.0, 20.0, debye=1.0)
    assert_tagged_once(pore)
    assert volume(pore) == pytest.approx(PI * 25 * 20)
    ends = {"left": PI * 25, "right": PI * 25}
    assert areas(pore) == pytest.approx({**ends, "wall": PI * 200, "axis": 0})
    found = energy(pore, lambda r, z, _: i0(r) / i0(5.0))
    assert found == pytest.approx(PI * 200 * i1(5.0) / i0(5.0), rel=1e-5)

    cone = shapes.pore(5.0, 20.0, debye=1.0, tip=2.0)
    assert volume(cone) == pytest.approx(PI * 20 / 3 * (25 + 10 + 4))
    slant = np.hypot(20.0, 3.0)
    expected = {"left": PI * 25, "right": PI * 4, "wall": PI * 7 * slant, "axis": 0}
    assert areas(cone) == pytest.approx(expected)
    assert height_at(cone, "wall") <= 0.1
    wider = shapes.pore(2.0, 20.0, debye=1.0, tip=5.0)
    assert volume(wider) == pytest.approx(volume(cone))


# ---------------------------------------------------------------------- by gmsh


@pytest.mark.parametrize("half", [True, False])
def test_slit_between_reservoirs(half):
    slit = shapes.slit(4.0, 4.0, debye=1.0, half=half, reservoir=(5.0, 12.0))
    sides = 1 if half else 2
    assert_tagged_once(slit)
    assert volume(slit) == pytest.approx(sides * (4 * 2 + 2 * 5 * 6))
    expected = {"wall": 4, "membrane": 8, "top": 10, "left": 6, "right": 6}
    expected = {name: sides * area for name, area in expected.items()}
    assert areas(slit) == pytest.approx(
        {**expected, **({"symmetry": 14} if half else {})}
    )
    assert size_at(slit, "wall", "membrane") <= 0.15
    assert size_at(slit, "left") > 0.5


def test_pore_between_half_balls():
    pore = shapes.pore(2.0, 4.0, debye=1.0, reservoir=8.0)
    assert_tagged_once(pore)
    half_ball = 2 * PI / 3 * 8**3
    assert volume(pore) == pytest.approx(PI * 4 * 4 + 2 * half_ball, rel=0.01)
    found = areas(pore)
    assert found["wall"] == pytest.approx(PI * 4 * 4)
    assert found["membrane"] == pytest.approx(2 * PI * (64 - 4))
    assert found["left"] == pytest.approx(2 * PI * 64, rel=0.01)
    assert found["left"] == pytest.approx(found["right"], rel=1e-6)
    assert size_at(pore, "wall", "membrane") <= 0.15
    coarse = shapes.pore(2.0, 4.0, debye=1.0, reservoir=8.0, fine_membrane=False)
    assert size_at(coarse, "wall") <= 0.15
    assert size_at(coarse, "membrane") > 0.5


def test_conical_pore_with_rounded_rims():
    given = {"tip": 2.0, "reservoir": (6.0, 9.0), "debye": 1.0, "fine_membrane": False}
    sharp = shapes.pore(4.0, 8.0, **given)
    tanks = 2 * PI * 81 * 6
    assert volume(sharp) == pytest.approx(tanks + PI * 8 / 3 * (16 + 8 + 4))
    round_ = shapes.pore(4.0, 8.0, rim=0.5, **given)
    assert_tagged_once(round_)
    faces, outer = areas(round_), areas(sharp)
    assert faces["side"] == pytest.approx(2 * PI * 9 * 12)
    # The solid's angle at the narrow mouth is less than a right one, at the wide more.
    lean = np.arctan(2 / 8) * np.array([-1, 1])
    mouths = np.array([2.0, 4.0])
    rims = mouths + 0.5 / np.tan((PI / 2 + lean) / 2)
    lost = PI * (rims**2 - mouths**2).sum()
    assert outer["membrane"] - faces["membrane"] == pytest.approx(lost)
    assert volume(round_) > volume(sharp)


def test_rough_electrode_repeats():
    wave = {"amplitude": 0.5, "wavelength": 2.0}
    rough = shapes.rough_electrode(4.0, 6.0, debye=1.0, **wave)
    assert_tagged_once(rough)
    assert volume(rough) == pytest.approx(24.0, rel=1e-4)
    x = np.linspace(0, 4, 100_001)
    length = np.hypot(np.diff(x), np.diff(0.5 * np.cos(PI * x))).sum()
    found = areas(rough)
    assert found["electrode"] == pytest.approx(length, rel=1e-3)
    assert (found["left"], found["right"], found["bulk"]) == pytest.approx((5.5, 5.5, 4))
    assert size_at(rough, "electrode") <= 0.15
    sides = [fx.facet_vertices(rough.mesh, rough.facets(b)) for b in ("left", "right")]
    left, right = (np.unique(ends[..., 1].round(9)) for ends in sides)
    assert left == pytest.approx(right, abs=1e-9)


def test_a_profile_of_ones_own_and_a_flat_one():
    def ridge(x):
        return np.minimum(x, 3.0 - x)

    roof = shapes.rough_electrode(3.0, 5.0, debye=1.0, profile=ridge)
    assert volume(roof) == pytest.approx(15 - 2.25, rel=1e-4)
    assert areas(roof)["electrode"] == pytest.approx(3 * np.sqrt(2), rel=1e-3)

    flat = shapes.rough_electrode(3.0, 10.0, debye=1.0)
    found = energy(flat, lambda x, y, z: np.exp(-y))
    assert found == pytest.approx(3.0, rel=2e-5)


def test_sizes_scale_with_refine():
    sizes = [
        size_at(shapes.rough_electrode(2.0, 4.0, debye=1.0, refine=refine), "electrode")
        for refine in (1, 2)
    ]
    assert sizes == pytest.approx([0.1, 0.05], rel=0.2)
    first = shapes.rough_electrode(2.0, 4.0, debye=1.0, first=0.2)
    assert size_at(first, "electrode") == pytest.approx(0.2, rel=0.2)


def test_pore_in_three_dimensions():
    pore = shapes.pore3d(3.0, 6.0, debye=1.0, around=24)
    assert_tagged_once(pore)
    assert volume(pore) == pytest.approx(PI * 9 * 6)
    found = areas(pore)
    assert found["left"] == pytest.approx(PI * 9)
    assert found["right"] == pytest.approx(PI * 9)
    assert found["wall"] == pytest.approx(PI * 36 * (1 + 1.6 / 24**2), rel=1e-3)
    assert height_at(pore, "wall") <= 0.1
    r = np.hypot(*pore.mesh.geometry.x.T[:2])
    sagitta = 5 * 3.0 / 24**2
    distance = wall_distance(pore, "wall", pore.mesh.geometry.x)
    assert np.abs(distance - (3.0 - r)).max() < sagitta


def test_distance_to_a_curved_wall():
    rough = shapes.rough_electrode(2.0, 4.0, debye=1.0, amplitude=0.3)
    points = rough.mesh.geometry.x
    x = np.linspace(0, 2, 4001)
    wall = np.array([x, 0.3 * np.cos(PI * x)])
    exact = np.linalg.norm(points[:, :2, None] - wall, axis=1).min(axis=1)
    sagitta = 0.1**2 * 0.3 * PI**2 / 8
    found = wall_distance(rough, "electrode", points)
    assert found == pytest.approx(exact, abs=1.1 * sagitta)


# ------------------------------------------------------------------------ from files


@contextlib.contextmanager
def users_session():
    gmsh.initialize([], False, interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        yield
    finally:
        gmsh.finalize()


def write_square(path, *, borders=("wall",), order=1, twice=False):
    """A square of side 2 with a point that belongs to no cell."""
    with users_session():
        gmsh.model.occ.addRectangle(0, 0, 0, 2, 2)
        gmsh.model.occ.addPoint(9, 9, 0)
        gmsh.model.occ.synchronize()
        gmsh.model.addPhysicalGroup(2, [1], name="water")
        for name, curves in zip(borders, ([1, 3], [2]), strict=False):
            gmsh.model.addPhysicalGroup(1, curves, name=name)
        if twice:
            gmsh.model.addPhysicalGroup(1, [1], name="twice")
        gmsh.option.setNumber("Mesh.ElementOrder", order)
        gmsh.option.setNumber("Mesh.SaveAll", 1 if not borders else 0)
        gmsh.model.mesh.generate(2)
        gmsh.write(str(path))
    return path


def test_a_file_of_ones_own(tmp_path):
    path = write_square(tmp_path / "square.msh", borders=("wall", "outlet"))
    square = shapes.from_file(path, unit=0.5)
    assert volume(square) == pytest.approx(1.0)
    assert areas(square) == pytest.approx({"wall": 2.0, "outlet": 1.0})
    assert shapes.from_file(path, symmetry="axial").symmetry == "axial"


def test_files_that_cannot_be_used_say_why(tmp_path):
    path = tmp_path / "square.msh"
    with pytest.raises(InputError, match="a .msh file that exists"):
        shapes.from_file(path)
    with pytest.raises(InputError, match="that have names"):
        shapes.from_file(write_square(path, borders=()))
    with pytest.raises(InputError, match="Triangle 6"):
        shapes.from_file(write_square(path, order=2))
    with pytest.raises(InputError, match="in two of wall, twice"):
        shapes.from_file(write_square(path, twice=True))
    with pytest.raises(InputError, match="unit of a mesh file"):
        shapes.from_file(path, unit=0.0)
    path.write_text("no mesh\n")
    with pytest.raises(InputError, match="square.msh|could not make"):
        shapes.from_file(path)


# -------------------------------------------------------------------- gmsh, MPI, errors


def test_a_users_session_and_interrupts_are_left_alone():
    handler = signal.getsignal(signal.SIGINT)
    shapes.rough_electrode(1.0, 1.0, debye=1.0)
    assert not gmsh.isInitialized()
    with users_session():
        gmsh.model.add("mine")
        gmsh.option.setNumber("Mesh.Algorithm", 5)
        gmsh.option.setNumber("Mesh.ElementOrder", 2)
        rough = shapes.rough_electrode(1.0, 1.0, debye=1.0)
        assert volume(rough) == pytest.approx(1.0)
        assert gmsh.model.getCurrent() == "mine"
        assert gmsh.model.list().count("mesobridge") == 0
        assert gmsh.option.getNumber("Mesh.Algorithm") == 5
        assert gmsh.option.getNumber("Mesh.ElementOrder") == 2
    assert signal.getsignal(signal.SIGINT) is handler


def test_without_gmsh_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gmsh", None)
    with pytest.raises(InputError, match="pip install"):
        shapes.pore(1.0, 1.0, debye=1.0, reservoir=3.0)
    assert shapes.pore(1.0, 1.0, debye=1.0).dim == 2


def test_a_gmsh_that_is_too_old_is_refused(monkeypatch):
    monkeypatch.setattr(gmsh, "GMSH_API_VERSION", "4.8.0")
    with pytest.raises(InputError, match="too old"):
        shapes.rough_electrode(1.0, 1.0, debye=1.0)


PARALLEL = """
import h5py, dolfinx, ufl
from mpi4py import MPI
from mesobridge.continuum import _dolfinx as fx, shapes
from mesobridge.continuum.distance import wall_distance
from mesobridge.core.errors import InputError

domain = shapes.slit(2.0, 2.0, debye=1.0, reservoir=(2.0, 6.0), comm=MPI.COMM_WORLD)
one = fx.constant(domain.mesh, 1.0)
with fx.quiet():
    area = fx.assemble_scalar(fx.form(one * ufl.dx(domain.mesh, degree=1)), domain.comm)
    wall = fx.assemble_scalar(fx.form(one * domain.ds("wall", 1)), domain.comm)
assert abs(area - 14) < 1e-9, area
assert abs(wall - 2) < 1e-9, wall
far = wall_distance(domain, "wall", [[1.0, 0.0, 0.0], [-2.0, 1.0, 0.0]])
assert abs(far - [1, 2]).max() < 1e-12, far
try:
    shapes.from_file(__file__[:-2] + "msh", comm=MPI.COMM_WORLD)
except InputError as error:
    print("refused", flush=True)
"""


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="needs mpirun")
def test_two_processes_share_a_mesh_and_its_errors(tmp_path):
    script = tmp_path / "share.py"
    script.write_text(PARALLEL)
    script.with_suffix(".msh").write_text("no mesh\n")
    assert by_processes(2, script).count("refused") == 2


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        (shapes.slit, {"length": -1.0, "height": 1.0}, "length of a shape"),
        (shapes.slit, {"length": 1, "height": 1, "growth": 1.0}, "grading of a mesh"),
        (shapes.slit, {"length": 1, "height": 2, "reservoir": (1, 2)}, "narrower"),
        (shapes.pore, {"radius": 1, "length": 1, "reservoir": 0.5}, "narrower"),
        (shapes.pore, {"radius": 1, "length": 1, "rim": 0.1}, "without a reservoir"),
        (shapes.pore, {"radius": 1, "length": 1, "reservoir": 9, "rim": 2}, "not fit"),
        (shapes.pore3d, {"radius": 1, "length": 1, "around": 10}, "edges around"),
        (shapes.rough_electrode, {"width": 1, "height": 1, "amplitude": 2}, "reaches"),
        (
            shapes.rough_electrode,
            {"width": 1, "height": 1, "amplitude": 0.1, "wavelength": 0.7},
            "does not repeat",
        ),
        (
            shapes.rough_electrode,
            {"width": 1, "height": 1, "profile": lambda x: 0.0},
            "profile of a rough",
        ),
    ],
)
def test_shapes_that_cannot_be_say_why(shape, given, message):
    with pytest.raises(InputError, match=message):
        shape(**given, debye=1.0)
