"""The example of delta-learning, in its short form."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from mesobridge.core.artefact import read_json

ROOT = Path(__file__).resolve().parent.parent


def test_a_baseline_needs_fewer_labels(tmp_path):
    script = ROOT / "examples/delta_learning/learning_curves.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = read_json(tmp_path / "learning_curves.json")
    direct, delta = (
        np.mean(report[f"{name}_force_rmse_meV_A"], 1) for name in ("direct", "delta")
    )
    assert (delta < 0.8 * direct).all()
    assert direct[-1] < direct[0]
    assert (tmp_path / "learning_curves.png").stat().st_size > 10_000
