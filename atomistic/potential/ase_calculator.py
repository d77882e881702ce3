"""A trained potential as an ASE calculator."""

from __future__ import annotations

from pathlib import Path

from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)
from ase.stress import full_3x3_to_voigt_6_stress

from ..oracle import total_charge
from .baseline import Baseline
from .files import load_potential
from .potential import Potential
from .verlet import VerletList

#: Of atoms, where it was calibrated: standard deviation of a component of the force
#: (eV/A), and distance from the training set.
UNCERTAINTY = ("force_std", "distances")


class MesobridgeCalculator(Calculator):
    """ASE calculator of a `potential/1` file (eV, A; stress with tension positive).

    ``get_property("force_std", atoms)`` and ``get_property("distances", atoms)`` say how
    sure a potential is of its forces, where that was calibrated.

    Parameters
    ----------
    potential
        Path of the file, or a `Potential`.
    charge
        Total, e; of a potential that predicts charges. ``None`` takes that of the atoms:
        ``info["total_charge"]`` or ``info["charge"]``, zero without.
    baseline, compile, device
        As `load_potential`; of files only.
    skin
        Of the neighbour list, A (`VerletList`).

    Raises
    ------
    InputError
        When there is no such file.
    SchemaError
        When the file is broken or of another baseline; when atoms are given, for a
        species that is unknown.

    Examples
    --------
    >>> atoms.calc = MesobridgeCalculator("potential.safetensors")  # doctest: +SKIP
    >>> atoms.get_potential_energy()  # doctest: +SKIP
    """

    implemented_properties = [
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
        "charges",
        "dipole",
        *UNCERTAINTY,
    ]

    def __init__(
        self,
        potential: Path | str | Potential,
        *,
        charge: float | None = None,
        baseline: Baseline = None,
        compile: bool = False,
        device: str = "cpu",
        skin: float = 1.0,
    ):
        super().__init__()
        if not isinstance(potential, Potential):
            potential = load_potential(
                potential, baseline=baseline, compile=compile, device=device
            )
        self.potential, self.charge = potential, charge
        self._verlet = VerletList(potential.model.cutoff, skin)
        self._last = 0.0  # total charge of the last calculation

    def _total(self, atoms) -> float:
        return total_charge(atoms.info) if self.charge is None else self.charge

    def check_state(self, atoms, tol=1e-15):
        """What has changed since the last calculation; ASE does not look at charges."""
        changes = super().check_state(atoms, tol)
        if not changes and self._total(atoms) != self._last:
            changes = ["charge"]
        return changes

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Fill ``results``; see `ase.calculators.calculator.Calculator`."""
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms if atoms is None else atoms
        self._last = self._total(atoms)
        found = self.potential.evaluate(
            atoms.positions,
            atoms.symbols,
            atoms.cell.array,
            atoms.pbc,
            self._last,
            stress="stress" in properties,
            spread="force_std" in properties,
            verlet=self._verlet,
        )
        self.results = {
            "energy": found.energy,
            "free_energy": found.energy,
            "forces": found.forces,
        }
        for name in ("energies", "charges", *UNCERTAINTY):
            if getattr(found, name) is not None:
                self.results[name] = getattr(found, name)
        # The dipole of others depends on the origin.
        if found.charges is not None and not any(atoms.pbc) and not self._last:
            self.results["dipole"] = found.charges @ atoms.positions
        if found.stress is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(found.stress)
        missing = [p for p in properties if p not in self.results]
        if missing:
            raise PropertyNotImplementedError(
                f"no {', '.join(missing)}: a cell without volume has no stress, a "
                "baseline or charges no energies of atoms, others no charges; dipoles "
                "are of neutral clusters; distances need a calibration"
            )
