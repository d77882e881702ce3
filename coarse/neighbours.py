"""Near pairs of beads in a periodic box of any shape, for frames far apart in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import vesin

from ..core.errors import InputError

#: Up to this many beads all pairs are looked through, in blocks of so many: in a box few
#: cut-offs wide that takes a third of the time of a list made of cells.
FEW, BLOCK = 1000, 64
#: Which bead of a block comes after which.
LATER = ~np.tri(BLOCK, dtype=bool)
#: Steps of a box edge. Differences of 16-bit integers wrap as periodic images do.
STEPS = 2**16


@dataclass(frozen=True)
class NearPairs:
    """n pairs i, j, each once; a few may lie just beyond the cut-off.

    Attributes
    ----------
    i, j
        Beads, shape (n,).
    way
        From i to the nearest image of j, shape (3, n), nm.
    r
        Distances, shape (n,), nm.
    """

    i: np.ndarray
    j: np.ndarray
    way: np.ndarray
    r: np.ndarray

    def take(self, which: np.ndarray) -> NearPairs:
        """Some of the pairs."""
        return NearPairs(self.i[which], self.j[which], self.way[:, which], self.r[which])


def near_pairs(x: np.ndarray, box: np.ndarray | None, cutoff: float) -> NearPairs:
    """All pairs within a cut-off.

    Parameters
    ----------
    x
        Positions, shape (B, 3), nm, in any image.
    box
        Rows are box vectors, shape (3, 3), nm; ``None`` for beads in the open.
    cutoff
        At most half the smallest height of the box, nm.

    Raises
    ------
    InputError
        When it is more, or positions are not finite.
    """
    if not np.isfinite(x).all():
        raise InputError("positions of beads", wanted="finite numbers", got="NaN")
    if box is None:  # so wide that no image is near
        box = np.diag(np.ptp(x, axis=0) + 2.1 * cutoff)
    inverse = np.linalg.inv(box)
    check_cutoff(inverse, cutoff)
    share = (x @ inverse).T
    share = np.ascontiguousarray(share - np.floor(share))
    if x.shape[0] > FEW:
        cells = vesin.NeighborList(cutoff=cutoff, full_list=False)
        i, j = cells.compute(share.T @ box, box, periodic=True, quantities="ij")
        i, j = i.astype(np.intp), j.astype(np.intp)
    else:
        i, j = _compared(share, box, cutoff)
    step = share.take(j, axis=1)
    step -= share.take(i, axis=1)
    step -= np.rint(step)
    way = box.T @ step
    r = np.sqrt(np.einsum("an,an->n", way, way))
    return NearPairs(i, j, way, r)


def check_cutoff(inverse: np.ndarray, cutoff: float) -> None:
    """Refuse a cut-off (nm) too long for a box, whose inverse is given (1/nm)."""
    half = 0.5 / np.linalg.norm(inverse, axis=0).max()
    if cutoff > half:
        raise InputError(
            "cut-off of pairs",
            wanted=f"at most half the smallest height of the box, {half:.4g} nm",
            got=f"{cutoff:.4g} nm",
        )


def _compared(share: np.ndarray, box, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs within the cut-off as far as `STEPS` tell; shares of box vectors, (3, B)."""
    metric = (np.linalg.cholesky(box @ box.T) / STEPS).astype(np.float32)
    # Rounding moves each of two beads by a step at most along each vector.
    reach = np.float32(cutoff + 2 * np.linalg.norm(box, axis=1).sum() / STEPS)
    fixed = (share * STEPS).astype(np.int32).astype(np.int16)
    first, second = [], []
    for start in range(0, share.shape[1], BLOCK):
        block, rest = fixed[:, start : start + BLOCK], fixed[:, start:]
        near = _squares(block[:, :, None], rest[:, None], metric) < reach**2
        n = block.shape[1]
        near[:, :n] &= LATER[:n, :n]
        place = np.flatnonzero(near)
        row = place // rest.shape[1]
        first.append(row + start)
        second.append(place - row * rest.shape[1] + start)
    return np.concatenate(first), np.concatenate(second)


def _squares(a: np.ndarray, b: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """Squared distances between images, of positions (3, ...) in steps."""
    step = [(a[k] - b[k]).astype(np.float32) for k in range(3)]
    parts = []
    for k in range(3):
        part = step[k] * metric[k, k]
        for later in range(k + 1, 3):
            if metric[later, k]:
                part += step[later] * metric[later, k]
        part *= part
        parts.append(part)
    parts[0] += parts[1]
    parts[0] += parts[2]
    return parts[0]
