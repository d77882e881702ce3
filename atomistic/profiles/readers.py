"""From MDAnalysis' trajectories to what the estimators of bulk take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.units import DALTON, NM, PS
from .coordinates import Planar
from .particles import Species, particles_of
from .paths import Paths, unwrap
from .settings import Progress, even_spacing
from .source import Source

#: Boxes that centres of wrapped molecules may spread over: they reach out of it.
WRAPPED = 1.25
#: Frames between reports.
REPORT = 64


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
    last = start + frames_of(universe, start, stop)
    for ts in universe.trajectory[start:last]:
        x, box, _ = source.frame(ts)
        steps.append(particles.positions(x, box))
        times.append(ts.time * PS)
        boxes.append(box)
    if len(steps) < 2:
        raise _too_few(len(steps))
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


def span_of(universe: Any, start: int, stop: int | None) -> tuple[float, int]:
    """Time between frames, s, and their number.

    Raises
    ------
    InputError
        When there are fewer than two, or times do not grow.
    """
    trajectory, frames = universe.trajectory, frames_of(universe, start, stop)
    if frames < 2:
        raise _too_few(frames)
    first, last = (trajectory[at].time for at in (start, start + frames - 1))
    if not last > first:
        raise InputError(
            "times of the frames", wanted="times that grow", got=f"{first} to {last} ps"
        )
    return (last - first) * PS / (frames - 1), frames


def frames_of(universe: Any, start: int, stop: int | None) -> int:
    """Number of frames from `start` to `stop`, or to the end.

    Raises
    ------
    InputError
        When there are none.
    """
    total = len(universe.trajectory)
    last = total if stop is None else min(stop, total)
    if not 0 <= start < last:
        raise InputError(
            "frames of the trajectory",
            wanted=f"0 <= start < stop <= {total}",
            got=f"{start} and {stop}",
        )
    return last - start


def _too_few(frames: int) -> InputError:
    return InputError("frames of the trajectory", wanted="two or more", got=str(frames))


def read_frames(
    source: Source, start: int, frames: int, progress: Progress | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """`Source.frame` of one frame after the other.

    Raises
    ------
    InputError
        After the last one, when frames are not equally spaced.
    """
    times = np.empty(frames)
    for index, ts in enumerate(source.universe.trajectory[start : start + frames]):
        times[index] = ts.time * PS
        if progress is not None and index % REPORT == 0:
            progress(index, frames, "frames")
        yield source.frame(ts)
    even_spacing(times)
