"""Messages to the user, and ends by a signal."""

from __future__ import annotations

import signal
import sys

import typer

#: Exit codes of signals that came; what fails on the way out must not hide them.
signals: list[int] = []


def tell(text: str) -> None:
    """Say something beside the output."""
    typer.echo(f"mesobridge: {text}", err=True)


def stop_on_signals() -> None:
    """End with the exit code of a signal, for runs that can go on later."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopped)


def _stopped(number: int, _) -> None:
    signals.append(128 + number)
    tell("stopped; run again to go on from here")
    sys.exit(signals[0])
