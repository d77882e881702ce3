"""Spectra and gradients of a cell, by any number of processes, printed as JSON."""

import json

import numpy as np
from mpi4py import MPI
from nernst_planck import medium_of

from mesobridge.continuum.adjoint import gradient, linear_change
from mesobridge.continuum.borders import ChargeTransfer, Stern
from mesobridge.continuum.closures import CarnahanStarling
from mesobridge.continuum.domain import interval, rectangle
from mesobridge.continuum.fields import Gather
from mesobridge.continuum.impedance import differential_capacitance, impedance
from mesobridge.continuum.medium import Conditions
from mesobridge.continuum.mesh import graded
from mesobridge.continuum.model import NernstPlanckPoisson
from mesobridge.continuum.periodic import Periodic
from mesobridge.continuum.quantities import Charge, Current, Inflow, Integral
from mesobridge.continuum.steady import solve_steady

LINES = graded(4.0, 5e-2, growth=1.2)
QUANTITIES = (
    Inflow(1, "left"),
    Current("right"),
    Charge("left"),
    Integral(lambda here: here.c[0] * here.phi),
)


def cell(domain, linear, periodic, closure=None, beside=()):
    """An electrode with a redox couple, an inert salt and a bath.

    With a closure the neutral species, which is free, crowds the held ions; one that is
    held `beside` meets the bath in a corner.
    """
    walls = (
        Stern("left", 3.0, 2.0),
        ChargeTransfer("left", (-1.0, 1.0, 0.0), rate=0.5, potential=2.0),
    )
    model = NernstPlanckPoisson(
        domain,
        [0, 1, -1],
        borders=walls,
        linear=linear,
        periodic=periodic,
        closure=closure,
    )
    conditions = Conditions(
        psi={(0, place): 0.3 for place in beside} | {(0, "right"): 0.0},
        concentration={(1, "right"): 2.0, (2, "right"): 2.0},
        phi={"right": 0.0},
        borders=walls,
        periodic=periodic,
    )
    x, kind = model.points[:, 0], np.arange(3)[:, None]
    medium = medium_of(
        model,
        mu_ex=np.exp(-x) * np.ones((3, 1)),
        diffusivity=1 + 0.3 * np.cos(x + kind),
        closure=model.closure,
    )
    return model, solve_steady(model, medium, conditions)


def responses(model, state):
    """Numbers that every process must agree on."""
    spectrum = impedance(model, state, "left", [1e-3, 1.0, 100.0]).admittance
    found = [*spectrum.real, *spectrum.imag]
    found.append(differential_capacitance(model, state, "left"))
    gather = Gather(model.nodes)
    weights = np.sin(7 * gather.points[:, 0]) * (1 + gather.points[:, 1])
    moved = medium_of(
        model,
        mu_ex=0.01 * model.points[:, 0] * np.ones((3, 1)),
        closure=model.closure,
    )
    crossing = [Inflow(1, pair.slave) for pair in model.periodic]
    for quantity in (*QUANTITIES, *crossing):
        slope = gradient(model, state, quantity)
        found += [slope.value, linear_change(model, slope, state.medium, moved)]
        for name in ("mu_ex", "ln_diffusivity", "ln_permittivity"):
            found.append((gather(getattr(slope, name)) @ weights).sum())
    return [float(value) for value in found]


def anchor(domain):
    """Where phi is zero, by all processes, in units of the mesh."""
    model = NernstPlanckPoisson(domain, [1, -1])
    nodes = np.isin(model.order, model.anchor // 3)
    found = domain.comm.allgather(model.points[nodes] / domain.extent)
    return np.concatenate(found).ravel().tolist()


def main():
    """Print those of an interval and of a strip, by each linear solver."""
    world, found = MPI.COMM_WORLD, {}
    strip = rectangle(LINES, np.linspace(0, 0.5, 5), comm=world)
    pairs = (Periodic("bottom", "top", 0.4),)
    sizes = CarnahanStarling([0.05, 0.02, 0.03])
    for name, domain, linear, periodic in [
        ("interval", interval(LINES, comm=world), "direct", ()),
        ("strip", strip, "direct", pairs),
        ("strip by iterations", strip, "fieldsplit", pairs),
    ]:
        found[name] = responses(*cell(domain, linear, periodic))
    for linear in ("direct", "fieldsplit"):
        corners = cell(strip, linear, (), sizes, ["bottom"])
        name = "corners" if linear == "direct" else "corners by iterations"
        found[name] = responses(*corners)
    found["anchor"] = anchor(rectangle(1e-9 * LINES, 1e-9 * LINES, comm=world))
    if world.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
