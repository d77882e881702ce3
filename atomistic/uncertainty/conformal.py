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
        S; those without atoms here get the largest factor of the others.
    levels
        L probabilities, such as 0.95.

    Raises
    ------
    InputError
        When an element has too few components for the highest level.
    """
    found, fewest = errors.new_zeros(n_species, len(levels)), 1 / (1 - max(levels))
    for s in species.unique().tolist():
        own = species == s
        scores = (errors[own].abs() / std[own].unsqueeze(1)).flatten().sort().values
        if len(scores) < fewest:
            raise InputError(
                f"components of forces on species {s} to calibrate on",
                wanted=f"{math.ceil(fewest)} or more", got=str(len(scores)),
                mend="hold out more frames",
            )  # fmt: skip
        ranks = [math.ceil((len(scores) + 1) * level) for level in levels]
        found[s] = scores[torch.tensor(ranks).clamp(max=len(scores)) - 1]
    return torch.where(found > 0, found, found.max(0).values)
