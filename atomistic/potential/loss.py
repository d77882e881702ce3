"""What training makes small, and the same errors as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ...core.units import ANGSTROM, EV, GPA
from .charges import label_errors
from .data import Batch, Frame, batch
from .derivatives import derivatives
from .model import CartesianACE


def loss(
    model: CartesianACE,
    b: Batch,
    weight: Tensor,
    energy_weight: float,
    stress_weight: float,
    counts: tuple[int, int],
    label_weights: Mapping[str, float] | None = None,
) -> Tensor:
    """Weighted mean squared errors of forces, energies per atom, stress and charges.

    Parameters
    ----------
    model
        In training.
    b
        Frames.
    weight
        Of each frame, shape (n_frames,).
    energy_weight, stress_weight
        As in `TrainingSettings`.
    counts
        Frames and atoms to average over: those of all processes together.
    label_weights
        Of labels of charges: see `TrainingSettings.label_weights`.
    """
    n_frames, n_atoms = counts
    energy, forces, virial = derivatives(model, b, training=True)
    square = (forces - b.forces).pow(2).sum(-1) * weight[b.frame]
    total = square.sum() / (3 * n_atoms)
    per_atom = ((energy - b.energy) / b.atoms).pow(2)
    total = total + energy_weight * (per_atom * weight).sum() / n_frames
    stress = (virial - b.virial) / b.volume[:, None, None]
    stress_square = stress.pow(2).mean((1, 2)) * b.has_virial * weight
    total = total + stress_weight * stress_square.sum() / n_frames
    if label_weights:
        total = total + label_errors(model, b, label_weights, weight) / n_frames
    return total


def squared_errors(
    model: CartesianACE, frames: Sequence[Frame], cutoff: float, device: str
) -> np.ndarray:
    """Sums of squared errors and their numbers over frames, shape (6,); eV and A.

    Of components of forces, of energies per atom, and of stress.
    """
    sums = np.zeros(6)
    for some in batches(frames):
        b = batch(some, cutoff, model.dtype).to(device)
        energy, forces, virial = derivatives(model, b)
        per_atom = (energy - b.energy) / b.atoms
        stress = (virial - b.virial) / b.volume[:, None, None]
        square = stress.pow(2).mean((1, 2)) * b.has_virial
        sums += [
            float((forces - b.forces).double().pow(2).sum()), forces.numel(),
            float(per_atom.pow(2).sum()), b.n_frames,
            float(square.sum()), float(b.has_virial.sum()),
        ]  # fmt: skip
    return sums


def errors_of(sums: np.ndarray) -> dict:
    """``force_rmse`` (eV/A), ``energy_rmse`` (meV/atom), ``stress_rmse`` (GPa)."""
    scales = (1.0, 1e3, EV / ANGSTROM**3 / GPA)
    names = ("force_rmse", "energy_rmse", "stress_rmse")
    return {
        name: float(np.sqrt(sums[2 * k] / sums[2 * k + 1]) * scale)
        if sums[2 * k + 1] else None
        for k, (name, scale) in enumerate(zip(names, scales, strict=True))
    }  # fmt: skip


def batches(frames: Sequence[Frame], atoms: int = 200) -> list[list[Frame]]:
    """Frames in order, together up to about so many atoms."""
    groups: list[list[Frame]] = []
    size = atoms
    for f in frames:
        if size >= atoms:
            groups.append([])
            size = 0
        groups[-1].append(f)
        size += len(f.species)
    return groups


def frame_weights(
    frames: Sequence[Frame], group_weights: Sequence[tuple[str, float]], like: Tensor
) -> Tensor:
    """Weight of each frame by its group."""
    known = dict(group_weights)
    values = [known.get(f.group, 1.0) for f in frames]
    return torch.tensor(values, dtype=like.dtype, device=like.device)
