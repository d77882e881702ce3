"""The example of heated salt in its short form: killed, and taken up again."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mesobridge.atomistic.labels import LabelStore
from mesobridge.core.artefact import read_json

SCRIPT = Path(__file__).resolve().parent.parent / "examples/nacl_heated/heated.py"


def start(out):
    return subprocess.Popen(
        [sys.executable, SCRIPT, "--short", "--out", out], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def killed(out, when):
    """Killed when a file is there."""
    process, until = start(out), time.monotonic() + 300
    while not list(out.glob(when)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was killed in its production."""
    out = tmp_path_factory.mktemp("heated")
    killed(out, "corrected/segments/00001.npz")
    process = start(out)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    return out, said


def test_errors_are_told_with_the_guard_and_without(finished):
    out, said = finished
    runs = read_json(out / "heated.json")
    bare, stopped, corrected = (runs[k] for k in ("unwatched", "stopped", "corrected"))
    assert bare["summary"]["calls"] == stopped["summary"]["calls"] == 0
    assert corrected["summary"]["ended"]
    assert corrected["summary"]["calls"] > 1
    worst = [np.abs(run["truth"]["energy"]).max() for run in (bare, corrected)]
    assert worst[1] < 4 < 20 < worst[0]  # a poor potential, and a budget of 2 meV/atom
    assert stopped["summary"]["time"] < bare["summary"]["time"]
    assert stopped["summary"]["reason"] in ("force", "energy")
    assert re.search("energy +error .* expected", said)


def test_everything_is_there_to_look_at(finished):
    out, _ = finished
    assert (out / "heated.png").stat().st_size > 10_000
    assert len(list((out / "stopped" / "frames").iterdir())) == 1
    for name in ("learned", "unwatched", "stopped", "corrected"):
        page = (out / name / "report.html").read_text()
        assert "<svg" in page
        assert "nan" not in re.sub(r"<[^>]*>", " ", page).lower().split()


def test_labels_of_a_slab_hold_no_stress(finished):
    out, _ = finished
    labels = list(LabelStore(out / "learned" / "labels"))
    assert (
        len(labels) == read_json(out / "learned" / "rounds.json")["rounds"][-1]["labels"]
    )
    assert all(label.stress is None for label in labels)
    assert all(label.pbc.tolist() == [True, True, False] for label in labels)
