"""What `mesobridge speedup` says: lines of text, and a page."""

from __future__ import annotations

import json

import numpy as np
from matplotlib.figure import Figure

from ...core.page import Page
from ...core.style import BLACK, BLUE, GREEN, ORANGE, band, finish, panels, to_svg
from .errors import plain

HEAD = ("steps N", "speed-up", "95 % interval", "N / labels")


def speedup_lines(found: dict) -> list[str]:
    """The text of a terminal; a warning comes first."""
    c, lines = found["costs"], [found["warning"]] if found["warning"] else []
    lines += [f"{name:<28}{text}" for name, text in _costs(found)]
    rows = [HEAD, *_rows(found)]
    lines += ["", *("".join(f"{cell:>22}" for cell in row) for row in rows), ""]
    lines.append(f"break-even  {_even(found)}")
    asked = found["asked"]
    lines.append(
        f"speed-up    {_value(asked, c['labels'])} over {asked['steps']:,} steps"
    )
    return [*lines, *(f"note        {note}" for note in found["notes"])]


def speedup_page(found: dict) -> str:
    """HTML page."""
    asked, n = found["asked"], found["costs"]["labels"]
    lead = f"{found['potential']} in place of {found['oracle']}"
    page = Page("Effective speed-up, labels and training counted", lead)
    if found["warning"]:
        page.section("Warning", found["warning"])
    page.tiles([
        (_value(asked, n), f"over {asked['steps']:,} steps"),
        (_even(found), "break-even"), (plain(asked["bound"]), "bound: steps / labels"),
    ])  # fmt: skip
    page.section("Against the number of steps", *found["notes"])
    page.figure(
        to_svg(curve(found), "speedup"),
        "N t(oracle) / (labels + training + N t(potential)), CPU seconds; the band is "
        "the 95 % interval from the spread of timings.",
    )
    page.table(HEAD, _rows(found))
    page.section("Costs")
    page.table(("what", "CPU seconds, one thread"), _costs(found))
    page.listing("All figures", json.dumps(found, indent=2))
    return page.render()


def curve(found: dict) -> Figure:
    """Speed-up against steps, with what it cannot exceed."""
    figure, (ax,) = panels(1, width=7.0, height=4.2)
    rows = found["rows"]
    n = np.array([r["steps"] for r in rows])
    s = np.array([r["speedup"] for r in rows])
    low, high = np.array([r["ci95"] for r in rows]).T
    band(ax, n, s, low, high, BLUE, "speed-up", marker="o", ms=4)
    ax.plot(n, [r["bound"] for r in rows], color=ORANGE, ls="--", label="steps / labels")
    ax.axhline(found["limit"]["value"], color=GREEN, ls="-.",
               label="one step of the oracle / of the potential")  # fmt: skip
    ax.axhline(1, color=BLACK, lw=0.7, ls=":")
    even = found["break_even"]["value"]
    if even is not None:
        ax.plot([even], [1], "D", color=BLACK, ms=6, label="break-even")
    asked = found["asked"]
    ax.plot([asked["steps"]], [asked["speedup"]], "s", color=BLACK, ms=6, mfc="none",
            label=f"{asked['steps']:,} steps")  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(min(0.5, 0.5 * s.min()), 3 * max(found["limit"]["value"], 1.0, s.max()))
    finish(ax, "Effective speed-up", "MD steps", "speed-up")
    return figure


def _costs(found: dict) -> list[tuple[str, str]]:
    c = found["costs"]
    engine = found["engine"] + (", compiled" if found["compiled"] else "")
    return [
        (f"step of {found['oracle']}", f"{c['oracle_s']:.4g} s (median of "
         f"{len(c['oracle_all_s'])}; the first, cold, {c['oracle_cold_s']:.4g} s)"),
        ("step of the potential", f"{c['model_s']:.4g} s ({engine})"),
        ("labels", f"{c['labels_s']:.4g} s for {c['labels']}"),
        *([("failures", f"{c['failed_s']:.4g} s")] if c["failed_s"] else []),
        ("training", f"{c['training_s']:.4g} s"),
    ]  # fmt: skip


def _rows(found: dict) -> list[tuple[str, ...]]:
    n = found["costs"]["labels"]
    cells: list[tuple[str, ...]] = []
    for r in found["rows"]:
        low, high = (plain(x) for x in r["ci95"])
        none = r["steps"] <= n
        cells.append((
            f"{r['steps']:,}", "none" if none else plain(r["speedup"]),
            "" if none else f"[{low}, {high}]", plain(r["bound"]),
        ))  # fmt: skip
    return cells


def _value(row: dict, labels: int) -> str:
    if row["steps"] <= labels:
        return "none"
    low, high = (plain(x) for x in row["ci95"])
    return f"{plain(row['speedup'])} [{low}, {high}]"


def _even(found: dict) -> str:
    even = found["break_even"]
    if even["value"] is None:
        return "never"
    low, high = ("never" if x is None else f"{x:,.0f}" for x in even["ci95"])
    return f"{even['value']:,.0f} steps [{low}, {high}]"
