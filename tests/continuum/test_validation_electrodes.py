"""Charge transfer, and electrodes of given current, at rest and in steady states."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of  # noqa: E402

from mesobridge.continuum.borders import ChargeTransfer, Stern  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import boundary_layer  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402

pytestmark = pytest.mark.fem

METAL = (1.0, 0.0)  # M -> M+ + e-
STANDARD = 0.7  # kT/e


def deposit(rate, volts=0.0, alpha=0.5):
    """M+/M electrode at the left."""
    return ChargeTransfer("left", METAL, rate, volts, STANDARD, alpha)


@pytest.fixture(scope="module")
def neutral():
    """A salt M+ X- between a metal M and a reservoir, electroneutral."""
    return NernstPlanckPoisson(
        interval(np.linspace(0, 1, 41)), [1, -1], borders=[deposit(1.0)]
    )


@pytest.fixture(scope="module")
def layered():
    """The same with diffuse layers, and a Stern layer before the metal."""
    vertices = boundary_layer(1.0, 0.02, both=True)
    return NernstPlanckPoisson(
        interval(vertices), [1, -1], borders=[deposit(1.0), Stern("left")]
    )


def bulk(density=1.0, **given):
    """A neutral reservoir at the right."""
    held = {(i, "right"): density for i in (0, 1)}
    return Conditions(phi={"right": 0.0}, concentration=held, **given)


def neutral_state(model, electrode, **given):
    medium = medium_of(model, poisson=0.0)
    return solve_steady(model, medium, bulk(borders=(electrode,), **given))


@pytest.mark.parametrize("density", [0.01, 1.0, 3.0])
def test_nernst_potential_without_current(layered, density):
    """``V = E0 + ln a`` exactly where no current flows, with whatever double layer.

    Nernst 1889; the Stern layer (and Frumkin's correction with it) drops out.
    """
    terms = deposit(0.3), Stern("left", 5.0)
    medium = medium_of(layered, poisson=2 * 0.02**2)
    conditions = bulk(density, borders=terms, current={"left": 0.0})
    got = solve_steady(layered, medium, conditions)
    assert got.potential == pytest.approx(STANDARD + np.log(density), abs=1e-9)
    assert abs(got.inflow.get((0, "left"), 0.0)) < 1e-10
    # Charged all the same: the metal is at V, the electrolyte's bulk at 0.
    assert abs(got.charge["left"]) > 0.01
    # The same potential given instead of the current.
    terms = deposit(0.3, got.potential), Stern("left", 5.0, got.potential)
    again = solve_steady(layered, medium, bulk(density, borders=terms))
    assert abs(again.inflow.get((0, "left"), 0.0)) < 1e-10


def test_small_overpotentials_see_resistances_in_series(neutral):
    """``V - E_eq = i (R_ct + R)``: R_ct = RT/(n F i0), R = L/(D+ c) as anions rest.

    In kT/e and D0 c0/l: 1/rate and 1 (Newman & Thomas-Alyea, ch. 8).
    """
    rate, eta = 0.4, 1e-3
    got = neutral_state(neutral, deposit(rate, STANDARD + eta))
    resistance = eta / got.inflow[0, "left"]
    assert resistance == pytest.approx(1 / rate + 1.0, rel=1e-3)


def curve(current, rate, alpha):
    """Potential of the metal at a current, in closed form.

    Anions at rest: ``phi_s = ln c_s``; the salt's gradient carries half of the current,
    ``c_s = 1 + i/2``. Then Butler-Volmer at the surface, solved by bisection in `eta`.
    """
    surface = 1 + current / 2
    low, high = -60.0, 60.0
    for _ in range(200):
        eta = (low + high) / 2
        rise = rate * (np.exp(alpha * eta) - surface * np.exp((alpha - 1) * eta))
        low, high = (eta, high) if rise < current else (low, eta)
    return STANDARD + np.log(surface) + eta


@pytest.mark.parametrize("current", [-1.9, -0.5, 3.0])
@pytest.mark.parametrize("alpha", [0.5, 0.3])
def test_butler_volmer_with_concentration_overpotential(neutral, current, alpha):
    """Full polarisation curve of the electroneutral salt, either way round."""
    rate = 0.05
    volts = curve(current, rate, alpha)
    found = neutral_state(
        neutral, deposit(rate, STANDARD, alpha), current={"left": current}
    )
    assert found.inflow[0, "left"] == pytest.approx(current, rel=1e-9)
    assert found.potential == pytest.approx(volts, abs=2e-4)
    held = neutral_state(neutral, deposit(rate, volts, alpha))
    assert held.inflow[0, "left"] == pytest.approx(current, rel=1e-4)


def test_a_given_current_and_its_potential_are_one_state(layered):
    """The potential found at a current gives that current when it is held."""
    medium = medium_of(layered, poisson=2 * 0.02**2)
    terms = deposit(0.2, STANDARD), Stern("left", 5.0, STANDARD)
    found = solve_steady(layered, medium, bulk(borders=terms, current={"left": -0.6}))
    terms = deposit(0.2, found.potential), Stern("left", 5.0, found.potential)
    held = solve_steady(layered, medium, bulk(borders=terms))
    assert held.inflow[0, "left"] == pytest.approx(-0.6, rel=1e-9)
    assert held.phi == pytest.approx(found.phi, abs=1e-9)


@pytest.mark.parametrize(("branch", "sign"), [("anodic", 1), ("cathodic", -1)])
def test_tafel_slopes(branch, sign):
    """``d eta / d ln |i|`` is 1/alpha or 1/(1 - alpha) (Tafel 1905), here at fixed c."""
    alpha, rate = 0.3, 1e-6
    border = ChargeTransfer("left", (1.0,), rate, 0.0, 0.0, alpha, branch=branch)
    model = NernstPlanckPoisson(interval(np.linspace(0, 1, 11)), [0], borders=[border])
    currents = []
    for volts in (2.0 * sign, 3.0 * sign):
        term = ChargeTransfer("left", (1.0,), rate, volts, 0.0, alpha, branch=branch)
        conditions = Conditions(
            phi={"right": 0.0}, concentration={(0, "right"): 1.0}, borders=(term,)
        )
        got = solve_steady(model, medium_of(model), conditions)
        currents.append(got.inflow[0, "left"])
    slope = np.log(currents[1] / currents[0]) * sign
    exponent = alpha if branch == "anodic" else 1 - alpha
    assert sign * currents[0] > 0
    assert abs(slope) == pytest.approx(exponent, rel=1e-3)


def test_nernst_potential_of_a_redox_couple():
    """Ferro- and ferricyanide at an inert metal: ``V = E0 + ln(a_ox/a_red)``."""
    term = ChargeTransfer("left", (-1.0, 1.0, 0.0), 0.1, 0.0, STANDARD)
    model = NernstPlanckPoisson(
        interval(np.linspace(0, 1, 41)), [-4, -3, 1], borders=[term]
    )
    c_ref, c = np.array([0.1, 0.4, 1.6]), np.array([0.2, 0.3, 1.7])
    conditions = Conditions(
        phi={"right": 0.0},
        concentration={(i, "right"): value for i, value in enumerate(c)},
        borders=(term,),
        current={"left": 0.0},
    )
    got = solve_steady(model, medium_of(model, c_ref=c_ref, poisson=0.0), conditions)
    exact = STANDARD + np.log(c[1] / c_ref[1]) - np.log(c[0] / c_ref[0])
    assert got.potential == pytest.approx(exact, abs=1e-9)
