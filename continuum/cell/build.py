"""Closures, reactions and media of a cell, from what its user writes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.units import AVOGADRO
from ..activity import Activity
from ..closures import Bikerman, CarnahanStarling, Closure
from ..collective import together
from ..medium import Medium, Scales
from ..profiles import COLDER, Profiles
from ..reactions import Reaction
from .checks import Quantity, all_of, check_kind, check_name, on_nodes, si
from .parts import Ion, Setting
from .regions import filled

if TYPE_CHECKING:
    from .cell import Cell

#: Functions of points (n, 3) in m.
Velocity = Callable[[np.ndarray], np.ndarray]
Fixed = Quantity | Callable[[np.ndarray], np.ndarray]

STERICS = "bikerman", "carnahan-starling"
#: Part by which two bulk diffusivities of an ion may differ without a warning.
OTHER = 0.2


def make_closure(
    ions: Sequence[Ion], scales: Scales, sterics: str | None, activity: xr.Dataset | None
) -> Closure:
    """Closure by name, or from ``activity/1``.

    Raises
    ------
    InputError
        When the name is unknown, both are given, no ion has a diameter, or the ions are
        no single salt.
    """
    if activity is not None:
        check_kind(activity, xr.Dataset, "activity of a cell", "an activity/1 data set")
        if sterics is not None:
            raise InputError(
                "sterics and activity together",
                wanted="one of them: measured activities hold the ions' volumes",
            )
        found = activity.attrs.get("temperature", scales.temperature)
        found = si(found, "K", "temperature of the activity")
        if abs(found - scales.temperature) > COLDER:
            raise InputError(
                "activity coefficients of another temperature",
                wanted=f"{scales.temperature:g} K, that of the cell",
                got=f"{found:g} K",
            )
        made = _salt(ions)
        _check_salt(str(activity.attrs.get("salt")), made)
        share = 1.0 / float(sum(n for _, n in made))
        weights = share * np.array([float(bool(ion.charge)) for ion in ions])
        return Activity.from_dataset(activity, weights, scales.density)
    if sterics is None:
        return Closure()
    check_name(sterics, STERICS, "unknown sterics")
    size = np.array([si(ion.diameter, "m") for ion in ions]) ** 3 * scales.density
    if not size.any():
        raise InputError(
            f"sterics {sterics} of ions without diameters",
            wanted="Ion(..., diameter=) of one ion or more",
            got=", ".join(ion.name for ion in ions),
        )
    return Bikerman(size) if sterics == "bikerman" else CarnahanStarling(np.pi / 6 * size)


def _salt(ions: Sequence[Ion]) -> list[tuple[Ion, int]]:
    """Cation and anion of the salt that ions make, and their numbers in its formula."""
    charged = sorted((ion for ion in ions if ion.charge), key=lambda ion: -ion.charge)
    opposite = len(charged) == 2 and charged[0].charge * charged[1].charge < 0
    if not opposite or any(ion.charge % 1 for ion in charged):
        raise InputError(
            "activity of a mixture",
            wanted="one salt: two ions of opposite charge, in whole numbers",
            got=", ".join(f"{ion.name} ({ion.charge:+g})" for ion in charged) or "none",
        )
    charges = [int(abs(ion.charge)) for ion in charged]
    common = math.lcm(*charges)
    return [(ion, common // z) for ion, z in zip(charged, charges, strict=True)]


def _check_salt(salt: str, made: Sequence[tuple[Ion, int]]) -> None:
    """Refuse activities of a salt that the ions do not make, by its formula."""
    (cation, _), (anion, _) = made
    first, second = (
        [f"{ion.name}{n if n > 1 else ''}", f"({ion.name}){n}"] for ion, n in made
    )
    known = [one + other for one in first for other in second]
    if salt not in known:
        raise InputError(
            "activity coefficients of another salt",
            wanted=f"{known[0]}, of {cation.name} ({cation.charge:+g}) and "
            f"{anion.name} ({anion.charge:+g})",
            got=salt,
            mend="name the ions as in the salt's formula, and look at their charges",
        )


def warn_of_bulk(ions: Sequence[Ion], profiles: Profiles) -> None:
    """Warn of ions whose diffusivity is not that of the profiles in bulk, which holds."""
    for ion, bulk in zip(ions, profiles.bulk_diffusivity, strict=True):
        own = si(ion.diffusivity, "m**2/s")
        if abs(np.log(own / bulk)) > np.log(1 + OTHER):
            warnings.warn(
                f"the diffusivity of {ion.name} is {own:.4g} m2/s, but {bulk:.4g} m2/s "
                "in the bulk of the coefficients, which are taken",
                stacklevel=3,
            )


def make_reactions(
    reactions: Sequence[tuple[str, Mapping[str, float]]],
    parameters: Mapping[str, float] | None,
    cell: Setting,
) -> list[Reaction]:
    """Reactions whose rates (mol/(m3 s)) are expressions of concentrations in mol/m3.

    Raises
    ------
    InputError
        When one is no pair, a name is unknown, or it makes charge.
    """
    what = "reactions of a cell"
    wanted = 'a list of pairs such as ("k * A", {"A": -1, "B": 1})'
    check_kind(reactions, list | tuple, what, wanted)
    for one in reactions:
        pair = isinstance(one, list | tuple) and len(one) == 2
        if not pair or not isinstance(one[0], str) or not isinstance(one[1], Mapping):
            raise InputError(what, wanted=wanted, got=repr(one)[:80])
    given = {} if parameters is None else parameters
    check_kind(given, Mapping, "parameters of a cell", "{name: number}")
    all_of(list(given), str, "parameters of a cell", "names of numbers")
    given = {name: si(value, "", f"parameter {name}") for name, value in given.items()}
    return [_reaction(rate, numbers, given, cell) for rate, numbers in reactions]


def _reaction(
    rate: str, numbers: Mapping[str, float], parameters: Mapping, cell: Setting
) -> Reaction:
    produced = cell.of_species(numbers, "number", f"in the reaction {rate!r}")
    stoichiometry = {i: si(number, "", what) for i, what, number in produced}
    charge = sum(nu * cell.ions[i].charge for i, nu in stoichiometry.items())
    if abs(charge) > 1e-12:
        raise InputError(
            f"the reaction {rate!r} makes charge",
            wanted="sum of charge times number produced = 0",
            got=f"{charge:+g}",
        )
    unit = cell.scales.density / AVOGADRO
    names = [ion.name for ion in cell.ions]
    scale = (unit, unit / cell.scales.time)
    return Reaction(rate, stoichiometry, names, parameters, scale)


def make_medium(
    cell: Cell, fixed: Fixed, velocity: Velocity | None, replicate: int
) -> Medium:
    """Coefficients of a cell on its nodes.

    Parameters
    ----------
    cell
        With its model, profiles and regions.
    fixed
        Charge, C/m3, or a function of points (n, 3) in m.
    velocity
        Of the solvent, as `Cell` has it.
    replicate
        Of the profiles.
    """
    # What is refused may lie on one process alone.
    with together(cell.domain.comm):
        values = _values(cell, fixed, velocity, replicate)
    values = filled(cell, values, cell.regions)
    poisson = 0.0 if cell.electroneutral else cell.scales.poisson
    with together(cell.domain.comm):
        return Medium(
            c_ref=cell.bulk, poisson=poisson, closure=cell.model.closure, **values
        )


def _values(cell: Cell, fixed: Fixed, velocity: Velocity | None, replicate: int) -> dict:
    """Coefficients by their names in `Medium`, those of regions left out."""
    scales, nodes = cell.scales, len(cell.model.points)
    constant = [si(ion.diffusivity, "m**2/s") for ion in cell.ions]
    metres = cell.model.points * scales.length
    values: dict = {
        "mu_ex": np.zeros((len(cell.ions), nodes)),
        "diffusivity": np.outer(constant, np.ones(nodes)) / scales.diffusivity,
        "permittivity": cell.permittivity,
    }
    if cell.profiles is not None and cell.distance is not None:
        values |= cell.profiles.on(cell.distance, replicate)
        if cell.domain.dim == 1:
            del values["diffusivity_par"]
        else:
            values["distance"] = cell.distance
    what = "fixed_charge of a cell"
    if callable(fixed):
        charge = on_nodes(fixed, metres, (nodes,), "C/m**3", what)
    else:
        charge = np.array(si(fixed, "C/m**3", what))
    values["fixed_charge"] = charge / (scales.surface_charge / scales.length)
    if velocity is not None:
        what, shape = "velocity of a cell", (cell.domain.dim, nodes)
        speed = scales.diffusivity / scales.length
        values["velocity"] = on_nodes(velocity, metres, shape, "m/s", what) / speed
    return values
