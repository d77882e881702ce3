"""Impedance spectra against closed forms and against themselves; scaled units."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402

from mesobridge.continuum import pairs  # noqa: E402
from mesobridge.continuum.borders import ChargeTransfer, Stern, SurfaceCharge  # noqa: E402
from mesobridge.continuum.closures import CarnahanStarling  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.impedance import (  # noqa: E402
    differential_capacitance,
    impedance,
)
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.periodic import Periodic  # noqa: E402
from mesobridge.continuum.states import Solution  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.continuum.transient import solve_transient  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem

LENGTH = 10.0  # Debye lengths
SIX_DECADES = np.logspace(-3, 3, 25)


def half_cell(omega, length=LENGTH):
    """Blocking electrode and reservoir, linear in the potential, 1:1 salt with D = 1.

    With rho = c+ - c-, ``-2 phi'' = rho`` and ``i omega rho = rho'' - rho``: rho is
    ``sinh k (L - x)`` with ``k^2 = 1 + i omega``. That no ion passes at 0 gives the rest;
    doi:10.1103/PhysRevE.70.021506 has the same ``tanh(kL) / kL``.
    """
    s = 1j * omega
    k = np.sqrt(1 + s)
    return length / (2 * k**2) * (1 + np.tanh(k * length) / (s * k * length))


@pytest.fixture(scope="module")
def salt():
    return NernstPlanckPoisson(interval(graded(LENGTH, 1e-3, growth=1.03)), [1, -1])


@pytest.fixture(scope="module")
def charged(salt):
    """A wall at 4 kT/e."""
    held = reservoir(2, "right")
    held["phi"]["left"] = 4.0
    return solve_steady(salt, medium_of(salt), Conditions(**held))


def at_rest(model, conditions, **given):
    return Solution.at_rest(model, medium_of(model, **given), conditions)


def test_blocking_electrode_of_a_dilute_salt(salt):
    conditions = Conditions(**reservoir(2, "right"))
    conditions.phi["left"] = 0.0
    got = impedance(salt, at_rest(salt, conditions), "left", SIX_DECADES)
    assert np.abs(got.impedance / half_cell(SIX_DECADES) - 1).max() < 1e-6


def test_two_blocking_electrodes_are_twice_the_half_cell():
    vertices = graded(LENGTH, 1e-3, growth=1.03)
    both = np.concatenate([vertices, 2 * LENGTH - vertices[-2::-1]])
    model = NernstPlanckPoisson(interval(both), [1, -1])
    state = at_rest(model, Conditions(phi={"left": 0.0, "right": 0.0}))
    got = impedance(model, state, "left", SIX_DECADES)
    assert np.abs(got.impedance / (2 * half_cell(SIX_DECADES)) - 1).max() < 1e-6
    with pytest.raises(InputError, match="amount is not determined"):
        differential_capacitance(model, state, "left")


def test_capacitance_at_low_frequency_is_that_of_gouy_and_chapman(salt, charged):
    exact = 2 * np.cosh(2.0)
    static = differential_capacitance(salt, charged, "left")
    assert static == pytest.approx(exact, rel=1e-6)
    slow = impedance(salt, charged, "left", 1e-7).capacitance[0]
    assert slow.real == pytest.approx(static, rel=1e-9)
    assert abs(slow.imag) < 1e-4


def test_stern_layer_is_in_series():
    domain = interval(graded(LENGTH, 1e-3, growth=1.03))
    wall = Stern("left", capacitance=0.5, potential=0.0)
    model = NernstPlanckPoisson(domain, [1, -1], borders=[wall])
    conditions = Conditions(**reservoir(2, "right"), borders=(wall,))
    got = impedance(model, at_rest(model, conditions), "left", SIX_DECADES)
    exact = half_cell(SIX_DECADES) + 1 / (0.5j * SIX_DECADES)
    assert np.abs(got.impedance / exact - 1).max() < 1e-6

    wall = Stern("left", capacitance=0.5, potential=20.0)
    conditions = Conditions(**reservoir(2, "right"), borders=(wall,))
    found = solve_steady(model, medium_of(model), conditions)
    diffuse = 2 * np.cosh(found.phi[0] / 2)
    got = differential_capacitance(model, found, "left")
    assert 1 / got == pytest.approx(1 / diffuse + 1 / 0.5, rel=1e-6)


#: Much more than anything else: no charge is seen, phi = 0.
UNSCREENED = 1e9


def couple(electrons=1.0, potential=0.0, vertices=None, **given):
    """A redox couple between an electrode and a reservoir at distance 1."""
    transfer = ChargeTransfer(
        "left", (-1.0, 1.0), rate=0.7, potential=potential, alpha=0.3, electrons=electrons
    )
    if vertices is None:
        vertices = graded(1.0, 1e-4, growth=1.05)
    model = NernstPlanckPoisson(interval(vertices), [0, electrons], borders=[transfer])
    conditions = Conditions(**reservoir(2, "right"), borders=(transfer,), **given)
    medium = medium_of(
        model, poisson=UNSCREENED, c_ref=[1.0, 0.4], diffusivity=np.array([1.0, 2.0])
    )
    return model, solve_steady(model, medium, conditions), transfer


@pytest.mark.parametrize(
    ("electrons", "potential"), [(1.0, 0.0), (1.0, 1.5), (2.0, -0.4)]
)
def test_charge_transfer_and_finite_length_diffusion(electrons, potential):
    """Resistance of the transfer, and ``tanh(kL) / (D c k)`` of ``k^2 = i omega / D``."""
    model, state, transfer = couple(electrons, potential)
    omega, n, alpha = np.logspace(-3, 4, 29), electrons, transfer.alpha
    got = impedance(model, state, "left", omega).impedance
    red, ox = state.concentration[:, 0] / [1.0, 0.4]
    forward = 0.7 * np.exp(alpha * n * potential)
    backward = 0.7 * np.exp((alpha - 1) * n * potential)
    slope = n * (alpha * forward * red + (1 - alpha) * backward * ox)
    total = 1 / (n * slope)
    for d, c, factor in [(1.0, 1.0, forward), (2.0, 0.4, backward)]:
        k = np.sqrt(1j * omega / d)
        total = total + factor * np.tanh(k) / (d * c * k) / (n * slope)
    assert np.abs(got / total - 1).max() < 1e-6


def test_charge_transfer_resistance_is_that_of_high_frequencies():
    model, state, transfer = couple(electrons=2.0)
    got = impedance(model, state, "left", 1e9).impedance[0]
    assert got.real == pytest.approx(1 / (transfer.rate * 2.0**2), rel=1e-4)


def test_at_a_given_current():
    """The potential is the one that was found, not the one that the search began with."""
    model, state, _ = couple(current={"left": 0.5})
    same, at_potential, _ = couple(potential=state.potential)
    omega = np.logspace(-2, 2, 5)
    got = impedance(model, state, "left", omega).admittance
    wanted = impedance(same, at_potential, "left", omega).admittance
    assert got == pytest.approx(wanted, rel=1e-7)


def test_either_electrode_tells_the_same():
    """What flows in at one end flows out at the other, and only differences drive it.

    The state is far from equilibrium, in a medium that is not uniform, with electrodes
    that give and take the cation at given concentrations.
    """
    model = NernstPlanckPoisson(interval(graded(5.0, 1e-2, growth=1.05)), [2, -1])
    bump = np.exp(-((model.x - 2) ** 2))
    medium = medium_of(
        model,
        mu_ex=np.vstack([bump, -0.5 * bump]),
        diffusivity=np.vstack([1 + bump, 2 - bump]),
        c_ref=np.array([1.0, 2.0]),
        permittivity=1 + bump,
    )
    density = {(0, "left"): 2.0, (1, "left"): 3.0, (0, "right"): 1.0, (1, "right"): 2.0}
    conditions = Conditions(phi={"left": -2.0, "right": 0.0}, concentration=density)
    state = solve_steady(model, medium, conditions)
    omega = np.logspace(-3, 3, 13)
    ends = [impedance(model, state, end, omega).admittance for end in ("left", "right")]
    assert np.abs(ends[0] / ends[1] - 1).max() < 1e-9
    assert abs(ends[0][0]) > 0.1  # ions pass


def test_a_reservoir_sees_what_the_electrode_sees():
    """Psi moves with phi: no ion has work to do in a reservoir whose potential moves."""
    model = NernstPlanckPoisson(interval(graded(5.0, 1e-2, growth=1.1)), [2, -1])
    bump = np.exp(-((model.x - 2) ** 2))
    medium = medium_of(
        model, mu_ex=np.vstack([bump, -0.5 * bump]), c_ref=np.array([1.0, 2.0])
    )
    held = reservoir(2, "right", phi=0.5)
    held["psi"] = {(0, "right"): 1.0, (1, "right"): -0.5, (0, "left"): 0.4}
    held["phi"]["left"] = 2.0
    state = solve_steady(model, medium, Conditions(**held))
    omega = np.logspace(-3, 3, 13)
    ends = [impedance(model, state, end, omega).admittance for end in ("left", "right")]
    assert np.abs(ends[0] / ends[1] - 1).max() < 1e-9
    # The slowest is the slope of the current, the ions of the electrode moving along.
    moved = Conditions(
        held["psi"] | {(0, "left"): 0.4 + 2e-4}, {"left": 2.0001, "right": 0.5}
    )
    change = 2 * (
        solve_steady(model, medium, moved, start=state).inflow[0, "left"]
        - state.inflow[0, "left"]
    )
    slowest = impedance(model, state, "left", 1e-8).admittance[0]
    assert slowest.real == pytest.approx(change / 1e-4, rel=1e-3)
    # A given current finds that potential again.
    given = replace(Conditions(**held), current={"left": 2 * state.inflow[0, "left"]})
    given.phi["left"], given.psi[0, "left"] = 1.5, 0.4 - 2 * 0.5
    assert solve_steady(model, medium, given).potential == pytest.approx(2.0, rel=1e-8)


def test_kramers_kronig(salt, charged):
    """Real and imaginary part of a spectrum of a nonlinear state belong together."""
    grid = np.logspace(-6, 6, 241)
    got = impedance(salt, charged, "left", grid).capacitance
    # At every other point, from the points between: the singularity is never met.
    between = grid[1::2]
    width = 2 * np.log(grid[1] / grid[0])
    for omega in grid[60:181:20]:
        lost = -got.imag[1::2]
        integral = width * (between**2 * lost / (between**2 - omega**2)).sum()
        real = got.real[-1] + 2 / np.pi * integral
        assert real == pytest.approx(got.real[grid == omega][0], rel=1e-4)


def test_spectrum_of_a_step_in_time():
    """The charge after a small step, Fourier transformed, is the capacitance."""
    closure = CarnahanStarling([0.02, 0.01])
    domain = interval(graded(4.0, 1e-2, growth=1.08))
    model = NernstPlanckPoisson(domain, [1, -1], closure=closure)
    medium, step = medium_of(model, closure=closure), 1e-3
    before, after = (closing(4.0, potential) for potential in (1.0, 1.0 + step))
    state = solve_steady(model, medium, before)
    run = solve_transient(model, medium, after, 60.0, start=state, tolerance=1e-8)
    time, charge = run.time, run.charge["left"] - state.charge["left"]
    settled = charge[-1]
    omega = 0.3
    # Exact for a charge that is linear between the times.
    slopes = np.diff(charge[1:]) / np.diff(time[1:])
    waves = np.exp(-1j * omega * time[1:])
    transformed = charge[1] + (slopes * np.diff(waves)).sum() / (-1j * omega)
    got = impedance(model, state, "left", omega).capacitance[0]
    assert abs(transformed / step / got - 1) < 1e-3
    assert settled / step == pytest.approx(
        differential_capacitance(model, state, "left"), rel=1e-3
    )


def closing(length, potential):
    held = reservoir(2, "right")
    held["phi"]["left"] = potential
    return Conditions(**held)


def test_two_dimensions_and_a_closure():
    """A strip is as many times the interval as it is high; the wall's charge is fixed."""
    lines, closure = graded(4.0, 2e-2, growth=1.2), CarnahanStarling([0.02, 0.01])
    found = []
    for domain in (interval(lines), rectangle(lines, np.linspace(0, 0.5, 3))):
        walls = [Stern("left", 3.0, 2.0), SurfaceCharge("left", 0.7)]
        model = NernstPlanckPoisson(domain, [1, -1], closure=closure, borders=walls)
        conditions = Conditions(**reservoir(2, "right"), borders=tuple(walls))
        state = solve_steady(model, medium_of(model, closure=closure), conditions)
        found.append(impedance(model, state, "left", [0.01, 1.0, 100.0]).admittance)
    assert found[1] == pytest.approx(0.5 * found[0], rel=1e-6)


def test_a_period_is_as_good_as_a_strip():
    """Periodic in the other direction, with a term whose nodes are tied."""
    lines, pairs = graded(4.0, 2e-2, growth=1.2), (Periodic("bottom", "top"),)
    transfer = ChargeTransfer("left", (1.0, 0.0), rate=0.3, potential=0.5)
    walls = [Stern("left", 3.0, 0.5), transfer]
    held = {
        "phi": {"right": 0.0},
        "concentration": {(0, "right"): 1.0, (1, "right"): 1.0},
        "borders": tuple(walls),
    }
    found = []
    for given in ((), pairs):
        domain = rectangle(lines, np.linspace(0, 0.5, 4))
        model = NernstPlanckPoisson(domain, [1, -1], borders=walls, periodic=given)
        conditions = Conditions(**held, periodic=given)
        state = solve_steady(model, medium_of(model), conditions)
        spectrum = impedance(model, state, "left", [0.01, 1.0, 100.0]).admittance
        static = differential_capacitance(model, state, "left")
        found.append([*spectrum, static])
    assert found[1] == pytest.approx(found[0], rel=1e-7)


def test_bad_input_is_refused(salt, charged):
    with pytest.raises(InputError, match="frequencies that cannot be used"):
        impedance(salt, charged, "left", [1.0, 0.0])
    model, state, _ = couple()
    with pytest.raises(InputError, match="no electrode"):
        impedance(model, state, "middle", 1.0)
    domain = interval(np.linspace(0, 1, 5))
    wall = SurfaceCharge("left", 0.0)
    model = NernstPlanckPoisson(domain, [1, -1], borders=[wall])
    conditions = Conditions(**reservoir(2, "right"), borders=(wall,))
    with pytest.raises(InputError, match="no electrode"):
        impedance(model, at_rest(model, conditions), "left", 1.0)


@pytest.mark.parametrize(
    ("volts", "poisson"), [(0.0, 0.02), (-3.0, 0.02), (-3.0, 0.0)], ids=str
)
def test_iterations_give_what_elimination_gives(monkeypatch, volts, poisson):
    """At rest, and with the current of cations that an electrode takes up."""
    lines = graded(1.0, 0.01, growth=1.2)
    got = []
    for least in (10**9, 0):
        monkeypatch.setattr(pairs, "DIRECT_UP_TO", least)
        place = rectangle(np.linspace(0, 0.5, 6), lines)
        model = NernstPlanckPoisson(place, [1, -1], degree=1, linear="fieldsplit")
        given = reservoir(2, "top")
        given["psi"][0, "bottom"] = volts
        if poisson:
            given["phi"]["bottom"] = volts
        medium = medium_of(model, poisson=poisson, diffusivity=np.array([1.0, 2.0]))
        state = solve_steady(model, medium, Conditions(**given))
        place = "bottom" if poisson else "top"
        got.append(impedance(model, state, place, [0.1, 30.0, 1e4]).admittance)
    assert got[1] == pytest.approx(got[0], rel=1e-6)
