"""Sections of reports on how sure a potential is of its forces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...atomistic.potential.uncertainty import LEVELS
from ...atomistic.uncertainty.summary import GROUPS, LARGE
from ...core.page import Page
from ...core.style import BLACK, SPECIES_COLOURS, finish, panels, plain_log, to_svg

MARKS = "osD^vP"
HEAD = (
    "group", "frames", "in 68 % intervals", "in 95 % intervals", "error / std",
    "rank correlation", "AUROC", "AUROC of distance", "error (meV/Å)", "std (meV/Å)",
    "distance",
)  # fmt: skip
_WIDE, _NARROW = LEVELS.index(0.95), LEVELS.index(0.6827)


def uncertainty_tables(page: Page, rows: Sequence[dict], curves: dict) -> None:
    """Tables and figures of a coverage, as `uncertainty.summary` gives it.

    Parameters
    ----------
    page
        Where they go.
    rows, curves
        Of `summary` and `curves`.
    """
    cells = [_cells(row) for row in rows]
    if len(rows) <= GROUPS + 1:
        page.table(HEAD, cells)
    else:
        page.table(HEAD, cells[:1])
        worst = sorted(cells[1:], key=lambda c: c[3])
        page.folded_table(f"{len(rows) - 1} groups, the worst first", HEAD, worst)
    page.figure(
        to_svg(reliability(rows, curves), "reliability"),
        "Left: part of the force components inside intervals of each probability; bands "
        "are 95 %, from resampled frames, too narrow where frames of one trajectory are "
        "alike. Below the diagonal, intervals are too narrow. Right: errors of force "
        "components against the standard deviations that were predicted; grey dots are "
        "atoms, marks root mean squares of equally many atoms. In the table: error / "
        "std, root mean square of errors over standard deviations, one is right "
        "(intervals are scaled apart from it); rank correlation, Spearman's, of the "
        "errors of atoms with their standard deviations; AUROC, how surely an error over "
        f"{1e3 * rows[0]['threshold']:.3g} meV/Å ({LARGE:g} times the median) is told "
        "from a smaller one, 0.5 is chance, by the standard deviation and by the "
        "distance from the training set alone. Where all atoms are about equally "
        "uncertain both are low though all is well. Last columns: medians.",
    )


def _cells(row: dict) -> tuple[str, ...]:
    def text(value: float | None, digits: str = ".2f") -> str:
        return "-" if value is None else f"{value:{digits}}"

    def percent(k: int) -> str:
        value = f"{100 * row['found'][k]:.1f} %"
        if row["ci95"] is None:
            return value
        low, high = (f"{100 * x:.1f}" for x in row["ci95"][k])
        return f"{value} [{low}, {high}]"

    return (
        row["group"], str(row["frames"]), percent(_NARROW), percent(_WIDE),
        text(row["calibration"]), text(row["rank_correlation"]), text(row["auroc"]),
        text(row["auroc_distance"]), text(1e3 * row["error"], ".3g"),
        text(None if row["std"] is None else 1e3 * row["std"], ".3g"),
        text(row["distance"]),
    )  # fmt: skip


def reliability(rows: Sequence[dict], curves: dict) -> Figure:
    """Found against promised coverage, and errors against standard deviations."""
    figure, (left, right) = panels(2, height=3.9)
    groups = rows[1:] or rows
    drawn = sorted(groups, key=lambda r: r["found"][_WIDE])[:GROUPS]
    drawn.sort(key=lambda r: r["group"])
    left.plot([0, 100], [0, 100], color=BLACK, lw=0.8, ls=":", label="as promised")
    for i, row in enumerate(drawn):
        look: dict[str, Any] = {
            "color": SPECIES_COLOURS[i],
            "marker": MARKS[i],
            "ms": 4.5,
        }
        levels, found = 100 * np.array(row["levels"]), 100 * np.array(row["found"])
        if row["ci95"] is not None:
            low, high = 100 * np.array(row["ci95"]).T
            left.fill_between(levels, low, high, color=look["color"], alpha=0.2, lw=0)
        left.plot(levels, found, label=row["group"], **look)
        bins = curves["bins"][row["group"]]
        right.loglog(bins["std"], bins["error"], zorder=3, lw=1.0,
                     label=row["group"], **look)  # fmt: skip
    left.set_xlim(45, 101)
    left.set_ylim(min(45, *(100 * min(r["found"]) - 3 for r in drawn)), 101)
    finish(left, "Reliability", "probability of the interval (%)",
           "components inside (%)")  # fmt: skip
    points = curves["points"]
    right.plot(points["std"], points["error"], ".", ms=2, color="#bbbbbb", zorder=1,
               rasterized=True)  # fmt: skip
    ends = [min(points["std"]), max(points["std"])]
    right.plot(ends, ends, color=BLACK, lw=0.8, ls=":", zorder=4)
    floor = 0.01 * np.median(points["error"])
    plain_log(right.xaxis, right.yaxis)
    right.set_ylim(bottom=max(floor, min(points["error"]) or floor))
    finish(right, "Errors and standard deviations", "standard deviation (meV/Å)",
           "error of a component, rms (meV/Å)", legend=False)  # fmt: skip
    return figure
