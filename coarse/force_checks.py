"""Do bead forces fit the positions? What they say about the temperature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.units import BOLTZMANN, KJ_MOL
from .force_maps import ForceMap
from .langevin import GAS_CONSTANT

#: Temperature shown over the true one where units were taken wrong.
MISTAKES = {
    "forces are in kcal/mol/A": 1 / 41.84,
    "forces are in kcal/mol/A and positions in A": 1 / 4.184,
    "forces are in kJ/mol/A": 0.1,
    "forces are in eV/A": 1 / 964.853,
    "forces are in eV/A and positions in A": 1 / 96.4853,
    "positions are in A": 10.0,
}
#: Parts of a trajectory whose scatter gives the error of the temperature.
BLOCKS = 20
#: Errors that the temperature may be off: chance alone does so in one of 10 000 cases.
ERRORS = 5.0
#: Error of the part of a bias that was taken off, above which nothing is told.
UNSURE = 0.1
#: Step of the derivatives of bias forces, nm.
STEP = 1e-5


def virial_temperature(
    forces: ForceMap, x: np.ndarray, f: np.ndarray, box: np.ndarray | None = None
) -> np.ndarray:
    """Temperature that bead forces and positions within molecules show, frame by frame.

    <sum (R - R0).F> = -3 (b - 1) kT in a molecule of b beads with centre R0, of any state
    and potential: integrate by parts. A mean that is off by more than its error tells of
    wrong units, a missed constraint or a bias whose force was not taken off.

    Parameters
    ----------
    forces
        The map.
    x, f
        Positions, nm, and forces, kJ/mol/nm, of atoms, shape (F, N, 3).
    box
        Box vectors, shape (3, 3) or (F, 3, 3), nm; without it molecules must be whole.

    Returns
    -------
    ndarray, shape (F,)
        K. A single frame says nothing; average over many.

    Raises
    ------
    InputError
        When no molecule has two beads, forces are missing or of other frames, or a number
        is not finite.
    """
    if np.shape(x) != np.shape(f) or not (np.isfinite(x).all() and np.isfinite(f).all()):
        raise InputError(
            "positions and forces of atoms", wanted="finite numbers, of the same frames",
            got=f"shapes {np.shape(x)} and {np.shape(f)}, or NaN",
            mend="a trajectory that holds forces",
        )  # fmt: skip
    position, force = forces.beads.positions(x, box), forces.forces(f)
    virial, freedom = np.zeros(len(x)), 0
    for numbers in forces.beads.numbers:
        own = position[:, numbers]
        virial += ((own - own.mean(axis=2, keepdims=True)) * force[:, numbers]).sum(
            (1, 2, 3)
        )
        freedom += 3 * len(numbers) * (numbers.shape[1] - 1)
    if not freedom:
        raise InputError(
            "virial temperature", wanted="a molecule of two beads", got="none"
        )
    return -virial / freedom * KJ_MOL / BOLTZMANN


def check_forces(
    forces: ForceMap,
    x: np.ndarray,
    f: np.ndarray,
    temperature: float,
    box: np.ndarray | None = None,
) -> tuple[float, float]:
    """Refuse forces that do not belong to the positions, by their virial temperature.

    Parameters
    ----------
    forces
        The map.
    x, f
        Positions, nm, and forces, kJ/mol/nm, of atoms in the order of time, shape
        (F, N, 3); hundreds of frames are needed for a verdict.
    temperature
        That of the simulation, K.
    box
        Box vectors, shape (3, 3) or (F, 3, 3), nm; without it molecules must be whole.

    Returns
    -------
    found, error : float
        Virial temperature and its standard error from `BLOCKS` parts, K.

    Raises
    ------
    InputError
        When it is off by more than `ERRORS` errors, naming units that would explain it;
        when there are too few frames, or as `virial_temperature`.
    """
    if len(x) < 2 * BLOCKS:
        raise InputError(
            "frames to check forces with", wanted=f"{2 * BLOCKS} or more", got=str(len(x))
        )
    each = virial_temperature(forces, x, f, box)
    means = np.array([part.mean() for part in np.array_split(each, BLOCKS)])
    found, error = float(each.mean()), float(means.std(ddof=1) / np.sqrt(BLOCKS))
    if not np.any(f):
        raise InputError("forces of atoms", wanted="forces", got="only zeros",
                         mend="a trajectory that holds forces")  # fmt: skip
    if abs(found - temperature) > ERRORS * error:
        off = {k: abs(found - v * temperature) / error for k, v in MISTAKES.items()}
        likely = min(off, key=lambda name: off[name])
        raise InputError(
            "forces that do not belong to the positions",
            wanted=f"{temperature:g} K from the virial of beads in molecules",
            got=f"{found:.3g} +- {error:.2g} K",
            mend=f"convert: {likely}"
            if off[likely] < ERRORS
            else "name every rigid bond; take off the forces of a bias",
        )
    return found, error


def check_unbiased(
    bias: Callable[[Tensor], Tensor], x: np.ndarray, f: np.ndarray, temperature: float
) -> tuple[float, float]:
    """Refuse forces of a biased run from which the bias was not taken off.

    The virial does not see a bias on angles and dihedrals. But for any field v of the
    positions <v.F + kT div v> = 0, F being the force that made their distribution; with
    the forces of the bias for v this tells which part of them is not in `f`.

    Parameters
    ----------
    bias
        Forces (F, B, 3), kJ/mol/nm, of the bias at positions (F, B, 3), float64.
    x, f
        Positions, nm, and forces, kJ/mol/nm, of beads in the order of time, (F, B, 3).
    temperature
        K.

    Returns
    -------
    part, error : float
        Part of the bias that was taken off, 1 within its standard error.

    Raises
    ------
    InputError
        When it is not 1, or there are too few frames to tell.
    """
    positions = torch.as_tensor(x, dtype=torch.float64)
    pull = bias(positions)
    away = torch.zeros(len(positions), dtype=torch.float64)
    for b, k in np.ndindex(*positions.shape[1:]):
        step = torch.zeros_like(positions[0])
        step[b, k] = STEP
        gap = bias(positions + step)[:, b, k] - bias(positions - step)[:, b, k]
        away += gap / (2 * STEP)
    work = (pull * torch.as_tensor(f, dtype=torch.float64)).sum((1, 2))
    lacking = -(work + GAS_CONSTANT * temperature * away).numpy()
    size = pull.square().sum((1, 2)).numpy()
    found = float(lacking.mean() / size.mean())
    off = np.array_split((lacking - found * size) / size.mean(), BLOCKS)
    error = float(np.std([part.mean() for part in off], ddof=1) / np.sqrt(BLOCKS))
    if not error < UNSURE:
        raise InputError("frames to tell whether a bias was taken off", wanted="more",
                         got=f"{len(x)}, which tell it within {error:.2g}")  # fmt: skip
    if abs(found - 1) > ERRORS * error:
        raise InputError(
            "forces of a biased run", wanted="forces without those of the bias",
            got=f"{found:.2f} +- {error:.2f} of the bias taken off",
            mend="store forces without the bias (OpenMM: a force group of its own)",
        )  # fmt: skip
    return found, error
