"""States of a model: what was solved, what was found, what is held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from .borders import numbers_of
from .collective import together
from .holding import check_place
from .medium import Conditions, Medium
from .model import NernstPlanckPoisson
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
        lets the species in; summed over the border. The share of a corner of two borders
        goes to one of them (`holding.rows_held`).
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
    """Refuse terms that the model was not made for, and electrodes without an area.

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
    for border in conditions.borders:
        if "potential" in border.numbers:
            check_place(model, border.place)


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
        medium.closure.check(c, model.words)
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
