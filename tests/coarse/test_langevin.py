"""BAOAB of replicas: known distributions, limits, guards, resume."""

import numpy as np
import pytest
import torch

from mesobridge.coarse.bases import Spline
from mesobridge.coarse.langevin import GAS_CONSTANT, Langevin
from mesobridge.coarse.linear_forces import AutogradForces, LinearForces
from mesobridge.coarse.recording import record, run
from mesobridge.coarse.terms import Bonded
from mesobridge.core.errors import BusyError, InputError, MesobridgeError

T = 300.0
KT = GAS_CONSTANT * T


def springs(k):
    """Each bead bound to the origin, kJ/mol/nm2."""
    return AutogradForces(lambda x: 0.5 * k * x.square().sum((1, 2)))


def free():
    return AutogradForces(lambda x: 0.0 * x.square().sum((1, 2)))


def hole(depth, at=0.35, width=0.01):
    """A soft spring, and a hole that a fit left."""

    def energy(x):
        off = (x[:, :, 0] - at) / width
        return 100 * x.square().sum((1, 2)) - depth * (-(off**2)).exp().sum(1)

    return AutogradForces(energy)


def engine(potential, replicas=1000, beads=4, seed=1, x=None, **given):
    start = torch.zeros(replicas, beads, 3) if x is None else x
    settings = {"temperature": T, "friction": 5.0, "step": 0.005} | given
    masses = torch.linspace(12, 40, start.shape[1])
    return Langevin(potential, start, masses, seed=seed, **settings)


class Squares:
    """Mean square of positions over frames."""

    def __init__(self):
        self.sum, self.n = 0.0, 0

    def __call__(self, k, x):
        self.sum, self.n = self.sum + x.double().square(), self.n + 1

    @property
    def mean(self):
        return self.sum / self.n


@pytest.mark.parametrize("part", [0.2, 1.4])
@pytest.mark.parametrize("drag", [1.0, torch.tensor([0.3, 4.0, 1.0, 2.0])])
def test_variance_and_temperature_of_an_oscillator_at_any_step(part, drag):
    """`part` is omega step of the lightest bead: BAOAB is stable below 2.

    Frictions are one for all, or one of each bead.
    """
    k = 5000.0
    step = part * (12.0 / k) ** 0.5
    moving, squares = (
        engine(springs(k), step=step, friction=drag * part / step),
        Squares(),
    )
    moving.advance(300)
    moving.forget()
    run(moving, 40, 30, squares)
    # 3 000 oscillators of each mass, 40 frames: the error is 0.5 %.
    found = squares.mean.mean((0, 2)) * k / KT
    assert found.numpy() == pytest.approx(1.0, abs=0.02)
    ratio, error = moving.kinetic_temperature()
    assert 0 < error < 0.003
    assert abs(ratio - 1) < 0.01
    assert abs(ratio - 1) < 4 * error
    assert int(moving.restarts.sum()) == 0


def test_every_replica_has_its_temperature():
    ladder = torch.linspace(200.0, 600.0, 5).repeat_interleave(200)
    moving, squares = engine(springs(2000.0), temperature=ladder), Squares()
    run(moving, 50, 20, squares)
    found = squares.mean.mean((1, 2)).view(5, 200).mean(1) * 2000.0 / GAS_CONSTANT
    assert found.numpy() == pytest.approx(np.linspace(200.0, 600.0, 5), rel=0.03)


def test_free_beads_diffuse_as_friction_says():
    friction = torch.tensor([2.0, 5.0, 10.0, 20.0])
    moving = engine(free(), friction=friction)
    moving.advance(400)
    start = moving.x.clone()
    moving.advance(2000)
    found = (moving.x - start).square().mean((0, 2)) / (2 * 2000 * 0.005)
    expected = KT / (torch.linspace(12, 40, 4) * friction)
    # 3 000 walks: 2.6 % is the standard error.
    assert (found / expected).numpy() == pytest.approx(1.0, abs=0.12)


def test_without_friction_energy_is_conserved_to_second_order():
    """An anharmonic bond, whose energy wanders by as much as the square of the step."""
    bond = AutogradForces(
        lambda x: 500 * ((x[:, 1] - x[:, 0]).square().sum(1) - 0.04).square()
    )
    x = torch.zeros(20, 2, 3, dtype=torch.float64)
    x[:, 1, 0] = torch.linspace(0.15, 0.25, 20)
    spread = []
    for step in (0.008, 0.004):
        moving = engine(bond, x=x, friction=0.0, step=step)
        masses, energies = torch.tensor([12.0, 40.0]).view(1, 2, 1), []
        for _ in range(round(1.6 / step)):
            moving.advance(1)
            kinetic = 0.5 * (masses * moving.v.square()).sum((1, 2))
            energies.append(kinetic + bond.energy(moving.x))
        spread.append(float(torch.stack(energies).std(0).mean()))
    assert spread[0] < 0.02 * KT
    assert spread[0] / spread[1] == pytest.approx(4.0, rel=0.1)


def test_replicas_do_not_know_of_each_other():
    """Three at once, and each alone with the noise that was its own."""
    term = Bonded("b", "distance", ((0, 1), (1, 2)), Spline(0.05, 0.5, 10))
    q = torch.linspace(0.05, 0.5, 99, dtype=torch.float64)
    wanted = 2000 * (q - 0.2)[:, None] ** 2
    c = torch.linalg.lstsq(term.basis.dense(q)[0], wanted).solution[:, 0]
    model = LinearForces([term], [c], 3, dtype=torch.float64)
    x = torch.zeros(3, 3, 3, dtype=torch.float64)
    x[:, 1, 0], x[:, 2, 1] = 0.2, 0.2
    noise = torch.randn(50, 3, 3, 3, generator=torch.Generator().manual_seed(4)).double()
    start = torch.zeros_like(x)

    def path(rows):
        moving = engine(model, x=x[rows], velocities=start[rows])
        given = iter(noise[:, rows])
        moving._draw = lambda: next(given)
        moving.advance(50)
        return moving.x

    together = path([0, 1, 2])
    for k in range(3):
        torch.testing.assert_close(path([k])[0], together[k], rtol=0, atol=1e-12)
    assert (together[0] - together[1]).abs().max() > 0.01


def test_a_replica_that_falls_into_a_hole_goes_back():
    """The others never know: they are as if there were none."""
    moving = engine(hole(4e4), beads=1, replicas=400, friction=2.0, step=0.004)
    frames = []
    run(moving, 100, 25, lambda k, x: frames.append(x.clone()))
    x = torch.stack(frames)
    assert 0 < int(moving.restarts.sum()) < 2000
    assert bool(x.isfinite().all())
    assert float(x.abs().max()) < 0.9
    ratio, error = moving.kinetic_temperature()
    assert abs(ratio - 1) < 0.02 + 4 * error


def test_nan_is_caught_and_a_start_that_blows_up_says_what_to_do():
    wall = AutogradForces(lambda x: 50 * x.square().sum((1, 2)) + 0 * (0.45 - x).sqrt()
                          .sum((1, 2)))  # fmt: skip
    moving = engine(wall, replicas=300, beads=1, step=0.01)
    run(moving, 50, 20)
    assert int(moving.restarts.sum()) > 0
    assert bool(moving.x.isfinite().all())
    with pytest.raises(InputError, match="blows up") as told:
        engine(springs(1e6), step=0.02, x=torch.full((3, 2, 3), 0.1)).advance(1000)
    assert "shorter than 0.02 ps" in told.value.mend


def test_one_friction_is_that_of_each_bead():
    one, each = (
        engine(springs(500.0), 10, friction=f) for f in (3.0, torch.full((4,), 3.0))
    )
    for moving in (one, each):
        moving.advance(30)
        assert moving.friction.tolist() == [3.0] * 4
    assert torch.equal(one.x, each.x)


def test_one_seed_one_path():
    first, second, third = (engine(springs(500.0), 10, seed=s) for s in (1, 1, 2))
    for moving in (first, second, third):
        moving.advance(30)
    assert torch.equal(first.x, second.x)
    assert (first.x - third.x).abs().max() > 1e-3


class Killed(Exception):  # noqa: N818
    pass


def test_a_killed_run_goes_on_bit_by_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("mesobridge.coarse.recording.CHECKPOINT_EVERY", 0.0)

    def kill(done, total, what):
        if done == 7:
            raise Killed

    def fresh():
        return engine(hole(4e4), beads=1, replicas=50, friction=2.0, step=0.004)

    whole = record(fresh(), 20, 25, tmp_path / "whole.npy")
    with pytest.raises(Killed):
        record(fresh(), 20, 25, tmp_path / "x.npy", kill)
    assert not (tmp_path / "x.npy").exists()
    last = fresh()
    found = record(last, 20, 25, tmp_path / "x.npy")
    assert np.array_equal(found, whole)
    assert found.shape == (20, 50, 1, 3)
    assert found.dtype == np.float32
    assert not list(tmp_path.glob("*.partial"))
    # What is there is read, and not run again; the engine is where that run ended.
    later = fresh()
    assert np.array_equal(record(later, 20, 25, tmp_path / "x.npy"), whole)
    last.advance(25)
    later.advance(25)
    assert torch.equal(later.x, last.x)
    with pytest.raises(InputError, match="shape of positions"):
        record(fresh(), 21, 25, tmp_path / "x.npy")
    with pytest.raises(InputError, match="saves every 50 steps"):
        record(fresh(), 20, 50, tmp_path / "x.npy")
    other = engine(hole(4e4), beads=1, replicas=50, friction=2.0, step=0.003)
    with pytest.raises(InputError, match="state of another run"):
        record(other, 20, 25, tmp_path / "x.npy")


def test_files_of_others_and_of_two_at_once_are_refused(tmp_path):
    def second(done, total, what):
        record(engine(springs(500.0), 10), 3, 5, tmp_path / "x.npy")

    with pytest.raises(BusyError, match="another process writes it"):
        record(engine(springs(500.0), 10), 3, 5, tmp_path / "x.npy", second)
    (tmp_path / "notes.txt").write_text("frames of Monday")
    with pytest.raises(InputError, match="is no run"):
        record(engine(springs(500.0), 10), 3, 5, tmp_path / "notes.txt")
    for frames, every in ((0, 5), (3, 0)):
        with pytest.raises(InputError, match="frames of a run"):
            record(engine(springs(500.0), 10), frames, every, tmp_path / "y.npy")


def test_frames_of_another_run_are_refused(tmp_path):
    """Of another temperature, spacing or potential; and those that nothing tells of."""
    path = tmp_path / "x.npy"
    record(engine(springs(500.0), 10), 3, 5, path)
    for other, every in (
        (engine(springs(500.0), 10, temperature=310.0), 5),
        (engine(springs(600.0), 10), 5),
        (engine(springs(500.0), 10), 6),
    ):
        with pytest.raises(InputError, match="another"):
            record(other, 3, every, path)
    (tmp_path / "x.npy.state").unlink()
    with pytest.raises(InputError, match="is not there"):
        record(engine(springs(500.0), 10), 3, 5, path)


def test_frames_that_were_removed_are_made_anew(tmp_path):
    """Also when that run is killed before its first state."""
    path, moving = tmp_path / "x.npy", engine(springs(500.0), 10)
    whole = np.array(record(moving, 3, 5, path))
    path.unlink()

    def kill(*_):
        raise Killed

    with pytest.raises(Killed):
        record(engine(springs(500.0), 10), 3, 5, path, kill)
    assert np.array_equal(record(engine(springs(500.0), 10), 3, 5, path), whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"temperature": 310.0}, "same temperature"),
        ({"step": 0.004}, "same step"),
        ({"seed": 3}, "same seed"),
        ({"friction": 4.0}, "same damping"),
        ({"replicas": 9}, "same x"),
        ({"k": 600.0}, "another potential"),
    ],
)
def test_a_state_of_another_run_is_refused(change, said):
    given = {"k": 500.0, "replicas": 10} | change
    moving = engine(springs(500.0), 10)
    moving.advance(50)
    other = engine(springs(given.pop("k")), given.pop("replicas"), **given)
    with pytest.raises(MesobridgeError, match=said):
        other.restore(moving.state())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"friction": -1.0}, "friction"),
        ({"friction": torch.ones(3)}, "friction"),
        ({"step": 0.0}, "time step"),
        ({"x": torch.zeros(4, 3)}, "start positions"),
        ({"x": torch.full((10, 4, 3), torch.nan)}, "start positions"),
        ({"velocities": torch.zeros(10, 4, 2)}, "start velocities"),
    ],
)
def test_bad_input_is_named(given, said):
    with pytest.raises(InputError, match=said):
        engine(springs(500.0), replicas=10, **given)
