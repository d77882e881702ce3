"""Stress of another unit or sign than forces and lengths say is named."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from mesobridge.atomistic.potential.consistency import check_units
from mesobridge.atomistic.potential.reading import read_labelled
from mesobridge.core.errors import InputError

VOLUME = 32 * 3.6**3 / 4


def copper(path, factor, n=12):
    """Rattled and strained cells, their stress times a factor."""
    rng, frames = np.random.default_rng(2), []
    for seed in range(n):
        atoms = bulk("Cu", a=3.6, cubic=True).repeat(2)
        strain = rng.normal(0, 0.02, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain + strain.T), scale_atoms=True)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        labels["stress"] = factor * atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    write(path / "frames.xyz", frames, format="extxyz")
    return read_labelled(path / "frames.xyz")


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (160.2, "stress in GPa$"),
        (-1602.0, "stress in kbar, compression positive"),
        (-1.0, "stress in eV/A.3, compression positive"),
        (0.00545, "stress in hartree/bohr.3$"),
        (-VOLUME, "a virial"),
        (25.0, "a factor of [23]"),
    ],
)
def test_units_of_stress_are_named(tmp_path, factor, said):
    with pytest.raises(InputError) as found:
        check_units(copper(tmp_path, factor))
    found.match("(?m)" + said)


@pytest.mark.parametrize("n", [3, 12])
def test_stress_in_order_passes(tmp_path, n):
    check_units(copper(tmp_path, 1.0, n))


def test_too_few_frames_tell_nothing(tmp_path):
    check_units(copper(tmp_path, 160.2, 3))


def test_no_stress_without_anisotropy_is_judged(tmp_path):
    check_units(copper(tmp_path, 0.0))
