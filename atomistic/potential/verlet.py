"""Neighbour lists that are kept while atoms move little (Verlet lists).

Source: Verlet 1967, doi:10.1103/PhysRev.159.98.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.errors import InputError
from .neighbours import check_finite, near_pairs, padded


class VerletList:
    """Vectors to neighbours of one system, step after step.

    Pairs are listed out to `cutoff` + `skin` and listed again once an atom has moved by
    half the skin, or when the box or the number of atoms changes; at every call only
    those inside the cut-off are handed out, so results are those of a new list.

    Parameters
    ----------
    cutoff
        A.
    skin
        A; zero makes a new list at every call.
    """

    def __init__(self, cutoff: float, skin: float = 0.0):
        self.cutoff, self.skin = cutoff, skin
        self.builds = 0
        # Positions and cell it was made for, pairs and shifts: one value, so that threads
        # which share a list never see a part of another's.
        self._kept: tuple = (np.empty((0, 3)), (), None)

    def rows(
        self, positions: np.ndarray, box: np.ndarray, pbc: Sequence[bool]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors to neighbours (N, K, 3), A, and their indices (N, K), padded.

        Parameters
        ----------
        positions
            Shape (N, 3), A; wrapped or unwrapped.
        box
            Shape (3, 3), A; rows are box vectors, zero where nothing repeats.
        pbc
            Which box vectors repeat.

        Raises
        ------
        InputError
            When a position is not finite or two atoms are at the same place.
        """
        positions, box = np.asarray(positions, float), np.asarray(box, float)
        cell = (box.tobytes(), *map(bool, pbc))
        kept = self._kept
        if not self._holds(kept, positions, cell):
            kept = self._build(positions, box, cell)
        i, j, shift = kept[2]
        between = positions.take(j, axis=0) - positions.take(i, axis=0) + shift
        square = np.einsum("ek,ek->e", between, between)
        _check_apart(square)
        inside = np.flatnonzero(square < self.cutoff**2)
        close = between.take(inside, axis=0)
        return padded(i[inside], j[inside], close, len(positions), self.cutoff)

    def _holds(self, kept: tuple, positions: np.ndarray, cell: tuple) -> bool:
        start, own, _ = kept
        if self.skin == 0 or cell != own or positions.shape != start.shape:
            return False
        moved = positions - start
        # Not "<": of NaN this is false as well.
        return bool(np.einsum("ik,ik->i", moved, moved).max() <= (0.5 * self.skin) ** 2)

    def _build(self, positions: np.ndarray, box: np.ndarray, cell: tuple) -> tuple:
        reach = self.cutoff + self.skin
        kept = positions.copy(), cell, near_pairs(positions, box, cell[1:], reach)
        self._kept = kept
        self.builds += 1
        return kept


def all_pairs(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of B configurations (B, N, 3) of which nothing repeats, end to end.

    Every other atom is a neighbour: beyond the cut-off the basis is zero.
    """
    check_finite(positions)
    copies, n = positions.shape[:2]
    others = np.arange(n - 1)[None, :] + (np.arange(n - 1) >= np.arange(n)[:, None])
    rows = positions[:, others] - positions[:, :, None]
    square = np.einsum("bnkx,bnkx->bnk", rows, rows)
    _check_apart(square)
    index = others + n * np.arange(copies)[:, None, None]
    return rows.reshape(-1, n - 1, 3), index.reshape(-1, n - 1)


def _check_apart(square: np.ndarray) -> None:
    if not square.min(initial=1.0) > 0:
        raise InputError(
            "two atoms are at the same place", wanted="distances above zero",
            got="zero", mend="check the positions and the box",
        )  # fmt: skip
