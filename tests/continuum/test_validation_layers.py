"""Charged walls at equilibrium against closed forms, in SI and in scaled units.

The numbers are those of water at 298.15 K (relative permittivity 78.49) with 0.1 mol/l of
a 1:1 salt; lengths are in Debye lengths unless said otherwise.
"""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402
from scipy.special import i0, i1, k0, k1  # noqa: E402

from mesobridge.continuum.borders import Stern, SurfaceCharge  # noqa: E402
from mesobridge.continuum.closures import Bikerman  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.medium import Conditions, Scales  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.core.units import AVOGADRO  # noqa: E402

pytestmark = pytest.mark.fem

TENTH_MOLAR = 100 * AVOGADRO  # m-3
SCALES = Scales(1e-9, TENTH_MOLAR, 1e-9, 298.15)
DEBYE = np.sqrt(78.49 * SCALES.poisson / 2)  # nm
#: uF/cm2 per unit of capacitance where the length unit is the Debye length.
MICROFARAD = SCALES.capacitance * DEBYE * 100
STEP = 1e-3  # kT/e, of differential capacitances: they are good to STEP^2


def wall_model(degree=2, closure=None, border=SurfaceCharge):
    """A wall at 0 and 25 Debye lengths of salt, 400 cells."""
    vertices = graded(25.0, 1e-4, growth=1.0218)
    assert len(vertices) <= 401
    return NernstPlanckPoisson(
        interval(vertices),
        [1, -1],
        degree=degree,
        closure=closure,
        borders=[border("left")],
    )


def charge_at(model, medium, wall, phi=None, start=None):
    held = reservoir(2, "right")
    if phi is not None:
        held["phi"]["left"] = phi
    conditions = Conditions(**held, borders=(wall,))
    return solve_steady(model, medium, conditions, start=start)


def capacitance(model, medium, zeta):
    """Differential capacitance by a central difference of the charge."""
    wall = SurfaceCharge("left")
    middle = charge_at(model, medium, wall, zeta)
    ends = [
        charge_at(model, medium, wall, zeta + h, start=middle).charge["left"]
        for h in (-STEP, STEP)
    ]
    return (ends[1] - ends[0]) / (2 * STEP)


@pytest.mark.parametrize(("degree", "tolerance"), [(1, 1e-4), (2, 1e-8)])
@pytest.mark.parametrize("zeta", [0.5, 4.0, 10.0])
def test_gouy_chapman_charge(degree, tolerance, zeta):
    """``sigma = 4 sinh(zeta/2)`` (Chapman 1913, doi:10.1080/14786440408634187)."""
    model = wall_model(degree)
    got = charge_at(model, medium_of(model), SurfaceCharge("left"), zeta)
    error = got.charge["left"] / (4 * np.sinh(zeta / 2)) - 1
    assert abs(error) < tolerance


def test_gouy_chapman_capacitance_of_tenth_molar_salt():
    """``C = C0 cosh(zeta/2)``: 72.2476 uF/cm2 at rest, 258.071 at 100 mV."""
    model = wall_model()
    medium = medium_of(model)
    assert pytest.approx(0.96192, abs=1e-5) == DEBYE
    for volts, wanted in [(0.0, 72.2476), (0.1, 258.071)]:
        got = capacitance(model, medium, volts / SCALES.potential) * MICROFARAD
        assert got == pytest.approx(wanted, rel=3e-6)


def test_stern_layer_in_series():
    """``1/C = 1/C_GC + 1/C_H`` (Stern 1924, doi:10.1002/bbpc.192400182).

    C_H = 20 uF/cm2 and 100 mV across the diffuse layer: 18.5615 uF/cm2.
    """
    model = wall_model(border=Stern)
    medium, compact = medium_of(model), 20 / MICROFARAD
    zeta = 0.1 / SCALES.potential
    volts = zeta + 4 * np.sinh(zeta / 2) / compact
    found = [
        charge_at(model, medium, Stern("left", compact, v))
        for v in (volts - STEP, volts, volts + STEP)
    ]
    assert found[1].phi[0] == pytest.approx(zeta, rel=1e-8)
    charges = [got.charge["left"] for got in found]
    assert charges[1] == pytest.approx(4 * np.sinh(zeta / 2), rel=1e-8)
    got = (charges[2] - charges[0]) / (2 * STEP) * MICROFARAD
    assert got == pytest.approx(18.5615, rel=1e-5)


@pytest.mark.parametrize("volts", [0.1, 1.0])
def test_bikerman_capacitance(volts):
    """Kilic, Bazant & Ajdari 2007, doi:10.1103/PhysRevE.75.021502.

    ``C = C0 sinh(zeta) / ((1 + 2 nu s) sqrt((2/nu) ln(1 + 2 nu s)))`` with
    ``s = sinh^2(zeta/2)`` and nu = 2 a^3 c0 for ions of a = 0.5 nm.
    """
    nu = 2 * (0.5e-9) ** 3 * TENTH_MOLAR
    closure = Bikerman([nu / 2, nu / 2])
    model = wall_model(closure=closure)
    zeta = volts / SCALES.potential
    crowd = 2 * nu * np.sinh(zeta / 2) ** 2
    exact = np.sinh(zeta) / ((1 + crowd) * np.sqrt(2 / nu * np.log1p(crowd)))
    got = capacitance(model, medium_of(model, closure=closure), zeta)
    assert got == pytest.approx(2 * exact, rel=1e-4)


def curved(symmetry, inner, outer, phi):
    """Potential and charges of a weak potential at one border of a cylinder or ball."""
    vertices = inner + graded(outer - inner, 0.02, growth=1.04, largest=0.1)
    if inner == 0:
        vertices = np.linspace(0, outer, 101)
    model = NernstPlanckPoisson(interval(vertices, symmetry=symmetry), [1, -1])
    place = "right" if inner == 0 else "left"
    psi = {(i, place): 0.0 for i in (0, 1)}
    rest = {} if inner == 0 else {"right": 0.0}
    conditions = Conditions(psi, {place: phi, **rest})
    return model, solve_steady(model, medium_of(model), conditions)


WEAK = 1e-4


def test_debye_hueckel_around_a_sphere():
    """``phi = zeta a/r sinh(R-r)/sinh(R-a)``, charge ``4 pi a^2 p (1/a + coth(R-a))``.

    Debye & Hueckel 1923; the outer border R holds phi = 0.
    """
    a, far = 2.0, 22.0
    model, got = curved("spherical", a, far, WEAK)
    exact = WEAK * a / model.x * np.sinh(far - model.x) / np.sinh(far - a)
    slope = 1 / a + 1 / np.tanh(far - a)
    assert got.phi == pytest.approx(exact, abs=1e-6 * WEAK)
    assert got.charge["left"] == pytest.approx(
        4 * np.pi * a**2 * 2 * WEAK * slope, rel=1e-6
    )


def test_debye_hueckel_around_a_rod():
    """``phi = zeta K0(r)/K0(a)`` far from the outer border."""
    a = 1.5
    model, got = curved("axial", a, a + 20, WEAK)
    assert got.phi == pytest.approx(WEAK * k0(model.x) / k0(a), abs=1e-6 * WEAK)
    charge = 2 * np.pi * a * 2 * WEAK * k1(a) / k0(a)
    assert got.charge["left"] == pytest.approx(charge, rel=1e-6)


def test_debye_hueckel_inside_a_pore():
    """``phi = zeta I0(r)/I0(R)`` (Rice & Whitehead 1965, doi:10.1021/j100895a062)."""
    radius = 5.0
    model, got = curved("axial", 0.0, radius, WEAK)
    assert got.phi == pytest.approx(WEAK * i0(model.x) / i0(radius), abs=1e-6 * WEAK)
    charge = 2 * np.pi * radius * 2 * WEAK * i1(radius) / i0(radius)
    assert got.charge["right"] == pytest.approx(charge, rel=1e-6)


@pytest.mark.parametrize("symmetry", ["none", "axial"])
def test_counterions_alone(symmetry):
    """A charged slit or pore with nothing but its counterions; exact at any charge.

    Between walls ``c = p k^2 / cos^2(k x / sqrt 2)``, in a pore
    ``c = p k^2 / (1 - k^2 r^2 / 8)^2`` (Fuoss, Katchalsky & Lifson 1951,
    doi:10.1073/pnas.37.9.579).
    """
    k, wall, p = 1.6, 1.0, 2.0
    model = NernstPlanckPoisson(
        interval(np.linspace(0, wall, 101), symmetry=symmetry),
        [1],
        borders=[SurfaceCharge("right")],
    )
    if symmetry == "axial":
        density = p * k**2 / (1 - k**2 * model.x**2 / 8) ** 2
        charge = -p * k**2 * wall / 2 / (1 - k**2 * wall**2 / 8)
    else:
        density = p * k**2 / np.cos(k * model.x / np.sqrt(2)) ** 2
        charge = -p * np.sqrt(2) * k * np.tan(k * wall / np.sqrt(2))
    conditions = Conditions(
        {(0, "right"): 0.0}, borders=(SurfaceCharge("right", charge),)
    )
    got = solve_steady(model, medium_of(model, poisson=p), conditions)
    assert got.concentration[0] == pytest.approx(density, rel=1e-6)
