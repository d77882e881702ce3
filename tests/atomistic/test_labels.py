"""Labels are made once, kept whole, and outlive failures, kills and other processes."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import toy
from ase import Atoms
from ase.calculators.lj import LennardJones
from toy import TOY, cluster

from mesobridge.atomistic.labels import Failed, Labeller, LabelStore, label_key
from mesobridge.atomistic.named_oracle import CodeOracle, NamedOracle
from mesobridge.core.cautions import Caution
from mesobridge.core.errors import InputError, StageError
from mesobridge.core.process import cpu_seconds


@pytest.fixture
def store(tmp_path):
    return LabelStore(tmp_path / "labels")


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """How often the toy was called."""
    log = tmp_path / "calls"
    log.touch()
    monkeypatch.setenv("TOY_LOG", str(log))
    return lambda: len(log.read_text().split())


def reference(atoms):
    between = atoms.positions[:, None] - atoms.positions[None]
    return 0.25 * toy.SPRING * (between**2).sum(), -toy.SPRING * between.sum(1)


def check(labels, frames):
    for label, atoms in zip(labels, frames, strict=True):
        energy, forces = reference(atoms)
        assert label.energy == pytest.approx(energy, rel=1e-14)
        np.testing.assert_allclose(label.forces, forces, rtol=1e-14)
        assert (label.atoms().positions == atoms.positions).all()


def test_one_calculator_makes_labels_one_by_one_until_it_fails(store):
    made = []

    def make():
        made.append(toy.Toy())
        return made[-1]

    labeller = Labeller(CodeOracle(make, "toy", "1"), store, retries=0)
    for seed in range(3):
        labeller.label([cluster(seed)])
    assert len(made) == 1
    assert isinstance(labeller.label([cluster(3, "HHe")])[0], Failed)
    labeller.label([cluster(4)])
    assert len(made) == 2


def test_labels_are_made_once_and_come_in_order(store, calls):
    frames = [cluster(i) for i in range(5)]
    first = Labeller(TOY, store).label([*frames, frames[2]])
    assert calls() == 5
    check(first, [*frames, frames[2]])
    assert first[5] is first[2]
    second = Labeller(TOY, LabelStore(store.folder)).label(frames[::-1])
    assert calls() == 5
    check(second, frames[::-1])
    for label in second:
        assert label.settings == TOY.settings()
        assert {"python", "ase", "numpy", "mesobridge", "processor"} <= set(
            label.versions
        )
        assert label.cpu_s >= 0
        assert label.wall_s > 0
        assert abs(label.made - time.time()) < 100
    assert {label.key for label in store} == {label.key for label in first}


def test_the_key_is_of_what_matters():
    a = cluster(0)
    settings = {"b": 1, "a": 2.0}
    key = label_key(settings, a, 0.0)
    assert len(key) == 64
    assert key == label_key({"a": 2.0, "b": 1}, a, 0)
    boxed = a.copy()
    boxed.set_cell([9, 9, 9])
    assert key == label_key(settings, boxed, -0.0)  # a molecule's box is nothing
    others = [a.copy() for _ in range(3)]
    others[0].positions[1, 1] = np.nextafter(others[0].positions[1, 1], 9)
    others[1].symbols[0] = "O"
    others[2].set_cell([9, 9, 9])
    others[2].pbc = True
    wider = others[2].copy()
    wider.set_cell([9, 9, 10])
    keys = {label_key(settings, x, 0.0) for x in [*others, wider]}
    keys |= {label_key(settings, a, 1.0), label_key({"a": 2.0, "b": 2}, a, 0.0), key}
    assert len(keys) == 7
    zero = Atoms("H", [[0.0, 0.0, 0.0]])
    minus = Atoms("H", [[0.0, -0.0, 0.0]])
    assert label_key({}, zero, 0.0) == label_key({}, minus, 0.0)


def test_periodic_frames_have_stress_and_charges_are_kept(store):
    oracle = CodeOracle(lambda: LennardJones(rc=4.0), "LJ", "rc 4")
    crystal = Atoms("Ar4", cell=[5.0] * 3, pbc=True)
    crystal.set_scaled_positions([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    crystal.rattle(0.1, seed=1)
    crystal.info["charge"] = 2
    (label,) = Labeller(oracle, store).label([crystal])
    again = store.find(label.key)
    np.testing.assert_array_equal(again.stress, LennardJones(rc=4.0).get_stress(crystal))
    assert (again.cell == crystal.cell.array).all()
    assert again.pbc.all()
    assert again.charge == 2 == again.atoms().info["total_charge"]
    crystal.info["charge"] = "two"
    with pytest.raises(InputError, match="total charge"):
        Labeller(oracle, store).label([crystal])


def test_smeared_electrons_give_their_free_energy(store):
    class Metal(LennardJones):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["free_energy"] = self.results["energy"] - 0.25

    atoms = cluster(1)
    (label,) = Labeller(CodeOracle(Metal, "metal", "1"), store).label([atoms])
    assert label.energy == pytest.approx(
        LennardJones().get_potential_energy(atoms) - 0.25
    )


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "other", "header"])
def test_a_damaged_label_is_made_anew(store, calls, damage):
    frames = [cluster(0), cluster(1)]
    labels = Labeller(TOY, store).label(frames)
    path = store.path(labels[0].key)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "empty":
        data = b""
    elif damage == "flipped":
        at = data.find(np.float64(labels[0].energy).tobytes())
        data[at] ^= 1
    elif damage == "header":
        data = data.replace('"version": "1"'.encode("utf-32-le"),
                            '"version": "2"'.encode("utf-32-le"))  # fmt: skip
    else:
        data = store.path(labels[1].key).read_bytes()
    assert bytes(data) != path.read_bytes()
    path.write_bytes(data)
    with pytest.warns(Caution, match="(?s)made anew.*damaged"):
        again = Labeller(TOY, store).label(frames)
    assert calls() == 3
    check(again, frames)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check([store.find(label.key) for label in labels], frames)


def test_failures_are_tried_again_then_set_apart(store, calls):
    frames = [cluster(0), cluster(1, "HHe"), cluster(2), cluster(3, "HNe")]
    labeller = Labeller(TOY, store, retries=2)
    labels = labeller.label(frames)
    assert calls() == 2 + 3 + 3
    check([labels[0], labels[2]], [frames[0], frames[2]])
    for found, reason in ((labels[1], "helium"), (labels[3], "forces is NaN")):
        assert isinstance(found, Failed)
        assert reason in found.reason
        assert found.attempts == 3
    kept = labeller.label(frames)  # from the store
    assert calls() == 8
    assert [isinstance(x, Failed) for x in kept] == [False, True, False, True]
    assert {f.reason for f in store.failures()} == {labels[1].reason, labels[3].reason}
    record = json.loads(
        next(store.folder.glob(f"*/{labels[1].key}.failed.json")).read_text()
    )
    assert record["attempts"] == 3
    assert record["positions"] == frames[1].positions.tolist()
    labeller.label(frames, again=True)
    assert calls() == 14


def test_a_failure_that_passes_is_a_label(store):
    made = []

    class Flaky(toy.Toy):
        """Wrong until a second one is made."""

        def calculate(self, *args, **kwargs):
            if len(made) < 2:
                end = time.process_time() + 0.1
                while time.process_time() < end:
                    pass
                raise RuntimeError("not yet")
            super().calculate(*args, **kwargs)

    def make():
        made.append(Flaky())
        return made[-1]

    oracle, frames = CodeOracle(make, "flaky", "1"), [cluster(0), cluster(1)]
    (failed,) = Labeller(oracle, store, retries=0).label(frames[:1])
    assert failed.attempts == 1
    assert len(made) == 1
    made.clear()
    assert failed.cpu_s >= 0.1
    labels = Labeller(oracle, store).label(frames, again=True)
    check(labels, frames)
    assert labels[0].cpu_s >= 0.1 > labels[1].cpu_s  # also of what failed
    assert len(made) == 2  # a new one for the second attempt, kept from then on
    assert store.failures() == []


def test_an_oracle_that_cannot_be_made_is_nobodys_failure(store):
    for processes in (1, 2):
        with pytest.raises(InputError, match="(?s)toy:broken gives no.*no licence"):
            Labeller(
                CodeOracle("toy:broken", "x", "1"), store, processes=processes
            ).label([cluster(0), cluster(1)])
    with pytest.raises(InputError, match="(?s)x cannot be made.*no licence"):
        Labeller(CodeOracle(toy.broken, "x", "1"), store).label([cluster(0)])
    local = CodeOracle(lambda: toy.Toy(), "x", "1")
    with pytest.raises(InputError, match="(?s)cannot be sent.*module:function"):
        Labeller(local, store, processes=2).label([cluster(0), cluster(1)])
    assert store.failures() == []
    assert list(store) == []
    assert not list(store.folder.rglob("*.lock"))


def test_a_label_that_takes_too_long_or_dies_does_not_stop_the_others(store, calls):
    frames = [cluster(0), cluster(1, "HAr"), cluster(2), cluster(3, "HKr"), cluster(4)]
    frames.append(cluster(5, "HHe"))
    labeller = Labeller(TOY, store, processes=2, timeout=4, retries=0)
    labels = labeller.label(frames)
    check([labels[i] for i in (0, 2, 4)], [frames[i] for i in (0, 2, 4)])
    assert "longer than 4 s" in labels[1].reason
    assert labels[1].cpu_s >= 4
    assert "process died (9)" in labels[3].reason
    assert "helium" in labels[5].reason
    assert calls() == len(frames)


class Lossy(ThreadPoolExecutor):
    """Loses what it is given."""

    def submit(self, *args, **kwargs):
        future = Future()
        future.set_exception(OSError("node down"))
        return future


def test_any_executor_makes_labels(store, calls):
    frames = [cluster(i) for i in range(6)] + [cluster(9, "HHe")]
    with ThreadPoolExecutor(3) as pool:
        labels = Labeller(TOY, store, processes=3, executor=pool).label(frames)
        check(labels[:6], frames[:6])
        assert "helium" in labels[6].reason
        assert calls() == 8
        with pytest.raises(InputError, match="time-out with an executor"):
            Labeller(TOY, store, executor=pool, timeout=1.0)
    more = [*frames, cluster(7)]
    with Lossy() as pool, pytest.raises(StageError, match="(?s)lost.*node down"):
        Labeller(TOY, store, executor=pool).label(more)
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    with pytest.raises(StageError, match="(?s)lost.*shutdown"):
        Labeller(TOY, store, executor=closed).label(more)
    check(Labeller(TOY, store).label(more[-1:]), more[-1:])  # it was not quarantined


SCRIPT = """
import sys
from toy import TOY, cluster
from mesobridge.atomistic.labels import Labeller, LabelStore
if __name__ == "__main__":
    frames = [cluster(i, "Li3") for i in range(int(sys.argv[2]))]
    Labeller(TOY, LabelStore(sys.argv[1]), processes=int(sys.argv[3])).label(frames)
"""


def started(tmp_path, store, frames, processes):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    here = Path(toy.__file__).parent
    path = os.pathsep.join([str(here), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, script, store.folder, str(frames), str(processes)],
        env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_killed_run_goes_on(store, tmp_path, calls):
    """It loses what was in work, and leaves no process behind."""
    first = started(tmp_path, store, 30, 2)
    deadline = time.monotonic() + 120
    while len(list(store.folder.glob("??/*.npz"))) < 3:
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    time.sleep(0.5)
    begun, kept = calls(), len(list(store.folder.glob("??/*.npz")))
    assert 3 <= kept < 30
    assert begun - kept <= 2
    time.sleep(0.5)
    assert calls() == begun  # workers died with it
    frames = [cluster(i, "Li3") for i in range(8)]
    keys = [label_key(TOY.settings(), atoms, 0.0) for atoms in frames]
    victim = next(path for path in map(store.path, keys) if path.exists())
    temporary = victim.with_name(f".{victim.name}.abc.tmp")
    temporary.touch()
    victim.unlink()
    missing = [key for key in keys if not store.path(key).exists()]
    check(Labeller(TOY, store).label(frames), frames)
    assert calls() == begun + len(missing)
    assert not temporary.exists()
    for stale in list(store.folder.rglob("*.lock")):  # of a label in work, not asked for
        claim = store.claim(stale.stem)
        assert claim is not None
        claim.release()


def test_two_processes_share_the_work(store, tmp_path, calls):
    both = [started(tmp_path, store, 10, 1) for _ in range(2)]
    for process in both:
        errors = process.communicate()[1]
        assert process.returncode == 0, errors
    assert calls() == 10
    frames = [cluster(i, "Li3") for i in range(10)]
    check(Labeller(TOY, store).label(frames), frames)
    assert calls() == 10
    assert not list(store.folder.rglob("*.lock"))


def test_a_claim_excludes_others_until_it_is_released(store):
    claim = store.claim("ab12")
    assert claim is not None
    assert store.claim("ab12") is None
    assert LabelStore(store.folder).claim("ab12") is None
    other = store.claim("cd34")
    claim.release()
    again = store.claim("ab12")
    assert again is not None
    again.release()
    other.release()


def test_progress_counts_what_is_to_be_made(store):
    frames = [cluster(i) for i in range(4)] + [cluster(5, "HHe")]
    Labeller(TOY, store).label(frames[:2])
    told = []
    Labeller(TOY, store).label(frames, lambda *what: told.append(what))
    assert [t[:2] for t in told[1:-1]] == [(1, 3), (2, 3), (3, 3)]
    assert told[-2][2] == "1 failed"
    told.clear()
    Labeller(TOY, store).label(frames, lambda *what: told.append(what))
    assert told == []


def test_an_interrupted_run_lets_go_at_once(store, calls):
    def interrupt(done, *_):
        if done == 2:
            raise KeyboardInterrupt

    frames = [cluster(i) for i in range(5)]
    with pytest.raises(KeyboardInterrupt) as held:  # and with it the frames of its calls
        Labeller(TOY, store).label(frames, interrupt)
    assert not list(store.folder.rglob("*.lock"))
    check(Labeller(TOY, store).label(frames), frames)
    assert calls() == 5
    assert held.type is KeyboardInterrupt


@pytest.mark.parametrize(
    "given", [{"processes": 0}, {"retries": -1}, {"timeout": 0.0}, {"timeout": np.nan}]
)
def test_numbers_out_of_range_are_refused(store, given):
    with pytest.raises(InputError, match="numbers of a labeller"):
        Labeller(TOY, store, **given)


def test_bad_frames_are_refused_before_anything_is_computed(store, calls):
    bad = cluster(1)
    bad.positions[0] = np.inf
    with pytest.raises(InputError, match="frame 1 are not finite"):
        Labeller(TOY, store).label([cluster(0), bad])
    charged = cluster(1)
    charged.info["total_charge"] = 1.0
    with pytest.raises(InputError, match="(?s)another total charge.*0 e.*1 e"):
        Labeller(NamedOracle(kind="xtb"), store).label([cluster(0), charged])
    assert calls() == 0
    (store.folder.parent / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Labeller(TOY, LabelStore(store.folder.parent / "file")).label([cluster(0)])


def test_time_of_processes_that_it_starts_is_counted():
    burn = (
        "import time; t = time.process_time()\nwhile time.process_time() < t + 0.5: pass"
    )
    before = cpu_seconds()
    child = subprocess.Popen(
        [sys.executable, "-c", burn + "\ninput()"], stdin=subprocess.PIPE
    )
    while cpu_seconds() < before + 0.5:  # it still runs
        assert child.poll() is None
        time.sleep(0.05)
    child.communicate(b"\n")
    assert cpu_seconds() >= before + 0.5  # and now it has ended
