"""Periodic cells against closed forms and against themselves, shifted."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402
from scipy.integrate import cumulative_trapezoid, simpson  # noqa: E402

from mesobridge.continuum import _dolfinx as fx  # noqa: E402
from mesobridge.continuum.borders import SurfaceCharge  # noqa: E402
from mesobridge.continuum.closed import solve_closed  # noqa: E402
from mesobridge.continuum.closures import Bikerman  # noqa: E402
from mesobridge.continuum.domain import Domain, interval, rectangle  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.periodic import Periodic  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.continuum.transient import solve_transient  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem
SIDES = (Periodic("left", "right"),)


def along(jump):
    return (Periodic("left", "right", jump), Periodic("bottom", "top"))


@pytest.mark.parametrize("linear", ["direct", "fieldsplit"])
def test_conductivity_of_a_solution(linear):
    """Flux of each ion is z D c times the mean field, on any mesh."""
    domain = rectangle(graded(2.0, 0.1, growth=1.3, both=True), np.linspace(0, 1, 6))
    model = NernstPlanckPoisson(domain, [2, -1], periodic=along(0.0), linear=linear)
    medium = medium_of(model, poisson=0.02, diffusivity=np.array([0.5, 2.0]))
    mean, slope = np.array([0.7, 1.4]), 3.0 / 2.0
    found = solve_closed(model, medium, Conditions(periodic=along(3.0)), mean)
    into = [found.inflow[i, "right"] for i in (0, 1)]
    assert into == pytest.approx(np.array([2, -1]) * [0.5, 2.0] * mean * slope, rel=1e-8)
    assert np.abs(found.concentration.T - mean).max() < 1e-6
    assert [found.inflow[i, "top"] for i in (0, 1)] == pytest.approx([0, 0], abs=1e-10)
    assert model.newton.rescues == 0


def test_a_pattern_of_charge_is_screened():
    """Debye and Hueckel: phi = rho / (p k^2 + 2) for a small cosine."""
    model = NernstPlanckPoisson(interval(np.linspace(0, 3, 61)), [1, -1], periodic=SIDES)
    k, poisson = 2 * np.pi / 3, 0.4
    wave = np.cos(k * model.x)
    medium = medium_of(model, poisson=poisson, fixed_charge=1e-4 * wave)
    found = solve_closed(model, medium, Conditions(periodic=SIDES), [1.0, 1.0])
    phi = found.phi - found.phi.mean()
    exact = 1e-4 * wave / (poisson * k**2 + 2)
    assert phi == pytest.approx(exact - exact.mean(), abs=1e-9)
    assert found.phi[0] == found.phi[-1]


def test_drift_over_periodic_barriers():
    """Stratonovich's current of one ion in a tilted periodic potential."""
    field, height, length = 2.5, 1.5, 1.0
    pair = (Periodic("left", "right", -field * length),)
    vertices = np.linspace(0, length, 101)
    model = NernstPlanckPoisson(interval(vertices), [1], periodic=pair)
    barrier = height * np.cos(2 * np.pi * model.x)
    # So large a Poisson number leaves the mean field alone.
    medium = medium_of(
        model, poisson=1e5, mu_ex=barrier[None], fixed_charge=-1.0 * np.ones(len(barrier))
    )
    found = solve_closed(model, medium, Conditions(periodic=pair), [1.0])
    x = np.linspace(0, 2 * length, 40001)
    work = height * np.cos(2 * np.pi * x) - field * x
    inner = cumulative_trapezoid(np.exp(work), x, initial=0)
    outer = np.exp(-work[:20001]) * (inner[20000:] - inner[:20001])
    whole = simpson(outer, x=x[:20001])
    exact = -np.expm1(-field * length) / whole
    assert found.inflow[0, "right"] == pytest.approx(-exact, rel=1e-6)


def patterned(first, x):
    """Cell whose bottom is charged on one half of the period, from `first` on."""
    y = graded(1.0, 0.02, growth=1.3)
    mesh = fx.rectangle(x, y, fx.MPI.COMM_SELF)
    small = 1e-9

    def charged(p):
        return (p[1] < small) & (p[0] > first - small) & (p[0] < first + 0.5 + small)

    markers = {
        "charged": charged,
        "left": lambda p: p[0] < small,
        "right": lambda p: p[0] > 1 - small,
        "top": lambda p: p[1] > 1 - small,
    }
    return Domain(mesh, *fx.tag_borders(mesh, markers))


def test_a_shifted_pattern_has_a_shifted_solution():
    """A charged stripe with a current, a field along it, and a reservoir beside it."""
    x, found = np.linspace(0, 1, 17), []
    closure = Bikerman([0.01, 0.01])
    pair = (Periodic("left", "right", 0.7),)
    for first in (0.0, 0.5):
        stripe = (SurfaceCharge("charged", -1.0),)
        model = NernstPlanckPoisson(
            patterned(first, x), [1, -1], closure=closure, borders=stripe, periodic=SIDES
        )
        bulk = reservoir(2, "top")
        bulk["psi"][0, "charged"] = 1.0
        given = Conditions(**bulk, borders=stripe, periodic=pair)
        got = solve_steady(model, medium_of(model, poisson=0.05, closure=closure), given)
        found.append((model, got))
    (model, one), (other, two) = found
    assert two.inflow == pytest.approx(one.inflow, rel=1e-10)
    assert abs(one.inflow[0, "right"]) > 0.1
    # The mesh is its own image: the left half of one is the right half of the other.
    order = {tuple(np.round(p[:2], 9)): n for n, p in enumerate(other.points)}
    left = np.flatnonzero(model.points[:, 0] < 0.5 + 1e-9)
    moved = model.points[left, :2] + [0.5, 0]
    there = [order[tuple(np.round(p, 9))] for p in moved]
    assert two.concentration[:, there] == pytest.approx(one.concentration[:, left])
    sides = [np.flatnonzero(abs(model.points[:, 0] - end) < 1e-9) for end in (0, 1)]
    rows = [side[np.argsort(model.points[side, 1])] for side in sides]
    assert (one.state[:, rows[0]] == one.state[:, rows[1]]).all()


def test_a_periodic_cell_without_a_pattern_is_one_dimensional():
    model = NernstPlanckPoisson(
        rectangle(np.linspace(0, 0.4, 4), graded(5.0, 0.05, growth=1.2)),
        [1, -1],
        periodic=SIDES,
    )
    given = Conditions(**reservoir(2, "top"), periodic=SIDES)
    given.phi["bottom"] = 2.0
    found = solve_steady(model, medium_of(model), given)
    assert found.charge["bottom"] == pytest.approx(0.4 * 4 * np.sinh(1.0), rel=1e-4)


def test_amounts_are_kept_in_time():
    """A jump switched on: the pattern moves, the ions stay."""
    domain = interval(np.linspace(0, 1, 41))
    model = NernstPlanckPoisson(domain, [1, -1], periodic=SIDES)
    wave = np.cos(2 * np.pi * model.x)
    medium = medium_of(model, poisson=0.02, mu_ex=np.vstack([wave, 0 * wave]))
    rest = solve_closed(model, medium, Conditions(periodic=SIDES), [1.0, 1.0])
    on = Conditions(periodic=(Periodic("left", "right", 4.0),))
    run = solve_transient(model, medium, on, 0.5, start=rest)
    sizes = np.diff(model.x[::2])
    for state in (rest, run.last):
        c = state.concentration
        cells = sizes / 6 * (c[:, :-1:2] + 4 * c[:, 1::2] + c[:, 2::2])
        assert cells.sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-4)
    assert np.abs(run.last.concentration - rest.concentration).max() > 0.05


def test_what_cannot_be_periodic_is_refused():
    slanted = patterned(0.0, np.linspace(0, 1, 9))
    slanted.mesh.geometry.x[:, 1] *= 1 + 0.1 * slanted.mesh.geometry.x[:, 0]
    with pytest.raises(InputError, match="do not match: 'left', 'right'"):
        NernstPlanckPoisson(slanted, [1, -1], periodic=SIDES)
    tube = rectangle(np.linspace(0, 1, 5), np.linspace(0, 1, 5), symmetry="axial")
    with pytest.raises(InputError, match="two radii"):
        NernstPlanckPoisson(tube, [1, -1], periodic=SIDES)
    model = NernstPlanckPoisson(interval([0, 0.5, 1]), [1, -1], periodic=SIDES)
    medium = medium_of(model)
    with pytest.raises(InputError, match="periodic that the model was not made for"):
        solve_steady(model, medium, Conditions(psi={(0, "left"): 0.0}))
    with pytest.raises(InputError, match="solve_closed"):
        solve_steady(model, medium, Conditions(periodic=SIDES))
    with pytest.raises(InputError, match="a charged cell without electrodes"):
        solve_closed(model, medium, Conditions(periodic=SIDES), [1.0, 1.1])
    with pytest.raises(InputError, match="mean concentrations"):
        solve_closed(model, medium, Conditions(periodic=SIDES), [1.0, -1.0])
