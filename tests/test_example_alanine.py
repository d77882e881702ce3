"""The example of alanine dipeptide, as a user runs it, shortened, and killed once."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from mesobridge.bridges.jobs import select
from mesobridge.bridges.pipeline.progress import Display
from mesobridge.bridges.pipeline.runner import Runner
from mesobridge.bridges.pipeline.stage import Context
from mesobridge.bridges.stages.molecule import (
    BIAS,
    FRAMES,
    Subject,
    match_beads,
    run_beads,
)
from mesobridge.coarse.linear_model import load_linear
from mesobridge.core.artefact import read_dataset, read_json, write_dataset
from mesobridge.core.errors import InputError
from mesobridge.core.units import AVOGADRO, NM

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "examples/alanine_dipeptide/alanine.py"


def example():
    spec = importlib.util.spec_from_file_location("alanine_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(out):
    return subprocess.Popen(
        [sys.executable, SCRIPT, "--short", "--out", out], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was killed when an atomistic replica had begun, and taken up again."""
    out = tmp_path_factory.mktemp("alanine")
    process, until = start(out), time.monotonic() + 300
    while not list(out.glob("work/*/scratch/segment-*.npz")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    process = start(out)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert re.search("scan +as before", errors)
    return out, said


def stage(out, name):
    keys = read_json(out / "stages.json")
    return out / "store" / keys[name]


def test_numbers(finished):
    out, said = finished
    summary = read_json(out / "summary.json")
    maps = summary["matching"]["force_map"]
    # In long runs 17.8 and 7.9 kcal/mol/A are left.
    assert 3 < (maps["basic"]["residual"] / maps["optimal"]["residual"]) ** 2 < 8
    assert 6.5 < maps["optimal"]["residual"] / 41.84 < 10
    for check in summary["matching"]["checks"].values():
        assert abs(check["unbiased"] - 1) < 5 * check["unbiased_error"] < 0.5
    assert summary["refinement"]["rounds"][-1]["left"] > 0.9
    for verdict in summary["gate"]["refined"]:
        assert 0 < verdict["noise"]["js"] < np.log(2)
        assert 0 < verdict["found"]["mse"] < 4
    assert 0 < summary["phi > 0"]["beads"][0] < 0.2
    verdict = "passes" if summary["passed"] else "FAILS"
    assert f"The model {verdict} the gate." in said


def test_the_model_says_how_it_was_judged(finished):
    out, _ = finished
    model = load_linear(out / "model.safetensors")
    summary = read_json(out / "summary.json")
    assert model.beads == ("C", "N", "CA", "C", "N")
    assert model.validity["passed"] is summary["passed"]
    assert model.validity["passed"] is all(v["ok"] for v in model.validity["gate"])
    assert model.validity["temperature_K"] == 300.0


def test_what_is_judged_is_what_the_file_gives(finished, tmp_path, monkeypatch):
    """Engines go on beyond the ranges in the file: the runs have to do so too."""
    out, _ = finished
    taken = {}

    def instead(terms, coefficients, start, masses, how, *, ranges, progress):
        taken.update(ranges=ranges, coefficients=coefficients)
        return start.float()[None], start

    monkeypatch.setattr("mesobridge.bridges.stages.molecule.sample", instead)
    inputs = {k: stage(out, k) for k in ("scan", "match", "refine")}
    settings = read_json(stage(out, "run_0") / "meta.json")["settings"]
    run_beads(inputs, settings, tmp_path, Context(tmp_path))
    model = load_linear(out / "model.safetensors")
    assert taken["ranges"] == model.ranges != {}
    np.testing.assert_array_equal(taken["coefficients"], model.coefficients[0])


def test_report_is_one_file_and_tells_the_verdict(finished):
    out, _ = finished
    html = (out / "report.html").read_text()
    assert html.count("<svg") == 3
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", html)
    assert "nan" not in re.sub(r"<[^>]*>", " ", html).lower().split()
    passed = read_json(out / "summary.json")["passed"]
    assert ("FAILS the gate: do not rely on it" in html) is not passed
    for words in ("95 %", "Jensen-Shannon", "basic", "optimal", "sample_1", "Provenance"):
        assert words in html


def test_the_killed_replica_is_that_of_an_undisturbed_run(finished, tmp_path):
    out, _ = finished
    plan = select(example().job(True, 1).plan(), "sample_0")
    scan = stage(out, "scan")
    shutil.copytree(scan, tmp_path / "store" / scan.name)
    with Display(tmp_path / "run.jsonl", quiet=True) as display:
        metas = Runner(plan, tmp_path, 0, display).run().metas
    assert metas["scan"]["key"] == scan.name
    killed = read_json(stage(out, "sample_0") / "meta.json")
    assert metas["sample_0"]["content"] == killed["content"]


def test_forces_with_the_bias_in_them_are_refused(finished, tmp_path):
    """A bias on dihedrals does no virial: it is found all the same."""
    out, _ = finished
    settings = read_json(stage(out, "match") / "meta.json")["settings"]
    inputs = {"scan": stage(out, "scan"), "sample_1": stage(out, "sample_1"),
              "sample_0": tmp_path}  # fmt: skip
    frames = read_dataset(stage(out, "sample_0") / FRAMES, "frames/1")
    bias = load_linear(stage(out, "scan") / BIAS)
    x = torch.from_numpy(frames["positions"].values / NM)
    assert Subject.of(settings).atoms == bias.terms[0].beads[0]
    added = bias.forces(x).numpy() / (NM * AVOGADRO / 1e3)
    wrong = frames.assign(forces=frames["forces"] + added)
    wrong["forces"].attrs = frames["forces"].attrs
    write_dataset(wrong, tmp_path / FRAMES, "frames/1")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="forces of a biased run") as caught:
        match_beads(inputs, settings, tmp_path / "out", Context(tmp_path))
    assert "of the bias taken off" in caught.value.got
