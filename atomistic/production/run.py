"""One trajectory of a learned potential, watched step by step.

Between looks at standard deviations of forces, distances from the training set are seen
at every step. What is done where the potential is unsure is a setting; a run that leaves
what is sane (numbers, temperature, an atom that jumps) goes back to the last trusted
moment and is repeated with care: shorter steps, and the oracle at every one where there
is one. If that does not help it ends with an error that names the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ase import Atoms, units

from ...core.artefact import write_dataset, write_json
from ...core.errors import InputError, StageError
from ...core.md import store, stored
from ..active.exploration import JUMP
from ..active.trigger import Verdict, judge
from ..active.walkers import Mover, system_of
from ..labels import Failed, Label, Labeller
from ..potential.potential import Potential
from .folder import claimed
from .log import EventLog
from .settings import Produced, ProductionSettings
from .state import STATE, Course, State, packed, unpacked
from .steps import Steps
from .trajectory import joined, row, trajectory

Tell = Callable[[float, float, str], None] | None

#: Times its bounds at which forces are no forces any more, however short the step.
HOPELESS = 10.0
#: Times in a row that it may run away, each with half the time step of the last.
CAREFUL = 3
TRAJECTORY, SUMMARY = "trajectory.nc", "summary.json"


def produce(
    start: Atoms,
    potential: Potential,
    settings: ProductionSettings,
    folder: Path | str,
    oracle: Labeller | None = None,
    *,
    tell: Tell = None,
) -> Produced:
    """Run a trajectory that knows where its potential is unsure.

    Parameters
    ----------
    start
        Where it starts; velocities are drawn at the temperature unless it has some.
    potential
        Calibrated.
    settings
        How.
    folder
        Gets ``trajectory.nc`` (`frames/1`, with uncertainty; energies are those of the
        potential, forces the oracle's where it was called), ``events.jsonl``, frames to
        look at and ``summary.json``. A run that was killed goes on from there with the
        same arguments, and ends with the same bits if the oracle always gives the same.
    oracle
        For the answer ``"correct"``.
    tell
        Called with (fs, length, text).

    Raises
    ------
    InputError
        When the potential was not calibrated, there is no oracle where one is needed, or
        the folder is of another run.
    StageError
        When it cannot go on: says where, why, and which frame to look at.
    """
    potential.calibrated()
    if settings.answer == "correct" and oracle is None:
        raise InputError("corrections by an oracle", wanted="an oracle", got="none",
                         mend='a Labeller, or another answer than "correct"')  # fmt: skip
    return _Run(start, potential, settings, Path(folder), oracle).go(tell)


class _Stopped(Exception):
    """The run ends before its time; with an error unless that was asked for."""

    def __init__(self, reason: str, error: StageError | None):
        super().__init__(reason)
        self.reason, self.error = reason, error


class _Run:
    """Where a run is, and how it goes on."""

    def __init__(self, start, potential, s: ProductionSettings, folder: Path, oracle):
        self.s, self.oracle, self.folder = s, oracle, folder
        self.system, self.potential = system_of([start]), potential
        self.asks = s.answer == "correct"
        claimed(folder, start, potential, s, oracle if self.asks else None)
        self.start = start
        self.steps = self._steps(0)
        self.parts: list[dict] = []
        while (part := stored(self._segment_path())) is not None:
            self.parts.append(part)
        self.rows: list[tuple] = []
        self.now: State
        self.course: Course
        if self.parts:
            self.now, self.course = unpacked(self.parts[-1])
            self.steps.evaluations = self.course.evaluations
        self.log = EventLog(folder, self.course.log if self.parts else 0)

    def _steps(self, evaluations: int) -> Steps:
        """With neighbour lists that are new."""
        mover = Mover(self.system, self.potential, self.s.motion)
        begun = self.system.kinetic(self.start.get_velocities() * units.fs)
        return Steps(mover, self.s, evaluations, begun)

    def _segment_path(self) -> Path:
        return self.folder / "segments" / f"{len(self.parts):05d}.npz"

    def go(self, tell: Tell) -> Produced:
        """To the end, whatever that is."""
        reason, error = "", None
        try:
            if not self.parts:
                self._begin()
            while not self._over:
                self._segment()
                if tell is not None:
                    tell(self.now.time, self.s.length, f"{self.course.events} events")
        except _Stopped as exc:
            reason, error = exc.reason, exc.error
            self.parts.append(joined(self.rows))
        found = self._summary(reason)
        if any(len(part["row_time"]) for part in self.parts):
            ds = trajectory(self.parts, self.system, self.s.motion)
            write_dataset(ds, self.folder / TRAJECTORY, "frames/1")
        write_json(self.folder / SUMMARY, asdict(found))
        if error is not None:
            raise error
        return found

    @property
    def _over(self) -> bool:
        return self.now.time >= self.s.length - 1e-9

    def _begin(self) -> None:
        """The first state, and what is said of it."""
        now = self.steps.first(self.start)
        self.course = Course(self.steps.conserved(now), self.s.motion.timestep)
        self.now = self.trusted = now
        if self.asks:
            self.now = self.steps.referred(now, self._label(now))
        self._trust()
        self._judged(self.now)

    def _segment(self) -> None:
        """Go on to a trusted moment some steps ahead, and keep it."""
        # Neighbour lists are new, as they are after a kill: other orders, other bits.
        self.steps = self._steps(self.steps.evaluations)
        self.trusted, until = self.now, self.now.walker.age + self.s.segment
        while self.course.lag or not (self.now.walker.age >= until or self._over):
            self._advance()
        self.course.log = self.log.size
        self.course.evaluations = self.steps.evaluations
        part = joined(self.rows) | packed(self.now, self.course)
        store(self._segment_path(), part)
        self.parts.append({k: v for k, v in part.items() if k not in STATE})
        self.rows = []

    def _advance(self) -> None:
        """One step, or back to the last trusted moment."""
        c, s = self.course, self.s
        careful = c.strict_left > 0
        c.lag += 1
        due = c.lag >= s.every or c.watch > 0 or careful
        due = due or self.now.time + s.motion.timestep >= s.length - 1e-9
        longest = s.motion.timestep / 2 ** (c.strict if careful else 0)
        moved = self.steps.moved(self.now, longest, due)
        away = self.steps.away(moved)
        if away == "hot" and careful and self.asks:
            away = ""  # by the forces of the oracle
        if moved is None or away:
            return self._back(away)
        c.smallest_step = min(c.smallest_step, moved.timestep)
        due = due or moved.found.farthest > JUMP * self.trusted.found.farthest
        must = careful
        if due:
            moved = self.steps.looked(moved)
            must |= self._judged(moved)
            if self.asks and must and c.lag > 1:
                return self._again()
        if self.asks and (must or self._expected(moved) > self._budget):
            moved = self._corrected(moved, "force" if must else "energy")
        self.now = moved
        if due:
            self._trust()
        return None

    @property
    def _budget(self) -> float:
        """Error of the energy that is asked for, eV."""
        return 1e-3 * self.s.budget * len(self.system.masses)

    def _expected(self, state: State) -> float:
        return state.account.expected  # type: ignore[union-attr]

    def _trust(self) -> None:
        """Where we are is where the run would go back to."""
        c = self.course
        self.trusted, c.lag = self.now, 0
        c.watch = max(c.watch - 1, 0)
        c.strict_left = max(c.strict_left - 1, 0)
        c.strict = c.strict if c.strict_left else 0
        if self.now.time >= c.next_frame - 1e-9:
            self.rows.append(row(self.now))
            c.next_frame += self.s.stride * (
                1 + (self.now.time - c.next_frame) // self.s.stride
            )

    def _judged(self, state: State) -> bool:
        """Whether bounds are passed; tells when that begins and ends."""
        c, s = self.course, self.s
        verdict = judge(s.trigger, state.found, state.walker.v, s.motion.temperature)
        fires = not verdict.force <= 1 if self.asks else verdict.fires
        hopeless = s.answer == "shrink" and not verdict.largest <= HOPELESS
        if s.answer == "stop" and fires or hopeless:
            self._stop(verdict.reason, state, verdict, failed=hopeless)
        if fires and self.asks:
            c.watch = s.every + 1  # this look is one of them
            if c.lag > 1:
                return True  # it comes again, from where it was sure
        if fires and not c.firing:
            self._tell(verdict.reason, s.answer, state, verdict)
        elif c.firing and not fires:
            self._tell("sure again", "", None, verdict, time=state.time)
        c.firing = fires
        return fires

    def _again(self) -> None:
        """Back to where it was sure, to look and ask after every step."""
        self.now = self.trusted
        self.course.lag = 0

    def _back(self, reason: str) -> None:
        """Back, and with care from there; or the end."""
        c = self.course
        c.strict += 1
        if self.s.answer == "stop" or c.strict > CAREFUL:
            self._stop(reason, self.now, failed=True)
        self._tell(reason, "rewind", self.now)
        c.rewound += 1
        c.strict_left = 2 * self.s.every * 2**c.strict
        self._again()

    def _corrected(self, state: State, reason: str) -> State:
        """With forces of the oracle in this step, and the energy put right."""
        label, expected = self._label(state), self._expected(state)
        found, error = self.steps.corrected(state, label)
        self._write("oracle", reason, state.time, label=label.key,
                    error=self._each(error), expected=self._each(expected))  # fmt: skip
        return found

    def _label(self, state: State) -> Label:
        self.course.calls += 1
        # A failure ends the run; one that is in the store ended it before.
        (found,) = self.oracle.label([self.system.atoms(state.walker.x)], again=True)
        if isinstance(found, Failed):
            mend = "mend the oracle and run again: it goes on; the frame is {}"
            self._stop(
                f"the oracle failed: {found.reason}", state, failed=True, mend=mend
            )
        return found

    def _each(self, energy: float) -> float:
        """Of an energy in eV, meV per atom."""
        return 1e3 * energy / len(self.system.masses)

    def _stop(
        self, reason: str, state: State, verdict=None, *, failed: bool,
        mend: str = "look at {}; label such frames and train on them",
    ) -> None:  # fmt: skip
        """End the run here."""
        frame = self._tell(reason, "stop", state, verdict)
        error = StageError(
            f"the run stopped at {state.time:.2f} fs: {reason}",
            mend=mend.format(self.folder / frame),
        )  # fmt: skip
        raise _Stopped(reason, error if failed else None)

    def _tell(self, reason: str, answer: str, state: State | None,
              verdict: Verdict | None = None, time: float = 0.0) -> str:  # fmt: skip
        """A line of the log, with the frame of a state; its name."""
        said = {} if verdict is None else asdict(verdict)
        frame = ""
        if state is not None:
            atoms, time = self.system.atoms(state.walker.x), state.time
            atoms.set_velocities(state.walker.v / units.fs)
            frame = self.log.frame(self.course.events, atoms, state.found)
        self._write(answer, reason, time, frame=frame, **said)
        return frame

    def _write(self, answer: str, reason: str, time: float, **more) -> None:
        self.log.add({"event": self.course.events, "time": time, "reason": reason,
                      "answer": answer} | more)  # fmt: skip
        self.course.events += 1

    def _summary(self, reason: str) -> Produced:
        c, now, found = self.course, self.now, self.now.account
        error = worst = drift = None
        if found is not None and found.calls:
            error = self._each((found.squares / found.calls) ** 0.5)
            worst = self._each(found.worst)
        if found is None:
            drift = self._each(self.steps.conserved(now) - c.first)
        return Produced(
            not reason, reason, now.time, now.walker.age, self.steps.evaluations,
            c.calls, c.events, c.rewound, c.smallest_step, error, worst,
            self._each(found.restored) if found else 0.0, drift,
        )  # fmt: skip
