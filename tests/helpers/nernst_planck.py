"""Short ways to media and states of the continuum part, for its tests; scaled units."""

import numpy as np

from mesobridge.continuum import _dolfinx as fx
from mesobridge.continuum.medium import Conditions, Medium
from mesobridge.continuum.states import Report, Solution

ufl = fx.ufl
#: A 1:1 salt of density 1 has the Debye length 1 at this Poisson number.
UNIT_DEBYE = 2.0


def medium_of(model, **given):
    """Uniform medium of D = c_ref = 1 and no mu_ex, but for what is given."""
    n = len(model.charge_numbers)
    shape = (n, len(model.points))
    values = {"mu_ex": 0.0, "diffusivity": 1.0, "c_ref": np.ones(n)}
    values |= {"poisson": UNIT_DEBYE, **given}
    for name in ("mu_ex", "diffusivity", "diffusivity_par"):
        if name in values:
            value = np.asarray(values[name], dtype=float)
            value = value[:, None] if value.ndim == 1 else value
            values[name] = np.broadcast_to(value, shape)
    return Medium(**values)


def reservoir(n, place, psi=0.0, phi=0.0):
    """What a bulk reservoir at a place holds of n species, as keywords."""
    return {"psi": {(i, place): psi for i in range(n)}, "phi": {place: phi}}


def l2_errors(model, exact):
    """L2 norms of the errors of the unknowns; `exact` holds UFL expressions."""
    here, v = model.here, ufl.TestFunction(model.space)
    pairs = zip([*here.psi, here.phi], exact, strict=True)
    squares = model.integral(
        sum((got - value) ** 2 * v[i] for i, (got, value) in enumerate(pairs))
    )
    vector = fx.petsc_vector(model.newton.u).duplicate()
    with fx.quiet():
        fx.assemble_vector(vector, fx.form(squares))
    # The shape functions of a component add up to 1.
    return np.sqrt(vector.array.reshape(-1, len(exact)).sum(axis=0))


def still(model, medium, psi=0.0, conditions=None):
    """State of given psi without a field, a solution or not, to start from."""
    c_ref = np.asarray(medium.c_ref)[:, None]
    psi = np.broadcast_to(psi, (model.n_species, len(model.points))).astype(float)
    none = Report(0, 0, 0)
    return Solution(
        model.points,
        psi,
        np.zeros(psi.shape[1]),
        c_ref * np.exp(psi - medium.mu_ex),
        {},
        {},
        medium,
        conditions or Conditions(),
        none,
    )


class Functionals:
    """Integrals of UFL expressions of the model's present state, compiled once.

    `make` turns what `NernstPlanckPoisson.local` tells into a list of integrands.
    """

    def __init__(self, model, make):
        self._model = model
        with fx.quiet():
            self._forms = [fx.form(model.nodal(part)) for part in make(model.here)]

    def __call__(self):
        model = self._model
        model.freeze()
        return np.array(
            [fx.assemble_scalar(form, model.domain.comm) for form in self._forms]
        )
