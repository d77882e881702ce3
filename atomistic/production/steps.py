"""Steps of a watched trajectory: each a function of where it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from ase import Atoms, units

from ...core.md import MAX_HEAT
from ..active.trigger import expected_work
from ..active.walkers import ACCELERATION, KB, Mover, System, Walker, started
from ..labels import Label
from ..potential.evaluation import Evaluation
from .accuracy import Account, restoring
from .settings import ProductionSettings
from .state import State
from .symmetric import density, symmetric_step


@dataclass
class Steps:
    """Takes steps and looks at where they lead.

    Attributes
    ----------
    mover, s
        What moves and in what; settings.
    evaluations
        Of the potential, so far.
    begun
        Energy of motion at the start, eV: a run may cool.
    """

    mover: Mover
    s: ProductionSettings
    evaluations: int = 0
    begun: float = 0.0

    @property
    def system(self) -> System:
        """What moves."""
        return self.mover.system

    def first(self, start: Atoms) -> State:
        """Of a configuration; velocities are drawn where it has none."""
        v = start.get_velocities() * units.fs
        walker = Walker(start.positions.copy(), v)
        if not v.any():
            walker = started(self.system, self.s.motion, start.positions, 0)
        self.evaluations += 1
        found = self.mover.evaluate({0: walker}, spread=True)[0]
        return State(walker, 0.0, self.s.motion.timestep, found, _std(found), None)

    def moved(self, now: State, longest: float, spread: bool) -> State | None:
        """A step further; ``None`` when an atom runs away.

        Parameters
        ----------
        longest
            fs.
        spread
            Whether standard deviations are wanted; shrinking steps have none.
        """
        found: tuple[Walker, Evaluation, float] | None
        if self.s.answer == "shrink":
            dense = partial(density, system=self.system, reach=self.s.reach,
                            longest=longest)  # fmt: skip
            move = partial(self._taken, now, spread=False)
            found = symmetric_step(move, dense(now.found), dense, longest)
        else:
            taken = self._taken(now, longest, spread)
            found = taken and (*taken, longest)
        if found is None:
            return None
        walker, said, h = found
        account = self._later(now, walker, h)
        return State(walker, now.time + h, h, said, now.std, account)

    def _taken(self, now: State, h: float, spread: bool):
        self.evaluations += 1
        walkers, said = self.mover.step({0: now.walker}, {0: now.found}, spread, h)
        return (walkers[0], said[0]) if walkers else None

    def _later(self, now: State, walker: Walker, h: float) -> Account | None:
        memory = self.s.trigger.memory
        power = expected_work(memory, now.std, walker.v) / memory
        return now.account and now.account.later(h, power, memory)

    def looked(self, state: State) -> State:
        """With standard deviations of forces."""
        found = state.found
        if found.force_std is None:
            self.evaluations += 1
            said = self.mover.evaluate({0: state.walker}, spread=True)[0]
            found = replace(found, force_std=said.force_std)
        return replace(state, found=found, std=_std(found))

    def away(self, state: State | None) -> str:
        """Why a state is not sane; empty if it is."""
        if state is None:
            return "ran away"
        numbers = state.found.energy, state.found.forces, state.walker.v
        if not all(np.isfinite(value).all() for value in numbers):
            return "not finite"
        thermal = 1.5 * len(state.std) * KB * self.s.motion.temperature
        usual = max(thermal, self.begun)
        hot = self.system.kinetic(state.walker.v) > MAX_HEAT * usual
        return "hot" if hot else ""

    def conserved(self, state: State) -> float:
        """Energy of the potential and of motion less the heat, eV."""
        return state.found.energy + self._motion(state.walker)

    def _motion(self, walker: Walker) -> float:
        return self.system.kinetic(walker.v) - walker.heat

    def referred(self, state: State, label: Label) -> State:
        """The first state, with forces of the oracle; its energy is what is to stay."""
        return replace(
            state, found=replace(state.found, forces=label.forces),
            account=Account(label.energy + self._motion(state.walker),
                            label.energy - state.found.energy),
        )  # fmt: skip

    def corrected(self, state: State, label: Label) -> tuple[State, float]:
        """With the forces of the oracle in this step, and the energy put right.

        Returns
        -------
        state : State
        error : float
            Of the energy before that, eV.
        """
        account, walker = state.account, state.walker
        if account is None:
            raise AssertionError("the first state was referred to the oracle")
        half = 0.5 * state.timestep * ACCELERATION / self.system.masses[:, None]
        walker = replace(walker, v=walker.v + half * (label.forces - state.found.forces))
        error = label.energy + self._motion(walker) - account.first
        kinetic = self.system.kinetic(walker.v)
        factor = restoring(error, kinetic)
        put = kinetic * (1 - factor**2)
        return replace(
            state, walker=replace(walker, v=factor * walker.v),
            found=replace(state.found, forces=label.forces),
            account=account.called(error, label.energy - state.found.energy, put),
        ), error  # fmt: skip


def _std(found: Evaluation) -> np.ndarray:
    return np.asarray(found.force_std)
