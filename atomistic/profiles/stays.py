"""`residence/1` of a trajectory that MDAnalysis reads; memory holds who is inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.schema import dataset
from ...core.units import NM
from .coordinates import AXES, Planar, height
from .origin import origin_of
from .particles import Species, particles_of, selected
from .readers import read_frames, span_of
from .regions import inside_shell, inside_slab
from .residence import residence
from .settings import Progress
from .source import Source
from .transport import tenth


@dataclass(frozen=True)
class Slab:
    """Between two planes.

    Attributes
    ----------
    low, high
        m; in the box, or from the origin that moves. They may reach over the boundary.
    axis
        Normal to the planes.
    moving
        Selection whose centre of mass is the origin in each frame.
    """

    low: float
    high: float
    axis: str = "z"
    moving: str | None = None

    def __str__(self) -> str:
        origin = "" if self.moving is None else f" from {self.moving}"
        return f"{self.low / NM:g} to {self.high / NM:g} nm along {self.axis}{origin}"

    def inside(self, x: np.ndarray, _, box: np.ndarray, margin: float) -> np.ndarray:
        """Who of x (N, 3) is inside, or at most `margin` beyond the border; m."""
        axis, period = AXES[self.axis], height(box, self.axis)
        low, high = self.low - margin, self.high + margin
        return inside_slab(x[None], low, high, axis=axis, period=period)[0]


@dataclass(frozen=True)
class Shell:
    """Within a distance of any of some atoms.

    Attributes
    ----------
    around
        Selection of these atoms.
    radius
        m.
    pairs
        Follow each pair of particle and atom: the life of a contact, rather than of
        being close to any of them.
    """

    around: str
    radius: float
    pairs: bool = False

    def __str__(self) -> str:
        what = "in contact, " if self.pairs else ""
        return f"{what}within {self.radius / NM:g} nm of {self.around}"

    def inside(
        self, x: np.ndarray, centres: np.ndarray, box: np.ndarray, margin: float
    ) -> np.ndarray:
        """Who of x (N, 3), or which pair with `centres` (M, 3), is inside; m."""
        radius = self.radius + margin
        return inside_shell(x[None], centres[None], radius, box=box, pairs=self.pairs)[0]


def residence_times(
    universe: Any,
    species: Mapping[str, str | Species],
    region: Slab | Shell,
    *,
    block: float | None = None,
    longest: float | None = None,
    kind: str = "continuous",
    tolerance: float = 0.0,
    margin: float = 0.0,
    replicates: int = 200,
    seed: int = 0,
    start: int = 0,
    stop: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """How long particles stay in a slab or a shell.

    Parameters
    ----------
    universe
        Of MDAnalysis, with masses and a box; wrapped or not.
    species
        Name -> selection of atoms, or `Species` (residues by their centres of mass).
    region
        `Slab` or `Shell`.
    block
        Unit of the bootstrap, s, several residence times; a tenth of the run when
        ``None``.
    longest, kind, tolerance
        As for `residence`.
    margin
        m: who was inside has left only when further than this beyond the border.
    replicates, seed
        Of the bootstrap.
    start, stop
        Frames that count.
    progress
        Called with (done, of, what).

    Returns
    -------
    Dataset
        ``residence/1``.

    Raises
    ------
    InputError
        When selections, boxes, times or the region do not fit, nobody is ever inside, or
        too few leave within the longest lag.
    """
    if not margin >= 0:
        raise InputError("margin of a region", wanted="0 m or more", got=f"{margin:g}")
    particles = particles_of(universe, species, {"all": 0.0})  # charges do not matter
    spacing, frames = span_of(universe, start, stop)
    block = tenth(frames) * spacing if block is None else block
    core, outer = _inside(universe, particles, region, margin, start, frames, progress)
    found = []
    for s, name in enumerate(particles.names):
        try:
            found.append(
                residence(
                    core[s],
                    spacing,
                    block=block,
                    replicates=replicates,
                    seed=seed,
                    kind=kind,
                    outer=outer[s] if margin else None,
                    tolerance=tolerance,
                    longest=longest,
                )
            )
        except InputError as exc:
            raise InputError(
                f"{name}: {exc.what}", wanted=exc.wanted, got=exc.got, mend=exc.mend
            ) from exc
    values = {
        "species": particles.names,
        "lag": found[0].lags,
        "survival": np.stack([one.survival for one in found], axis=1),
        "time": np.stack([one.time for one in found], axis=1),
        "tail": [one.tail for one in found],
        "occupancy": [one.sum(axis=1).mean() for one in core],
    }
    attrs = {
        "kind": kind,
        "region": str(region),
        "tolerance": tolerance,
        "margin": margin,
        "block_length": block,
        "n_units": found[0].n_units,
        "seed": seed,
    }
    return dataset("residence/1", values, attrs | origin_of(universe))


def _inside(universe, particles, region, margin, start, frames, progress):
    """Booleans (F, N) of each species: inside, and within the margin."""
    moving, around = getattr(region, "moving", None), getattr(region, "around", None)
    group = None if moving is None else selected(universe, moving)
    source = Source(universe, particles, Planar(), group)
    centres = selected(universe, around).indices if around else np.zeros(0, int)
    if np.isin(particles.atoms, centres).any():
        raise InputError(
            "particles that are centres of the shell themselves",
            wanted="other atoms around them",
            got=str(around),
        )
    members = [particles.followed == s for s in range(len(particles.names))]
    core: list[list[np.ndarray]] = [[] for _ in members]
    outer: list[list[np.ndarray]] = [[] for _ in members]
    for x, box, origin in read_frames(source, start, frames, progress):
        here = particles.positions(x, box) - (0.0 if origin is None else origin)
        for s, mine in enumerate(members):
            frame = here[mine] * NM, x[centres] * NM, box * NM
            core[s].append(region.inside(*frame, 0.0))
            if margin:
                outer[s].append(region.inside(*frame, margin))
    return [np.array(one) for one in core], [np.array(one) for one in outer]
