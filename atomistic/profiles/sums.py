"""Additive sums over frames, of each block of time: all that estimators of profiles need.

A block becomes a unit of the bootstrap; long trajectories pool neighbouring blocks, so
that memory does not grow with their length. Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from .slabs import Slabs, stays_of


@dataclass(frozen=True)
class Plan:
    """What is summed, the same for all parts of a trajectory.

    Attributes
    ----------
    n
        Cells.
    extent
        Of the coordinate that particles are followed on: that of the first frame.
    spacing
        Between frames.
    start, stop
        Frames that count, whole units.
    block
        Frames of a block.
    pool
        Blocks of a unit.
    lags
        Of transitions, frames; none when nobody is followed.
    lag
        Of parallel displacements, frames; 0 when nobody is followed.
    slabs
        In which particles must stay.
    """

    n: int
    extent: float
    spacing: float
    start: int
    stop: int
    block: int
    pool: int
    lags: tuple[int, ...]
    lag: int
    slabs: Slabs

    @property
    def units(self) -> int:
        """Units, into which blocks are pooled."""
        return (self.stop - self.start) // (self.block * self.pool)

    def unit(self, frame: int) -> int:
        """That a frame belongs to."""
        return (frame - self.start) // (self.block * self.pool)

    @property
    def reach(self) -> int:
        """Frames after a block that it needs as ends of pairs."""
        return max(0, *self.lags, self.lag)


@dataclass(frozen=True)
class Trails:
    """Of M particles over F frames.

    Attributes
    ----------
    z
        Coordinate on `Plan.extent`, negative outside the cells, shape (F, M), nm.
    x
        Unwrapped positions along the interface, shape (F, M, k), nm.
    kind
        Species of each particle, shape (M,).
    """

    z: np.ndarray
    x: np.ndarray
    kind: np.ndarray


@dataclass
class Sums:
    """Sums over the frames of each unit; U units, S species, n cells, W slabs.

    Attributes
    ----------
    frames
        Shape (U,).
    extent, volume
        Of the coordinate (nm) and of each cell (nm3), shapes (U,) and (U, n).
    counts
        Particles, shape (U, S, n).
    charge, mass
        e and dalton, shape (U, n).
    outside
        Particles that were in no cell, shape (S,).
    transitions
        Lag in frames -> pairs from cell j to cell k, shape (S, U, n, n).
    stayed, place, short, long
        Particles that stayed in a slab for the lag, their coordinate, and squared
        displacements along the interface after half of it and after it, (U, S, W).
    """

    frames: np.ndarray
    extent: np.ndarray
    volume: np.ndarray
    counts: np.ndarray
    charge: np.ndarray
    mass: np.ndarray
    outside: np.ndarray
    stayed: np.ndarray
    place: np.ndarray
    short: np.ndarray
    long: np.ndarray
    transitions: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def empty(cls, plan: Plan, n_species: int) -> Sums:
        """Nothing yet."""
        u, n = plan.units, plan.n
        per_slab = [np.zeros((u, n_species, plan.slabs.total)) for _ in range(4)]
        return cls(
            np.zeros(u),
            np.zeros(u),
            np.zeros((u, n)),
            np.zeros((u, n_species, n)),
            np.zeros((u, n)),
            np.zeros((u, n)),
            np.zeros(n_species),
            *per_slab,
            {lag: np.zeros((n_species, u, n, n), dtype=np.float32) for lag in plan.lags},
        )

    def add(self, other: Sums) -> None:
        """Add the sums of another part of the trajectory."""
        for one in fields(self):
            if one.name != "transitions":
                getattr(self, one.name)[...] += getattr(other, one.name)
        for lag, counts in other.transitions.items():
            self.transitions[lag] += counts

    def follow(self, plan: Plan, unit: int, trails: Trails, starts: int) -> None:
        """Add what followed particles did.

        Parameters
        ----------
        plan, unit
            What is summed, and where to.
        trails
            Of the particles.
        starts
            Frames at which pairs begin; those after it are ends alone.
        """
        kind, z = trails.kind, trails.z
        cell = np.floor(z * (plan.n / plan.extent)).astype(np.intp)
        for lag, counts in self.transitions.items():
            before, after = cell[:starts][: max(len(cell) - lag, 0)], cell[lag:]
            after = after[: len(before)]
            # Nobody crosses half of the cells in a lag but through the border of a box.
            held = (np.minimum(before, after) >= 0) & (
                2 * np.abs(after - before) < plan.n
            )
            flat = (kind * plan.n + before) * plan.n + after
            seen = np.bincount(flat[held], minlength=len(counts) * plan.n**2)
            counts[:, unit] += seen.reshape(len(counts), plan.n, plan.n)
        ends = starts + plan.lag
        z, x = z[:ends], trails.x[:ends]
        if x.shape[2] and len(z) > plan.lag:
            seen = stays_of(z, x, kind, plan.slabs, plan.lag)
            self.stayed[unit] += seen.number
            self.place[unit] += seen.place
            self.short[unit] += seen.short
            self.long[unit] += seen.long
