"""States of a cell by any number of processes: ``parallel_states.py FOLDER``.

The first process writes totals (JSON) and fields (NumPy) there.
"""

import json
import sys
from pathlib import Path

import h5py  # noqa: F401 - before dolfinx, whose HDF5 is another one
import numpy as np
from nernst_planck import medium_of, reservoir

from mesobridge.continuum import _dolfinx as fx
from mesobridge.continuum.borders import ChargeTransfer, Stern, SurfaceCharge
from mesobridge.continuum.closed import solve_closed
from mesobridge.continuum.closures import Bikerman
from mesobridge.continuum.domain import rectangle
from mesobridge.continuum.fields import Gather
from mesobridge.continuum.medium import Conditions
from mesobridge.continuum.mesh import graded
from mesobridge.continuum.model import NernstPlanckPoisson
from mesobridge.continuum.periodic import Periodic
from mesobridge.continuum.steady import solve_steady
from mesobridge.continuum.transient import solve_transient

DEBYE = 0.1
CLOSURE = Bikerman([0.02, 0.02])


def model_of(linear, borders):
    height = graded(1.0, 0.02, growth=1.3)
    domain = rectangle(np.linspace(0, 1, 9), height, comm=fx.MPI.COMM_WORLD)
    return NernstPlanckPoisson(
        domain, [1, -1], closure=CLOSURE, borders=borders, linear=linear
    )


def medium(model):
    x, y = model.points[:, :2].T
    mu = np.vstack([np.sin(2 * x) * y * (1 - y), 0 * x])
    return medium_of(model, poisson=2 * DEBYE**2, mu_ex=mu, closure=CLOSURE)


def terms(charge=0.0, potential=0.0):
    electrode = Stern("bottom", 2.0, potential)
    kinetics = ChargeTransfer("bottom", (1.0, 0.0), 0.5, potential)
    return electrode, kinetics, SurfaceCharge("left", charge)


def electrode(linear):
    """A potential at the bottom, the anion held at the right without phi."""
    model = model_of(linear, terms())
    bulk = reservoir(2, "top")
    given = Conditions(
        **bulk, concentration={(1, "right"): 0.5}, borders=terms(-1.0, 1.5)
    )
    return model, solve_steady(model, medium(model), given)


def galvanostatic(linear):
    """A current through the bottom."""
    model = model_of(linear, terms())
    given = Conditions(**reservoir(2, "top"), borders=terms(), current={"bottom": 0.3})
    return model, solve_steady(model, medium(model), given)


def charging(linear):
    """Two blocking electrodes after a step of potential."""
    model = model_of(linear, ())
    salt = medium(model)
    rest = {**reservoir(2, "top"), "phi": {"top": 0.0, "bottom": 0.0}}
    start = solve_steady(model, salt, Conditions(**rest))
    step = Conditions(phi={"bottom": 1.0, "top": 0.0})
    run = solve_transient(model, salt, step, 0.05, start=start, tolerance=0.1)
    return model, run.last, run


def periodic(linear):
    """A closed cell, periodic in both directions, with a mean field."""
    pairs = (Periodic("left", "right", 3.0), Periodic("bottom", "top"))
    height = graded(1.0, 0.05, growth=1.3, both=True)
    domain = rectangle(np.linspace(0, 2, 9), height, comm=fx.MPI.COMM_WORLD)
    model = NernstPlanckPoisson(domain, [2, -1], periodic=pairs, linear=linear)
    x, y = model.points[:, :2].T
    pattern = np.cos(np.pi * x) * np.cos(2 * np.pi * y)
    salt = medium_of(model, poisson=0.02, mu_ex=np.vstack([pattern, 0 * x]))
    return model, solve_closed(model, salt, Conditions(periodic=pairs), [1.0, 2.0])


def amounts(model, state):
    """Integrals of the concentrations, by the equations' own quadrature."""
    model.state = state
    model.freeze()
    vector = fx.petsc_vector(model.newton.u).duplicate()
    with fx.quiet():
        fx.assemble_vector(vector, fx.form(model.storage))
    sums = vector.array.reshape(-1, len(state)).sum(axis=0)[:-1]
    return [float(one) for one in model.domain.comm.allreduce(sums)]


def totals(model, solution):
    named = {**solution.inflow, **solution.charge}
    found = {str(key): value for key, value in named.items()}
    if solution.potential is not None:
        found["potential"] = solution.potential
    kept = enumerate(amounts(model, solution.state))
    return found | {f"amount {i}": value for i, value in kept}


def record(model, solution, run=None):
    newton = model.newton
    found = {
        "solves": newton.iterations,
        "linear_iterations": newton.linear_iterations,
        "rescues": newton.rescues,
        "totals": totals(model, solution),
    }
    if run is not None:
        found["steps"] = run.steps
        found["start"] = amounts(model, run.snapshots[0.0].state)
    return found


def main(folder: Path) -> None:
    numbers, fields = {}, {}
    for linear in ("direct", "fieldsplit"):
        for make in (electrode, galvanostatic, charging, periodic):
            name = f"{make.__name__} {linear}"
            model, solution, *run = make(linear)
            numbers[name] = record(model, solution, *run)
            gather = Gather(model.nodes)
            state = np.vstack([solution.concentration, solution.phi])
            fields[name] = np.vstack([gather.points.T, gather(state)])
    if fx.MPI.COMM_WORLD.rank == 0:
        (folder / "totals.json").write_text(json.dumps(numbers, indent=1))
        np.savez(folder / "fields.npz", **fields)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
