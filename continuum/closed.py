"""Steady states of cells that no ion enters or leaves: their amounts are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from . import _dolfinx as fx
from .audit import amounts, volume
from .holding import phi_is_free
from .medium import Conditions, Medium
from .model import NernstPlanckPoisson
from .observables import concentrations
from .states import Report, Solution, solution_of
from .steady import Progress
from .transient import solve_transient

#: Time after which all has settled, in units of that of diffusion over the domain.
LONG = 1e4
#: Charge of a cell that counts as none, as a part of that of its ions.
NEUTRAL = 1e-8


def solve_closed(
    model: NernstPlanckPoisson,
    medium: Medium,
    conditions: Conditions,
    mean: ArrayLike,
    *,
    time: float | None = None,
    progress: Progress | None = None,
) -> Solution:
    """State that a closed cell settles to, with given mean concentrations.

    It is followed in time, which keeps every amount to rounding, in steps that soon are
    as long as one likes. Where phi is held nowhere (a cell with periodic borders only) it
    is zero at one node.

    Parameters
    ----------
    model, medium, conditions
        What to solve; conditions that hold a species give up its amount.
    mean
        Concentrations over the whole cell, shape (n_species,), positive, c0.
    time
        How long to follow it; by default long enough unless barriers are high.
    progress
        As for `transient.solve_transient`.

    Raises
    ------
    InputError
        When a mean is not positive, or a cell without electrodes is not neutral.
    StageError
        When the way in time stops.
    """
    mean = np.asarray(mean, dtype=float)
    if mean.shape != (model.n_species,) or not (mean > 0).all():
        raise InputError(
            "mean concentrations",
            wanted=f"{model.n_species} positive numbers",
            got=str(mean.tolist()),
        )
    start = _spread(model, medium, conditions, mean)
    slowest = model.domain.comm.allreduce(float(medium.diffusivity.min()), op=fx.MPI.MIN)
    until = LONG * model.domain.extent**2 / slowest if time is None else time
    run = solve_transient(
        model, medium, conditions, until, start=start, tolerance=0.1, progress=progress
    )
    model.state = run.last.state
    report = Report(run.steps, 0, run.iterations)
    found = solution_of(model, medium, conditions, report, run.last.potential)
    _check_neutral(model, found, mean)
    return found


def _spread(
    model: NernstPlanckPoisson, medium: Medium, conditions: Conditions, mean: np.ndarray
) -> Solution:
    """State of uniform psi_i with the given means, phi = 0."""
    rest = Solution.at_rest(model, medium, conditions)
    model.put(medium.load())
    psi = rest.psi
    for _ in range(100):
        model.state = np.vstack([psi, rest.phi])
        missing = np.log(mean / _means(model))
        psi = psi + missing[:, None]
        if np.abs(missing).max() < 1e-14:
            break
    state = np.vstack([psi, rest.phi])
    c = concentrations(model, medium, state)
    none = Report(0, 0, 0)
    return Solution(model.points, psi, rest.phi, c, {}, {}, medium, conditions, none)


def _means(model: NernstPlanckPoisson) -> np.ndarray:
    """Of the concentrations of the model's state, shape (n_species,)."""
    model.freeze()
    return amounts(model) / volume(model)


def _check_neutral(model: NernstPlanckPoisson, found: Solution, mean: np.ndarray) -> None:
    """Refuse a charge that only the node of zero phi can take up."""
    if not phi_is_free(model, found.conditions):
        return
    rows = model.anchor if model.ties is None else model.ties.united(model.anchor)
    charge = model.domain.comm.allreduce(float(model.newton.reactions()[rows].sum()))
    ions = float(np.abs(model.charge_numbers * mean).sum()) * volume(model)
    if abs(charge) > NEUTRAL * ions:
        raise InputError(
            "a charged cell without electrodes",
            wanted="ions, fixed and surface charges that add up to zero",
            got=f"{model.words.number('charge', -charge)} too much",
            mend="change a mean concentration or the fixed charge",
        )
