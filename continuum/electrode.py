"""An electrode's potential as something that the equations depend on."""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError
from . import _dolfinx as fx
from ._dolfinx import ufl
from .holding import moving
from .medium import Place
from .model import NernstPlanckPoisson
from .quantities import Quantity
from .response import check_steady, folded, restore
from .states import Solution


class Electrode:
    """A state, and how the equations and quantities depend on the potential of a place.

    That is the potential of a Stern layer and of charge transfer there, and phi where it
    is held; psi_i that is held beside phi moves by z_i, as in a reservoir.

    Parameters
    ----------
    model
        The equations; its state is overwritten.
    solution
        A steady state.
    place
        Of the electrode.

    Attributes
    ----------
    held
        What is held in the state.
    push
        Minus the derivative of the equations by the potential, shape (n_owned,).

    Raises
    ------
    InputError
        When there is no electrode at `place`, or the state is not steady.
    """

    def __init__(self, model: NernstPlanckPoisson, solution: Solution, place: Place):
        self.model, self.conditions, self.place = model, solution.conditions, place
        self.held, n = restore(model, solution), model.newton.n_owned
        check_steady(model, solution, self.held)
        moved, enters = moving(model, self.conditions, place), self._enters()
        if place not in self.conditions.phi and enters is None:
            raise InputError(
                "no electrode",
                wanted="a held potential, a Stern layer or charge transfer",
                got=f"nothing of that at {place!r}",
            )
        #: What the terms let in per potential, of each equation of this process.
        self.enters = np.zeros(n) if enters is None else enters
        self.push = folded(model, self.enters)
        held = self.held.rows[self.held.rows < n]
        self.push[held] = 0.0
        for rows, charge in moved:
            self.push[np.intersect1d(rows, held)] = charge

    def _enters(self) -> np.ndarray | None:
        form = self.model.once(("potential", self.place), self._compiled)
        if form is None:
            return None
        out = fx.petsc_vector(self.model.newton.u).duplicate()
        self.model.newton.before_assembly()
        fx.assemble_vector(out, form)
        return out.array.copy()

    def _compiled(self):
        model, test = self.model, ufl.TestFunction(self.model.space)
        moved = ufl.variable(fx.constant(model.domain.mesh, 0.0))
        terms = [
            ufl.diff(model.border_form(j, test, potential=moved), moved)
            for j, border in enumerate(model.borders)
            if border.place == self.place and "potential" in border.numbers
        ]
        return fx.form(sum(terms)) if terms else None

    def slopes(self, quantity: Quantity) -> tuple[np.ndarray, float]:
        """Derivatives of a quantity by the unknowns, (n_owned,), and by the potential."""
        by_state = quantity.slope(self.model, self.conditions, "state")
        direct = quantity.direct(self.model, self.conditions, self.place, self.enters)
        return folded(self.model, by_state[: self.model.newton.n_owned]), direct

    def total(self, slopes: tuple[np.ndarray, float], change: np.ndarray):
        """Derivative by the potential, with that of the unknowns, shape (n_owned,)."""
        by_state, direct = slopes
        return self.model.domain.comm.allreduce(by_state @ change) + direct
