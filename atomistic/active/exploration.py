"""Walks in a learned potential until it is too unsure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .trigger import Trigger, Verdict, judge
from .walkers import Mover, Walker

#: Part of the horizon in which a walker that goes on gives one unsure frame at most.
SPACING = 0.1
#: Growth of the largest distance from the training set since the last look, at which the
#: next one is not waited for.
JUMP = 1.5


@dataclass(frozen=True)
class Event:
    """A frame that is too unsure.

    Attributes
    ----------
    walker
        Number of the replica.
    time
        Since the replica was last set off, fs.
    verdict
        Which bounds were passed, and by how much.
    stopped
        Whether the replica stopped there.
    frame
        Positions (N, 3), A, to be labelled.
    unsure
        Standard deviations of the forces on its atoms, shape (N,), eV/A; ``None`` when
        atoms moved too far in the step that followed.
    """

    walker: int
    time: float
    verdict: Verdict
    stopped: bool
    frame: np.ndarray
    unsure: np.ndarray | None


@dataclass(frozen=True)
class Exploration:
    """What came of a walk.

    Attributes
    ----------
    walkers
        By number: those that stopped, at their last trusted moment; others at the end.
    events
        In the order of time.
    highest
        The largest of each bound's share that was seen where replicas went on.
    passed
        Time that all replicas together went on, fs.
    """

    walkers: dict[int, Walker]
    events: list[Event]
    highest: Verdict
    passed: float


def explore(
    mover: Mover,
    walkers: dict[int, Walker],
    trigger: Trigger,
    horizon: float,
    every: int,
    limit: float = 1.0,
    progress: Callable[[float, float, str], None] | None = None,
) -> Exploration:
    """Move walkers for a horizon; each stops where bounds are passed by too much.

    A young potential is nowhere as sure as it is to become. Stopped at once, it would see
    nothing new: up to a `limit` its walkers go on, and the least sure frame of each
    `SPACING` of the horizon is kept.

    Parameters
    ----------
    mover
        With a potential that was calibrated.
    walkers
        By number.
    trigger
        Bounds.
    horizon
        fs.
    every
        Steps between two looks, but for jumps of the distance from the training set.
    limit
        How many times the bounds a walker may pass before it stops.
    progress
        Called with (fs, horizon, text).

    Raises
    ------
    InputError
        When the potential was not calibrated.
    """
    walk = _Walk(mover, trigger, horizon, limit, walkers)
    while walk.alive:
        walk.go(every)
        walk.look()
        if progress is not None and walk.alive:
            progress(walk.time, horizon, f"{len(walk.events)} unsure")
    return walk.result()


class _Walk:
    """Walkers on their way: alive ones, their last trusted moments, events."""

    def __init__(self, mover: Mover, trigger, horizon: float, limit: float, walkers):
        self.mover, self.trigger = mover, trigger
        self.horizon, self.limit = horizon, limit
        self.alive, self.trusted = dict(walkers), dict(walkers)
        self.stops: list[Event] = []
        self.unsure: dict[tuple[int, int], Event] = {}  # by walker and part of the time
        self.highest = Verdict(0.0, 0.0)
        self.first = {r: w.age for r, w in walkers.items()}
        self.time = 0.0
        self.found = mover.evaluate(self.alive, spread=True)
        self.reach = {r: np.inf for r in walkers}
        self.look()

    def go(self, every: int) -> None:
        """Steps up to the next look; walkers that run away are taken out."""
        left = round((self.horizon - self.time) / self.mover.motion.timestep)
        n = max(1, min(every, left))
        for k in range(1, n + 1):
            before = self.alive
            self.alive, self.found = self.mover.step(before, self.found, spread=k == n)
            self.time += self.mover.motion.timestep
            for r in before.keys() - self.alive.keys():
                away = Verdict(np.inf, np.inf)
                self.stops.append(Event(r, self.time, away, True, before[r].x, None))
            if k < n and any(
                f.farthest > JUMP * self.reach[r] for r, f in self.found.items()
            ):
                self.found = self.mover.evaluate(self.alive, spread=True)
                return

    def look(self) -> None:
        """Judge every walker that is alive."""
        for r, w in list(self.alive.items()):
            found = self.found[r]
            temperature = self.mover.motion.temperature
            verdict = judge(self.trigger, found, w.v, temperature)
            stops = not verdict.largest <= self.limit
            event = Event(r, self.time, verdict, stops, w.x, found.force_std)
            if stops:
                self.stops.append(event)
                del self.alive[r]
                continue
            if verdict.fires:
                self._keep(event)
            self.trusted[r] = w
            self.reach[r] = found.farthest
            self.highest = Verdict(max(self.highest.force, verdict.force),
                                   max(self.highest.energy, verdict.energy))  # fmt: skip
        if self.time >= self.horizon - 1e-9:
            self.alive = {}

    def _keep(self, event: Event) -> None:
        """The least sure frame of each part of the time."""
        part = event.walker, int(self.time / (SPACING * self.horizon))
        before = self.unsure.get(part)
        if before is None or event.verdict.largest > before.verdict.largest:
            self.unsure[part] = event

    @property
    def events(self) -> list[Event]:
        """In the order of time."""
        return sorted([*self.stops, *self.unsure.values()], key=lambda e: e.time)

    def result(self) -> Exploration:
        """What came of it."""
        steps = sum(w.age - self.first[r] for r, w in self.trusted.items())
        return Exploration(
            self.trusted, self.events, self.highest, steps * self.mover.motion.timestep
        )
