"""Quick plots of states and series, with units."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from matplotlib.tri import Triangulation

from ...core.artefact import replacing
from ...core.errors import InputError
from .. import _dolfinx as fx
from ..fields import Gather
from .files import total_unit
from .results import Series, State

if TYPE_CHECKING:
    from .cell import Cell
    from .protocols import Voltammogram
    from .response import CapacitanceCurve, ImpedanceSpectrum

#: Okabe and Ito: told apart by the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: What lies on another line stays seen.
LINES = ("-", "--", "-.", ":")
#: Nodes nearer than this part of an interval hold what a linear axis would hide.
FINE = 1e-4


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _done(figure: Figure, path: Path | str | None) -> Figure:
    if path is not None:
        with replacing(path) as temporary:
            kind = Path(path).suffix.lstrip(".") or "png"
            known = figure.canvas.get_supported_filetypes()
            if kind.lower() not in known:
                raise InputError(
                    f"the format of {path}", wanted=", ".join(sorted(known)), got=kind
                )
            figure.savefig(temporary, dpi=150, format=kind)
    return figure


def _length(metres: float) -> tuple[float, str]:
    """Unit in which a length reads well."""
    for factor, name in ((1e-9, "nm"), (1e-6, "µm"), (1e-3, "mm")):
        if metres < 1e3 * factor:
            return factor, name
    return 1.0, "m"


def _time(seconds: float) -> tuple[float, str]:
    for factor, name in ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms")):
        if seconds < 1e3 * factor:
            return factor, name
    return 1.0, "s"


def _prefix(value: float) -> tuple[float, str]:
    """SI prefix with which a number reads well."""
    steps = ((1e-12, "p"), (1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""), (1e3, "k"))
    for factor, name in steps:
        if value < 1e3 * factor:
            return factor, name
    return 1e6, "M"


def typeset(unit: str) -> str:
    """A unit such as ``"ohm m2"`` in mathtext."""
    parts = [re.sub(r"(-?\d+)$", r"^{\1}", part) for part in unit.split()]
    inside = r"\;".join(parts).replace("ohm", r"\Omega")
    return rf"$\mathrm{{{inside}}}$"


def _per(unit: str, cell) -> str:
    return typeset(f"{unit} {total_unit(cell)[1]}")


def _plain(*axes) -> None:
    """Powers of ten beside an axis, not in its numbers."""
    for axis in axes:
        axis.set_major_formatter(ScalarFormatter(useMathText=True))


def _logarithmic(axis: Axis) -> None:
    """Numbers at decades; where fewer than two are seen at 2 and 5 too."""
    low, high = np.log10(axis.get_view_interval())
    if np.floor(high) > np.ceil(low):
        axis.set_minor_formatter(NullFormatter())
        return
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(lambda value, _: f"{value:g}" * (f"{value:e}"[0] in "25"))


def plot_state(state: State, path: Path | str | None = None) -> Figure:
    """Potential and concentrations: lines on an interval, maps in the plane.

    Raises
    ------
    InputError
        In three dimensions, or on more than one process in the plane.
    """
    dim = state.cell.domain.dim
    if dim == 1:
        return _done(_lines(state), path)
    if dim == 3 or state.cell.domain.comm.size > 1:
        raise InputError(
            "a quick plot",
            wanted="one or two dimensions, the latter on one process",
            got=f"{dim} dimensions, {state.cell.domain.comm.size} processes",
            mend="State.save_xdmf writes what ParaView shows",
        )
    return _done(_maps(state), path)


def _lines(state: State) -> Figure:
    """One panel; or one for each end with a double layer that a line would hide."""
    gather = Gather(state.cell.model.nodes)
    x = gather.points[:, 0] * state.cell.scales.length
    potential = 1e3 * gather(state.potential)
    c = {name: gather(one) for name, one in state.concentration.items()}
    names = list(state.cell.domain.borders)
    ends = _layers(state.cell, x, names)
    figure = _figure(6.4, 5.2) if len(ends) < 2 else _figure(9.0, 5.2)
    axes = figure.subplots(
        2, max(1, len(ends)), sharex="col", sharey="row", squeeze=False
    )
    names = list(state.cell.domain.borders)
    shown: Sequence[int | None] = ends or [None]
    for column, end in zip(axes.T, shown, strict=True):
        place, seen, label = _axis(x, end, names, both=len(ends) > 1)
        column[0].plot(place[seen], potential[seen], color=COLOURS[-1])
        styles = itertools.cycle(itertools.product(LINES, COLOURS))
        for (line, colour), (name, one) in zip(styles, c.items(), strict=False):
            column[1].semilogy(place[seen], one[seen], line, color=colour, label=name)
        column[1].set_xlabel(label)
        if end is not None:
            column[1].set_xscale("log")
        if end == -1:
            column[1].invert_xaxis()
    axes[0, 0].set_ylabel("potential / mV")
    axes[1, 0].set_ylabel(f"concentration / {typeset('mol m-3')}")
    _logarithmic(axes[1, 0].yaxis)
    axes[1, 0].legend(frameon=False)
    return figure


def _layers(cell: Cell, x: np.ndarray, names: Sequence[str]) -> list[int]:
    """Ends (0 or -1) with double layers too thin to be seen beside the whole."""
    pieces, sizes = cell.pieces(), (x[1] - x[0], x[-1] - x[-2])
    return [
        end
        for end, size in zip((0, -1), sizes, strict=True)
        if pieces[names[end]].charges(len(cell.ions)) and size < FINE * np.ptp(x)
    ]


def _axis(
    x: np.ndarray, end: int | None, names: list[str], *, both: bool
) -> tuple[np.ndarray, np.ndarray, str]:
    """Where values are drawn, which of them, and what the axis is called."""
    if end is None:
        factor, unit = _length(float(np.ptp(x)))
        return x / factor, np.full(len(x), True), f"position / {unit}"
    distance = np.abs(x - x[end])
    reach = np.ptp(x) / (2 if both else 1)
    seen = (distance > 0) & (distance <= reach)
    factor, unit = _length(float(np.sqrt(distance[seen].min() * reach)))
    return distance / factor, seen, f"distance from {names[end]} / {unit}"


def _maps(state: State) -> Figure:
    cell = state.cell
    x, y = state.points[:, 0], state.points[:, 1]
    triangles = _triangles(state)
    factor, unit = _length(max(np.ptp(x), np.ptp(y)))
    fields = {"potential / mV": 1e3 * state.potential}
    for name, c in state.concentration.items():
        fields[f"log$_{{10}}$ c({name}) / {typeset('mol m-3')}"] = np.log10(
            np.maximum(c, 1e-300)
        )
    axial = cell.domain.symmetry == "axial"
    mesh = Triangulation(x / factor, y / factor, triangles)
    # A pore lies on its side: its axis is the long one.
    wide = np.ptp(x) >= np.ptp(y)
    count = len(fields)
    ratio = min(np.ptp(x), np.ptp(y)) / max(np.ptp(x), np.ptp(y))
    size = float(np.clip(0.7 + 5 * ratio, 1.3, 2.6))
    figure = _figure(6.4, size * count) if wide else _figure((size + 0.7) * count, 4.8)
    shape = (count, 1) if wide else (1, count)
    axes = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True)
    for axis, (label, values) in zip(axes.flat, fields.items(), strict=True):
        shown = axis.tripcolor(mesh, values, shading="gouraud", cmap="cividis")
        figure.colorbar(shown, ax=axis)
        # Beside a colour bar it would be longer than a flat map is high.
        axis.set_title(label, loc="left", fontsize="medium")
        axis.set_aspect("equal" if np.ptp(x) < 6 * np.ptp(y) < 36 * np.ptp(x) else "auto")
    for axis in axes[-1]:
        axis.set_xlabel(f"{'r' if axial else 'x'} / {unit}")
    for axis in axes[:, 0]:
        axis.set_ylabel(f"{'z' if axial else 'y'} / {unit}")
    return figure


def _triangles(state: State) -> np.ndarray:
    """Triangles between nodes: each cell of degree 2 as four."""
    nodes = fx.cell_nodes(state.cell.model.space)
    if nodes.shape[1] == 3:
        return nodes
    # Middles of edges are numbered by the opposite vertex.
    parts = [(0, 5, 4), (5, 1, 3), (4, 3, 2), (3, 4, 5)]
    return np.concatenate([nodes[:, part] for part in parts])


def plot_series(series: Series, path: Path | str | None = None) -> Figure:
    """Current and charge against time, and the potential of a driven current.

    After a jump time is on a logarithmic axis, as it spans many decades, and so is the
    size of a current that decays by two or more; while something is swept time is even.
    """
    since = series.time - series.time[0]
    # The instant of a jump charges the bare gap, with a current beyond all others.
    seen = since > 1e-6 * since[-1]
    factor, unit = _time(since[-1])
    time = since[seen] / factor
    floats = len(series.electrode_potential) > 0
    figure = _figure(6.4, 6.8 if floats else 5.0)
    axes = figure.subplots(3 if floats else 2, 1, sharex=True)
    current, charge = (
        {name: values[seen] for name, values in _not_zero(one).items()}
        for one in (series.current, series.charge)
    )
    decays = _decays(current)
    for axis, lines in ((axes[0], current), (axes[1], charge)):
        styles = zip(*map(itertools.cycle, (COLOURS, LINES)), lines.items(), strict=False)
        for colour, line, (name, values) in styles:
            shown = np.abs(values) if decays and lines is current else values
            axis.plot(time, shown, line, color=colour, label=name)
        _plain(axis.yaxis)
    name = "|current|" if decays else "current"
    axes[0].set_ylabel(f"{name} / {_per('A', series.cell)}")
    axes[1].set_ylabel(f"charge / {_per('C', series.cell)}")
    if decays:
        axes[0].set_yscale("log")
        least = 1e-6 * max(np.abs(values).max() for values in current.values())
        axes[0].set_ylim(bottom=max(least, axes[0].get_ylim()[0]))
    if floats:
        axes[2].plot(time, series.electrode_potential[seen], color=COLOURS[-1])
        axes[2].set_ylabel(f"electrode potential / {typeset('V')}")
    if current:
        axes[0].legend(frameon=False)
    if not _sweeps(series):
        axes[-1].set_xscale("log")
    axes[-1].set_xlabel(f"time / {unit}")
    return _done(figure, path)


def _not_zero(series: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without walls and the like, which have no line of their own."""
    return {name: values for name, values in series.items() if values.any()}


def _decays(current: Mapping[str, np.ndarray]) -> bool:
    largest = max((np.abs(values).max() for values in current.values()), default=0.0)
    return largest > 100 * max(
        (abs(values[-1]) for values in current.values()), default=0
    )


def _sweeps(series: Series) -> bool:
    driven = [values for fields in series.drive.values() for values in fields.values()]
    return any(len(np.unique(values[1:])) > 2 for values in driven)


def plot_voltammogram(curve: Voltammogram, path: Path | str | None = None) -> Figure:
    """Current against potential, one line for each sweep."""
    figure = _figure(5.6, 4.4)
    axis = figure.subplots()
    for sweep in np.unique(curve.sweep):
        mine = curve.sweep == sweep
        colour = COLOURS[int(sweep) % len(COLOURS)]
        label = f"sweep {int(sweep) + 1}"
        axis.plot(curve.potential[mine], curve.current[mine], color=colour, label=label)
    axis.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
    axis.set_xlabel(f"electrode potential / {typeset('V')}")
    axis.set_ylabel(f"current / {_per('A', curve.cell)}")
    _plain(axis.yaxis)
    axis.legend(frameon=False)
    return _done(figure, path)


def plot_impedance(spectrum: ImpedanceSpectrum, path: Path | str | None = None) -> Figure:
    """Nyquist and Bode plots."""
    z, (factor, prefix) = spectrum.impedance, _prefix(np.abs(spectrum.impedance).max())
    figure = _figure(9.0, 4.0)
    nyquist, bode = figure.subplots(1, 2)
    real, imaginary = z.real / factor, -z.imag / factor
    nyquist.plot(real, imaginary, "o-", markersize=3, color=COLOURS[0])
    nyquist.set_xlabel(f"Re Z / {typeset(prefix + spectrum.unit)}")
    nyquist.set_ylabel(f"$-$Im Z / {typeset(prefix + spectrum.unit)}")
    _even(nyquist, real, imaginary)
    bode.loglog(spectrum.frequency, np.abs(z), color=COLOURS[0])
    bode.set_xlabel(f"frequency / {typeset('Hz')}")
    bode.set_ylabel(f"|Z| / {typeset(spectrum.unit)}", color=COLOURS[0])
    phase = bode.twinx()
    phase.semilogx(spectrum.frequency, np.degrees(np.angle(z)), "--", color=COLOURS[1])
    phase.set_ylabel("phase / degrees", color=COLOURS[1])
    return _done(figure, path)


def _even(axis, x: np.ndarray, y: np.ndarray) -> None:
    """Equal scales from the origin on; a straight spectrum does not make a thin box."""
    low = [min(0.0, float(values.min())) for values in (x, y)]
    size = [
        float(values.max()) - start for values, start in zip((x, y), low, strict=True)
    ]
    for start, own, other, limit in (
        (low[0], size[0], size[1], axis.set_xlim),
        (low[1], size[1], size[0], axis.set_ylim),
    ):
        span = max(own, other / 2)
        limit(start - 0.05 * span, start + 1.05 * span)
    axis.set_aspect("equal", adjustable="box")


def plot_capacitance(curve: CapacitanceCurve, path: Path | str | None = None) -> Figure:
    """Differential capacitance against potential."""
    figure = _figure(5.6, 4.4)
    axis = figure.subplots()
    axis.plot(curve.potential, curve.capacitance, "o-", markersize=3, color=COLOURS[0])
    axis.set_xlabel(f"electrode potential / {typeset('V')}")
    axis.set_ylabel(f"differential capacitance / {typeset(curve.unit)}")
    axis.set_ylim(bottom=0.0)
    _plain(axis.yaxis)
    return _done(figure, path)
