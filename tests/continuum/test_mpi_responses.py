"""Spectra and gradients do not depend on the number of processes or the solver."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mpi import mpirun

pytest.importorskip("dolfinx")

pytestmark = [
    pytest.mark.fem,
    pytest.mark.skipif(shutil.which("mpirun") is None, reason="needs mpirun"),
]

HELPERS = Path(__file__).resolve().parent.parent / "helpers"


@pytest.fixture(scope="module")
def found():
    """Numbers by 1 and by 2 processes."""
    every = []
    for processes in (1, 2):
        done = subprocess.run(
            [*mpirun(processes), sys.executable, str(HELPERS / "parallel_responses.py")],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(HELPERS), "OMP_NUM_THREADS": "1"},
            timeout=240,
        )
        every.append(json.loads(done.stdout.splitlines()[-1]))
    return every


@pytest.mark.parametrize("case", ["interval", "strip", "strip by iterations"])
def test_two_processes_find_what_one_finds(found, case):
    one, two = found
    assert two[case] == pytest.approx(one[case], rel=1e-7, abs=1e-9)


def test_the_linear_solver_does_not_matter(found):
    for each in found:
        direct, iterations = each["strip"], each["strip by iterations"]
        assert iterations == pytest.approx(direct, rel=1e-6, abs=1e-8)
