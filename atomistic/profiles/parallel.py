"""D_par(z) from in-plane displacements of ions that stay in a slab (survival).

Liu, Harder & Berne 2004, doi:10.1021/jp0375057. Between half the lag and the lag the
mean-square displacement of those who stayed in a window grows by 4 D a unit of time, as
an average over the places where *they* were: mostly the middle, since who comes near an
edge leaves. Given the path along z, that average is known. So each window says

    growth = 4 sum_j time_j D_par(z_j),

with the time that survivors spent in its parts z_j, and one spline D_par(z) for all
windows is fitted by least squares: windows need not be narrow beside the changes of
D_par, and nothing is assumed about who survives. The growth leaves out ballistic starts.
Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from .fokker_planck import spline_basis

#: Parts of a window in which the time of survivors is kept.
PARTS = 8
#: Windows that cover a point: each is shifted by this part of its width.
COVER = 4
#: Standard deviation of second differences of D_par over its mean: a weak prior, as in
#: `fokker_planck`.
ROUGHNESS = 1.0
#: Independent survivors below which a window says nothing.
FEW_SURVIVORS = 5.0


@dataclass(frozen=True)
class Survivors:
    """Additive sums over ions that stayed; leading dimension units.

    Attributes
    ----------
    number
        Origins from which an ion stayed for the lag, shape (U, W).
    growth
        Their squared in-plane displacement after the lag less that after half of it,
        summed, shape (U, W), nm2.
    time
        What they spent in each part of the window between those times, shape
        (U, W, PARTS), ps.
    """

    number: np.ndarray
    growth: np.ndarray
    time: np.ndarray


@dataclass(frozen=True)
class ParallelDiffusion:
    """D_par of one species.

    Attributes
    ----------
    D
        At the points asked for, shape (R + 1, P), nm2/ps.
    few
        Points that no well visited window holds; D there is the nearest value that one
        holds, shape (P,).
    """

    D: np.ndarray
    few: np.ndarray


def lay_windows(low: float, high: float, size: float) -> np.ndarray:
    """Windows of about `size` over [low, high], `COVER` of them over each point.

    Returns
    -------
    ndarray, shape (W, 2)
        Lower and upper edges, nm.
    """
    steps = max(COVER, round(COVER * (high - low) / size))
    edges = np.linspace(low, high, steps + 1)
    return np.stack([edges[:-COVER], edges[COVER:]], axis=1)


def count_survivors(
    z: np.ndarray,
    xy: np.ndarray,
    windows: np.ndarray,
    lag: int,
    spacing: float,
    group: np.ndarray | None = None,
) -> Survivors:
    """Sums over origins in all but the last `lag` frames of a stretch of trajectory.

    Parameters
    ----------
    z
        Shape (F, N), nm.
    xy
        In-plane positions, unwrapped, shape (F, N, 2), nm.
    windows
        Lower and upper edges, shape (W, 2), nm. Ions below the first or above the last
        edge belong to no window.
    lag
        Frames, at least two: an ion must be in the window at each of them.
    spacing
        Between frames, ps.
    group
        Unit of each ion, shape (N,); one unit when ``None``.
    """
    group = np.zeros(z.shape[1], dtype=int) if group is None else group
    units, half, origins = int(group.max()) + 1, lag // 2, len(z) - lag
    shape = (units, len(windows))
    number, growth = np.zeros(shape), np.zeros(shape)
    time = np.zeros((*shape, PARTS))
    after = [((xy[k : k + origins] - xy[:origins]) ** 2).sum(-1) for k in (half, lag)]
    gained = after[1] - after[0]
    for w, (low, high) in enumerate(windows):
        inside = (z >= low) & (z < high)
        ions = np.flatnonzero(inside.any(axis=0))
        mine = group[ions]
        keep = survivors_of(inside[:, ions], lag)
        number[:, w] = np.bincount(mine, keep.sum(axis=0), units)
        growth[:, w] = np.bincount(mine, (keep * gained[:, ions]).sum(axis=0), units)
        cover = _second_halves(keep, lag, half)
        where = np.nonzero(cover)
        part = ((z[:, ions][where] - low) * (PARTS / (high - low))).astype(int)
        flat = mine[where[1]] * PARTS + np.minimum(part, PARTS - 1)
        spent = np.bincount(flat, cover[where] * spacing, units * PARTS)
        time[:, w] = spent.reshape(units, PARTS)
    return Survivors(number, growth, time)


def survivors_of(inside: np.ndarray, lag: int) -> np.ndarray:
    """Whether each ion is inside at a frame and at the `lag` frames after it."""
    left = np.zeros((len(inside) + 1, inside.shape[1]), dtype=np.int32)
    np.cumsum(~inside, axis=0, out=left[1:])
    return left[lag + 1 :] == left[: -lag - 1]


def _second_halves(keep: np.ndarray, lag: int, half: int) -> np.ndarray:
    """How many survivors' second halves each frame lies in; ends count a half."""
    total = np.zeros((len(keep) + lag + 1, keep.shape[1]))
    np.cumsum(keep, axis=0, out=total[1 : len(keep) + 1])
    total[len(keep) + 1 :] = total[len(keep)]

    def origins_before(back: int) -> np.ndarray:  # whose start is `back` or more ago
        rows = np.zeros((len(keep) + lag, keep.shape[1]))
        rows[back:] = total[1 : len(rows) - back + 1]
        return rows

    whole = origins_before(half) - np.pad(
        origins_before(lag)[:-1], ((1, 0), (0, 0))
    )  # frames from half to lag after an origin
    first = np.zeros_like(whole)
    first[half : half + len(keep)] = keep
    last = np.zeros_like(whole)
    last[lag : lag + len(keep)] = keep
    return whole - 0.5 * (first + last)


def estimate_parallel(
    survivors: Survivors,
    windows: np.ndarray,
    weights: np.ndarray,
    points: np.ndarray,
    overlap: int,
) -> ParallelDiffusion:
    """One spline D_par(z) through what all windows say, for every replicate.

    Parameters
    ----------
    survivors
        Per unit.
    windows
        Their edges, shape (W, 2), nm.
    weights
        Bootstrap weights, shape (R + 1, U), first row ones.
    points
        Where D_par is wanted, shape (P,), nm.
    overlap
        Frames in the lag: that many origins count as one observation.

    Raises
    ------
    InputError
        When too few ions stay anywhere.
    """
    total = survivors.number.sum(axis=0) / overlap
    known = total > FEW_SURVIVORS
    if not survivors.growth.sum() > 0 and known.any():
        raise InputError(
            "particles that do not move along the interface",
            wanted="mean-square displacements that grow",
            got="none",
            mend="follow two particles or more: where they are all of the mass, their "
            "common motion is taken off",
        )
    if not known.any():
        raise InputError(
            "hardly an ion stays anywhere for a lag",
            wanted=f"more than {FEW_SURVIVORS:g} that stay in a window",
            got=f"{total.max():.3g}",
            mend="a shorter lag, wider windows, or frames that are saved more often",
        )
    number, growth, time = (
        np.tensordot(weights, a[:, known], 1)
        for a in (survivors.number, survivors.growth, survivors.time)
    )
    edges = windows[known]
    span = (edges[:, 0].min(), edges[:, 1].max())
    place = edges[:, :1] + np.diff(edges, axis=1) * (np.arange(PARTS) + 0.5) / PARTS
    basis = spline_basis(place.ravel(), span=span).reshape(*place.shape, -1)
    mean = growth[0].sum() / (4 * time[0].sum())
    design = 4 * np.einsum("rwj,wjm->rwm", time, basis) * mean
    # |b|^2 + 2 a.b of two free steps a, b has a variance of three squared means.
    expected = 4 * mean * time.sum(axis=-1)
    precision = np.maximum(number, 1e-9) / (3 * overlap * COVER)
    precision /= np.maximum(expected, 1e-9 * expected.max()) ** 2
    bend = np.diff(np.eye(basis.shape[-1]), 2, axis=0) / ROUGHNESS
    normal = np.einsum("rwi,rw,rwj->rij", design, precision, design) + bend.T @ bend
    right = np.einsum("rwi,rw,rw->ri", design, precision, growth)
    coefficients = np.linalg.solve(normal, right[..., None])[..., 0]
    few = ~((points[:, None] >= edges[:, 0]) & (points[:, None] <= edges[:, 1])).any(1)
    at = points if few.all() else _nearest(points, ~few)
    D = mean * coefficients @ spline_basis(at, span=span).T
    return ParallelDiffusion(np.maximum(D, 1e-3 * mean), few)


def _nearest(points: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Each point, or the nearest good one."""
    allowed = points[good]
    return allowed[np.abs(points[:, None] - allowed).argmin(axis=1)]
