"""Molten-salt systems: geometry, formal-charge Coulomb, walls.

Lengths are in nm, energies in kJ/mol (OpenMM's units) in this file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import openmm

from ..core.coulomb import coulomb_force
from ..core.md import MDState
from ..core.units import (
    AVOGADRO,
    BOLTZMANN,
    ELEMENTARY_CHARGE,
    KJ_MOL,
    NM,
    VACUUM_PERMITTIVITY,
)

#: Formal charges (e) and masses (Da) of the ions known here.
CHARGES = {"Na": 1.0, "Cl": -1.0}
MASSES = {"Na": 22.98976928, "Cl": 35.453}

#: 1 / (2 eps0) in kJ/mol nm e-2: the slab correction is this times M_z^2 / V.
HALF_INVERSE_EPS0 = ELEMENTARY_CHARGE**2 / (2 * VACUUM_PERMITTIVITY * NM) / KJ_MOL


@dataclass(frozen=True)
class Walls:
    """Two planar 9-3 Lennard-Jones walls, normal to z, that may carry charge.

    Attributes
    ----------
    left, right
        Positions of the wall planes along z, nm.
    epsilon, sigma
        Of ``epsilon (2/15 (sigma/d)^9 - (sigma/d)^3)``; kJ/mol, nm.
    surface_charge
        On the left wall, e/nm^2; the right wall carries the opposite.
    """

    left: float
    right: float
    epsilon: float
    sigma: float
    surface_charge: float = 0.0


@dataclass(frozen=True)
class Cell:
    """Ions in an orthorhombic box, periodic in x and y, and in z when there is no wall.

    Attributes
    ----------
    species
        Symbol of each ion.
    lengths
        Box lengths, nm.
    walls
        ``None`` in bulk.
    """

    species: tuple[str, ...]
    lengths: tuple[float, float, float]
    walls: Walls | None = None

    @property
    def box(self) -> np.ndarray:
        """Box vectors as rows, shape (3, 3), nm."""
        return np.diag(self.lengths)

    @property
    def charges(self) -> np.ndarray:
        """Formal charges, e."""
        return np.array([CHARGES[s] for s in self.species])


def number_density(mass_density: float) -> float:
    """Ions per nm^3 of molten NaCl from its density in kg/m^3."""
    pair_mass = (MASSES["Na"] + MASSES["Cl"]) * 1e-3 / AVOGADRO
    return 2 * mass_density / pair_mass * NM**3


def bulk_cell(n_ions: int, density: float) -> Cell:
    """Cubic box of `n_ions` at `density` (ions per nm^3)."""
    edge = (n_ions / density) ** (1 / 3)
    return Cell(_salt(n_ions), (edge, edge, edge))


def slab_cell(
    n_ions: int,
    density: float,
    width: float,
    *,
    vacuum: float,
    temperature: float,
    wall_epsilon: float,
    wall_sigma: float,
    surface_charge: float = 0.0,
) -> Cell:
    """Slab of `n_ions` between two walls, at bulk density in its middle.

    Parameters
    ----------
    n_ions
        Number of ions, half of them cations.
    density
        Of the bulk, ions per nm^3.
    width
        Edge of the box along x and y, nm.
    vacuum
        Height of the box over the distance of the walls; at least 3 for the slab
        correction (Yeh & Berkowitz 1999, doi:10.1063/1.479595).
    temperature
        K; the walls' repulsion reaches kT at the edge of the volume that the melt fills.
    wall_epsilon, wall_sigma
        Of the 9-3 walls, kJ/mol and nm.
    surface_charge
        On the left wall, e/nm^2.
    """
    thermal = BOLTZMANN * temperature / KJ_MOL
    offset = wall_sigma * (2 * wall_epsilon / (15 * thermal)) ** (1 / 9)
    distance = n_ions / (density * width**2) + 2 * offset
    height = vacuum * distance
    left = 0.5 * (height - distance)
    walls = Walls(left, left + distance, wall_epsilon, wall_sigma, surface_charge)
    return Cell(_salt(n_ions), (width, width, height), walls)


def _salt(n_ions: int) -> tuple[str, ...]:
    return ("Na",) * (n_ions // 2) + ("Cl",) * (n_ions - n_ions // 2)


def lattice_start(cell: Cell, seed: int) -> MDState:
    """Ions on alternating sites of a grid with random vacancies, to be melted.

    Parameters
    ----------
    cell
        Bulk or slab; in a slab the grid keeps clear of the walls.
    seed
        Of the choice of vacancies.
    """
    rng = np.random.default_rng(seed)
    extent = np.array(cell.lengths)
    origin = np.zeros(3)
    if cell.walls is not None:
        margin = 0.9 * cell.walls.sigma
        origin[2] = cell.walls.left + margin
        extent[2] = cell.walls.right - cell.walls.left - 2 * margin
    # Even counts keep the pattern of signs intact across the periodic boundary.
    spacing, counts = 0.32, np.zeros(3, dtype=int)
    n_half = len(cell.species) // 2
    while counts.prod() // 2 < n_half + 1:
        spacing *= 0.98
        counts = 2 * np.maximum((extent / spacing / 2).astype(int), 1)
    index = np.indices(tuple(counts)).reshape(3, -1).T
    sites = origin + (index + 0.5) * extent / counts
    even = index.sum(1) % 2 == 0
    chosen = [
        rng.permutation(np.flatnonzero(mask))[: cell.species.count(name)]
        for name, mask in (("Na", even), ("Cl", ~even))
    ]
    return MDState(positions=sites[np.concatenate(chosen)], box=cell.box)


def make_system(cell: Cell, *forces: openmm.Force, cutoff: float | None) -> openmm.System:
    """System of the ions with walls, `forces` and Coulomb of formal charges.

    Parameters
    ----------
    cell
        Bulk or slab.
    forces
        What is added to Coulomb and walls: the oracle's short range or an ML potential.
    cutoff
        Of the direct Coulomb sum, nm; ``None``: the forces hold Coulomb themselves.
    """
    system = openmm.System()
    for name in cell.species:
        system.addParticle(MASSES[name])
    system.setDefaultPeriodicBoxVectors(*cell.box)
    if cutoff is not None:
        system.addForce(coulomb_force(cell.charges, cutoff))
        if cell.walls is not None:
            volume = float(np.prod(cell.lengths))
            system.addForce(slab_correction(cell.charges, volume))
    if cell.walls is not None:
        system.addForce(wall_force(cell))
    for force in forces:
        system.addForce(force)
    return system


def slab_correction(charges: np.ndarray, volume: float) -> openmm.CustomCVForce:
    """Yeh-Berkowitz term ``M_z^2 / (2 eps0 V)`` of a neutral slab, from unwrapped z.

    Source: Yeh & Berkowitz 1999, doi:10.1063/1.479595.
    """
    dipole = openmm.CustomExternalForce("q*z")
    dipole.addPerParticleParameter("q")
    for i, charge in enumerate(charges):
        dipole.addParticle(i, [charge])
    force = openmm.CustomCVForce(f"{HALF_INVERSE_EPS0 / volume!r}*dipole^2")
    force.addCollectiveVariable("dipole", dipole)
    return force


def wall_force(cell: Cell) -> openmm.CustomExternalForce:
    """9-3 Lennard-Jones walls and the uniform field of their opposite charges."""
    walls = cell.walls
    if walls is None:
        raise ValueError("a bulk cell has no walls")
    field = 2 * HALF_INVERSE_EPS0 * walls.surface_charge  # kJ/mol/nm/e
    force = openmm.CustomExternalForce(
        f"epsilon*(2/15*((sigma/dl)^9 + (sigma/dr)^9) - (sigma/dl)^3 - (sigma/dr)^3)"
        f" - q*{field!r}*(z - {walls.left!r}); dl=z-{walls.left!r}; dr={walls.right!r}-z"
    )
    force.addGlobalParameter("epsilon", walls.epsilon)
    force.addGlobalParameter("sigma", walls.sigma)
    force.addPerParticleParameter("q")
    for i, charge in enumerate(cell.charges):
        force.addParticle(i, [charge])
    return force
