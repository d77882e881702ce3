"""Potentials and configurations for tests of their use."""

import numpy as np
import torch

from mesobridge.atomistic.potential import TrainingSettings, save_potential
from mesobridge.atomistic.potential.train import TrainingResult, new_model
from mesobridge.core.schema import dataset
from mesobridge.core.units import ANGSTROM, EV

CUTOFF = 4.0  # A
SPECIES = ("O", "H")


def untrained(path, *, scale=1.0, layers=2, species=SPECIES, baseline=None, seed=3):
    """File of a potential with random weights, energies multiplied by `scale`."""
    settings = TrainingSettings(
        species, CUTOFF * ANGSTROM, channels=6, radial=5, hidden=16, layers=layers
    )
    torch.manual_seed(seed)
    tensors = {k: v.numpy().copy() for k, v in new_model(settings).state_dict().items()}
    for name in tensors:
        if "last" in name or "linear" in name:
            tensors[name] *= scale
    save_potential(path, TrainingResult(settings, tensors, [], baseline), {})
    return path


def molecules(n=8, seed=0, spacing=3.2):
    """Bent triatomic molecules on a grid: positions (A), symbols, box (A)."""
    rng = np.random.default_rng(seed)
    edge = round(n ** (1 / 3))
    grid = np.indices((edge,) * 3).reshape(3, -1).T * spacing
    shape = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    turns = np.linalg.qr(rng.normal(size=(len(grid), 3, 3)))[0]
    x = grid[:, None] + np.einsum("ak,nkl->nal", shape, turns)
    x += rng.normal(0, 0.03, x.shape)
    return x.reshape(-1, 3), ["O", "H", "H"] * len(grid), np.eye(3) * edge * spacing


def frames(configurations, symbols, box, pbc, energies, forces):
    """`frames/1` of configurations (F, N, 3) in A, with labels in eV and eV/A."""
    n = len(configurations)
    return dataset(
        "frames/1",
        {
            "positions": np.asarray(configurations) * ANGSTROM,
            "forces": np.asarray(forces) * EV / ANGSTROM,
            "box": np.repeat(box[None], n, axis=0) * ANGSTROM,
            "species": np.array(symbols),
            "mass": np.full(len(symbols), 2e-26),
            "time": np.arange(n) * 1e-12,
            "energy": np.asarray(energies) * EV,
        },
        {"source": "reference", "pbc": pbc},
    )
