"""Repulsion of atomic cores, where no training frame had a pair. eV and A.

A network extrapolates into holes: opposite charges that come closer than any pair it has
seen would fall into each other. Below the closest pair of the training set the screened
nuclear repulsion of Ziegler, Biersack & Littmark (1985, doi:10.1007/978-1-4615-8103-1_3)
is faded in; where there were data it is exactly zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .data import Frame
from .ewald import COULOMB

_TERMS = ((0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.028171, 0.20162))


def screened_repulsion(r: Tensor, za: Tensor, zb: Tensor, inner: Tensor) -> Tensor:
    """Energy of pairs closer than `inner`, with two continuous derivatives there.

    Parameters
    ----------
    r, za, zb, inner
        Distance (A), nuclear charges, distance at which it ends (A); equal shapes.
    """
    x = r * (za**0.23 + zb**0.23) / 0.46850
    screening = sum(a * torch.exp(-b * x) for a, b in _TERMS)
    fade = (1 - (r / inner) ** 2) ** 3
    return COULOMB * za * zb / r * screening * fade


def closest_pairs(frames: Sequence[Frame], n_species: int) -> np.ndarray:
    """Smallest distance of each pair of species in the frames, shape (S, S), A.

    Zero for pairs that never meet: no repulsion is added there.
    """
    closest = np.full((n_species, n_species), np.inf)
    for f in frames:
        r = np.sqrt((f.vectors**2).sum(axis=-1))
        for a in range(n_species):
            rows = f.species == a
            for b in range(n_species):
                seen = r[rows][f.species[f.list.index[rows]] == b]
                closest[a, b] = min(closest[a, b], seen.min(initial=np.inf))
    return np.where(np.isfinite(closest), np.minimum(closest, closest.T), 0.0)


def nuclear_charges(species: Sequence[str]) -> np.ndarray:
    """Atomic number of each symbol; zero for beads that are no element."""
    from ase.data import atomic_numbers

    return np.array([float(atomic_numbers.get(s, 0)) for s in species])
