"""Steady states by Newton's method along a path of growing load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import InputError, StageError
from .medium import Conditions, Medium, concentrations
from .model import NernstPlanckPoisson
from .newton import NotConverged

#: A path step shorter than this ends the search.
SMALLEST_STEP = 1e-4
#: Part of the load by which the tangent is taken.
NUDGE = 1e-7


@dataclass(frozen=True)
class Report:
    """What the continuation did.

    Attributes
    ----------
    steps, rejected
        Steps of the path that converged, and that did not and were halved.
    iterations
        Newton iterations of the steps that converged.
    """

    steps: int
    rejected: int
    iterations: int


@dataclass(frozen=True)
class Solution:
    """A steady state, in scaled units.

    Attributes
    ----------
    x
        Nodes, shape (n_nodes,).
    psi, concentration
        Shape (n_species, n_nodes).
    phi
        Shape (n_nodes,).
    inflow
        (species index, position) -> flux into the domain where psi is held.
    charge
        Position -> surface charge where phi is held.
    medium, conditions
        What was solved.
    report
        How it was found.
    """

    x: np.ndarray
    psi: np.ndarray
    phi: np.ndarray
    concentration: np.ndarray
    inflow: Mapping[tuple[int, float], float]
    charge: Mapping[float, float]
    medium: Medium
    conditions: Conditions
    report: Report


def solve_steady(
    model: NernstPlanckPoisson,
    medium: Medium,
    conditions: Conditions,
    *,
    start: Solution | None = None,
    first_step: float = 1.0,
) -> Solution:
    """Steady state of a medium under conditions.

    The loads (mu_ex, fixed and surface charge, held values) grow linearly from those of
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
    _check_held(model, conditions)
    model.set_medium(medium)  # refuses what does not fit before anything is blended
    before = _at_rest(model, medium) if start is None else start
    path = _Path(model, before, medium, conditions)
    done, step, steps, rejected, iterations = 0.0, first_step, 0, 0, 0
    while done < 1.0:
        part = min(1.0, done + step)
        try:
            iterations += path.advance(done, part)
        except NotConverged as exc:
            rejected, step = rejected + 1, step / 2
            if step < SMALLEST_STEP:
                raise _stuck(done, str(exc)) from exc
        else:
            done, step, steps = part, step * 2, steps + 1
    return _solution(model, medium, conditions, Report(steps, rejected, iterations))


class _Path:
    """The states between two loads; `advance` goes from one of them to another."""

    def __init__(
        self,
        model: NernstPlanckPoisson,
        before: Solution,
        medium: Medium,
        conditions: Conditions,
    ):
        self.model, self.before = model, before
        self.medium, self.conditions = medium, conditions
        model.state = np.vstack([before.psi, before.phi])
        self.held, wanted = _held(model, conditions)
        self.origin = model.newton.u.x.array[self.held].copy()
        self.change = wanted - self.origin

    def load(self, part: float) -> None:
        """Put a part of the load on."""
        before, medium = self.before, self.medium
        mu_ex = _blend(before.medium.mu_ex, medium.mu_ex, part)
        fixed = _blend(before.medium.fixed_charge, medium.fixed_charge, part)
        self.model.set_medium(replace(medium, mu_ex=mu_ex, fixed_charge=fixed))
        first, last = before.conditions.surface_charge, self.conditions.surface_charge
        self.model.set_surface_charge(*_blend(first, last, part))

    def advance(self, done: float, part: float) -> int:
        """Newton iterations from the state at `done` to that at `part`.

        Raises
        ------
        NotConverged
            The state is again that at `done`.
        """
        newton, values = self.model.newton, self.model.newton.u.x.array
        last = values.copy()
        try:
            # Along the tangent first: exp(mu_ex) far off the state would overflow.
            values += (part - done) * self._tangent(done)
            self.load(part)
            values[self.held] = self.origin + part * self.change
            return newton.solve(self.held)
        except NotConverged:
            values[:] = last
            raise

    def _tangent(self, done: float) -> np.ndarray:
        """How the unknowns change with the load."""
        newton = self.model.newton
        self.load(done + NUDGE)
        nudged = newton.reactions()
        self.load(done)
        right = (newton.reactions() - nudged) / NUDGE
        right[self.held] = self.change
        return newton.linear(right, self.held)


def _check_held(model: NernstPlanckPoisson, conditions: Conditions) -> None:
    free = set(range(len(model.charge_numbers))) - {i for i, _ in conditions.psi}
    if free:
        raise InputError(
            "a species whose amount is not determined",
            wanted="psi held at one position or more, for every species",
            got=f"nowhere for species {sorted(free)}",
            mend="hold psi where the species meets a reservoir",
        )


def _stuck(done: float, why: str) -> StageError:
    return StageError(
        "the steady state was not found",
        wanted="convergence at the full load",
        got=f"{done:.4g} of it, then {why}",
        mend="refine the mesh where fields are steep, or come from a nearer solution",
    )


def _held(
    model: NernstPlanckPoisson, conditions: Conditions
) -> tuple[np.ndarray, np.ndarray]:
    keys = [*conditions.psi, *((-1, position) for position in conditions.phi)]
    values = [*conditions.psi.values(), *conditions.phi.values()]
    unknowns = [model.unknown(*key) for key in keys]
    return np.array(unknowns, dtype=int), np.array(values, dtype=float)


def _at_rest(model: NernstPlanckPoisson, medium: Medium) -> Solution:
    n, nodes = len(model.charge_numbers), len(model.x)
    zero = np.zeros((n, nodes))
    rest = replace(medium, mu_ex=zero, fixed_charge=0.0)
    return Solution(
        model.x, zero, zero[0], zero, {}, {}, rest, Conditions(), Report(0, 0, 0)
    )


def _blend(first, last, part: float) -> np.ndarray:
    return (1 - part) * np.asarray(first) + part * np.asarray(last)


def _solution(
    model: NernstPlanckPoisson, medium: Medium, conditions: Conditions, report: Report
) -> Solution:
    state, reaction = model.state, model.newton.reactions()
    psi, phi = state[:-1], state[-1]
    n = len(psi)
    volume = np.broadcast_to(medium.volume, (n,))
    z = model.charge_numbers
    density = concentrations(np.exp, medium.c_ref, volume, z, psi, phi, medium.mu_ex)
    inflow = {key: float(reaction[model.unknown(*key)]) for key in conditions.psi}
    charge = {x: float(reaction[model.unknown(-1, x)]) for x in conditions.phi}
    concentration = np.array(density)
    return Solution(
        model.x, psi, phi, concentration, inflow, charge, medium, conditions, report
    )
