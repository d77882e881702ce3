"""What every potential returns, and ASE calculators as potentials."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from ...core.errors import InputError
from ..oracle import TOTAL_CHARGE, Oracle, gives_stress


@dataclass(frozen=True)
class Evaluation:
    """Energy, forces and stress of one configuration.

    Attributes
    ----------
    energy
        eV.
    forces
        Shape (N, 3), eV/A.
    stress
        Shape (3, 3), eV/A^3, tension positive; ``None`` where it was not asked for, the
        box has no volume or a calculator has none.
    energies
        Of atoms, shape (N,), eV; ``None`` with a baseline or charges, and from ASE
        calculators.
    charges
        Of atoms, shape (N,), e; ``None`` unless the potential predicts them.
    distances
        Of atoms from the training set, shape (N,); ``None`` unless the potential's
        uncertainty was calibrated.
    force_std
        Of a component of the force on each atom, shape (N,), eV/A; ``None`` where it was
        not asked for.
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray | None
    energies: np.ndarray | None = None
    charges: np.ndarray | None = None
    distances: np.ndarray | None = None
    force_std: np.ndarray | None = None

    @property
    def farthest(self) -> float:
        """Largest distance of an atom from the training set; zero where none is known."""
        return 0.0 if self.distances is None else float(self.distances.max())


class CalculatorPotential:
    """An ASE calculator in the place of a `Potential`; threads take turns.

    Parameters
    ----------
    calculator
        A calculator, or a function that makes one (such as the class itself, or
        ``functools.partial(TBLite, method="GFN2-xTB")``).
    """

    def __init__(self, calculator: Oracle | Callable[[], Oracle]):
        made = calculator
        if isinstance(made, type) or not isinstance(made, Oracle):
            made = made()
        if isinstance(made, type) or not isinstance(made, Oracle):
            raise InputError(
                "no ASE calculator", wanted="a calculator or a function that makes one",
                got=type(made).__name__, mend="give ase.calculators.lj.LennardJones()",
            )  # fmt: skip
        self.calculator: Oracle = made
        self._in_use = threading.Lock()  # calculators keep the atoms they are at

    def evaluate(
        self,
        positions: np.ndarray,
        species: Sequence[str] | np.ndarray,
        box: np.ndarray,
        pbc: Sequence[bool] = (True, True, True),
        charge: float = 0.0,
        *,
        stress: bool = True,
    ) -> Evaluation:
        """As `Potential.evaluate`; species are symbols, the charge is in `Atoms.info`."""
        info = {TOTAL_CHARGE[0]: charge} if charge else {}
        atoms = Atoms(list(species), positions, cell=box, pbc=pbc, info=info)
        asked = stress and atoms.cell.rank == 3 and all(pbc)
        tension = None
        with self._in_use:
            if asked and gives_stress(self.calculator):
                voigt = self.calculator.get_stress(atoms)
                tension = voigt_6_to_full_3x3_stress(voigt)
            energy = float(self.calculator.get_potential_energy(atoms))
            return Evaluation(energy, self.calculator.get_forces(atoms), tension)
