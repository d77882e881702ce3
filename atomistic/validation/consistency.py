"""Do forces and stress belong to the energy? Finite differences on single frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.units import GPa, kB

from ...core.stats import bootstrap_weights, estimate
from .elastic import FIRST, PLACES

Progress = Callable[[float, float, str], None]

#: Root mean square displacement (A) and strain of the finite differences.
STEP, STRAIN = 0.005, 1e-3
#: Forces of all atoms (norm, eV/A) below which errors are relative to this: at rest
#: there would be noise over noise.
REST = 0.01
#: Directions of displacement in each frame.
DIRECTIONS = 4


@dataclass(frozen=True)
class Consistency:
    """Root mean square errors of derivatives over frames.

    Attributes
    ----------
    force
        Of the work along random directions, over that work.
    stress
        GPa; ``None`` where a frame is not periodic.
    stress_scale
        Root mean square of the stress, GPa.
    """

    force: float
    stress: float | None
    stress_scale: float | None


def consistency(
    calculator: Calculator,
    frames: Sequence[Atoms],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Consistency:
    """Compare forces and stress with central differences of the energy.

    Parameters
    ----------
    calculator
        Any ASE calculator.
    frames
        Best away from rest: of a crystal at rest the forces vanish.
    seed
        Of the directions.
    progress
        Called with (frames done, frames, text).
    """
    rng = np.random.default_rng(seed)
    work, stress = [], []
    for i, frame in enumerate(frames):
        atoms = frame.copy()
        atoms.calc = calculator
        forces = atoms.get_forces()
        for _ in range(DIRECTIONS):
            step = STEP * rng.standard_normal(forces.shape)
            along = float((forces * step).sum())
            work.append((-_slope(_moved, atoms, step), along))
        if atoms.pbc.all():
            stress.append((_stress(atoms), atoms.get_stress(voigt=True)))
        if progress is not None:
            progress(i + 1, len(frames), "finite differences")
    by_energy, by_force = np.array(work).T
    force = _rms(by_energy - by_force) / max(_rms(by_force), REST * STEP)
    if not stress:
        return Consistency(force, None, None)
    by_strain, given = np.swapaxes(stress, 0, 1) / GPa
    return Consistency(force, _rms(by_strain - given), _rms(given))


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _slope(
    energy: Callable[[Atoms, np.ndarray], float], atoms: Atoms, step: np.ndarray
) -> float:
    """Change of the energy by a step in linear order, to fourth order."""
    pairs = zip(FIRST, PLACES, strict=True)
    return float(sum(w * energy(atoms, p * step) for w, p in pairs if w))


def _moved(atoms: Atoms, step: np.ndarray) -> float:
    moved = atoms.copy()
    moved.positions += step
    moved.calc = atoms.calc
    return moved.get_potential_energy()


def _deformed(atoms: Atoms, strain: np.ndarray) -> float:
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    moved.calc = atoms.calc
    return moved.get_potential_energy()


def _stress(atoms: Atoms) -> np.ndarray:
    """Stress by finite strain, Voigt order, eV/A^3."""
    found = []
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        strain = np.zeros((3, 3))
        strain[i, j] += 0.5 * STRAIN
        strain[j, i] += 0.5 * STRAIN
        found.append(_slope(_deformed, atoms, strain) / STRAIN / atoms.get_volume())
    return np.array(found)


def pressures(
    calculator: Calculator,
    frames: Sequence[Atoms],
    temperature: float,
    *,
    blocks: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, dict]:
    """Pressure of a canonical run from the virial and from -dF/dV, GPa.

    The free energy is perturbed by small changes of the volume (Eppenga & Frenkel 1984,
    doi:10.1080/00268978400101951); both come from the same frames, so that their
    difference is far sharper than either.

    Parameters
    ----------
    calculator
        With stress.
    frames
        Of a run at constant volume.
    temperature
        K.
    blocks, seed
        Of the block bootstrap.

    Returns
    -------
    dict
        ``virial``, ``volume`` and ``difference``, each with its 95 % interval.
    """
    kT = kB * temperature
    virial = np.empty(len(frames))
    work = np.empty((len(frames), 2))
    for i, frame in enumerate(frames):
        atoms = frame.copy()
        atoms.calc = calculator
        energy = atoms.get_potential_energy()
        stress = atoms.get_stress(voigt=True)
        virial[i] = len(atoms) * kT / atoms.get_volume() - stress[:3].mean()
        for k, sign in enumerate((1, -1)):
            strain = ((1 + sign * STRAIN) ** (1 / 3) - 1) * np.eye(3)
            work[i, k] = _deformed(atoms, strain) - energy
        if progress is not None:
            progress(i + 1, len(frames), "pressure")
    n, volume = len(frames[0]), frames[0].get_volume()
    blocks = min(blocks, len(frames))
    place = np.arange(len(frames)) * blocks // len(frames)
    weights = bootstrap_weights(blocks, 400, seed)[:, place]
    weights /= weights.sum(1, keepdims=True)
    ideal = n * np.log([1 + STRAIN, 1 - STRAIN])
    plus, minus = (np.log(weights @ np.exp(-work / kT)) + ideal).T
    by_volume = kT * (plus - minus) / (2 * STRAIN * volume)
    by_virial = weights @ virial
    found = {
        "virial": by_virial,
        "volume": by_volume,
        "difference": by_virial - by_volume,
    }
    return {k: estimate(v / GPa, blocks) for k, v in found.items()}
