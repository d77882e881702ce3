"""Periodic images in boxes of any shape: the nearest one, and paths through borders.

Boxes are matrices whose rows are box vectors, in any unit.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

from ...core.errors import InputError

_ASIDE = ~np.eye(3, dtype=bool)
#: Part of a vector's square by which a shorter one must differ: rounding is less.
ROUNDING = 1e-12


def upright(box: np.ndarray) -> bool:
    """Whether all box vectors lie along x, y and z; `box` is (d, d), or (F, d, d)."""
    d = box.shape[-1]
    return not box[..., _ASIDE[:d, :d]].any()


def edges(box: np.ndarray) -> np.ndarray:
    """Lengths (3,) of a rectangular box.

    Raises
    ------
    InputError
        When angles are not right.
    """
    if not upright(box):
        raise InputError(
            "a box that is not rectangular",
            wanted="right angles",
            got=str(np.array2string(box, precision=4)),
        )
    return box.diagonal()


@lru_cache(maxsize=8)
def _lattice(raw: bytes, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minkowski-reduced vectors (d, d), their inverse, and images around the origin."""
    box = np.frombuffer(raw).reshape(d, d).copy()
    steps = np.array(list(product((-1, 0, 1), repeat=d)))
    shorter = True
    # In three dimensions a basis that no such step shortens is reduced.
    while shorter:
        shorter = False
        for i in range(d):
            near = box[i] + steps[steps[:, i] == 0] @ box
            squares = (near**2).sum(axis=1)
            k = int(squares.argmin())
            if squares[k] < (1 - ROUNDING) * (box[i] ** 2).sum():
                box[i], shorter = near[k], True
    return box, np.linalg.inv(box), steps[np.any(steps, axis=1)] @ box


def _of(box: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _lattice(np.ascontiguousarray(box, dtype=float).tobytes(), len(box))


def narrowest(box: np.ndarray) -> float:
    """Length of the shortest vector from a point to an image of it."""
    return float(np.sqrt((_of(box)[2] ** 2).sum(axis=1).min()))


def nearest(vectors: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Shortest of the images of vectors.

    Parameters
    ----------
    vectors
        Shape (N, d), or (F, N, d).
    box
        Shape (d, d), or (F, d, d); d is 2 or 3.
    """
    if upright(box):
        lengths = np.diagonal(box, axis1=-2, axis2=-1)[..., None, :]
        return vectors - lengths * np.round(vectors / lengths)
    if box.ndim == 3:
        return np.stack([nearest(v, b) for v, b in zip(vectors, box, strict=True)])
    reduced, inverse, around = _of(box)
    found = vectors - np.round(vectors @ inverse) @ reduced
    # |v + a|^2 - |v|^2 of all images around; none of a reduced basis is further off.
    longer = 2 * found @ around.T + (around**2).sum(axis=1)
    best = longer.argmin(axis=1)
    far = np.flatnonzero(longer[np.arange(len(found)), best] < 0)
    found[far] += around[best[far]]
    return found


def reach(vectors: np.ndarray, box: np.ndarray) -> float:
    """How far nearest images go towards the next ones; at 0.5 they are ambiguous.

    In a rectangular box it is the largest component as a part of the box.
    """
    if upright(box):
        lengths = np.diagonal(box, axis1=-2, axis2=-1)[..., None, :]
        return float(np.abs(vectors / lengths).max(initial=0.0))
    if box.ndim == 3:
        each = [reach(v, b) for v, b in zip(vectors, box, strict=True)]
        return float(np.max(each, initial=0.0))  # Python's would lose a NaN
    around = _of(box)[2]
    towards = around / (around**2).sum(axis=1, keepdims=True)
    return float((vectors @ towards.T).max(initial=0.0))


def moves(positions: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """From each frame to the next, by the nearest image in the later one's box.

    Where boxes vary, sums of these keep the statistics of diffusion; going by the number
    of borders crossed does not: whoever is n boxes away would jump n times as far as the
    box grew (von Buelow, Bullerjahn & Hummer 2020, doi:10.1063/5.0008316).

    Parameters
    ----------
    positions
        Shape (F, N, 3), wrapped or not; centres of mass of molecules, not their atoms.
    boxes
        Shape (F, 3, 3).

    Returns
    -------
    ndarray, shape (F - 1, N, 3)
    """
    return nearest(np.diff(positions, axis=0), boxes[1:])
