"""Fumi-Tosi rigid-ion model of NaCl in OpenMM: the oracle of the molten-salt example.

The calculators here are ASE calculators, so they satisfy `Oracle` like any other one.
"""

from __future__ import annotations

import numpy as np
import openmm
from ase import Atoms

from ..core.coulomb import coulomb_force
from ..core.errors import InputError
from ..core.units import ANGSTROM, KJ_MOL, NM
from .calculators import OpenMMCalculator, cpu_context
from .systems import CHARGES, slab_correction

#: Range of the Born repulsion, nm.
RHO = 0.0317

#: Na and Cl: amplitude A (1e-19 J), sigma (A), C (1e-79 J m^6), D (1e-99 J m^8).
#: Source: Fumi & Tosi 1964, doi:10.1016/0022-3697(64)90159-3 (A, sigma, rho);
#: dispersion of Mayer 1933, doi:10.1063/1.1749283.
PARAMETERS = {
    ("Na", "Na"): (0.4225, 2.340, 1.68, 0.8),
    ("Na", "Cl"): (0.3380, 2.755, 11.2, 13.9),
    ("Cl", "Cl"): (0.2535, 3.170, 116.0, 233.0),
}


def short_range_force(
    species: tuple[str, ...], cutoff: float
) -> openmm.CustomNonbondedForce:
    """Born repulsion and dispersion, switched off over a tenth of `cutoff` (nm)."""
    # The pair's parameters are quadratics in the number of anions x = 0, 1, 2: OpenMM's
    # CPU platform is nine times slower with a table of pairs.
    definitions = "; ".join(
        f"{name}={_through(values)}" for name, values in _pair_parameters().items()
    )
    force = openmm.CustomNonbondedForce(
        f"A*exp((s-r)/{RHO}) - (C + D/r2)/(r2*r2*r2); r2=r*r; {definitions};"
        " x=anion1+anion2"
    )
    force.addPerParticleParameter("anion")
    for name in species:
        force.addParticle([1.0 if CHARGES[name] < 0 else 0.0])
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(cutoff)
    force.setUseSwitchingFunction(True)
    force.setSwitchingDistance(0.9 * cutoff)
    return force


def _pair_parameters() -> dict[str, list[float]]:
    """A, s, C, D of the pairs with 0, 1 and 2 anions, in kJ/mol and nm."""
    factors = (
        1e-19 / KJ_MOL,
        ANGSTROM / NM,
        1e-79 / NM**6 / KJ_MOL,
        1e-99 / NM**8 / KJ_MOL,
    )
    columns = zip(*PARAMETERS.values(), strict=True)
    return {
        name: [value * factor for value in column]
        for name, column, factor in zip("AsCD", columns, factors, strict=True)
    }


def _through(values: list[float]) -> str:
    """Quadratic in x through `values` at x = 0, 1, 2, as an OpenMM expression."""
    f0, f1, f2 = values
    return f"{f0!r} + x*({f1 - f0!r} + (x-1)*({(f2 - 2 * f1 + f0) / 2!r}))"


class IonicCalculator(OpenMMCalculator):
    """ASE calculator of formal-charge Coulomb, with or without Fumi-Tosi short range.

    Energies in eV, forces in eV/A, stress in eV/A^3 (ASE's signs: tension positive).
    Periodic directions follow ``atoms.pbc``: TTT is bulk, TTF a slab with vacuum in its
    cell along z, for which the slab correction is added (and no stress is defined).

    Parameters
    ----------
    cutoff
        Of the direct sums, nm.
    short_range
        ``False`` leaves formal-charge Coulomb alone: the baseline of delta-learning.
    """

    def __init__(self, cutoff: float, *, short_range: bool = True):
        super().__init__(openmm.System())
        self.cutoff, self.short_range = cutoff, short_range
        self._key: tuple | None = None

    def context(self, atoms: Atoms) -> openmm.Context:
        """Context for these ions, kept while they, cell and boundaries are kept."""
        key = (tuple(atoms.symbols), tuple(atoms.pbc), atoms.cell.array.tobytes())
        if self._context is None or key != self._key:
            self._context, self._key = cpu_context(self._build(atoms)), key
        return self._context

    def _build(self, atoms: Atoms) -> openmm.System:
        if not atoms.pbc[:2].all() or atoms.cell.rank < 3:
            raise InputError(
                "ions are summed in a crystal or a slab", wanted="pbc TTT or TTF, a cell",
                got=f"pbc {atoms.pbc.tolist()}, cell {atoms.cell.lengths().tolist()} A",
                mend="give a cluster a wide cell that repeats",
            )  # fmt: skip
        charges = np.array([CHARGES[s] for s in atoms.symbols])
        system = openmm.System()
        for mass in atoms.get_masses():
            system.addParticle(mass)
        system.setDefaultPeriodicBoxVectors(*(atoms.cell.array / 10))
        # Strain moves pairs across the cut-off: at the looser tolerance of MD the steps
        # of the direct sum there would be a tenth of the stress' fluctuation.
        system.addForce(coulomb_force(charges, self.cutoff, tolerance=3e-5))
        if not atoms.pbc[2]:
            volume = atoms.cell.volume / 1e3
            system.addForce(slab_correction(charges, volume))
        if self.short_range:
            system.addForce(short_range_force(tuple(atoms.symbols), self.cutoff))
        return system
