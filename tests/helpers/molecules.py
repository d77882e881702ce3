"""Small molecules of harmonic springs, with labels: eV, A."""

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import _e, _eps0

#: Permittivity of vacuum, e^2/eV/A.
VACUUM = _eps0 * _e / _e**2 * 1e-10
SPRINGS = ((0, 1, 40, 0.96), (0, 2, 40, 0.96), (1, 2, 12, 1.52))

#: Configuration of a short training on frames.xyz, to which the steps are added.
SMALL = """
[data]
files = ["frames.xyz"]
hold_out = 0.2
[model]
cutoff = "4 angstrom"
channels = 4
radial = 4
hidden = 8
[training]
batch = 4
points = 5
"""


def springs(rng, pbc=False, cell=None, shift=-500.0, noise=0.05, group="gas"):
    """A water-like molecule, three springs."""
    x = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    x = x + rng.normal(0, noise, (3, 3))
    energy, forces = spring_energy(x)
    atoms = Atoms("OHH", positions=x, pbc=pbc, cell=cell)
    atoms.info["config_type"] = group
    atoms.calc = SinglePointCalculator(atoms, energy=shift + energy, forces=forces)
    return atoms


def pair(rng, shift=-420.0, group="radical"):
    """An OH, one spring."""
    r = 0.96 + rng.normal(0, 0.05)
    atoms = Atoms("OH", positions=[[0, 0, 0], [0, 0, r]])
    atoms.info["config_type"] = group
    pull = 40 * (r - 0.96)
    atoms.calc = SinglePointCalculator(
        atoms, energy=shift + 20 * (r - 0.96) ** 2, forces=[[0, 0, pull], [0, 0, -pull]]
    )
    return atoms


def ions(rng, charge=0.8, total=0.0, name="charges"):
    """Na and Cl as point charges (e), with a repulsion; their charges and dipole."""
    r, way = rng.uniform(2.3, 4.5), rng.normal(size=3)
    x = np.array([np.zeros(3), r * way / np.linalg.norm(way)])
    q = np.array([charge, total - charge])
    coulomb, push = q.prod() / (4 * np.pi * VACUUM) / r, 900 * np.exp(-r / 0.32)
    pull = (coulomb / r + push / 0.32) * x[1] / r
    atoms = Atoms("NaCl", positions=x, info={"total_charge": total})
    labels = {"energy": coulomb + push, "forces": [-pull, pull], "dipole": q @ x}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    atoms.arrays[name] = q
    return atoms


def spring_energy(x):
    """Energy and forces of three atoms."""
    energy, forces = 0.0, np.zeros((3, 3))
    for a, b, k, r0 in SPRINGS:
        d = x[b] - x[a]
        r = np.linalg.norm(d)
        energy += 0.5 * k * (r - r0) ** 2
        forces[a] += k * (r - r0) * d / r
        forces[b] -= k * (r - r0) * d / r
    return energy, forces
