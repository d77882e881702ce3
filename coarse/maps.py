"""From atoms to beads: linear maps of positions and forces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError


@dataclass(frozen=True)
class BeadMap:
    """Beads made of disjoint groups of atoms, at their centres of weight.

    Attributes
    ----------
    species
        Name of each bead, length B.
    bead
        Bead of each atom, shape (N,); -1 for atoms in no bead.
    weight
        Share of each atom in its bead's position, shape (N,); sums to one per bead.
    """

    species: tuple[str, ...]
    bead: np.ndarray
    weight: np.ndarray

    def __post_init__(self):
        kept = self.bead >= 0
        sums = np.bincount(
            self.bead[kept], self.weight[kept], minlength=len(self.species)
        )
        if len(sums) != len(self.species) or not np.allclose(sums, 1.0):
            raise InputError(
                "weights of a bead map",
                wanted="weights that sum to one in each bead",
                got=f"sums from {sums.min():g} to {sums.max():g}",
            )

    def positions(self, x: np.ndarray) -> np.ndarray:
        """Bead positions, shape (..., B, 3), from unwrapped atoms, shape (..., N, 3)."""
        return self._gather(x * self.weight[:, None])

    def forces(self, f: np.ndarray) -> np.ndarray:
        """Bead forces: the sum over the atoms of each bead.

        An unbiased estimate of the mean force where no constraint ties a bead to others
        (Noid et al. 2008, doi:10.1063/1.2938860).
        """
        return self._gather(f)

    def _gather(self, values: np.ndarray) -> np.ndarray:
        out = np.zeros((*values.shape[:-2], len(self.species), values.shape[-1]))
        kept = np.flatnonzero(self.bead >= 0)
        for atom in kept:
            out[..., self.bead[atom], :] += values[..., atom, :]
        return out


def one_bead_per_atom(species: Sequence[str]) -> BeadMap:
    """The map of monatomic ions: every atom is a bead."""
    n = len(species)
    return BeadMap(tuple(str(s) for s in species), np.arange(n), np.ones(n))
