"""What all benchmarks share: a figure with its verdict, the machine, the file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np


def figure(name, value, unit, op, target, note="") -> dict:
    """One figure, with its verdict."""
    ok = value <= target if op == "<=" else value >= target
    return {
        "name": name, "value": value, "unit": unit, "op": op, "target": target,
        "ok": bool(ok), "note": note,
    }  # fmt: skip


def in_turns(
    jobs: Sequence[Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> np.ndarray:
    """Seconds of jobs, in turns, shape (rounds, n)."""
    times = np.empty((rounds, len(jobs)))
    for row in times:
        for j, job in enumerate(jobs):
            begin = clock()
            job()
            row[j] = clock() - begin
    return times


def machine() -> dict:
    """What figures are taken on."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def write(path: Path, before: dict, figures: list[dict]) -> None:
    """Write figures and the machine as JSON, and show them."""
    path.write_text(json.dumps({"machine": before, "figures": figures}, indent=2) + "\n")
    for f in figures:
        verdict = "ok  " if f["ok"] else "MISS"
        wanted = f"{f['op']} {f['target']}"
        line = f"{verdict} {f['name']}: {f['value']:.4g} {f['unit']} ({wanted})"
        sys.stdout.write(line + "\n")


def command(parts: Sequence, description: str) -> None:
    """Command line of a benchmark: its parts, modules with `figures`, one by one."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter problems")
    parser.add_argument("--json", type=Path, required=True, help="where to write")
    names = [part.__name__ for part in parts]
    parser.add_argument("--part", action="append", choices=names, help="of all, these")
    args = parser.parse_args()
    before, found = machine(), []
    for part in parts:
        if not args.part or part.__name__ in args.part:
            found += part.figures(quick=args.quick)
    write(args.json, before, found)
