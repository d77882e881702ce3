"""An OpenMM system evaluates atoms in any cell: pairs by hand, and MD of turned cells."""

import numpy as np
import openmm
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from mesobridge.atomistic.calculators import OpenMMCalculator
from mesobridge.atomistic.cells import straight, upright
from mesobridge.atomistic.potential import CalculatorPotential, to_openmm
from mesobridge.atomistic.validation.dynamics import openmm_engine
from mesobridge.core.errors import InputError
from mesobridge.core.md import MDSettings

UNIT = 0.010364269656  # eV per kJ/mol
REACH = 4.0  # A
TURN = Rotation.from_euler("xyz", [0.3, 1.1, -0.7]).as_matrix()
CELLS = {
    "orthorhombic": np.diag([9.0, 10, 11]),
    "left-handed": np.diag([9.0, 10, 11])[[1, 0, 2]],
    "mirrored": np.diag([-9.0, -10, -11]),
    "hexagonal": np.array([[10.0, 0, 0], [5, np.sqrt(75), 0], [0, 0, 9]]),
    "primitive": bulk("Ar", "fcc", a=15.0).cell.array,
    "rounded": np.diag([9.0, 10, 11]) + 1e-15,
    "turned": np.array([[10.0, 0, 0], [3, 9, 0], [-2, 4, 11]]) @ TURN,
    "turned, left-handed": np.array([[3.0, 9, 0], [10, 0, 0], [-2, 4, 11]]) @ TURN,
}


def crowd(cell):
    rng = np.random.default_rng(0)
    return Atoms("Ar40", rng.random((40, 3)) @ cell, cell=cell, pbc=True)


def pairs_of_openmm(n):
    """Energy 100 (1 - r / 0.4 nm)^3 of every pair, kJ/mol."""
    system, force = openmm.System(), openmm.CustomNonbondedForce("100*(1-r/0.4)^3")
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(REACH / 10)
    for _ in range(n):
        system.addParticle(40.0)
        force.addParticle([])
    system.addForce(force)
    return system


@pytest.mark.parametrize("name", CELLS)
def test_pairs_by_hand(name):
    atoms = crowd(CELLS[name])
    atoms.calc = OpenMMCalculator(pairs_of_openmm(len(atoms)))
    i, r, between = neighbor_list("idD", atoms, REACH)
    left = 1 - r / REACH
    energy = 50 * UNIT * (left**3).sum()
    pull = (-300 * UNIT / REACH * left**2 / r)[:, None] * between
    forces = np.stack([np.bincount(i, x, len(atoms)) for x in pull.T], 1)
    stress = 0.5 * between.T @ pull / atoms.get_volume()
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-4)
    found = atoms.get_stress(voigt=False)
    np.testing.assert_allclose(found, stress, atol=2e-3 * np.abs(stress).max())


def test_a_box_is_not_that_of_other_atoms():
    calculator = OpenMMCalculator(pairs_of_openmm(40))
    atoms = crowd(np.diag([9.0, 10, 11]))
    calculator.get_potential_energy(atoms)
    with pytest.raises(InputError, match="without a cell for a periodic OpenMM"):
        calculator.get_potential_energy(Atoms(atoms.symbols, atoms.positions))


@pytest.mark.parametrize("pbc", [(1, 1, 0), (0, 1, 1), (1, 0, 1), (0, 1, 0), (0, 0, 0)])
@pytest.mark.parametrize("open_vector", ["tilted", "missing"])
def test_molecular_dynamics_repeats_what_repeats(pbc, open_vector):
    """Vectors far from upright, which OpenMM would shorten by those that are open."""
    cell = np.array([[7.0, 0, 0], [4.5, 6, 0], [3.4, 4, 9]]) @ TURN
    if open_vector == "missing":
        cell[np.logical_not(pbc)] = 0
    rng = np.random.default_rng(1)
    corner = np.array([[7.0, 0, 0], [4.5, 6, 0], [3.4, 4, 9]]) @ TURN
    grid = np.indices((2, 2, 2)).reshape(3, -1).T / 2
    x = (grid + rng.normal(0, 0.02, (8, 3))) @ corner
    atoms = Atoms("Ar8", x, cell=cell, pbc=pbc)
    potential = CalculatorPotential(LennardJones(sigma=3.0, rc=6.0, smooth=True))
    wanted = potential.evaluate(
        atoms.positions, list(atoms.symbols), atoms.cell.array, atoms.pbc
    )
    turned, turn = upright(straight(atoms))
    code = "".join("FT"[p] for p in pbc)
    engine = openmm_engine(
        lambda a: [to_openmm(potential.calculator, list(a.symbols), pbc=code)]
    )
    mover = engine(turned, MDSettings(100.0, 1e-15, 0.0, 1), 1)
    energy, *_ = mover.observe()
    assert energy == pytest.approx(wanted.energy, rel=1e-5)
    forces = mover.context.getState(getForces=True).getForces(asNumpy=True)._value
    found = forces * UNIT / 10 @ turn
    np.testing.assert_allclose(found, wanted.forces, atol=1e-4 * abs(wanted.forces).max())
