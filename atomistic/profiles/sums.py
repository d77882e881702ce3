"""Additive sums over frames, of each block of time: all that estimators of profiles need.

A block becomes a unit of the bootstrap; long trajectories pool neighbouring blocks, so
that memory does not grow with their length. Groups of particles, each with its whole
history, are units beside them. Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from .parallel import PARTS, count_survivors, lay_windows
from .parts import Parts

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
        Of transitions, frames, ascending; none when nobody is followed.
    parts
        Of the atoms, and groups that they are dealt into.
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
    windows: np.ndarray
    parts: Parts
    periodic: bool = False

    @property
    def lag(self) -> int:
        """Of parallel displacements, frames; 0 when nobody is followed."""
        return self.lags[0] if self.lags else 0

    @property
    def units(self) -> int:
        """Units of time, into which blocks are pooled."""
        return (self.stop - self.start) // (self.block * self.pool)

    @property
    def groups(self) -> int:
        """Groups of particles that sums are kept for beside units of time."""
        return self.parts.groups if self.parts.groups > 1 else 0

    def unit(self, frame: int) -> int:
        """That a frame belongs to."""
        return (frame - self.start) // (self.block * self.pool)

    @property
    def reach(self) -> int:
        """Frames after a block that it needs as ends of pairs."""
        return max(self.lags, default=0)


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
    kind, group
        Species and group of each particle, shape (M,).
    """

    z: np.ndarray
    x: np.ndarray
    kind: np.ndarray
    group: np.ndarray


@dataclass
class Sums:
    """Sums over U units; S species, P parts of all atoms, n cells, W windows.

    Units of time come first; groups of particles, which hold the same once more, last.

    Attributes
    ----------
    frames
        Shape (U,); a group has its share of them, and of the volume.
    extent, volume
        Of the coordinate (nm) and of each cell (nm3), shapes (U,) and (U, n).
    box
        Its lengths, nm, shape (U, 3).
    share
        Frames that a unit holds by its number of particles of each species and atoms of
        each part, shape (U, S + P).
    counts
        Particles, shape (U, S, n).
    charge, mass
        e and dalton, shape (U, P, n).
    outside
        Particles that were in no cell, shape (S,).
    apart
        Counts, and last the charge, of each group in each unit of time, shape
        (B, G, S + 1, n).
    stayed, growth
        `parallel.Survivors` of each species' windows, shape (U, S, W).
    spent
        Their times, shape (U, S, W, PARTS), ps.
    transitions
        Lag in frames -> pairs from cell j to cell k, shape (S, U, n, n).
    """

    frames: np.ndarray
    extent: np.ndarray
    volume: np.ndarray
    box: np.ndarray
    share: np.ndarray
    counts: np.ndarray
    charge: np.ndarray
    mass: np.ndarray
    outside: np.ndarray
    apart: np.ndarray
    stayed: np.ndarray
    growth: np.ndarray
    spent: np.ndarray
    transitions: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def empty(cls, plan: Plan) -> Sums:
        """Nothing yet."""
        species, parts = plan.parts.owner.shape
        u, n = plan.units + plan.groups, plan.n
        windows = (u, species, len(plan.windows))
        return cls(
            np.zeros(u),
            np.zeros(u),
            np.zeros((u, n)),
            np.zeros((u, 3)),
            np.zeros((u, species + parts)),
            np.zeros((u, species, n)),
            np.zeros((u, parts, n)),
            np.zeros((u, parts, n)),
            np.zeros(species),
            np.zeros((plan.units, plan.groups, species + 1, n)),
            np.zeros(windows),
            np.zeros(windows),
            np.zeros((*windows, PARTS)),
            {lag: np.zeros((species, u, n, n), dtype=np.int32) for lag in plan.lags},
        )

    def add(self, other: Sums) -> None:
        """Add the sums of another part of the trajectory."""
        for one in fields(self):
            if one.name != "transitions":
                getattr(self, one.name)[...] += getattr(other, one.name)
        for lag, counts in other.transitions.items():
            self.transitions[lag] += counts

    def put(self, plan: Plan, unit: int, name: str, parts: np.ndarray, *at) -> None:
        """Add the sums of each group, shape (G, ...), to a unit of time and to groups."""
        total = getattr(self, name)
        total[(unit, *at)] += parts.sum(axis=0)
        total[(slice(plan.units, None), *at)] += parts

    def share_out(self, plan: Plan) -> None:
        """Tell the shares of units, when all frames are counted."""
        self.share[:] = self.frames[:, None]
        groups = slice(plan.units, None)
        self.share[groups] *= plan.groups * plan.parts.share

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
        self._follow_across(plan, unit, trails, starts)
        ends = starts + plan.lag
        z, x = trails.z[:ends], trails.x[:ends]
        if not x.shape[2] or len(z) <= plan.lag:
            return
        for s in range(self.counts.shape[1]):
            mine = trails.kind == s
            stays = count_survivors(
                z[:, mine], x[:, mine], plan.windows, plan.lag, plan.spacing,
                trails.group[mine],
            )  # fmt: skip
            self.put(plan, unit, "stayed", stays.number, s)
            self.put(plan, unit, "growth", stays.growth, s)
            self.put(plan, unit, "spent", stays.time, s)

    def _follow_across(self, plan: Plan, unit: int, trails: Trails, starts: int) -> None:
        cell = np.floor(trails.z * (plan.n / plan.extent)).astype(np.intp)
        rows, square = len(self.frames), plan.n**2
        for lag, counts in self.transitions.items():
            before, after = cell[:starts][: max(len(cell) - lag, 0)], cell[lag:]
            after = after[: len(before)]
            held = np.minimum(before, after) >= 0
            pair, one = before * plan.n + after, np.int32(1)
            for row in (unit, plan.units + trails.group) if plan.groups else (unit,):
                flat = (trails.kind * rows + row) * square + pair
                np.add.at(counts.reshape(-1), flat[held], one)

    def merged(self, index: np.ndarray) -> Sums:
        """The same with units made of these.

        `index` tells whose part each is, shape (U,); negative ones are left out.
        """
        kept = index >= 0

        def merge(sums: np.ndarray) -> np.ndarray:
            total = np.zeros((index.max() + 1, *sums.shape[1:]), dtype=sums.dtype)
            np.add.at(total, index[kept], sums[kept])
            return total

        parts = {
            one.name: merge(getattr(self, one.name))
            for one in fields(self)
            if one.name not in ("transitions", "outside", "apart")
        }
        pairs = {
            lag: np.stack([merge(one) for one in counts])
            for lag, counts in self.transitions.items()
        }
        return Sums(**parts, outside=self.outside, apart=self.apart, transitions=pairs)
