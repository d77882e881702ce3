"""Production runs that are watched: steps, corrections, stops, and what is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from ase import units
from ase.io import read
from molecules import spring_energy
from produced import BENT, KILLED, learned_springs, run, water

import mesobridge
from mesobridge.atomistic.active import Motion, Trigger
from mesobridge.atomistic.active.walkers import (
    ACCELERATION,
    Mover,
    System,
    Walker,
    started,
    system_of,
)
from mesobridge.atomistic.potential import Evaluation, load_potential
from mesobridge.atomistic.production import ProductionSettings, produce, symmetric
from mesobridge.atomistic.production import run as running
from mesobridge.atomistic.production.accuracy import Account, restoring
from mesobridge.atomistic.production.state import State, unpacked
from mesobridge.atomistic.production.steps import Steps
from mesobridge.atomistic.uncertainty import with_uncertainty
from mesobridge.core.artefact import read_dataset, read_json
from mesobridge.core.errors import InputError, StageError
from mesobridge.core.md import stored

LOOSE = Trigger(force=50.0, energy=50.0)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return learned_springs(tmp_path_factory.mktemp("springs") / "p.safetensors")


class Colliding:
    """Lennard-Jones atoms in a weak trap, in double precision."""

    model = SimpleNamespace(cutoff=4.0)

    def numbers(self, species):
        return np.zeros(len(species), int)

    def evaluate_many(self, positions, *_, **__):
        return [self.of(np.asarray(x)) for x in positions]

    @staticmethod
    def of(x):
        energy, forces = 0.5 * 0.3 * (x**2).sum(), -0.3 * x
        for a in range(len(x)):
            for b in range(a):
                d = x[a] - x[b]
                s6 = (1.2**2 / (d @ d)) ** 3
                energy += 4 * 0.2 * (s6**2 - s6)
                push = 24 * 0.2 * (2 * s6**2 - s6) / (d @ d) * d
                forces[a] += push
                forces[b] -= push
        one = np.ones(len(x))
        return Evaluation(float(energy), forces, None, distances=one, force_std=one)


def colliding(answer, timestep=1.0):
    """Three atoms that are about to meet."""
    system = System(("H",) * 3, np.ones(3), np.zeros((3, 3)), (False,) * 3)
    s = ProductionSettings(Motion(300.0, timestep, 0.0), 1.0, answer)
    steps = Steps(Mover(system, Colliding(), s.motion), s)
    x = np.array([[-1.5, 0, 0], [1.5, 0.1, 0], [0, 1.8, 0.3]])
    v = np.array([[0.12, 0, 0], [-0.12, 0.01, 0.02], [0.0, -0.1, 0.0]])
    return steps, at(x, v)


def at(x, v):
    found = Colliding.of(x)
    return State(Walker(x, v), 0.0, 1.0, found, found.force_std, None)


def gone(steps, state, n):
    path = [state]
    for _ in range(n):
        there = steps.moved(path[-1], steps.s.motion.timestep, False)
        if there is None:
            break
        path.append(there)
    return path


@pytest.mark.parametrize(("tolerance", "off"), [(1e-5, 1e-3), (1e-14, 1e-10)])
def test_steps_that_shrink_are_the_same_backwards(monkeypatch, tolerance, off):
    monkeypatch.setattr(symmetric, "TOLERANCE", tolerance)
    steps, first = colliding("shrink")
    path = gone(steps, first, 150)
    sizes = np.array([s.timestep for s in path[1:]])
    assert sizes.min() < 0.6 < 0.99 < sizes.max() <= 1
    there = path[-1]
    turned = replace(there, walker=replace(there.walker, v=-there.walker.v))
    back = gone(steps, turned, 150)
    np.testing.assert_allclose(back[-1].walker.x, first.walker.x, atol=off)
    np.testing.assert_allclose(-back[-1].walker.v, first.walker.v, atol=off)
    np.testing.assert_allclose([s.timestep for s in back[1:]][::-1], sizes, atol=off)


def test_shrinking_steps_conserve_energy_where_long_ones_do_not():
    worst = {}
    for answer in ("shrink", "stop"):
        steps, first = colliding(answer, timestep=0.5)
        path = gone(steps, first, 1500)
        off = np.array([steps.conserved(s) for s in path]) - steps.conserved(first)
        worst[answer] = np.abs(off).max()
        if answer == "shrink":  # no drift: late errors are as early ones
            assert abs(off[-300:].mean()) < 0.04
            assert steps.evaluations < 1.3 * 1500
    assert worst["shrink"] < 0.6 * worst["stop"]
    steps, first = colliding("stop")
    assert len(gone(steps, first, 1500)) < 1500  # an atom ran away
    steps, first = colliding("shrink")
    path = gone(steps, first, 1500)
    assert len(path) == 1501
    assert abs(steps.conserved(path[-1]) - steps.conserved(first)) < 0.2


def test_no_trial_of_a_step_leaves_what_steps_may_be():
    """A density that is high halfway and lower beyond once led to a negative step."""
    tried = []

    def move(h):
        tried.append(h)
        return Walker(np.zeros((1, 3)), np.zeros((1, 3))), h

    def there(h):
        return np.interp(h, [0.0, 0.5, 0.6, 1.0], [1.0, 7.0, 7.0, 7 / 3])

    found = symmetric.symmetric_step(move, 1.0, there, 1.0)
    assert found[2] > 0
    assert tried[:2] == [1.0, pytest.approx(0.6)]
    assert min(tried) >= symmetric.SHRINK
    assert max(tried) <= 1


def test_steps_cost_one_evaluation_where_forces_are_soft():
    steps, first = colliding("shrink", timestep=0.2)
    path = gone(steps, first, 50)
    assert steps.evaluations == 50
    assert {s.timestep for s in path[1:]} == {0.2}


@pytest.mark.parametrize("answer", ["stop", "shrink", "correct"])
def test_without_triggers_it_is_velocity_verlet(learned, tmp_path, answer):
    given = {"trigger": LOOSE, "budget": 1e6, "reach": 50.0, "answer": answer}
    found = run(learned, tmp_path, **given)
    assert found.ended
    assert found.steps == 120
    assert found.rewound == found.events == 0
    potential, (first, *_) = load_potential(learned), states(tmp_path)
    masses = water().get_masses()[:, None]
    x, v, h = first.walker.x, first.walker.v, 0.5
    f = first.found.forces
    for _ in range(100):
        v = v + 0.5 * h * ACCELERATION / masses * f
        x = x + h * v
        f = potential.evaluate(x, ["O", "H", "H"]).forces
        v = v + 0.5 * h * ACCELERATION / masses * f
    np.testing.assert_allclose(x, states(tmp_path)[-1].walker.x, atol=1e-4)
    if answer != "correct":
        assert abs(found.drift) < 2


def states(folder):
    """At the ends of the segments."""
    return [unpacked(stored(p))[0] for p in sorted((folder / "segments").glob("*.npz"))]


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").open()]


def true_errors(folder):
    """Of the energy by the truth at the ends of the segments, meV per atom."""
    masses = water().get_masses()[:, None]
    total = []
    for s in states(folder):
        kinetic = 0.5 * (masses * s.walker.v**2).sum() / ACCELERATION
        total.append(spring_energy(s.walker.x)[0] + kinetic - s.walker.heat)
    return 1e3 * (np.array(total) - states(folder)[0].account.first - 500.0) / 3


@pytest.mark.parametrize("friction", [0.0, 0.02])
def test_the_energy_error_is_as_asked(learned, tmp_path, friction):
    given = {"trigger": Trigger(force=50.0), "friction": friction, "length": 80.0,
             "timestep": 0.2, "segment": 1}  # fmt: skip
    calls = {}
    for budget in (0.5, 0.25):
        folder = tmp_path / str(budget)
        found = run(learned, folder, budget=budget, **given)
        assert np.sqrt(np.mean(true_errors(folder) ** 2)) < 2 * budget
        assert found.energy_error < 2 * budget
        calls[budget] = found.calls
        said = [e for e in events(folder) if e["answer"] == "oracle"]
        assert len(said) == found.calls - 1  # the first one told the energy to keep
        assert {e["reason"] for e in said} <= {"energy"}
    assert 1 < calls[0.5] < calls[0.25] < 400


def test_unsure_forces_are_those_of_the_oracle(learned, tmp_path):
    found = run(learned, tmp_path, trigger=Trigger(force=1e-4), length=20.0)
    assert found.calls == 41  # at the start and after every step
    ds = read_dataset(tmp_path / "trajectory.nc", "frames/1")
    for x, f in zip(ds["positions"].values, ds["forces"].values, strict=True):
        truth = spring_energy(x * 1e10)[1] * 1.602176634e-9
        np.testing.assert_allclose(f, truth, rtol=1e-6, atol=1e-14)
    (begun,) = [e for e in events(tmp_path) if e["answer"] == "correct"]
    assert begun["force"] > 1
    frame = read(tmp_path / begun["frame"])
    np.testing.assert_allclose(frame.positions, BENT, atol=1e-8)
    assert frame.arrays["force_std"].shape == (3,)
    assert found.worst_error < 5  # that of steps of 0.5 fs


def test_it_stops_with_the_frame_to_look_at(learned, tmp_path):
    stretched = BENT.copy()
    stretched[1, 0] += 0.5
    found = run(learned, tmp_path, start=water(stretched), answer="stop")
    assert not found.ended
    assert found.reason == "energy"
    (event,) = events(tmp_path)
    assert event["answer"] == "stop"
    np.testing.assert_allclose(
        read(tmp_path / event["frame"]).positions, stretched, atol=1e-8
    )
    assert read_json(tmp_path / "summary.json")["reason"] == "energy"
    assert run(learned, tmp_path, start=water(stretched), answer="stop") == found
    assert len(events(tmp_path)) == 1


def test_shrinking_is_told_and_ends_where_it_is_hopeless(learned, tmp_path):
    stretched = BENT.copy()
    stretched[1, 0] += 0.2
    tight = Trigger(force=0.2, energy=50.0)
    given = {"answer": "shrink", "start": water(stretched), "reach": 1.0, "length": 25.0}
    found = run(learned, tmp_path / "a", trigger=tight, **given)
    assert found.ended
    assert found.smallest_step < 0.4
    assert found.evaluations > found.steps
    reasons = [e["reason"] for e in events(tmp_path / "a")]
    assert reasons[:2] == ["force", "sure again"]
    with pytest.raises(StageError, match="event-00000.extxyz"):
        run(learned, tmp_path / "b", trigger=Trigger(force=1e-3), **given)
    assert not read_json(tmp_path / "b" / "summary.json")["ended"]


def sick(monkeypatch, times, after=12):
    """Makes a state look insane so many times."""
    right, left = Steps.away, [times]

    def away(self, state):
        if state is not None and state.walker.age >= after and left[0]:
            left[0] -= 1
            return "not finite"
        return right(self, state)

    monkeypatch.setattr(Steps, "away", away)


@pytest.mark.parametrize("answer", ["shrink", "correct"])
def test_it_goes_back_and_takes_care(learned, tmp_path, monkeypatch, answer):
    sick(monkeypatch, 1)
    found = run(learned, tmp_path, answer=answer, trigger=LOOSE, budget=1e6)
    assert found.ended
    assert found.rewound == 1
    first, *more = events(tmp_path)
    assert (first["answer"], first["reason"]) == ("rewind", "not finite")
    assert first["time"] == pytest.approx(5.5)  # the last sane one
    assert found.smallest_step == 0.25
    # 20 half steps from the last look, after the tenth step.
    assert found.steps == 130
    if answer == "correct":
        assert [e["answer"] for e in more] == ["oracle"] * 20
        assert more[0]["time"] == pytest.approx(5.25)
    times = read_dataset(tmp_path / "trajectory.nc", "frames/1")["time"].values
    assert (np.diff(times) > 0).all()


@pytest.mark.parametrize(
    ("answer", "tries"), [("shrink", 3), ("correct", 3), ("stop", 0)]
)
def test_it_ends_with_an_error_that_names_the_frame(
    learned, tmp_path, monkeypatch, answer, tries
):
    sick(monkeypatch, 10**6)
    given = {"answer": answer, "trigger": LOOSE, "budget": 1e6}
    with pytest.raises(StageError, match=r"stopped at .* fs: not finite") as told:
        run(learned, tmp_path, **given)
    last = events(tmp_path)[-1]
    assert last["answer"] == "stop"
    assert last["frame"] in told.value.mend
    assert (tmp_path / last["frame"]).is_file()
    assert sum(e["answer"] == "rewind" for e in events(tmp_path)) == tries
    ds = read_dataset(tmp_path / "trajectory.nc", "frames/1")
    assert ds.sizes["frame"] == 2
    with pytest.raises(StageError, match="not finite"):
        run(learned, tmp_path, **given)
    assert len(events(tmp_path)) == last["event"] + 1


@pytest.mark.parametrize("answer", ["shrink", "correct", "stop"])
@pytest.mark.parametrize("kind", ["close", "stretched", "hot"])
def test_surprises_never_blow_up_silently(learned, tmp_path, kind, answer):
    start, tight = water(), Trigger(force=0.02, energy=0.02)
    if kind == "close":
        start.positions[2] = [0.5, 0.85, 0]
    elif kind == "stretched":
        start.positions[1] *= 1.4
    else:
        momenta = np.random.default_rng(0).normal(size=(3, 3))
        start.set_momenta(3 * momenta * np.sqrt(0.025 * start.get_masses())[:, None])
    try:
        run(learned, tmp_path, start=start, answer=answer, trigger=tight, budget=0.2)
    except StageError as exc:
        told = exc.mend
    else:
        told = ""
    said, summary = events(tmp_path), read_json(tmp_path / "summary.json")
    assert said
    assert summary["ended"] or said[-1]["answer"] == "stop"
    assert told == "" or said[-1]["frame"] in told
    ds = read_dataset(tmp_path / "trajectory.nc", "frames/1")  # all of it finite
    assert np.abs(ds["positions"].values).max() < 1e-9
    if answer == "correct":
        assert summary["ended"]


def test_frames_carry_uncertainty(learned, tmp_path):
    run(learned, tmp_path, answer="shrink", friction=0.02, trigger=LOOSE)
    ds = read_dataset(tmp_path / "trajectory.nc", "frames/1")
    np.testing.assert_allclose(ds["time"].values, np.arange(13) * 5e-15, atol=1e-20)
    again = with_uncertainty(ds, load_potential(learned))
    for name in ("force_std", "distance"):
        np.testing.assert_allclose(ds[name].values, again[name].values, rtol=1e-3)


def same(one: Path, other: Path):
    """Whether two runs left the same bits."""
    a, b = (read_dataset(f / "trajectory.nc", "frames/1") for f in (one, other))
    xr.testing.assert_identical(a, b)
    for name in ("events.jsonl", "summary.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    frames = sorted(p.name for p in (one / "frames").iterdir())
    assert frames == sorted(p.name for p in (other / "frames").iterdir())
    assert len(frames) > 0


@pytest.fixture(scope="module")
def undisturbed(learned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    found = run(learned, folder, **KILLED)
    assert found.calls > 20
    assert {e["reason"] for e in events(folder)} >= {"energy", "force", "sure again"}
    return folder


class Killed(BaseException):
    pass


def test_whatever_it_was_doing_it_goes_on(learned, undisturbed, tmp_path, monkeypatch):
    """Stopped again and again: in a step, beside a line, before and after a segment."""
    rng, left = np.random.default_rng(0), [40]

    def mortal(function):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            found = function(*args, **kwargs)
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return found

        return call

    monkeypatch.setattr(Steps, "moved", mortal(Steps.moved))
    monkeypatch.setattr(running, "store", mortal(running.store))
    monkeypatch.setattr(running.EventLog, "add", mortal(running.EventLog.add))
    deaths = 0
    while True:
        try:
            run(learned, tmp_path, **KILLED)
            break
        except Killed:
            deaths += 1
            left[0] = int(rng.integers(100, 260))
            with open(tmp_path / "events.jsonl", "a") as handle:
                handle.write('{"event": 9')  # torn
    assert deaths > 5
    same(undisturbed, tmp_path)


def test_killed_it_ends_with_the_same_bits(learned, undisturbed, tmp_path):
    root = Path(mesobridge.__file__).parent
    paths = [str(root.parent), str(root / "tests" / "helpers")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(root / "tests/helpers/produced.py"), str(learned),
               str(tmp_path)]  # fmt: skip
    going = subprocess.Popen(command, env=env)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "segments").glob("*.npz"))) < 4:
        assert going.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    going.send_signal(signal.SIGKILL)
    going.wait()
    assert not (tmp_path / "summary.json").exists()
    run(learned, tmp_path, **KILLED)
    same(undisturbed, tmp_path)


def test_no_oracle_call_is_made_twice(learned, undisturbed, tmp_path, monkeypatch):
    from produced import Shifted

    def refuse(*_, **__):
        raise AssertionError("called again")

    monkeypatch.setattr(Shifted, "calculate", refuse)
    run(learned, tmp_path, store=undisturbed / "labels", **KILLED)
    same(undisturbed, tmp_path)


def test_an_oracle_that_fails_ends_it(learned, tmp_path, monkeypatch):
    from produced import Shifted

    def fail(*_, **__):
        raise RuntimeError("no convergence")

    well = Shifted.calculate
    given = {"trigger": Trigger(force=1e-4), "store": tmp_path / "labels"}
    run(learned, tmp_path / "a", length=10.0, **given)
    monkeypatch.setattr(Shifted, "calculate", fail)
    with pytest.raises(StageError, match=r"stopped at 10.50 fs.*no convergence"):
        run(learned, tmp_path / "b", length=15.0, **given)
    assert events(tmp_path / "b")[-1]["frame"]
    with monkeypatch.context() as mended:
        mended.setattr(Shifted, "calculate", well)
        assert run(learned, tmp_path / "b", length=15.0, **given).ended
    with pytest.raises(StageError, match=r"stopped at 0.00 fs.*no convergence"):
        run(learned, tmp_path / "c", start=water(BENT * 1.01), **given)


def test_the_expected_error_is_that_of_works_with_a_memory():
    """Of many errors that forget exponentially, at a rate that changes."""
    rng, tau, h = np.random.default_rng(3), 5.0, 0.5
    sign, work, account = rng.normal(size=4000), np.zeros(4000), Account(0.0, 0.0)
    for k in range(1, 401):
        power = 0.002 * (1 + (40 < k < 90))
        work += power * h * sign
        keep = np.exp(-h / tau)
        sign = keep * sign + np.sqrt(1 - keep**2) * rng.normal(size=4000)
        account = account.later(h, power, tau)
        if k in (2, 10, 45, 95, 400):
            assert account.expected == pytest.approx(work.std(), rel=0.07)


def test_what_is_expected_learns_from_what_was_found():
    rng, account = np.random.default_rng(0), Account(0.0, 0.0)
    right = 3 * account.later(3.0, 0.004, 5.0).expected
    for _ in range(60):
        offset = account.offset + right * float(rng.normal())
        account = account.later(3.0, 0.004, 5.0).called(1.0, offset, 0.0)
    assert account.later(3.0, 0.004, 5.0).expected == pytest.approx(right, rel=0.4)
    assert account.calls == 60
    assert account.expected == 0


def test_energies_are_put_right_within_limits():
    assert 0.2 * restoring(0.05, 0.2) ** 2 == pytest.approx(0.15)
    assert 0.2 * restoring(-0.05, 0.2) ** 2 == pytest.approx(0.25)
    assert restoring(5.0, 0.2) ** 2 == pytest.approx(0.5)
    assert restoring(0.1, 0.0) == 1


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"budget": 0.0}, "budget"), ({"budget": float("nan")}, "budget"),
        ({"length": -1.0}, "length"), ({"answer": "hope"}, "answer"),
        ({"every": 0}, "every"), ({"segment": 0}, "segment"), ({"stride": 0.0}, "stride"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(given, match):
    with pytest.raises(InputError, match=match):
        ProductionSettings(Motion(300.0), **{"length": 10.0} | given)


def test_what_is_missing_is_said(learned, tmp_path):
    settings = ProductionSettings(Motion(300.0), 10.0, "correct")
    potential = load_potential(learned)
    with pytest.raises(InputError, match="an oracle"):
        produce(water(), potential, settings, tmp_path)
    bare = replace(potential, uncertainty=None)
    with pytest.raises(InputError, match="calibrated"):
        produce(water(), bare, replace(settings, answer="stop"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_of_one_run(learned, tmp_path):
    run(learned, tmp_path, answer="stop", trigger=LOOSE)
    with pytest.raises(InputError, match="another settings"):
        run(learned, tmp_path, answer="stop", trigger=LOOSE, length=70.0)
    with pytest.raises(InputError, match="another start"):
        run(learned, tmp_path, answer="stop", trigger=LOOSE, start=water(BENT + 0.1))
    ion = water()
    ion.info["total_charge"] = 1
    with pytest.raises(InputError, match="another charge"):
        run(learned, tmp_path, answer="stop", trigger=LOOSE, start=ion)


def test_a_run_may_cool(learned, tmp_path):
    """A start of thirty times the energy of the thermostat is no blow-up."""
    start, motion = water(), Motion(10.0, 0.5, 0.05, seed=2)
    v = started(system_of([start]), replace(motion, temperature=300.0), BENT, 0).v
    start.set_velocities(v / units.fs)
    loose = Trigger(force=1e6, energy=1e6)
    settings = ProductionSettings(motion, 60.0, "stop", loose)
    assert produce(start, load_potential(learned), settings, tmp_path).ended


def test_a_log_that_lost_lines_is_told(learned, tmp_path):
    given = {"trigger": Trigger(force=1e-4), "length": 20.0}
    run(learned, tmp_path, **given)
    whole = (tmp_path / "events.jsonl").read_bytes()
    (tmp_path / "events.jsonl").write_bytes(whole[:-10])
    with pytest.raises(InputError, match="lacks lines"):
        run(learned, tmp_path, **given)
    assert (tmp_path / "events.jsonl").read_bytes() == whole[:-10]
