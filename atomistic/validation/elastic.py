"""Elastic constants from stress and from energies, and whether the crystal is stable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.stress import voigt_6_to_full_3x3_strain
from ase.units import GPa

from .crystal import relaxed

Progress = Callable[[float, float, str], None]

#: Weights of -2h, -h, 0, h, 2h in first and second derivatives of fourth order.
FIRST = np.array([1, -8, 0, 8, -1]) / 12
SECOND = np.array([-1, 16, -30, 16, -1]) / 12
PLACES = (-2, -1, 0, 1, 2)


@dataclass(frozen=True)
class ElasticConstants:
    """Elastic constants of a relaxed crystal, GPa.

    Attributes
    ----------
    from_stress, from_energy
        Shape (6, 6), Voigt order xx, yy, zz, yz, xz, xy.
    residual_stress
        Largest component left in the relaxed crystal.
    density
        kg/m^3.
    """

    from_stress: np.ndarray
    from_energy: np.ndarray
    residual_stress: float
    density: float

    @property
    def disagreement(self) -> float:
        """Largest difference of the two, over the largest constant."""
        difference = np.abs(self.from_stress - self.from_energy).max()
        return float(difference / np.abs(self.from_energy).max())

    @property
    def stability(self) -> float:
        """Smallest eigenvalue; a stable crystal has none below zero.

        Born's criterion for any symmetry: Mouhat & Coudert 2014,
        doi:10.1103/PhysRevB.90.224104.
        """
        return float(np.linalg.eigvalsh(self.from_stress).min())

    @property
    def bulk_modulus(self) -> float:
        """Voigt's average."""
        return float(self.from_stress[:3, :3].mean())

    def cubic(self, tolerance: float = 0.02) -> dict[str, float] | None:
        """C11, C12 and C44, averaged, where they say all; otherwise ``None``."""
        C = self.from_stress
        c11, c44 = float(np.diag(C)[:3].mean()), float(np.diag(C)[3:].mean())
        c12 = float(C[(0, 0, 1), (1, 2, 2)].mean())
        whole = np.diag([c11 - c12] * 3 + [c44] * 3)
        whole[:3, :3] += c12
        if np.abs(C - whole).max() > tolerance * np.abs(C).max():
            return None
        return {"C11": c11, "C12": c12, "C44": c44}


def elastic_constants(
    crystal: Atoms,
    calculator: Calculator,
    *,
    strain: float = 0.005,
    progress: Progress | None = None,
) -> ElasticConstants:
    """Elastic constants at rest (T = 0), with atoms relaxed in every strained cell.

    Parameters
    ----------
    crystal
        Relaxed here, with its cell.
    calculator
        Any ASE calculator with stress; double precision is advised.
    strain
        Smaller of the two used.
    progress
        Called with (directions done, 21, text).

    Raises
    ------
    StageError
        When a cell does not relax.
    """
    rest = relaxed(crystal, calculator, cell=True)
    volume, energy = rest.get_volume(), rest.get_potential_energy()
    residual = rest.get_stress(voigt=True)
    stress, second = np.zeros((6, 6)), np.zeros((6, 6))
    done = 0
    for i in range(6):
        for j in range(i, 6):
            direction = np.eye(6)[i] + (np.eye(6)[j] if j > i else 0)
            points = [
                (residual, energy) if p == 0
                else _strained(rest, calculator, p * strain * direction)
                for p in PLACES
            ]  # fmt: skip
            if i == j:
                stress[i] = FIRST @ np.array([s for s, _ in points]) / strain
            # The energy at rest is taken off first: sums of large numbers lose digits.
            work = np.array([e - energy for _, e in points])
            second[i, j] = second[j, i] = SECOND @ work / strain**2 / volume
            done += 1
            if progress is not None:
                progress(done, 21, "elastic constants")
    own = np.diag(second)
    mixed = 0.5 * (second - own[:, None] - own[None, :])
    from_energy = np.where(np.eye(6, dtype=bool), second, mixed)
    return ElasticConstants(
        0.5 * (stress + stress.T) / GPa,
        from_energy / GPa,
        float(np.abs(residual).max() / GPa),
        float(rest.get_masses().sum() / volume * 1.66053906660e3),
    )


def _strained(
    rest: Atoms, calculator: Calculator, strain: np.ndarray
) -> tuple[np.ndarray, float]:
    """Stress (Voigt, eV/A^3) and energy (eV) of a strained cell with relaxed atoms."""
    strained = rest.copy()
    deform = voigt_6_to_full_3x3_strain(strain)  # ASE adds the unit matrix
    strained.set_cell(rest.cell.array @ deform, scale_atoms=True)
    moved = relaxed(strained, calculator, cell=False)
    return moved.get_stress(voigt=True), moved.get_potential_energy()
