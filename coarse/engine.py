"""The coarse-grained model in OpenMM: tabulated pair potentials and Coulomb."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
import openmm

from ..core.coulomb import coulomb_force
from .model import CGModel, charges_of
from .pairs import pair_index

#: Points of a table: linear errors far below the statistical ones.
TABLE_POINTS = 2000
#: Where tables begin, nm; no bead gets there.
TABLE_START = 0.05


def pair_forces(
    model: CGModel, beads: Sequence[str]
) -> list[openmm.CustomNonbondedForce]:
    """Short-range pair potentials of replicate 0, one force per pair of species.

    Interaction groups evaluate one table per pair of beads; one force with a table for
    every pair of species took three times as long.
    """
    r = np.linspace(TABLE_START, model.spline.stop, TABLE_POINTS)
    tables, index = model.potential(r), pair_index(len(model.species))
    members = [
        {i for i, bead in enumerate(beads) if bead == name} for name in model.species
    ]
    forces = []
    for a, b in combinations_with_replacement(range(len(model.species)), 2):
        if not members[a] or not members[b]:
            continue
        force = openmm.CustomNonbondedForce("table(r)")
        table = openmm.Continuous1DFunction(tables[index[a, b]], r[0], r[-1])
        force.addTabulatedFunction("table", table)
        for _ in beads:
            force.addParticle([])
        force.addInteractionGroup(members[a], members[b])
        force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
        force.setCutoffDistance(model.spline.stop)
        forces.append(force)
    return forces


def make_system(
    model: CGModel,
    beads: Sequence[str],
    masses: Sequence[float],
    box: np.ndarray,
    *,
    coulomb_cutoff: float | None = None,
) -> openmm.System:
    """System of beads in a periodic box.

    Parameters
    ----------
    model
        Potentials and charges.
    beads, masses
        Species and mass (Da) of each bead.
    box
        Rows are box vectors, nm.
    coulomb_cutoff
        Of the direct sum, nm; the model's own where absent. In dilute salt a longer one
        is faster.

    Raises
    ------
    InputError
        When the model does not know a bead.
    """
    system = openmm.System()
    for mass in masses:
        system.addParticle(mass)
    system.setDefaultPeriodicBoxVectors(*box)
    charges = charges_of(model, beads) / model.permittivity**0.5
    system.addForce(coulomb_force(charges, coulomb_cutoff or model.spline.stop))
    for force in pair_forces(model, beads):
        system.addForce(force)
    return system
