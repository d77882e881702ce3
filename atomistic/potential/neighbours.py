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
    finder = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True)
    i, j, s = finder.compute(
        points=positions, box=box, periodic=[bool(p) for p in pbc], quantities="ijS"
    )
    i, j, n = i.astype(np.int64), j.astype(np.int64), len(positions)
    count = np.bincount(i, minlength=n)
    slot = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
    width = int(count.max(initial=1))
    index = np.repeat(np.arange(n)[:, None], width, axis=1)
    shift = np.zeros((n, width, 3))
    shift[..., 0] = 2 * cutoff
    index[i, slot] = j
    shift[i, slot] = s @ box
    return Neighbours(index, shift, np.zeros(n, dtype=np.int64))


def join(frames: Sequence[Neighbours], cutoff: float) -> Neighbours:
    """Several frames as one, padded to the longest row of them all."""
    width = max(f.index.shape[1] for f in frames)
    index, shift, frame, start = [], [], [], 0
    for number, f in enumerate(frames):
        n, missing = len(f.index), width - f.index.shape[1]
        own = np.repeat(np.arange(n)[:, None], missing, axis=1)
        far = np.zeros((n, missing, 3))
        far[..., 0] = 2 * cutoff
        index.append(np.concatenate([f.index, own], axis=1) + start)
        shift.append(np.concatenate([f.shift, far], axis=1))
        frame.append(np.full(n, number, dtype=np.int64))
        start += n
    return Neighbours(*(np.concatenate(x) for x in (index, shift, frame)))
