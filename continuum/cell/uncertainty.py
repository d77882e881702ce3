"""What profiles do to numbers of a cell: derivatives and error bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.progress import Show, shown
from ...core.stats import estimate
from ..adjoint import gradient
from ..fields import Gather
from ..model import NernstPlanckPoisson
from ..montecarlo import monte_carlo
from ..profiles import Profiles
from .cell import Cell
from .checks import all_of, check_kind, whole
from .conditions import check_amounts
from .given import solution_in
from .observables import Observable
from .results import State


def sensitivity(state: State, observable: Observable) -> xr.Dataset:
    """Derivatives of a number of a steady state by what fills the cell.

    One transposed linear system gives all of them (adjoint, doi:10.1023/A:1011430410075).

    Parameters
    ----------
    state
        A steady state.
    observable
        Such as ``Current("anode")``; its unit is the attribute `unit`, its value `value`.

    Returns
    -------
    Dataset
        ``by_mu_ex`` (per kT), ``by_ln_D_perp``, ``by_ln_D_par`` of each species and
        ``by_ln_permittivity``. Of a cell with tabulated profiles by their values at each
        ``distance``; otherwise by the values at the nodes (``position``), where D is
        isotropic and called ``by_ln_D``, with ``by_fixed_charge`` (per C/m3) on top. They
        are derivatives by numbers: twice as many points have half of it each.

    Raises
    ------
    InputError
        When the number is none of this state, or an amount is not determined.
    StageError
        When the linear equations cannot be solved.
    """
    check_kind(state, State, "a state", "a State, as of Cell.steady")
    check_kind(observable, Observable, "an observable", 'such as Current("anode")')
    cell = state.cell
    check_amounts(state.solution.conditions, cell.ions, cell.borders)
    slope = gradient(cell.model, state.solution, observable.scaled(cell))
    size, unit = observable.unit(cell)
    by = {
        "mu_ex": slope.mu_ex,
        "ln_D_perp": slope.ln_diffusivity,
        "ln_D_par": slope.ln_diffusivity_par,
        "ln_permittivity": slope.ln_permittivity,
    }
    if cell.profiles is None or cell.distance is None:
        by["ln_D"] = by.pop("ln_D_perp")
        del by["ln_D_par"]
        density = cell.scales.surface_charge / cell.scales.length
        by["fixed_charge"] = slope.fixed_charge / density
        values, place = _at_nodes(cell, by)
    else:
        values = _at_distances(cell, by, cell.profiles, cell.distance)
        metres = cell.profiles.distance * cell.scales.length
        place = xr.DataArray(metres, dims="distance", name="distance")
    one, each = tuple(place.dims[:1]), ("species", *place.dims[:1])
    return xr.Dataset(
        {
            f"by_{name}": (each if value.ndim > 1 else one, value * size)
            for name, value in values.items()
        },
        {"species": [ion.name for ion in cell.ions], place.name: place},
        {"value": slope.value * size, "unit": unit},
    )


def _at_nodes(cell: Cell, by: Mapping) -> tuple[dict[str, np.ndarray], xr.DataArray]:
    gather = Gather(cell.model.nodes)
    points = gather.points * cell.scales.length
    place = xr.DataArray(points, dims=("node", "xyz"), name="position")
    return {name: gather(value) for name, value in by.items()}, place


def _at_distances(cell: Cell, by: Mapping, profiles: Profiles, distance) -> dict:
    n_owned = cell.model.newton.n_owned // (cell.model.n_species + 1)
    mine = cell.model.order < n_owned
    own = {name: value[..., mine] for name, value in by.items() if value is not None}
    local = profiles.pulled_back(own, distance[mine], cell.replicate)
    return {name: cell.domain.comm.allreduce(value) for name, value in local.items()}


@dataclass(frozen=True, eq=False)
class Spread:
    """Numbers of a cell for every replicate of its profiles.

    Attributes
    ----------
    names, units
        Of the numbers.
    values
        SI, shape (n_replicates, n_numbers); replicate 0 is the point estimate; NaN where
        a replicate failed.
    failures
        Number of a replicate that failed -> why.
    n_units
        Blocks that the bootstrap drew from.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: np.ndarray
    failures: dict[int, str]
    n_units: int

    def estimates(self) -> dict[str, dict]:
        """Name -> ``{"value", "ci95", "unit"}``, of the replicates that did not fail."""
        good = [j for j in range(len(self.values)) if j not in self.failures]
        return {
            name: estimate(self.values[good, k], self.n_units) | {"unit": self.units[k]}
            for k, name in enumerate(self.names)
        }

    def __str__(self) -> str:
        lines = [
            "{}: {:.4g} [{:.4g}, {:.4g}] {}".format(
                name, one["value"], *one["ci95"], one["unit"]
            )
            for name, one in self.estimates().items()
        ]
        failed = [f"{len(self.failures)} replicates failed"] if self.failures else []
        return "\n".join(lines + failed)


def replicates(
    cell: Cell | Callable[[], Cell],
    observables: Mapping[str, Observable],
    drive: Mapping[str, Mapping] | None = None,
    *,
    start: State | None = None,
    workers: int = 1,
    progress: Show = None,
) -> Spread:
    """Numbers of a steady state for every replicate of a cell's profiles.

    Parameters
    ----------
    cell
        With tabulated profiles; or a function of a module that makes it, which several
        workers need.
    observables
        Name -> what is wanted.
    drive, start, progress
        As for `Cell.steady`.
    workers
        Processes (`montecarlo.monte_carlo`).

    Raises
    ------
    InputError
        When the cell has no replicates, or cannot be sent to other processes.
    StageError
        When the point estimate fails, or all others do.
    """
    here = cell() if callable(cell) else cell
    check_kind(here, Cell, "cell of replicates", "a Cell, or a function that makes it")
    check_kind(observables, Mapping, "observables of replicates", "{name: observable}")
    all_of(observables.values(), Observable, "observables of replicates", "observables")
    workers = whole(workers, "workers", 1)
    if here.profiles is None or here.profiles.n_replicates < 3:
        raise InputError(
            "a cell without replicates",
            wanted="coefficients with two replicates or more besides the point estimate",
            got="no coefficients"
            if here.profiles is None
            else f"{here.profiles.n_replicates - 1} besides it",
        )
    conditions = here.conditions(drive)
    check_amounts(conditions, here.ions, here.borders)
    media = [here.make_medium(j) for j in range(here.profiles.n_replicates)]
    with shown("replicates", here.shows(progress)) as tell:
        found = monte_carlo(
            here.model if cell is here or workers == 1 else _ModelOf(cell),
            media,
            conditions,
            _Numbers(tuple(one.scaled(here) for one in observables.values())),
            start=None if start is None else solution_in(here, start),
            workers=workers,
            progress=tell,
        )
    units = [one.unit(here) for one in observables.values()]
    return Spread(
        tuple(observables),
        tuple(name for _, name in units),
        found.values * [size for size, _ in units],
        found.failures,
        here.profiles.n_units,
    )


@dataclass(frozen=True)
class _ModelOf:
    """The model of the cell that a function makes."""

    make: Any

    def __call__(self) -> NernstPlanckPoisson:
        return self.make().model


@dataclass(frozen=True)
class _Numbers:
    """Several quantities at once."""

    quantities: tuple

    def __call__(self, model, solution) -> list[float]:
        return [quantity(model, solution) for quantity in self.quantities]
