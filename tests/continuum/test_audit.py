"""Balances and energies of states against what they are by hand; scaled units."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402

from mesobridge.continuum.audit import audit  # noqa: E402
from mesobridge.continuum.borders import ChargeTransfer, Stern  # noqa: E402
from mesobridge.continuum.closed import solve_closed  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.periodic import Periodic  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402

pytestmark = pytest.mark.fem


def electrode(potential=0.0):
    transfer = ChargeTransfer("left", (1.0, 0.0), rate=0.3, potential=potential)
    return transfer, Stern("left", 5.0, potential)


def test_energy_at_a_given_current_is_that_at_its_potential():
    lines = graded(20.0, 0.05, growth=1.2)
    model = NernstPlanckPoisson(interval(lines), [1, -1], borders=electrode())
    medium, bulk = medium_of(model), reservoir(2, "right")
    driven = Conditions(**bulk, borders=electrode(), current={"left": 0.1})
    given = solve_steady(model, medium, driven)
    held = Conditions(**bulk, borders=electrode(given.potential))
    same = solve_steady(model, medium, held)
    energy = audit(model, same).field_energy
    assert energy > 0.01
    assert audit(model, given).field_energy == pytest.approx(energy, rel=1e-9)
    assert audit(model, given).worst < 1e-9


def test_energy_of_a_mean_field():
    """``p eps E^2 / 2`` times the volume: nothing but the mean field is there."""
    pairs = (Periodic("left", "right", -5.0),)
    lines = np.linspace(0, 2, 5)
    for domain in (interval(lines), rectangle(lines, np.linspace(0, 3, 4))):
        model = NernstPlanckPoisson(domain, [1, -1], periodic=pairs)
        medium = medium_of(model, poisson=2.0)
        state = solve_closed(model, medium, Conditions(periodic=pairs), [1.0, 1.0])
        volume = 2.0 if domain.dim == 1 else 6.0
        wanted = 2.0 * 2.5**2 / 2 * volume
        assert audit(model, state).field_energy == pytest.approx(wanted, rel=1e-9)


def test_a_model_without_charges_has_no_charge():
    model = NernstPlanckPoisson(interval(np.linspace(0, 1, 5)), [0])
    given = Conditions(psi={(0, "left"): 0.0, (0, "right"): 1.0}, phi={"left": 0.0})
    found = audit(model, solve_steady(model, medium_of(model), given))
    assert found.charge == 0.0
    assert found.worst < 1e-12
