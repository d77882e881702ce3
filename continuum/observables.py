"""Currents, charges and balances of a state."""

from __future__ import annotations

import numpy as np

from ._dolfinx import over_all
from .closures import NUMPY
from .medium import Conditions, Medium, Place
from .model import NernstPlanckPoisson
from .newton import Newton
from .periodic import mean_fluxes


def concentrations(
    model: NernstPlanckPoisson, medium: Medium, state: np.ndarray
) -> np.ndarray:
    """Concentrations of a state, shape (n_species, n_nodes)."""
    psi, phi, z = state[:-1], state[-1], model.charge_numbers
    ln_a = medium.ln_activity[:, None] + psi - z[:, None] * phi - medium.mu_ex
    closure = medium.closure
    rows = list(ln_a)
    ln_c = closure.ln_concentrations(NUMPY, closure.parameters, rows, rows)
    return np.exp(ln_c)


def totals(
    model: NernstPlanckPoisson, conditions: Conditions, newton: Newton
) -> tuple[dict[tuple[int, Place], float], dict[Place, float]]:
    """What enters of each species where it can, and the charge of each border.

    Returns
    -------
    inflow
        (Species index, place) -> flux into the domain; at the slaves of periodic borders
        the mean over all cross sections.
    charge
        Place -> surface charge, of borders that have one.
    """
    reaction = newton.reactions()
    species = [*conditions.psi, *conditions.concentration]
    held = [*species, *((-1, place) for place in conditions.phi)]
    sums = _sums_at(model, reaction, held)
    inflow = dict(zip(species, sums, strict=False))
    charge = dict(zip(conditions.phi, sums[len(species) :], strict=True))
    ways = () if model.ties is None else model.ties.ways
    for pair, way in zip(model.periodic, ways, strict=True):
        fluxes = mean_fluxes(model, reaction, way)
        inflow |= {(i, pair.slave): float(flux) for i, flux in enumerate(fluxes)}
    for j, border in enumerate(model.borders):
        place, let_in = border.place, _let_in(model, newton, reaction, j)
        for i in range(model.n_species):
            if let_in[i] != 0.0:
                inflow[i, place] = inflow.get((i, place), 0.0) + let_in[i]
        if let_in[-1] != 0.0:
            charge[place] = charge.get(place, 0.0) + let_in[-1]
    return inflow, charge


def _sums_at(
    model: NernstPlanckPoisson, reaction: np.ndarray, held: list[tuple[int, Place]]
) -> list[float]:
    """Sums of the residual over where components are held."""

    def owned(i: int, place: Place) -> np.ndarray:
        rows = model.unknowns(i, place)
        if model.ties is not None:
            rows = model.ties.united(rows)
        return rows[rows < len(reaction)]

    rows = [model.once(("owned", *one), lambda one=one: owned(*one)) for one in held]
    sums = np.array([reaction[mine].sum() for mine in rows])
    return over_all(model.domain.comm, sums).tolist()


def _let_in(
    model: NernstPlanckPoisson, newton: Newton, reaction: np.ndarray, j: int
) -> np.ndarray:
    """What the j-th term lets in of each component."""
    with model.without_border(j):
        return model.totals(newton.reactions() - reaction)
