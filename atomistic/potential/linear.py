"""A potential of pairs and triplets, linear in its coefficients: what it is made of.

Pairs by the species of both atoms, and for each atom the squares of the moments of its
surroundings (of each species of neighbours, and of all). Derivatives are written out: a
fit to forces needs those of every column.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from .basis import TENSORS, directions, radial_waves
from .data import Frame

#: Radial functions of pairs and of triplets; ranks of tensors as slices.
PAIRS, TRIPLETS, RANKS = 12, 4, (slice(0, 1), slice(1, 4), slice(4, 10))
#: Off-diagonal elements of a symmetric tensor come twice in its square.
_WEIGHTS = np.array([1.0] * 7 + [2.0] * 3)


def columns(
    frames: Sequence[Frame], n_species: int, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """What frames give to energies and forces, per unit of each coefficient.

    Parameters
    ----------
    frames
        With neighbours up to the cut-off or farther.
    n_species
        S.
    cutoff
        A.

    Returns
    -------
    energies : ndarray
        Shape (F, M).
    forces : ndarray
        Shape (3N, M), all atoms of all frames.
    """
    s, species = n_species, np.concatenate([f.species for f in frames])
    starts = np.cumsum([0] + [len(f.species) for f in frames])
    n, listed = len(species), []
    for f, start in zip(frames, starts, strict=False):
        inside = (f.vectors**2).sum(-1) < cutoff**2
        atoms = np.nonzero(inside)[0] + start, f.list.index[inside] + start
        listed.append((*atoms, f.vectors[inside]))
    i, j, rows = (np.concatenate(x) for x in zip(*listed, strict=True))
    radial, tensors, steep, turn = _local(torch.from_numpy(rows), cutoff)
    few = radial[:, :TRIPLETS, None] * tensors[:, None]
    change = (
        steep[:, :TRIPLETS, None] * tensors[:, None, :, None]
        + radial[:, :TRIPLETS, None, None] * turn[:, None]
    )
    # Whose moment a pair adds to: that of its neighbour's species, and that of all.
    slots = i * (s + 1) + species[j], i * (s + 1) + s
    moments = sum(
        _scatter(x, few.reshape(-1, TRIPLETS * TENSORS), n * (s + 1)) for x in slots
    )
    moments = np.asarray(moments).reshape(-1, TRIPLETS, TENSORS)
    squares = np.stack([(_WEIGHTS * moments**2)[..., r].sum(-1) for r in RANKS], -1)
    pairs = _scatter(i * s + species[j], radial, n * s).reshape(n, -1)
    kinds = np.eye(s)[species][:, :, None]
    energies = [
        np.add.reduceat(kinds * each.reshape(n, 1, -1), starts[:-1])
        for each in (pairs, squares)
    ]
    place = species[i] * s + species[j]
    forces = [_felt(steep, i, j, place, n, s * s)]
    triplets = np.zeros((n, 3, s, s + 1, TRIPLETS * len(RANKS)))
    for slot, other in zip(slots, (species[j], s), strict=True):
        each = 2 * (_WEIGHTS * moments[slot])[..., None] * change
        each = np.stack([each[:, :, r].sum(2) for r in RANKS], 2)
        place = species[i] * (s + 1) + other
        felt = _felt(
            each.reshape(-1, TRIPLETS * len(RANKS), 3), i, j, place, n, s * (s + 1)
        )
        triplets += felt.reshape(triplets.shape)
    forces.append(triplets.reshape(n, 3, -1))
    return (
        np.concatenate([e.reshape(len(frames), -1) for e in energies], 1),
        np.concatenate(forces, 2).reshape(3 * n, -1),
    )


def _local(vectors: Tensor, cutoff: float) -> tuple[np.ndarray, ...]:
    """Radial functions (E, R) and tensors (E, 10) of pairs, and their gradients."""
    vectors = vectors.requires_grad_(True)
    waves = torch.arange(1, PAIRS + 1, dtype=vectors.dtype) * (torch.pi / cutoff)
    r = torch.sqrt((vectors * vectors).sum(-1))
    values = radial_waves(r, waves, cutoff), directions(vectors / r.unsqueeze(-1))
    slopes = []
    for value in values:
        each = [
            torch.autograd.grad(
                column.sum(), vectors, retain_graph=True, materialize_grads=True
            )[0]
            for column in value.unbind(-1)
            if column.requires_grad
        ]
        still = [torch.zeros_like(vectors)] * (value.shape[-1] - len(each))
        slopes.append(torch.stack(still + each, 1))
    return tuple(x.detach().numpy() for x in (*values, *slopes))


def _scatter(slot: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Sum of rows by slot, shape (size, ...)."""
    ones, rows = np.ones(len(slot)), np.arange(len(slot))
    return csr_matrix((ones, (slot, rows)), (size, len(slot))) @ values


def _felt(change, i, j, place, n: int, places: int) -> np.ndarray:
    """Forces (N, 3, places * C) of derivatives (E, C, 3) with respect to r_j - r_i."""
    flat = change.reshape(len(i), change.shape[1] * 3)
    found = _scatter(i * places + place, flat, n * places)
    found = found - _scatter(j * places + place, flat, n * places)
    return np.moveaxis(found.reshape(n, -1, 3), 2, 1)
