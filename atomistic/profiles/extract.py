"""`interface-profiles/1` from trajectories held in memory, of several replicas.

Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.units import DALTON, NM, PS
from .coordinates import Planar
from .estimates import Case, Electrics, profiles_of
from .origin import ESTIMATOR, any_heavy, settings_text
from .parts import Parts
from .settings import Geometry, Progress, Resolution, charge_numbers, steps_of
from .sums import Plan, Sums, Trails, lags_of, windows_over


def extract_profiles(
    frames: Sequence[xr.Dataset],
    geometry: Geometry,
    settings: Resolution,
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
        When replicas, times and walls do not fit together, or an ion left the slab.
    """
    sums, plan, case, _ = summed(frames, geometry, settings)
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


def summed(
    frames: Sequence[xr.Dataset], geometry: Geometry, settings: Resolution
) -> tuple[Sums, Plan, Case, list[int]]:
    """All that the estimators need, and the number of blocks of each replica."""
    labels = frames[0]["species"].values
    names = list(dict.fromkeys(str(s) for s in labels))
    kind = np.array([names.index(str(s)) for s in labels])
    if settings.block is None or not settings.lag > 0:
        raise InputError(
            "resolution of replicas in memory", wanted="a lag and blocks", got="none"
        )
    blocks = [_blocks(ds, labels, settings.block, k) for k, ds in enumerate(frames)]
    block = steps_of(settings.block, frames[0], "a block")
    parts = Parts.whole(kind, len(names))
    plan = _plan(frames[0], geometry, settings, block, sum(blocks), parts)
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
    sums = Sums.empty(plan)
    first = 0
    for index, (ds, n) in enumerate(zip(frames, blocks, strict=True)):
        trails = _trails(ds.isel(frame=slice(n * block)), geometry, plan, index)
        for unit in range(n):
            rows = slice(unit * block, (unit + 1) * block + plan.reach)
            part = Trails(trails.z[rows], trails.x[rows], kind, trails.group)
            sums.follow(plan, first + unit, part, block)
            sums.counts[first + unit] = _counted(part, plan, block)
        first += n
    mass = np.bincount(kind, frames[0]["mass"].values / DALTON) / np.bincount(kind)
    sums.frames[:] = block
    sums.extent[:] = block * plan.extent
    sums.volume[:] = block * plan.extent / plan.n * geometry.area / NM**2
    boxes = np.concatenate([one["box"].values for one in frames])
    sums.box[:] = block * np.diag(boxes.mean(axis=0)) / NM
    sums.charge[:] = z[:, None] * sums.counts
    sums.mass[:] = mass[:, None] * sums.counts
    sums.share_out(plan)
    return sums, plan, case, blocks


def _plan(
    ds, geometry: Geometry, settings: Resolution, block: int, blocks: int, parts: Parts
) -> Plan:
    width = (geometry.right - geometry.left) / NM
    lag = steps_of(settings.lag, ds, "the lag")
    if lag < 2:
        raise InputError(
            "the lag is one saved frame",
            wanted="at least two: D_par is a slope between half the lag and the lag",
            got=f"{settings.lag:g} s",
            mend="a longer lag, or frames that are saved more often",
        )
    return Plan(
        n=2 * round(width * NM / settings.bin / 2),  # even: twice the cell fits as well
        extent=width,
        spacing=float(np.diff(ds["time"].values).mean() / PS),
        start=0,
        stop=block * blocks,
        limit=block * blocks,
        block=block,
        pool=1,
        lags=lags_of(lag, block),
        windows=windows_over(width),
        parts=parts,
    )


def _blocks(ds: xr.Dataset, labels, block: float, index: int) -> int:
    """Whole blocks of a replica."""
    if not np.array_equal(ds["species"].values, labels):
        raise InputError("replicas of different ions", wanted="equal species")
    blocks = ds.sizes["frame"] // steps_of(block, ds, "a block")
    if blocks < 2:
        raise InputError(
            f"replica {index} is too short for errors",
            wanted=f"at least two blocks of {block:g} s",
            got=f"{ds.sizes['frame']} frames",
            mend="run longer, or take shorter blocks",
        )
    return blocks


def _trails(ds: xr.Dataset, geometry: Geometry, plan: Plan, index: int) -> Trails:
    """A replica's ions: from the left wall, and along it without their common motion."""
    positions, mass = ds["positions"].values / NM, ds["mass"].values
    z = positions[..., 2] - geometry.left / NM
    if z.min() < 0 or z.max() > plan.extent:
        raise InputError(
            f"an ion of replica {index} lies outside the walls",
            wanted=f"0 to {plan.extent:.4g} nm from the left wall",
            got=f"{z.min():.4g} to {z.max():.4g} nm",
            mend="check the positions of the walls; positions must be unwrapped",
        )
    # A thermostat moves the centre of mass; no ion diffuses by that.
    x = positions[..., :2]
    x = x - np.einsum("fax,a->fx", x, mass / mass.sum())[:, None]
    z = np.minimum(z, plan.extent * (1 - 1e-12))  # on the wall: in the last cell
    return Trails(z, x, plan.parts.part, plan.parts.followed)


def _counted(trails: Trails, plan: Plan, block: int) -> np.ndarray:
    """Ions in cells, summed over a block, shape (S, n)."""
    species = len(plan.parts.owner)
    cell = (trails.z[:block] * (plan.n / plan.extent)).astype(np.intp)
    flat = (trails.kind * plan.n + cell).ravel()
    counts = np.bincount(flat, minlength=species * plan.n)
    return counts.reshape(species, plan.n)
