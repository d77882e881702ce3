"""Balances of a steady state, and what its fields store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from . import _dolfinx as fx
from ._dolfinx import ufl
from .borders import Stern
from .floating import load_at
from .medium import Medium
from .model import NernstPlanckPoisson
from .states import Solution


@dataclass(frozen=True)
class Audit:
    """What should vanish, as a part of what it is a difference of.

    Attributes
    ----------
    mass
        Of each species: what enters, and is produced, less what leaves; in units of the
        sum of both or of the flux that the reference concentration's gradient over the
        domain would drive, whichever is larger; shape (n_species,).
    charge
        Charge of the borders and of the inside, by the sum of their magnitudes (Gauss).
    current
        Current through all borders, by the sum of its magnitudes, as `mass`.
    field_energy
        Electrostatic energy: of the field, and of Stern layers; scaled by kT c0 l^d.
    """

    mass: np.ndarray
    charge: float
    current: float
    field_energy: float

    @property
    def worst(self) -> float:
        """Largest of the balances."""
        return float(max(np.max(np.abs(self.mass)), abs(self.charge), abs(self.current)))


def audit(model: NernstPlanckPoisson, solution: Solution) -> Audit:
    """Balances of a steady state.

    Parameters
    ----------
    model
        The equations; takes on the state of the solution.
    solution
        A steady state.
    """
    load = load_at(model, solution)
    model.put(load)
    model.state = solution.state
    model.freeze()
    z, n = model.charge_numbers, model.n_species
    natural, _ = natural_flows(model, solution.medium)
    made, moved = _produced(model), np.zeros(n)
    total = made.copy()
    for (i, _), flux in solution.inflow.items():
        total[i] += flux
        moved[i] += abs(flux)
    scale = np.maximum(moved + np.abs(made), natural)
    ions, size = _ion_charge(model, solution)
    borders = np.array(list(solution.charge.values()) or [0.0])
    magnitude = (size + np.abs(borders).sum()) or 1.0
    return Audit(
        total / scale,
        float((borders.sum() + ions) / magnitude) if solution.medium.poisson else 0.0,
        float((z @ total) / (np.abs(z) @ scale or 1.0)),
        _energy(model, load),
    )


def natural_flows(model: NernstPlanckPoisson, medium: Medium) -> tuple[np.ndarray, float]:
    """Fluxes and a charge that a difference of 1 kT over the domain brings about.

    Returns
    -------
    fluxes
        That the gradient of each reference concentration over the largest extent drives
        through the mean cross section, shape (n_species,).
    charge
        Of the vacuum's capacitor, and of ions within a Debye length, there.
    """
    extent, c_ref = model.domain.extent, np.asarray(medium.c_ref)
    z, section = np.abs(model.charge_numbers), volume(model) / extent
    poisson = medium.poisson * float(_mean(model, medium.permittivity))
    strength = float(z**2 @ c_ref)
    debye = np.sqrt(poisson / strength) if strength else 0.0
    depth = min(debye, extent) or extent  # neutral ions are so everywhere
    fluxes = _mean(model, medium.diffusivity) * c_ref / extent
    charge = poisson / extent + float(z @ c_ref) * depth
    return fluxes * section, charge * section


def _mean(model: NernstPlanckPoisson, values: ArrayLike) -> np.ndarray:
    """Of values (..., n_nodes) over the nodes of all processes."""
    mine = model.order < model.newton.n_owned // (model.n_species + 1)
    given = np.asarray(values, dtype=float)
    own = np.broadcast_to(given, (*given.shape[:-1], len(mine)))[..., mine]
    comm = model.domain.comm
    return comm.allreduce(own.sum(axis=-1)) / comm.allreduce(own.shape[-1])


def amounts(model: NernstPlanckPoisson) -> np.ndarray:
    """Of each species in the domain, at the model's state, shape (n_species,)."""
    vector = fx.petsc_vector(model.newton.u).duplicate()
    fx.assemble_vector(vector, model.once("amounts", lambda: fx.form(model.storage)))
    return model.totals(vector.array)[:-1]


def volume(model: NernstPlanckPoisson) -> float:
    """Of the domain, of all its turn in axial symmetry."""
    return _total(model, "volume", model.integral(fx.constant(model.domain.mesh, 1.0)))


def _produced(model: NernstPlanckPoisson) -> np.ndarray:
    """Production of each species by the reactions in the domain."""
    if not model.reactions:
        return np.zeros(model.n_species)
    without = {f"reaction.{j}": np.array(0.0) for j in range(len(model.reactions))}
    with_them = model.newton.reactions()
    model.put(without)
    change = model.totals(model.newton.reactions() - with_them)
    model.put(dict.fromkeys(without, np.array(1.0)))
    return change[:-1]


def _ion_charge(model: NernstPlanckPoisson, solution: Solution) -> tuple[float, float]:
    """Charge inside, and the sum of the ions' charges by magnitude."""
    amount = amounts(model)
    density = model.coefficients["load"].function[model.n_species]
    fixed = _total(model, "fixed charge", model.nodal(density))
    z = model.charge_numbers
    return float(z @ amount + fixed), float(np.abs(z) @ amount + abs(fixed))


def _energy(model: NernstPlanckPoisson, load: Mapping[str, np.ndarray]) -> float:
    """Energy of the field, the mean one of periodic borders with it, and Stern layers."""
    u, n = model.newton.u, model.n_species
    phi, slope = u[n], model.slope(u, n)
    field = model.permittivity * ufl.inner(slope, slope) / 2
    total = _total(model, "field energy", model.integral(field))
    for j, border in enumerate(model.borders):
        if isinstance(border, Stern):
            # Constants: other potentials need no other kernel.
            metal = fx.constant(model.domain.mesh, load[f"border.{j}.potential"])
            ds = model.domain.ds(border.place, 2 * model.degree)
            drop = (metal - phi) ** 2 * model.domain.measure * ds
            squares = fx.assemble_scalar(fx.form(drop), model.domain.comm)
            total += float(load[f"border.{j}.capacitance"]) / 2 * squares
    return total


def _total(model: NernstPlanckPoisson, name: str, integral) -> float:
    compiled = model.once(name, lambda: fx.form(integral))
    return fx.assemble_scalar(compiled, model.domain.comm)
