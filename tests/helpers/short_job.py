"""The shortened example as a process."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHORT = ROOT / "examples/nacl_interface/short.toml"


@dataclass(frozen=True)
class Finished:
    """A finished run of the shortened example."""

    folder: Path
    output: str
    wall_s: float


def start_short(out):
    """The command of the shortened example, started."""
    command = [sys.executable, "-m", "mesobridge.cli", "run", str(SHORT), "--out"]
    return subprocess.Popen(
        [*command, str(out)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
