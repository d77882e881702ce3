"""The examples of cells, as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("dolfinx")
ROOT = Path(__file__).resolve().parent.parent

#: Example -> (modules it needs, files it makes, a number it prints and its range).
EXAMPLES = {
    "redox_voltammetry": (
        (),
        ("voltammogram.png", "state.png"),
        (r"anodic peak ([\d.]+) A/m2", 0.8, 0.95),
    ),
    "charged_membrane": (
        (),
        ("open_circuit.png", "limiting_current.png"),
        (r"membrane potential (-[\d.]+) mV", -56.5, -55.5),
    ),
    "slit_charging": (
        ("gmsh",),
        ("charging.png", "after_20_ns.png", "charged.xdmf", "charged.h5"),
        (r"charge of a wall ([\d.e-]+) C/m", 1.2e-8, 1.6e-8),
    ),
    "rectifying_nanopore": (
        ("gmsh",),
        ("state.png",),
        (r"rectification at 0.5 V: ([\d.]+);", 1.5, 2.0),
    ),
}


@pytest.mark.fem
@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, tmp_path):
    modules, files, (pattern, low, high) = EXAMPLES[name]
    for module in modules:
        pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, ROOT / f"examples/cells/{name}.py", tmp_path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    for file in files:
        assert (tmp_path / file).stat().st_size > 500
    assert low < float(re.search(pattern, done.stdout)[1]) < high
