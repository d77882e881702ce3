"""Conductance of pores against closed forms; lengths in nm, water at 298.15 K."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of  # noqa: E402
from scipy.integrate import solve_bvp, trapezoid  # noqa: E402

from mesobridge.continuum.borders import SurfaceCharge  # noqa: E402
from mesobridge.continuum.domain import rectangle  # noqa: E402
from mesobridge.continuum.medium import Conditions, Scales  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.core.units import AVOGADRO  # noqa: E402

pytestmark = pytest.mark.fem
RADIUS, LENGTH = 5.0, 20.0
SCALES = Scales(1e-9, 100 * AVOGADRO, 2e-9, 298.15)
POISSON = 78.49 * SCALES.poisson
SMALL = 1e-4  # kT/e


def conductance(model, charge=None, low="left", high="right"):
    """Current / potential between two reservoirs of salt at c = 1, D = 1."""
    terms = () if charge is None else (SurfaceCharge("wall", charge),)
    psi = {(i, low): z * SMALL for i, z in enumerate((1, -1))}
    psi |= {(i, high): 0.0 for i in (0, 1)}
    phi = {low: SMALL, high: 0.0} if charge is None else {}
    medium = medium_of(model, poisson=POISSON)
    got = solve_steady(model, medium, Conditions(psi, phi, borders=terms))
    current = got.inflow[0, low] - got.inflow[1, low]
    assert current == pytest.approx(got.inflow[1, high] - got.inflow[0, high], rel=1e-8)
    return current / SMALL


@pytest.fixture(scope="module")
def straight():
    """The inside of a pore, its wall at the right; ends are closed for the field."""
    lines = RADIUS - graded(RADIUS, 0.1, growth=1.3, largest=0.7)[::-1]
    domain = rectangle(
        np.clip(lines, 0, None), np.linspace(0, LENGTH, 9), symmetry="axial"
    )
    return NernstPlanckPoisson(domain, [1, -1], borders=[SurfaceCharge("right")])


def inside(model, charge):
    """As `conductance`, between bottom and top; the wall is the border "right"."""
    psi = {(i, "bottom"): z * SMALL for i, z in enumerate((1, -1))}
    psi |= {(i, "top"): 0.0 for i in (0, 1)}
    conditions = Conditions(psi, borders=(SurfaceCharge("right", charge),))
    got = solve_steady(model, medium_of(model, poisson=POISSON), conditions)
    return (got.inflow[0, "bottom"] - got.inflow[1, "bottom"]) / SMALL


def cross_section(charge):
    """Sum of the mean c of both ions in a charged cylinder, by `solve_bvp`."""

    def slope(r, y):
        return np.vstack([y[1], np.sinh(y[0]) * 2 / POISSON])

    def ends(left, right):
        return np.array([left[1], right[1] - charge / POISSON])

    r = np.linspace(0, RADIUS, 200)
    guess = np.zeros((2, len(r)))
    found = solve_bvp(
        slope, ends, r, guess, S=np.diag([0.0, -1.0]), tol=1e-9, max_nodes=100_000
    )
    assert found.success
    r = np.linspace(0, RADIUS, 20001)
    density = 2 * np.cosh(found.sol(r)[0]) * r
    return trapezoid(density, r) * 2 / RADIUS**2


@pytest.mark.parametrize("charge", [0.0, -0.3, -2.0])
def test_a_long_pore_with_charged_walls(straight, charge):
    """``G = pi R^2 / L <sum_i z_i^2 D_i c_i>``: Poisson-Boltzmann across, Ohm along.

    Without electro-osmosis (Schoch, Han & Renaud 2008, doi:10.1103/RevModPhys.80.839).
    """
    exact = np.pi * RADIUS**2 / LENGTH * cross_section(charge)
    got = inside(straight, charge)
    assert got == pytest.approx(exact, rel=1e-4)


def test_surface_conductance(straight):
    """``G = (kappa + 2 kappa_s / R) pi R^2 / L`` with Bikerman's surface conductance.

    ``kappa_s = 4 lam (sqrt(1 + (sigma / 4 lam)^2) - 1)`` of a plane wall (Bikerman 1940,
    doi:10.1039/tf9403500154); for high charges it is ``mu |sigma|``, the 4 mu sigma / d
    of a pore. The wall's curvature adds 3 % here.
    """
    charge, debye = -20.0, np.sqrt(POISSON / 2)
    surface = 4 * debye * (np.hypot(1, charge / (4 * debye)) - 1)
    exact = (2 + 2 * surface / RADIUS) * np.pi * RADIUS**2 / LENGTH
    got = inside(straight, charge)
    assert got == pytest.approx(exact, rel=0.05)


def test_access_resistance():
    """``G = kappa [4 L/(pi d^2) + 1/d]^-1`` (Hall 1975, doi:10.1085/jgp.66.4.531).

    R = 5 nm, L = 20 nm, 0.1 mol/l KCl. Closer: the exact end correction of a flanged
    pipe, 0.82169 R at either end (Rayleigh 1871; King 1936), for Hall's pi/4 R.
    """
    pytest.importorskip("gmsh")
    from mesobridge.continuum.shapes import pore

    found = []
    ball = 12 * RADIUS
    for refine in (0.7, 1.1):
        domain = pore(
            RADIUS, LENGTH, debye=2.0, reservoir=ball, first=0.25, refine=refine
        )
        model = NernstPlanckPoisson(domain, [1, -1])
        found.append(conductance(model))
    d, kappa = 2 * RADIUS, 2.0
    hall = kappa / (4 * LENGTH / (np.pi * d**2) + 1 / d)
    longer = LENGTH + 2 * 0.82169 * RADIUS
    # The reservoirs end at half balls: what lies outside is not there.
    outside = 2 / (2 * np.pi * kappa * ball)
    exact = 1 / (longer / (kappa * np.pi * RADIUS**2) - outside)
    assert found[0] == pytest.approx(hall, rel=0.05)
    assert found[1] == pytest.approx(found[0], rel=1e-3)
    assert found[1] == pytest.approx(exact, rel=2e-3)
