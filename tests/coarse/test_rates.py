"""Rates of known processes, and what has none."""

import numpy as np
import pytest
import torch

from mesobridge.coarse.calibration import Calibration
from mesobridge.coarse.langevin import GAS_CONSTANT, Langevin
from mesobridge.coarse.linear_forces import AutogradForces
from mesobridge.coarse.linear_model import LinearModel
from mesobridge.coarse.rates import Motion, Rate, diffusion_of_run, transition_rate
from mesobridge.coarse.recording import run
from mesobridge.coarse.umbrella import Biased, Umbrellas
from mesobridge.core.errors import InputError
from mesobridge.core.units import PS

MASS, FRICTION, STEP = 20.0, 100.0, 0.01
KT = GAS_CONSTANT * 300.0
#: Of BAOAB at this step, nm2/ps.
D = KT * STEP / (2 * MASS) / np.tanh(FRICTION * STEP / 2)


def model_of(calibrated=True):
    bare = LinearModel(("X",), np.array([MASS]), (), np.zeros((1, 0)), 1, {})
    pair = np.array([[FRICTION, 1.0]])
    found = Calibration(("X",), pair, 1e-9 * pair, 1e-9 * pair, pair, 5.0, 300.0, STEP, 2)
    return found.kept_in(bare) if calibrated else bare


MODEL = model_of()


def motion(species=("X",), friction=FRICTION, temperature=300.0, step=STEP):
    friction = np.full(len(species), friction)
    return Motion(species, friction, np.array([temperature]), step)


HEIGHT, PLACE, EDGE = 2.0, 0.12, 0.09  # kT, nm: two wells and where their cores begin


def work(x):
    return HEIGHT * ((x / PLACE) ** 2 - 1) ** 2


class Wells:
    """`work` along x, a spring along y and z."""

    def forces(self, x):
        out = -500.0 * x
        q = x[:, :, 0]
        out[:, :, 0] = (-4 * KT * HEIGHT / PLACE**2) * q * ((q / PLACE) ** 2 - 1)
        return out


def first_passage(start, end):
    """1/D int exp(W) int exp(-W), of overdamped motion from start to end."""
    x = np.linspace(-0.4, end, 40_001)
    inner = np.cumsum(np.exp(-work(x)))
    return np.exp(work(x))[x > start] @ inner[x > start] * (x[1] - x[0]) ** 2 / D


def test_kramers_rate_of_a_double_well():
    """Friction ten times the frequencies: inertia changes the time by less than 1 %.

    Frames see a border where a walker is 0.5826 of its steps beyond (Broadie, Glasserman
    & Kou 1997, doi:10.1111/1467-9965.00035).
    """
    every, replicas = 2, 1000
    x = torch.zeros(replicas, 1, 3)
    x[:, 0, 0] = PLACE * (-1.0) ** torch.arange(replicas)
    engine = Langevin(Wells(), x, torch.tensor([MASS]), temperature=300.0, step=STEP,
                      friction=FRICTION, seed=2)  # fmt: skip
    engine.advance(3000)
    q = np.empty((2500, replicas), np.float32)

    def keep(k, x):
        q[k] = x[:, 0, 0].numpy()

    run(engine, 2500, every, keep)
    low, high, spacing = q < -EDGE, q > EDGE, every * STEP
    how = Motion.of(engine, ["X"])
    there = transition_rate(MODEL, how, low, high, spacing)
    back = transition_rate(MODEL, how, high, low, spacing)
    late = 0.5826 * (2 * D * spacing) ** 0.5
    truth = 1 / first_passage(-EDGE - late, EDGE + late)
    for found in (there, back):
        assert found.transitions > 200
        low, high = found.interval
        assert abs(np.log(found.rate[0] / truth)) < np.log(high / low)  # 4 sigma
        assert np.log(high / low) < 0.35
    # Of the mean of both: 2 % of inertia and of passages cut at the start, and 4 sigma.
    both = (there.rate[0] + back.rate[0]) / 2
    error = 1 / (there.transitions + back.transitions) ** 0.5
    assert both / truth == pytest.approx(1, abs=4 * error + 0.02)
    # Without cores each passage of the barrier counts: many times too fast.
    naive = transition_rate(MODEL, how, q < 0, q >= 0, spacing)
    assert naive.rate[0] > 3 * truth


def jumps(rate, frames, replicas, seed=0, away=1.0):
    """Frames of a two-state process with rates 1/ps there and `away` back."""
    rng = np.random.default_rng(seed)
    state = np.zeros((frames, replicas), bool)
    for k in range(1, frames):
        leave = np.where(state[k - 1], away, rate) * 0.01
        state[k] = state[k - 1] ^ (rng.random(replicas) < leave)
    return state


@pytest.mark.parametrize(("frames", "replicas"), [(20_000, 1), (100, 400)])
def test_intervals_of_rates_hold_the_truth(frames, replicas):
    """Long runs and short ones; 3 of 60 are missed on average, 11 or more once in 1e4."""
    held, values = 0, []
    runs = jumps(0.4, frames, 60 * replicas).reshape(frames, 60, replicas)
    for seed, state in enumerate(runs.swapaxes(0, 1)):
        found = transition_rate(MODEL, motion(), ~state, state, 0.01, seed=seed)
        low, high = found.interval
        held += low <= 0.4 <= high
        values.append(found.rate[0])
    assert held >= 50
    assert abs(np.mean(values) - 0.4) < 4 * np.std(values) / 60**0.5 + 0.004


def test_stays_are_counted_as_drawn():
    """A is 1, B is 2, 0 between; one replica starts between, one never leaves A."""
    state = np.array([[0, 0, 1, 0, 1, 2, 0, 2, 1, 0, 2, 0], [1] * 12]).T
    state = np.tile(state, (1, 20))
    found = transition_rate(MODEL, motion(), state == 1, state == 2, 0.5)
    # In the first A stays from 2 to 5 and from 8 to 10, in the other for all 11 steps.
    assert found.transitions == 40
    assert found.time == pytest.approx(20 * 0.5 * (3 + 2 + 11))
    assert found.rate[0] == pytest.approx(40 / found.time)
    assert found.n_units == 60


def test_diffusion_of_a_calibrated_run():
    rng = np.random.default_rng(0)
    x = (2 * D * 0.05) ** 0.5 * rng.standard_normal((200, 40, 1, 3)).cumsum(0)
    value, half = diffusion_of_run(MODEL, motion(), x, 0.05).interval[0]
    assert abs(value - D) < 2 * half
    with pytest.raises(InputError, match="not calibrated"):
        diffusion_of_run(model_of(False), motion(), x, 0.05)


@pytest.mark.parametrize(
    ("model", "how", "said"),
    [
        (model_of(False), motion(), "calibrate"),
        (MODEL, motion(temperature=310.0), "310 K"),
        (MODEL, motion(step=0.002), "0.002 ps"),
        (MODEL, motion(friction=5.0), "friction of X"),
        (MODEL, motion(species=("Y",)), "friction of Y"),
    ],
)
def test_other_dynamics_have_no_rates(model, how, said):
    state = jumps(0.4, 100, 400)
    with pytest.raises(InputError, match=said):
        transition_rate(model, how, ~state, state, 0.01)


def test_what_says_nothing_of_rates_is_refused():
    state = jumps(0.4, 500, 1)
    with pytest.raises(InputError, match="too few transitions"):
        transition_rate(MODEL, motion(), ~state, state, 0.01)
    with pytest.raises(InputError, match="two states"):
        transition_rate(MODEL, motion(), ~state, ~state, 0.01)
    with pytest.raises(InputError, match="second core"):
        transition_rate(MODEL, motion(), ~state, state[1:], 0.01)
    never = np.zeros_like(state)
    with pytest.raises(InputError, match="too few transitions"):
        transition_rate(MODEL, motion(), never, state, 0.01)


def test_motion_is_that_of_the_run():
    free = AutogradForces(lambda x: 0.0 * x.square().sum((1, 2)))
    bias = Umbrellas((("distance", (0, 1)),), torch.ones(1, 1), torch.ones(1, 1))
    given = {"temperature": 300.0, "friction": torch.tensor([3.0, 7.0]), "step": 0.01}
    x, masses = torch.ones(2, 2, 3), torch.ones(2)
    found = Motion.of(Langevin(free, x, masses, seed=0, **given), ["A", "B"])
    assert (found.species, found.step) == (("A", "B"), 0.01)
    assert found.friction.tolist() == [3.0, 7.0]
    assert found.temperatures.tolist() == [300.0, 300.0]
    with pytest.raises(InputError, match="species of beads"):
        Motion.of(Langevin(free, x, masses, seed=0, **given), ["A"])
    x[:, 1] = 2.0
    biased = Biased(free, bias, torch.zeros(2, dtype=torch.long))
    with pytest.raises(InputError, match="umbrella"):
        Motion.of(Langevin(biased, x, masses, seed=0, **given), ["A", "B"])
    stopped = Langevin(free, x, masses, seed=0, **given)
    stopped.restarts[1] = 1
    with pytest.raises(InputError, match="blew up"):
        Motion.of(stopped, ["A", "B"])


def test_one_friction_of_openmm_serves_one_species(openmm_frames):
    how = Motion.of_frames(openmm_frames)
    assert how.species == ("X", "X")
    np.testing.assert_allclose(how.friction, FRICTION)
    state = jumps(0.4, 100, 400)
    assert transition_rate(MODEL, how, ~state, state, 0.01).transitions > 20
    pair = np.array([[FRICTION, 1.0], [30.0, 1.0]])
    two = Calibration(("X", "Y"), pair, pair, pair, pair, 5.0, 300.0, STEP, 2)
    mixed = openmm_frames.assign(species=("atom", np.array(["X", "Y"])))
    kept, how = two.kept_in(model_of(False)), Motion.of_frames(mixed)
    with pytest.raises(InputError, match="one friction for all") as told:
        transition_rate(kept, how, ~state, state, 0.01)
    assert "30 per ps" in told.value.wanted


@pytest.fixture
def openmm_frames():
    """Of a run with `run_segments`."""
    import openmm

    from mesobridge.core.md import MDSettings, MDState, run_segments

    system = openmm.System()
    system.addParticle(MASS)
    system.addParticle(MASS)
    settings = MDSettings(300.0, STEP * PS, FRICTION / PS, 1)
    start = MDState(np.zeros((2, 3)), np.eye(3))
    return run_segments(
        system, ["X", "X"], start, settings, n_steps=20, stride=10, segment_steps=20,
        source="free beads",
    ).frames  # fmt: skip


def test_interval_is_about_the_rate():
    rate = Rate(np.array([2.0, 1.8, 2.2, 2.1, 1.9]), 100, 50.0, 100)
    low, high = rate.interval
    assert low * high == pytest.approx(4.0)
    assert low < 2 < high
