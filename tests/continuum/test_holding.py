"""Concentrations held among ions that are free; scaled units."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402

from mesobridge.continuum.borders import Stern  # noqa: E402
from mesobridge.continuum.closures import Bikerman, CarnahanStarling  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.periodic import Periodic  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.continuum.transient import solve_transient  # noqa: E402

pytestmark = pytest.mark.fem
CLOSURES = [
    Bikerman([0.15, 0.15]),
    Bikerman([0.1, 0.2], 0.05),
    CarnahanStarling([0.1, 0.15]),
]


def film(closure, **given):
    domain = interval(graded(4.0, 0.05, growth=1.2))
    return NernstPlanckPoisson(domain, [1, -1], closure=closure, **given)


def crowded(potential, density, **given):
    """The cation of given density at a wall that attracts anions."""
    held = reservoir(2, "right")
    held["phi"]["left"] = potential
    return Conditions(**held, concentration={(0, "left"): density}, **given)


@pytest.mark.parametrize("closure", CLOSURES)
@pytest.mark.parametrize("potential", [-8.0, 0.0, 2.5, 8.0])
def test_what_is_wanted_is_held(closure, potential):
    model = film(closure)
    wave = np.vstack([np.exp(-model.x), -np.exp(-model.x)])
    medium = medium_of(model, closure=closure, mu_ex=wave)
    found = solve_steady(model, medium, crowded(potential, 2.0))
    assert found.concentration[0, 0] == pytest.approx(2.0, rel=1e-9)
    near = solve_steady(model, medium, crowded(potential, 2.1), start=found)
    assert near.concentration[0, 0] == pytest.approx(2.1, rel=1e-9)
    # Newton's method stays of second order: a wrong slope would take dozens of steps.
    assert near.report.iterations <= 12
    assert found.report.iterations <= 12 * found.report.steps


def test_in_time_and_at_a_given_current():
    closure, wall = CLOSURES[2], (Stern("left", 2.0, 1.0),)
    model = film(closure, borders=wall)
    medium = medium_of(model, closure=closure)
    held = reservoir(2, "right")
    density = {(0, "left"): 2.0}
    given = Conditions(
        **held, concentration=density, borders=wall, current={"left": 0.05}
    )
    found = solve_steady(model, medium, given)
    assert found.concentration[0, 0] == pytest.approx(2.0, rel=1e-9)
    assert found.inflow[0, "left"] == pytest.approx(0.05, rel=1e-7)
    later = Conditions(**held, concentration={(0, "left"): 1.0}, borders=wall)
    run = solve_transient(model, medium, later, 1.0, start=found)
    assert run.last.concentration[0, 0] == pytest.approx(1.0, rel=1e-7)


@pytest.mark.parametrize("linear", ["direct", "fieldsplit"])
def test_at_a_corner_of_a_periodic_cell(linear):
    domain = rectangle(graded(3.0, 0.1, growth=1.3), np.linspace(0, 1, 4))
    closure, pairs = CLOSURES[1], (Periodic("bottom", "top"),)
    model = NernstPlanckPoisson(
        domain, [1, -1], closure=closure, periodic=pairs, linear=linear
    )
    found = solve_steady(
        model, medium_of(model, closure=closure), crowded(3.0, 1.5, periodic=pairs)
    )
    wall = model.points[:, 0] == 0
    assert found.concentration[0, wall] == pytest.approx(1.5, rel=1e-9)
