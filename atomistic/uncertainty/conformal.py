"""Intervals that hold errors as often as they say: split-conformal prediction.

Of Vovk, Gammerman & Shafer; regression with normalised scores as in Lei et al. 2018
(doi:10.1080/01621459.2017.1307116), with a quantile for each element. The promise holds
for frames like those that were held out, and no others: coverage elsewhere is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...core.errors import InputError


def conformal_scale(
    errors: Tensor,
    std: Tensor,
    species: Tensor,
    n_species: int,
    levels: Sequence[float],
) -> Tensor:
    """Factors q of each species and level, so that |error| <= q std that often, (S, L).

    Parameters
    ----------
    errors
        Components of forces, label minus potential, shape (N, 3), of frames that nothing
        was fitted to.
    std
        Of atoms, shape (N,).
    species
        Numbers, shape (N,).
    n_species
        S; those of too few components for the highest level take the factors of all.
    levels
        L probabilities, such as 0.95.

    Raises
    ------
    InputError
        When there are too few components for the highest level.
    """
    scores = errors.abs() / std.unsqueeze(1)
    fewest = math.ceil(1 / (1 - max(levels)))
    if scores.numel() < fewest:
        raise InputError(
            "components of forces to calibrate on", wanted=f"{fewest} or more",
            got=str(scores.numel()), mend="hold out more frames",
        )  # fmt: skip
    found = _quantiles(scores, levels).repeat(n_species, 1)
    for s in species.unique().tolist():
        own = scores[species == s]
        if own.numel() >= fewest:
            found[s] = _quantiles(own, levels)
    return found


def _quantiles(scores: Tensor, levels: Sequence[float]) -> Tensor:
    """The scores that new ones stay below so often, shape (L,)."""
    n, rising = scores.numel(), scores.flatten().sort().values
    ranks = [math.ceil((n + 1) * level) for level in levels]
    return rising[torch.tensor(ranks).clamp(max=n) - 1]
