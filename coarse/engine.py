"""The coarse-grained model in OpenMM: tabulated pair potentials and Coulomb."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openmm

from ..core.coulomb import coulomb_force
from ..core.errors import InputError
from .force_matching import pair_index
from .model import CGModel, charges_of

#: Points of a table: linear errors far below the statistical ones.
TABLE_POINTS = 2000
#: Where tables begin, nm; no bead gets there.
TABLE_START = 0.05


def pair_force(model: CGModel, beads: Sequence[str]) -> openmm.CustomNonbondedForce:
    """Short-range pair potentials of replicate 0 between beads.

    Parameters
    ----------
    model
        Its species must include those of the beads.
    beads
        Species of each bead.
    """
    unknown = sorted(set(beads) - set(model.species))
    if unknown:
        raise InputError(
            "beads that the model does not know",
            wanted=", ".join(model.species),
            got=", ".join(unknown),
        )
    r = np.linspace(TABLE_START, model.spline.cutoff, TABLE_POINTS)
    tables = model.potential(r)
    index = pair_index(model.species)
    terms, n = [], len(model.species)
    for a in range(n):
        for b in range(n):
            terms.append(f"is{a}1*is{b}2*table{index[a, b]}(r)")
    force = openmm.CustomNonbondedForce(" + ".join(terms))
    for p, values in enumerate(tables):
        table = openmm.Continuous1DFunction(values, r[0], r[-1])
        force.addTabulatedFunction(f"table{p}", table)
    for a in range(n):
        force.addPerParticleParameter(f"is{a}")
    for bead in beads:
        force.addParticle([float(bead == name) for name in model.species])
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(model.spline.cutoff)
    return force


def make_system(
    model: CGModel, beads: Sequence[str], masses: Sequence[float], box: np.ndarray
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
    """
    system = openmm.System()
    for mass in masses:
        system.addParticle(mass)
    system.setDefaultPeriodicBoxVectors(*box)
    system.addForce(coulomb_force(charges_of(model, beads), model.spline.cutoff))
    system.addForce(pair_force(model, beads))
    return system
