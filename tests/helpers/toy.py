"""Oracles that need no package, for tests of labelling; other processes import them."""

import os
import time

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from mesobridge.atomistic.named_oracle import CodeOracle

SPRING = 3.0  # eV/A^2, of every pair of atoms


class Toy(Calculator):
    """Springs between all atoms; some elements are trouble. Calls are logged."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if log := os.environ.get("TOY_LOG"):
            with open(log, "a") as handle:
                handle.write(f"{os.getpid()}\n")
        symbols = set(atoms.symbols)
        if "He" in symbols:
            raise RuntimeError("helium")
        if "Ar" in symbols:
            time.sleep(600)
        if "Kr" in symbols:
            os._exit(9)
        if "Li" in symbols:
            time.sleep(0.2)
        between = atoms.positions[:, None] - atoms.positions[None]
        energy = 0.25 * SPRING * (between**2).sum()
        forces = -SPRING * between.sum(1)
        if "Ne" in symbols:
            forces[0] = np.nan
        self.results = {"energy": energy, "forces": forces}


class Hartree(Toy):
    """Forces in hartree/bohr beside energies in eV."""

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["forces"] = self.results["forces"] / 51.42207


def broken():
    """No calculator."""
    raise ValueError("no licence")


TOY = CodeOracle("toy:Toy", "toy", "1")


def cluster(seed, symbols="H3"):
    """A few atoms at random places."""
    atoms = Atoms(symbols)
    atoms.positions = np.random.default_rng(seed).uniform(0, 3, (len(atoms), 3))
    return atoms
