"""Where a result comes from: software, hardware, revision; and the memory it took."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from ...core.provenance import processor, versions


def provenance() -> dict:
    """Versions, machine and git revision of what runs here."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "processor": processor(),
        "versions": versions(),
        "git": _revision(),
    }


def _revision() -> dict:
    """Commit of the source tree and whether it has been changed since."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), *arguments],  # noqa: S607
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return {"commit": "unknown", "dirty": None}  # somebody else's repository
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "-s"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "dirty": None}


def tree_memory() -> float:
    """Memory of this process and its descendants (MiB): their proportional set sizes."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    todo, total = [os.getpid()], 0.0
    while todo:
        pid = todo.pop()
        todo.extend(children.get(pid, ()))
        total += _memory(pid)
    return total


def _memory(pid: int) -> float:
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(field):
                    return int(line.split()[1]) / 1024
        except OSError:
            continue
    return 0.0
