"""The script that labels with DFT: it goes on where it was, and says what it did."""

import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from mesobridge.atomistic.labels import read_labels

pytest.importorskip("pyscf", reason="needs PySCF (extra dft)")

SCRIPT = Path(__file__).resolve().parent.parent / "examples/ethanol/label.py"


def test_structures_become_one_file_of_labels(tmp_path):
    frames = []
    for seed in range(3):
        atoms = molecule("H2")
        atoms.rattle(0.05, seed=seed)
        atoms.calc = SinglePointCalculator(atoms, energy=-31.0, forces=np.zeros((2, 3)))
        frames.append(atoms)
    ase.io.write(tmp_path / "h2.xyz", frames, format="extxyz")

    def run(*more):
        command = [sys.executable, SCRIPT, "h2.xyz", "--store", "s", *more]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "2 labels of pbe/def2-svp" in run("--first", "2")
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").glob("*/*.npz")}
    assert len(files) == 2
    text = run()
    assert "3 labels" in text
    assert "beside the file's labels: energy" in text
    assert all(p.stat().st_mtime_ns == made for p, made in files.items())
    labels = read_labels(tmp_path / "h2.labels.safetensors")
    for label, atoms in zip(labels, frames, strict=True):
        np.testing.assert_allclose(label.positions, atoms.positions, atol=1e-7)
        assert -32 < label.energy < -31
        assert label.settings["density_fit"] is True
