"""Repulsion of cores as a calculator: by hand, by differences, in any cell."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mesobridge.atomistic.calculators import ZBL
from mesobridge.core.errors import InputError

#: Coulomb constant, eV A, and the covalent radius of copper, A.
COULOMB, COPPER = 14.399645, 1.32


def pair(r, symbols="Cu2", **where):
    atoms = Atoms(symbols, [[0, 0, 0], np.array([2, 3, 6]) / 7 * r], **where)
    atoms.calc = ZBL()
    return atoms


def by_hand(r, za, zb, reach):
    x = r * (za**0.23 + zb**0.23) / 0.46850
    phi = (
        0.18175 * np.exp(-3.1998 * x) + 0.50986 * np.exp(-0.94229 * x)
        + 0.28022 * np.exp(-0.4029 * x) + 0.028171 * np.exp(-0.20162 * x)
    )  # fmt: skip
    return COULOMB * za * zb / r * phi * (1 - (r / reach) ** 2) ** 3


@pytest.mark.parametrize("r", [0.05, 0.5, 1.5, 2.6])
def test_two_atoms(r):
    found = pair(r).get_potential_energy()
    assert found == pytest.approx(by_hand(r, 29, 29, 2 * COPPER), rel=1e-6)
    unlike = pair(r / 3, "HO").get_potential_energy()
    assert unlike == pytest.approx(by_hand(r / 3, 1, 8, 0.31 + 0.66), rel=1e-6)


def test_nuclei_that_nearly_touch_feel_their_bare_charges():
    r = 1e-5
    assert pair(r, "HO").get_potential_energy() == pytest.approx(
        8 * COULOMB / r, rel=1e-4
    )


def test_it_ends_smoothly_where_bonds_begin():
    """Energy falls as the cube of the distance to the end: force and its slope vanish."""
    h = np.array([2e-3, 1e-3])
    energy = [pair(2 * COPPER - x).get_potential_energy() for x in h]
    assert np.log2(energy[0] / energy[1]) == pytest.approx(3, abs=0.01)
    beyond = pair(2 * COPPER + 1e-9)
    assert beyond.get_potential_energy() == 0
    assert not beyond.get_forces().any()


def crowd(pbc):
    """Eight atoms, closer than they would be, in a small skewed cell."""
    rng = np.random.default_rng(1)
    cell = np.array([[2.6, 0.2, 0.0], [0.9, 2.3, 0.3], [-0.4, 0.5, 2.4]]) * 1.6
    x = (
        np.indices((2, 2, 2)).reshape(3, -1).T / 2 + rng.uniform(-0.04, 0.04, (8, 3))
    ) @ cell
    atoms = Atoms("CuOHCuOHCuO", x, cell=cell, pbc=pbc)
    atoms.calc = ZBL()
    return atoms


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 0, 0)])
def test_forces_and_stress_are_derivatives(pbc):
    atoms = crowd(pbc)
    energy, forces, stress = (
        atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False),
    )  # fmt: skip
    assert energy == pytest.approx(atoms.get_potential_energies().sum())
    assert abs(forces.sum(0)).max() < 1e-10 * abs(forces).max()
    h = 1e-5
    for atom, axis in ((0, 0), (1, 1), (2, 2), (7, 0)):
        both = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.calc = ZBL()
            moved.positions[atom, axis] += sign * h
            both.append(moved.get_potential_energy())
        difference = (both[1] - both[0]) / (2 * h)
        assert forces[atom, axis] == pytest.approx(difference, rel=1e-6, abs=1e-6)
    for i, j in ((0, 0), (1, 2), (0, 1)):
        both = []
        for sign in (1, -1):
            strained, strain = atoms.copy(), np.eye(3)
            strained.calc = ZBL()
            strain[i, j] += sign * h / 2
            strain[j, i] += sign * h / 2
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            both.append(strained.get_potential_energy())
        difference = (both[0] - both[1]) / (2 * h) / atoms.get_volume()
        assert stress[i, j] == pytest.approx(difference, rel=1e-6, abs=1e-8)


def test_images_of_one_atom_repel():
    """A cell smaller than the reach: copper at a third of its lattice constant."""
    one, many = bulk("Cu", "fcc", a=1.8), bulk("Cu", "fcc", a=1.8) * (3, 3, 3)
    one.calc, many.calc = ZBL(), ZBL()
    energy = one.get_potential_energy()
    assert many.get_potential_energy() == pytest.approx(27 * energy, rel=1e-12)
    shells = ((12, 1.8 / np.sqrt(2)), (6, 1.8), (24, 1.8 * np.sqrt(1.5)),
              (12, 1.8 * np.sqrt(2)))  # fmt: skip
    wanted = sum(n / 2 * by_hand(r, 29, 29, 2 * COPPER) for n, r in shells if r < 2.64)
    assert energy == pytest.approx(wanted, rel=1e-6)


def test_nothing_repels_one_atom_and_bad_positions_are_told():
    assert not Atoms("Cu", calculator=ZBL()).get_forces().any()
    with pytest.raises(InputError, match="same place"):
        pair(0.0).get_potential_energy()
    with pytest.raises(InputError, match="not finite"):
        pair(np.nan).get_potential_energy()
