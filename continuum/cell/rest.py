"""Borders that pass no current."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ...core.errors import InputError
from ...core.progress import Show
from .cell import Cell
from .checks import check_kind, check_name
from .conditions import check_changes
from .parts import Reservoir
from .results import State


def open_circuit(
    cell: Cell,
    border: str,
    drive: Mapping[str, Mapping] | None = None,
    *,
    start: State | None = None,
    progress: Show = None,
) -> tuple[float, State]:
    """Potential at which the currents through an electrode or a reservoir cancel.

    Of one redox couple that is Nernst's potential, of several the mixed potential (Wagner
    and Traud, doi:10.1002/bbpc.19380440702), with the diffusion of all that reacts. Of a
    reservoir it is the potential of the junction, membrane or pore before it (Teorell,
    Meyer and Sievers).

    Parameters
    ----------
    cell, border
        An electrode with one redox couple or more, or a reservoir.
    drive
        Changes of other conditions, as for `Cell.steady`.
    start, progress
        As for `Cell.steady`.

    Returns
    -------
    tuple
        The potential, V, and the steady state, from which experiments may start.

    Raises
    ------
    InputError
        When nothing passes there, or the amount of a species is not determined (of
        closed cells `Cell.settled` with a current of zero finds the state).
    StageError
        When no path leads to the state.
    """
    check_kind(cell, Cell, "the cell", "a Cell")
    check_name(border, cell.borders, "unknown border")
    changes = {} if drive is None else drive
    check_changes(cell.borders, changes)
    condition = cell.borders[border]
    couples = getattr(condition, "reactions", ())
    if not (couples or isinstance(condition, Reservoir)):
        raise InputError(
            f"open circuit at {border!r}",
            wanted="an electrode with redox couples, or a reservoir",
            got=type(condition).__name__,
            mend="a blocking electrode keeps its charge at any potential: give the "
            "potential, or follow a current in time",
        )
    idle = {**changes, border: {**changes.get(border, {}), "current": 0.0}}
    state = cell.steady(idle, start=start, progress=progress)
    # A given current always finds one.
    return cast(float, state.electrode_potential), state
