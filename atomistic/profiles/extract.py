"""`interface-profiles/1` from trajectories held in memory, of several replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.units import DALTON, NM
from .coordinates import Planar
from .estimates import Case, Electrics, profiles_of
from .origin import ESTIMATOR, any_heavy, settings_text
from .parts import Parts
from .settings import Geometry, ProfileSettings, charge_numbers, steps_of
from .statistics import Track, count_cells, count_units, load_tracks
from .sums import Plan, Sums, Trails, lags_of, windows_over

Progress = Callable[[float, float, str], None]


def extract_profiles(
    frames: Sequence[xr.Dataset],
    geometry: Geometry,
    settings: ProfileSettings,
    D_bulk: np.ndarray | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Density, charge, field, potential, PMF, D_par and D_perp across a slab.

    Parameters
    ----------
    frames
        ``frames/1`` of each replica, unwrapped along z, without frames of equilibration.
    geometry
        The walls.
    settings
        Cells, lag, blocks, bootstrap.
    D_bulk
        Bulk diffusion coefficients with replicates, shape (R + 1, S), m2/s.
    progress
        Called with (done, total, text).

    Returns
    -------
    Dataset
        ``interface-profiles/1`` (`estimates.profiles_of`).

    Raises
    ------
    InputError
        When replicas, times and walls do not fit together.
    """
    tracks, names, kind = load_tracks(frames, geometry, settings)
    width = (geometry.right - geometry.left) / NM
    lag = steps_of(settings.lag, frames[0], "the lag")
    block = steps_of(settings.block, frames[0], "a block")
    if lag < 2:
        raise InputError(
            "the lag is one saved frame",
            wanted="at least two: D_par is a slope between half the lag and the lag",
            got=f"{settings.lag:g} s",
            mend="a longer lag, or frames that are saved more often",
        )
    plan = Plan(
        n=2 * round(width * NM / settings.bin / 2),  # even: twice the cell fits as well
        extent=width,
        spacing=tracks[0].spacing,
        start=0,
        stop=count_units(tracks) * block,
        limit=count_units(tracks) * block,
        block=block,
        pool=1,
        lags=lags_of(lag, block),
        windows=windows_over(width),
        parts=Parts.whole(kind, len(names)),
    )
    z = charge_numbers(geometry, names)
    electrics = Electrics(
        left=geometry.surface_charge,
        right=-geometry.surface_charge,
        charge_model="formal charges",
    )
    case = Case(
        names,
        z,
        Planar("z", geometry.left, geometry.right),
        electrics,
        geometry.temperature,
        settings.replicates,
        settings.seed,
    )
    mass = np.bincount(kind, frames[0]["mass"].values / DALTON) / np.bincount(kind)
    sums = _sums(tracks, kind, z, mass, geometry, plan)
    boxes = np.concatenate([one["box"].values for one in frames])
    sums.box[:] = sums.frames[:, None] * np.diag(boxes.mean(axis=0)) / NM
    found = profiles_of(sums, plan, case, D_bulk, progress)
    found.attrs |= {
        "estimator": ESTIMATOR,
        "settings": settings_text(geometry=geometry, resolution=settings),
        **_moved_by(frames[0]),
    }
    return found


def _moved_by(frames: xr.Dataset) -> dict[str, object]:
    """What ``frames/1`` say of their dynamics; all replicas are moved alike."""
    hydrogen = frames["mass"].values[frames["species"].values == "H"] / DALTON
    told = {k: frames.attrs.get(k) for k in ("source", "thermostat", "friction")}
    known = {k: value for k, value in told.items() if value is not None}
    return {**known, "hmr": int(any_heavy(hydrogen))}


def _sums(
    tracks: Sequence[Track],
    kind: np.ndarray,
    z: np.ndarray,
    mass: np.ndarray,
    geometry: Geometry,
    plan: Plan,
) -> Sums:
    """All that the estimators need, block by block."""
    sums = Sums.empty(plan)
    sums.frames[:] = plan.block
    sums.extent[:] = plan.block * plan.extent
    sums.volume[:] = plan.block * plan.extent / plan.n * geometry.area / NM**2
    counts = count_cells(tracks, kind, len(z), plan.extent, plan.n)
    sums.counts[:] = plan.block * counts
    sums.charge[:] = z[:, None] * sums.counts
    sums.mass[:] = mass[:, None] * sums.counts
    sums.share_out(plan)
    unit = 0
    for track in tracks:
        for start in range(0, len(track.z), plan.block):
            rows = slice(start, start + plan.block + plan.reach)
            trails = Trails(track.z[rows], track.xy[rows], kind, plan.parts.followed)
            sums.follow(plan, unit, trails, plan.block)
            unit += 1
    return sums
