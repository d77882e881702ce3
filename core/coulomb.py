"""Coulomb forces of point charges in a periodic box, the same on every scale."""

from __future__ import annotations

import numpy as np
import openmm


def coulomb_force(
    charges: np.ndarray, cutoff: float, tolerance: float = 5e-4
) -> openmm.NonbondedForce:
    """Particle-mesh Ewald of point charges (e); `cutoff` in nm, `tolerance` relative."""
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(openmm.NonbondedForce.PME)
    force.setCutoffDistance(cutoff)
    force.setEwaldErrorTolerance(tolerance)
    for charge in charges:
        force.addParticle(charge, 1.0, 0.0)
    return force
