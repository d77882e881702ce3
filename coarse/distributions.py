"""Radial distribution functions of beads; distributions of bonds and angles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..core.errors import InputError
from .bases import Spline
from .pairs import Pairs
from .terms import Bonded


@dataclass(frozen=True, eq=False)
class Distribution:
    """Histograms of one coordinate, of U blocks of frames, in n bins.

    Attributes
    ----------
    name
        Such as ``"pairs Na-Cl"``, as the force has it.
    edges
        Of bins of one width, shape (n + 1,), nm or rad.
    counts
        Shape (U, n).
    expected
        What they would be of an ideal gas at this density, or, of bonds and angles, if
        all values were spread evenly between the edges; shape (U, n).
    """

    name: str
    edges: np.ndarray
    counts: np.ndarray
    expected: np.ndarray

    @property
    def centres(self) -> np.ndarray:
        """Of the bins, shape (n,)."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    def values(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Counts over expected ones, g(r) of pairs: (n,), or (R, n) of weights (R, U)."""
        w = np.ones(len(self.counts)) if weights is None else weights
        return (w @ self.counts) / (w @ self.expected)


def radial_distributions(
    pairs: Pairs,
    x: np.ndarray,
    box: np.ndarray,
    *,
    reach: float,
    bins: int = 100,
    block: int,
) -> list[Distribution]:
    """Of each pair of species; excluded pairs do not count.

    Parameters
    ----------
    pairs
        Says of what species beads are, and which are excluded.
    x, box
        Frames (F, B, 3) in boxes (F, 3, 3), nm.
    reach
        Largest distance, nm; at most half the smallest height of the box.
    bins
        From zero to `reach`.
    block
        Frames per block; what is left over is not used.

    Raises
    ------
    InputError
        When there are no two blocks, or no couples of a pair, or the reach is too far.
    """
    term = replace(pairs, basis=Spline(0.0, reach, 4))
    edges, couples = np.linspace(0, reach, bins + 1), term.couples()
    if not couples.all():
        none = [p for p, n in zip(term.pairs, couples, strict=True) if n == 0]
        raise InputError("radial distribution functions", got=f"no {', '.join(none)}",
                         wanted="two beads of each pair of species")  # fmt: skip
    starts = _blocks(len(x), block)
    counts = np.zeros((len(starts), len(couples), bins))
    shells = np.zeros((len(starts), bins))
    for u, start in enumerate(starts):
        some = slice(start, start + block)
        for r, kind in term.distances(x[some], box[some]):
            for p in range(len(couples)):
                counts[u, p] += np.histogram(r[kind == p], edges)[0]
        volumes = np.abs(np.linalg.det(box[some]))
        shells[u] = 4 / 3 * np.pi * np.diff(edges**3) * (1 / volumes).sum()
    return [
        Distribution(f"{pairs.name} {pair}", edges, counts[:, p], shells * couples[p])
        for p, pair in enumerate(term.pairs)
    ]


def bonded_distribution(
    term: Bonded, x: np.ndarray, *, bins: int = 100, block: int
) -> Distribution:
    """Of the coordinates of a term, between the ends of its basis; others lower the rest.

    Parameters
    ----------
    term
        Bonds, angles or dihedrals.
    x
        Frames (F, B, 3) of whole molecules, nm.
    bins, block
        As `radial_distributions`.

    Raises
    ------
    InputError
        When there are no two blocks, or one without a value between the ends.
    """
    low, high = term.basis.span
    value = term.coordinates(torch.from_numpy(x))[0].numpy()
    if term.kind == "dihedral":  # of a basis that starts elsewhere
        value = low + (value - low) % (high - low)
    starts, edges = _blocks(len(x), block), np.linspace(low, high, bins + 1)
    parts = [np.histogram(value[s : s + block], edges)[0] for s in starts]
    counts = np.array(parts, dtype=float)
    if not counts.any(1).all():
        raise InputError(
            f"values of {term.name}", wanted=f"some between {low:.4g} and {high:.4g}",
            got="a block without any",
        )  # fmt: skip
    expected = np.full(counts.shape, block * value.shape[1] / bins)
    return Distribution(term.name, edges, counts, expected)


def _blocks(frames: int, block: int) -> Sequence[int]:
    """Where each begins."""
    starts = range(0, frames - block + 1, block)
    if len(starts) < 2:
        raise InputError("frames for distributions", wanted=f"two blocks of {block}",
                         got=f"{frames} frames")  # fmt: skip
    return starts
