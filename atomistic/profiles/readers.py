"""From MDAnalysis' trajectories to what the estimators of bulk and dipoles take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.stats import bootstrap_weights
from ...core.units import DALTON, ELEMENTARY_CHARGE, NM, PS
from .coordinates import AXES, Planar
from .dielectric import DielectricProfile, dielectric_profile
from .dipoles import DipoleSums
from .images import edges
from .particles import Species, particles_of
from .paths import Paths, unwrap
from .settings import even_spacing
from .source import Source

#: Boxes that centres of wrapped molecules may spread over: they reach out of it.
WRAPPED = 1.25


def read_paths(
    universe: Any,
    species: Mapping[str, str | Species],
    *,
    charges: Mapping[str, float] | None = None,
    start: int = 0,
    stop: int | None = None,
) -> tuple[Paths, dict[str, float]]:
    """Unwrapped paths of species, and their charge numbers, for bulk transport.

    Moves between frames go to the nearest image, which is right where particles move
    less than half of the box, also where it varies (`images.moves`); trajectories that
    come unwrapped may move further, and are taken as they are.

    Parameters
    ----------
    universe
        Of MDAnalysis, with masses and charges.
    species
        Name -> selection of atoms, or `Species` (residues by their centres of mass).
        Collective transport needs every particle of the box, solvent included.
    charges
        As for `interface_profiles`.
    start, stop
        Frames that count.

    Returns
    -------
    paths : Paths
        Held in memory: frames x particles x 24 bytes.
    charge_number : dict
        Species -> charge of a particle, e.

    Raises
    ------
    InputError
        When selections, charges, masses, boxes or times do not fit.
    """
    particles = particles_of(universe, species, charges)
    source = Source(universe, particles, Planar())
    steps, times, boxes = [], [], []
    for ts in universe.trajectory[start:stop]:
        x, box, _ = source.frame(ts)
        steps.append(particles.positions(x, box))
        times.append(ts.time * PS)
        boxes.append(box)
    if len(steps) < 2:
        raise InputError(
            "frames of the trajectory", wanted="two or more", got=str(len(steps))
        )
    positions, box = np.array(steps), np.array(boxes)
    # Positions that reach far out of the box are unwrapped already.
    widest = np.abs(box).sum(axis=1).max(axis=0)
    if (np.ptp(positions, axis=(0, 1)) < WRAPPED * widest).all():
        positions = unwrap(positions, box)
    paths = Paths(
        positions * NM,
        particles.mass[particles.followed] * DALTON,
        np.array(particles.names)[particles.followed],
        even_spacing(np.array(times)),
        box.mean(axis=0) * NM,
    )
    return paths, dict(zip(particles.names, particles.charge_number, strict=True))


def read_dielectric(
    universe: Any,
    *,
    bin: float,
    units: int,
    temperature: float,
    boundary: str,
    axis: str = "z",
    selection: str = "all",
    replicates: int = 200,
    seed: int = 0,
) -> tuple[DielectricProfile, DipoleSums]:
    """Dielectric profile of the neutral molecules (residues) of a trajectory.

    Parameters
    ----------
    universe
        Of MDAnalysis, with charges and a box.
    bin
        Width of a cell, m; adjusted so that cells fill the box.
    units
        Blocks of time for the bootstrap: each must be many relaxation times of the dipole
        (`dipole_relaxation`).
    temperature, boundary
        As for `dielectric_profile`.
    axis
        Normal of the slab.
    selection
        Molecules that count.
    replicates, seed
        Of the bootstrap.

    Returns
    -------
    profile : DielectricProfile
    sums : DipoleSums

    Raises
    ------
    InputError
        When charges are missing, a molecule is charged, or frames are fewer than units.
    """
    particles = particles_of(universe, {"molecule": Species(selection, "residues")})
    source = Source(universe, particles, Planar())
    atoms, begin = particles.bodies[0]
    size = np.diff(np.append(begin, len(atoms)))
    molecule = np.repeat(np.arange(len(begin)), size)
    charges = particles.charges[atoms] * ELEMENTARY_CHARGE
    frames = len(universe.trajectory)
    if not 2 <= units <= frames:
        raise InputError(
            "units of the dielectric profile",
            wanted=f"2 to {frames}, the number of frames",
            got=str(units),
        )
    length = edges(source.box(universe.trajectory[0]))[AXES[axis]]
    sums = DipoleSums(units, max(2, round(length * NM / bin)), AXES[axis])
    for index, ts in enumerate(universe.trajectory):
        x, box = source.frame(ts)[0], edges(source.box(ts))
        first = np.repeat(x[atoms[begin]], size, axis=0)
        arm = x[atoms] - first
        whole = first + arm - box * np.round(arm / box)
        unit = min(index * units // frames, units - 1)
        sums.add(unit, whole * NM, charges, molecule, box * NM)
    weights = bootstrap_weights(units, replicates, seed)
    return dielectric_profile(sums, weights, temperature, boundary=boundary), sums
