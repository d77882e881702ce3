"""What a person sees while stages run: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

#: Seconds between two plain lines of one stage.
PLAIN_EVERY = 10.0


class Display:
    """Progress of stages, and a log of them in JSON lines.

    Parameters
    ----------
    log
        File of JSON lines that is appended to.
    stream
        Where people look; ``None`` is standard error.
    quiet
        Only log.
    """

    def __init__(self, log: Path, stream: TextIO | None = None, *, quiet: bool = False):
        self._log, self._quiet = log, quiet
        self._console = Console(file=stream or sys.stderr, highlight=False)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def __enter__(self) -> Display:
        if self._console.is_terminal and not self._quiet:
            self._bars = Progress(
                TextColumn("{task.description:<16}"), BarColumn(), TimeElapsedColumn(),
                TextColumn("eta"), TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
                console=self._console,
            )  # fmt: skip
            self._bars.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bars is not None:
            self._bars.stop()

    def line(self, text: str) -> None:
        """Say something."""
        if not self._quiet:
            self._console.print(text, markup=False, soft_wrap=True)

    def log(self, event: str, **fields) -> None:
        """Add a line to the log."""
        entry = {"time": time.time(), "event": event, **fields}
        with self._log.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(entry) + "\n")

    def cached(self, stage: str) -> None:
        """Tell that a stage need not run."""
        self.log("cached", stage=stage)
        self.line(f"{stage:<16} as before")

    def begin(self, stage: str) -> None:
        """Tell that a stage starts."""
        self._began[stage] = self._told[stage] = time.monotonic()
        self.log("begin", stage=stage)
        if self._bars is not None:
            self._tasks[stage] = self._bars.add_task(stage, total=None, text="")
        else:
            self.line(f"{stage:<16} started")

    def update(self, stage: str, report: Path) -> None:
        """Show what the stage told last."""
        try:
            told = json.loads(report.read_text())
        except (OSError, ValueError):
            return
        self.show(stage, told["done"], told["total"], told["text"])

    def show(self, stage: str, done: float, total: float, text: str) -> None:
        """Show how much of a stage is done, and what it tells."""
        if self._bars is not None:
            self._bars.update(self._tasks[stage], completed=done, total=total, text=text)
            return
        now = time.monotonic()
        if now - self._told[stage] >= PLAIN_EVERY and done > 0:
            self._told[stage] = now
            left = (now - self._began[stage]) * (total - done) / done
            self.line(f"{stage:<16} {done / total:4.0%}  eta {left:4.0f} s  {text}")

    def end(self, stage: str, wall: float) -> None:
        """Tell that a stage is complete."""
        self.log("end", stage=stage, wall_s=wall)
        if self._bars is not None:
            self._bars.remove_task(self._tasks.pop(stage))
        self.line(f"{stage:<16} done in {wall:.1f} s")
