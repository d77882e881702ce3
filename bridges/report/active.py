"""Report of active learning: labels, errors, coverage and what stopped the walks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ...core.page import Page
from ...core.style import BLACK, BLUE, GREEN, ORANGE, finish, panels, plain_log, to_svg


def active_page(config, oracle: str, rounds: Sequence, settings) -> Page:
    """The page, after any round.

    Parameters
    ----------
    config
        `ActiveConfig`.
    oracle
        Its name.
    rounds
        So far, one at least.
    settings
        `ActiveSettings`.
    """
    last = rounds[-1]
    state = (
        "Learned: a whole horizon passed within the bounds" if last.done else "Learning"
    )
    bounds = settings.trigger
    page = Page(
        f"{config.run.name}: active learning with {oracle}",
        f"{state}. {settings.replicas} replicas of {settings.horizon / 1e3:g} ps at "
        f"{settings.motion.temperature:g} K; bounds {bounds.force:g} eV/A and "
        f"{bounds.energy:g} kT per atom.",
    )
    page.tiles([
        (str(last.labels), "labels"), (str(last.failed), "failed"),
        (f"{1e3 * last.force_rmse:.0f} meV/A", "force error, held out"),
        (f"{max(last.force, last.energy):.2f}", "unsure, of the bounds"),
    ])  # fmt: skip
    if last.doubt is not None:
        page.section("Doubt", f"As it stands, {last.doubt}.")
    page.section("Rounds")
    page.figure(
        to_svg(_curves(rounds), "rounds"),
        "Left: errors on frames held out, and on those that were new in a round, as the "
        "potential before saw them. Middle: part of the force components of new frames "
        "inside 95 % intervals. Right: largest uncertainty where walks went on.",
    )
    page.table(
        ("round", "labels", "held out, meV/A", "new, meV/A", "inside 95 %", "walked, ps",
         "stopped by", "force bound", "energy bound"),
        [_row(r) for r in rounds],
    )  # fmt: skip
    return page


def _row(r) -> tuple[str, ...]:
    new, inside = "", ""
    if r.surprise is not None:
        inside, new = f"{100 * r.surprise[0]:.0f} %", f"{1e3 * r.surprise[1]:.0f}"
    stops = ", ".join(f"{n} {why}" for why, n in Counter(r.triggers).most_common())
    return (str(r.number), str(r.labels), f"{1e3 * r.force_rmse:.0f}", new, inside,
            f"{1e-3 * r.passed:.2f}", stops or "none", f"{r.force:.2f}",
            f"{r.energy:.2f}")  # fmt: skip


def _curves(rounds: Sequence) -> Figure:
    """Errors, coverage and shares of the bounds against labels."""
    figure, axes = panels(3, width=11.0, height=3.4)
    labels = np.array([r.labels for r in rounds])
    new = [r for r in rounds if r.surprise is not None]
    at = [r.labels for r in new]
    ax = axes[0]
    ax.plot(labels, [1e3 * r.force_rmse for r in rounds], "o-", color=BLUE,
            label="held out")  # fmt: skip
    ax.plot(at, [1e3 * r.surprise[1] for r in new], "s--", color=ORANGE, label="new")
    ax.set_yscale("log")
    plain_log(ax.yaxis)
    finish(ax, "Force errors", "labels", "force RMSE (meV/A)")
    ax = axes[1]
    ax.axhline(95, color=BLACK, lw=0.8, ls=":", label="promised")
    ax.plot(at, [100 * r.surprise[0] for r in new], "s-", color=ORANGE, label="found")
    ax.set_ylim(0, 105)
    finish(ax, "Coverage of new frames", "labels", "inside 95 % intervals (%)")
    ax = axes[2]
    ax.axhline(1, color=BLACK, lw=0.8, ls=":", label="bound")
    ax.plot(labels, [r.force for r in rounds], "o-", color=BLUE, label="force")
    ax.plot(labels, [r.energy for r in rounds], "^--", color=GREEN, label="energy")
    finish(ax, "Uncertainty of walks", "labels", "largest, of the bound")
    return figure
