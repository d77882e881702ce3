"""Additive sums over frames, of each block of time: all that estimators of profiles need.

A block becomes a unit of the bootstrap; long trajectories pool neighbouring blocks, so
that memory does not grow with their length. Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from .parallel import PARTS, count_survivors, lay_windows

#: Width of windows for D_par, nm: wide beside sqrt(2 D lag).
WINDOW = 0.30


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
    start, stop, limit
        Frames that count, whole units, and where frames end that may end pairs.
    block
        Frames of a block.
    pool
        Blocks of a unit.
    lags
        Of transitions, frames; none when nobody is followed.
    lag
        Of parallel displacements, frames; 0 when nobody is followed.
    windows
        In which particles must stay, shape (W, 2), nm.
    periodic
        Whether the last cell is beside the first.
    """

    n: int
    extent: float
    spacing: float
    start: int
    stop: int
    limit: int
    block: int
    pool: int
    lags: tuple[int, ...]
    lag: int
    windows: np.ndarray
    periodic: bool = False

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


def lags_of(lag: int, block: int) -> tuple[int, ...]:
    """Lags of a scan, in frames: a lag, twice and four times it, as a block allows."""
    return tuple(k * lag for k in (1, 2, 4) if lag and k * lag <= block)


def windows_over(extent: float) -> np.ndarray:
    """Windows in which particles must stay for D_par, over all of the coordinate."""
    windows = lay_windows(0.0, extent, WINDOW)
    windows[-1, 1] += 1e-9 * extent  # a particle on the wall belongs to the last one
    return windows


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
    """Sums over the frames of each unit; U units, S species, n cells, W windows.

    Attributes
    ----------
    frames
        Shape (U,).
    extent, volume
        Of the coordinate (nm) and of each cell (nm3), shapes (U,) and (U, n).
    box
        Its lengths, nm, shape (U, 3).
    counts
        Particles, shape (U, S, n).
    charge, mass
        e and dalton, shape (U, n).
    outside
        Particles that were in no cell, shape (S,).
    transitions
        Lag in frames -> pairs from cell j to cell k, shape (S, U, n, n).
    stayed, growth
        `parallel.Survivors` of each species' windows, shape (U, S, W).
    spent
        Their times, shape (U, S, W, PARTS), ps.
    """

    frames: np.ndarray
    extent: np.ndarray
    volume: np.ndarray
    box: np.ndarray
    counts: np.ndarray
    charge: np.ndarray
    mass: np.ndarray
    outside: np.ndarray
    stayed: np.ndarray
    growth: np.ndarray
    spent: np.ndarray
    transitions: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def empty(cls, plan: Plan, n_species: int) -> Sums:
        """Nothing yet."""
        u, n = plan.units, plan.n
        windows = (u, n_species, len(plan.windows))
        return cls(
            np.zeros(u),
            np.zeros(u),
            np.zeros((u, n)),
            np.zeros((u, 3)),
            np.zeros((u, n_species, n)),
            np.zeros((u, n)),
            np.zeros((u, n)),
            np.zeros(n_species),
            np.zeros(windows),
            np.zeros(windows),
            np.zeros((*windows, PARTS)),
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
            held = np.minimum(before, after) >= 0
            if plan.periodic:  # who crosses half of the cells went through the border
                held &= 2 * np.abs(after - before) < plan.n
            flat = (kind * plan.n + before) * plan.n + after
            seen = np.bincount(flat[held], minlength=len(counts) * plan.n**2)
            counts[:, unit] += seen.reshape(len(counts), plan.n, plan.n)
        ends = starts + plan.lag
        z, x = z[:ends], trails.x[:ends]
        if not x.shape[2] or len(z) <= plan.lag:
            return
        for s in range(self.counts.shape[1]):
            mine = kind == s
            stays = count_survivors(
                z[:, mine], x[:, mine], plan.windows, plan.lag, plan.spacing
            )
            self.stayed[unit, s] += stays.number[0]
            self.growth[unit, s] += stays.growth[0]
            self.spent[unit, s] += stays.time[0]

    def merged(self, index: np.ndarray) -> Sums:
        """The same with units made of these; `index` tells whose part each is, (U,)."""

        def merge(sums: np.ndarray) -> np.ndarray:
            total = np.zeros((index.max() + 1, *sums.shape[1:]), dtype=sums.dtype)
            np.add.at(total, index, sums)
            return total

        parts = {
            one.name: merge(getattr(self, one.name))
            for one in fields(self)
            if one.name not in ("transitions", "outside")
        }
        pairs = {
            lag: np.stack([merge(one) for one in counts])
            for lag, counts in self.transitions.items()
        }
        return Sums(**parts, outside=self.outside, transitions=pairs)
