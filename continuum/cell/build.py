"""Closures and reactions of a cell, from what its user writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.units import AVOGADRO
from ..activity import Activity
from ..closures import Bikerman, CarnahanStarling, Closure
from ..medium import Scales
from ..profiles import COLDER
from ..reactions import Reaction
from .checks import check_kind, check_name, si
from .parts import Ion, Setting

STERICS = "bikerman", "carnahan-starling"


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
        made = float(activity.attrs.get("temperature", scales.temperature))
        if abs(made - scales.temperature) > COLDER:
            raise InputError(
                "activity coefficients of another temperature",
                wanted=f"{scales.temperature:g} K, that of the cell",
                got=f"{made:g} K",
            )
        weights = _salt_share(ions) * np.array([float(bool(i.charge)) for i in ions])
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


def _salt_share(ions: Sequence[Ion]) -> float:
    """One over the number of ions of a formula unit of the salt."""
    charged = [ion for ion in ions if ion.charge]
    if len(charged) != 2 or charged[0].charge * charged[1].charge > 0:
        raise InputError(
            "activity of a mixture",
            wanted="one salt: two ions of opposite charge",
            got=", ".join(f"{ion.name} ({ion.charge:+g})" for ion in charged) or "none",
        )
    charges = [int(abs(ion.charge)) for ion in charged]
    common = np.lcm(charges[0], charges[1])
    return 1.0 / float(sum(common // z for z in charges))


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
    check_kind(parameters or {}, Mapping, "parameters of a cell", "{name: number}")
    given = {
        name: si(value, "", f"parameter {name}")
        for name, value in (parameters or {}).items()
    }
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
