"""The steps of a transient, one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import StageError
from .bdf import Bdf2
from .checkpoint import Checkpoint, listed, mapped
from .floating import check_same_currents, floating_of
from .holding import held_unknowns
from .medium import Conditions
from .newton import NotConverged
from .observables import totals
from .states import Report, Solution, check_terms, drives_of, load_of, solution_of

#: Steps grow by at most this factor: BDF2 is stable below 1 + sqrt(2).
GROWTH = 2.4
#: Growth of the first steps, which are of first order.
FIRST_GROWTH = 10.0
#: Times that a first step is made 100 times longer when Newton's method fails: ions
#: answer a jump more slowly later, and shorter steps start from there.
LONGER = 3


@dataclass(frozen=True, eq=False)
class Run:
    """What happened between two times, in scaled units.

    Attributes
    ----------
    time
        Of the start and of every step, shape (n_steps + 1,).
    inflow
        (species index, place) -> flux into the domain, shape (n_steps + 1,).
    charge
        Place -> surface charge, shape (n_steps + 1,).
    current
        Place -> electric current into the domain: of the ions, and what charges the
        border, shape (n_steps + 1,). That of the start is 0 by convention.
    potential
        Of the electrode with a given current, shape (n_steps + 1,); empty without.
    snapshots
        Time -> state, of the start, the times asked for and the end.
    steps, rejected, iterations
        Accepted steps, those that were made again, and Newton iterations of all.
    """

    time: np.ndarray
    inflow: dict
    charge: dict
    current: dict
    potential: np.ndarray
    snapshots: dict[float, Solution]
    steps: int
    rejected: int
    iterations: int

    @property
    def last(self) -> Solution:
        """The state at the end."""
        return self.snapshots[max(self.snapshots)]


class Walk:
    """The steps of one run.

    Parameters
    ----------
    model, medium
        The equations and what fills the domain.
    drive
        Conditions at a time.
    start
        State at `begin`.
    begin
        First time.

    Attributes
    ----------
    time
        Of the last accepted step.
    starting
        Whether steps are still those that meet a jump.
    """

    def __init__(self, model, medium, drive, start: Solution, begin: float):
        self.model, self.medium, self.drive, self.time = model, medium, drive, begin
        self.given = drive(begin)
        first = self._conditions(begin)
        model.put(load_of(model, medium, first))
        model.state = start.state
        self.floating = floating_of(model, first)
        if self.floating is not None and start.potential is not None:
            self.floating.value = start.potential
        self.bdf = Bdf2(model, medium)
        self.bdf.remember(begin, start.charge)
        self.starting = True
        self.rejected = self.iterations = 0
        potential = None if self.floating is None else self.floating.value
        self.rows: list[tuple] = [(begin, start.inflow, start.charge, {}, potential)]
        self.snapshots = {begin: start}

    def advance(self, step: float, stop: float, tolerance: float, whole: float) -> float:
        """Make one step that is good enough, and return the length of the next."""
        newton, first = self.bdf.newton, self.bdf.order == 1
        wanted, guess, longer = step, None, LONGER if len(self.rows) == 1 else 0
        while True:
            left = stop - self.time
            # What would be left as a sliver is shared between two steps.
            now = left if wanted >= left else min(wanted, max(0.5 * left, left - wanted))
            before = newton.iterations
            try:
                conditions = self._attempt(now, guess)
            except NotConverged as exc:
                failure, error = str(exc), np.inf
            else:
                failure, error = "", self.bdf.error(now) / tolerance
                # After a jump a shorter step ends near a longer one.
                guess = newton.u.x.array.copy() if first else None
            self.iterations += newton.iterations - before
            # The first instant after a jump has no error to control: no ion moves.
            if not failure and (error <= 1.0 or now <= 1e-12 * whole):
                break
            self.rejected += 1
            if failure and longer and guess is None and now < left:
                longer, wanted = longer - 1, 100 * now
                continue
            wanted = now * (0.25 if failure else _within(0.1, self._factor(error), 0.8))
            if failure and guess is None:  # nor did longer ones
                wanted = min(wanted, 0.25 * step)
            if wanted < 1e-15 * whole:
                when = self.model.words.number("time", self.time)
                raise _stuck(when, failure or "an error that no step makes small")
        factor = self._factor(error)
        limit = FIRST_GROWTH if first else GROWTH
        self._accept(now, stop if now == left else self.time + now, conditions, stop)
        # Charges jump in the first step: no difference may reach back over it.
        if self.starting and (len(self.rows) == 2 or factor > FIRST_GROWTH):
            self.bdf.restart()
        self.starting &= factor > FIRST_GROWTH
        return max(now, min(step, wanted)) * _within(0.2, factor, limit)

    def _attempt(self, step: float, guess: np.ndarray | None) -> Conditions:
        conditions = self._conditions(self.time + step)
        self.model.put(drives_of(self.model, conditions))
        held = held_unknowns(self.model, self.medium, conditions)
        if self.floating is not None:
            self.floating.aim(conditions, step, self.bdf)
        self.bdf.attempt(step, held, self.floating, guess=guess)
        return conditions

    def _conditions(self, time: float) -> Conditions:
        """Those of a time, whose kind is that of the first."""
        found = self.drive(time)
        check_terms(self.model, found)
        check_same_currents(self.given, found, self.model.words.number("time", time))
        return found

    def _factor(self, error: float) -> float:
        """By what a step may grow."""
        return 0.9 * max(error, 1e-12) ** (-1 / (self.bdf.order + 1))

    def _accept(self, step: float, time: float, conditions: Conditions, stop: float):
        inflow, charge = totals(self.model, conditions, self.bdf.newton)
        current = self.bdf.currents(step, inflow, charge)
        potential = None if self.floating is None else self.floating.value
        self.bdf.remember(time, charge)
        self.rows.append((time, inflow, charge, current, potential))
        self.time = time
        if time == stop:
            self._snapshot(conditions, self.rows[-1])

    def keep(self, kept: Checkpoint, step: float) -> None:
        """Write all that `resume` needs."""
        past, size = self.bdf.past, self.model.n_species + 1
        numbers = {
            "step": step,
            "starting": self.starting,
            "counts": [self.rejected, self.iterations],
            "potential": None if self.floating is None else self.floating.value,
            "past": [[one.time, listed(one.charge)] for one in past],
            "rows": [
                [time, listed(inflow), listed(charge), listed(current), potential]
                for time, inflow, charge, current, potential in self.rows
            ],
            "snapshots": list(self.snapshots),
        }
        order = self.model.order
        fields = {
            "past": np.array([p.unknowns.reshape(-1, size)[order].T for p in past]),
            "snapshots": np.array([one.state for one in self.snapshots.values()]),
        }
        kept.write(numbers, fields)

    def resume(self, kept: Checkpoint, step: float) -> float:
        """Take up a run that was kept, if there is one; the next step."""
        found = kept.read()
        if found is None:
            return step
        numbers, fields = found
        self.rows = [
            (time, *map(mapped, maps), potential)
            for time, *maps, potential in numbers["rows"]
        ]
        totals = {row[0]: row for row in self.rows}
        for time, state in zip(numbers["snapshots"], fields["snapshots"], strict=True):
            if time not in self.snapshots:
                self.model.state = state
                self._snapshot(self._conditions(time), totals[time])
        self.bdf.past = []
        for (time, charge), state in zip(numbers["past"], fields["past"], strict=True):
            self.model.state = state
            self.bdf.remember(time, mapped(charge))
        self.time, self.starting = numbers["past"][-1][0], numbers["starting"]
        self.rejected, self.iterations = numbers["counts"]
        if self.floating is not None:
            self.floating.value = numbers["potential"]
        return numbers["step"]

    def _snapshot(self, conditions: Conditions, row: tuple) -> None:
        time, inflow, charge, _, potential = row
        none = Report(0, 0, 0)
        state = solution_of(self.model, self.medium, conditions, none, potential)
        self.snapshots[time] = replace(state, inflow=inflow, charge=charge)

    def run(self) -> Run:
        """What was recorded."""
        time, inflow, charge, current, potential = zip(*self.rows, strict=True)
        floats = [value for value in potential if value is not None]
        return Run(
            np.array(time),
            _series(inflow),
            _series(charge),
            _series(current),
            np.array(floats),
            self.snapshots,
            len(time) - 1,
            self.rejected,
            self.iterations,
        )


def _within(low: float, value: float, high: float) -> float:
    return min(max(low, value), high)


def _series(rows: tuple[dict, ...]) -> dict:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, 0.0) for row in rows]) for name in names}


def _stuck(time: str, why: str) -> StageError:
    return StageError(
        "the transient stopped",
        wanted="steps that converge",
        got=f"at time {time}: {why}",
        mend="refine the mesh where fields are steep, or raise the tolerance",
    )
