"""From replicates of a medium to replicates of a quantity."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError, MesobridgeError, StageError
from .medium import Conditions, Medium
from .model import NernstPlanckPoisson
from .nearby import Nearby
from .states import Solution
from .steady import Progress, solve_steady

#: Builds the model in every process; a function that can be pickled.
Factory = Callable[[], NernstPlanckPoisson]
#: A number or an array of a solution, such as those of `quantities`.
Evaluate = Callable[[NernstPlanckPoisson, Solution], ArrayLike]

#: Parts into which the work of a process is divided, so that none of them waits long.
PARTS = 4


@dataclass(frozen=True, eq=False)
class Replicates:
    """A quantity of every replicate.

    Attributes
    ----------
    values
        Shape (n_replicates, ...); replicate 0 is the point estimate. NaN where a
        replicate failed.
    failures
        Number of a replicate that failed -> why.
    """

    values: np.ndarray
    failures: dict[int, str]

    @property
    def std(self) -> np.ndarray:
        """Standard deviation over replicates 1 and on, without those that failed."""
        good = [j for j in range(1, len(self.values)) if j not in self.failures]
        return self.values[good].std(axis=0, ddof=1)


def monte_carlo(
    model: NernstPlanckPoisson | Factory,
    media: Sequence[Medium],
    conditions: Conditions,
    quantity: Evaluate,
    *,
    start: Solution | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Replicates:
    """Solve for every replicate of a medium.

    Each starts from the solution of replicate 0, so that values depend neither on their
    order nor, but for rounding, on the number of processes.

    Parameters
    ----------
    model
        The equations, or a function that makes them, which several processes need.
    media
        Replicates; the first is the point estimate.
    conditions
        Those of all replicates.
    quantity
        What is taken from a model and its solution.
    start
        Where the search for replicate 0 starts; at rest by default.
    workers
        Processes. More than one are spawned: the calling script must be importable
        (``if __name__ == "__main__":``), `model` and `quantity` be functions of a module.
    progress
        Called with (replicates done, all of them, "replicates").

    Returns
    -------
    Replicates

    Raises
    ------
    InputError
        When there is no medium, or something cannot be sent to other processes.
    StageError
        When replicate 0 fails, all others do, or a process dies.
    """
    if not media or workers < 1:
        raise InputError(
            "replicates",
            wanted="one medium or more, one worker or more",
            got=f"{len(media)} media, {workers} workers",
        )
    shown = progress or (lambda done, of, what: None)
    if workers > 1:
        _check_processes(model, quantity)
    here = model if isinstance(model, NernstPlanckPoisson) else model()
    first = solve_steady(here, media[0], conditions, start=start)
    estimate = np.asarray(quantity(here, first), dtype=float)
    shown(1, len(media), "replicates")
    tasks = list(enumerate(media))[1:]
    if workers == 1:
        found = _Worker(Nearby(here, first), quantity).all(tasks)
    else:
        found = _spread(model, first, quantity, tasks, workers)
    values = np.full((len(media), *estimate.shape), np.nan)
    values[0], failures = estimate, {}
    for done, (j, value, why) in enumerate(found, start=2):
        if why:
            failures[j] = why
        else:
            values[j] = value
        shown(done, len(media), "replicates")
    if tasks and len(failures) == len(tasks):
        raise StageError("every replicate failed", got=failures[1])
    return Replicates(values, dict(sorted(failures.items())))


@dataclass(frozen=True)
class _Worker:
    """What solves one replicate after the other."""

    nearby: Nearby
    quantity: Evaluate

    def all(self, tasks: Sequence[tuple[int, Medium]]) -> Iterator[tuple]:
        """Number, value and reason of failure of each."""
        for j, medium in tasks:
            try:
                found = self.nearby.solve(medium)
                value = self.quantity(self.nearby.model, found)
                yield j, np.asarray(value, dtype=float), ""
            except MesobridgeError as exc:
                yield j, None, str(exc)


_worker: _Worker | None = None


def _begin(factory: Factory, first: Solution, quantity: Evaluate) -> None:
    global _worker
    _worker = _Worker(Nearby(factory(), first), quantity)


def _work(tasks: Sequence[tuple[int, Medium]]) -> list[tuple]:
    return [] if _worker is None else list(_worker.all(tasks))


def _spread(factory, first, quantity, tasks: list, workers: int) -> Iterator[tuple]:
    """Results of tasks from several processes, as they come."""
    size = max(1, len(tasks) // (PARTS * workers))
    parts = [tasks[j : j + size] for j in range(0, len(tasks), size)]
    pool = ProcessPoolExecutor(
        min(workers, len(parts)) or 1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(factory, first, quantity),
    )
    try:
        with pool:
            for future in as_completed([pool.submit(_work, part) for part in parts]):
                yield from future.result()
    except BrokenProcessPool as exc:
        raise StageError(
            "a process that solved replicates ended",
            wanted="processes that can make the model",
            got=str(exc),
            mend='guard the script by if __name__ == "__main__", or use one worker',
        ) from exc


def _check_processes(model: NernstPlanckPoisson | Factory, quantity: Evaluate) -> None:
    if isinstance(model, NernstPlanckPoisson):
        raise InputError(
            "a model cannot be sent to other processes",
            wanted="a function that makes it, or one worker",
            got="a model",
        )
    try:
        pickle.dumps((model, quantity))
    except (pickle.PicklingError, AttributeError, TypeError) as exc:
        raise InputError(
            "what cannot be sent to other processes",
            wanted="functions of a module, not of another function",
            got=str(exc),
        ) from exc
