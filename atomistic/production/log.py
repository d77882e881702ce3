"""What happened in a run, written as it happens."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from ...core.artefact import replacing, told
from ...core.errors import InputError
from ..potential.evaluation import Evaluation

EVENTS = "events.jsonl"


class EventLog:
    """Lines of JSON, and beside them frames to look at.

    Parameters
    ----------
    folder
        Of the run.
    size
        Bytes that count: what a killed run wrote after it was last kept is written again.

    Raises
    ------
    InputError
        When there are fewer: lines were lost.
    """

    def __init__(self, folder: Path, size: int):
        self.folder, self.path, self.size = folder, folder / EVENTS, size
        with told(self.path), open(self.path, "ab") as handle:
            if handle.tell() < size:
                raise InputError(
                    f"{self.path} lacks lines", wanted=f"{size} bytes or more, as the "
                    "run left it", got=str(handle.tell()), mend="another folder",
                )  # fmt: skip
            handle.truncate(size)

    def add(self, event: dict) -> None:
        """One line; numbers that are none become ``null``."""
        text = json.dumps({k: _plain(v) for k, v in event.items()}) + "\n"
        with told(self.path), open(self.path, "ab") as handle:
            handle.write(text.encode())
            handle.flush()
            os.fsync(handle.fileno())
        self.size += len(text.encode())

    def frame(self, number: int, atoms: Atoms, found: Evaluation | None) -> str:
        """Keep a frame as extended XYZ (A, eV/A); its name in the folder of the run."""
        if found is not None:
            for name in ("forces", "force_std", "distances"):
                value = getattr(found, name)
                if value is not None:
                    atoms.arrays[name] = np.array(value)
        name = f"frames/event-{number:05d}.extxyz"
        with replacing(self.folder / name) as temporary:
            write(temporary, atoms, format="extxyz")
        return name


def _plain(value):
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
