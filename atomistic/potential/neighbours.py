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

from .verlet import end_to_end, padded


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
    i, j = i.astype(np.int64), j.astype(np.int64)
    shift, index = padded(i, j, s @ box, len(positions), cutoff)
    return Neighbours(index, shift, np.zeros(len(positions), dtype=np.int64))


def join(frames: Sequence[Neighbours], cutoff: float) -> Neighbours:
    """Several frames as one, padded to the longest row of them all."""
    shift, index = end_to_end([(f.shift, f.index) for f in frames], cutoff)
    sizes = [len(f.index) for f in frames]
    return Neighbours(index, shift, np.repeat(np.arange(len(frames)), sizes))
