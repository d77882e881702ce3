"""D_par across an interface: displacements along it of particles that stay in slabs.

Liu, Harder & Berne 2004, doi:10.1021/jp0375057. Lengths are in nm, times in ps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from ...core.errors import InputError

#: Width of a slab, nm: wide beside sqrt(2 D lag), narrow beside layers.
WIDTH = 0.30
#: Part of a species' visits beyond which its outermost slabs begin.
EDGE = 1e-3


@dataclass(frozen=True)
class Slabs:
    """Slabs side by side, and as many less one shifted by half, of each of S species.

    Attributes
    ----------
    low, size
        Where the first begins and how wide they are, nm, shapes (S,). The outermost ones
        reach beyond, to the ends of the coordinate.
    number
        Of those side by side, n; W is 2 n - 1.
    """

    low: np.ndarray
    size: np.ndarray
    number: int

    @property
    def total(self) -> int:
        """W."""
        return 2 * self.number - 1


def slabs_of(visits: Sequence[np.ndarray], extent: float) -> Slabs:
    """Slabs over the places that each species visits.

    Parameters
    ----------
    visits
        Coordinates at which particles of each species were seen, nm.
    extent
        Of the coordinate, nm.
    """
    n = max(2, round(extent / WIDTH))
    ends = [
        np.quantile(seen, [EDGE, 1 - EDGE]) if len(seen) > 1 else np.array([0.0, extent])
        for seen in visits
    ]
    low, high = np.array(ends).reshape(-1, 2).T
    return Slabs(low, np.maximum(high - low, 1e-3 * extent) / n, n)


@dataclass(frozen=True)
class Stays:
    """Sums over particles that stayed in a slab for a lag, each of shape (S, W).

    Attributes
    ----------
    number
        Particles and starts.
    place
        Their coordinate, nm.
    short, long
        Their squared displacement after half the lag and after it, nm2.
    """

    number: np.ndarray
    place: np.ndarray
    short: np.ndarray
    long: np.ndarray


def stays_of(
    z: np.ndarray, x: np.ndarray, kind: np.ndarray, slabs: Slabs, lag: int
) -> Stays:
    """Who stays where, and how far it goes along the interface.

    Parameters
    ----------
    z
        Coordinate, shape (F, M), nm; negative where it is in no slab.
    x
        Unwrapped positions along the interface, shape (F, M, k), nm.
    kind
        Species of each particle, shape (M,).
    slabs, lag
        Lag in frames, below F.
    """
    starts, shape = len(z) - lag, (len(slabs.low), slabs.total)
    short, long = (
        ((x[after : after + starts] - x[:starts]) ** 2).sum(axis=2)
        for after in (lag // 2, lag)
    )
    position = (z - slabs.low[kind]) / slabs.size[kind]
    found = np.zeros((4, *shape))
    for shift, first, many in (
        (0.0, 0, slabs.number),
        (0.5, slabs.number, slabs.number - 1),
    ):
        slab = np.floor(position - shift).astype(np.int32)
        if shift == 0.0:
            slab = np.clip(slab, 0, many - 1)
        slab = np.where((z >= 0) & (slab >= 0) & (slab < many), slab, -1)
        kept = _kept(slab, lag)
        flat = (kind * slabs.total + first + slab[:starts])[kept]
        for total, values in zip(found, (None, z[:starts], short, long), strict=True):
            weight = None if values is None else values[kept]
            total += np.bincount(flat, weight, minlength=total.size).reshape(shape)
    return Stays(*found)


def _kept(slab: np.ndarray, lag: int) -> np.ndarray:
    """Whether each particle is in its slab at a frame and at the `lag` after it."""
    changes = np.zeros(slab.shape, dtype=np.int32)
    np.cumsum(slab[1:] != slab[:-1], axis=0, out=changes[1:])
    return (changes[lag:] == changes[:-lag]) & (slab[:-lag] >= 0)


def parallel_diffusion(
    stayed: np.ndarray,
    place: np.ndarray,
    growth: np.ndarray,
    weights: np.ndarray,
    z: np.ndarray,
    time: float,
) -> np.ndarray:
    """D_par at points, for every replicate, shape (R + 1, len(z)), nm2/ps.

    Parameters
    ----------
    stayed, place, growth
        Of each slab: particles that stayed, the sum of their coordinates, and that of
        the growth of their squared displacements, shape (U, W).
    weights
        Bootstrap weights, shape (R + 1, U).
    z
        Points, nm.
    time
        Twice the number of directions times the time of the growth, ps.

    Raises
    ------
    InputError
        When nobody stays anywhere.
    """
    number, grown = weights @ stayed, weights @ growth
    if not (number.sum(axis=-1) > 0).all():
        raise InputError(
            "no ion stays anywhere for a lag",
            wanted=f"ions that stay within {WIDTH} nm for the lag",
            got="none",
            mend="a shorter lag, or frames that are saved more often",
        )
    mean = grown.sum(axis=-1, keepdims=True) / number.sum(axis=-1, keepdims=True)
    # A slab that a resample left empty has no value of its own.
    D = np.where(number > 0, grown / np.maximum(number, 1), mean) / time
    D = np.maximum(D, 1e-3 * np.abs(mean) / time)
    centre = place.sum(axis=0) / np.maximum(stayed.sum(axis=0), 1.0)
    order = np.flatnonzero(stayed.sum(axis=0) > 0)
    order = order[np.argsort(centre[order])]
    if len(order) == 1:
        return np.repeat(D[:, order], len(z), axis=1)
    x = centre[order] + 1e-9 * np.arange(len(order))
    curve = PchipInterpolator(x, np.log(D[:, order]), axis=-1)
    return np.exp(curve(np.clip(z, x[0], x[-1])))
