"""The example of implicit water, in its short form, as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mesobridge.continuum.activity import Activity
from mesobridge.core.artefact import read_dataset, read_json

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "examples/nacl_implicit/nacl.py"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("nacl")
    return out, run(out)


def run(out, *more):
    done = subprocess.run(
        [sys.executable, SCRIPT, out, "--short", *more], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_gives_activities_beside_experiment(finished):
    out, printed = finished
    rows = read_json(out / "summary.json")["ln_gamma"]
    assert [r["molality"] for r in rows][-1] == 1.0
    for r in rows:
        assert f"experiment {r['experiment']:.3f}" in printed
        # A short run of few ions; the force field is not better than this either.
        assert abs(r["ln_gamma"] - r["experiment"]) < 0.15 + 1.5 * r["half"]
    at = next(r for r in rows if r["molality"] == 0.1)
    assert at["ln_gamma"] == pytest.approx(-0.251, abs=0.08 + at["half"])


def test_what_it_leaves_is_what_contracts_say(finished):
    out, _ = finished
    activity = read_dataset(out / "activity.nc", "activity/1")
    pmf = read_dataset(out / "pair_pmf.nc", "pair-pmf/1")
    assert list(pmf["pair"].values) == ["Na-Na", "Na-Cl", "Cl-Cl"]
    assert Activity.from_dataset(activity, [0.5, 0.5], 1e26).concentration[0] > 0
    html = (out / "report.html").read_text()
    assert html.count("<svg") == 2
    assert "nan" not in re.sub(r"<[^>]*>", " ", html).lower().split()
    for words in ("ln gamma", "Robinson", "seeds", "extrapolated"):
        assert words in html


def test_again_it_takes_up_what_is_there(finished):
    out, printed = finished
    before = {p: p.stat().st_mtime_ns for p in out.rglob("segment-*.npz")}
    assert run(out) == printed
    assert {p: p.stat().st_mtime_ns for p in out.rglob("segment-*.npz")} == before
