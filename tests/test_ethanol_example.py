"""The example of ethanol beside DFT, in its short form; and its labels."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mesobridge.atomistic.labels import read_labels, write_labels
from mesobridge.core.artefact import read_json

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "examples/ethanol/ethanol.py"
pytest.importorskip("pyscf")


def test_it_trains_checks_and_counts(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--short", "--out", tmp_path], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "speed-up over 150000 steps" in done.stdout
    counted = read_json(tmp_path / "speedup.json")
    costs, labels = counted["costs"], read_labels(SCRIPT.parent / "labels.safetensors")
    assert costs["labels"] == len(labels)
    spent = sum(label.cpu_s for label in labels) + costs["training_s"]
    spent += 150_000 * costs["model_s"]
    assert counted["asked"]["speedup"] == pytest.approx(
        150_000 * costs["oracle_s"] / spent, rel=1e-6
    )
    learned = read_json(SCRIPT.parent / "learning.json")
    assert costs["training_s"] > learned["cpu_s"]
    assert learned["rounds"][-1]["stopped"] == 0
    for page in ("ethanol/report.html", "validation/report.html", "speedup.html"):
        assert (tmp_path / page).stat().st_size > 10_000


@pytest.mark.parametrize("folder", ["ethanol", "alanine_dft"])
def test_labels_are_whole_and_tests_are_apart(folder):
    known, test = (
        read_labels(ROOT / "examples" / folder / f"{name}.safetensors")
        for name in ("labels", "test")
    )
    assert len({label.key for label in known + test}) == len(known) + len(test)
    for label in known + test:
        assert label.settings["xc"] == "pbe"
        assert label.cpu_s > 1
        np.testing.assert_allclose(label.forces.sum(0), 0, atol=1e-3)


@pytest.mark.slow
def test_labels_made_anew_are_the_same(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("ethanol_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known = read_labels(SCRIPT.parent / "test.safetensors")[:2]
    (tmp_path / "in").mkdir()
    write_labels(tmp_path / "in/test.safetensors", known)
    module.relabelled(tmp_path / "in/test.safetensors", tmp_path, 1)
    assert "2 labels of pbe/def2-svp" in capsys.readouterr().out
    for one, two in zip(read_labels(tmp_path / "test.safetensors"), known, strict=True):
        np.testing.assert_allclose(one.forces, two.forces, atol=1e-3)
        assert one.energy == pytest.approx(two.energy, abs=1e-4)
