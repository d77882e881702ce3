"""`dielectric-profile/1` of a trajectory that MDAnalysis reads, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import xarray as xr

from ...core.schema import dataset
from ...core.stats import bootstrap_weights
from ...core.units import ELEMENTARY_CHARGE, NM
from .blocks import FEWEST
from .coordinates import AXES, Planar
from .dielectric import (
    bulk_permittivity,
    check_boundary,
    dielectric_profile,
    dipole_relaxation,
    energy_of,
    permittivity_interval95,
)
from .dipoles import DipoleSums
from .images import edges
from .interface import MOST_UNITS
from .lags import enough
from .origin import origin_of
from .particles import Species, particles_of
from .readers import read_frames, span_of
from .settings import Progress, cells_over, whole_steps
from .source import Source

#: Relaxation times of the dipole, in blocks, above which blocks are too short.
RELAXED = 0.2
#: Share of the mean density that each cell of a filled box has.
FILLED = 0.5


def dielectric_response(
    universe: Any,
    *,
    bin: float,
    temperature: float,
    boundary: str,
    axis: str = "z",
    selection: str = "all",
    charges: Mapping[str, float] | None = None,
    block: float | None = None,
    replicates: int = 200,
    seed: int = 0,
    start: int = 0,
    stop: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Dielectric profile of the neutral molecules (residues) of a trajectory.

    Parameters
    ----------
    universe
        Of MDAnalysis, with charges, masses and an orthorhombic box; wrapped or not.
    bin
        Width of a cell, m; adjusted so that cells fill the box.
    temperature, boundary
        As for `dielectric_profile`.
    axis
        Normal of the slab.
    selection
        Molecules that count.
    charges
        Selection -> charge of each of its atoms, e; else the topology's.
    block
        Unit of the bootstrap, s; when ``None`` the shortest in which the dipole relaxes
        five times, if that leaves ten blocks.
    replicates, seed
        Of the bootstrap.
    start, stop
        Frames that count.
    progress
        Called with (done, of, what).

    Returns
    -------
    Dataset
        ``dielectric-profile/1``; ``bulk_permittivity`` where the molecules fill a
        periodic box, with the interval of `permittivity_interval95` in ``bulk_low`` and
        ``bulk_high``. ``relaxation_time`` is that of the dipole along the slab;
        ``blocks_too_short`` tells that blocks have less than five, and that errors are
        too small.

    Raises
    ------
    InputError
        When charges are missing, a molecule is charged, or frames are too few.
    """
    check_boundary(boundary)
    energy_of(temperature)
    particles = particles_of(
        universe, {"molecule": Species(selection, "residues")}, charges
    )
    source, normal = Source(universe, particles, Planar(axis)), AXES[axis]
    atoms, begin = particles.bodies[0]
    molecule = np.repeat(np.arange(len(begin)), np.diff(np.append(begin, len(atoms))))
    charge = particles.charges[atoms] * ELEMENTARY_CHARGE
    spacing, frames = span_of(universe, start, stop)
    n_units = min(MOST_UNITS, frames)
    if block is not None:
        size_of_block = whole_steps(block, spacing, "a block")
        n_units = frames // size_of_block
        frames = n_units * size_of_block
    enough(n_units, replicates)
    length = edges(source.box(universe.trajectory[start]))[normal]
    sums = DipoleSums(n_units, max(2, round(cells_over(length * NM, bin))), normal)
    for index, (x, cell, _) in enumerate(read_frames(source, start, frames, progress)):
        unit, whole = index * n_units // frames, particles.whole(0, x, cell)
        sums.add(unit, whole * NM, charge, molecule, edges(cell) * NM)
    if block is None:
        sums = _relaxed(sums)
    found = _response(sums, temperature, boundary, spacing, replicates, seed, axis)
    found.attrs |= origin_of(universe)
    return found


def _response(sums, temperature, boundary, spacing, replicates, seed, axis) -> xr.Dataset:
    units = len(sums.frames)
    block = float(sums.frames.mean()) * spacing
    weights = bootstrap_weights(units, replicates, seed)
    found = dielectric_profile(sums, weights, temperature, boundary=boundary)
    density = weights @ sums.number / (weights @ sums.volume)[:, None] * len(found.z)
    values = {
        "z": found.z,
        "number_density": density,
        "parallel": found.parallel,
        "inverse_perpendicular": found.inverse_perpendicular,
    }
    bulk = {}
    if boundary == "periodic" and density[0].min() > FILLED * density[0].mean():
        values["bulk_permittivity"] = bulk_permittivity(sums, weights, temperature)
        low, high = permittivity_interval95(sums, temperature)
        bulk = {"bulk_low": low, "bulk_high": high}
    relaxation = _relaxation(sums)
    attrs = {
        "boundary": boundary,
        "axis": axis,
        "temperature": temperature,
        "relaxation_time": relaxation * block,
        "blocks_too_short": relaxation > RELAXED,
        "block_length": block,
        "n_units": units,
        "seed": seed,
    }
    return dataset("dielectric-profile/1", values, attrs | bulk)


def _relaxed(sums: DipoleSums) -> DipoleSums:
    """Neighbours pooled in pairs until the dipole relaxes in a block, or few are left."""
    while _relaxation(sums) > RELAXED and len(sums.frames) // 2 >= FEWEST:
        sums = sums.pooled(len(sums.frames) // 2)
    return sums


def _relaxation(sums: DipoleSums) -> float:
    """`dipole_relaxation` along the slab, where the mean is zero by symmetry."""
    along, part = [axis for axis in range(3) if axis != sums.normal], copy(sums)
    part.dipole = sums.dipole[:, along]
    part.dipole_square = sums.dipole_square[:, along]
    return dipole_relaxation(part)
