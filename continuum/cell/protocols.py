"""Experiments in time: steps, cycles, given currents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ...core.errors import InputError
from ..medium import Conditions
from ..transient import solve_transient
from .cell import Cell
from .parts import Quantity, si
from .progress import Show, shown
from .results import Series, State

Drive = Mapping[str, Mapping]


def follow(
    cell: Cell,
    until: Quantity,
    drive: Drive | Callable[[float], Drive] | None = None,
    *,
    start: State | None = None,
    begin: Quantity = 0.0,
    tolerance: float = 3e-3,
    longest_step: Quantity = np.inf,
    at: ArrayLike = (),
    checkpoint: Path | str | None = None,
    progress: Show = None,
) -> Series:
    """Follow a cell in time.

    Parameters
    ----------
    cell
        What to follow.
    until
        Last time, s.
    drive
        Changes of conditions (`Cell.conditions`), constant or a smooth function of the
        time in s; they may jump at `begin`.
    start
        State at `begin`; the steady state of the cell's own conditions by default, or
        rest where that is not determined.
    tolerance
        Of the error of a step (`transient.solve_transient`).
    longest_step
        s.
    at
        Times (s) that are met exactly and whose states are kept.
    checkpoint
        File that the run is kept in; a run that was killed goes on from there.
    progress
        As for the cell.

    Raises
    ------
    InputError
        When conditions do not fit the cell.
    StageError
        When steps become too short.
    """
    unit = cell.scales.time
    first = start_of(cell) if start is None else start

    def conditions(time: float) -> Conditions:
        return cell.conditions(drive(time * unit) if callable(drive) else drive)

    with shown("time", cell.shows(progress)) as tell:
        run = solve_transient(
            cell.model,
            cell.medium,
            conditions if callable(drive) else conditions(0.0),
            si(until, "s") / unit,
            start=first.solution,
            begin=si(begin, "s") / unit,
            tolerance=tolerance,
            longest_step=si(longest_step, "s") / unit,
            at=np.asarray(at, dtype=float) / unit,
            checkpoint=checkpoint,
            progress=tell,
        )
    return Series(cell, run, _driven(cell, drive, run.time * unit))


def start_of(cell: Cell) -> State:
    """Steady state of a cell's own conditions, or rest where amounts are open."""
    try:
        return cell.steady()
    except InputError:
        return cell.at_rest()


def _driven(cell: Cell, drive, times: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, list[float]]] = {}
    for time in times:
        for border, changes in (
            (drive(time) if callable(drive) else drive) or {}
        ).items():
            for key, value in changes.items():
                if key in ("potential", "current"):
                    unit = {"potential": "V", "current": "A/m**2"}[key]
                    rows = found.setdefault(border, {}).setdefault(key, [])
                    rows.append(si(value, unit))
    return {
        border: {key: np.array(rows) for key, rows in one.items()}
        for border, one in found.items()
    }


def voltage_step(
    cell: Cell, border: str, potential: Quantity, until: Quantity, **options
) -> Series:
    """Jump of an electrode's potential (V) at time 0; `options` as for `follow`."""
    return follow(cell, until, {border: {"potential": potential}}, **options)


def constant_current(
    cell: Cell, border: str, current: Quantity, until: Quantity, **options
) -> Series:
    """Given mean current density (A/m2) into the cell; `options` as for `follow`."""
    return follow(cell, until, {border: {"current": current}}, **options)


@dataclass(frozen=True, eq=False)
class Voltammogram:
    """Current against potential.

    Attributes
    ----------
    series
        In time, the sweeps one after another.
    potential
        Of the electrode, V, shape (n,).
    current
        Into the cell there, in the unit of `State.current`, shape (n,).
    sweep
        Number of the sweep of each point, shape (n,).
    """

    series: tuple[Series, ...]
    potential: np.ndarray
    current: np.ndarray
    sweep: np.ndarray

    def plot(self, path: Path | str | None = None):
        """Figure of current against potential; saved when `path` is given."""
        from .plot import plot_voltammogram

        return plot_voltammogram(self, path)


def cyclic_voltammetry(
    cell: Cell,
    border: str,
    potentials: Sequence[Quantity],
    rate: Quantity,
    *,
    start: State | None = None,
    points: int = 200,
    **options,
) -> Voltammogram:
    """Sweep an electrode linearly from one potential to the next.

    Parameters
    ----------
    cell, border
        The electrode.
    potentials
        Start, vertices and end, V: ``[-0.2, 0.3, -0.2]`` is one cycle.
    rate
        V/s, positive.
    start
        State at the first potential; its steady state by default.
    points
        Least number of steps of a sweep.
    options
        As for `follow`.

    Returns
    -------
    Voltammogram
        The current charges the electrode too, as an experiment's does.
    """
    corners = [si(value, "V") for value in potentials]
    speed = si(rate, "V/s")
    if len(corners) < 2 or not speed > 0 or not np.all(np.diff(corners)):
        raise InputError(
            "a voltammogram",
            wanted="two or more potentials, each another than the last, and a rate > 0",
            got=f"{corners}, {speed:g} V/s",
        )
    state = start or cell.steady({border: {"potential": corners[0]}})
    runs = []
    for low, high in zip(corners[:-1], corners[1:], strict=True):
        duration = abs(high - low) / speed

        def drive(time: float, low=low, high=high, duration=duration) -> Drive:
            return {border: {"potential": low + (high - low) * time / duration}}

        longest = duration / points
        runs.append(
            follow(cell, duration, drive, start=state, longest_step=longest, **options)
        )
        state = runs[-1].last
    # The first point of a sweep is the last one of the sweep before.
    potential = [run.drive[border]["potential"][1:] for run in runs]
    sweep = [np.full(len(one), j) for j, one in enumerate(potential)]
    return Voltammogram(
        tuple(runs),
        np.concatenate(potential),
        np.concatenate([run.current[border][1:] for run in runs]),
        np.concatenate(sweep),
    )
