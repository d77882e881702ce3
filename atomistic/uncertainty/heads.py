"""Shallow heads, trained for the likelihood of forces.

Head m has the energy E + d_m . sum(features): its forces differ by pulls @ d_m, linear in
d_m, so that heads are trained on a trained network without touching it, in seconds.
Heads that are trained for energies, or fall out of a training, are overconfident many
times over ("How to train a shallow ensemble", doi:10.48550/arXiv.2602.15747).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..potential.uncertainty import POWER
from .responses import Responses

#: Steps of Adam, and its rates: beside the first size of the heads, and of logarithms.
STEPS, RATE, LOG_RATE = 400, 0.03, 0.05


def fit_heads(
    r: Responses, distance: Tensor, n_species: int, n_heads: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Heads and floors of the highest likelihood of the force errors of atoms.

    Components of an error are Gaussian, with zero mean and the variance of
    `Uncertainty.force_std`.

    Parameters
    ----------
    r
        Of frames that the network was not trained on.
    distance
        Mahalanobis distances of its atoms, shape (N,).
    n_species, n_heads, seed
        S, M, and of where the search starts.

    Returns
    -------
    heads : Tensor
        Shape (M, H), eV.
    floor : Tensor
        Shape (S,), eV/A.
    """
    square, weight = r.errors.square().sum(1), distance ** (2 * POWER)
    # A start where heads give the mean square over the distances, not those of a few far
    # atoms, which would leave all others too sure; and floors a hundredth of it.
    near = (square / weight).mean()
    drawn = torch.Generator().manual_seed(seed)
    start = torch.randn(n_heads, r.pulls.shape[2], generator=drawn).double()
    size = (near / (3 * mean_square(r.pulls, start).mean())).sqrt()
    first = (0.01 * near / 3).log()
    heads = (size * start).requires_grad_(True)
    floors = first.repeat(n_species).requires_grad_(True)
    optimiser = torch.optim.Adam([
        {"params": [heads], "lr": RATE * float(size)},
        {"params": [floors], "lr": LOG_RATE},
    ])  # fmt: skip
    for _ in range(STEPS):
        optimiser.zero_grad()
        spread = mean_square(r.pulls, heads)
        variance = weight * (spread + floors.exp()[r.species])
        loss = (1.5 * variance.log() + 0.5 * square / variance).mean()
        loss.backward()
        optimiser.step()
    return heads.detach(), (0.5 * floors.detach()).exp()


def mean_square(pulls: Tensor, heads: Tensor) -> Tensor:
    """Over heads (M, H) and components of the forces they add, shape (N,)."""
    return (pulls @ heads.T).square().mean((1, 2))
