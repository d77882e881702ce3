"""What enters where: corners, periodic borders, names, axes; scaled units."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402

from mesobridge.continuum.adjoint import gradient  # noqa: E402
from mesobridge.continuum.borders import Stern  # noqa: E402
from mesobridge.continuum.closed import solve_closed  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.impedance import impedance  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.periodic import Periodic  # noqa: E402
from mesobridge.continuum.quantities import Charge  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402

pytestmark = pytest.mark.fem
SIDES = (Periodic("left", "right"),)
LINES = np.linspace(0, 1, 6)


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
