"""Who was in which cell: one histogram of integers for species, charge and mass."""

from __future__ import annotations

import numpy as np

from .particles import Particles
from .sums import Plan, Sums

#: Atoms, of several frames, that are counted at once.
BATCH = 65_536


class Tally:
    """Counts of sorts of atoms, alike in kind and part, in the cells of each group.

    Parameters
    ----------
    particles, plan
        Who is counted, in what cells and groups.
    """

    def __init__(self, particles: Particles, plan: Plan):
        p, parts, n = particles, plan.parts, plan.n
        kinds = p.member.shape[1]
        sorts, sort = np.unique(parts.part * kinds + p.kind, return_inverse=True)
        part, kind = np.divmod(sorts, kinds)
        self._first = (parts.group * len(sorts) + sort) * (n + 2)
        self._batch = np.empty((max(1, BATCH // len(sort)), len(sort)), dtype=np.intp)
        self._batched = 0
        self._plan = plan
        self._member = p.member[:, kind]
        self._part = (np.arange(parts.owner.shape[1])[:, None] == part).astype(float)
        weighted = bool(np.isnan(p.kind_charge).any())
        self._atoms = (p.charges, p.masses) if weighted else ()
        self._kinds = p.kind_charge[kind], p.kind_mass[kind]
        self._residues = {k: parts.followed[p.followed == k] for k in p.bodies}
        self._shape = int(parts.group.max()) + 1, len(sorts), n + 2
        self._clear()

    def _clear(self):
        size, plan = int(np.prod(self._shape)), self._plan
        self._seen = np.zeros(size, dtype=np.int64)
        self._sums = [np.zeros(size) for _ in self._atoms]
        shape = plan.parts.groups, len(self._member), plan.n
        self._centres = np.zeros(shape, dtype=np.int64)
        self._outside = np.zeros(len(self._member))

    def count(self, cell: np.ndarray) -> None:
        """Count all atoms of a frame: on the last face in cell n, outside in n + 1."""
        np.add(self._first, cell, out=self._batch[self._batched])
        self._batched += 1
        if self._batched == len(self._batch):
            self._add_batch()

    def _add_batch(self):
        places = self._batch[: self._batched]
        flat, size = places.ravel(), len(self._seen)
        self._seen += np.bincount(flat, minlength=size)
        for total, values in zip(self._sums, self._atoms, strict=True):
            weights = np.broadcast_to(values, places.shape).ravel()
            total += np.bincount(flat, weights, size)
        self._batched = 0

    def count_centres(self, k: int, cell: np.ndarray, held: np.ndarray) -> None:
        """Count residues of a species: the cells of those that are held."""
        groups, n = len(self._centres), self._plan.n
        flat = self._residues[k][held] * n + cell
        self._centres[:, k] += np.bincount(flat, minlength=groups * n).reshape(groups, n)
        self._outside[k] += (~held).sum()

    def move_to(self, sums: Sums, unit: int) -> None:
        """Add all that was counted to a unit, and forget it."""
        self._add_batch()
        seen = self._seen.reshape(self._shape)
        counts = self._dealt(self._member, seen) + self._centres
        if self._atoms:
            charge, mass = (self._dealt(self._part, one) for one in self._sums)
        else:
            charge, mass = (self._dealt(self._part * w, seen) for w in self._kinds)
        sums.outside += self._member @ seen[..., -1].sum(axis=0) + self._outside
        for name, found in (("counts", counts), ("charge", charge), ("mass", mass)):
            sums.put(self._plan, unit, name, found)
        if self._plan.parts.groups > 1:
            sums.apart[unit, :, :-1] += counts
            sums.apart[unit, :, -1] += charge.sum(axis=1)
        self._clear()

    def _dealt(self, table: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """A table (A, sorts) times a histogram, for each group, shape (G, A, n)."""
        seen = seen.reshape(self._shape)
        cells = seen[..., :-2].astype(float)
        cells[..., -1] += seen[..., -2]
        found = table @ cells
        groups = self._plan.parts.groups
        if len(found) > groups:  # the last is for all of them
            found = found[:-1] + found[-1] / groups
        return found
