"""Gradients by profiles against differences, closed forms and sum rules."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402

from mesobridge.continuum.adjoint import gradient, linear_change  # noqa: E402
from mesobridge.continuum.borders import ChargeTransfer, Stern, SurfaceCharge  # noqa: E402
from mesobridge.continuum.closures import CarnahanStarling  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.periodic import Periodic  # noqa: E402
from mesobridge.continuum.quantities import (  # noqa: E402
    Charge,
    Current,
    Inflow,
    Integral,
    Potential,
)
from mesobridge.continuum.reactions import Reaction  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem

MIXED = Integral(lambda here: here.c[0] ** 2 + here.phi * here.psi[1])
PROFILES = ("mu_ex", "ln_diffusivity", "ln_permittivity", "fixed_charge")


def rough(model, **given):
    """A medium in which everything varies."""
    x, n = model.points[:, 0], np.arange(model.n_species)[:, None]
    bump = np.exp(-((x - 1.5) ** 2))
    values = {
        "mu_ex": (0.8 - 0.5 * n) * bump,
        "diffusivity": 1 + 0.5 * np.cos(x + n),
        "c_ref": np.linspace(0.5, 1.5, model.n_species),
        "permittivity": 1 + bump,
        "fixed_charge": 0.3 * np.sin(x),
    }
    return medium_of(model, **values, **given)


def moved(medium, name, change):
    """The medium with a profile of `Gradient` changed."""
    if name.startswith("ln_"):
        field = name.removeprefix("ln_")
        return replace(medium, **{field: getattr(medium, field) * np.exp(change)})
    return replace(medium, **{name: getattr(medium, name) + change})


def check(model, medium, conditions, quantities, profiles=PROFILES, tolerance=1e-6):
    """Compare gradients with central differences, in a random direction."""
    state = solve_steady(model, medium, conditions)
    rng = np.random.default_rng(7)
    slopes = [gradient(model, state, quantity) for quantity in quantities]
    for name in profiles:
        direction = rng.normal(size=getattr(slopes[0], name).shape)
        h, values = 1e-4, []
        for sign in (-1, 1, -2, 2):
            other = moved(medium, name, sign * h * direction)
            found = solve_steady(model, other, conditions, start=state)
            values.append([quantity(model, found) for quantity in quantities])
        near, far = values[1] - np.array(values[0]), values[3] - np.array(values[2])
        for slope, exact in zip(slopes, (8 * near - far) / (12 * h), strict=True):
            got = (getattr(slope, name) * direction).sum()
            size = np.abs(getattr(slope, name) * direction).sum()
            assert got == pytest.approx(exact, rel=tolerance, abs=tolerance * size)


def test_held_potentials_and_concentrations():
    model = NernstPlanckPoisson(interval(graded(4.0, 5e-2, growth=1.1)), [2, -1, 0])
    conditions = Conditions(
        psi={(0, "right"): 0.0, (1, "right"): 0.1},
        concentration={(0, "left"): 0.7, (2, "left"): 2.0, (2, "right"): 1.0},
        phi={"left": -1.5, "right": 0.0},
    )
    quantities = [Inflow(0, "left"), Inflow(2, "right"), Charge("left"), Current("right")]
    check(model, rough(model), conditions, [*quantities, MIXED])


@pytest.mark.parametrize("height", [None, 0.4])
def test_terms_at_a_border_sterics_and_a_reaction(height):
    lines = graded(3.0, 5e-2, growth=1.2)
    domain = interval(lines)
    if height is not None:
        domain = rectangle(lines, np.linspace(0, height, 3))
    closure = CarnahanStarling([0.03, 0.01, 0.02])
    electrode = [
        Stern("left", 2.0, 1.2),
        ChargeTransfer("left", (-1.0, 1.0, 0.0), rate=0.5, potential=1.2, alpha=0.4),
        SurfaceCharge("left", 0.2),
    ]
    decay = Reaction("0.3 * B", {1: -1, 0: 1, 2: -1}, ["A", "B", "X"])
    model = NernstPlanckPoisson(
        domain, [0, 1, -1], closure=closure, borders=electrode, reactions=[decay]
    )
    conditions = Conditions(**reservoir(3, "right"), borders=tuple(electrode))
    quantities = [Inflow(1, "left"), Charge("left"), Current("left"), MIXED]
    check(model, rough(model, closure=closure), conditions, quantities)


def test_given_current():
    electrode = [
        Stern("left", 2.0, 0.0),
        ChargeTransfer("left", (-1.0, 1.0, 0.0), rate=0.5, alpha=0.4),
    ]
    domain = interval(graded(3.0, 5e-2, growth=1.2))
    model = NernstPlanckPoisson(domain, [0, 1, -1], borders=electrode)
    conditions = Conditions(
        **reservoir(3, "right"), borders=tuple(electrode), current={"left": 0.02}
    )
    quantities = [Potential(), Charge("left"), Inflow(2, "right"), MIXED]
    check(model, rough(model), conditions, quantities, tolerance=1e-5)
    state = solve_steady(model, rough(model), conditions)
    slope = gradient(model, state, Current("left"))
    assert slope.value == pytest.approx(0.02, rel=1e-8)
    assert np.abs(slope.ln_diffusivity).max() < 1e-12


def test_anisotropic_diffusion():
    domain = rectangle(np.linspace(0, 2, 9), np.linspace(0, 1, 5))
    model = NernstPlanckPoisson(domain, [1, -1], anisotropic=True)
    x, y = model.points[:, 0], model.points[:, 1]
    medium = rough(
        model,
        diffusivity_par=2 + np.vstack([np.sin(x), np.cos(y)]),
        distance=y + x**2 / 9,
    )
    held = {(0, "left"): 0.5, (1, "bottom"): 0.3, (0, "right"): 0.0, (1, "right"): 0.0}
    conditions = Conditions(held, {"left": 0.4, "right": 0.0})
    profiles = (*PROFILES, "ln_diffusivity_par")
    check(model, medium, conditions, [Inflow(0, "left"), Charge("right")], profiles)


@pytest.mark.parametrize("linear", ["direct", "fieldsplit"])
def test_periodic_borders_with_a_mean_field(linear):
    domain = rectangle(graded(2.0, 0.1, growth=1.4), np.linspace(0, 1, 5))
    pairs = (Periodic("bottom", "top", 0.8),)
    wall = Stern("left", 2.0, 0.7)
    model = NernstPlanckPoisson(
        domain, [1, -1], borders=[wall], periodic=pairs, linear=linear
    )
    density = {(0, "right"): 0.8, (1, "right"): 1.1, (0, "left"): 0.5}
    conditions = Conditions(
        phi={"right": 0.2}, concentration=density, borders=(wall,), periodic=pairs
    )
    quantities = [Inflow(0, "left"), Inflow(1, "top"), Charge("left"), MIXED]
    check(model, rough(model), conditions, quantities)


def test_smoluchowski_flux_over_a_barrier():
    """``J = const / int e^W / D``: its slopes by W and ln D at a node in closed form."""
    length = 3.0
    model = NernstPlanckPoisson(interval(np.linspace(0, length, 301)), [0])
    work = 4 * np.exp(-((model.x - 1) ** 2) / 0.1)
    medium = medium_of(model, mu_ex=work[None], diffusivity=0.2 + model.x[None])
    conditions = Conditions({(0, "left"): 0.0, (0, "right"): -2.0}, {"right": 0.0})
    flux = Inflow(0, "left")
    slope = gradient(model, solve_steady(model, medium, conditions), flux)
    by_work = slope.mu_ex[0] / slope.value
    by_mobility = slope.ln_diffusivity[0] / slope.value
    # A shift of W everywhere is a shift of ln c; one of ln D is one of ln J.
    assert by_work.sum() == pytest.approx(-1, rel=1e-10)
    assert by_mobility.sum() == pytest.approx(1, rel=1e-10)
    resistance = np.exp(work) / medium.diffusivity[0]
    # Weights of the nodes: Simpson's rule, as the shape functions of quadratic elements.
    weights = np.tile([4.0, 2.0], 300)[:-1]
    weights = np.concatenate([[1.0], weights, [1.0]]) * length / 300 / 6
    exact = weights * resistance / (weights * resistance).sum()
    assert by_work == pytest.approx(-exact, abs=1e-3 * exact.max())
    assert by_mobility == pytest.approx(exact, abs=1e-3 * exact.max())


def test_linear_change_of_a_quantity():
    model = NernstPlanckPoisson(interval(graded(4.0, 5e-2, growth=1.2)), [1, -1])
    conditions = Conditions(**reservoir(2, "right"))
    conditions.phi["left"] = -1.0
    conditions.psi[0, "left"] = -0.5
    medium, flux = rough(model), Inflow(0, "left")
    state = solve_steady(model, medium, conditions)
    slope = gradient(model, state, flux)
    small = 1e-4 * (1 + np.cos(3 * model.x))
    after = replace(
        medium,
        mu_ex=medium.mu_ex + small,
        diffusivity=medium.diffusivity * (1 - small),
        permittivity=medium.permittivity * (1 + small),
    )
    found = solve_steady(model, after, conditions, start=state)
    expected = linear_change(model, slope, medium, after)
    assert flux(model, found) - slope.value == pytest.approx(expected, rel=5e-3)


def test_concentrations_held_among_free_ions():
    """The free ion crowds the held ones, and mu_ex of all of them tells how much."""
    closure = CarnahanStarling([0.1, 0.15, 0.05])
    model = NernstPlanckPoisson(
        interval(graded(3.0, 0.1, growth=1.2)), [1, -1, 0], closure=closure
    )
    conditions = Conditions(
        psi={(1, "right"): 0.0, (2, "right"): 0.1},
        concentration={(0, "left"): 0.7, (0, "right"): 1.5, (2, "left"): 1.2},
        phi={"left": -1.0, "right": 0.0},
    )
    quantities = [Inflow(0, "left"), Inflow(2, "right"), Charge("left"), MIXED]
    check(model, rough(model, closure=closure), conditions, quantities)


def test_a_change_of_more_than_profiles_is_refused():
    closure = CarnahanStarling([0.1, 0.15])
    model = NernstPlanckPoisson(interval(np.linspace(0, 1, 5)), [1, -1], closure=closure)
    medium = medium_of(model, closure=closure)
    conditions = Conditions(**reservoir(2, "right"))
    conditions.phi["left"] = 0.5
    state = solve_steady(model, medium, conditions)
    slope = gradient(model, state, Charge("left"))
    larger = CarnahanStarling([0.1, 0.2])
    for change, named in (
        ({"poisson": 3.0}, "poisson"),
        ({"c_ref": np.array([2.0, 2.0])}, "ln_activity"),
        ({"closure": larger}, r"closure\.weights"),
    ):
        with pytest.raises(InputError, match=named):
            linear_change(model, slope, medium, replace(medium, **change))


def test_bad_input_is_refused():
    model = NernstPlanckPoisson(interval(np.linspace(0, 1, 5)), [1, -1])
    conditions = Conditions(**reservoir(2, "right"))
    state = solve_steady(model, medium_of(model), conditions)
    with pytest.raises(InputError, match="a place where nothing enters"):
        gradient(model, state, Inflow(0, "left"))
    with pytest.raises(InputError, match="not found but given"):
        gradient(model, state, Potential())
