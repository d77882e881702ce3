"""Self-diffusion in bulk: Einstein's relation with a block bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.stats import bootstrap_weights
from .lags import Window, enough, fit_window, regimes
from .paths import Paths, alike


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
    exponent
        Shape (R + 1, S), slope of log MSD over log lag between the two lags.
    """

    species: list[str]
    D: np.ndarray
    n_units: int
    exponent: np.ndarray

    @property
    def regime(self) -> list[str]:
        """``diffusive``, ``subdiffusive`` or ``superdiffusive``, for each species."""
        return regimes(self.exponent, self.n_units)


def bulk_diffusion(
    frames: Sequence[xr.Dataset | Paths],
    *,
    block: float,
    replicates: int,
    seed: int,
    lags: tuple[float, float] | None = None,
) -> BulkDiffusion:
    """Slope of the mean-square displacement between two lags, over six.

    The slope leaves out the ballistic start; the motion of the centre of mass, which a
    thermostat drives, is taken out. The value is that of the box: `yeh_hummer` and
    `infinite_box` correct it for the periodic images.

    Parameters
    ----------
    frames
        ``frames/1`` or `Paths` of each replica, unwrapped, all particles of the box.
    block
        Unit of the bootstrap, s.
    replicates, seed
        Of the bootstrap.
    lags
        Shorter and longer lag, s; a fifth and three fifths of a block when ``None``.

    Raises
    ------
    InputError
        When times do not fit together, a replica is shorter than two blocks, particles
        jump through the boundary, or ions do not diffuse.
    """
    paths = alike([f if isinstance(f, Paths) else Paths.of_frames(f) for f in frames])
    window = fit_window(paths[0].spacing, block, lags, n_lags=2)
    sums, counts = zip(*(_displacements(p, window) for p in paths), strict=True)
    total, number = np.concatenate(sums), np.concatenate(counts)
    enough(len(total), replicates)
    weights = bootstrap_weights(len(total), replicates, seed)
    mean = np.einsum("ru,uls->rls", weights, total)
    mean /= (weights @ number)[:, None, None]
    D = window.slope(mean) / 6
    if not (D > 0).all():
        raise InputError(
            "ions that do not diffuse",
            wanted="a mean-square displacement that grows",
            got=f"D = {D.min():.3g} m2/s",
            mend="run longer; check that the positions are unwrapped and the salt "
            "molten; one particle alone is its own centre of mass",
        )
    return BulkDiffusion(paths[0].names, D, len(total), window.exponent(mean))


def _displacements(paths: Paths, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Per block: mean-square displacement sums (B, 2, S) and number of origins (B,).

    A displacement belongs to the block of its origin and may end in the next one: single
    particles forget fast, and no origin is lost.
    """
    size, longest = window.size, window.steps[-1]
    n_blocks = len(paths.positions) // size
    if n_blocks < 2:
        raise InputError(
            "a replica is too short for errors",
            wanted=f"two blocks of {size * window.spacing:g} s",
            got=f"{len(paths.positions)} frames",
            mend="shorter blocks or a longer run",
        )
    share = paths.members()
    share /= share.sum(axis=0)
    number = np.minimum(size, n_blocks * size - longest - np.arange(n_blocks) * size)
    sums = np.zeros((n_blocks, len(window.steps), share.shape[1]))
    for block, origins in enumerate(number):
        start = block * size
        x = paths.positions[start : start + origins + longest]
        x = x - np.einsum("fax,a->fx", x, paths.mass / paths.mass.sum())[:, None]
        for index, lag in enumerate(window.steps):
            square = ((x[lag : lag + origins] - x[:origins]) ** 2).sum(-1)
            sums[block, index] = square.sum(axis=0) @ share
    return sums, number.astype(float)
