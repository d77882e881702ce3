"""Report of a watched run: uncertainty against its bounds, events, oracle calls."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...atomistic.production import Produced
from ...core.artefact import read_dataset
from ...core.page import Page
from ...core.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    SKY,
    finish,
    panels,
    plain_log,
    to_svg,
)
from ...core.units import ANGSTROM, EV

#: Events that a table shows.
SHOWN = 40


@dataclass(frozen=True)
class Watched:
    """What a run folder tells of a run.

    Attributes
    ----------
    events, calls
        Lines of the log: all but oracle calls and their ends, and oracle calls.
    time, std, distance
        Of frames, shape (F,): ps, eV/A and 1; the largest of all atoms.
    """

    events: list[dict]
    calls: list[dict]
    time: np.ndarray
    std: np.ndarray
    distance: np.ndarray

    @property
    def frames(self) -> list[str]:
        """Files to look at."""
        return [e["frame"] for e in self.events if e.get("frame")]

    @property
    def expected(self) -> float:
        """Root mean square of the energy errors expected at calls, meV per atom."""
        return float(np.sqrt(np.mean([e["expected"] ** 2 for e in self.calls])))


def watched(folder: Path) -> Watched:
    """Read a run folder."""
    text = (folder / "events.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    calls = [e for e in lines if e["answer"] == "oracle"]
    events = [e for e in lines if e["answer"] not in ("oracle", "")]
    ds = read_dataset(folder / "trajectory.nc", "frames/1")
    std = ds["force_std"].values.max(1) / EV * ANGSTROM
    return Watched(events, calls, 1e12 * ds["time"].values, std,
                   ds["distance"].values.max(1))  # fmt: skip


def production_page(config, found: Produced, folder: Path, lines: list[str]) -> Page:
    """The page of a run.

    Parameters
    ----------
    config
        `ProductionConfig`.
    found
        What it came to.
    folder
        Of the run.
    lines
        The same in words.
    """
    seen, w, answer = watched(folder), config.walk, config.answer
    heat = f"at {w.temperature:g} K"
    if w.heat_to is not None:
        heat = f"from {w.temperature:g} K to {w.heat_to:g} K"
    page = Page(
        f"{config.run.name}: production that is watched",
        f'{1e12 * w.length:g} ps {heat}; where the potential is unsure: "{answer.kind}".',
    )
    tiles = [(f"{1e-3 * found.time:.2f} ps", "ran"), (str(len(seen.events)), "events"),
             (str(found.calls), "oracle calls")]  # fmt: skip
    if found.energy_error is not None:
        tiles.append((f"{found.energy_error:.2f} meV/atom", "energy error at calls"))
    page.tiles(tiles)
    page.table(("", "what it came to"), [(x[:10].strip(), x[10:]) for x in lines])
    page.section("How sure it was")
    page.figure(to_svg(_lines(config, seen), "watched"), _caption(seen))
    if seen.events:
        page.section("Events", f"All are in events.jsonl of {folder}.")
        rows = [_row(e) for e in seen.events[:SHOWN]]
        page.table(("time, ps", "why", "answer", "of the force bound", "frame"), rows)
    return page


def _caption(seen: Watched) -> str:
    text = ("Largest standard deviation of a force component, and largest distance from "
            "the training set, of all atoms; triangles: events.")  # fmt: skip
    if seen.calls:
        text += (" Right: energy error that the oracle found where it was asked, before "
                 "it was put right; budget: the error at which it is asked.")  # fmt: skip
    return text


def _row(e: dict) -> tuple[str, ...]:
    force = e.get("force")
    share = "" if force is None else f"{force:.2f}"
    return (f"{1e-3 * e['time']:.3f}", e["reason"], e["answer"], share,
            e.get("frame", ""))  # fmt: skip


def _lines(config, seen: Watched) -> Figure:
    """Time lines."""
    figure, axes = panels(3 if seen.calls else 2, width=11.0, height=3.4)
    bound, when = config.trigger.force, [1e-3 * e["time"] for e in seen.events]
    ax = axes[0]
    ax.plot(seen.time, seen.std, ".-", color=BLUE, label="largest of the atoms")
    ax.axhline(bound, color=BLACK, lw=0.8, ls=":", label="bound")
    ax.plot(when, [bound] * len(when), "v", color=ORANGE, ms=7, label="events")
    ax.set_yscale("log")
    _headroom(ax, 4.0)
    plain_log(ax.yaxis)
    finish(ax, "Standard deviation of forces", "time (ps)", "component (eV/A)")
    ax = axes[1]
    ax.plot(seen.time, seen.distance, ".-", color=GREEN, label="largest of the atoms")
    if config.answer.kind == "shrink":
        ax.axhline(config.answer.reach, color=BLACK, lw=0.8, ls=":", label="reach")
    _headroom(ax, 1.2)
    finish(ax, "Distance from the training set", "time (ps)", "distance (1)")
    if seen.calls:
        _errors(axes[2], seen.calls, config.answer.budget)
    return figure


def _errors(ax: Axes, calls: list[dict], budget: float) -> None:
    """What the oracle found, by why it was asked."""
    for reason, colour in (("force", SKY), ("energy", ORANGE)):
        own = [e for e in calls if e["reason"] == reason]
        ax.plot([1e-3 * e["time"] for e in own], [e["error"] for e in own], ".",
                color=colour, label=f"{len(own)} for unsure {reason}")  # fmt: skip
    for sign, label in ((1, "budget"), (-1, None)):
        ax.axhline(sign * budget, color=BLACK, lw=0.8, ls=":", label=label)
    _headroom(ax, 1.6)
    finish(ax, f"Energy at {len(calls)} oracle calls", "time (ps)", "error (meV/atom)")


def _headroom(ax: Axes, factor: float) -> None:
    """Room for a legend above what is drawn."""
    ax.set_ylim(top=factor * ax.get_ylim()[1])
