"""Calibration, and a look at it that is not taken from the frames it was made with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ...core.errors import InputError
from ..potential.potential import Potential
from ..potential.uncertainty import Uncertainty
from .calibration import FEWEST, Observed, force_std, observe
from .coverage import Coverage, said, together


def calibrate_and_check(
    potential: Potential,
    training: Sequence[xr.Dataset],
    held_out: Sequence[xr.Dataset],
    *,
    heads: int = 4,
    seed: int = 0,
) -> tuple[Uncertainty, Coverage | None]:
    """`calibrate`, and coverage on the same frames by exchange of halves.

    Intervals hold what they were scaled on by construction. So each half of the frames,
    the earlier and the later ones of each group, is also calibrated on alone, and judged
    by the other. What is returned for use is calibrated on all of them.

    Returns
    -------
    uncertainty : Uncertainty
    coverage : Coverage or None
        ``None`` where there are too few frames to halve.

    Raises
    ------
    InputError
        As `calibrate`.
    """
    found = observe(potential, training, held_out, seed)
    whole = found.fit(torch.arange(len(found.groups)), heads, seed)
    one, other = halves(found.groups)
    if min(len(one), len(other)) < FEWEST:
        return whole, None
    try:
        parts = [
            _judged(found, found.fit(used, heads, seed), left, potential.species)
            for used, left in ((one, other), (other, one))
        ]
    except InputError:  # an element that only one half has
        return whole, None
    return whole, together(parts)


def halves(groups: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Numbers of the earlier and of the later frames of each group."""
    later = torch.zeros(len(groups), dtype=torch.bool)
    for name in set(groups):
        own = torch.tensor([g == name for g in groups]).nonzero()[:, 0]
        later[own[(len(own) + 1) // 2 :]] = True
    return (~later).nonzero()[:, 0], later.nonzero()[:, 0]


def _judged(
    found: Observed, u: Uncertainty, frames: Tensor, species: Sequence[str]
) -> Coverage:
    r = found.responses.of_frames(frames)
    return said(
        u, r.errors, force_std(u, r), u.distance(r.features, r.species), r.species,
        np.array(species)[r.species.numpy()], r.frame.numpy(),
        np.array(found.groups)[r.frame.numpy()],
    )  # fmt: skip
