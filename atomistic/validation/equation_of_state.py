"""Equation of state: volume, bulk modulus and its derivative at zero pressure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.units import GPa

from ...core.errors import StageError
from .crystal import relaxed

Progress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class EquationOfState:
    """Birch-Murnaghan's third-order fit (1947, doi:10.1103/PhysRev.71.809).

    Attributes
    ----------
    volumes, energies
        Per atom, A^3 and eV.
    volume, energy
        At zero pressure, per atom.
    bulk_modulus, derivative
        B0 (GPa) and dB/dp.
    residual
        Root mean square of the fit, meV/atom.
    coefficients
        Of E in powers of V^(-2/3), highest first.
    """

    volumes: np.ndarray
    energies: np.ndarray
    volume: float
    energy: float
    bulk_modulus: float
    derivative: float
    residual: float
    coefficients: np.ndarray


def birch_murnaghan(volumes: Sequence[float], energies: Sequence[float]):
    """Fit energies (eV) against volumes (A^3): in V^(-2/3) it is a cubic polynomial.

    Raises
    ------
    StageError
        When the energies have no minimum between the volumes.
    """
    v, e = np.asarray(volumes, float), np.asarray(energies, float)
    x = v ** (-2 / 3)
    fit = np.polynomial.Polynomial.fit(x, e, 3)
    roots = fit.deriv().roots()
    real = roots[np.abs(np.imag(roots)) < 1e-12].real
    lowest = [r for r in real if fit.deriv(2)(r) > 0 and x.min() <= r <= x.max()]
    if not lowest:
        raise StageError(
            "equation of state", wanted="an energy with a minimum",
            got=f"none between {v.min():.3g} and {v.max():.3g} A^3/atom",
            mend="start from another lattice constant",
        )  # fmt: skip
    x0 = lowest[0]
    v0, second, third = x0**-1.5, fit.deriv(2)(x0), fit.deriv(3)(x0)
    slope, bend = -2 / 3 * v0 ** (-5 / 3), 10 / 9 * v0 ** (-8 / 3)
    e2, e3 = second * slope**2, third * slope**3 + 3 * second * slope * bend
    return EquationOfState(
        v, e, float(v0), float(fit(x0)), float(v0 * e2 / GPa), float(-1 - v0 * e3 / e2),
        float(1e3 * np.sqrt(np.mean((fit(x) - e) ** 2))), fit.convert().coef[::-1],
    )  # fmt: skip


def equation_of_state(
    crystal: Atoms,
    calculator: Calculator,
    *,
    reach: float = 0.06,
    points: int = 9,
    progress: Progress | None = None,
) -> EquationOfState:
    """Energies of a crystal over volumes, with relaxed atoms in cells of one shape.

    Parameters
    ----------
    crystal, calculator
        The crystal is relaxed first.
    reach
        Largest relative change of the volume.
    points
        Number of volumes.

    Raises
    ------
    StageError
        When a cell does not relax or there is no minimum.
    """
    rest = relaxed(crystal, calculator, cell=True)
    volumes, energies = [], []
    for i, factor in enumerate(np.linspace(1 - reach, 1 + reach, points)):
        cell = rest.copy()
        cell.set_cell(rest.cell.array * factor ** (1 / 3), scale_atoms=True)
        moved = relaxed(cell, calculator, cell=False)
        volumes.append(moved.get_volume() / len(moved))
        energies.append(moved.get_potential_energy() / len(moved))
        if progress is not None:
            progress(i + 1, points, "equation of state")
    return birch_murnaghan(volumes, energies)
