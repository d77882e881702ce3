"""Quantities of interest of a solution, and how they change with what they depend on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from ..core.errors import InputError
from . import _dolfinx as fx
from ._dolfinx import ufl
from .holding import rows_held
from .medium import Conditions, Place
from .model import NernstPlanckPoisson
from .observables import crossings
from .response import Response, restore
from .states import Solution


class Quantity(Protocol):
    """A number that belongs to a solution."""

    def __call__(self, model: NernstPlanckPoisson, solution: Solution) -> float:
        """Its value."""

    def slope(
        self,
        model: NernstPlanckPoisson,
        conditions: Conditions,
        name: str,
        also: np.ndarray | float = 0.0,
    ) -> np.ndarray:
        """Its derivative, and that of equations along with it, at the model's state.

        Parameters
        ----------
        model, conditions
            The equations, and what is held.
        name
            By what, as in `Response.sum`.
        also
            Weights of equations that are added to the quantity.

        Returns
        -------
        ndarray, shape (n_unknowns,)
            In the order of `Response`.
        """

    def direct(
        self,
        model: NernstPlanckPoisson,
        conditions: Conditions,
        electrode: Place,
        enters: np.ndarray,
    ) -> float:
        """Its derivative by the potential of an electrode at fixed unknowns.

        Parameters
        ----------
        model, conditions
            The equations, and what is held.
        electrode
            Its place.
        enters
            What terms there let in per potential, shape (n_owned,).
        """


class AtPlace:
    """A weighted sum of what enters at a place.

    Attributes
    ----------
    place
        A border, or a position, as in the conditions.
    """

    place: Place

    def weights(self, model: NernstPlanckPoisson) -> np.ndarray:
        """Of what enters of each species, and of the charge, shape (n_species + 1,)."""
        raise NotImplementedError

    def __call__(self, model: NernstPlanckPoisson, solution: Solution) -> float:
        """Its value.

        Raises
        ------
        InputError
            When nothing is held at the place and no term acts there.
        """
        self._found(model, solution.conditions)
        flows = [
            solution.inflow.get((i, self.place), 0.0) for i in range(model.n_species)
        ]
        return float(self.weights(model) @ [*flows, solution.charge.get(self.place, 0.0)])

    def slope(self, model, conditions, name, also=0.0):
        """Derivative of reactions, of what terms let in, and of what passes inside."""
        response, terms = Response.of(model), self.terms(model)
        held, spread = self.held(model, conditions), self.spread(model)
        slope = response.sum(also + held - spread, name)
        if terms:
            # The equations without the terms, less those with them: what they let in.
            with contextlib.ExitStack() as stack:
                for j in terms:
                    stack.enter_context(model.without_border(j))
                slope += response.sum(spread, name)
        share = crossings(model).get(self.place)
        if share is not None:
            blocks = np.empty((len(share), model.n_species + 1))
            blocks[model.order] = np.outer(share, self.weights(model))
            slope += response.sum(blocks.ravel(), name, "transport")
        return slope

    def direct(self, model, conditions, electrode, enters):
        """The terms bring it in; what is held feels it as less of a reaction."""
        weights = -self.held(model, conditions)
        if self.place == electrode:
            weights += self.spread(model)
        return model.domain.comm.allreduce(float(weights[: len(enters)] @ enters))

    def terms(self, model: NernstPlanckPoisson) -> list[int]:
        """Numbers of the terms that act at the place."""
        return [j for j, border in enumerate(model.borders) if border.place == self.place]

    def spread(self, model: NernstPlanckPoisson) -> np.ndarray:
        """Weights of equations whose terms act at the place, shape (n_unknowns,)."""
        weights = self.weights(model) * bool(self.terms(model))
        return np.tile(weights, len(model.points))

    def held(self, model: NernstPlanckPoisson, conditions: Conditions) -> np.ndarray:
        """Weights of equations that something held at the place replaces.

        Raises
        ------
        InputError
            When there is no such equation, no term, and no periodic border.
        """
        found = self._found(model, conditions)
        weights, out = self.weights(model), np.zeros(model.nodes.function.x.array.shape)
        for i, rows in found:
            out[rows if model.ties is None else model.ties.united(rows)] = weights[i]
        return out

    def _found(self, model, conditions: Conditions) -> list[tuple[int, np.ndarray]]:
        """Components that are held at the place, and which unknowns."""
        held = rows_held(model, conditions)
        found = [(i, rows) for (_, i, place), rows in held.items() if place == self.place]
        tied = any(self.place in pair.signature() for pair in model.periodic)
        if not found and not tied and not self.terms(model):
            raise InputError(
                "a place where nothing enters",
                wanted="a place where conditions hold something, or with a term",
                got=repr(self.place),
            )
        return found


@dataclass(frozen=True)
class Inflow(AtPlace):
    """Flux of a species into the domain at a place, D0 c0 / l times its area.

    Attributes
    ----------
    species
        Index.
    place
        A border, or a position, as in the conditions.
    """

    species: int
    place: Place

    def weights(self, model):
        """One for the species."""
        return np.eye(model.n_species + 1)[self.species]


@dataclass(frozen=True)
class Charge(AtPlace):
    """Surface charge of a place, e c0 l times its area."""

    place: Place

    def weights(self, model):
        """One for the charge."""
        return np.eye(model.n_species + 1)[-1]


@dataclass(frozen=True)
class Current(AtPlace):
    """Electric current of ions into the domain at a place, e D0 c0 / l times its area."""

    place: Place

    def weights(self, model):
        """The charges of the species."""
        return np.append(model.charge_numbers, 0.0)


@dataclass(frozen=True)
class Potential:
    """Potential of the electrode whose current is given, kT/e."""

    def __call__(self, model: NernstPlanckPoisson, solution: Solution) -> float:
        """Its value.

        Raises
        ------
        InputError
            When no current is given.
        """
        if solution.potential is None:
            raise InputError(
                "a potential that was not found but given",
                wanted="a solution of conditions with a current",
            )
        return solution.potential

    def slope(self, model, conditions, name, also=0.0):
        """Only that of the equations along with it."""
        return Response.of(model).sum(also, name)

    def direct(self, model, conditions, electrode, enters):
        """One."""
        return 1.0


class OverDomain:
    """An integral over the domain."""

    def integrated(self, model: NernstPlanckPoisson):
        """UFL form of it."""
        raise NotImplementedError

    def __call__(self, model: NernstPlanckPoisson, solution: Solution) -> float:
        """Its value."""
        restore(model, solution)
        model.newton.before_assembly()
        return fx.assemble_scalar(self._form(model, None), model.domain.comm)

    def slope(self, model, conditions, name, also=0.0):
        """Derivative of the integrand."""
        slope = Response.of(model).sum(also, name)
        form = self._form(model, name)
        if form is not None:
            part = fx.function(model.space)
            vector = fx.petsc_vector(part)
            fx.assemble_vector(vector, form)
            vector.ghostUpdate(*fx.FORWARD)
            slope += part.x.array
        return slope

    def direct(self, model, conditions, electrode, enters):
        """None."""
        return 0.0

    def _form(self, model: NernstPlanckPoisson, name: str | None):
        """Compiled integral, or its derivative; None where it is zero."""

        def compiled():
            fields = {"state": model.nodes, **model.coefficients}
            form = self.integrated(model)
            if name is not None:
                form = ufl.derivative(form, fields[name].function)
                if ufl.algorithms.expand_derivatives(form).empty():
                    return None
            return fx.form(form)

        return model.once((self, name), compiled)


@dataclass(frozen=True)
class Integral(OverDomain):
    """Integral of an expression over the domain.

    Attributes
    ----------
    expression
        Function that gives a UFL expression of the values at a point
        (`NernstPlanckPoisson.local`): ``lambda here: here.c[0] ** 2``. Each function is
        compiled once for a model; make it once.
    """

    expression: Callable[[SimpleNamespace], Any]

    def integrated(self, model):
        """That of the expression."""
        return model.integral(self.expression(model.here))


@dataclass(frozen=True)
class Amount(OverDomain):
    """Amount of a species in the domain, by the rule that conserves it.

    Attributes
    ----------
    species
        Index.
    """

    species: int

    def integrated(self, model):
        """That of what is stored."""
        return model.nodal(model.here.c[self.species])
