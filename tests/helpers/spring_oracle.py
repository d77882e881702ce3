"""An oracle of springs: a water-like molecule."""

from ase.calculators.calculator import Calculator, all_changes
from molecules import spring_energy


class Springs(Calculator):
    """A water-like molecule, and how often it was asked."""

    implemented_properties = ["energy", "forces"]
    calls = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        type(self).calls += 1
        energy, forces = spring_energy(self.atoms.positions)
        self.results = {"energy": energy, "forces": forces}


class InKcal(Springs):
    """Forces in kcal/mol/A beside energies in eV."""

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["forces"] = self.results["forces"] * 23.06
