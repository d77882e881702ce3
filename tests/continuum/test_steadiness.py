"""Which states linear responses take for steady ones; scaled units."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir, still  # noqa: E402

from mesobridge.continuum.adjoint import gradient  # noqa: E402
from mesobridge.continuum.borders import ChargeTransfer, Stern  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.impedance import (  # noqa: E402
    differential_capacitance,
    impedance,
)
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.nearby import Nearby  # noqa: E402
from mesobridge.continuum.quantities import Charge, Integral  # noqa: E402
from mesobridge.continuum.response import check_steady, restore  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.continuum.transient import solve_transient  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem


def at(potential):
    held = reservoir(2, "right")
    held["phi"]["left"] = potential
    return Conditions(**held)


def check(model, state):
    check_steady(model, state, restore(model, state))


@pytest.fixture(scope="module", params=["interval", "wide", "narrow"])
def charging(request):
    """The relaxation time of the salt behind the layer is about 160."""
    lines, width = graded(20.0, 0.05, growth=1.2), {"wide": 500.0, "narrow": 0.1}
    domain = interval(lines)
    if request.param in width:
        domain = rectangle(lines, np.linspace(0, width[request.param], 3))
    model = NernstPlanckPoisson(domain, [1, -1])
    start, times = still(model, medium_of(model)), [0.01, 10.0, 100.0]
    run = solve_transient(model, medium_of(model), at(4.0), 6000.0, start=start, at=times)
    return model, run


@pytest.mark.parametrize("time", [0.01, 10.0, 100.0])
def test_a_state_on_its_way_is_refused(charging, time):
    model, run = charging
    state = run.snapshots[time]
    with pytest.raises(InputError, match="not a steady state"):
        impedance(model, state, "left", 1.0)
    with pytest.raises(InputError, match="not a steady state"):
        differential_capacitance(model, state, "left")
    with pytest.raises(InputError, match="not a steady state"):
        gradient(model, state, Charge("left"))


def test_a_state_that_has_settled_is_accepted(charging):
    model, run = charging
    steady = solve_steady(model, medium_of(model), at(4.0))
    found, wanted = (
        differential_capacitance(model, state, "left") for state in (run.last, steady)
    )
    assert found == pytest.approx(wanted, rel=1e-2)


def test_a_state_of_other_conditions_is_refused():
    """Held at another potential, or behind a Stern layer of another potential."""
    for wall in ((), (Stern("left", 2.0),)):
        model = NernstPlanckPoisson(
            interval(graded(20.0, 0.05, growth=1.2)), [1, -1], borders=wall
        )
        held = replace(at(0.0), borders=wall)
        state = solve_steady(model, medium_of(model), held)
        check(model, state)
        moved = replace(at(0.5), borders=tuple(replace(w, potential=0.5) for w in wall))
        with pytest.raises(InputError, match="not a steady state"):
            check(model, replace(state, conditions=moved))


@pytest.mark.parametrize(("first", "potential"), [(1e-3, -9.5), (1e-5, -20.0)])
def test_rounding_is_no_imbalance(first, potential):
    """Ions at up to 6e4 times the bulk, of psi = -9, on cells of 1e-5 Debye lengths.

    Replicates of a medium that start near by are as good.
    """
    model = NernstPlanckPoisson(interval(graded(20.0, first, growth=1.05)), [1, -1])
    hill = np.vstack([2 * np.exp(-((model.x - 3) ** 2)), 0 * model.x])
    medium = medium_of(model, mu_ex=hill)
    given = at(potential)
    given.psi[0, "left"] = -9.0
    state = solve_steady(model, medium, given)
    check(model, state)
    other = replace(medium, mu_ex=hill + 0.1 * np.exp(-model.x))
    check(model, Nearby(model, state).solve(other))


def test_neutral_states_with_currents():
    """Steady and in time, with an electrode that gives and takes the cation."""
    wall = ChargeTransfer("left", (1.0, 0.0), rate=0.3, potential=0.0)
    domain = interval(np.linspace(0, 20, 41))
    model = NernstPlanckPoisson(domain, [1, -1], borders=[wall])
    medium, bulk = medium_of(model, poisson=0.0), reservoir(2, "right")
    given = Conditions(**bulk, borders=(replace(wall, potential=-2.0),))
    rest = Conditions(**bulk, borders=(wall,))
    check(model, solve_steady(model, medium, given))
    start = solve_steady(model, medium, rest)
    run = solve_transient(model, medium, given, 4000.0, start=start, at=[10.0])
    check(model, run.last)
    with pytest.raises(InputError, match="not a steady state"):
        check(model, run.snapshots[10.0])


def test_values_of_any_state_are_known(charging):
    """Only responses need a steady one."""
    model, run = charging
    amount = Integral(lambda here: here.c[0])
    assert amount(model, run.snapshots[10.0]) > 0
