"""Intervals that hold errors as often as they say: split-conformal prediction.

Of Vovk, Gammerman & Shafer; regression with normalised scores as in Lei et al. 2018
(doi:10.1080/01621459.2017.1307116), with a quantile for each element. The promise holds
for frames like those that were held out, and no others: coverage elsewhere is measured.
Scores of a fifth of the frames come from heads fitted to the rest (cross-conformal:
Vovk 2015, doi:10.1007/s10472-013-9368-4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: Of intervals without an end: files hold finite numbers.
BEYOND = 1e100


def conformal_scale(
    scores: Tensor, species: Tensor, n_species: int, levels: Sequence[float]
) -> Tensor:
    """Factors q of each species and level, so that |error| <= q std that often, (S, L).

    Parameters
    ----------
    scores
        Of components of forces, |error| over standard deviation, shape (N, 3), in frames
        that the standard deviations were not fitted to.
    species
        Numbers, shape (N,).
    n_species
        S; those of too few components for the highest level take the factors of all.
    levels
        L probabilities, such as 0.95.

    Returns
    -------
    Tensor
        `BEYOND` where there are too few components to promise that much.
    """
    found = _quantiles(scores, levels).repeat(n_species, 1)
    for s in species.unique().tolist():
        own = _quantiles(scores[species == s], levels)
        if (own < BEYOND).all():
            found[s] = own
    return found


def _quantiles(scores: Tensor, levels: Sequence[float]) -> Tensor:
    """What a new score stays below so often, shape (L,)."""
    n, rising = scores.numel(), scores.flatten().sort().values
    rising = torch.cat([rising, rising.new_full((1,), BEYOND)])
    return rising[[min(n, math.ceil((n + 1) * level) - 1) for level in levels]]
