"""Verdicts of one process that all of them must learn, lest they wait for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from ..core.errors import MesobridgeError

T = TypeVar("T")


@contextlib.contextmanager
def together(comm) -> Iterator[None]:
    """A block that ends alike on all processes: the first error of any is that of all.

    Nothing in the block may be collective.
    """
    if comm.size == 1:
        yield
        return
    error: Exception | None = None
    try:
        yield
    except Exception as exc:  # whatever it is, the others wait
        error = exc
    errors = [one for one in comm.allgather(_portable(error)) if one is not None]
    if errors:
        raise error or errors[0]


def on_root(comm, work: Callable[[], T]) -> T:
    """Result of `work` by the first process, or its error, on every process."""
    result = None
    with together(comm):
        if comm.rank == 0:
            result = work()
    return comm.bcast(result)


def _portable(error: Exception | None) -> Exception | None:
    """What can be sent in place of an error: not all of other packages can."""
    known = error is None or isinstance(error, (MesobridgeError, OSError))
    return error if known else RuntimeError(f"{type(error).__name__}: {error}")
