"""Steps in time: orders, balances, energy, and the jump that broke other solvers."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import Functionals, medium_of, still, ufl  # noqa: E402
from scipy.integrate import trapezoid  # noqa: E402
from scipy.optimize import brentq  # noqa: E402

from mesobridge.continuum.bdf import Bdf2  # noqa: E402
from mesobridge.continuum.borders import Flux, Outflow, Stern  # noqa: E402
from mesobridge.continuum.closures import Bikerman  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.holding import held_unknowns  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.transient import solve_transient  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem

CLOSED = Conditions(phi={"left": 0.0})


# ------------------------------------------------------------------- accuracy in time


@pytest.fixture(scope="module")
def bar():
    """A neutral species between closed walls."""
    return NernstPlanckPoisson(interval(np.linspace(0, 1, 41)), [0])


def wave(x, time):
    """Exact: ``c = 1 + e^(-pi^2 t) cos(pi x) / 2``."""
    return 1 + 0.5 * np.exp(-(np.pi**2) * time) * np.cos(np.pi * x)


def begin(bar):
    medium = medium_of(bar)
    return medium, still(bar, medium, np.log(wave(bar.x, 0.0)))


def test_fixed_steps_are_of_second_order(bar):
    """BDF2 after one step of first order (Hairer & Wanner, ch. III.1)."""
    errors = []
    for n in (20, 40, 80):
        medium, start = begin(bar)
        bar.put(medium.load())
        bar.state = start.state
        held = held_unknowns(bar, medium, CLOSED)
        bdf, step = Bdf2(bar, medium), 0.1 / n
        bdf.remember(0.0, {})
        for k in range(n):
            bdf.attempt(step, held)
            bdf.remember((k + 1) * step, {})
        errors.append(np.abs(bdf.past[-1].concentration[0] - wave(bar.x, 0.1)).max())
    orders = -np.diff(np.log2(errors))
    assert orders == pytest.approx(2.0, abs=0.15)


def test_variable_steps_are_of_second_order(bar):
    """Steps that grow and shrink by up to 1.8."""
    errors = []
    for n in (20, 40, 80):
        medium, start = begin(bar)
        bar.put(medium.load())
        bar.state = start.state
        held = held_unknowns(bar, medium, CLOSED)
        bdf, steps = Bdf2(bar, medium), np.tile([1.0, 1.8, 1.0, 0.6], n // 4)
        bdf.remember(0.0, {})
        for time, step in zip(np.cumsum(steps), steps, strict=True):
            bdf.attempt(0.1 * step / steps.sum(), held)
            bdf.remember(0.1 * time / steps.sum(), {})
        errors.append(np.abs(bdf.past[-1].concentration[0] - wave(bar.x, 0.1)).max())
    orders = -np.diff(np.log2(errors))
    assert orders == pytest.approx(2.0, abs=0.15)


def test_the_error_falls_with_the_tolerance(bar):
    errors = []
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        medium, start = begin(bar)
        run = solve_transient(bar, medium, CLOSED, 0.2, start=start, tolerance=tolerance)
        errors.append(np.abs(run.last.concentration[0] - wave(bar.x, 0.2)).max())
    assert (np.diff(errors) < 0).all()
    assert errors[-1] < 1e-4


def test_longest_step(bar):
    """Bounded steps are of second order too, however loose the tolerance."""
    errors = []
    for longest in (0.1 / 40, 0.1 / 80):
        medium, start = begin(bar)
        run = solve_transient(
            bar,
            medium,
            CLOSED,
            0.1,
            start=start,
            tolerance=10.0,
            first_step=longest,
            longest_step=longest,
        )
        assert np.diff(run.time).max() <= longest * (1 + 1e-9)
        errors.append(np.abs(run.last.concentration[0] - wave(bar.x, 0.1)).max())
    assert errors[0] / errors[1] == pytest.approx(4.0, abs=0.6)


# ----------------------------------------------------------- a cell between electrodes

LENGTH = 20.0  # Debye lengths
VOLUME = 0.0075


def plates(closure=None, first=0.1, length=LENGTH):
    vertices = graded(length, first, growth=1.2, largest=0.5, both=True)
    return NernstPlanckPoisson(interval(vertices), [1, -1], closure=closure)


def charged(volts):
    return Conditions(phi={"left": volts / 2, "right": -volts / 2})


@pytest.mark.parametrize("length", [20.0, 6.0])
def test_debye_charging(length):
    """The slowest decay of the charge after a small step: 19.47989 for L = 20.

    Electrodes at -L and L: ``tanh(k L)/(k L) = 1 - k^2``, ``s = k^2 - 1 = -1/tau`` in
    units of lam^2/D (Bazant, Thornton & Ajdari 2004, doi:10.1103/PhysRevE.70.021506;
    their leading order is lam L / D = 20).
    """
    model = plates(first=0.05, length=2 * length)
    medium = medium_of(model)
    tau = relaxation(length)
    if length == 20:
        assert tau == pytest.approx(19.47989, abs=1e-5)
    run = solve_transient(
        model,
        medium,
        charged(1e-3),
        4 * tau,
        start=still(model, medium),
        tolerance=1e-6,
        longest_step=tau / 40,
        at=[2 * tau, 3 * tau, 4 * tau],
    )
    charges = [run.snapshots[n * tau].charge["left"] for n in (2, 3, 4)]
    # Equidistant values of limit + A e^(-t / tau).
    rate = np.log((charges[1] - charges[0]) / (charges[2] - charges[1])) / tau
    assert 1 / rate == pytest.approx(tau, rel=1e-3)


def relaxation(length):
    k = brentq(lambda k: np.tanh(k * length) / (k * length) - 1 + k * k, 0.5, 0.9999)
    return 1 / (1 - k * k)


class Watch:
    """Sees the amounts of the model at every step."""

    def __init__(self, model):
        self.model = model
        self.total, self.seen = Functionals(model, lambda here: here.c), []

    def __call__(self, *_):
        self.seen.append(self.total())

    def drift(self, start):
        """Largest relative change of an amount."""
        self.model.state = start.state
        first = self.total()
        return np.abs(np.array(self.seen) / first - 1).max()


@pytest.mark.parametrize(("until", "iterations"), [(20.0, 200), (400.0, 350)])
def test_jump_of_one_volt(until, iterations):
    """40 kT/e at once between blocking electrodes, ions of finite size.

    Bikerman's ions at 0.1 mol/l (doi:10.1103/PhysRevE.75.021502); nothing is lost at any
    step, nothing negative. After t = 26 the electrodes have taken up every ion of the
    cell (c falls to 4e-16 in its middle), which takes Newton's method longest.
    """
    closure = Bikerman([VOLUME] * 2)
    model = plates(closure, first=0.02)
    medium = medium_of(model, closure=closure)
    start, watch = still(model, medium), Watch(model)
    run = solve_transient(
        model, medium, charged(40.0), until, start=start, progress=watch
    )
    assert run.iterations <= iterations
    assert watch.drift(start) < 1e-12
    assert (run.last.concentration > 0).all()
    assert (run.last.concentration.sum(axis=0) * VOLUME <= 1 + 1e-9).all()
    # Nothing passes: the current is the same at both ends at every step.
    assert run.current["left"][1:] == pytest.approx(-run.current["right"][1:], rel=1e-5)


@pytest.fixture(scope="module")
def cell():
    return plates()


def test_stored_charge_is_the_integral_of_the_current(cell):
    """``Q(t) = Q(t1) + int I dt`` by the trapezoid rule."""
    medium, tolerance = medium_of(cell), 1e-3
    run = solve_transient(
        cell,
        medium,
        charged(8.0),
        60.0,
        start=still(cell, medium),
        tolerance=tolerance,
        longest_step=0.5,
    )
    current, charge = run.current["left"], run.charge["left"]
    # The first step charges the bare plates; then the ions move.
    assert current[1] * run.time[1] == pytest.approx(charge[1], rel=1e-9)
    i = np.searchsorted(run.time, 1.0)
    moved = trapezoid(current[i:], run.time[i:])
    assert moved == pytest.approx(charge[-1] - charge[i], rel=tolerance)
    assert run.charge["right"] == pytest.approx(-charge, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("steric", [False, True])
@pytest.mark.parametrize(("tolerance", "rise"), [(3e-3, 1e-6), (1e-5, 0.0)])
def test_free_energy_falls_at_constant_potential(steric, tolerance, rise):
    """``G = int sum c (ln c - 1) + lattice + p/2 |grad phi|^2 - sum V Q`` never grows.

    ``dG/dt = -int sum D c |grad psi|^2`` (Kilic et al., doi:10.1103/PhysRevE.75.021503).
    BDF2 with variable steps keeps that within its error.
    """
    closure = Bikerman([0.05] * 2) if steric else None
    model = plates(closure)
    given = {"closure": closure} if steric else {}
    medium, volts = medium_of(model, **given), 12.0
    energy = Functionals(model, lambda here: [density(here, steric)])
    values = []

    def watch(*_):
        charges = model_charges(model)
        values.append(energy()[0] - volts / 2 * (charges[0] - charges[1]))

    solve_transient(
        model,
        medium,
        charged(volts),
        200.0,
        start=still(model, medium),
        tolerance=tolerance,
        progress=watch,
    )
    fall = np.diff(values)
    assert fall.max() <= rise * (values[0] - values[-1])
    assert values[0] - values[-1] > 10.0


def density(here, steric):
    """Free energy per volume."""
    field = ufl.grad(here.phi)
    total = sum(c * (ufl.ln(c) - 1) for c in here.c) + ufl.inner(field, field)
    if steric:
        free = 1 - 0.05 * sum(here.c)
        total += (free * ufl.ln(free) - free) / 0.05
    return total


def model_charges(model):
    reaction = model.newton.reactions()
    return [reaction[model.unknowns(-1, end)].sum() for end in ("left", "right")]


# ------------------------------------------------------------------ conditions in time


def test_a_ramp_charges_a_capacitor():
    """A slow sweep of a Stern layer at 1 mol/l: ``I = C dV/dt``, in series with the ions.

    ``1/C = 1/C_H + 1/(p/lam)`` for small potentials.
    """
    terms = (Stern("left"), Stern("right"))
    vertices = graded(20.0, 0.1, growth=1.2, largest=0.5, both=True)
    model = NernstPlanckPoisson(interval(vertices), [1, -1], borders=terms)
    medium, rate = medium_of(model), 1e-5

    def sweep(time):
        return Conditions(
            borders=(
                Stern("left", 0.5, rate * time / 2),
                Stern("right", 0.5, -rate * time / 2),
            )
        )

    run = solve_transient(
        model, medium, sweep, 200.0, start=still(model, medium), tolerance=1e-6
    )
    capacity = 1 / (2 / 0.5 + 2 / 2.0)
    assert run.current["left"][-1] == pytest.approx(capacity * rate, rel=1e-3)


def test_outflow_empties_a_channel():
    """Plug flow with diffusion: at last the fresh solution fills the channel."""
    model = NernstPlanckPoisson(
        interval(np.linspace(0, 1, 41)), [0], advection=True, borders=[Outflow("right")]
    )
    medium = medium_of(model, velocity=np.full((1, len(model.x)), 10.0))
    held = Conditions(
        phi={"left": 0.0}, concentration={(0, "left"): 0.3}, borders=(Outflow("right"),)
    )
    start, total = still(model, medium), Functionals(model, lambda here: here.c)
    model.state = start.state
    before = total()[0]
    run = solve_transient(
        model, medium, held, 1.0, start=start, tolerance=1e-5, longest_step=5e-3
    )
    model.state = run.last.state
    net = run.inflow[0, "left"] + run.inflow[0, "right"]
    # The first step, which makes the jump at the inlet, is of first order.
    passed = run.time[1] * net[1] + trapezoid(net[1:], run.time[1:])
    assert total()[0] - before == pytest.approx(passed, rel=1e-2)
    assert run.last.concentration[0] == pytest.approx(0.3, rel=1e-3)


def test_a_flux_adds_up():
    """A given flux into a closed cell: the amount grows by flux x time to rounding."""
    terms = (Flux("left", 0, 0.25),)
    model = NernstPlanckPoisson(interval(np.linspace(0, 1, 21)), [0], borders=terms)
    medium = medium_of(model)
    start, total, seen = still(model, medium), Functionals(model, lambda here: here.c), []
    held = Conditions(phi={"left": 0.0}, borders=terms)
    run = solve_transient(
        model, medium, held, 2.0, start=start, progress=lambda *_: seen.append(total()[0])
    )
    assert seen == pytest.approx(1 + 0.25 * run.time[1:], rel=1e-12)


def test_states_are_kept_at_the_times_asked_for(bar):
    medium, start = begin(bar)
    run = solve_transient(
        bar, medium, CLOSED, 0.2, start=start, at=[0.05, 0.125], tolerance=1e-5
    )
    assert set(run.snapshots) == {0.0, 0.05, 0.125, 0.2}
    assert {0.05, 0.125, 0.2} <= set(run.time)
    assert run.last is run.snapshots[0.2]
    later = solve_transient(
        bar, medium, CLOSED, 0.3, start=run.snapshots[0.2], begin=0.2, tolerance=1e-5
    )
    assert later.time[0] == 0.2
    assert later.last.concentration[0] == pytest.approx(wave(bar.x, 0.3), abs=2e-3)


def test_bad_times_are_refused(bar):
    medium, start = begin(bar)
    for bad in (
        {"until": -1.0},
        {"until": 0.0},
        {"until": 1.0, "at": [2.0]},
        {"until": 1.0, "at": [0.0]},
        {"until": 1.0, "tolerance": 0.0},
        {"until": np.nan},
    ):
        with pytest.raises(InputError, match="times of a transient"):
            solve_transient(bar, medium, CLOSED, **bad, start=start)
    other = replace(CLOSED, borders=(Flux("left", 0, 1.0),))
    with pytest.raises(InputError, match="was not made for"):
        solve_transient(bar, medium, other, 1.0, start=start)
