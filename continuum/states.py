"""States of a model: what was solved, what was found, what is held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from .borders import check_species, numbers_of
from .collective import together
from .medium import Conditions, Medium
from .model import NernstPlanckPoisson
from .newton import Held
from .observables import concentrations, totals
from .periodic import slope_of


@dataclass(frozen=True)
class Report:
    """What the continuation did.

    Attributes
    ----------
    steps, rejected
        Steps of the path that converged, and that did not and were halved.
    iterations
        Newton iterations of the steps that converged.
    path
        Of each step in turn: the part of the load that it aimed at, the iterations it
        took and, when it was rejected, why.
    """

    steps: int
    rejected: int
    iterations: int
    path: tuple[tuple[float, int, str], ...] = ()

    def __str__(self) -> str:
        lines = [
            f"load {part:8.4f}  "
            + (f"rejected: {why}" if why else f"{iterations} iterations")
            for part, iterations, why in self.path
        ]
        total = (
            f"{self.steps} steps, {self.rejected} rejected, {self.iterations} iterations"
        )
        return "\n".join([*lines, total])


@dataclass(frozen=True, eq=False)
class Solution:
    """A state of a model, in scaled units.

    Attributes
    ----------
    points
        Nodes, shape (n_nodes, 3).
    psi, concentration
        Shape (n_species, n_nodes).
    phi
        Shape (n_nodes,).
    inflow
        (species index, place) -> flux into the domain, where psi or c is held or a term
        lets the species in; summed over the border.
    charge
        Place -> surface charge, where phi is held or a term brings charge; summed over
        the border.
    medium, conditions
        What was solved.
    report
        How it was found.
    potential
        Of the electrode with a given current.
    """

    points: np.ndarray
    psi: np.ndarray
    phi: np.ndarray
    concentration: np.ndarray
    inflow: Mapping[tuple[int, str | float], float]
    charge: Mapping[str | float, float]
    medium: Medium
    conditions: Conditions
    report: Report
    potential: float | None = None

    @classmethod
    def at_rest(
        cls, model: NernstPlanckPoisson, medium: Medium, conditions: Conditions
    ) -> Solution:
        """Psi and phi zero everywhere, as before anything was switched on."""
        zero = np.zeros((model.n_species, len(model.points)))
        state = np.vstack([zero, zero[:1]])
        c = concentrations(model, medium, state)
        none = Report(0, 0, 0)
        return cls(model.points, zero, zero[0], c, {}, {}, medium, conditions, none)

    @property
    def x(self) -> np.ndarray:
        """First coordinate of the nodes, shape (n_nodes,)."""
        return self.points[:, 0]

    @property
    def state(self) -> np.ndarray:
        """Unknowns of the model, shape (n_species + 1, n_nodes)."""
        return np.vstack([self.psi, self.phi])


def check_terms(model: NernstPlanckPoisson, conditions: Conditions) -> None:
    """Refuse conditions whose terms are not those that the model was made for.

    Raises
    ------
    InputError
    """
    for name in ("borders", "periodic"):
        wanted = [border.signature() for border in getattr(model, name)]
        got = [border.signature() for border in getattr(conditions, name)]
        if got != wanted:
            raise InputError(
                f"terms of {name} that the model was not made for",
                wanted=str(wanted),
                got=str(got),
                mend=f"make the model with {name}=conditions.{name}",
            )


def load_of(
    model: NernstPlanckPoisson, medium: Medium, conditions: Conditions
) -> dict[str, np.ndarray]:
    """All numbers of a medium and the borders, under the model's names."""
    _check_medium(model, medium)
    reactions = {f"reaction.{j}": np.array(1.0) for j in range(len(model.reactions))}
    return medium.load() | drives_of(model, conditions) | reactions


def drives_of(model: NernstPlanckPoisson, conditions: Conditions) -> dict:
    """Numbers of the borders' terms and of the mean field, under the model's names."""
    numbers = numbers_of(conditions.borders)
    if model.ties is not None:
        slope = slope_of(model.ties, conditions.periodic, model.domain.dim)
        numbers["slope"] = slope
    return numbers


def _check_medium(model: NernstPlanckPoisson, medium: Medium) -> None:
    """Refuse a medium of another kind: the model would keep numbers of an earlier one."""
    kinds = {
        "closure": (model.closure.signature(), medium.closure.signature()),
        "diffusion tensor": (model.anisotropic, medium.distance is not None),
        "velocity": (model.advection, medium.velocity is not None),
    }
    for name, (wanted, got) in kinds.items():
        if wanted != got:
            raise InputError(
                f"a medium that the model was not made for: {name}",
                wanted=str(wanted),
                got=str(got),
                mend="make the model with the medium's closure and kind",
            )


def held_unknowns(
    model: NernstPlanckPoisson, medium: Medium, conditions: Conditions
) -> Held:
    """Which unknowns conditions hold, and at what values."""
    size = model.n_species + 1
    rows: dict[int, tuple[int, float, float]] = {}
    named = (i for i, _ in (*conditions.psi, *conditions.concentration))
    check_species(named, model.n_species)
    for (i, place), c in conditions.concentration.items():
        if not c > 0:
            raise InputError(
                "a concentration that cannot be held",
                wanted="a positive number",
                got=f"{c:g} for species {i} at {place!r}",
            )
        for row in model.unknowns(i, place):
            partner = row - i + size - 1
            value = _psi_without_phi(model, medium, conditions, i, c, row // size, place)
            rows[int(row)] = int(partner), -float(model.charge_numbers[i]), value
    phi = {(-1, place): value for place, value in conditions.phi.items()}
    for (i, place), value in {**conditions.psi, **phi}.items():
        rows |= {int(row): (int(row), 0.0, value) for row in model.unknowns(i, place)}
    if model.ties is not None:
        rows = model.ties.carried(rows)
    if phi_is_free(model, conditions):
        rows |= {int(row): (int(row), 0.0, 0.0) for row in model.anchor}
    columns = zip(*rows.values(), strict=True) if rows else ((), (), ())
    partners, factors, values = columns
    with together(model.domain.comm):
        if not np.isfinite(values).all():
            raise InputError("a condition that is not finite", got=str(conditions)[:200])
    return Held(
        np.array(list(rows), dtype=int),
        np.array(partners, dtype=int),
        np.array(factors, dtype=float),
        np.array(values, dtype=float),
    )


def phi_is_free(model: NernstPlanckPoisson, conditions: Conditions) -> bool:
    """Whether phi may be counted from anywhere; it is zero at `model.anchor` then."""
    charged = any(model.charge_numbers[i] for i, _ in conditions.psi)
    metal = any("potential" in border.numbers for border in conditions.borders)
    return not (conditions.phi or charged or metal)


def _psi_without_phi(model, medium, conditions, i, c, node, place) -> float:
    """``psi_i - z_i phi`` of a concentration at a node."""
    # The others' concentrations matter to a closure: they are those held here as well.
    density = np.array(medium.c_ref, dtype=float)
    for (j, where), value in conditions.concentration.items():
        if where == place:
            density[j] = value
    activity = medium.closure.ln_activities(density)[i] - medium.ln_activity[i]
    local = int(np.flatnonzero(model.order == node)[0])
    return float(activity + medium.mu_ex[i, local])


def solution_of(
    model: NernstPlanckPoisson,
    medium: Medium,
    conditions: Conditions,
    report: Report,
    potential: float | None = None,
) -> Solution:
    """The model's present state with its fluxes and charges.

    Parameters
    ----------
    model, medium, conditions, report
        The model has their numbers.
    potential
        Of the electrode with a given current, which the model has too.

    Raises
    ------
    InputError
        When concentrations are outside the range of the medium's closure.
    """
    state = model.state
    c = concentrations(model, medium, state)
    with together(model.domain.comm):
        medium.closure.check(c)
    return Solution(
        model.points,
        state[:-1],
        state[-1],
        c,
        *totals(model, conditions, model.newton),
        medium,
        conditions,
        report,
        potential,
    )
