"""Steady states against closed forms."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from scipy.integrate import quad  # noqa: E402

from mesobridge.continuum.borders import ChargeTransfer, Stern, SurfaceCharge  # noqa: E402
from mesobridge.continuum.closures import Bikerman  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.held import Held  # noqa: E402
from mesobridge.continuum.medium import Conditions, Medium, Scales  # noqa: E402
from mesobridge.continuum.mesh import graded, with_points  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.newton import NotConverged  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.core.errors import InputError, StageError  # noqa: E402

pytestmark = pytest.mark.fem
LENGTH = 25.0  # Debye lengths


@pytest.fixture(scope="module")
def salt():
    """A 1:1 salt beside a wall; one Debye length is one unit of length."""
    return salt_model()


def salt_model(closure=None):
    domain = interval(graded(LENGTH, 1e-4, growth=1.032))
    wall = SurfaceCharge("left")
    return NernstPlanckPoisson(domain, [1, -1], closure=closure, borders=[wall])


def medium_of(model, mu_ex=None, **given):
    n = len(model.charge_numbers)
    shape = (n, len(model.x))
    values = {"diffusivity": np.ones(shape), "c_ref": np.ones(n), "poisson": 2.0}
    return Medium(np.zeros(shape) if mu_ex is None else mu_ex, **{**values, **given})


def blocking(phi=None, charge=0.0):
    """A wall at 0 that lets nothing through, bulk at the other end."""
    held = {} if phi is None else {"left": phi}
    bulk = {(0, "right"): 0.0, (1, "right"): 0.0}
    wall = SurfaceCharge("left", charge)
    return Conditions(bulk, {**held, "right": 0.0}, borders=(wall,))


@pytest.mark.parametrize("zeta", [0.1, 4.0, 10.0])
def test_gouy_chapman_charge(salt, zeta):
    solution = solve_steady(salt, medium_of(salt), blocking(zeta))
    exact = 4 * np.sinh(zeta / 2)
    assert solution.charge["left"] == pytest.approx(exact, rel=1e-8)
    # Boltzmann equilibrium: psi is flat to the last bit, c follows.
    assert np.abs(solution.psi).max() < 1e-13
    assert solution.concentration[1] == pytest.approx(np.exp(solution.phi), rel=1e-12)


def test_gouy_chapman_profile_from_the_surface_charge(salt):
    solution = solve_steady(salt, medium_of(salt), blocking(charge=4 * np.sinh(2.0)))
    decay = np.tanh(1.0) * np.exp(-salt.x)
    assert solution.phi == pytest.approx(4 * np.arctanh(decay), abs=1e-6)
    # Gauss's law: the ions hold the opposite of the wall's charge.
    charge = solution.concentration[0] - solution.concentration[1]
    sizes = np.diff(salt.x[::2])
    total = (sizes / 6 * (charge[:-1:2] + 4 * charge[1::2] + charge[2::2])).sum()
    assert total == pytest.approx(-4 * np.sinh(2.0), rel=1e-5)


def test_capacitance_of_tenth_molar_salt_in_water(salt):
    density = 0.1e3 * 6.02214076e23
    scales = Scales(1e-9, density, 1e-9, 298.15)
    debye = np.sqrt(78.49 * scales.poisson / 2)
    assert debye == pytest.approx(0.96192, abs=2e-5)  # nm
    volts = 1e-3
    phi = volts / scales.potential
    solution = solve_steady(salt, medium_of(salt), blocking(phi))
    # The model's length is the Debye length.
    charge = solution.charge["left"] * scales.surface_charge * debye
    assert charge / volts == pytest.approx(0.722476, rel=1e-4)  # F/m2


def test_debye_hueckel_limit(salt):
    solution = solve_steady(salt, medium_of(salt), blocking(charge=2e-4))
    assert solution.phi == pytest.approx(1e-4 * np.exp(-salt.x), abs=1e-10)


@pytest.mark.parametrize("zeta", [4.0, 20.0, 40.0])
def test_bikerman_charge(zeta):
    """Kilic, Bazant & Ajdari 2007, doi:10.1103/PhysRevE.75.021502."""
    nu = 0.015  # of both ions in the bulk
    closure = Bikerman([nu / 2, nu / 2])
    model = salt_model(closure)
    solution = solve_steady(model, medium_of(model, closure=closure), blocking(zeta))
    exact = 2 * np.sqrt(2 / nu * np.log1p(2 * nu * np.sinh(zeta / 2) ** 2))
    assert solution.charge["left"] == pytest.approx(exact, rel=1e-7)
    assert solution.concentration.sum(axis=0).max() <= (1 + 1e-12) * 2 / nu


def test_mu_ex_acts_as_a_boltzmann_factor(salt):
    mu = 3 * np.exp(-((salt.x - 4) ** 2)) * np.ones((2, 1))
    solution = solve_steady(salt, medium_of(salt, mu), blocking())
    assert np.abs(solution.psi).max() < 1e-13
    # Equal for both ions: no charge, and so c = exp(-mu).
    assert solution.concentration == pytest.approx(np.exp(-mu), rel=1e-9)


def test_smoluchowski_flux_over_a_barrier():
    """Flux of an uncharged species over 6 kT beside a 3 kT well with D(x)."""
    length, held = 3.0, {(0, 0.0): 0.0, (0, 3.0): np.log(0.1)}
    vertices = np.linspace(0, length, 401)
    model = NernstPlanckPoisson(interval(vertices), [0])

    def work(x):
        barrier = 6 * np.exp(-((x - 1) ** 2) / (2 * 0.15**2))
        return barrier - 3 * np.exp(-((x - 2) ** 2) / (2 * 0.15**2))

    def diffusivity(x):
        return 0.1 + 0.9 * (1 - np.exp(-2 * x))

    medium = medium_of(model, work(model.x)[None], diffusivity=diffusivity(model.x)[None])
    solution = solve_steady(model, medium, Conditions(held, {0.0: 0.0, length: 0.0}))
    resistance = quad(
        lambda x: np.exp(work(x)) / diffusivity(x), 0, length, points=[1, 2], limit=200
    )[0]
    assert solution.inflow[0, 0.0] == pytest.approx((1 - 0.1) / resistance, rel=1e-5)
    assert solution.inflow[0, 0.0] + solution.inflow[0, length] == pytest.approx(
        0, abs=1e-12
    )


def test_goldman_hodgkin_katz_flux():
    """Constant field: the Debye length is far above the membrane's thickness."""
    model = NernstPlanckPoisson(interval(np.linspace(0, 1, 41)), [1])
    v, c_in, c_out = 1.946, 1.0, 0.1
    held = {(0, 0.0): np.log(c_in) + v, (0, 1.0): np.log(c_out)}
    medium = medium_of(model, poisson=1e6)
    solution = solve_steady(model, medium, Conditions(held, {0.0: v, 1.0: 0.0}))
    exact = v * (c_in - c_out * np.exp(-v)) / (1 - np.exp(-v))
    assert solution.inflow[0, 0.0] == pytest.approx(exact, rel=1e-5)


def test_limiting_current_of_a_permselective_electrode():
    """The cation's flux saturates near 2 D c / L up to 80 kT/e; c stays positive."""
    model = NernstPlanckPoisson(interval(graded(1.0, 1e-6, growth=1.03)), [1, -1])
    medium, flux = medium_of(model, poisson=2e-8), []
    for volts in (20.0, 40.0, 80.0):
        held = {(0, 0.0): -volts, (0, 1.0): 0.0, (1, 1.0): 0.0}
        solution = solve_steady(model, medium, Conditions(held, {0.0: -volts, 1.0: 0.0}))
        assert (solution.concentration > 0).all()
        inflow = solution.inflow
        assert inflow[0, 1.0] == pytest.approx(-inflow[0, 0.0], rel=1e-8)
        flux.append(inflow[0, 1.0])
    assert flux == sorted(flux)
    assert flux == pytest.approx([2.0] * 3, rel=0.05)


def test_flux_enters_at_an_inner_plane():
    """A source plane: nothing flows on its blind side, all of it on the other."""
    vertices = with_points(np.linspace(0, 1, 31), [0.4])
    model = NernstPlanckPoisson(interval(vertices), [0])
    held = {(0, 0.4): 0.01, (0, 1.0): 0.0}
    plus = solve_steady(model, medium_of(model), Conditions(held, {1.0: 0.0}))
    assert plus.inflow[0, 0.4] == pytest.approx(np.expm1(0.01) / 0.6, rel=1e-9)
    blind = model.x < 0.4
    assert plus.psi[0, blind] == pytest.approx(0.01, abs=1e-12)


def test_order_of_convergence():
    """Manufactured potential: fixed charge makes phi what we chose; P2 is of order 3."""
    errors = []
    for n in (16, 32, 64):
        model = NernstPlanckPoisson(interval(np.linspace(0, 1, n + 1)), [1, -1])
        x = model.x
        phi = np.sin(2 * np.pi * x) + x
        mu = np.vstack([np.cos(3 * x), 0.5 * np.sin(2 * x)])
        # psi = 0 held at both ends: psi is flat, c = exp(-z phi - mu).
        density = np.exp(-phi - mu[0]) - np.exp(phi - mu[1])
        eps, slope = 2 + np.sin(x), np.cos(x)
        first = 2 * np.pi * np.cos(2 * np.pi * x) + 1
        second = -4 * np.pi**2 * np.sin(2 * np.pi * x)
        fixed = -0.3 * (slope * first + eps * second) - density
        medium = medium_of(model, mu, poisson=0.3, permittivity=eps, fixed_charge=fixed)
        held = {(i, end): 0.0 for i in (0, 1) for end in (0.0, 1.0)}
        got = solve_steady(model, medium, Conditions(held, {0.0: phi[0], 1.0: phi[-1]}))
        errors.append(_l2(model.x, got.phi, lambda s: np.sin(2 * np.pi * s) + s))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx(3.0, abs=0.1)


def test_flux_of_a_nonuniform_salt_converges():
    """All equations at once, away from equilibrium, against a fine mesh; order >= 3."""

    def flux(n):
        model = NernstPlanckPoisson(interval(np.linspace(0, 1, n + 1)), [2, -1])
        mu = np.vstack([np.sin(4 * model.x), np.cos(5 * model.x)])
        medium = medium_of(
            model,
            mu,
            poisson=0.05,
            c_ref=np.array([1.0, 2.0]),
            diffusivity=np.vstack([np.exp(-model.x), 1 + model.x**2]),
        )
        held = {(0, 0.0): 1.0, (1, 0.0): -0.5, (0, 1.0): 0.0, (1, 1.0): 0.0}
        got = solve_steady(model, medium, Conditions(held, {0.0: 1.0, 1.0: 0.0}))
        for i in (0, 1):  # what goes in comes out
            assert got.inflow[i, 0.0] == pytest.approx(-got.inflow[i, 1.0], rel=1e-11)
        return np.array([got.inflow[0, 0.0], got.inflow[1, 0.0]])

    coarse, middle, fine = flux(10), flux(20), flux(160)
    order = np.log2(np.abs(coarse - fine) / np.abs(middle - fine))
    assert (order > 2.9).all()


def _l2(nodes, values, exact):
    """L2 norm of the error of a P2 function, by 5 Gauss points a cell."""
    points, weights = np.polynomial.legendre.leggauss(5)
    t = (points + 1) / 2
    shape = np.array([(1 - t) * (1 - 2 * t), 4 * t * (1 - t), t * (2 * t - 1)])
    left, size = nodes[:-1:2], nodes[2::2] - nodes[:-1:2]
    cell = np.stack([values[:-1:2], values[1::2], values[2::2]], axis=1)
    error = cell @ shape - exact(left[:, None] + size[:, None] * t)
    return np.sqrt((size[:, None] * weights / 2 * error**2).sum())


def test_continuation_reports_what_it_did_and_reaches_a_hard_state(salt):
    easy = solve_steady(salt, medium_of(salt), blocking(1.0))
    assert (easy.report.steps, easy.report.rejected) == (1, 0)
    # A well of 60 kT for the cation at an uncharged wall.
    mu = np.zeros((2, len(salt.x)))
    mu[0] = -60 * np.exp(-salt.x)
    hard = solve_steady(salt, medium_of(salt, mu), blocking(charge=0.0))
    assert hard.report.iterations > hard.report.steps
    assert np.abs(hard.psi).max() < 1e-10
    again = solve_steady(salt, medium_of(salt, mu), blocking(charge=0.0), start=easy)
    assert again.phi == pytest.approx(hard.phi, abs=1e-8)


def test_the_solver_recovers_after_a_failure(salt):
    """A failed factorisation must not poison the solves after it."""
    none = Held(*np.zeros((2, 0), dtype=int), *np.zeros((2, 0)))
    salt.newton.u.x.array[:] = np.nan
    with pytest.raises(NotConverged, match="overflows in iteration 1"):
        salt.newton.solve(none)
    # An empty medium: the matrix has rows of zeros and cannot be factorised.
    empty = medium_of(salt, np.full((2, len(salt.x)), 900.0), poisson=1e-300)
    salt.put(empty.load() | {"border.0.charge": np.array(1.0)})
    salt.state = np.zeros((3, len(salt.x)))
    with pytest.raises(NotConverged):
        salt.newton.solve(none)
    solution = solve_steady(salt, medium_of(salt), blocking(4.0))
    assert solution.charge["left"] == pytest.approx(4 * np.sinh(2.0), rel=1e-8)


def test_a_load_that_no_step_carries_ends_with_a_clear_error(salt):
    salt.newton.max_iterations, before = 1, salt.newton.max_iterations
    try:
        with pytest.raises(StageError, match="no convergence in 1 iterations"):
            solve_steady(salt, medium_of(salt), blocking(4.0))
    finally:
        salt.newton.max_iterations = before


def plating(potential=0.0, **given):
    """An electrode behind a Stern layer that gives and takes the cation."""
    transfer = ChargeTransfer("left", (1.0, 0.0), rate=1e-3, potential=potential)
    bulk = {(0, "right"): 1.0, (1, "right"): 1.0}
    terms = (transfer, Stern("left", 5.0, potential))
    return Conditions({}, {"right": 0.0}, bulk, terms, **given)


@pytest.fixture(scope="module")
def plated():
    """A model with its state at a given current, most of the limiting one."""
    domain = interval(graded(20.0, 0.05, growth=1.2))
    model = NernstPlanckPoisson(domain, [1, -1], borders=plating().borders)
    driven = plating(current={"left": -0.08})
    return model, solve_steady(model, medium_of(model), driven)


def test_from_a_given_current_to_a_potential(plated):
    """The path begins at the potential that was found, not where its search began."""
    model, start = plated
    medium, far = medium_of(model), plating(start.potential - 2.0)
    held = solve_steady(model, medium, plating(start.potential), start=start)
    assert held.report.iterations <= 2
    ways = [solve_steady(model, medium, far, start=one) for one in (start, held)]
    assert ways[0].report.path == ways[1].report.path


def test_a_polish_that_fails_leaves_the_potential(plated, monkeypatch):
    model, wanted = plated
    solve = model.newton.solve

    def fails(held, floating=None, *, fresh=True, **options):
        if fresh:
            return solve(held, floating, **options)
        floating.put(99.0, held)
        raise NotConverged("on purpose")

    monkeypatch.setattr(model.newton, "solve", fails)
    found = solve_steady(model, wanted.medium, wanted.conditions)
    assert found.potential == pytest.approx(wanted.potential, rel=1e-9)
    assert found.inflow[0, "left"] == pytest.approx(-0.08, rel=1e-6)
    assert found.charge["left"] == pytest.approx(wanted.charge["left"], rel=1e-6)


def test_one_kernel_serves_other_numbers(salt):
    """Values are read at run time: twice the permittivity is sqrt(2) the charge."""
    medium = medium_of(salt, permittivity=2.0)
    solution = solve_steady(salt, medium, blocking(0.01))
    weak = solve_steady(salt, medium_of(salt), blocking(0.01))
    assert solution.charge["left"] / weak.charge["left"] == pytest.approx(
        np.sqrt(2), rel=1e-7
    )


def test_bad_input_is_refused(salt):
    good = medium_of(salt)
    with pytest.raises(InputError, match="diffusivity out of range"):
        medium_of(salt, diffusivity=np.zeros((2, len(salt.x))))
    with pytest.raises(InputError, match="mu_ex is not finite"):
        medium_of(salt, np.full((2, len(salt.x)), np.nan))
    with pytest.raises(InputError, match="larger than their space"):
        medium_of(salt, closure=Bikerman([0.6, 0.6]))
    with pytest.raises(InputError, match="does not fit the nodes"):
        solve_steady(salt, medium_of(salt, np.zeros((2, 3))), blocking())
    with pytest.raises(InputError, match="between the nodes"):
        solve_steady(
            salt, good, replace(blocking(), psi={(0, 0.123456): 0.0, (1, LENGTH): 0.0})
        )
    with pytest.raises(InputError, match=r"nowhere for species 1"):
        solve_steady(salt, good, replace(blocking(), psi={(0, LENGTH): 0.0}))
