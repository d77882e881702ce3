"""One pass over trajectories: additive statistics of each (replica, block).

Everything the estimators need are sums over frames, kept per block, so that one table
of bootstrap weights resamples densities, transitions and displacements together.
Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.units import NM, PS
from .parallel import survivors_of
from .settings import Geometry, ProfileSettings, steps_of


@dataclass(frozen=True)
class Track:
    """One replica, ready for counting; F frames, N ions.

    Attributes
    ----------
    z
        Distance from the left wall, shape (F, N), nm.
    xy
        In-plane positions without the motion of the centre of mass, shape (F, N, 2), nm.
    block
        Block of each frame, shape (F,).
    spacing
        Between frames, ps.
    """

    z: np.ndarray
    xy: np.ndarray
    block: np.ndarray
    spacing: float


@dataclass(frozen=True)
class Windows:
    """Slabs for D_par and what was seen in them; U blocks, S species, W windows.

    Attributes
    ----------
    centre
        Mean position of the ions that stayed, shape (S, W), nm.
    stayed
        Ions that stayed in the window for the whole lag, shape (U, S, W).
    short, long
        Sums of their squared in-plane displacement after half the lag and after the lag,
        shape (U, S, W), nm2.
    """

    centre: np.ndarray
    stayed: np.ndarray
    short: np.ndarray
    long: np.ndarray


def load_tracks(
    frames: Sequence[xr.Dataset], geometry: Geometry, settings: ProfileSettings
) -> tuple[list[Track], list[str], np.ndarray]:
    """Tracks of all replicas, names of the species, species index of each ion.

    Raises
    ------
    InputError
        When replicas differ, an ion left the slab, or a replica has less than two blocks.
    """
    labels = frames[0]["species"].values
    names = list(dict.fromkeys(str(s) for s in labels))
    tracks = []
    for index, ds in enumerate(frames):
        if not np.array_equal(ds["species"].values, labels):
            raise InputError("replicas of different ions", wanted="equal species")
        tracks.append(_track(ds, geometry, settings, index))
    return tracks, names, np.array([names.index(str(s)) for s in labels])


def _track(
    ds: xr.Dataset, geometry: Geometry, settings: ProfileSettings, index: int
) -> Track:
    block = steps_of(settings.block, ds, "a block")
    n_blocks = ds.sizes["frame"] // block
    if n_blocks < 2:
        raise InputError(
            f"replica {index} is too short for errors",
            wanted=f"at least two blocks of {settings.block:g} s",
            got=f"{ds.sizes['frame']} frames",
            mend="run longer, or take shorter blocks",
        )
    used = ds["positions"].values[: n_blocks * block]
    z = (used[..., 2] - geometry.left) / NM
    width = (geometry.right - geometry.left) / NM
    if z.min() < 0 or z.max() > width:
        raise InputError(
            f"an ion of replica {index} lies outside the walls",
            wanted=f"0 to {width:.4g} nm from the left wall",
            got=f"{z.min():.4g} to {z.max():.4g} nm",
            mend="check the positions of the walls; positions must be unwrapped",
        )
    z = np.minimum(z, width * (1 - 1e-9))  # who touches the right wall is in its cell
    mass = ds["mass"].values
    xy = used[..., :2] / NM
    # A thermostat moves the centre of mass; no ion diffuses by that.
    xy = xy - np.einsum("fax,a->fx", xy, mass / mass.sum())[:, None]
    spacing = float(np.diff(ds["time"].values).mean() / PS)
    return Track(z, xy, np.repeat(np.arange(n_blocks), block), spacing)


def _unit_offsets(tracks: Sequence[Track]) -> list[int]:
    counts = [int(t.block[-1]) + 1 for t in tracks]
    return [int(c) for c in np.concatenate([[0], np.cumsum(counts)])]


def count_units(tracks: Sequence[Track]) -> int:
    """Number of (replica, block) units."""
    return _unit_offsets(tracks)[-1]


def count_cells(
    tracks: Sequence[Track], kind: np.ndarray, n_species: int, width: float, n: int
) -> np.ndarray:
    """Mean number of ions per frame in each cell, shape (U, S, n)."""
    offsets = _unit_offsets(tracks)
    counts = np.zeros((offsets[-1], n_species, n))
    for track, offset in zip(tracks, offsets, strict=False):
        cell = np.minimum((track.z * (n / width)).astype(np.intp), n - 1)
        unit = offset + track.block
        flat = (unit[:, None] * n_species + kind) * n + cell
        counts += np.bincount(flat.ravel(), minlength=counts.size).reshape(counts.shape)
    per_unit = np.concatenate([np.bincount(t.block) for t in tracks])
    return counts / per_unit[:, None, None]


def follow_windows(
    tracks: Sequence[Track],
    kind: np.ndarray,
    edges: Sequence[np.ndarray],
    lag: int,
) -> Windows:
    """Displacements of ions that stay in slabs.

    Parameters
    ----------
    tracks, kind
        Replicas and the species of each ion.
    edges
        Per species: lower and upper edge of each window, shape (W, 2), nm.
    lag
        Frames; an ion must be in the window at each of them.
    """
    offsets = _unit_offsets(tracks)
    shape = (offsets[-1], len(edges), len(edges[0]))
    stayed, short, long = (np.zeros(shape) for _ in range(3))
    place = np.zeros(shape)
    half = lag // 2
    for track, offset in zip(tracks, offsets, strict=False):
        after = [
            ((track.xy[k:][: len(track.xy) - lag] - track.xy[:-lag]) ** 2).sum(-1)
            for k in (half, lag)
        ]
        unit = offset + track.block[:-lag]
        for s, windows in enumerate(edges):
            members = np.flatnonzero(kind == s)
            z = track.z[:, members]
            for w, (low, high) in enumerate(windows):
                keep = survivors_of((z >= low) & (z < high), lag)
                for total, value in (
                    (stayed, keep),
                    (short, keep * after[0][:, members]),
                    (long, keep * after[1][:, members]),
                    (place, keep * z[:-lag]),
                ):
                    row = np.bincount(unit, value.sum(axis=1), minlength=shape[0])
                    total[:, s, w] += row
    centre = place.sum(axis=0) / np.maximum(stayed.sum(axis=0), 1.0)
    return Windows(centre, stayed, short, long)
