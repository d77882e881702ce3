"""Self-diffusion in bulk: Einstein's relation with a block bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.stats import bootstrap_weights
from .settings import steps_of


@dataclass(frozen=True)
class BulkDiffusion:
    """Self-diffusion coefficients of a periodic box, not corrected for its size.

    Attributes
    ----------
    species
        Names.
    D
        Shape (R + 1, S), m2/s; replicate 0 is the point estimate.
    n_units
        Blocks that were resampled.
    """

    species: list[str]
    D: np.ndarray
    n_units: int


def bulk_diffusion(
    frames: Sequence[xr.Dataset],
    *,
    block: float,
    replicates: int,
    seed: int,
    lags: tuple[float, float] | None = None,
) -> BulkDiffusion:
    """Slope of the mean-square displacement between two lags, over six.

    The slope leaves out the ballistic start; the motion of the centre of mass, which a
    thermostat drives, is taken out. The value is that of the box: Yeh & Hummer 2004
    (doi:10.1021/jp0477147) gives its finite-size correction.

    Parameters
    ----------
    frames
        ``frames/1`` of each replica, unwrapped.
    block
        Unit of the bootstrap, s.
    replicates, seed
        Of the bootstrap.
    lags
        Shorter and longer lag, s; a fifth and three fifths of a block when ``None``.

    Raises
    ------
    InputError
        When times do not fit together, a replica is shorter than two blocks, or ions do
        not diffuse.
    """
    species = list(dict.fromkeys(str(s) for s in frames[0]["species"].values))
    if lags is None:
        steps = steps_of(block, frames[0], "a block")
        spacing, short = block / steps, max(1, steps // 5)
        lags = (short * spacing, max(3 * steps // 5, short + 1) * spacing)
    if not 0 < lags[0] < lags[1] < block:
        raise InputError(
            "lags of the bulk diffusion",
            wanted=f"0 < shorter < longer < {block:g} s, a block",
            got=f"{lags[0]:g} and {lags[1]:g} s",
        )
    sums, counts = [], []
    for ds in frames:
        per_block = _displacements(ds, species, block, lags)
        sums.append(per_block[0])
        counts.append(per_block[1])
    total, number = np.concatenate(sums), np.concatenate(counts)
    weights = bootstrap_weights(len(total), replicates, seed)
    mean = np.einsum("ru,uls->rls", weights, total)
    mean /= (weights @ number)[:, None, None]
    D = (mean[:, 1] - mean[:, 0]) / (6 * (lags[1] - lags[0]))
    if not (D > 0).all():
        raise InputError(
            "ions that do not diffuse",
            wanted="a mean-square displacement that grows",
            got=f"D = {D.min():.3g} m2/s",
            mend="run longer; check that the positions are unwrapped and the salt molten",
        )
    return BulkDiffusion(species, D, len(total))


def _displacements(
    ds: xr.Dataset, species: list[str], block: float, lags: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Per block: mean-square displacement sums (B, 2, S) and number of origins (B,)."""
    size = steps_of(block, ds, "a block")
    short, long = (steps_of(lag, ds, "a lag") for lag in lags)
    n_blocks = ds.sizes["frame"] // size
    if n_blocks < 2:
        raise InputError(
            "a replica is too short for errors",
            wanted=f"two blocks of {block:g} s",
            got=f"{ds.sizes['frame']} frames",
        )
    mass = ds["mass"].values
    x = ds["positions"].values[: n_blocks * size]
    x = x - np.einsum("fax,a->fx", x, mass / mass.sum())[:, None]
    labels = ds["species"].values.astype(str)
    origin = np.arange(len(x) - long) // size
    sums = np.zeros((n_blocks, 2, len(species)))
    for index, lag in enumerate((short, long)):
        square = ((x[lag : lag + len(origin)] - x[: len(origin)]) ** 2).sum(-1)
        for s, name in enumerate(species):
            value = square[:, labels == name].mean(axis=1)
            sums[:, index, s] = np.bincount(origin, value, minlength=n_blocks)
    return sums, np.bincount(origin, minlength=n_blocks).astype(float)
