"""What a person sees while something long goes on."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

#: ``None``: on a terminal only; true, false; or a function of (done, total, what).
Show = bool | Callable[[float, float, str], None] | None

#: Seconds between plain lines where there is no terminal.
PLAIN_EVERY = 5.0


@contextlib.contextmanager
def shown(what: str, show: Show) -> Iterator[Callable[[float, float, str], None] | None]:
    """Show the progress of a block.

    Parameters
    ----------
    what
        Such as ``"steady state"``.
    show
        See `Show`. A bar with the time left on a terminal, plain lines elsewhere.

    Yields
    ------
    callable or None
        To be called with (done, total, what).
    """
    if callable(show):
        show(0.0, 1.0, what)
        yield show
        show(1.0, 1.0, what)
        return
    console = Console(file=sys.stderr, highlight=False)
    if show is False or (show is None and not console.is_terminal):
        yield None
    elif console.is_terminal:
        yield from _bar(what, console)
    else:
        yield from _lines(what, console)


def _bar(what: str, console: Console) -> Iterator[Callable]:
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(what, total=None)

        def tell(done: float, total: float, now: str) -> None:
            text = what if now in ("", what) else f"{what}, {now}"
            bars.update(task, completed=done, total=total, description=text)

        yield tell
        bars.update(task, completed=1.0, total=1.0)


def _lines(what: str, console: Console) -> Iterator[Callable]:
    began = told = time.monotonic()
    console.print(f"{what} ...")

    def tell(done: float, total: float, _: str) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= PLAIN_EVERY and done > 0:
            told = now
            left = (now - began) * (total - done) / done
            console.print(f"{what}: {100 * done / total:.0f} %, {left:.0f} s left")

    yield tell
    console.print(f"{what}: done in {time.monotonic() - began:.1f} s")
