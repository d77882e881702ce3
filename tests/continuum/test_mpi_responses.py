"""Spectra and gradients do not depend on the number of processes or the solver."""

import json
import shutil

import pytest
from mpi import by_processes

pytest.importorskip("dolfinx")

pytestmark = [
    pytest.mark.fem,
    pytest.mark.skipif(shutil.which("mpirun") is None, reason="needs mpirun"),
]


CASES = ["interval", "strip", "strip by iterations"]
CASES += ["corners", "corners by iterations", "anchor"]


@pytest.fixture(scope="module")
def found():
    """Numbers by 1 and by 2 processes."""
    printed = [by_processes(n, "parallel_responses.py") for n in (1, 2)]
    return [json.loads(one.splitlines()[-1]) for one in printed]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_find_what_one_finds(found, case):
    one, two = found
    assert two[case] == pytest.approx(one[case], rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("case", ["strip", "corners"])
def test_the_linear_solver_does_not_matter(found, case):
    for each in found:
        direct, iterations = each[case], each[f"{case} by iterations"]
        assert iterations == pytest.approx(direct, rel=1e-6, abs=1e-8)
