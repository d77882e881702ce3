"""The job of a molecule: what it cannot do is said before anything runs."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from mesobridge.atomistic.biased_sampling import read_molecule
from mesobridge.core.errors import InputError

SCRIPT = Path(__file__).resolve().parents[2] / "examples/alanine_dipeptide/alanine.py"


@pytest.fixture(scope="module")
def job():
    spec = importlib.util.spec_from_file_location("alanine_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.job(True, 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bonds": ((0, 1), (1, 2), (2, 3), (3, 9))}, "beads from 0 on"),
        ({"dihedrals": ((0, 1, 2, 9), (1, 2, 3, 4))}, "four bonded beads"),
        ({"dihedrals": ((0, 1, 2), (1, 2, 3, 4))}, "four bonded beads"),
        ({"dihedrals": ((0, 1, 2, 3),)}, "four bonded beads"),
        ({"starts": ((-1.4, 2.6),)}, "two replicas"),
        ({"temperature": 0.0}, "temperature\n  wanted: float above zero"),
        ({"temperature": "300 K"}, "got:    '300 K'"),
        ({"timestep": float("nan")}, "timestep"),
        ({"length": 2.5e4}, "wanted: int above zero\n  got:    25000.0"),
        ({"length": 25}, "four blocks in length, 10000"),
        ({"segment": 2501}, "multiples of stride, 25"),
        ({"points": 10}, "points\n  wanted: int from 11 on"),
        ({"copies": 0}, "copies"),
        ({"bins": 0}, "bins"),
        ({"seed": -1}, "seed\n  wanted: int from 0 on"),
    ],
)
def test_bad_settings_are_named(job, given, words):
    with pytest.raises(InputError) as caught:
        replace(job, **given)
    assert words in str(caught.value)


@pytest.mark.parametrize("pdb", ["", "alanine.pdb"])
def test_a_text_without_atoms_is_refused(pdb):
    with pytest.raises(InputError, match="residues with all their atoms"):
        read_molecule(pdb)
