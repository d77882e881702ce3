"""Quick plots of states and series, with units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation

from ...core.artefact import replacing
from ...core.errors import InputError
from .. import _dolfinx as fx
from ..fields import Gather
from .files import total_unit
from .results import Series, State

if TYPE_CHECKING:
    from .protocols import Voltammogram
    from .response import CapacitanceCurve, ImpedanceSpectrum

#: Okabe and Ito: told apart by the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


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


def _per(unit: str, cell) -> str:
    per = total_unit(cell)[1]
    return f"{unit} {per.replace('m-2', 'm$^{-2}$').replace('m-1', 'm$^{-1}$')}".strip()


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
    gather = Gather(state.cell.model.nodes)
    x = gather.points[:, 0] * state.cell.scales.length
    factor, unit = _length(float(x[-1] - x[0]))
    figure = _figure(6.4, 5.2)
    top, bottom = figure.subplots(2, 1, sharex=True)
    top.plot(x / factor, 1e3 * gather(state.potential), color=COLOURS[-1])
    top.set_ylabel("potential / mV")
    for colour, (name, c) in zip(COLOURS, state.concentration.items(), strict=False):
        bottom.semilogy(x / factor, gather(c), color=colour, label=name)
    bottom.set_ylabel("concentration / mol m$^{-3}$")
    bottom.set_xlabel(f"position / {unit}")
    first = x[1] - x[0]
    if first < 1e-3 * (x[-1] - x[0]):
        # A double layer would be a line beside the diffusion layer.
        bottom.set_xscale("symlog", linthresh=10 * first / factor)
        bottom.set_xlim(x[0] / factor, x[-1] / factor)
    bottom.legend(frameon=False)
    return figure


def _maps(state: State) -> Figure:
    cell = state.cell
    x, y = state.points[:, 0], state.points[:, 1]
    triangles = _triangles(state)
    factor, unit = _length(max(np.ptp(x), np.ptp(y)))
    fields = {"potential / mV": 1e3 * state.potential}
    for name, c in state.concentration.items():
        fields[f"log$_{{10}}$ c({name}) / mol m$^{{-3}}$"] = np.log10(c)
    axial = cell.domain.symmetry == "axial"
    mesh = Triangulation(x / factor, y / factor, triangles)
    # A pore lies on its side: its axis is the long one.
    wide = np.ptp(x) >= np.ptp(y)
    count = len(fields)
    figure = _figure(6.4, 2.2 * count) if wide else _figure(2.8 * count, 4.8)
    shape = (count, 1) if wide else (1, count)
    for axis, (label, values) in zip(
        np.ravel(figure.subplots(*shape, squeeze=False)), fields.items(), strict=True
    ):
        shown = axis.tripcolor(mesh, values, shading="gouraud", cmap="cividis")
        figure.colorbar(shown, ax=axis, label=label)
        axis.set_aspect("equal" if np.ptp(x) < 6 * np.ptp(y) < 36 * np.ptp(x) else "auto")
        axis.set_xlabel(f"{'r' if axial else 'x'} / {unit}")
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

    Time is on a logarithmic axis: what follows a jump spans many decades.
    """
    since = series.time - series.time[0]
    # The instant of a jump charges the bare gap, with a current beyond all others.
    seen = since > 1e-6 * since[-1]
    factor, unit = _time(since[-1])
    time = since[seen] / factor
    floats = len(series.electrode_potential) > 0
    figure = _figure(6.4, 6.8 if floats else 5.0)
    axes = figure.subplots(3 if floats else 2, 1, sharex=True)
    current = _not_zero(series.current)
    for colour, (name, values) in zip(COLOURS, current.items(), strict=False):
        axes[0].plot(time, values[seen], color=colour, label=name)
    sizes = [np.abs(values[seen]) for values in current.values()]
    largest = max((size.max() for size in sizes), default=0.0)
    if largest > 100 * max((size[-1] for size in sizes), default=0.0):
        axes[0].set_yscale("symlog", linthresh=1e-3 * largest)
    axes[0].set_ylabel(f"current / {_per('A', series.cell)}")
    charge = _not_zero(series.charge)
    for colour, (name, values) in zip(COLOURS, charge.items(), strict=False):
        axes[1].plot(time, values[seen], color=colour, label=name)
    axes[1].set_ylabel(f"charge / {_per('C', series.cell)}")
    if floats:
        axes[2].plot(time, series.electrode_potential[seen], color=COLOURS[-1])
        axes[2].set_ylabel("electrode potential / V")
    if current:
        axes[0].legend(frameon=False)
    axes[-1].set_xscale("log")
    axes[-1].set_xlabel(f"time / {unit}")
    return _done(figure, path)


def _not_zero(series: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without walls and the like, which have no line of their own."""
    return {name: values for name, values in series.items() if values.any()}


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
    axis.set_xlabel("electrode potential / V")
    axis.set_ylabel(f"current / {_per('A', curve.series[0].cell)}")
    axis.legend(frameon=False)
    return _done(figure, path)


def plot_impedance(spectrum: ImpedanceSpectrum, path: Path | str | None = None) -> Figure:
    """Nyquist and Bode plots."""
    z = spectrum.impedance
    figure = _figure(9.0, 4.0)
    nyquist, bode = figure.subplots(1, 2)
    nyquist.plot(z.real, -z.imag, "o-", markersize=3, color=COLOURS[0])
    nyquist.set_xlabel(f"Re Z / {spectrum.unit}")
    nyquist.set_ylabel(f"$-$Im Z / {spectrum.unit}")
    nyquist.set_aspect("equal", adjustable="datalim")
    bode.loglog(spectrum.frequency, np.abs(z), color=COLOURS[0])
    bode.set_xlabel("frequency / Hz")
    bode.set_ylabel(f"|Z| / {spectrum.unit}", color=COLOURS[0])
    phase = bode.twinx()
    phase.semilogx(spectrum.frequency, np.degrees(np.angle(z)), "--", color=COLOURS[1])
    phase.set_ylabel("phase / degrees", color=COLOURS[1])
    return _done(figure, path)


def plot_capacitance(curve: CapacitanceCurve, path: Path | str | None = None) -> Figure:
    """Differential capacitance against potential."""
    figure = _figure(5.6, 4.4)
    axis = figure.subplots()
    axis.plot(curve.potential, curve.capacitance, "o-", markersize=3, color=COLOURS[0])
    axis.set_xlabel("electrode potential / V")
    axis.set_ylabel(f"differential capacitance / {curve.unit}")
    axis.set_ylim(bottom=0.0)
    return _done(figure, path)
