"""How the equations of a model change about a state."""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError
from . import _dolfinx as fx
from ._dolfinx import ufl
from .audit import natural_flows
from .floating import floating_of, load_at
from .held import Held
from .holding import held_unknowns
from .model import NernstPlanckPoisson
from .states import Solution, check_terms

#: Imbalances above this part of the fluxes are those of a state on its way.
STEADY = 1e-2
#: Units in the last place by which unknowns may be wrong.
ULPS = 4


def restore(model: NernstPlanckPoisson, solution: Solution) -> Held:
    """Bring a model into the state of a solution.

    Returns
    -------
    Held
        What is held there.

    Raises
    ------
    InputError
        When the solution is not one of the model.
    """
    check_terms(model, solution.conditions)
    model.put(load_at(model, solution))
    model.state = solution.state
    held = held_unknowns(model, solution.medium, solution.conditions)
    floating = floating_of(model, solution.conditions)
    if floating is not None and solution.potential is not None:
        floating.put(solution.potential, held)
    return held


def check_steady(model: NernstPlanckPoisson, solution: Solution, held: Held) -> None:
    """Refuse a state that is not steady; the model is in it (`restore`).

    Raises
    ------
    InputError
        When more than `STEADY` of what moves, or naturally would, stays behind, without
        what rounding makes of it, or the state is further than that from what is held.
    """
    newton, unknowns = model.newton, model.newton.u.x.array
    off = newton.largest(held.mismatch(unknowns))
    before, missed = unknowns.copy(), newton.reactions()
    # Beside crowded walls the last bits of psi are great fluxes.
    signs = np.random.default_rng(0).choice([-1.0, 1.0], len(unknowns))
    unknowns *= 1 + ULPS * np.finfo(float).eps * signs
    rounding = newton.reactions() - missed
    unknowns[:] = before
    stays = np.abs(folded(model, missed)) - np.abs(folded(model, rounding))
    stays[held.rows[held.rows < newton.n_owned]] = 0.0
    flows = np.append(*natural_flows(model, solution.medium))
    for (i, _), flux in solution.inflow.items():
        flows[i] += abs(flux)
    flows[-1] += sum(abs(charge) for charge in solution.charge.values())
    left = model.totals(stays) / np.maximum(flows, np.finfo(float).tiny)
    if not np.max([off, *left]) <= STEADY:
        parts = enumerate(left[:-1])
        species = ", ".join(f"{part:.2g} of {model.words.name(i)}" for i, part in parts)
        raise InputError(
            "not a steady state",
            wanted=f"imbalances below {STEADY:g} of the fluxes, and of the charges",
            got=f"of the fluxes {species}, {left[-1]:.2g} of the charges, "
            f"held values missed by {off:.2g}",
            mend="solve the steady state of these conditions, or follow it for longer",
        )


def folded(model: NernstPlanckPoisson, values: np.ndarray) -> np.ndarray:
    """Values by unknown, (n_owned,), with those of periodic slaves at their masters."""
    if model.ties is None:
        return values.copy()
    given, out = model.ties.matrix.createVecs()[::-1]
    given.array[:] = values
    model.ties.matrix.multTranspose(given, out)
    return out.array.copy()


class Response:
    """Derivatives of weighted sums of the equations.

    With F the residual of all unknowns, the held ones among them, these are
    ``d(y . F) / d(what)`` at the present state. One kernel serves all weights y.
    Arrays are in the order of the unknowns of this process, ghosts at the end.

    Parameters
    ----------
    model
        The equations.
    """

    def __init__(self, model: NernstPlanckPoisson):
        self.model = model
        self._weights, self._sum = fx.function(model.space), fx.function(model.space)

    def _derivative(self, name: str, of: str):
        form = getattr(self.model, of)
        field = {"state": self.model.nodes, **self.model.coefficients}[name]
        (test,) = form.arguments()
        tested = ufl.replace(form, {test: self._weights})
        return fx.form(ufl.derivative(tested, field.function))

    @classmethod
    def of(cls, model: NernstPlanckPoisson) -> Response:
        """The one that belongs to a model."""
        return model.once("response", lambda: cls(model))

    def sum(
        self, weights: np.ndarray | float, name: str, of: str = "residual"
    ) -> np.ndarray:
        """Derivative of the weighted sum, shape (n_unknowns,).

        Parameters
        ----------
        weights
            Shape (n_unknowns,); those of ghosts are taken from their owners.
        name
            ``"state"``, or a key of `NernstPlanckPoisson.coefficients`.
        of
            The model's form that is summed: ``"residual"``, ``"storage"`` or
            ``"transport"``.
        """
        self.model.newton.before_assembly()
        self._weights.x.array[:] = weights
        fx.petsc_vector(self._weights).ghostUpdate(*fx.FORWARD)
        vector = fx.petsc_vector(self._sum)
        key = "response", name, of
        fx.assemble_vector(
            vector, self.model.once(key, lambda: self._derivative(name, of))
        )
        vector.ghostUpdate(*fx.FORWARD)
        return self._sum.x.array.copy()
