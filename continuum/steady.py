"""Steady states by Newton's method along a path of growing load."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from ..core.errors import InputError, StageError
from .borders import at_rest
from .floating import floating_of, load_at
from .held import Held
from .holding import held_unknowns
from .medium import Conditions, Medium
from .model import NernstPlanckPoisson
from .newton import ROUGH, NotConverged
from .observables import concentrations
from .states import Report, Solution, check_terms, load_of, solution_of

Progress = Callable[[float, float, str], None]

#: A path step shorter than this ends the search.
SMALLEST_STEP = 1e-4
#: Part of the load by which the tangent is taken.
NUDGE = 1e-7


def solve_steady(
    model: NernstPlanckPoisson,
    medium: Medium,
    conditions: Conditions,
    *,
    start: Solution | None = None,
    first_step: float = 1.0,
    progress: Progress | None = None,
) -> Solution:
    """Steady state of a medium under conditions.

    The loads (coefficients, terms of borders, held values) grow linearly from those of
    `start` to those wanted; a step that fails is halved, one that converges is doubled.

    Parameters
    ----------
    model
        The equations; its state is overwritten.
    medium, conditions
        What to solve.
    start
        A solution of the same model; ``None`` starts at rest: no load, psi = phi = 0.
    first_step
        First step as a part of the whole path.
    progress
        Called with (part of the load, 1, "load").

    Returns
    -------
    Solution
        Fluxes are reactions of the residual, which are as exact as Newton's method, not
        gradients at the border.

    Raises
    ------
    InputError
        When fields do not fit the nodes, a condition is at no node, or a species is held
        nowhere.
    StageError
        When steps become shorter than `SMALLEST_STEP`.
    """
    check_terms(model, conditions)
    check_held(model, conditions)
    path = _Path(model, medium, conditions, start)
    done, step = 0.0, first_step
    taken: list[tuple[float, int, str]] = []
    while done < 1.0:
        part = min(1.0, done + step)
        try:
            iterations = path.advance(done, part)
        except NotConverged as exc:
            taken.append((part, 0, str(exc)))
            step /= 2
            if step < SMALLEST_STEP:
                raise _stuck(model, medium, done, str(exc)) from exc
        else:
            taken.append((part, iterations, ""))
            done, step = part, step * 2
            if progress is not None:
                progress(done, 1.0, "load")
    path.polish()
    return solution_of(model, medium, conditions, _report(taken), path.potential)


class _Path:
    """The states between two loads; `advance` goes from one of them to another."""

    def __init__(
        self,
        model: NernstPlanckPoisson,
        medium: Medium,
        conditions: Conditions,
        start: Solution | None,
    ):
        self.model, self.medium, self.start = model, medium, start
        self.last = load_of(model, medium, conditions)
        model.put(self.last)  # refuses what does not fit before anything is blended
        self.on = 1.0
        model.state = np.zeros_like(model.state) if start is None else start.state
        self.held = held_unknowns(model, medium, conditions)
        unknowns = model.newton.u.x.array
        self.origin = self.held.values + self.held.mismatch(unknowns)
        self.change = self.held.values - self.origin
        self.floating = floating_of(model, conditions)
        if self.floating is not None:
            if start is None:
                self.floating.value = 0.0
            elif start.potential is not None:
                self.floating.value = start.potential
            self.currents = [0.0, self.floating.wanted]
            self.put(0.0)
            self.currents[0] = self.floating.mismatch()

    @cached_property
    def first(self) -> dict[str, np.ndarray]:
        """The load where the path starts."""
        if self.start is None:
            return self.last | _rest(self.model, self.last)
        return self.last | load_at(self.model, self.start)

    @property
    def potential(self) -> float | None:
        """Of the electrode with a given current."""
        return None if self.floating is None else self.floating.value

    @contextlib.contextmanager
    def _or_back(self) -> Iterator[None]:
        """Take back what was changed when Newton's method does not converge."""
        state, potential = self.model.state, self.potential
        try:
            yield
        except NotConverged:
            self.model.state = state
            if self.floating is not None and potential is not None:
                self.floating.value = potential
            raise

    def put(self, part: float) -> Held:
        """Put a part of the load on; what is held then."""
        if part != self.on:
            blended = {
                name: (1 - part) * np.asarray(self.first[name]) + part * last
                for name, last in self.last.items()
            }
            self.model.put(blended)
            self.on = part
        held = replace(self.held, values=self.origin + part * self.change)
        if self.floating is not None:
            first, last = self.currents
            self.floating.wanted = (1 - part) * first + part * last
            self.floating.put(self.floating.value, held)
        return held

    def advance(self, done: float, part: float) -> int:
        """Newton iterations from the state at `done` to that at `part`.

        Raises
        ------
        NotConverged
            The state is again that at `done`.
        """
        newton, values = self.model.newton, self.model.newton.u.x.array
        with self._or_back():
            # Along the tangent first: exp(mu_ex) far off the state would overflow.
            values += (part - done) * self._tangent(done)
            held = self.put(part)
            fixed = held.factors == 0
            values[held.rows[fixed]] = held.values[fixed]
            return newton.solve(held, self.floating)

    def polish(self) -> None:
        """Fluxes to rounding: psi is counted from where each ion is most crowded."""
        model = self.model
        if np.abs(model.state[:-1]).max(initial=0.0) < 1e-3:
            return
        held, size = self.put(1.0), model.n_species + 1
        species = held.rows % size < model.n_species
        try:
            with self._or_back():
                model.move_origin(crowded(model, self.medium))
                held.values[species] -= model.origin[held.rows[species] % size]
                model.newton.solve(held, self.floating, fresh=False)
        except NotConverged:  # it was converged before
            self.put(1.0)

    def _tangent(self, done: float) -> np.ndarray:
        """How the unknowns change with the load."""
        newton = self.model.newton
        self.put(done + NUDGE)
        nudged = newton.reactions()
        held = self.put(done)
        right = (newton.reactions() - nudged) / NUDGE
        mine = held.rows < newton.n_owned
        right[held.rows[mine]] = self.change[mine]
        newton.assemble(held)
        return newton.linear(right, accuracy=ROUGH)


def crowded(model: NernstPlanckPoisson, medium: Medium) -> np.ndarray:
    """Psi of each species where its concentration is highest, shape (n_species,)."""
    state, comm = model.state, model.domain.comm
    c = concentrations(model, medium, state)
    nodes = c.argmax(axis=1)
    rows = np.arange(len(c))
    found = comm.allgather(np.array([c[rows, nodes], state[rows, nodes]]))
    best = np.argmax([part[0] for part in found], axis=0)
    return np.array([found[process][1][i] for i, process in enumerate(best)])


def undetermined(conditions: Conditions, n_species: int) -> list[int]:
    """Species whose amount steady conditions leave open."""
    held = {i for i, _ in (*conditions.psi, *conditions.concentration)}
    return [
        i
        for i in range(n_species)
        if i not in held and not any(b.determines(i) for b in conditions.borders)
    ]


def check_held(model: NernstPlanckPoisson, conditions: Conditions) -> None:
    """Refuse steady conditions that leave the amount of a species open.

    Raises
    ------
    InputError
    """
    free = undetermined(conditions, model.n_species)
    if free:
        raise InputError(
            "a species whose amount is not determined",
            wanted="psi or c held at one position or more, for every species",
            got=f"nowhere for {', '.join(map(model.words.name, free))}",
            mend="hold psi where the species meets a reservoir, or give its amount to "
            "closed.solve_closed",
        )


def _stuck(
    model: NernstPlanckPoisson, medium: Medium, done: float, why: str
) -> StageError:
    with np.errstate(over="ignore"):
        c = concentrations(model, medium, model.state)
    worst, node = np.unravel_index(np.argmax(c), c.shape)
    words, crowded = model.words, c[worst, node] > 1e3 * np.max(medium.c_ref)
    highest = words.number("concentration", c[worst, node])
    place = words.place(model.points[node, : model.domain.dim])
    return StageError(
        "the steady state was not found",
        wanted="convergence at the full load",
        got=f"{done:.4g} of it, then {why}; the highest concentration is "
        f"{highest}, of {words.name(int(worst))} at {place}",
        mend="give the ions volumes, or the electrode a Stern layer"
        if crowded
        else "refine the mesh where fields are steep, or come from a nearer solution",
    )


def _report(taken: list[tuple[float, int, str]]) -> Report:
    rejected = sum(bool(why) for *_, why in taken)
    iterations = sum(count for _, count, _ in taken)
    return Report(len(taken) - rejected, rejected, iterations, tuple(taken))


def _rest(model: NernstPlanckPoisson, load: dict) -> dict[str, np.ndarray]:
    """The numbers at which psi = phi = 0 solves the equations."""
    zero = {"mu_ex": np.zeros_like(load["mu_ex"]), "fixed_charge": np.array(0.0)}
    reactions = {f"reaction.{j}": np.array(0.0) for j in range(len(model.reactions))}
    if "slope" in load:
        zero["slope"] = np.zeros_like(load["slope"])
    return zero | at_rest(model.borders) | reactions
