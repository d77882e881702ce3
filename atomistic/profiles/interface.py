"""`interface-profiles/1` of a trajectory that MDAnalysis reads, in one pass."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from ...core.cautions import caution
from ...core.errors import InputError
from ...core.units import NM, PS
from .blocks import Units, choose_units
from .coordinates import Coordinate, Planar
from .estimates import Case, Electrics, densities_of, profiles_of
from .origin import ESTIMATOR, heavy_hydrogens, origin_of, settings_text
from .particles import Particles, Species, particles_of, selected
from .parts import parts_of
from .readers import frames_of
from .settings import Progress, Resolution, cells_over, whole_steps
from .source import Source
from .stationarity import steadiness
from .sums import Plan, Sums, lags_of, windows_over
from .surface import Surface

#: Units that a long trajectory's blocks are pooled into.
MOST_UNITS = 64
#: Frames that tell the time between two: times late in a run, in single precision, are
#: rounded to some percent of it.
ROUNDED = 200
#: Factor that errors may lack without a warning.
LACKING = 1.25
#: Fewest blocks for errors.
FEWEST_UNITS = 4
#: Fewest cells: D_perp is fitted on half as many, too.
FEWEST_CELLS = 16


@dataclass(frozen=True)
class View:
    """How a trajectory is looked at.

    Attributes
    ----------
    temperature
        K.
    coordinate
        `Planar` (by default along z through the whole box), `Cylindrical`, `Spherical`
        or `Surface`.
    moving
        Selection whose centre of mass is the origin in each frame: a sheet, a droplet.
    charges
        Selection or species -> charge of each of its atoms, e; else the topology's.
    electrics
        What closes the cell, charges of walls, where phi is zero.
    start, stop
        Frames that count.
    processes
        Each reads a part of the trajectory.
    thermostat
        Its name, kept in the file.
    friction
        Of a Langevin thermostat, 1/s; above 0.2/ps it slows diffusion.
    hmr
        Whether hydrogens were made heavy; seen in the masses (`origin`) when None.
    """

    temperature: float
    coordinate: Coordinate = field(default_factory=Planar)
    moving: str | None = None
    charges: Mapping[str, float] = field(default_factory=dict)
    electrics: Electrics = field(default_factory=Electrics)
    start: int = 0
    stop: int | None = None
    processes: int = 1
    thermostat: str | None = None
    friction: float | None = None
    hmr: bool | None = None

    def __post_init__(self):
        if self.friction is not None and not 0 <= self.friction < np.inf:
            raise InputError(
                "friction of the thermostat", wanted="0 1/s or more",
                got=f"{self.friction:g}",
            )  # fmt: skip
        if self.moving is not None and self.coordinate.kind == "surface":
            raise InputError(
                "two moving origins", wanted="a surface or `moving`", got="both"
            )

    @property
    def origin(self) -> str:
        """What distances are counted from, in words."""
        if isinstance(self.coordinate, Surface):
            return self.coordinate.told
        return "fixed" if self.moving is None else f"centre of mass of {self.moving}"


def interface_profiles(
    universe: Any,
    species: Mapping[str, str | Species],
    resolution: Resolution,
    view: View,
    *,
    D_bulk: np.ndarray | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Density, charge, field, potential, PMF, D_par and D_perp across an interface.

    Parameters
    ----------
    universe
        Of MDAnalysis, with charges and masses, a box and times. Wrapped or not: moves
        between frames are taken to the nearest image.
    species
        Name -> selection of atoms, or `Species` (residues by their centres of mass).
    resolution
        Cells, lag, blocks, bootstrap.
    view
        Temperature, geometry, electrostatics, frames.
    D_bulk
        Bulk diffusion coefficients with replicates, shape (R + 1, S), m2/s.
    progress
        Called with (done, of, what).

    Returns
    -------
    Dataset
        ``interface-profiles/1`` (`estimates.profiles_of`); attributes ``steady`` and
        ``steady_verdict`` tell whether halves of a planar run, and of its cell, agree
        (`stationarity.steadiness`), others where it comes from (`origin.origin_of`).

    Warns
    -----
    Caution
        Of what stands against diffusion, and a run that is not steady
        (`core.cautions`).

    Raises
    ------
    InputError
        When selections, charges, boxes, times or lengths do not fit, or a particle of a
        species leaves the walls.
    """
    if not resolution.lag > 0:
        raise InputError(
            "lag of displacements", wanted="above 0 s", got=f"{resolution.lag:g} s",
            mend="for densities alone: density_profiles, or no --lag",
        )  # fmt: skip
    sums, plan, case, units = _summed(universe, species, resolution, view, progress)
    found = profiles_of(sums, plan, case, D_bulk, progress)
    found.attrs.update(_told(sums, plan, units))
    # Halves of a cell that is no planar one differ by themselves.
    if view.coordinate.kind == "planar":
        groups = 1 if units is None else units.groups
        verdict = steadiness(sums, plan, case.names, groups)
        found.attrs["steady"] = int(verdict["ok"])
        found.attrs["steady_verdict"] = verdict["verdict"]
    found.attrs |= {
        "estimator": ESTIMATOR, **_origin(universe, species, resolution, view)
    }  # fmt: skip
    caution(found)
    return found


def density_profiles(
    universe: Any,
    species: Mapping[str, str | Species],
    resolution: Resolution,
    view: View,
    *,
    progress: Progress | None = None,
) -> xr.Dataset:
    """What `interface_profiles` gives without diffusion: nobody is followed.

    Returns
    -------
    Dataset
        ``density-profiles/1``; the lag of `resolution` does not matter.
    """
    how = replace(resolution, lag=0.0)
    sums, plan, case, units = _summed(universe, species, how, view, progress)
    found = densities_of(sums, plan, case).assign_attrs(_told(sums, plan, units))
    found.attrs |= _origin(universe, species, how, view)
    return found


def _origin(universe, species, how: Resolution, view: View) -> dict[str, object]:
    """Attributes that tell where profiles come from; what is not known is left out."""
    hmr = heavy_hydrogens(universe) if view.hmr is None else view.hmr
    given = {
        "thermostat": view.thermostat,
        "friction": view.friction,
        "hmr": None if hmr is None else int(hmr),
    }
    return {
        **origin_of(universe),
        "origin": view.origin,
        **{name: value for name, value in given.items() if value is not None},
        "settings": settings_text(species=species, resolution=how, view=view),
    }


def _summed(
    universe, species, how: Resolution, view: View, progress
) -> tuple[Sums, Plan, Case, Units | None]:
    from .stream import collect  # MDAnalysis takes a second to import

    particles = particles_of(universe, species, view.charges)
    case = Case(
        particles.names,
        particles.charge_number,
        view.coordinate,
        view.electrics,
        view.temperature,
        how.replicates,
        how.seed,
    )
    moving = getattr(view.coordinate, "selection", view.moving)
    group = None if moving is None else selected(universe, moving)
    if not view.processes > 0:
        raise InputError(
            "processes of profiles", wanted="one or more", got=f"{view.processes}"
        )
    source = Source(universe, particles, view.coordinate, group)
    frames = frames_of(universe, view.start, view.stop)
    plan = _plan(source, how, view.start, frames)
    sums = collect(source, plan, view.processes, progress)
    _check_inside(particles, sums, view.coordinate)
    if how.block is not None:
        return sums, plan, case, None
    units = _units(sums)
    time = len(sums.apart)
    index = np.full(len(sums.frames), -1)
    if units.groups > 1:
        index[time:] = np.arange(units.groups)
    else:
        index[:time] = units.index[:: max(1, plan.groups)]
    if units.lacking > LACKING:
        warnings.warn(f"errors are too small: {units.report()}; run longer", stacklevel=3)
    return sums.merged(index), plan, case, units


def _units(sums: Sums) -> Units:
    """Time blocks, or groups of particles, that are independent of each other."""
    time, groups = sums.apart.shape[:2]
    counts, charge, group = sums.counts[:time], None, np.zeros(time, dtype=int)
    if groups:
        counts, charge = (
            one.reshape(time * groups, -1)
            for one in (sums.apart[:, :, :-1], sums.apart[:, :, -1])
        )
        group = np.tile(np.arange(groups), time)
    block = np.repeat(np.arange(time), max(1, groups))
    counts = counts.reshape(len(block), -1)
    return choose_units(counts, np.zeros_like(block), block, group, charge=charge)


def _told(sums: Sums, plan: Plan, units: Units | None) -> dict:
    """Attributes about the units of the bootstrap."""
    length = sums.frames.mean() * plan.spacing * PS
    if units is None:
        pooled = f"{plan.pool} times " if plan.pool > 1 else ""
        report = f"{len(sums.frames)} time blocks {pooled}as long as asked for"
        return {"block_length": length, "units": report}
    return {"block_length": length * units.groups, "units": units.report()}


def _plan(source: Source, how: Resolution, start: int, frames: int) -> Plan:
    """Cells and frames from lengths and times."""
    trajectory = source.universe.trajectory
    apart = min(frames, ROUNDED) - 1
    later = float(trajectory[start + apart].time)
    box = source.box(trajectory[start])
    spacing = (later - float(trajectory.time)) / max(apart, 1)
    if not spacing > 0:
        raise InputError(
            "times of the frames",
            wanted="two frames or more, at growing times",
            got=f"{spacing:g} ps between the first ones",
        )
    extent = source.coordinate.extent(box)
    n = 2 * max(FEWEST_CELLS // 2, round(cells_over(extent * NM, how.bin) / 2))
    lag = whole_steps(how.lag, spacing * PS, "the lag") if how.lag else 0
    block = max(4 * lag, 1)
    if how.block is not None:
        block = whole_steps(how.block, spacing * PS, "a block")
    if lag and not 2 <= lag <= block / 2:
        raise InputError(
            "the lag",
            wanted=f"2 to {block // 2} frames of {spacing:g} ps: D_par is a slope from "
            "half of it to all of it, and it fits twice into a block",
            got=f"{lag}",
            mend="another lag, longer blocks, or frames that are saved more often",
        )
    blocks = frames // block
    if blocks < FEWEST_UNITS:
        raise InputError(
            "too few frames for errors",
            wanted=f"{FEWEST_UNITS} blocks of {block} frames",
            got=f"{frames} frames",
            mend="run longer, or take shorter blocks",
        )
    pool = -(-blocks // MOST_UNITS)
    units = blocks // pool
    span = start, start + units * pool * block, start + frames
    groups = None if how.block is None else 1
    parts = parts_of(source.particles, source.universe.atoms.resindices, groups)
    return Plan(
        n, extent, spacing, *span, block, pool, lags_of(lag, block),
        windows_over(extent) if lag else np.zeros((0, 2)), parts,
        source.coordinate.everywhere,
    )  # fmt: skip


def _check_inside(particles: Particles, sums, coordinate: Coordinate) -> None:
    """Refuse particles beyond walls; shells of a pore may leave some out."""
    if coordinate.kind != "planar":
        return
    for name, number in zip(particles.names, sums.outside, strict=True):
        if number:
            raise InputError(
                f"{name} outside the walls",
                wanted="all particles of a species between the walls, in all frames",
                got=f"{number / sums.frames.sum():.3g} on average",
                mend="move the walls, or select those between them",
            )
