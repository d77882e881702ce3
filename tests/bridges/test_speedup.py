"""`mesobridge speedup`: exact arithmetic, measured costs, what it refuses and says."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from potentials import molecules, untrained

from mesobridge.atomistic.labels import Failed, Label, LabelStore, label_key, write_labels
from mesobridge.atomistic.named_oracle import CodeOracle, NamedOracle
from mesobridge.atomistic.speedup import Costs
from mesobridge.atomistic.timing import Task, Timings, timings
from mesobridge.bridges.report.speedup import speedup_lines, speedup_page
from mesobridge.bridges.speedup import Request, accounted

COST = 0.05
BURNER = f"""
import time
import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Burner(Calculator):
    implemented_properties = ["energy", "forces"]
    first, bad = True, None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        end = time.process_time() + {COST} * (4 if self.first else 1)
        self.first = False
        while time.process_time() < end:
            pass
        if self.bad == "raises":
            raise RuntimeError("no convergence in 50 cycles")
        forces = np.full((len(self.atoms), 3), 0.0 if self.bad is None else np.nan)
        self.results = {{"energy": 0.0, "forces": forces}}


def make():
    return Burner()


def fails():
    made = Burner()
    made.bad = "raises"
    return made


def nan():
    made = Burner()
    made.bad = "nan"
    return made


def springs():
    from ase.calculators.emt import EMT

    return EMT()
"""


def label(settings, cpu_s=3.0, seed=0):
    x = np.random.default_rng(seed).normal(size=(3, 3))
    atoms = Atoms("OHH", x)
    versions = {"processor": "a computer"}
    return Label(
        label_key(settings, atoms, 0.0), atoms.numbers, x, np.zeros((3, 3)),
        atoms.pbc, 0.0, -1.0, 0 * x, None, cpu_s, cpu_s, settings, versions, 0,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("burner.py").write_text(BURNER)
    untrained("p.safetensors", scale=0.01)
    x, symbols, _ = molecules(1)
    write("start.xyz", Atoms(symbols, x))
    settings = CodeOracle("burner:make", "burner:make", "").settings()
    write_labels("labels.safetensors", [label(settings, seed=k) for k in range(20)])
    return tmp_path


BASE = ("p.safetensors", "--structure", "start.xyz", "--labels", "labels.safetensors")
ASKED = (*BASE, "--oracle", "burner:make", "--training-cpu", "40 s")


def test_the_sum_is_right():
    costs = Costs(np.full(3, 2.0), np.full(4, 0.01), np.array([3.0, 3.0]), 4.0)
    few, many = costs.speedups([2, 1000])
    assert few["speedup"] == pytest.approx(4 / 10.02)
    assert many["speedup"] == pytest.approx(2000 / 20)
    assert many["ci95"] == pytest.approx([100, 100])
    assert many["bound"] == 500
    assert costs.break_even["value"] == pytest.approx(10 / 1.99)
    assert costs.limit["value"] == pytest.approx(200)
    at = costs.speedups([costs.break_even["value"]])[0]
    assert at["speedup"] == pytest.approx(1)
    slow = replace(costs, model=np.full(4, 2.5))
    assert slow.break_even == {"value": None, "ci95": [None, None]}


def test_no_potential_beats_steps_over_labels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        oracle, n = rng.exponential(), rng.integers(1, 500)
        costs = Costs(np.full(3, oracle), np.full(3, 1e-9), np.full(n, oracle), 0.0)
        for row in costs.speedups([n, 1e5, 1e8]):
            assert row["speedup"] <= row["bound"] * (1 + 1e-9)


def test_intervals_hold_the_truth():
    rng, held, truth = np.random.default_rng(1), 0, 1000 * 2.0 / (60 + 1000 * 0.1)
    for _ in range(100):
        oracle, model = (m * np.exp(0.3 * rng.normal(size=12)) for m in (2.0, 0.1))
        (row,) = Costs(oracle, model, np.full(10, 5.0), 10.0).speedups([1000])
        held += row["ci95"][0] <= truth <= row["ci95"][1]
    assert held >= 86


def test_costs_are_measured_and_told(folder, mesobridge):
    code, out, err = mesobridge("speedup", *ASKED, "--json", "s.json", "--html", "s.html")
    assert code == 0, err
    found = json.loads(Path("s.json").read_text())
    c = found["costs"]
    assert c["oracle_s"] == pytest.approx(COST, rel=0.25)
    assert len(c["oracle_all_s"]) == 5
    assert c["oracle_cold_s"] > 3 * COST
    assert 1e-4 < c["model_s"] < COST
    assert (c["labels"], c["labels_s"], c["training_s"]) == (20, 60.0, 40.0)
    total = 150_000 * c["oracle_s"] / (100 + 150_000 * c["model_s"])
    assert found["asked"]["speedup"] == pytest.approx(total)
    assert found["warning"] is None
    assert [r["steps"] for r in found["rows"]] == [
        1000, 10_000, 100_000, 150_000, 10**6, 10**7, 10**8
    ]  # fmt: skip
    for words in ("over 150,000 steps", "N <= 20 steps saves nothing", "a computer",
                  "break-even"):  # fmt: skip
        assert words in out
    assert "another oracle" not in out
    HTMLParser().feed(Path("s.html").read_text())
    assert "Effective speed-up" in Path("s.html").read_text()


def test_replicas_in_a_batch_cost_less_each(folder):
    x, symbols, _ = molecules(1)
    oracle = CodeOracle("burner:make", "b", "")
    task = Task(Path("p.safetensors"), oracle, Atoms(symbols, x), frames=2)
    one, many = timings(task), timings(replace(task, replicas=16))
    assert np.median(many.model) < 0.7 * np.median(one.model)


def test_what_training_cost_is_found(folder, mesobridge):
    code, _, err = mesobridge("speedup", *BASE, "--oracle", "burner:make")
    assert code == 2
    assert "--training-cpu" in err
    Path("t").mkdir()
    kept = {"curve": [], "cpu_s": {"training": 30.0, "calibration": 2.0}}
    Path("t/curve.json").write_text(json.dumps(kept))
    given = (*BASE, "--oracle", "burner:make", "--training", "t", "--json", "s.json")
    assert mesobridge("speedup", *given)[0] == 0
    assert json.loads(Path("s.json").read_text())["costs"]["training_s"] == 32.0
    # Learned on the fly: all rounds.
    rounds = [{"cpu_s": 20.0}, {"cpu_s": 2.5}]
    Path("t/rounds.json").write_text(json.dumps({"rounds": rounds}))
    assert mesobridge("speedup", *given)[0] == 0
    assert json.loads(Path("s.json").read_text())["costs"]["training_s"] == 22.5


def test_cheap_oracles_are_refused_or_told_first(folder, mesobridge):
    Path("o.toml").write_text('[oracle]\nkind = "xtb"\n')
    code, out, err = mesobridge("speedup", *BASE, "--config", "o.toml")
    assert (code, out) == (2, "")
    assert "no speed-up is quoted over GFN2-xTB" in err
    given = (*BASE, "--oracle", "burner:springs", "--training-cpu", "1 s")
    code, _, err = mesobridge("speedup", *given)
    assert code == 2
    assert "ase.calculators.emt" in err
    if find_spec("tblite"):
        code, out, err = mesobridge(
            "speedup", *BASE, "--config", "o.toml", "--anyway", "--training-cpu", "1 s"
        )
        assert code == 0, err
        first = out.splitlines()[0]
        assert first.startswith("NO SPEED-UP OVER A FIRST-PRINCIPLES METHOD: GFN2-xTB")
        assert "20 of 20 labels are of another oracle" in out


def found_of(oracle, labels, cheap=None, model=0.001):
    t = Timings(np.full(5, 2.0), 5.0, np.full(5, model), cheap)
    request = Request(Path("p"), Path("s"), Path("l"), steps=10)
    failures = [Failed("", Atoms(), "no SCF", 2, 7.0)] * 3
    return accounted(request, oracle, labels, failures, 10.0, t)


def test_what_a_reader_must_know_is_said():
    pbe, other = (NamedOracle(kind="pyscf", xc=xc) for xc in ("pbe", "b3lyp"))
    labels = [label(pbe.settings(), seed=k) for k in range(10)]
    found = found_of(pbe, labels)
    text = "\n".join(speedup_lines(found))
    assert "another oracle" not in text
    assert "speed-up    none over 10 steps" in text  # as many labels
    assert "3 configurations failed: 21 s, counted" in text
    asked = found["asked"]["speedup"]  # 10 steps of 2 s; 10 labels of 3 s
    assert asked == pytest.approx(20 / (30 + 21 + 10 + 0.01))
    text = "\n".join(speedup_lines(found_of(other, labels)))
    assert "10 of 10 labels are of another oracle" in text
    assert "pbe/def2-svp" in text
    text = "\n".join(speedup_lines(found_of(pbe, [label(pbe.settings(), 0.1)])))
    assert "the bound N / labels does not hold" in text
    never = found_of(pbe, labels, model=3.0)
    assert "break-even  never" in "\n".join(speedup_lines(never))
    assert "never" in speedup_page(never)
    assert speedup_lines(found_of(pbe, labels, "x.Y"))[0].startswith("NO SPEED-UP")


BAD = {
    "raises": ("burner:fails", (), "no convergence in 50 cycles"),
    "NaN": ("burner:nan", (), "NaN or infinite"),
    "no factory": ("burner:none", (), "gives no ASE calculator"),
    "two oracles": ("burner:make", ("--config", "o.toml"), "one of them"),
    "a time": ("burner:make", ("--training-cpu", "3"), "unit"),
    "no labels": ("burner:make", ("--labels", "empty"), "no labels whose cost is known"),
    "no file": ("burner:make", ("--labels", "none.safetensors"), "none.safetensors"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(folder, mesobridge, what):
    oracle, more, words = BAD[what]
    Path("empty").mkdir()
    Path("o.toml").write_text('[oracle]\nkind = "pyscf"\n')
    code, out, err = mesobridge("speedup", *ASKED, "--oracle", oracle, *more)
    assert (code, out) == (2, "")
    assert words in err


def test_a_store_is_counted(folder, mesobridge):
    store = LabelStore("store")
    for k in range(4):
        store.put(label({"kind": "code", "name": "mine", "version": "1"}, 2.0, k))
    lost = Atoms("H", info={"total_charge": 0.0})
    store.quarantine(Failed("ab" * 32, lost, "no SCF", 2, 5.0), {})
    given = (*ASKED, "--labels", "store", "--json", "s.json")
    assert mesobridge("speedup", *given)[0] == 0
    found = json.loads(Path("s.json").read_text())
    assert (found["costs"]["labels"], found["costs"]["labels_s"]) == (4, 8.0)
    assert found["costs"]["failed_s"] == 5.0
    assert any("of another oracle" in note and "mine" in note for note in found["notes"])


def test_an_oracle_section_must_be_there(folder, mesobridge):
    Path("o.toml").write_text("[run]\n")
    code, _, err = mesobridge("speedup", *BASE, "--config", "o.toml")
    assert code == 2
    assert "names no oracle" in err
