"""Increments of Newton's method that do not run away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def shortened(
    step: np.ndarray,
    charge_numbers: np.ndarray | None,
    largest: Callable[[np.ndarray], float],
) -> np.ndarray:
    """Increments above 1 kT as ``1 + ln`` of them, as in simulators of semiconductors.

    Far from the solution exponentials make steps too long. They are those of activities:
    where all ``psi_i - z_i phi`` stay within 1 kT the step is left as it is. So phi jumps
    by hundreds of kT in one iteration while ions have no time to move.

    Parameters
    ----------
    step
        Of all psi_i and phi of each node, shape (n_nodes * (n_species + 1),).
    charge_numbers
        Shape (n_species,); None where the unknowns are others.
    largest
        Gives the largest absolute value over all processes.
    """
    if charge_numbers is not None:
        nodes = step.reshape(-1, len(charge_numbers) + 1)
        if largest(nodes[:, :-1] - nodes[:, -1:] * charge_numbers) < 1.0:
            return step
    size = np.abs(step)
    return np.sign(step) * np.where(size > 1, 1 + np.log(np.maximum(size, 1)), size)
