"""Replica exchange: known populations of a double well, acceptance, detailed balance."""

import numpy as np
import pytest
import torch

from mesobridge.coarse.exchange import ReplicaExchange, tempered
from mesobridge.coarse.langevin import GAS_CONSTANT, Langevin
from mesobridge.coarse.recording import record, run
from mesobridge.core.errors import InputError

#: Height of the barrier and what one well is above the other, kJ/mol.
BARRIER, TILT = 25.0, 3.0
TEMPERATURES = torch.tensor([300.0, 450.0, 675.0, 1000.0])


class Well:
    """Along x; a spring in y and z."""

    def __init__(self, barrier, tilt):
        self.barrier, self.tilt = barrier, tilt

    def energy(self, x):
        q = x[:, 0, 0] / 0.1
        along = self.barrier * (q**2 - 1) ** 2 + 0.5 * self.tilt * q
        return along + 500 * x[:, 0, 1:].square().sum(1)

    def forces(self, x):
        q, out = x[:, 0, 0] / 0.1, -1000 * x
        out[:, 0, 0] = -10 * (4 * self.barrier * q * (q**2 - 1) + 0.5 * self.tilt)
        return out


def right_side(temperature):
    """Part of the Boltzmann distribution that is right of the barrier."""
    q = np.linspace(-0.3, 0.3, 6001)
    x = torch.zeros(len(q), 1, 3).double()
    x[:, 0, 0] = torch.from_numpy(q)
    p = np.exp(-Well(BARRIER, TILT).energy(x).numpy() / (GAS_CONSTANT * temperature))
    return p[q > 0].sum() / p.sum()


def engine(temperatures, ladders, seed=1, barrier=BARRIER, tilt=TILT):
    x = torch.zeros(ladders * len(temperatures), 1, 3)
    x[:, 0, 0] = -0.1
    return Langevin(Well(barrier, tilt), x, torch.tensor([12.0]), step=0.01, friction=5.0,
                    temperature=temperatures.repeat(ladders), seed=seed)  # fmt: skip


class Right:
    """Part of frames on the right, of each replica, after some."""

    def __init__(self, skip):
        self.sum, self.n, self.skip = 0.0, 0, skip

    def __call__(self, k, x):
        if k >= self.skip:
            self.sum, self.n = self.sum + (x[:, 0, 0] > 0).double(), self.n + 1


def test_ladders_find_both_wells_from_one():
    ladders = 250
    moving = engine(TEMPERATURES, ladders)
    swapping = ReplicaExchange(moving, tempered(moving, 4), 4, every=20, seed=2)
    side = Right(60)
    run(swapping, 140, 40, side)
    found = (side.sum / side.n).view(ladders, 4)
    error = found.std(0) / ladders**0.5
    expected = torch.tensor([right_side(t) for t in TEMPERATURES.tolist()])
    assert float(error.max()) < 0.015
    assert ((found.mean(0) - expected).abs() < 4 * error).all()
    # Alone, the cold replicas have hardly begun to cross.
    alone, side = engine(TEMPERATURES[:1], ladders), Right(60)
    run(alone, 140, 40, side)
    assert float((side.sum / side.n).mean()) < 0.5 * expected[0]


def test_rates_of_a_symmetric_well_are_the_same_both_ways():
    moving = engine(TEMPERATURES[:1], 1000, barrier=5.0, tilt=0.0)
    moving.x[500:, 0, 0] = 0.1
    sides = []
    run(moving, 200, 10, lambda k, x: sides.append(x[:, 0, 0] > 0))
    before, after = torch.stack(sides)[:-1], torch.stack(sides)[1:]
    there, back = (~before & after).sum().item(), (before & ~after).sum().item()
    assert there > 500
    # Crossings of one replica alternate: the difference is but of the first and last.
    assert abs(there - back) < 4 * 1000**0.5
    part = torch.stack(sides).double().mean(0)
    assert float(part.mean()) == pytest.approx(0.5, abs=4 * float(part.std()) / 1000**0.5)


class Still:
    """An engine that does not move: swaps alone."""

    def __init__(self, x, temperature):
        self.x, self.temperature = x, temperature

    def rearrange(self, source):
        self.x = self.x[source]


def test_swaps_alone_keep_the_joint_distribution():
    """Configurations drawn from each state stay distributed so, whatever is swapped."""
    k, ladders = torch.tensor([100.0, 300.0, 900.0]), 4000
    generator = torch.Generator().manual_seed(0)
    width = (GAS_CONSTANT * 300 / k).sqrt().repeat(ladders).view(-1, 1, 1)
    x = torch.randn(3 * ladders, 1, 3, generator=generator) * width
    beta = 1 / (GAS_CONSTANT * 300)
    swapping = ReplicaExchange(
        Still(x, None), lambda x: 0.5 * beta * k * x.square().sum((1, 2)).unsqueeze(1),
        3, every=1, seed=1,
    )  # fmt: skip
    for _ in range(20):
        swapping.swap()
    moved = (swapping.x != x).any(2).double().mean()
    found = (swapping.x / width).square().view(ladders, 3, 3).mean((0, 2))
    assert moved > 0.25
    # The error of a variance from 12 000 deviates is 1.3 %.
    assert found.numpy() == pytest.approx(1.0, abs=0.055)
    assert swapping.attempts.tolist() == [10 * ladders] * 2
    # Two springs k and 3 k in three dimensions: by quadrature, 4 000 x 10 attempts.
    e = torch.distributions.Gamma(1.5, 1.0)
    torch.manual_seed(0)
    one, two = e.sample((400_000,)), e.sample((400_000,))
    expected = (one + two - 3 * one - two / 3).exp().clamp(max=1).mean()
    assert swapping.acceptance.numpy() == pytest.approx(float(expected), abs=0.02)


def test_configurations_keep_their_places_when_nothing_is_gained():
    """A swap that costs much is never accepted; one that gains always is."""
    x = torch.arange(4.0).view(4, 1, 1).expand(4, 1, 3).clone()
    u = torch.zeros(4, 2)
    u[0], u[1] = torch.tensor([0.0, 99.0]), torch.tensor([99.0, 0.0])
    u[2], u[3] = torch.tensor([50.0, 0.0]), torch.tensor([0.0, 50.0])
    swapping = ReplicaExchange(Still(x, None), lambda x: u, 2, every=1, seed=1)
    swapping.swap()
    assert swapping.x[:, 0, 0].tolist() == [0.0, 1.0, 3.0, 2.0]
    assert swapping.acceptance.tolist() == [0.5]


def test_velocities_take_the_temperature_of_their_state():
    moving = engine(torch.tensor([300.0, 1200.0]), 1)
    v = moving.v.clone()
    moving.rearrange(torch.tensor([1, 0]))
    torch.testing.assert_close(moving.v[0], v[1] / 2)
    torch.testing.assert_close(moving.v[1], v[0] * 2)


def test_a_killed_exchange_goes_on_bit_by_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("mesobridge.coarse.recording.CHECKPOINT_EVERY", 0.0)

    def fresh():
        moving = engine(TEMPERATURES, 5)
        return ReplicaExchange(moving, tempered(moving, 4), 4, every=5, seed=2)

    def kill(done, total, what):
        if done == 3:
            raise KeyboardInterrupt

    first, last = fresh(), fresh()
    whole = record(first, 9, 15, tmp_path / "whole.npy")
    with pytest.raises(KeyboardInterrupt):
        record(fresh(), 9, 15, tmp_path / "x.npy", kill)
    assert np.array_equal(record(last, 9, 15, tmp_path / "x.npy"), whole)
    assert torch.equal(first.accepted, last.accepted)
    with pytest.raises(InputError, match="exchange among 4 states"):
        last.restore(first.engine.state())


def test_replicas_that_are_not_whole_ladders_are_refused():
    moving = engine(TEMPERATURES, 2)
    with pytest.raises(InputError, match="ladders"):
        ReplicaExchange(moving, tempered(moving, 3), 3, every=5, seed=2)
