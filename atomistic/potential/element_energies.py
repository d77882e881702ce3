"""Energies of the elements: where a training begins, and their fit at its end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .data import Frame, batch
from .derivatives import derivatives
from .loss import batches
from .model import CartesianACE


def reference_energies(
    frames: list[Frame], n_species: int, first: Sequence[float] | None = None
) -> Tensor:
    """Energy of an atom of each species; the network learns the rest.

    Energies of single atoms where there are any, and the smallest change of them that
    gives the energies of the other frames best; without the `first` energy of each.
    """
    counts = _counts(frames, n_species)
    energies, alone = np.array([f.energy for f in frames]), np.zeros(n_species)
    if first is not None:
        energies = energies - first
    single = np.array([f.isolated for f in frames])
    for kind in range(n_species):
        found = energies[single & (counts[:, kind] > 0)]
        alone[kind] = found.mean() if len(found) else 0.0
    counts, energies = counts[~single].astype(float), energies[~single]
    change = np.linalg.lstsq(counts, energies - counts @ alone, rcond=None)[0]
    return torch.from_numpy(alone + change)


def energy_offsets(
    model: CartesianACE, frames: Sequence[Frame], weights: Sequence[float], device: str
) -> np.ndarray:
    """Smallest change of the elements' energies that fits those of frames best, (S,), eV.

    The last steps of a training change the energies of all frames together: forces say
    nothing about that.
    """
    wrong = []
    for some in batches(frames):
        b = batch(some, model.cutoff, model.dtype).to(device)
        wrong += (b.energy - derivatives(model, b)[0]).tolist()
    counts = _counts(frames, len(model.shift))
    scale = np.sqrt(weights) / counts.sum(1)
    scaled = counts * scale[:, None]
    return np.linalg.lstsq(scaled, np.array(wrong) * scale, rcond=None)[0]


def _counts(frames: Sequence[Frame], n_species: int) -> np.ndarray:
    """Atoms of each species in each frame, shape (F, S)."""
    return np.array([np.bincount(f.species, minlength=n_species) for f in frames])
