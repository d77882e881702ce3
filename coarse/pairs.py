"""Pair potentials between beads of species: one set of B-splines for each pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np
import torch
from scipy.sparse import csc_array
from torch import Tensor

from ..core.errors import InputError
from .bases import CELLS, ENOUGH, Spline, visited
from .neighbours import NearPairs, near_pairs


def pair_names(species: Sequence[str]) -> tuple[str, ...]:
    """Names of all pairs of the species, in the order of their first appearance."""
    names = list(dict.fromkeys(species))
    return tuple(f"{a}-{b}" for a, b in combinations_with_replacement(names, 2))


def pair_index(n: int) -> np.ndarray:
    """Number of the pair of each two of n species, shape (n, n)."""
    index = np.zeros((n, n), dtype=np.intp)
    for k, (a, b) in enumerate(combinations_with_replacement(range(n), 2)):
        index[a, b] = index[b, a] = k
    return index


@dataclass(frozen=True)
class Pairs:
    """Pair potentials of all beads that are near each other; P pairs of species.

    Coefficients are those of the first pair of species, then of the second ...

    Attributes
    ----------
    species
        Of each bead, length B.
    basis
        Of the distance, the same for each pair of species; it stops at the cut-off.
    excluded
        Pairs of beads that do not interact so, such as bonded ones.
    name
        For reports.
    """

    species: tuple[str, ...]
    basis: Spline
    excluded: tuple[tuple[int, int], ...] = ()
    name: str = "pairs"

    def __post_init__(self):
        if self.basis.ends == "periodic":
            raise InputError("ends of pair splines", wanted="zero, or free",
                             got="periodic")  # fmt: skip

    @cached_property
    def pairs(self) -> tuple[str, ...]:
        """Names of the pairs of species, length P."""
        return pair_names(self.species)

    @property
    def size(self) -> int:
        """Number of coefficients, P times those of the basis."""
        return len(self.pairs) * self.basis.size

    @cached_property
    def _kinds(self) -> tuple[np.ndarray, np.ndarray]:
        """Species of each bead as a number, and the pair of each two of them."""
        names = list(dict.fromkeys(self.species))
        return np.array([names.index(s) for s in self.species]), pair_index(len(names))

    @cached_property
    def _keys(self) -> np.ndarray:
        """Excluded pairs as sorted numbers."""
        both = np.sort(np.array(self.excluded, dtype=np.intp).reshape(-1, 2), axis=1)
        return np.unique(both[:, 0] * len(self.species) + both[:, 1])

    def _near(self, x: Tensor, box: Tensor | None) -> NearPairs:
        found = near_pairs(x.numpy(), None if box is None else box.numpy(),
                           self.basis.stop)  # fmt: skip
        if not self.excluded:
            return found
        key = np.minimum(found.i, found.j) * len(self.species)
        key += np.maximum(found.i, found.j)
        place = np.searchsorted(self._keys, key).clip(max=len(self._keys) - 1)
        return found.take(self._keys[place] != key)

    def near(self, x: Tensor, box: Tensor | None) -> tuple[NearPairs, np.ndarray]:
        """Those within the cut-off in one frame, and the number of each one's pair."""
        kind, index = self._kinds
        near = self._near(x, box)
        near = near.take(near.r < self.basis.stop)
        return near, index[kind[near.i], kind[near.j]]

    def distances(
        self, x: np.ndarray, box: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of each frame distances within the cut-off, and numbers of their pairs."""
        boxes = None if box is None else torch.from_numpy(box)
        for f, frame in enumerate(torch.from_numpy(x)):
            near, pair = self.near(frame, None if boxes is None else boxes[f])
            yield near.r, pair

    def couples(self) -> np.ndarray:
        """How many couples of beads each pair of species has, shape (P,)."""
        kind, index = self._kinds
        i, j = np.triu_indices(len(kind), 1)
        among = ~np.isin(i * len(kind) + j, self._keys)
        return np.bincount(index[kind[i], kind[j]][among], minlength=len(self.pairs))

    def energies(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        out = []
        for f in range(len(x)):
            near, pair = self.near(x[f], None if box is None else box[f])
            column, value, _ = self.basis.local(torch.from_numpy(near.r))
            wide = self.basis.intervals + 3
            column += torch.from_numpy(pair * wide)[:, None]
            total = value.new_zeros(len(self.pairs) * wide)
            total.index_add_(0, column.flatten(), value.flatten())
            out.append(total.view(-1, wide)[:, : self.basis.size].flatten())
        return torch.stack(out).to(x)

    def forces(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        return self.design(x, box)[0]

    def design(self, x: Tensor, box: Tensor | None = None) -> tuple[Tensor, np.ndarray]:
        """Forces, and how often each cell of the distance was visited, (P, `CELLS`)."""
        out = torch.zeros(*x.shape, self.size, dtype=torch.float64)
        seen = np.zeros((len(self.pairs), CELLS))
        for f in range(len(x)):
            near = self._near(x[f], None if box is None else box[f])
            self._add_forces(near, out[f].numpy())
            seen += self._visits(near)
        return out.to(x), seen

    def roughness(self) -> Tensor:
        """See `Term`."""
        return torch.block_diag(*[self.basis.roughness()] * len(self.pairs))

    def innermost(self, seen: np.ndarray) -> np.ndarray:
        """Smallest distance at which each pair of species was seen ten times.

        Parameters
        ----------
        seen
            What `design` counted, shape (P, `CELLS`).

        Returns
        -------
        ndarray, shape (P,)
            nm; a potential is an extrapolation below it.

        Raises
        ------
        InputError
            When species hardly ever meet.
        """
        inner = visited(seen, self.basis.span)[:, 0]
        missing = [p for p, r in zip(self.pairs, inner, strict=True) if np.isnan(r)]
        if missing:
            raise InputError(
                "pairs that never meet within the cut-off",
                wanted=f"{ENOUGH} encounters of each pair",
                got=", ".join(missing),
                mend="a longer cut-off or a longer run",
            )
        return inner

    def _visits(self, near: NearPairs) -> np.ndarray:
        kind, index = self._kinds
        start, stop = self.basis.start, self.basis.stop
        # Cells before the first and after the last are counted, and left out.
        cell = ((near.r - start) * (CELLS / (stop - start)) + 1).astype(np.intp)
        cell = cell.clip(0, CELLS + 1)
        if len(self.pairs) > 1:
            cell += index[kind[near.i], kind[near.j]] * (CELLS + 2)
        count = np.bincount(cell, minlength=len(self.pairs) * (CELLS + 2))
        return count.reshape(-1, CELLS + 2)[:, 1:-1]

    def _add_forces(self, near: NearPairs, out: np.ndarray) -> None:
        """Forces (B, 3, size) of one frame.

        Sums over pairs are products with sparse matrices: a row for each bead, species of
        its partners and function; a column for each pair with the slopes of the four
        functions that are not zero; what is summed are vectors.
        """
        (kind, index), basis = self._kinds, self.basis
        n, kinds, wide = len(kind), len(index), basis.intervals + 3
        interval, t = basis.place(torch.from_numpy(near.r))
        first, slope = interval.numpy().astype(np.int32), np.empty((len(t), 4))
        for q, values in enumerate(basis.slopes(t)):
            slope[:, q] = values.numpy()
        # -u'(r) along the unit vector from j to i; nothing beyond the cut-off.
        share, pull = np.zeros(len(t)), np.empty((len(t), 3))
        np.divide(1, near.r, where=near.r < basis.stop, out=share)
        np.multiply(near.way, share, out=pull.T)
        start = np.arange(0, n * kinds * wide, kinds * wide, dtype=np.int32)
        on_i, on_j = start[near.i] + first, start[near.j] + first
        if kinds > 1:
            shift = (kind * wide).astype(np.int32)
            on_i, on_j = on_i + shift[near.j], on_j + shift[near.i]
        rows = n * kinds * wide
        total = _sums(on_i, slope, pull, rows) - _sums(on_j, slope, pull, rows)
        total = total.reshape(n, kinds, wide, 3)
        for a, partners in enumerate(index):
            mine = slice(None) if kinds == 1 else np.flatnonzero(kind == a)
            for b, pair in enumerate(partners):
                part = total[mine, b, : basis.size].swapaxes(1, 2)
                out[mine, :, pair * basis.size : (pair + 1) * basis.size] = part


def _sums(first: np.ndarray, slope: np.ndarray, pull: np.ndarray, n: int) -> np.ndarray:
    """Sums (n, 3) of slope (p, 4) times pull (p, 3), in rows from `first` (p,) on."""
    rows, columns = np.empty(slope.shape, np.int32), np.arange(len(first) + 1) * 4
    for q in range(4):
        np.add(first, q, out=rows[:, q])
    entries = slope.ravel(), rows.ravel(), columns.astype(np.int32)
    return csc_array(entries, shape=(n, len(first))) @ pull
