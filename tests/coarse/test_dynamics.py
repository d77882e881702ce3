"""Friction calibrated to all-atom diffusion: free beads, interactions, errors, files."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from mesobridge.coarse.bases import Spline
from mesobridge.coarse.calibration import SI, Calibration, Target, time_factor
from mesobridge.coarse.diffusion import Diffusion
from mesobridge.coarse.dynamics import BulkRun, calibrate
from mesobridge.coarse.engine import make_system
from mesobridge.coarse.langevin import GAS_CONSTANT
from mesobridge.coarse.linear_forces import AutogradForces
from mesobridge.coarse.linear_model import LinearModel, load_linear
from mesobridge.coarse.model import CGModel, load_model
from mesobridge.coarse.openmm_potential import OpenMMForces
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.schema import dataset

KT = GAS_CONSTANT * 300.0
MASSES = np.array([23.0, 35.0])


def target(D, share=0.01, temperature=300.0):
    """Of A, B ..., from nm2/ps."""
    pairs = {n: (d * SI, share * d * SI) for n, d in zip("ABC", D, strict=False)}
    return Target(temperature, pairs, corrected=True)


@dataclass
class Noisy:
    """Beads with D = slow kT / (m (friction + collisions)), measured with noise."""

    collisions: np.ndarray
    slow: np.ndarray
    noise: float
    seed: int
    species = ("A", "B")
    temperature = 300.0
    step = 0.002
    masses_of_species = MASSES

    def true(self, friction):
        return self.slow * KT / MASSES / (friction + self.collisions)

    def diffusion(self, friction, seed):
        rng = np.random.default_rng((self.seed, seed))
        found = self.true(friction) * np.exp(self.noise * rng.standard_normal(2))
        spread = found * np.exp(self.noise * rng.standard_normal((200, 2)))
        return Diffusion(self.species, np.vstack([found, spread]), np.ones(2), 1000)


@pytest.mark.parametrize(
    ("collisions", "slow", "friction"),
    [
        ((0, 0), (1, 1), (40, 30)),
        ((0, 0), (0.3, 0.6), (40, 30)),  # friction rules: D friction is constant
        ((20, 30), (1, 1), (10, 10)),  # collisions and friction add up
        ((5, 10), (0.3, 0.5), (20, 80)),
    ],
)
def test_friction_and_its_interval(collisions, slow, friction):
    """Of 200 frictions 10 are missed on average, 25 or more once in 1e4."""
    held, rounds = 0, []
    for seed in range(100):
        bulk = Noisy(np.array(collisions, float), np.array(slow), 0.02, seed)
        true = bulk.true(np.array(friction, float))
        rng = np.random.default_rng((seed, 9))
        found = calibrate(
            bulk, target(true * np.exp(0.01 * rng.standard_normal(2)), 0.0196), 5.0
        )
        value, half = found.friction.T
        held += int((np.abs(value - friction) <= half).sum())
        rounds.append(found.rounds)
        off = np.abs(found.D_reached[:, 0] - found.D_target[:, 0])
        assert (off <= np.hypot(found.D_reached[:, 1], found.D_target[:, 1])).all()
    assert held >= 176
    assert np.mean(rounds) < 3.5


def test_exact_measurements_give_the_friction():
    bulk = Noisy(np.array([20.0, 3.0]), np.array([0.5, 0.7]), 1e-5, 0)
    found = calibrate(bulk, target(bulk.true(np.array([10.0, 60.0])), 1e-5), 5.0)
    np.testing.assert_allclose(found.friction[:, 0], [10.0, 60.0], rtol=1e-3)
    # The model at 5/ps beside the target: a ratio of known numbers.
    factor = bulk.true(np.array([5.0, 5.0])) / bulk.true(np.array([10.0, 60.0]))
    np.testing.assert_allclose(found.time_factor[:, 0], factor, rtol=1e-4)


def test_beads_that_are_too_slow_without_friction_are_told():
    bulk = Noisy(np.array([20.0, 30.0]), np.ones(2), 0.01, 0)
    wanted = bulk.true(np.zeros(2)) * np.array([0.5, 1.5])
    with pytest.raises(InputError, match="friction of B after 8 rounds") as told:
        calibrate(bulk, target(wanted), 5.0)
    assert "another potential" in told.value.mend


FREE = AutogradForces(lambda x: 0.0 * x.square().sum((1, 2)))


def bulk_of(potential, beads, seed=0, **given):
    masses = torch.tensor([MASSES[ord(b) - ord("A")] for b in beads])
    sites = np.stack(np.indices((2, 2, 3)), -1).reshape(-1, 3) * EDGE / [2, 2, 3]
    x = torch.from_numpy(sites[: len(beads)]).float().expand(60, -1, -1)
    settings = {"step": 0.01, "settle": 200, "frames": 128, "every": 10} | given
    return BulkRun(potential, x, masses, beads, 300.0, seed=seed, **settings)


EDGE = 0.8


class Crowd:
    """Soft repulsion, 40 kJ/mol exp(-r^2 / 2 w^2), of nearest images in a cubic box."""

    width2 = 0.16**2

    def forces(self, x):
        way = x.unsqueeze(2) - x.unsqueeze(1)
        way -= EDGE * (way / EDGE).round()
        near = (way.square().sum(3) / (-2 * self.width2)).exp()
        return (way * near.unsqueeze(3)).sum(2) * (40.0 / self.width2)


def test_free_beads_get_what_theory_says_at_any_step():
    """D = kT h / (2 m) coth(friction h / 2) of BAOAB."""
    friction, step = np.array([30.0, 90.0]), 0.02
    D = KT * step / (2 * MASSES) / np.tanh(friction * step / 2)
    found = calibrate(bulk_of(FREE, ("A", "A", "B", "B"), step=step), target(D), 5.0)
    value, half = found.friction.T
    assert (np.abs(value - friction) < 2 * half).all()
    assert (half < 0.15 * friction).all()
    assert (found.step, found.temperature, found.own_friction) == (step, 300.0, 5.0)
    factor = KT * step / (2 * MASSES) / np.tanh(5.0 * step / 2) / D
    assert (np.abs(found.time_factor[:, 0] - factor) < 2 * found.time_factor[:, 1]).all()


def test_interacting_beads_come_back_to_the_friction_they_had():
    """What plays the all-atom run has frictions that calibration does not know."""
    beads, friction = ("A", "B") * 5, np.array([15.0, 60.0])
    reference = bulk_of(Crowd(), beads, seed=100, frames=256).diffusion(friction, 0)
    # Neighbours slow beads down by more than the noise: free ones would do otherwise.
    value, half = reference.interval.T
    assert (value + 2 * half < KT / (MASSES * friction)).all()
    pairs = zip("AB", reference.interval * SI, strict=True)
    wanted = Target(300.0, {n: tuple(p) for n, p in pairs}, corrected=True)
    found = calibrate(bulk_of(Crowd(), beads), wanted, 5.0)
    value, half = found.friction.T
    assert (np.abs(value - friction) < 2 * half).all()
    assert (half < 0.25 * friction).all()
    assert (found.time_factor[:, 0] > 1.5).all()


def salt():
    """Two ions with a soft core in water's permittivity, and a lattice of them."""
    spline = Spline.spaced(0.0, 0.9, 0.05, "zero")
    r = torch.linspace(0.0, 0.9, 200, dtype=torch.float64)
    wall = 40 * (-(r / 0.2).square()).exp().unsqueeze(1)
    c = torch.linalg.lstsq(spline.dense(r)[0], wall).solution[:, 0].numpy()
    model = CGModel(
        ("A", "B"), (1.0, -1.0), ("A-A", "A-B", "B-B"), spline,
        np.tile(c, (1, 3, 1)), np.full(3, 0.1), 1, {"temperature_K": 300.0}, 78.0,
    )  # fmt: skip
    sites = np.stack(np.indices((3, 3, 4)), -1).reshape(-1, 3) * [0.8, 0.8, 0.6]
    return model, ("A", "B") * 18, sites, np.diag([2.4, 2.4, 2.4])


def test_forces_of_openmm_move_beads_with_two_frictions():
    """Equal to the slopes of energies; images are the same; ions diffuse as theory says.

    At this dilution in water friction rules: 1 % of D is left to neighbours and noise.
    """
    model, beads, sites, box = salt()
    masses = torch.tensor([MASSES[ord(b) - ord("A")] for b in beads])
    forces = OpenMMForces(make_system(model, beads, masses.tolist(), box))
    x = torch.from_numpy(sites + 0.05 * np.random.default_rng(0).normal(size=(36, 3)))
    frames = x.expand(2, -1, -1).clone()
    frames[1, 3] += torch.from_numpy(box[0] + box[2])
    found = forces.forces(frames)
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-2)
    h = 1e-3
    for bead, axis in ((3, 0), (20, 2)):
        low, high = frames[:1].clone(), frames[:1].clone()
        low[0, bead, axis] -= h
        high[0, bead, axis] += h
        slope = (forces.energy(high) - forces.energy(low)) / (2 * h)
        assert float(-slope) == pytest.approx(float(found[0, bead, axis]), abs=2.0)
    bulk = BulkRun(forces, x.unsqueeze(0), masses, beads, 300.0, 0.02, 50, 640, 2)
    got = bulk.diffusion(np.array([40.0, 120.0]), 0).interval
    truth = KT * 0.02 / (2 * MASSES) / np.tanh(np.array([0.4, 1.2]))
    assert (got[:, 0] < truth + 2 * got[:, 1]).all()
    assert (got[:, 0] > 0.8 * truth).all()
    # 3.3; with one friction for both it were 1.5.
    assert got[0, 0] > 2.2 * got[1, 0]


def transport(**given):
    D = np.array([[1.0e-9, 2.0e-9], [1.1e-9, 2.0e-9], [0.9e-9, 2.0e-9]])
    variables = {
        "species": ["A", "B"], "charge_number": np.zeros(2),
        "number_density": np.full(2, 1e27), "D": 0.8 * D, "D_infinite": D,
        "viscosity": np.full(3, 1e-3), "regime": ["diffusive", "diffusive"],
        "lag": np.array([1e-12, 2e-12]),
    } | given  # fmt: skip
    attrs = {
        "method": "msd", "frame": "mass", "temperature": 300.0, "volume": 1e-26,
        "lag_first": 1e-12, "lag_last": 2e-12, "block_length": 1e-11, "n_units": 40,
        "seed": 0,
    }  # fmt: skip
    kept = {k: v for k, v in variables.items() if v is not None}
    return dataset("bulk-transport/1", kept, attrs)


def test_targets_come_from_bulk_transport():
    found = Target.of(transport())
    assert found.temperature == 300.0
    value, half = found.of_species(("B", "A")).T
    np.testing.assert_allclose(value, [2e-3, 1e-3])
    assert half[0] == 0
    # Student's t of 40 units, sqrt(40 / 39), and 1e-4 sqrt(2).
    assert half[1] == pytest.approx(2.0227 * 1.0127 * 1.4142e-4, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Target.of(transport(D_infinite=None, viscosity=None)), "periodic box"),
        (lambda: Target.of(transport(regime=["diffusive", "subdiffusive"])), "n of B"),
        (lambda: Target(300.0, {"A": (1e-9, 1e-11)}), "periodic box"),
        (lambda: Target(300.0, {"A": (-1e-9, 0.0)}, corrected=True), "n of A"),
        (lambda: calibrate(Noisy(np.ones(2), np.ones(2), 0.1, 0),
                           target([1e-3, 1e-3], temperature=310.0), 5.0), "temperature"),
        (lambda: calibrate(Noisy(np.ones(2), np.ones(2), 0.1, 0), target([1e-3]), 5.0),
         "diffusion of B"),
    ],
)  # fmt: skip
def test_what_is_no_target_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_a_run_that_blows_up_has_no_times():
    def energy(x):
        off = (x[:, :, 0] - 0.3) / 0.01
        return 100 * x.square().sum((1, 2)) - 4e4 * (-off.square()).exp().sum(1)

    hole = bulk_of(AutogradForces(energy), ("A",), step=0.004, every=20)
    with pytest.raises(InputError, match="blew up"):
        hole.diffusion(np.array([2.0]), 0)


def calibration(**given):
    pairs = np.array([[30.0, 2.0], [90.0, 5.0]])
    values = {
        "species": ("A", "B"), "friction": pairs, "D_reached": 1e-11 * pairs,
        "D_target": 1.1e-11 * pairs, "time_factor": 0.1 * pairs, "own_friction": 5.0,
        "temperature": 300.0, "step": 0.01, "rounds": 2,
    }  # fmt: skip
    return Calibration(**(values | given))


@pytest.mark.parametrize("kind", ["pairs", "linear"])
def test_models_keep_their_calibration(tmp_path, kind):
    linear = LinearModel(("A",), np.ones(1), (), np.zeros((1, 0)), 1, {"note": 1})
    model, load = (salt()[0], load_model) if kind == "pairs" else (linear, load_linear)
    with pytest.raises(InputError, match="not calibrated"):
        Calibration.of(model)
    kept = calibration().kept_in(model)
    kept.save(tmp_path / "model.safetensors")
    back = load(tmp_path / "model.safetensors")
    assert back.validity.items() >= model.validity.items()
    found, wanted = Calibration.of(back), calibration()
    np.testing.assert_array_equal(found.friction, wanted.friction)
    np.testing.assert_array_equal(found.time_factor, wanted.time_factor)
    assert found.as_json() == wanted.as_json()
    friction = found.of_beads(["B", "A", "B"])
    assert friction.tolist() == [90.0, 30.0, 90.0]
    with pytest.raises(InputError, match="friction of C"):
        found.of_beads(["A", "C"])


def test_a_calibration_of_another_state_or_spoilt_is_refused():
    model = salt()[0]
    with pytest.raises(InputError, match="temperature"):
        calibration(temperature=310.0).kept_in(model)
    kept = calibration().kept_in(model)
    for spoil in ({"species": {"A": {"friction_per_ps": 3}}}, {"species": []}, {}):
        kept.validity["dynamics"].update(spoil)
        if not spoil:
            kept.validity["dynamics"].clear()
        with pytest.raises(SchemaError, match="dynamics"):
            Calibration.of(kept)


def test_time_factor_has_both_errors():
    D = np.array([[4e-3], [4.2e-3], [3.8e-3], [4.2e-3], [3.8e-3]])
    found = Diffusion(("A",), D, np.ones(1), 1000)
    value, half = time_factor(found, target([1e-3], 0.05))[0]
    assert value == pytest.approx(4.0)
    assert half == pytest.approx(4 * np.hypot(found.interval[0, 1] / 4e-3, 0.05))
