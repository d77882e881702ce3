"""How the equations of a model change about a state."""

from __future__ import annotations

import numpy as np

from . import _dolfinx as fx
from ._dolfinx import ufl
from .floating import floating_of, load_at
from .model import NernstPlanckPoisson
from .newton import Held
from .states import Solution, check_terms, held_unknowns


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


class Response:
    """Derivatives of weighted sums of the equations.

    With F the residual of all unknowns, the held ones among them, these are
    ``d(y . F) / d(what)`` at the present state. One set of kernels serves all weights y.
    Arrays are in the order of the unknowns of this process, ghosts at the end.

    Parameters
    ----------
    model
        The equations.
    """

    def __init__(self, model: NernstPlanckPoisson):
        self.model = model
        self._weights, self._sum = fx.function(model.space), fx.function(model.space)
        fields = {"state": model.nodes, **model.coefficients}
        with fx.quiet():
            self._forms = {
                name: self._derivative(model.residual, field)
                for name, field in fields.items()
            }
            self._forms["storage"] = self._derivative(model.storage, model.nodes)

    def _derivative(self, form, field):
        (test,) = form.arguments()
        tested = ufl.replace(form, {test: self._weights})
        return fx.form(ufl.derivative(tested, field.function))

    @classmethod
    def of(cls, model: NernstPlanckPoisson) -> Response:
        """The one that belongs to a model, compiled the first time."""
        return model.once("response", lambda: cls(model))

    def sum(self, weights: np.ndarray | float, name: str) -> np.ndarray:
        """Derivative of the weighted sum, shape (n_unknowns,).

        Parameters
        ----------
        weights
            Shape (n_unknowns,); those of ghosts are taken from their owners.
        name
            ``"state"``; a key of `NernstPlanckPoisson.coefficients`; or ``"storage"``,
            for the derivative of the stored amounts by the state.
        """
        self.model.newton.before_assembly()
        self._weights.x.array[:] = weights
        fx.petsc_vector(self._weights).ghostUpdate(*fx.FORWARD)
        vector = fx.petsc_vector(self._sum)
        fx.assemble_vector(vector, self._forms[name])
        vector.ghostUpdate(*fx.FORWARD)
        return self._sum.x.array.copy()
