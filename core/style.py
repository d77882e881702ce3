"""One look for every figure: colour-blind-safe colours, labelled axes, inline SVG."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

#: Okabe & Ito's palette (distinguishable under every common colour blindness).
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, SKY, AMBER, BLACK = "#CC79A7", "#56B4E9", "#E69F00", "#222222"
SPECIES_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "figure.constrained_layout.use": True,
    "savefig.transparent": False,
    "figure.dpi": 110,
}


def panels(
    n: int, *, width: float = 9.2, height: float = 3.3
) -> tuple[Figure, list[Axes]]:
    """Figure with `n` panels side by side (inches)."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = [figure.add_subplot(1, n, i + 1) for i in range(n)]
    return figure, axes


def colour(species: str, order: list[str]) -> str:
    """Colour of a species: its place in the list of species."""
    return SPECIES_COLOURS[order.index(species) % len(SPECIES_COLOURS)]


def band(ax: Axes, x, values, low, high, colour: str, label: str, **line) -> None:
    """Line with its 95 % band."""
    ax.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
    ax.plot(x, values, color=colour, label=label, **line)


#: Points that a parity plot draws one by one.
FEW = 2000


def parity(ax: Axes, reference: np.ndarray, predicted: np.ndarray) -> None:
    """How often each pair of reference and prediction comes, and the diagonal."""
    values = np.concatenate([reference, predicted])
    low, high = float(values.min()), float(values.max())
    margin = 0.02 * (high - low) or 1.0
    ends = [low - margin, high + margin]
    if len(reference) < FEW:
        ax.plot(reference, predicted, ".", ms=3, color=BLUE, rasterized=True)
    else:
        counts, x, y = np.histogram2d(reference, predicted, bins=140, range=[ends] * 2)
        shown = np.where(counts > 0, np.log10(np.maximum(counts, 1)), np.nan).T
        mesh = ax.pcolormesh(x, y, shown, cmap="viridis", rasterized=True)
        ax.figure.colorbar(mesh, ax=ax, label="log10(number)")
    ax.plot(ends, ends, color=BLACK, lw=0.6, ls=":")
    ax.set_aspect("equal")


def finish(
    ax: Axes, title: str, xlabel: str, ylabel: str, *, legend: bool = True
) -> None:
    """Title, axis labels with units, legend."""
    with mpl.rc_context(_STYLE):
        ax.set_title(title)
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        if legend and ax.get_legend_handles_labels()[0]:
            ax.legend(handlelength=1.6)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element whose ids do not clash with other figures'."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path", **_STYLE}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # Text glyphs and clip paths are referred to by id; the page holds many figures.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def plain_log(*axes) -> None:
    """Label logarithmic axes (``ax.xaxis``), drawn, with plain numbers: 10, 20, 50."""
    for axis in axes:
        low, high = axis.get_view_interval()
        between = (1, 2, 5) if high < 50 * low else (1, 3) if high < 1e4 * low else (1,)
        axis.set_major_locator(LogLocator(subs=between))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_formatter(NullFormatter())
