"""States do not depend on the number of processes, nor on the linear solver."""

import json
import shutil

import numpy as np
import pytest
from mpi import by_processes

pytest.importorskip("dolfinx")

CASES = ("electrode", "galvanostatic", "charging", "periodic")

pytestmark = [
    pytest.mark.fem,
    pytest.mark.skipif(shutil.which("mpirun") is None, reason="needs mpirun"),
]


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """Totals and fields by 1 and by 2 processes."""
    found = []
    for processes in (1, 2):
        folder = tmp_path_factory.mktemp(f"by_{processes}")
        by_processes(processes, "parallel_states.py", str(folder))
        totals = json.loads((folder / "totals.json").read_text())
        found.append((totals, np.load(folder / "fields.npz")))
    return found


def exactness(case):
    """Rounding of all charge gathers at the one node where a periodic cell holds phi."""
    return 1e-8 if case == "periodic" else 1e-10


@pytest.mark.parametrize("linear", ["direct", "fieldsplit"])
@pytest.mark.parametrize("case", CASES)
def test_two_processes_find_what_one_finds(states, case, linear):
    (one, fields), (two, others) = states
    name = f"{case} {linear}"
    assert one[name]["totals"] == pytest.approx(two[name]["totals"], rel=1e-10, abs=2e-10)
    assert others[name] == pytest.approx(fields[name], abs=exactness(case))
    assert one[name]["rescues"] == two[name]["rescues"] == 0


@pytest.mark.parametrize("case", CASES)
def test_the_linear_solver_does_not_matter(states, case):
    for totals, fields in states:
        direct, split = (f"{case} {linear}" for linear in ("direct", "fieldsplit"))
        assert totals[split]["totals"] == pytest.approx(
            totals[direct]["totals"], rel=1e-9, abs=2e-10
        )
        assert fields[split] == pytest.approx(fields[direct], abs=exactness(case))
        few = totals[split]["solves"]
        assert few <= totals[split]["linear_iterations"] <= 10 * few


@pytest.mark.parametrize("linear", ["direct", "fieldsplit"])
def test_a_closed_cell_keeps_its_ions(states, linear):
    for totals, _ in states:
        run = totals[f"charging {linear}"]
        end = [run["totals"]["amount 0"], run["totals"]["amount 1"]]
        assert end == pytest.approx(run["start"], rel=1e-12)
        # The step moves ions: the electrodes are charged.
        assert run["totals"]["bottom"] > 0.05


def test_no_process_is_left_waiting(tmp_path):
    """An error of one process is one of both."""
    lines = by_processes(2, "parallel_errors.py", str(tmp_path)).split("\n")
    found = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert found == {
        "alone": "InputError=2",
        "foreign": "Foreign=1: RuntimeError=1",
        "state": "InputError=2",
        "series": "InputError=2",
        "fields": "InputError=2",
        "checkpoint": "InputError=2",
        "no folder": "InputError=2",
        "not finite": "InputError=2",
        "charge": "InputError=2",
        "region": "InputError=2",
        "closure": "InputError=2",
    }


def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    script, file = "parallel_resume.py", str(tmp_path / "run.npz")
    calls, steps, whole = map(float, by_processes(1, script, "").split())
    by_processes(1, script, file, "killed")
    new, every, resumed = map(float, by_processes(2, script, file).split())
    assert new < calls - 10
    assert every == steps
    assert resumed == pytest.approx(whole, rel=1e-8)
