"""Diffusion in curved and layered media and in a flow, against closed forms."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of  # noqa: E402
from scipy.integrate import quad  # noqa: E402

from mesobridge.continuum.borders import ChargeTransfer, Flux, Outflow  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.medium import Conditions, Scales  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.reactions import Reaction  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.core.units import AVOGADRO  # noqa: E402

pytestmark = pytest.mark.fem


def steady(model, held, borders=(), phi="right", **given):
    """Steady state of one neutral species held at concentrations."""
    concentration = {(0, place): c for place, c in held.items()}
    conditions = Conditions(
        phi={phi: 0.0}, concentration=concentration, borders=tuple(borders)
    )
    return solve_steady(model, medium_of(model, **given), conditions)


@pytest.mark.parametrize("symmetry", ["axial", "spherical"])
def test_radial_diffusion(symmetry):
    """``2 pi D dc / ln(b/a)`` a length, ``4 pi D dc a b / (b-a)`` (Crank 1975)."""
    a, b = 0.5, 3.0
    model = NernstPlanckPoisson(interval(np.linspace(a, b, 201), symmetry=symmetry), [0])
    got = steady(model, {"left": 1.0, "right": 0.2})
    if symmetry == "axial":
        part = np.log(b / model.x) / np.log(b / a)
        flux = 2 * np.pi * 0.8 / np.log(b / a)
    else:
        part = (1 / model.x - 1 / b) / (1 / a - 1 / b)
        flux = 4 * np.pi * 0.8 * a * b / (b - a)
    assert got.concentration[0] == pytest.approx(0.2 + 0.8 * part, rel=1e-7)
    assert got.inflow[0, "left"] == pytest.approx(flux, rel=1e-7)
    assert got.inflow[0, "right"] == pytest.approx(-flux, rel=1e-7)


def test_radial_diffusion_in_a_plane_of_the_axis():
    """The same between cylinders that stand on a two-dimensional mesh."""
    domain = rectangle(np.linspace(0.5, 3, 31), np.linspace(0, 2, 3), symmetry="axial")
    got = steady(NernstPlanckPoisson(domain, [0]), {"left": 1.0, "right": 0.2})
    flux = 2.0 * 2 * np.pi * 0.8 / np.log(6)
    assert got.inflow[0, "left"] == pytest.approx(flux, rel=1e-5)


WALL = np.linspace(0, 1, 13)


def layered(domain, distance, **given):
    """Model whose D_par and D_perp depend on the distance from a wall."""
    model = NernstPlanckPoisson(domain, [0], anisotropic=True)
    d = distance(model.points)
    medium = medium_of(
        model,
        diffusivity=d_perp(d)[None],
        diffusivity_par=d_par(d)[None],
        distance=d,
    )
    return model, medium


def d_perp(d):
    return 0.2 + 0.5 * d


def d_par(d):
    return np.exp(0.4 * d)


@pytest.mark.parametrize("symmetry", ["none", "axial"])
def test_fluxes_along_and_across_a_wall(symmetry):
    """A layer between x = 0.5 and x = 1.5: resistances are parallel or in series.

    Along it ``int D_par dA / L``, across ``dc / int dx / (A D_perp)`` with A the area of
    a shell.
    """
    shell = (lambda r: 2 * np.pi * r) if symmetry == "axial" else (lambda r: 1.0)
    domain = rectangle(0.5 + WALL, 2 * WALL, symmetry=symmetry)
    model, medium = layered(domain, lambda points: 1.5 - points[:, 0])
    fluxes = []
    for low, high in [("bottom", "top"), ("left", "right")]:
        held = {(0, low): 1.5, (0, high): 0.5}
        found = solve_steady(
            model, medium, Conditions(phi={high: 0.0}, concentration=held)
        )
        fluxes.append(found.inflow[0, low])
    along = quad(lambda x: shell(x) * d_par(1.5 - x), 0.5, 1.5)[0] / 2.0
    across = 2.0 / quad(lambda x: 1 / (shell(x) * d_perp(1.5 - x)), 0.5, 1.5)[0]
    assert fluxes[0] == pytest.approx(along, rel=1e-5)
    assert fluxes[1] == pytest.approx(across, rel=1e-5)


def test_the_tensor_turns_with_a_round_wall():
    """A sector of a ring, wall outside: D_perp along r, D_par along the angle.

    ``angle dc / int dr / (r D_perp)`` and ``dc / angle int D_par / r dr``.
    """
    angle = 1.2
    domain = rectangle(1 + WALL, angle * np.linspace(0, 1, 31))
    points = domain.mesh.geometry.x
    r, turn = points[:, 0].copy(), points[:, 1].copy()
    points[:, 0], points[:, 1] = r * np.cos(turn), r * np.sin(turn)
    model, medium = layered(domain, lambda p: 2 - np.hypot(p[:, 0], p[:, 1]))
    fluxes = []
    for low, high in [("left", "right"), ("bottom", "top")]:
        held = {(0, low): 1.5, (0, high): 0.5}
        found = solve_steady(
            model, medium, Conditions(phi={high: 0.0}, concentration=held)
        )
        fluxes.append(found.inflow[0, low])
    out = angle / quad(lambda r: 1 / (r * d_perp(2 - r)), 1, 2)[0]
    around = quad(lambda r: d_par(2 - r) / r, 1, 2)[0] / angle
    assert fluxes[0] == pytest.approx(out, rel=1e-3)
    assert fluxes[1] == pytest.approx(around, rel=1e-3)


def test_the_tensor_has_off_diagonal_parts():
    """A wall across the diagonal: a slope of psi along x drives a flux along y too.

    ``D_xx = (D_par + D_perp)/2``, ``D_xy = (D_perp - D_par)/2``.
    """
    slope, par, perp = 1e-6, 2.0, 0.3  # c is 1 within the slope
    sideways = (perp - par) / 2 * slope
    borders = [Flux("bottom", 0, -sideways), Flux("top", 0, sideways)]
    model = NernstPlanckPoisson(
        rectangle(WALL, WALL), [0], anisotropic=True, borders=borders
    )
    x, y = model.points[:, 0], model.points[:, 1]
    medium = medium_of(
        model, diffusivity=perp, diffusivity_par=par, distance=(x + y) / np.sqrt(2)
    )
    held = {(0, "left"): 0.0, (0, "right"): slope}
    got = solve_steady(
        model, medium, Conditions(held, {"left": 0.0}, borders=tuple(borders))
    )
    assert got.psi[0] == pytest.approx(slope * x, abs=1e-5 * slope)
    assert got.inflow[0, "right"] == pytest.approx((perp + par) / 2 * slope, rel=1e-5)


PECLET = 8.0


@pytest.fixture(scope="module")
def stream():
    """A flow from left to right."""
    vertices = 1 - graded(1.0, 0.003, growth=1.05, largest=0.05)[::-1]
    return NernstPlanckPoisson(interval(np.clip(vertices, 0, 1)), [0], advection=True)


@pytest.mark.parametrize("peclet", [PECLET, -PECLET, 60.0])
def test_convection_and_diffusion(stream, peclet):
    """``(c - c0)/(c1 - c0) = (e^(v x) - 1)/(e^v - 1)`` (Patankar 1980, ch. 5.2).

    ``J = v (c0 e^v - c1)/(e^v - 1)``, v being Peclet's number.
    """
    velocity = np.full((1, len(stream.x)), peclet)
    c0, c1 = 1.0, 0.2
    got = steady(stream, {"left": c0, "right": c1}, velocity=velocity)
    part = np.expm1(peclet * stream.x) / np.expm1(peclet)
    flux = peclet * (c0 * np.exp(peclet) - c1) / np.expm1(peclet)
    assert got.concentration[0] == pytest.approx(c0 + (c1 - c0) * part, rel=1e-3)
    assert got.inflow[0, "left"] == pytest.approx(flux, rel=1e-6)


def test_a_reactor_with_outflow():
    """``c'' - v c' - k c = 0``, ``c(0) = 1``, ``c'(1) = 0`` (Danckwerts 1953,
    doi:10.1016/0009-2509(53)80001-1); what does not react flows out."""
    v, k = 5.0, 3.0
    loss = Reaction("k * A", {0: -1}, ["A"], {"k": k})
    model = NernstPlanckPoisson(
        interval(np.linspace(0, 1, 41)),
        [0],
        advection=True,
        borders=[Outflow("right")],
        reactions=[loss],
    )
    velocity = np.full((1, len(model.x)), v)
    got = steady(model, {"left": 1.0}, [Outflow("right")], "left", velocity=velocity)
    root = np.sqrt(v**2 / 4 + k)
    a, b = v / 2 + root, v / 2 - root
    weights = np.array([-b * np.exp(b), a * np.exp(a)])
    weights /= weights.sum()
    c = weights[0] * np.exp(a * model.x) + weights[1] * np.exp(b * model.x)
    assert got.concentration[0] == pytest.approx(c, rel=1e-6)
    assert got.inflow[0, "right"] == pytest.approx(-v * c[-1], rel=1e-6)
    entering = v - weights @ [a, b]
    assert got.inflow[0, "left"] == pytest.approx(entering, rel=1e-6)


SPIN = 0.51023  # of v_z = -SPIN z^2 (Cochran 1934, doi:10.1017/S0305004100012561)


def disk(speed=None):
    """Flux to a rotating disk at y = 0, whose c is 0 or that has first-order kinetics."""
    lines = np.linspace(0, 1, 3), graded(6.0, 0.02, growth=1.15, largest=0.5)
    borders = [Outflow("right")]
    held = {"top": 1.0, "bottom": 1e-6}
    if speed is not None:
        held.pop("bottom")
        borders.append(ChargeTransfer("bottom", (1.0,), rate=speed, branch="cathodic"))
    domain = rectangle(*lines, symmetry="axial")
    model = NernstPlanckPoisson(domain, [0], advection=True, borders=borders)
    r, z = model.points[:, 0], model.points[:, 1]
    velocity = np.vstack([SPIN * r * z, -SPIN * z**2])
    got = steady(model, held, borders, "top", velocity=velocity)
    return -got.inflow[0, "bottom"] / np.pi


def test_levich_and_koutecky_levich():
    """``i_L = 0.62048 n F c D^(2/3) nu^(-1/6) w^(1/2)``, ``1/i = 1/i_k + 1/i_L``.

    Levich 1962; Koutecky & Levich 1958; Bard & Faulkner 9.3. With 1 mol/m3, D = 1e-9
    and nu = 1e-6 m2/s, w = 100 rad/s: 5.98672 A/m2.
    """
    fast, slow = disk(), disk(0.7)
    assert fast == pytest.approx(0.62048, rel=1e-3)
    assert 1 / slow == pytest.approx(1 / 0.7 + 1 / 0.62048, rel=1e-3)
    d, nu, spin = 1e-9, 1e-6, 100.0
    # SPIN sqrt(w^3/nu) z^2 is SPIN in units of this length.
    length = (d * np.sqrt(nu / spin**3)) ** (1 / 3)
    scales = Scales(length, AVOGADRO, d, 298.15)
    assert fast * scales.current_density == pytest.approx(5.98672, rel=1e-3)
