"""Steady states of media that are like one whose state is known."""

from __future__ import annotations

from dataclasses import replace

from .floating import floating_of
from .held import Held
from .holding import held_unknowns
from .medium import Medium
from .model import NernstPlanckPoisson
from .newton import NotConverged
from .response import restore
from .states import Report, Solution, load_of, solution_of
from .steady import solve_steady

#: Steps with the Jacobian of the known state: each leaves a tenth of the way and costs a
#: fifth of a step with a Jacobian of its own.
CHORDS = 2
#: Increments that shrink tenfold are fast enough for the Jacobian that they came from.
KEEP = 0.1


class Nearby:
    """Solver for media near that of a steady state, under the same conditions.

    Whatever does not depend on the medium is done once, the factorisation of the known
    state's Jacobian too. Every search starts from that state: what it finds does not
    depend on those before.

    Parameters
    ----------
    model
        The equations; its state is overwritten.
    known
        A steady state.
    """

    def __init__(self, model: NernstPlanckPoisson, known: Solution):
        self.model, self.known, self._state = model, known, known.state
        self._held = restore(model, known)
        self._floating = floating_of(model, known.conditions)
        self._chord = None
        if model.newton.direct:  # iterations gain nothing from an old matrix
            self._chord = model.newton_of(model.newton.residual, model.newton.jacobian)
            self._chord.assemble(self._held)

    def solve(self, medium: Medium) -> Solution:
        """Steady state of a medium, by continuation where it is too far.

        Raises
        ------
        InputError
            When fields do not fit the nodes.
        StageError
            When continuation fails (`steady.solve_steady`).
        """
        known = self.known
        try:
            iterations = self._iterate(medium)
        except NotConverged:
            return solve_steady(
                self.model, medium, known.conditions, start=known, first_step=0.5
            )
        report = Report(1, 0, iterations, ((1.0, iterations, ""),))
        potential = None if self._floating is None else self._floating.value
        return solution_of(self.model, medium, known.conditions, report, potential)

    def _iterate(self, medium: Medium) -> int:
        """Go from the known state to that of a medium; the number of iterations."""
        model, held = self.model, self._held_of(medium)
        model.put(load_of(model, medium, self.known.conditions))
        model.state = self._state
        if self._floating is not None and self.known.potential is not None:
            self._floating.put(self.known.potential, held)
        chords = self._chord.iterations if self._chord is not None else 0
        if self._chord is not None:
            for _ in range(CHORDS):
                self._chord.step(held, self._floating, fresh=False)
            chords = self._chord.iterations - chords
        # Increments of a potential that is found do not shrink evenly.
        keep = KEEP if self._floating is None else 0.0
        return chords + model.newton.solve(held, self._floating, keep=keep)

    def _held_of(self, medium: Medium) -> Held:
        conditions = self.known.conditions
        if conditions.concentration:  # holds what depends on mu_ex
            return held_unknowns(self.model, medium, conditions)
        return replace(self._held, values=self._held.values.copy())
