"""Experiments in time: steps, cycles, given currents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.progress import Show, shown
from ...core.schema import dataset
from ..collective import on_root
from ..medium import Conditions
from ..steady import undetermined
from ..transient import solve_transient
from .cell import Cell
from .checks import Quantity, check_kind, several, si, whole
from .conditions import check_electrode, check_potential
from .files import Saved, attributes
from .given import solution_in
from .resolution import check_layers
from .results import Series, State

Drive = Mapping[str, Mapping]

#: Steps that err less drown in rounding.
FINEST = 1e-12


def follow(
    cell: Cell,
    until: Quantity,
    drive: Drive | Callable[[float], Drive] | None = None,
    *,
    start: State | None = None,
    begin: Quantity = 0.0,
    tolerance: float = 5e-4,
    longest_step: Quantity = np.inf,
    at: Quantity | Sequence[Quantity] = (),
    checkpoint: Path | str | None = None,
    forget: bool = True,
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
        Of the error of a step in concentrations (`transient.solve_transient`). Currents
        after a jump err by 0.7 % at the default, as its power 2/3.
    longest_step
        s.
    at
        Times (s) that are met exactly and whose states are kept.
    checkpoint
        File that the run is kept in; a run that was killed goes on from there.
    forget
        Whether that file is removed at the end; one that stays gives the series again.
    progress
        As for the cell.

    Raises
    ------
    InputError
        When conditions do not fit the cell, a current is given for a part of the time
        only, or the checkpoint is of another run.
    StageError
        When steps become too short.

    Warns
    -----
    UserWarning
        When point ions crowd beyond what the mesh, or any solution, holds at the end.
    """
    check_kind(cell, Cell, "the cell", "a Cell")
    unit = cell.scales.time
    last, first = si(until, "s", "until"), si(begin, "s", "begin")
    longest = np.inf
    if not isinstance(longest_step, float) or longest_step != np.inf:
        longest = si(longest_step, "s", "longest step", sign="positive")
    error = si(tolerance, "", "tolerance", sign="positive")
    if error < FINEST:
        raise InputError("tolerance", wanted=f"{FINEST:g} or more", got=f"{error:g}")
    met = several(at, "s", "times of at")
    state = solution_in(cell, start_of(cell) if start is None else start)

    def conditions(time: float) -> Conditions:
        return cell.conditions(drive(time * unit) if callable(drive) else drive)

    with shown("time", cell.shows(progress)) as tell:
        run = solve_transient(
            cell.model,
            cell.medium,
            conditions if callable(drive) else conditions(0.0),
            last / unit,
            start=state,
            begin=first / unit,
            tolerance=error,
            longest_step=longest / unit,
            at=met / unit,
            checkpoint=checkpoint,
            forget=forget,
            progress=tell,
        )
    series = Series(cell, run, _driven(cell, drive, run.time * unit))
    check_layers(series.last)
    return series


def start_of(cell: Cell) -> State:
    """Steady state of a cell's own conditions, or rest where amounts are open."""
    if undetermined(cell.conditions(), len(cell.ions)):
        return cell.at_rest()
    return cell.steady()


def _driven(cell: Cell, drive, times: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """What a drive gives at each time, or else the condition; NaN where neither does."""
    every = [(drive(time) if callable(drive) else drive) or {} for time in times]
    units = {"potential": "V", "current": "A/m**2"}
    driven = dict.fromkeys(
        (border, key)
        for one in every
        for border, changes in one.items()
        for key in changes
        if key in units
    )
    found: dict[str, dict[str, np.ndarray]] = {}
    for border, key in driven:
        own = getattr(cell.borders[border], key)
        values = [one.get(border, {}).get(key, own) for one in every]
        rows = [np.nan if v is None else si(v, units[key]) for v in values]
        found.setdefault(border, {})[key] = np.array(rows)
    return found


def voltage_step(
    cell: Cell, border: str, potential: Quantity, until: Quantity, **options
) -> Series:
    """Jump of an electrode's potential (V) at time 0; `options` as for `follow`."""
    check_kind(cell, Cell, "the cell", "a Cell")
    check_potential(cell.borders, border)
    return follow(cell, until, {border: {"potential": potential}}, **options)


def constant_current(
    cell: Cell, border: str, current: Quantity, until: Quantity, **options
) -> Series:
    """Given mean current density (A/m2) into the cell; `options` as for `follow`."""
    check_kind(cell, Cell, "the cell", "a Cell")
    check_electrode(cell.borders, border)
    return follow(cell, until, {border: {"current": current}}, **options)


@dataclass(frozen=True, eq=False)
class Voltammogram(Saved):
    """Current against potential.

    Attributes
    ----------
    border
        The electrode.
    series
        In time, the sweeps one after another.
    potential
        Of the electrode, V, shape (n,).
    current
        Into the cell there, in the unit of `State.current`, shape (n,).
    sweep
        Number of the sweep of each point, shape (n,).
    """

    border: str
    series: tuple[Series, ...]
    potential: np.ndarray
    current: np.ndarray
    sweep: np.ndarray

    @property
    def cell(self) -> Cell:  # type: ignore[override]
        """Whose it is."""
        return self.series[0].cell

    @property
    def time(self) -> np.ndarray:
        """Since the first sweep began, s, shape (n,)."""
        begins = np.cumsum([0.0, *(run.time[-1] for run in self.series[:-1])])
        parts = zip(begins, self.series, strict=True)
        return np.concatenate([begin + run.time[1:] for begin, run in parts])

    def dataset(self) -> xr.Dataset:
        """``voltammogram/1``."""
        values = {
            "time": self.time,
            "potential": self.potential,
            "current": self.current,
            "sweep": self.sweep,
        }
        return dataset("voltammogram/1", values, attributes(self))

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
    checkpoint: Path | str | None = None,
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
    checkpoint
        Start of the names of the files that sweeps are kept in, ``CHECKPOINT.sweep1`` and
        so on: what was killed goes on from there, and finished sweeps are not made again.
        All are removed at the end.
    options
        As for `follow`.

    Returns
    -------
    Voltammogram
        The current charges the electrode too, as an experiment's does.

    Raises
    ------
    InputError
        When the border is no electrode with a potential, or a number is out of range.
    """
    check_kind(cell, Cell, "the cell", "a Cell")
    check_electrode(cell.borders, border)
    check_potential(cell.borders, border)
    corners = several(potentials, "V", "potentials of a voltammogram", least=2).tolist()
    speed = si(rate, "V/s", "rate of a voltammogram", sign="positive")
    points = whole(points, "points of a voltammogram", 1)
    if not np.all(np.diff(corners)):
        raise InputError(
            "potentials of a voltammogram",
            wanted="each another than the last",
            got=f"{corners} V",
        )
    state = start
    if state is None:
        state = cell.steady({border: {"potential": corners[0]}})
    runs: list[Series] = []
    for j, (low, high) in enumerate(zip(corners[:-1], corners[1:], strict=True)):
        duration = abs(high - low) / speed

        def drive(time: float, low=low, high=high, duration=duration) -> Drive:
            return {border: {"potential": low + (high - low) * time / duration}}

        run = follow(
            cell,
            duration,
            drive,
            start=state,
            longest_step=duration / points,
            checkpoint=_file_of(checkpoint, j),
            forget=False,
            **options,
        )
        runs.append(run)
        state = run.last
    on_root(cell.domain.comm, lambda: _forget(checkpoint, len(runs)))
    return _joined(border, runs)


def _file_of(checkpoint: Path | str | None, sweep: int) -> Path | None:
    return None if checkpoint is None else Path(f"{checkpoint}.sweep{sweep + 1}")


def _forget(checkpoint: Path | str | None, sweeps: int) -> None:
    for j in range(sweeps):
        file = _file_of(checkpoint, j)
        if file is not None:
            file.unlink()


def _joined(border: str, runs: Sequence[Series]) -> Voltammogram:
    # The first point of a sweep is the last one of the sweep before.
    potential = [run.drive[border]["potential"][1:] for run in runs]
    sweep = [np.full(len(one), j) for j, one in enumerate(potential)]
    return Voltammogram(
        border,
        tuple(runs),
        np.concatenate(potential),
        np.concatenate([run.current[border][1:] for run in runs]),
        np.concatenate(sweep),
    )
