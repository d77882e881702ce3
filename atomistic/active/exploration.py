"""Walks in a learned potential until it is too unsure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..potential.evaluation import Evaluation
from .trigger import Trigger, Verdict, judge, power2
from .walkers import Mover, Walker

#: Growth of the largest distance from the training set since the last look, at which the
#: next one is not waited for.
JUMP = 1.5


@dataclass(frozen=True)
class Event:
    """A trigger that fired.

    Attributes
    ----------
    walker
        Number of the replica.
    time
        Since the replica was last set off, fs.
    verdict
        What was passed.
    frame
        Positions (N, 3), A, to be labelled.
    unsure
        Standard deviations of the forces on its atoms, shape (N,), eV/A; ``None`` when
        atoms moved too far in the step that followed.
    """

    walker: int
    time: float
    verdict: Verdict
    frame: np.ndarray
    unsure: np.ndarray | None


@dataclass(frozen=True)
class Exploration:
    """What came of a walk.

    Attributes
    ----------
    walkers
        By number: those that fired, at their last trusted moment; others at the end.
    events
        In the order of time.
    highest
        The largest of each bound's share that was seen in trusted frames.
    passed
        Trusted time of all replicas together, fs.
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
    progress: Callable[[float, float, str], None] | None = None,
) -> Exploration:
    """Move walkers for a horizon; each stops where the trigger fires.

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
    progress
        Called with (fs, horizon, text).

    Raises
    ------
    InputError
        When the potential was not calibrated.
    """
    walk = _Walk(mover, trigger, horizon, walkers)
    while walk.alive:
        walk.go(every)
        walk.look()
        if progress is not None and walk.alive:
            progress(walk.time, horizon, f"{len(walk.events)} triggers")
    return walk.result()


class _Walk:
    """Walkers on their way: alive ones, their last trusted moments, events."""

    def __init__(self, mover: Mover, trigger: Trigger, horizon: float, walkers):
        self.mover, self.trigger, self.horizon = mover, trigger, horizon
        self.alive, self.trusted = dict(walkers), dict(walkers)
        self.events: list[Event] = []
        self.highest = Verdict(0.0, 0.0)
        self.first = {r: w.age for r, w in walkers.items()}
        self.behind = dict.fromkeys(walkers, 0.0)
        self.power = dict.fromkeys(walkers, 0.0)
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
                self._fire(r, Verdict(np.inf, np.inf), before[r].x, None)
            if k < n and any(
                _reach(f) > JUMP * self.reach[r] for r, f in self.found.items()
            ):
                self.found = self.mover.evaluate(self.alive, spread=True)
                return

    def look(self) -> None:
        """Judge every walker that is alive."""
        for r, w in list(self.alive.items()):
            found = self.found[r]
            steps = w.age - self.trusted[r].age
            # Between two looks the power is taken as their mean.
            power = power2(found, w.v)
            spent = steps * self.mover.motion.timestep
            behind = self.behind[r] + 0.5 * spent * (self.power[r] + power)
            verdict = judge(self.trigger, found, w.v, behind, self.horizon - self.time,
                            self.mover.motion.temperature)  # fmt: skip
            if verdict.fires:
                self._fire(r, verdict, w.x, found.force_std)
                del self.alive[r]
                continue
            self.trusted[r], self.behind[r], self.power[r] = w, behind, power
            self.reach[r] = _reach(found)
            self.highest = Verdict(max(self.highest.force, verdict.force),
                                   max(self.highest.energy, verdict.energy))  # fmt: skip
        if self.time >= self.horizon - 1e-9:
            self.alive = {}

    def _fire(self, r: int, verdict: Verdict, frame: np.ndarray, unsure) -> None:
        self.events.append(Event(r, self.time, verdict, frame, unsure))

    def result(self) -> Exploration:
        """What came of it."""
        steps = sum(w.age - self.first[r] for r, w in self.trusted.items())
        return Exploration(
            self.trusted, self.events, self.highest, steps * self.mover.motion.timestep
        )


def _reach(found: Evaluation) -> float:
    """Largest distance of an atom from the training set."""
    return float(np.max(found.distances))  # type: ignore[arg-type]  # was calibrated
