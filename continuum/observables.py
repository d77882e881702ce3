"""Currents, charges and balances of a state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from . import _dolfinx as fx
from ._dolfinx import over_all
from .closures import NUMPY
from .holding import rows_held
from .medium import Conditions, Medium, Place
from .model import NernstPlanckPoisson
from .newton import Newton


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
        (Species index, place) -> flux into the domain; through periodic borders it is
        the mean over all cross sections, which enters at the slave and leaves at the
        master.
    charge
        Place -> surface charge, of borders that have one.
    """
    reaction, n = newton.reactions(), model.n_species
    inflow: dict[tuple[int, Place], float] = {}
    charge: dict[Place, float] = {}

    def add(i: int, place: Place, amount: float) -> None:
        if i == n:
            charge[place] = charge.get(place, 0.0) + amount
        else:
            inflow[i, place] = inflow.get((i, place), 0.0) + amount

    held = rows_held(model, conditions)
    for (_, i, place), amount in zip(held, _sums_at(model, reaction, held), strict=True):
        add(i, place, amount)
    for place, share in crossings(model).items():
        for i, flux in enumerate(_mean_fluxes(model, share)):
            add(i, place, float(flux))
    for j, border in enumerate(model.borders):
        for i, amount in enumerate(_let_in(model, newton, reaction, j)):
            if amount != 0.0:
                add(i, border.place, amount)
    return inflow, charge


def _sums_at(model: NernstPlanckPoisson, reaction: np.ndarray, held: Mapping) -> list:
    """Sums of the residual over what each given value holds."""

    def owned(rows: np.ndarray) -> np.ndarray:
        rows = rows if model.ties is None else model.ties.united(rows)
        return rows[rows < len(reaction)]

    kept = model.once(("owned", *held), lambda: [owned(rows) for rows in held.values()])
    sums = np.array([reaction[mine].sum() for mine in kept])
    return over_all(model.domain.comm, sums).tolist()


def crossings(model: NernstPlanckPoisson) -> dict[Place, np.ndarray]:
    """Weights of `Equations.transport` whose sum is the mean flux through a border.

    With the part s of the way from master to slave, ``-J . grad s`` integrated is the
    flux against the way through all cross sections, on average.

    Returns
    -------
    dict
        Periodic border -> s by node, negative for masters, shape (n_nodes,).
    """
    shares: dict[Place, np.ndarray] = {}
    ways = () if model.ties is None else model.ties.ways
    for pair, way in zip(model.periodic, ways, strict=True):
        share = model.points @ way / (way @ way)
        for place, sign in ((pair.slave, 1.0), (pair.master, -1.0)):
            shares[place] = shares.get(place, 0.0) + sign * share
    return shares


def _mean_fluxes(model: NernstPlanckPoisson, share: np.ndarray) -> np.ndarray:
    """Sums of the fluxes inside with the weights of `crossings`, (n_species,)."""
    vector = fx.petsc_vector(model.newton.u).duplicate()
    model.newton.before_assembly()
    fx.assemble_vector(vector, model.once("transport", lambda: fx.form(model.transport)))
    blocks = vector.array.reshape(-1, model.n_species + 1)
    mine = model.order < len(blocks)
    return model.domain.comm.allreduce(share[mine] @ blocks[model.order[mine]])[:-1]


def _let_in(
    model: NernstPlanckPoisson, newton: Newton, reaction: np.ndarray, j: int
) -> np.ndarray:
    """What the j-th term lets in of each component."""
    with model.without_border(j):
        return model.totals(newton.reactions() - reaction)
