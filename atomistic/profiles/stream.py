"""One pass over a trajectory, in one process or several, out of core.

Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np
from MDAnalysis.analysis.base import AnalysisBase
from MDAnalysis.lib.log import ProgressBar

from ...core.errors import InputError
from ...core.process import reader
from .images import moves, reach
from .settings import rounding
from .source import ANGSTROM, Source
from .sums import Plan, Sums, Trails
from .tally import Tally

#: Part of the box that a particle may move between frames before images are ambiguous.
JUMP = 0.4
#: Part of all mass at which the followed particles' common motion is drift; more of it
#: is followed twice.
ALL_MASS = 0.99
#: Rounding by which a particle may lie beyond the last face.
EDGE = 1 + 1e-9
#: Frames between reports.
REPORT = 256


class Pass(AnalysisBase):
    """Sums over whole blocks of frames, from the first of `run`.

    Parameters
    ----------
    source, plan
        What is read and what is summed.
    last
        First frame that belongs to no block of this part; later ones end pairs.
    progress
        Called with the number of frames done.
    """

    def __init__(self, source: Source, plan: Plan, last: int, progress=None):
        super().__init__(source.universe.trajectory)
        self._source, self._plan, self._last = source, plan, last
        self._progress = progress

    def _prepare(self):
        p, plan = self._source.particles, self._plan
        self._sums = Sums.empty(plan)
        # Frames of the block that is being read, and of what it needs after it.
        size = plan.block + plan.reach
        self._z = np.empty((size, len(p.followed)))
        self._x = np.empty((size, len(p.followed), 3))
        self._boxes = np.empty((size, 3, 3))
        self._filled, self._start = 0, self.start
        # Densities of atoms need one coordinate alone.
        self._whole = bool(plan.lag or p.bodies or self._source.moving is not None)
        self._everywhere = self._source.coordinate.everywhere
        self._tally = Tally(p, plan)
        self._unit = 0
        self._alike = 0
        self._time = self._lengths = None

    def _single_frame(self):
        source, ts = self._source, self._ts
        # Some readers give the same array in every frame: bytes are a copy.
        lengths = ts.dimensions
        alike = None if lengths is None else lengths.tobytes()
        if self._lengths is None or alike != self._lengths:
            self._add_frames()
            self._lengths, self._box = alike, source.box(ts)
            self._extent = source.coordinate.extent(self._box)
        self._check_time(ts)
        x = ANGSTROM * ts.positions if self._whole else None
        origin = source.origin(x, self._box, ts.frame)
        s = source.coordinate.across(ts.positions, self._box, origin, ANGSTROM)
        if not np.isfinite(s @ s):
            raise InputError(
                f"positions of frame {ts.frame}",
                wanted="finite numbers",
                got="NaN or infinity",
                mend="take the frames before the run blew up",
            )
        if ts.frame < self._last:
            self._count(self._plan.unit(ts.frame), s, x, origin)
        if self._plan.lag:
            self._keep(s, x, origin)
        if self._progress is not None and ts.frame % REPORT == 0:
            self._progress(ts.frame - self.start)

    def _add_frames(self):
        """Add the frames since the last time, all of one box and unit."""
        if not self._alike:
            return
        faces = np.linspace(0, self._extent, self._plan.n + 1)
        volumes = self._source.coordinate.volumes(faces, self._box)
        lengths, sums = np.linalg.norm(self._box, axis=1), self._sums
        groups = slice(self._plan.units, None)
        for rows, share in ((self._unit, 1), (groups, self._plan.parts.groups)):
            frames = self._alike / share
            sums.frames[rows] += frames
            sums.extent[rows] += frames * self._extent
            sums.volume[rows] += frames * volumes
            sums.box[rows] += frames * lengths
        self._alike = 0

    def _check_time(self, ts):
        if self._time is not None:
            step = ts.time - self._time
            off = abs(step - self._plan.spacing) - 1e-2 * self._plan.spacing
            if off > 0 and off > rounding(ts.time):
                raise InputError(
                    "frames that are not equally spaced",
                    wanted=f"{self._plan.spacing:g} ps between all of them",
                    got=f"{step:g} ps before frame {ts.frame}",
                    mend="save at one interval; cut out what was appended twice",
                )
        self._time = ts.time

    def _count(self, unit, s, x, origin):
        p, n = self._source.particles, self._plan.n
        if unit != self._unit:
            self._add_frames()
            self._tally.move_to(self._sums, self._unit)
            self._unit = unit
        self._alike += 1
        cell = (s * (n / self._extent)).astype(np.intp)
        if not self._everywhere:
            cell[(s < 0) | (s > self._extent * EDGE)] = n + 1
        self._tally.count(cell)
        for k in p.bodies:
            centres = p.centres(k, x, self._box)
            at = self._source.coordinate.across(centres, self._box, origin)
            held = (at >= 0) & (at <= self._extent * EDGE)
            here = np.minimum((at[held] * (n / self._extent)).astype(np.intp), n - 1)
            self._tally.count_centres(k, here, held)

    def _keep(self, s, x, origin):
        p, i, coordinate = self._source.particles, self._filled, self._source.coordinate
        if p.bodies:
            where = p.positions(x, self._box)
            z = coordinate.across(where, self._box, origin)
        else:
            # In single precision EDGE is lost, and scaling rounds up to the last face.
            where, z = x[p.atoms], s[p.atoms].astype(float)
        scale = self._plan.extent / self._extent
        z = np.where(z < self._extent * EDGE, np.minimum(z, self._extent / EDGE), -1)
        self._z[i] = z * scale
        self._x[i], self._boxes[i] = where, self._box
        self._filled += 1
        if self._filled == len(self._z):
            self._close()

    def _close(self):
        """Add the block that is complete, and begin the next."""
        plan, p = self._plan, self._source.particles
        block = min(plan.block, self._last - self._start, self._filled)
        if block <= 0:
            return
        filled = self._filled
        x = self._unwrapped(filled)
        trails = Trails(self._z[:filled], x, p.followed, plan.parts.followed)
        self._sums.follow(plan, plan.unit(self._start), trails, block)
        for held in (self._z, self._x, self._boxes):
            held[: filled - block] = held[block:filled].copy()
        self._filled, self._start = filled - block, self._start + block

    def _unwrapped(self, filled: int) -> np.ndarray:
        """Displacements along the interface since the first frame, (F, M, k)."""
        p, along = self._source.particles, self._source.coordinate.along
        if not along:
            return np.zeros((filled, len(p.followed), 0))
        steps = moves(self._x[:filled], self._boxes[:filled])
        worst = reach(steps, self._boxes[1:filled])
        if not worst <= JUMP:  # nor NaN
            raise InputError(
                "particles that jump between frames",
                wanted=f"moves below {JUMP:g} of the box, or images are ambiguous",
                got=f"{worst:.2f} of the box near frame {self._start}",
                mend="save more often, or follow fewer species",
            )
        mass, steps = p.mass[p.followed], steps[..., along]
        if abs(mass.sum() / p.masses.sum() - 1) < 1 - ALL_MASS:
            steps -= np.einsum("fma,m->fa", steps, mass / mass.sum())[:, None]
        start = np.zeros((1, *steps.shape[1:]))
        return np.concatenate([start, np.cumsum(steps, axis=0)])

    def _conclude(self):
        while self._filled and self._start < self._last:
            self._close()
        self._add_frames()
        self._tally.move_to(self._sums, self._unit)
        self._sums.share_out(self._plan)
        self.results.sums = self._sums


def collect(source: Source, plan: Plan, processes: int = 1, progress=None) -> Sums:
    """Sums over a trajectory.

    Parameters
    ----------
    source, plan
        What is read and what is summed.
    processes
        Each reads blocks of its own; sums are those of one process.
    progress
        Called with (done, of, what).
    """
    shown = progress or (lambda done, of, what: None)
    blocks = (plan.stop - plan.start) // plan.block
    parts = min(processes, blocks)
    edges = [plan.start + k * blocks // parts * plan.block for k in range(parts + 1)]
    spans = list(zip(edges[:-1], edges[1:], strict=True))
    if parts == 1:
        of = plan.stop - plan.start
        return _sum(source, plan, *spans[0], lambda done: shown(done, of, "frames"))
    total = Sums.empty(plan)
    # Forked processes need not import everything anew; where there are none, spawn them.
    kind = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(kind)
    with ProcessPoolExecutor(
        parts, mp_context=context, initializer=_begin, initargs=(os.getpid(),)
    ) as pool:
        jobs = [pool.submit(_sum, source, plan, *span) for span in spans]
        for done, job in enumerate(as_completed(jobs), start=1):
            total.add(job.result())
            shown(done, parts, "parts of the trajectory")
    return total


def _begin(parent: int) -> None:
    """Initialise a process; a thread of its parent may have held the lock of bars."""
    reader(parent)
    ProgressBar.set_lock(threading.RLock())


def _sum(source, plan, first: int, last: int, report=None) -> Sums:
    read = Pass(source, plan, last, report)
    read.run(start=first, stop=min(last + plan.reach, plan.limit))
    return read.results.sums
