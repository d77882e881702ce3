"""Neighbour lists as dense padded arrays.

Row i of every array holds the neighbours of atom i, padded to the longest row: all that
follows is batched matrix products instead of scatters (12x MACE L=0 per step on a CPU at
equal width).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import vesin

from ...core.errors import InputError

#: Box vectors that repeat and span less (A) are no lattice.
FLAT = 0.01


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of one or more frames put end to end.

    Attributes
    ----------
    index
        Shape (N, K): the neighbour; the atom itself where there is none.
    shift
        Shape (N, K, 3): the periodic image's offset, A; padded entries lie at twice the
        cut-off, where every basis function is zero.
    frame
        Shape (N,): the frame an atom belongs to.
    """

    index: np.ndarray
    shift: np.ndarray
    frame: np.ndarray


def near_pairs(
    positions: np.ndarray, box: np.ndarray, pbc: Sequence[bool], cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of atoms within a distance, each from both ends, in one order.

    Sorted by the first atom, the second and the image, so that sums over neighbours are
    bit-equal whichever configuration nearby a list was made for.

    Parameters
    ----------
    positions, box, pbc, cutoff
        As `neighbours`.

    Returns
    -------
    first, second : ndarray
        Shape (E,).
    shift : ndarray
        Shape (E, 3), A: the second is at ``positions[second] + shift``.

    Raises
    ------
    InputError
        When a position is not finite, or box vectors that repeat are none.
    """
    check_finite(positions)  # of infinity the search would not end
    if not spans(box, pbc):  # of NaN it ends the process
        raise InputError(
            "the box vectors that repeat span no lattice",
            wanted="independent vectors of finite length (A)",
            got=str(np.asarray(box).tolist()), mend="check the box and its unit",
        )  # fmt: skip
    finder = vesin.NeighborList(cutoff=cutoff, full_list=True)
    i, j, s = finder.compute(
        points=positions, box=box, periodic=[bool(p) for p in pbc], quantities="ijS"
    )
    image, n = (s - s.min(0, initial=0)).T, len(positions)
    of_order = np.ravel_multi_index((i, j, *image), (n, n, *image.max(1, initial=0) + 1))
    order = np.argsort(of_order)
    return i[order].astype(np.int64), j[order].astype(np.int64), s[order] @ box


def spans(box: np.ndarray, pbc: Sequence[bool]) -> bool:
    """Whether box vectors (A) are finite, and those that repeat independent."""
    box = np.asarray(box, float)
    if not np.isfinite(box).all():
        return False
    repeats = box[np.asarray(pbc, bool)]
    return bool(np.linalg.svd(repeats, compute_uv=False).min(initial=np.inf) > FLAT)


def check_finite(positions: np.ndarray) -> None:
    """Refuse positions that are no numbers."""
    if not np.isfinite(positions).all():
        raise InputError(
            "positions are not finite", wanted="numbers", got="NaN or infinity",
            mend="a simulation that exploded needs a shorter step or a better start",
        )  # fmt: skip


def neighbours(
    positions: np.ndarray, box: np.ndarray, pbc: Sequence[bool], cutoff: float
) -> Neighbours:
    """Full neighbour list of one frame.

    Parameters
    ----------
    positions
        Shape (N, 3), A; unwrapped positions are fine.
    box
        Shape (3, 3), A; rows are box vectors.
    pbc
        Which box vectors repeat.
    cutoff
        A.
    """
    i, j, shifts = near_pairs(positions, box, pbc, cutoff)
    shift, index = padded(i, j, shifts, len(positions), cutoff)
    return Neighbours(index, shift, np.zeros(len(positions), dtype=np.int64))


def padded(
    i: np.ndarray, j: np.ndarray, between: np.ndarray, n: int, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs sorted by their first atom as rows, one for each of `n` atoms.

    Empty places hold the atom itself, at twice the cut-off.
    """
    count = np.bincount(i, minlength=n)
    slot = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
    width = int(count.max(initial=1))
    index = np.repeat(np.arange(n)[:, None], width, axis=1)
    rows = np.zeros((n, width, 3))
    rows[..., 0] = 2 * cutoff
    index[i, slot] = j
    rows[i, slot] = between
    return rows, index


def join(frames: Sequence[Neighbours], cutoff: float) -> Neighbours:
    """Several frames as one, padded to the longest row of them all."""
    shift, index = end_to_end([(f.shift, f.index) for f in frames], cutoff)
    sizes = [len(f.index) for f in frames]
    return Neighbours(index, shift, np.repeat(np.arange(len(frames)), sizes))


def end_to_end(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of several configurations as those of one, padded to the longest."""
    sizes = [len(index) for _, index in parts]
    width = max(index.shape[1] for _, index in parts)
    joined = np.repeat(np.arange(sum(sizes))[:, None], width, axis=1)
    vectors = np.zeros((sum(sizes), width, 3))
    vectors[..., 0] = 2 * cutoff
    start = 0
    for rows, index in parts:
        n, k = index.shape
        vectors[start : start + n, :k] = rows
        joined[start : start + n, :k] = index + start
        start += n
    return vectors, joined
