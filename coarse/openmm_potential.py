"""Systems of OpenMM for the torch engine.

OpenMM's Langevin integrators have one friction for all particles; `Langevin` has one for
each bead, and asks for nothing but forces.
"""

from __future__ import annotations

import numpy as np
import openmm
import torch
from torch import Tensor

from ..core.md import MDSettings, make_context

#: A context wants an integrator, which is not used here.
NO_STEPS = MDSettings(temperature=300.0, timestep=1e-15, friction=0.0, seed=0)


class OpenMMForces:
    """Energies and forces of a system, replica after replica, as a `BatchedPotential`.

    Parameters
    ----------
    system
        Of `engine.make_system` or `openmm_forces.linear_system`; periodic in its default
        box, in which positions may be of any image. One thread of the CPU platform.
    """

    def __init__(self, system: openmm.System):
        self._context = make_context(system, NO_STEPS)

    def energy(self, x: Tensor) -> Tensor:
        """See `BatchedPotential`."""
        energies = [s.getPotentialEnergy()._value for s in self._states(x, "getEnergy")]
        return torch.tensor(energies, dtype=x.dtype)

    def forces(self, x: Tensor) -> Tensor:
        """See `BatchedPotential`."""
        states = self._states(x, "getForces")
        found = [state.getForces(asNumpy=True)._value for state in states]
        return torch.from_numpy(np.array(found)).to(x.dtype)

    def _states(self, x: Tensor, what: str):
        for frame in x.detach().double().contiguous().numpy():
            self._context.setPositions(frame)
            yield self._context.getState(**{what: True})
