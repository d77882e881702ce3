"""Runs stages in a process of their own that dies with the process that started it."""

from __future__ import annotations

import resource
import signal
import sys
import time
from pathlib import Path

from ...core.process import follow
from .stage import Context, Stage


def start(parent: int) -> None:
    """Initialise a worker: no own Ctrl-C, no life after the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    follow(parent)


def run_stage(
    stage: Stage, inputs: dict[str, Path], out: Path, scratch: Path, report: Path | None
) -> dict:
    """Run one stage; its results with wall and CPU time (s)."""
    wall, cpu = time.perf_counter(), _cpu()
    function = stage.load()
    if "torch" in sys.modules:  # also where the caller imported it with more threads
        sys.modules["torch"].set_num_threads(1)
    results = function(inputs, dict(stage.settings), out, Context(scratch, report))
    return {
        "results": results,
        "wall_s": time.perf_counter() - wall,
        "cpu_s": _cpu() - cpu,
    }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
