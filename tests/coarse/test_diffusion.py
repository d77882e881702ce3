"""Self-diffusion from positions: known walks, coverage, memory, dimers."""

import numpy as np
import pytest
import torch

from mesobridge.coarse.diffusion import diffusion
from mesobridge.coarse.langevin import GAS_CONSTANT, Langevin
from mesobridge.coarse.linear_forces import AutogradForces
from mesobridge.coarse.recording import run
from mesobridge.core.errors import InputError

KT = GAS_CONSTANT * 300.0


def walk(frames, replicas, beads, memory, seed):
    """Steps that remember (in frames), and their D per frame."""
    rng = np.random.default_rng(seed)
    keep = np.exp(-1 / memory) if memory else 0.0
    steps = rng.standard_normal((frames, replicas, beads, 3))
    for k in range(1, frames):
        steps[k] = keep * steps[k - 1] + np.sqrt(1 - keep**2) * steps[k]
    return steps.cumsum(0), 0.5 * (1 + keep) / (1 - keep)


@pytest.mark.parametrize(
    ("frames", "replicas", "beads", "memory"),
    [(1000, 1, 20, 0.0), (1000, 1, 20, 2.0), (200, 30, 3, 0.0), (200, 30, 3, 2.0)],
)
def test_intervals_hold_the_truth(frames, replicas, beads, memory):
    """Of 60 walks 3 are missed on average, 11 or more once in 1e4; mean within noise."""
    values, held = [], 0
    for seed in range(60):
        x, D = walk(frames, replicas, beads, memory, seed)
        value, half = diffusion(x, ["A"] * beads, 1.0, seed=seed).interval[0] / D
        values.append(value)
        held += abs(value - 1) <= half
    assert held >= 50
    assert abs(np.mean(values) - 1) < 4 * np.std(values) / 60**0.5 + 0.003


def test_lags_are_longer_than_the_memory():
    x, D = walk(400, 40, 2, 4.0, 0)
    found = diffusion(x, ["A", "A"], 0.5)
    assert 8.0 <= found.lag[0] <= 32.0
    assert found.n_units == 40


def test_species_have_their_own():
    x, D = walk(400, 30, 4, 0.0, 1)
    x[:, :, 1] *= 3.0
    found = diffusion(x, ["A", "B", "A", "A"], 0.1)
    assert found.species == ("A", "B")
    truth = np.array([1.0, 9.0]) * D / 0.1
    assert (np.abs(found.interval[:, 0] - truth) < 2 * found.interval[:, 1]).all()


def test_beads_of_a_dimer_diffuse_with_it():
    """D = kT / (m1 friction1 + m2 friction2), for both, once the bond has turned."""
    bond = AutogradForces(
        lambda x: 500 * ((x[:, 1] - x[:, 0]).square().sum(1).sqrt() - 0.2).square()
    )
    x = torch.zeros(200, 2, 3)
    x[:, 1, 0] = 0.2
    friction, masses = torch.tensor([10.0, 40.0]), torch.tensor([20.0, 10.0])
    engine = Langevin(bond, x, masses, temperature=300.0, friction=friction, step=0.005,
                      seed=1)  # fmt: skip
    engine.advance(500)
    frames = []
    run(engine, 128, 50, lambda k, x: frames.append(x.numpy().copy()))
    found = diffusion(np.array(frames), ["A", "B"], 0.25).interval
    truth = KT / (20 * 10 + 10 * 40)
    assert (np.abs(found[:, 0] - truth) < 2 * found[:, 1]).all()
    assert (found[:, 1] < 0.12 * truth).all()


def test_the_motion_of_the_centre_of_mass_counts():
    """Beads in a harmonic cage about a free centre diffuse with it alone."""
    x, D = walk(400, 40, 1, 0.0, 3)
    rng = np.random.default_rng(4)
    both = x + 0.1 * rng.standard_normal((400, 40, 5, 3))
    value, half = diffusion(both, ["A"] * 5, 1.0).interval[0]
    assert abs(value - D) < 2 * half


def test_what_does_not_diffuse_is_refused():
    rng = np.random.default_rng(0)
    bound = rng.standard_normal((400, 40, 2, 3))
    drift = bound + 5.0 * np.arange(400)[:, None, None, None]
    for x in (bound, drift, np.zeros((400, 40, 2, 3))):
        with pytest.raises(InputError, match="diffusion of A"):
            diffusion(x, ["A", "A"], 1.0)
    x = walk(90, 1, 50, 0.0, 5)[0]
    assert diffusion(x, ["A"] * 50, 1.0).n_units == 10
    with pytest.raises(InputError, match="too short") as told:
        diffusion(x[:89], ["A"] * 50, 1.0)
    assert told.value.wanted == "90 frames at least"
    with pytest.raises(InputError, match="shape of positions"):
        diffusion(bound, ["A"], 1.0)
