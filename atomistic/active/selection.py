"""Which of many unsure frames to label: those whose unsure atoms are new.

Farthest points first (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5) among the local
environments that were flagged, in the metric of `Uncertainty.distance`: a frame is chosen
for the atom that is farthest from all that are known and from those of frames chosen
before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..potential.uncertainty import Uncertainty


def farthest(
    u: Uncertainty,
    features: Sequence[np.ndarray],
    species: np.ndarray,
    flagged: Sequence[np.ndarray],
    known: tuple[np.ndarray, np.ndarray],
    most: int,
) -> list[int]:
    """Numbers of the frames to label, the newest first.

    Parameters
    ----------
    u
        Its metric.
    features
        Of the atoms of each candidate frame, (N, H).
    species
        Numbers of the species of the atoms, shape (N,).
    flagged
        Booleans of each frame, (N,): which of its atoms are unsure.
    known
        Features (M, H) and species numbers (M,) of the training set.
    most
        How many, at most; those that add nothing new are left out.
    """
    species = np.asarray(species)
    places = [(k, i) for k, which in enumerate(flagged) for i in np.flatnonzero(which)]
    if not places:
        return []
    frame = np.array([k for k, _ in places])
    kind = np.array([species[i] for _, i in places])
    points = _whitened(u, np.stack([features[k][i] for k, i in places]), kind)
    near = _nearest(points, kind, _whitened(u, *known), known[1])
    chosen: list[int] = []
    while len(chosen) < most and near.max() > 0:
        k = int(frame[near.argmax()])
        chosen.append(k)
        own = frame == k
        near = np.minimum(near, _nearest(points, kind, points[own], kind[own]))
        near[own] = 0
    return chosen


def _whitened(u: Uncertainty, features: np.ndarray, species: np.ndarray) -> np.ndarray:
    return u.whitened(torch.from_numpy(features), torch.from_numpy(species)).numpy()


def _nearest(points, kind, others, other_kind) -> np.ndarray:
    """Distance of each point from the nearest other of its species; infinite if none."""
    found = np.full(len(points), np.inf)
    for s in np.unique(kind):
        own, same = kind == s, others[other_kind == s]
        if len(same):
            found[own] = torch.cdist(
                torch.from_numpy(points[own]), torch.from_numpy(same)
            ).amin(1)
    return found
