"""States in time, with control of the error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from .checkpoint import of_run
from .medium import Conditions, Medium
from .model import NernstPlanckPoisson
from .states import Solution
from .steady import Progress
from .walk import Run, Walk
from .words import Words


def solve_transient(
    model: NernstPlanckPoisson,
    medium: Medium,
    conditions: Conditions | Callable[[float], Conditions],
    until: float,
    *,
    start: Solution,
    begin: float = 0.0,
    tolerance: float = 3e-3,
    first_step: float | None = None,
    longest_step: float = np.inf,
    at: ArrayLike = (),
    checkpoint: Path | str | None = None,
    forget: bool = True,
    progress: Progress | None = None,
) -> Run:
    """Follow a state in time.

    Parameters
    ----------
    model, medium
        The equations and what fills the domain; the medium does not change.
    conditions
        At all times, or a smooth function of time. They may differ from those of `start`:
        a jump at `begin` is met by a first step during which no ion moves.
    until
        Last time.
    start
        State at `begin`.
    tolerance
        Error of a step: root mean square over nodes of ``dc / (c_ref + c)``, of the worst
        species.
    first_step
        1e-9 of the whole time by default, 1e-6 where ions are neutral everywhere: phi,
        which their difference gives, drowns in rounding at shorter ones.
    longest_step
        Upper bound of steps.
    at
        Times that are met exactly and whose states are kept.
    checkpoint
        File that the run is kept in every half a minute, and taken up from: it ends as
        if it had not been killed. It belongs to this run: the same equations, medium,
        start, times and drive, of which values at some times are compared.
    forget
        Whether the checkpoint is removed at the end; one that stays gives the run again
        without a step.
    progress
        Called with (part of the work, 1, "time").

    Returns
    -------
    Run

    Raises
    ------
    InputError
        When conditions do not fit the model, times are out of order, the border of a
        given current is another one later, or the checkpoint is of another run.
    StageError
        When steps become too short.
    """
    stops = _stops(model.words, begin, until, at, tolerance)
    if not longest_step > 0:
        raise InputError(
            "the longest step of a transient",
            wanted="a positive number",
            got=model.words.number("time", longest_step),
        )
    drive = conditions if callable(conditions) else lambda time: conditions
    walk = Walk(model, medium, drive, start, begin)
    whole = until - begin
    shortest = (1e-9 if medium.poisson else 1e-6) * whole
    step = min(shortest if first_step is None else first_step, longest_step)
    kept = None
    if checkpoint is not None:
        times = {"stops": [begin, *stops], "steps": [step, longest_step, tolerance]}
        kept = of_run(checkpoint, model, medium, start, drive, times)
        step = walk.resume(kept, step)
    while walk.time < until:
        stop = float(stops[np.searchsorted(stops, walk.time, side="right")])
        # Bounded steps cannot grow: the second order begins at once.
        walk.starting &= step < longest_step
        step = min(walk.advance(step, stop, tolerance, whole), longest_step)
        if progress is not None:
            progress(_share(walk.time - begin, whole, longest_step), 1.0, "time")
        if kept is not None and kept.due():
            walk.keep(kept, step)
    if kept is not None and forget:
        kept.remove()
    elif kept is not None:
        walk.keep(kept, step)
    return walk.run()


def _stops(
    words: Words, begin: float, until: float, at: ArrayLike, tolerance: float
) -> np.ndarray:
    """Times that are met exactly, in order."""
    stops = np.unique([*np.ravel(at), until])
    if not begin < stops[0] or stops[-1] != until or not tolerance > 0:
        first, *met, last = (
            words.number("time", t) for t in (begin, *np.ravel(at), until)
        )
        raise InputError(
            "times of a transient",
            wanted=f"begin {first} < all of `at` <= until, tolerance > 0",
            got=f"until {last}, at [{', '.join(met)}], tolerance {tolerance:g}",
        )
    return stops


def _share(time: float, whole: float, longest_step: float) -> float:
    """Part of the work that is done: steps grow until they are the longest."""
    if longest_step < 0.1 * whole:
        return time / whole
    return float(np.log1p(1e6 * time / whole) / np.log1p(1e6))
