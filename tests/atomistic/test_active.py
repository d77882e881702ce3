"""Active learning: walkers, triggers, the choice of frames, and the loop on springs."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from molecules import spring_energy
from potentials import molecules, untrained
from spring_oracle import Springs

from mesobridge.atomistic.active import (
    ActiveSettings,
    Motion,
    Trigger,
    learn,
    learning,
)
from mesobridge.atomistic.active.exploration import explore
from mesobridge.atomistic.active.selection import farthest
from mesobridge.atomistic.active.settings import Round
from mesobridge.atomistic.active.trigger import judge
from mesobridge.atomistic.active.walkers import KB, Mover, started, system_of
from mesobridge.atomistic.labels import Labeller, LabelStore
from mesobridge.atomistic.named_oracle import CodeOracle
from mesobridge.atomistic.potential import TrainingSettings, load_potential
from mesobridge.atomistic.potential.evaluation import Evaluation
from mesobridge.atomistic.potential.uncertainty import LEVELS, Uncertainty
from mesobridge.core.errors import InputError, StageError


class Broken(Springs):
    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["energy"] = float("nan")


def water():
    return Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])


def labeller(folder, kind=Springs):
    return Labeller(CodeOracle(kind, name=kind.__name__, version="1"), LabelStore(folder))


SETTINGS = ActiveSettings(
    TrainingSettings(("H", "O"), 4e-10, channels=6, radial=6, hidden=16, steps=200,
                     batch=4, energy_weight=20.0, points=2, seed=1),
    Motion(300.0, 0.5, 0.01, seed=2), Trigger(force=0.6, energy=0.5), horizon=60.0,
    replicas=3, every=5, first=32, labels_per_round=4, most_labels=60, warm_steps=100,
)  # fmt: skip


class Exact:
    """Springs in the place of a potential, sure to a given standard deviation."""

    def __init__(self, std=0.01, distance=1.0):
        self.std, self.far = std, distance
        self.model = type("Model", (), {"cutoff": 4.0})()

    def numbers(self, species):
        return np.zeros(len(species), int)

    def evaluate_many(self, positions, *_, spread=False, **__):
        found = []
        for x in positions:
            energy, forces = spring_energy(np.asarray(x))
            n = len(x)
            far = self.far(x) if callable(self.far) else np.full(n, self.far)
            std = self.std(x) if callable(self.std) else np.full(n, self.std)
            found.append(Evaluation(energy, forces, None, distances=far,
                                    force_std=std if spread else None))  # fmt: skip
        return found


def walk(potential, motion, n=1, trigger=None, horizon=100.0, every=5, **more):
    system = system_of([water()])
    mover = Mover(system, potential, motion)
    first = {r: started(system, motion, water().positions, r) for r in range(n)}
    return explore(mover, first, trigger or Trigger(10.0, 10.0), horizon, every, **more)


def total_energy(w):
    masses = water().get_masses()[:, None]
    kinetic = 0.5 * float((masses * w.v**2).sum()) / 9.648533212331e-3
    return spring_energy(w.x)[0] + kinetic


def test_without_friction_energy_is_kept_to_second_order():
    ends = []
    for step in (0.4, 0.2):
        motion = Motion(300.0, step, 0.0, seed=3)
        found = walk(Exact(), motion, horizon=40.0)
        system = system_of([water()])
        first = started(system, motion, water().positions, 0)
        ends.append(abs(total_energy(found.walkers[0]) - total_energy(first)))
        assert found.passed == pytest.approx(40.0)
    assert ends[0] < 0.02
    assert ends[1] < 0.35 * ends[0]


def test_walkers_take_the_temperature():
    found = walk(Exact(), Motion(300.0, 0.5, 0.1, seed=4), n=400, horizon=100.0,
                 every=50)  # fmt: skip
    masses = water().get_masses()
    v2 = np.mean([(w.v**2).sum(1) for w in found.walkers.values()], 0)
    kinetic = masses * v2 / 9.648533212331e-3 / 3
    # Of 400 walkers with 3 components: 4 standard errors of 4 %, and (omega dt)^2 / 4.
    np.testing.assert_allclose(kinetic, KB * 300, rtol=0.18)


def test_a_walker_that_is_set_back_goes_the_same_way():
    motion = Motion(300.0, 0.5, 0.02, seed=5)
    whole = walk(Exact(), motion, n=2, horizon=50.0)
    mover = Mover(system_of([water()]), Exact(), motion)
    half = walk(Exact(), motion, n=2, horizon=25.0)
    rest = explore(mover, half.walkers, Trigger(10.0, 10.0), 25.0, 5)
    for r in (0, 1):
        np.testing.assert_array_equal(rest.walkers[r].x, whole.walkers[r].x)
        assert rest.walkers[r].age == 100


def test_bounds_are_those_of_force_and_of_work():
    v = np.full((3, 3), 0.01)
    found = Evaluation(0.0, v, None, force_std=np.array([0.1, 0.2, 0.4]))
    verdict = judge(Trigger(force=0.4, energy=1.0, memory=8.0), found, v, 300.0)
    work = 8.0 * np.sqrt(3e-4 * (0.01 + 0.04 + 0.16))
    assert verdict.force == pytest.approx(1)
    assert verdict.energy == pytest.approx(work / (KB * 300 * 3))
    assert not verdict.fires
    assert judge(Trigger(force=0.39, energy=9.0), found, v, 300.0).reason == "force"
    assert judge(Trigger(force=9.0, energy=1e-3), found, v, 300.0).reason == "energy"
    with pytest.raises(InputError, match="numbers above zero"):
        Trigger(force=0.0)
    with pytest.raises(InputError, match="standard deviations"):
        judge(Trigger(), replace(found, force_std=None), v, 300.0)


def test_an_unsure_walker_stops_where_it_was_trusted():
    # Unsure wherever the first bond is longer than at any moment before.
    long = lambda x: np.linalg.norm(x[1] - x[0]) > 1.0  # noqa: E731
    potential = Exact(std=lambda x: np.full(3, 5.0 if long(x) else 0.01))
    found = walk(potential, Motion(300.0, 0.5, 0.0, seed=3), trigger=Trigger(1.0, 1e3),
                 every=4)  # fmt: skip
    (event,) = found.events
    assert event.stopped
    assert event.verdict.reason == "force"
    assert long(event.frame)
    assert not long(found.walkers[0].x)
    assert found.walkers[0].age % 4 == 0
    assert found.highest.force < 1


def test_a_jump_of_the_distance_is_looked_at_at_once():
    long = lambda x: np.linalg.norm(x[1] - x[0]) > 1.0  # noqa: E731
    potential = Exact(std=lambda x: np.full(3, 5.0 if long(x) else 0.01),
                      distance=lambda x: np.full(3, 9.0 if long(x) else 1.0))  # fmt: skip
    motion = Motion(300.0, 0.5, 0.0, seed=3)
    (event,) = walk(potential, motion, trigger=Trigger(1.0, 1e3), every=50).events
    assert event.time < 25.0  # before the first look that was due


def test_up_to_a_limit_walkers_go_on_and_the_least_sure_frames_are_kept():
    found = walk(Exact(std=0.02), Motion(300.0, 0.5, 0.01, seed=1), n=2,
                 trigger=Trigger(0.01, 1e3), limit=3.0)  # fmt: skip
    assert len(found.events) == 2 * 11  # ten parts, and the moment at the end
    assert not any(e.stopped for e in found.events)
    assert found.passed == pytest.approx(200.0)


def test_what_runs_away_stops_before_it_is_evaluated():
    class Wild(Exact):
        def evaluate_many(self, positions, *args, **more):
            found = super().evaluate_many(positions, *args, **more)
            return [replace(f, forces=f.forces * 1e6) for f in found]

    found = walk(Wild(), Motion(300.0, 0.5, 0.0, seed=3), n=2)
    assert {e.verdict.reason for e in found.events} == {"ran away"}
    assert all(e.unsure is None and np.isfinite(e.frame).all() for e in found.events)


def plain_metric(h=2):
    eye = torch.eye(h, dtype=torch.float64).unsqueeze(0)
    one = torch.ones(1, dtype=torch.float64)
    return Uncertainty(torch.zeros(1, h).double(), eye, torch.zeros(1, h).double(), one,
                       one.repeat(1, len(LEVELS)))  # fmt: skip


def test_frames_are_chosen_for_what_is_new_of_them():
    known = np.zeros((1, 2)), np.zeros(1, int)
    far, near, twin = ([[9.0, 0.0]], [[0.0, 2.0]], [[9.1, 0.0]])
    features = [np.array(f) for f in (near, far, twin)]
    all_of_them = [np.array([True])] * 3
    chosen = farthest(plain_metric(), features, np.zeros(1, int), all_of_them, known, 2)
    assert chosen == [2, 0]  # of the twins only one
    flagged = [np.array([True]), np.array([False]), np.array([False])]
    assert farthest(plain_metric(), features, np.zeros(1, int), flagged, known, 2) == [0]
    nothing = [np.array([False])] * 3
    assert farthest(plain_metric(), features, np.zeros(1, int), nothing, known, 2) == []


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("active")
    rounds = []
    potential = learn([water()], labeller(folder / "labels"), SETTINGS, folder / "run",
                      heard=rounds.append)  # fmt: skip
    return folder, potential, rounds


def test_it_learns_until_a_horizon_passes(learned):
    folder, potential, rounds = learned
    assert rounds[-1].done or rounds[-1].labels >= SETTINGS.most_labels
    assert [r.number for r in rounds] == list(range(len(rounds)))
    assert rounds[0].surprise is None
    assert rounds[0].labels == SETTINGS.first
    assert all(0 <= r.surprise[0] <= 1 for r in rounds[1:])
    rng = np.random.default_rng(0)
    x = water().positions + rng.normal(0, 0.04, (3, 3))
    forces = potential.evaluate(x, ["O", "H", "H"]).forces
    assert np.abs(forces - spring_energy(x)[1]).max() < 1.0
    assert load_potential(folder / "run" / "potential.safetensors").uncertainty


def test_killed_and_taken_up_it_ends_equal_without_a_label_twice(learned, tmp_path):
    _, whole, rounds = learned
    Springs.calls = 0

    class Killed(Exception):
        pass

    def kill(what, done, total, text):
        kill.left -= 1
        if not kill.left:
            raise Killed

    tries, store = 0, labeller(tmp_path / "labels")
    while True:
        kill.left, heard = 130, []
        tries += 1
        try:
            potential = learn([water()], store, SETTINGS, tmp_path / "run", tell=kill,
                              heard=heard.append)  # fmt: skip
        except Killed:
            assert tries < 50
            continue
        break
    assert tries > 1
    assert heard == rounds
    assert Springs.calls == rounds[-1].labels
    for a, b in zip(whole.model.parameters(), potential.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_a_round_cost_outlives_a_kill_in_its_walk(tmp_path, monkeypatch):
    right, short = learning.explore, replace(SETTINGS, most_rounds=1)

    def killed(*args):
        raise KeyboardInterrupt

    heard, given = [], ([water()], labeller(tmp_path / "labels"), short, tmp_path)
    monkeypatch.setattr(learning, "explore", killed)
    begun = time.process_time()
    with pytest.raises(KeyboardInterrupt):
        learn(*given)
    first = time.process_time() - begun
    monkeypatch.setattr(learning, "explore", right)
    learn(*given, heard=heard.append)
    # Labels are not in it: of springs they cost next to nothing.
    assert 0.7 * first < heard[0].cpu_s < time.process_time() - begun


def test_other_settings_other_atoms_and_broken_oracles_are_refused(learned, tmp_path):
    folder, _, _ = learned
    with pytest.raises(InputError, match=r"(?s)other settings.*horizon \(70.0, was 60.0"):
        learn([water()], labeller(folder / "labels"), replace(SETTINGS, horizon=70.0),
              folder / "run")  # fmt: skip
    with pytest.raises(InputError, match="another start"):
        learn([Atoms("OHH", 1.1 * water().positions)], labeller(folder / "labels"),
              SETTINGS, folder / "run")  # fmt: skip
    with pytest.raises(InputError, match="NaN or infinity"):
        learn(
            [Atoms("H", [[0, 0, np.nan]])], labeller(tmp_path), SETTINGS, tmp_path / "n"
        )
    with pytest.raises(InputError, match="the same atoms and cell"):
        learn([water(), Atoms("HHO", water().positions)], labeller(tmp_path), SETTINGS,
              tmp_path / "a")  # fmt: skip
    ion = water()
    ion.info["total_charge"] = 1
    with pytest.raises(InputError, match="and charge"):
        system_of([water(), ion])


def test_more_labels_go_on_where_fewer_ended(tmp_path):
    few = replace(SETTINGS, training=replace(SETTINGS.training, steps=20), warm_steps=10,
                  horizon=20.0, most_labels=34, trigger=Trigger(0.02, 0.5))  # fmt: skip
    store, ends = labeller(tmp_path / "labels"), []
    for most in (34, 40, 34):
        rounds = []
        learn([water()], store, replace(few, most_labels=most), tmp_path / "run",
              heard=rounds.append)  # fmt: skip
        ends.append(rounds)
    assert [r.labels for r in ends[1]] == [32, 34, 38, 40]
    assert ends[0] == ends[2] == ends[1][:2]
    assert len(list(store.store)) == 40


def test_what_failed_is_told_and_tried_again(tmp_path, monkeypatch):
    few = replace(SETTINGS, training=replace(SETTINGS.training, steps=20), most_rounds=1)
    given = [water()], labeller(tmp_path / "labels", Broken), few, tmp_path / "run"
    with pytest.raises(StageError, match="(?s)32 of 32 labels failed.*energy is NaN"):
        learn(*given)
    rounds = []
    monkeypatch.setattr(Broken, "calculate", Springs.calculate)
    learn(*given, heard=rounds.append)
    assert (rounds[-1].labels, rounds[-1].failed) == (32, 0)


def test_bounds_that_are_passed_at_once_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "LOOSE", 0.0)
    tight = replace(SETTINGS, trigger=Trigger(force=1e-6), horizon=10.0, every=50)
    with pytest.raises(StageError, match="(?s)got: +force.*mend: +wider bounds"):
        learn([water()], labeller(tmp_path / "labels"), tight, tmp_path / "run")


def test_steps_that_are_too_long_are_told(tmp_path):
    short = replace(SETTINGS.training, steps=20)
    wild = replace(SETTINGS, motion=Motion(300.0, 500.0, 0.01), horizon=5e3,
                   warm_steps=10, training=short)  # fmt: skip
    with pytest.raises(StageError, match="(?s)got: +ran away.*a shorter time step"):
        learn([water()], labeller(tmp_path / "labels"), wild, tmp_path / "run")


def round_of(**changes):
    plain = {"number": 3, "labels": 50, "failed": 0, "force_rmse": 0.1,
             "surprise": (0.9, 0.1), "triggers": (), "passed": 1e3, "force": 0.8,
             "energy": 0.5, "done": True}  # fmt: skip
    return Round(**{**plain, **changes})


def test_a_round_says_what_is_wrong_with_the_bounds():
    assert round_of().doubt is None
    assert "never came near the bounds, 5 %" in round_of(force=0.05, energy=0.01).doubt
    assert "3.2 times the bounds" in round_of(force=3.2, done=False).doubt
    assert "at once" in round_of(passed=0.0, done=False).doubt


def test_untrained_potentials_do_not_walk(tmp_path):
    potential = load_potential(untrained(tmp_path / "p.safetensors"))
    x, symbols, box = molecules()
    system = system_of([Atoms(symbols, x, cell=box, pbc=True)])
    mover = Mover(system, potential, Motion(300.0))
    with pytest.raises(InputError, match="calibrated"):
        explore(mover, {0: started(system, mover.motion, x, 0)}, Trigger(), 10.0, 5)
