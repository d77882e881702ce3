"""Radial distribution functions beside reference frames, with bands from blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from ...core.errors import InputError
from ...core.stats import bootstrap_weights, half_width95

REPLICATES = 400


@dataclass(frozen=True)
class RadialDistribution:
    """g(r) per pair of species; P pairs, n bins, R replicates.

    Attributes
    ----------
    r
        Centres of bins, A, shape (n,).
    pairs
        Such as ``"Na-Cl"``.
    replicates
        Shape (R + 1, P, n), replicate 0 the mean.
    blocks
        What was resampled.
    """

    r: np.ndarray
    pairs: tuple[str, ...]
    replicates: np.ndarray
    blocks: int

    @property
    def mean(self) -> np.ndarray:
        """Shape (P, n)."""
        return self.replicates[0]

    @property
    def half_width(self) -> np.ndarray:
        """Half of the 95 % interval, shape (P, n)."""
        return half_width95(self.replicates, self.blocks)


def radial_distribution(
    frames: Sequence[Atoms],
    *,
    reach: float = 6.0,
    bins: int = 60,
    blocks: int = 10,
    seed: int = 0,
) -> RadialDistribution:
    """g(r) of periodic frames of one composition, blocks of successive frames resampled.

    Parameters
    ----------
    frames
        In the order of time.
    reach
        Largest distance, A; any, since images are counted.
    bins, blocks, seed
        Of histogram and bootstrap.

    Raises
    ------
    InputError
        When there are fewer than two frames, or one is not periodic.
    """
    if len(frames) < 2 or not all(a.pbc.all() for a in frames):
        raise InputError(
            "radial distributions", wanted="two or more frames, periodic along x, y, z",
            got=f"{len(frames)} frames",
        )  # fmt: skip
    species = sorted({s for a in frames for s in a.get_chemical_symbols()})
    pairs = list(combinations_with_replacement(species, 2))
    edges = np.linspace(0, reach, bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    g = np.array([_one(a, pairs, edges) / shells for a in frames])
    blocks = min(blocks, len(frames))
    place = np.arange(len(frames)) * blocks // len(frames)
    weights = bootstrap_weights(blocks, REPLICATES, seed)[:, place]
    weights /= weights.sum(1, keepdims=True)
    replicates = np.tensordot(weights, g, 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return RadialDistribution(
        centres, tuple("-".join(p) for p in pairs), replicates, blocks
    )


def _one(atoms: Atoms, pairs, edges: np.ndarray) -> np.ndarray:
    """Pairs per shell over the product of numbers, times the volume, shape (P, n)."""
    i, j, d = neighbor_list("ijd", atoms, edges[-1])
    symbols = np.array(atoms.get_chemical_symbols())
    found = np.zeros((len(pairs), len(edges) - 1))
    for row, (a, b) in zip(found, pairs, strict=True):
        of, with_ = symbols == a, symbols == b
        count, _ = np.histogram(d[of[i] & with_[j]], edges)
        row[:] = count * atoms.get_volume() / max(1, of.sum() * (with_.sum()))
    return found


def difference(one: RadialDistribution, other: RadialDistribution) -> dict[str, dict]:
    """Per pair ``rms`` difference, its ``noise``, what exceeds it, and ``p``.

    ``excess`` is the difference beyond noise over the root mean square of g - 1 of
    `other`: a long enough run tells any two models apart, but not how much it matters.
    The noise is that of independent runs, from the bootstrap; ``p`` compares the square
    of the difference, weighted with r^2, with that of centred replicates.
    """
    ratio = [x.blocks / (x.blocks - 1) for x in (one, other)]
    found = {}
    for k, pair in enumerate(one.pairs):
        a, b = one.replicates[:, k], other.replicates[:, k]
        gap = a[0] - b[0]
        noise = np.sqrt(ratio[0]) * (a[1:] - a[0]) - np.sqrt(ratio[1]) * (b[1:] - b[0])
        weight = one.r**2 / (one.r**2).sum()
        square, random = weight @ gap**2, noise**2 @ weight
        scale = weight @ (b[0] - 1) ** 2
        found[pair] = {
            "rms": float(np.sqrt(square)),
            "excess": float(np.sqrt(max(0.0, square - random.mean()) / scale)),
            "noise": float(np.sqrt(random.mean())),
            "p": float((1 + (random >= square).sum()) / (1 + len(random))),
        }
    return found
