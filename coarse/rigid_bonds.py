"""Rigid bonds: found in trajectories, and the groups of atoms that they tie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..core.errors import InputError
from .maps import BeadMap

Pairs = Sequence[tuple[int, int]] | np.ndarray

#: Frames in which a bond must keep its length to be taken as rigid.
FRAMES = 30


def constraint_groups(beads: BeadMap, constraints: Pairs) -> tuple[np.ndarray, ...]:
    """Number of the rigid group of each atom of a molecule of each template, (n,) each.

    Raises
    ------
    InputError
        When a group reaches out of its molecule, molecules of a template differ, or there
        is no such atom.
    """
    n = beads.n_atoms
    pairs = np.asarray(constraints, dtype=int).reshape(-1, 2)
    if pairs.size and not (pairs.min() >= 0 and pairs.max() < n):
        raise InputError("atoms of rigid bonds", wanted=f"numbers from 0 to {n - 1}",
                         got=f"{pairs.min()} to {pairs.max()}")  # fmt: skip
    graph = coo_matrix((np.ones(len(pairs)), tuple(pairs.T)), shape=(n, n))
    count, label = connected_components(graph, directed=False)
    size = np.bincount(label, minlength=count)
    out = []
    for template in beads.templates:
        own = label[template.atoms]
        # Each molecule's groups by the first atom that is in them.
        group = (own[:, :, None] == own[:, None, :]).argmax(axis=2)
        if (group != group[0]).any():
            raise InputError(
                f"constraints of {template.name}",
                wanted="the same in every molecule",
                got="molecules that differ",
                mend="a template for each kind",
            )
        inside = np.bincount(group[0], minlength=len(group[0]))[group[0]]
        if (inside != size[own]).any():
            raise InputError(
                f"constraints of {template.name}",
                wanted="rigid bonds within the molecule",
                got="bonds to atoms outside it, whose forces would be left out",
                mend="a molecule with all atoms that are tied to it",
            )
        out.append(np.unique(group[0], return_inverse=True)[1])
    return tuple(out)


def rigid_pairs(
    beads: BeadMap, x: np.ndarray, box: np.ndarray | None = None, tolerance: float = 1e-3
) -> np.ndarray:
    """Atoms of a molecule whose distance stays the same, as constraints keep it.

    Parameters
    ----------
    beads
        The map, for its molecules.
    x
        Atoms, shape (F, N, 3), nm; some tens of frames are enough.
    box
        Box vectors, shape (3, 3) or (F, 3, 3), nm; without it molecules must be whole.
    tolerance
        Standard deviation, nm: above what files round off, below 0.002 of bonds.

    Returns
    -------
    ndarray, shape (M, 2)
        Numbers of atoms.

    Raises
    ------
    InputError
        With fewer than `FRAMES` frames.
    """
    if len(x) < FRAMES:
        raise InputError(
            "frames to find rigid bonds in", wanted=f"{FRAMES} or more", got=str(len(x))
        )
    whole = x if box is None else beads.whole(x, box)
    out = [np.empty((0, 2), dtype=int)]
    for template in beads.templates:
        first, second = 0.0, 0.0
        for frame in whole:
            own = frame[template.atoms].astype(float)
            d = np.linalg.norm(own[:, :, None] - own[:, None], axis=-1)
            first, second = first + d / len(x), second + d**2 / len(x)
        spread = np.max(second - np.square(first), axis=0)
        i, j = np.nonzero(np.triu(spread < tolerance**2, 1))
        out.append(template.atoms[:, [i, j]].swapaxes(1, 2).reshape(-1, 2))
    return np.concatenate(out)
