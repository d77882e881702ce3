"""Currents and potentials of driven ions against closed forms and other solvers."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of  # noqa: E402

from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.medium import Conditions, Scales  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.core.units import AVOGADRO  # noqa: E402

pytestmark = pytest.mark.fem
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_goldman_hodgkin_katz_current_in_si():
    """``I = F P v (c_in - c_out e^-v)/(1 - e^-v)`` (doi:10.1113/jphysiol.1949.sp004310).

    P = 1e-6 m/s, 100 and 10 mmol/l, 50 mV: 21.5928 A/m2 where the Debye length is far
    above the membrane's thickness.
    """
    thickness, density = 5e-9, 100 * AVOGADRO
    scales = Scales(thickness, density, 1e-6 * thickness, 298.15)
    v = 0.05 / scales.potential
    model = NernstPlanckPoisson(interval(np.linspace(0, 1, 41)), [1])
    held = {(0, "left"): 1.0, (0, "right"): 0.1}
    conditions = Conditions(phi={"left": v, "right": 0.0}, concentration=held)
    got = solve_steady(model, medium_of(model, poisson=1e6), conditions)
    current = got.inflow[0, "left"] * scales.current_density
    assert current == pytest.approx(21.5928, rel=1e-5)


#: D of the cation / D of Cl- (1e-9 m2/s) -> mV between 0.01 and 0.1 mol/l.
JUNCTIONS = {
    "KCl": (1.957, 2.032, 1.112),
    "NaCl": (1.334, 2.032, 12.268),
    "HCl": (9.311, 2.032, 37.964),
}


@pytest.fixture(scope="module")
def junction():
    """Two ions between two reservoirs, fine at both ends."""
    return NernstPlanckPoisson(
        interval(graded(1.0, 1e-4, growth=1.2, largest=0.02, both=True)), [1, -1]
    )


def junction_potential(model, diffusivities, poisson):
    """Potential of the left reservoir (0.1) against the right one (1) at zero current."""
    held = {(i, "left"): 0.1 for i in (0, 1)} | {(i, "right"): 1.0 for i in (0, 1)}
    conditions = Conditions(
        phi={"left": 0.0, "right": 0.0}, concentration=held, current={"left": 0.0}
    )
    d = np.array(diffusivities)[:, None]
    got = solve_steady(
        model, medium_of(model, diffusivity=d, poisson=poisson), conditions
    )
    carried = got.inflow[0, "left"] - got.inflow[1, "left"]
    assert abs(carried) < 1e-10
    return got.potential


@pytest.mark.parametrize("salt", JUNCTIONS)
@pytest.mark.parametrize("poisson", [0.0, 2e-6])
def test_liquid_junction_potential(junction, salt, poisson):
    """``(D+ - D-)/(D+ + D-) ln(c_R/c_L)`` of one salt at both ends.

    Henderson 1907 and Planck 1890 agree on it (Bard & Faulkner 2.3; Dickinson,
    Freitag & Compton, J. Phys. Chem. B 114, 187, 2010). Electroneutral, and with a Debye
    length of 1e-3.
    """
    *mobility, wanted = JUNCTIONS[salt]
    mobility = np.array(mobility)
    exact = (mobility[0] - mobility[1]) / mobility.sum() * np.log(10)
    kt = Scales(1.0, 1.0, 1.0, 298.15).potential * 1e3
    assert abs(exact) * kt == pytest.approx(wanted, abs=2e-3)
    got = junction_potential(junction, mobility, poisson)
    assert got == pytest.approx(exact, rel=1e-9 if poisson == 0 else 1e-3)


def test_the_electroneutral_limit_is_approached(junction):
    """Junction potentials of Debye lengths lam differ from the limit by O(lam^2)."""
    mobility = 9.311, 2.032
    limit = junction_potential(junction, mobility, 0.0)
    lam = np.array([1e-2, 1e-3, 5e-4, 2.5e-4])
    gap = [junction_potential(junction, mobility, 2 * x**2) - limit for x in lam]
    orders = np.diff(np.log(np.abs(gap))) / np.diff(np.log(lam))
    assert orders[-1] == pytest.approx(2.0, abs=0.1)


def permselective(model, lam, volts, start=None):
    """Current into a cathode at 0 that only cations enter, reservoir at 1."""
    psi = {(0, "left"): -volts, (0, "right"): 0.0, (1, "right"): 0.0}
    conditions = Conditions(psi, {"left": -volts, "right": 0.0})
    medium = medium_of(model, poisson=2 * lam**2)
    return solve_steady(model, medium, conditions, start=start)


@pytest.mark.parametrize("lam", [1e-2, 1e-3, 1e-4])
def test_rubinstein_shtilman(lam, monkeypatch):
    """Permselective cathode, doi:10.1039/F29797500231, up to 80 kT/e.

    Against collocation with `scipy.integrate.solve_bvp` (benchmarks/peers).
    """
    monkeypatch.syspath_prepend(BENCHMARKS)
    from peers.collocation import CURRENTS

    vertices = graded(1.0, lam / 40, growth=1.04, largest=0.004)
    assert len(vertices) <= 420
    model = NernstPlanckPoisson(interval(vertices), [1, -1])
    got = None
    for volts in (5.0, 20.0, 40.0, 80.0):
        got = permselective(model, lam, volts, start=got)
        assert (got.concentration > 0).all()
        current = got.inflow[0, "right"]
        assert current == pytest.approx(CURRENTS[lam, volts], rel=1e-7)


def test_limiting_current_in_si():
    """``i_lim = 2 F D+ c / L`` as lam -> 0: Na+, 0.1 mol/l, 10 um: 2574.23 A/m2."""
    scales = Scales(1e-5, 100 * AVOGADRO, 1.334e-9, 298.15)
    assert 2 * scales.current_density == pytest.approx(2574.23, rel=2e-6)
    model = NernstPlanckPoisson(interval(graded(1.0, 1e-8, growth=1.08)), [1, -1])
    got = permselective(model, 1e-6, 20.0)
    current = got.inflow[0, "right"] * scales.current_density
    assert current == pytest.approx(2574.23, rel=1e-3)


def test_limiting_current_of_the_electroneutral_salt():
    """``I = 2 (1 - c_s)``, ``phi_s = ln c_s`` where the anions rest (Levich 1962)."""
    model = NernstPlanckPoisson(
        interval(graded(1.0, 1e-5, growth=1.15, largest=0.02)), [1, -1]
    )
    surface = 1e-4
    held = {(i, "right"): 1.0 for i in (0, 1)} | {(0, "left"): surface}
    conditions = Conditions(phi={"right": 0.0}, concentration=held)
    got = solve_steady(model, medium_of(model, poisson=0.0), conditions)
    assert got.inflow[0, "right"] == pytest.approx(2 * (1 - surface), rel=1e-9)
    assert abs(got.inflow[1, "right"]) < 1e-12
    assert got.phi[0] == pytest.approx(np.log(surface), rel=1e-9)
    assert got.concentration[0] == pytest.approx(got.concentration[1], rel=1e-9)
