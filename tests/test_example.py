"""The shortened job, as a user runs it: results, report, resume after kill -9."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from short_job import ROOT, SHORT, start_short

from mesobridge.bridges.interface_job import plan
from mesobridge.bridges.jobs import status
from mesobridge.bridges.pipeline.config import load_config
from mesobridge.core.artefact import read_dataset, read_json, read_model

CONTRACTS = {
    ("profiles", "profiles.nc"): "interface-profiles/1",
    ("transport", "coefficients.nc"): "transport-coefficients/1",
    ("transport", "solution.nc"): "transport-solution/1",
    ("force_matching", "pair_pmf.nc"): "pair-pmf/1",
    ("slab_0", "slab.nc"): "frames/1",
}


def contents(folder):
    """Content hash of every stage; the report tells times and so differs."""
    keys = read_json(folder / "stages.json")
    return {
        name: read_json(folder / "store" / key / "meta.json")["content"]
        for name, key in keys.items()
        if name != "report"
    }


def test_every_stage_ran_and_left_what_its_contract_says(short_run):
    keys = read_json(short_run.folder / "stages.json")
    assert set(keys) == {stage.name for stage in plan(load_config(SHORT))}
    for (stage, name), schema in CONTRACTS.items():
        read_dataset(short_run.folder / "store" / keys[stage] / name, schema)
    store = short_run.folder / "store"
    told = read_dataset(store / keys["profiles"] / "profiles.nc", "interface-profiles/1")
    assert told.attrs["friction"] == pytest.approx(load_config(SHORT).md.friction)
    assert (
        told.attrs["steady"]
        == read_json(short_run.folder / "summary.json")["interface"]["stationary"]
    )
    read_model(store / keys["train"] / "potential.safetensors", "potential/1")
    read_model(store / keys["force_matching"] / "beads.safetensors", "cg-model/1")


def test_summary(short_run):
    summary = read_json(short_run.folder / "summary.json")
    assert {"stages", "potential", "bulk", "interface", "cg", "wall_s"} <= set(summary)
    for stage in summary["stages"].values():
        assert stage["wall_s"] > 0
        assert stage["cached"] is False
    potential = summary["potential"]
    assert potential["force_rmse_eV_A"] < 0.15 * potential["force_std_eV_A"]
    for key in ("stress_rmse_GPa", "nve_drift_meV_atom_ps", "ms_per_step",
                "oracle_ms_per_step"):  # fmt: skip
        assert potential[key] > 0
    interface = summary["interface"]
    assert interface["sigma_C_m2"] == -0.08
    for name in ("Na", "Cl"):
        low, high = interface["resistance_ohm_m2"][name]["ci95"]
        value = interface["resistance_ohm_m2"][name]["value"]
        assert 0 < low < value < high
        exact = interface["resistance_exact_ohm_m2"][name]
        assert value == pytest.approx(exact, rel=1e-4)
        assert 2e-9 < summary["bulk"][f"D_{name}"]["value"] < 4e-8
    assert interface["closure_max_rel"] < 0.5
    assert 0 < summary["cg"]["rdf_rmse"] < 0.3
    assert 50 < summary["peak_rss_mib"] < 4096


def test_report_is_one_file_with_everything(short_run):
    html = (short_run.folder / "report.html").read_text()
    assert html.count("<svg") >= 9
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", html)
    assert "nan" not in re.sub(r"<[^>]*>", " ", html).lower().split()
    for words in ("The potential", "Bulk melt", "The interface", "Coarse-grained beads",
                  "Nernst-Planck-Poisson", "Numbers", "Time and provenance", "pΩ m²",
                  "literature", "To use DFT"):  # fmt: skip
        assert words in html


def test_what_the_command_prints(short_run):
    for words in ("D bulk", "closure", "R ", "summary.json", "report.html"):
        assert words in short_run.output


def test_running_again_runs_nothing(short_run):
    out = short_run.folder.parent
    before = contents(short_run.folder)
    begin = time.monotonic()
    process = start_short(out)
    process.communicate()
    assert process.returncode == 0
    assert time.monotonic() - begin < 10
    summary = read_json(short_run.folder / "summary.json")
    assert all(stage["cached"] for stage in summary["stages"].values())
    assert contents(short_run.folder) == before


def test_uncertainty_is_carried_to_the_resistance(short_run):
    """Replicates of D and W make the spread of R: joint, not made up."""
    keys = read_json(short_run.folder / "stages.json")
    store = short_run.folder / "store"
    solution = read_dataset(
        store / keys["transport"] / "solution.nc", "transport-solution/1"
    )
    spread = solution["resistance"].values[1:].std(axis=0)
    assert solution.sizes["replicate"] == 51
    assert (spread > 0).all()
    ratio = solution["resistance"].values / solution["resistance_exact"].values
    assert np.abs(ratio - 1).max() < 1e-4


def test_the_script_of_the_readme(short_run):
    """Twenty lines of Python for script writers, on the finished run."""
    script = SHORT.parent / "pipeline.py"
    done = subprocess.run(
        [sys.executable, script, SHORT, "--out", short_run.folder.parent],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"Na.*ohm m2", done.stdout)
    readme = (ROOT / "README.md").read_text()
    assert script.read_text().split('"""')[2].strip() in readme


def test_a_script_runs_a_job_from_nothing(tmp_path):
    """Worker processes import the script again; it must not start a job in them."""
    script = tmp_path / "job.py"
    script.write_text(
        "from mesobridge.bridges.jobs import run_job\n"
        "if __name__ == '__main__':\n"
        f"    job = run_job({str(SHORT)!r}, 'out', until='sample_slab', quiet=True)\n"
        "    print(sorted(job.artefacts))\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['sample_slab']"


def kill_once(out, wait):
    process = start_short(out)
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def finish(out):
    process = start_short(out)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return contents(out / "nacl_short")


def test_killed_runs_end_like_an_undisturbed_one(short_run, tmp_path):
    """Four kills at random moments of one run."""
    random.seed(7)
    for _ in range(4):
        kill_once(tmp_path, random.uniform(3.0, 0.35 * short_run.wall_s))
        states = status(load_config(SHORT), tmp_path)
        assert set(states.values()) <= {"done", "started", "to do"}
    assert finish(tmp_path) == contents(short_run.folder)
    assert not list((tmp_path / "nacl_short").rglob("*.tmp"))
    assert not list((tmp_path / "nacl_short" / "work").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_kill_at_any_moment(short_run, tmp_path, seed):
    """One kill of a fresh run; the next run ends with the same results."""
    random.seed(seed)
    kill_once(tmp_path, random.uniform(0.0, short_run.wall_s))
    assert finish(tmp_path) == contents(short_run.folder)
    summary = json.loads((tmp_path / "nacl_short" / "summary.json").read_text())
    reference = json.loads((short_run.folder / "summary.json").read_text())
    for key in ("bulk", "interface", "cg"):
        assert summary[key] == reference[key]
