"""What enters where: corners, periodic borders, names, axes; scaled units."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir, still  # noqa: E402

from mesobridge.continuum.adjoint import gradient  # noqa: E402
from mesobridge.continuum.audit import audit  # noqa: E402
from mesobridge.continuum.borders import ChargeTransfer, Flux, Stern  # noqa: E402
from mesobridge.continuum.closed import solve_closed  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.impedance import impedance  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.periodic import Periodic  # noqa: E402
from mesobridge.continuum.quantities import Charge, Inflow  # noqa: E402
from mesobridge.continuum.reactions import Reaction  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.continuum.transient import solve_transient  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem
SIDES = (Periodic("left", "right"),)
LINES = np.linspace(0, 1, 6)


def beside(first, charges=(0,), **given):
    """Model of a period of one, from `first` on."""
    domain = rectangle(first + LINES, graded(1.0, 0.1, growth=1.3))
    return NernstPlanckPoisson(domain, list(charges), periodic=SIDES, **given)


@pytest.mark.parametrize("first", [0.0, 10.0])
@pytest.mark.parametrize("jump", [0.0, 0.5])
def test_terms_pass_no_periodic_border(first, jump):
    """All that an electrode lets in goes up; a field along it moves the ions besides."""
    pair = (Periodic("left", "right", jump),)
    couple = ChargeTransfer("bottom", (1.0, -1.0), rate=0.5, potential=0.7)
    terms = (couple, Flux("bottom", 1, 0.3))
    model = beside(first, [1, 0], borders=terms)
    medium = medium_of(model, poisson=1e4)
    given = Conditions(**reservoir(2, "top"), borders=terms, periodic=pair)
    found = solve_steady(model, medium, given)
    assert found.inflow[0, "bottom"] == pytest.approx(-found.inflow[0, "top"], rel=1e-9)
    assert abs(found.inflow[0, "bottom"]) > 0.1
    # Without a field across, concentrations are linear.
    c, y = found.concentration[0], model.points[:, 1]
    mean = (c[y == 0].mean() + c[y == y.max()].mean()) / 2
    assert found.inflow[0, "right"] == pytest.approx(jump * mean, rel=1e-3, abs=1e-12)
    assert found.inflow[0, "left"] == -found.inflow[0, "right"]
    assert found.inflow[1, "right"] == pytest.approx(0.0, abs=1e-12)
    assert audit(model, found).worst < 1e-10


def test_reactions_and_storage_pass_no_periodic_border():
    decay = [Reaction("A", {0: -1}, ["A", "B", "C"])]
    model = beside(5.0, [0, 1, -1], reactions=decay)
    given = Conditions(**reservoir(3, "top"), periodic=SIDES)
    found = solve_steady(model, medium_of(model), given)
    assert found.inflow[0, "top"] > 0.5
    assert found.inflow[0, "right"] == pytest.approx(0.0, abs=1e-12)
    assert audit(model, found).worst < 1e-10
    model = beside(5.0)
    emptied = Conditions(**reservoir(1, "top", psi=-1.0), periodic=SIDES)
    rest = still(model, medium_of(model))
    run = solve_transient(model, medium_of(model), emptied, 0.05, start=rest)
    assert run.inflow[0, "top"][-1] < -0.5
    # The first front is steeper than a triangle, and triangles lean to one side.
    assert np.abs(run.inflow[0, "right"]).max() < 1e-5
    assert abs(run.inflow[0, "right"][-1]) < 1e-10


def test_gradient_of_a_current_along_an_electrode():
    pair, h = (Periodic("left", "right", 0.8),), 1e-4
    terms = (ChargeTransfer("bottom", (1.0, -1.0), rate=0.5, potential=0.7),)
    decay = [Reaction("A", {0: -1}, ["A", "B"])]
    model = beside(3.0, [1, 0], borders=terms, reactions=decay)
    given = Conditions(**reservoir(2, "top"), borders=terms, periodic=pair)
    flux, x = Inflow(0, "right"), model.points
    mean = gradient(model, solve_steady(model, medium_of(model), given), flux)
    bump = np.cos(2 * np.pi * x[:, 0]) + x[:, 1] * np.array([[1.0], [2.0]])
    for name in ("mu_ex", "diffusivity"):
        ends = []
        for sign in (-1, 1):
            moved = np.exp(sign * h * bump) if name == "diffusivity" else sign * h * bump
            found = solve_steady(model, medium_of(model, **{name: moved}), given)
            ends.append(flux(model, found))
        slope = mean.mu_ex if name == "mu_ex" else mean.ln_diffusivity
        exact = (ends[1] - ends[0]) / (2 * h)
        assert (slope * bump).sum() == pytest.approx(exact, rel=1e-5)
        assert abs(exact) > 1e-2


@pytest.mark.parametrize("kind", ["psi", "concentration"])
def test_a_corner_is_counted_once(kind):
    model = NernstPlanckPoisson(rectangle(LINES, LINES), [1, -1])
    values = {"left": 0.5, "bottom": 0.2, "right": -0.3}
    held = {(i, place): value for place, value in values.items() for i in (0, 1)}
    if kind == "psi":
        given = Conditions(psi=held, phi=values)
    else:
        density = {key: np.exp(value) for key, value in held.items()}
        given = Conditions(phi=values, concentration=density)
    medium = medium_of(
        model, mu_ex=0.3 * np.sin(3 * model.points[:, 0]) * np.ones((2, 1))
    )
    found = solve_steady(model, medium, given)
    assert audit(model, found).worst < 1e-11
    h, bump = 1e-4, np.cos(2 * model.points[:, :2].sum(axis=1)) * np.ones((2, 1))
    quantities = [Inflow(0, "left"), Inflow(1, "bottom"), Charge("bottom")]
    slopes = [gradient(model, found, one) for one in quantities]
    ends = []
    for sign in (-1, 1):
        moved = medium_of(model, mu_ex=medium.mu_ex + sign * h * bump)
        state = solve_steady(model, moved, given)
        ends.append([one(model, state) for one in quantities])
    exact = (np.array(ends[1]) - ends[0]) / (2 * h)
    assert [(one.mu_ex * bump).sum() for one in slopes] == pytest.approx(exact, rel=1e-5)


def test_a_border_may_have_any_name():
    for name in ("storage", "here", "response", "transport"):
        domain = interval(np.linspace(0, 2, 11), names=(name, "right"))
        wall = (Stern(name, 1.0, 0.5),)
        model = NernstPlanckPoisson(domain, [1, -1], borders=wall)
        given = Conditions(**reservoir(2, "right"), borders=wall)
        given.psi[0, name] = 0.1
        found = solve_steady(model, medium_of(model), given)
        assert gradient(model, found, Charge(name)).mu_ex.any()
        assert np.isfinite(impedance(model, found, name, 1.0).admittance).all()


def test_a_period_along_the_axis_may_be_rounded():
    lines = np.linspace(0, 1, 5)
    pairs = (Periodic("bottom", "top", 0.5),)
    tube = rectangle(lines, lines, symmetry="axial")
    x = tube.mesh.geometry.x
    x[x[:, 1] > 0.99, 0] *= 1 + 1e-15
    model = NernstPlanckPoisson(tube, [1], periodic=pairs)
    medium = medium_of(model, fixed_charge=-1.0)
    found = solve_closed(model, medium, Conditions(periodic=pairs), [1.0])
    assert found.inflow[0, "top"] == pytest.approx(0.5 * np.pi, rel=1e-8)


@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_phi_is_zero_at_one_node_in_any_unit(unit):
    domain = rectangle(unit * LINES, unit * LINES)
    model = NernstPlanckPoisson(domain, [1, -1])
    (row,) = model.anchor
    (node,) = np.flatnonzero(model.order == row // 3)
    assert row % 3 == 2
    assert np.abs(model.points[node]).max() < 1e-6 * unit


def test_an_axis_or_a_centre_holds_nothing():
    ball = interval(np.linspace(0, 1, 5), symmetry="spherical")
    wire = rectangle(LINES, LINES, symmetry="axial")
    for domain in (ball, wire):
        model = NernstPlanckPoisson(domain, [1, -1])
        for held in (
            {"phi": {"left": 0.1}},
            {"concentration": {(0, "left"): 2.0}},
            {"psi": {(0, "left"): 0.1}},
        ):
            given = {**reservoir(2, "right")}
            given |= {key: {**given.get(key, {}), **value} for key, value in held.items()}
            with pytest.raises(InputError, match="no area"):
                solve_steady(model, medium_of(model), Conditions(**given))
        wall = (Stern("left", 1.0, 0.1),)
        model = NernstPlanckPoisson(domain, [1, -1], borders=wall)
        with pytest.raises(InputError, match="no area"):
            solve_steady(
                model,
                medium_of(model),
                Conditions(**reservoir(2, "right"), borders=wall),
            )
    hollow = interval(np.linspace(0.1, 1, 5), symmetry="spherical")
    model = NernstPlanckPoisson(hollow, [1, -1])
    given = Conditions(**reservoir(2, "right"))
    given.phi["left"] = 0.1
    solve_steady(model, medium_of(model), given)
