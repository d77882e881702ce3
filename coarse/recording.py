"""Runs of replicas: frames handed over as they come, or saved in a file resumably."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from ..core.artefact import read_model, told, write_model
from ..core.errors import InputError
from .langevin import check_shape

#: Seconds between checkpoints.
CHECKPOINT_EVERY = 30.0

Progress = Callable[[float, float, str], None]


class Engine(Protocol):
    """What `run` and `record` drive: `Langevin` or `exchange.ReplicaExchange`."""

    @property
    def x(self) -> Tensor:
        """Positions now."""

    def advance(self, steps: int) -> None:
        """Move."""

    def state(self) -> dict[str, np.ndarray]:
        """All that it takes to go on."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on."""


def run(
    engine: Engine,
    frames: int,
    every: int,
    keep: Callable[[int, Tensor], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Move, and hand frames over as they come.

    Parameters
    ----------
    engine
        Replicas.
    frames, every
        Number of saves, and steps between them.
    keep
        Called with the number of the frame and positions (R, B, 3), to copy or sum up:
        the next step changes them.
    progress
        Called with (done, total, what).
    """
    for k in range(frames):
        engine.advance(every)
        if keep is not None:
            keep(k, engine.x)
        if progress is not None:
            progress(k + 1, frames, "Langevin")


def record(
    engine: Engine,
    frames: int,
    every: int,
    path: Path | str,
    progress: Progress | None = None,
) -> np.ndarray:
    """Move, and save positions in a file; called again, it goes on where it was killed.

    Beside `path` lies ``.state``, which tells the run, and until all frames are there
    ``.partial``, those so far.

    Parameters
    ----------
    engine, frames, every, progress
        As `run`.
    path
        Of a NumPy file, which appears when it is whole; an existing one is read, and the
        engine put where that run ended.

    Returns
    -------
    ndarray, shape (frames, R, B, 3)
        Positions, nm, mapped from the file.

    Raises
    ------
    InputError
        When the file, or the state beside it, is of another run, or the file has none.
    """
    path = Path(path)
    partial, saved = (path.with_name(path.name + end) for end in (".partial", ".state"))
    shape = (frames, *engine.x.shape)
    if path.exists():
        check_shape(f"positions in {path}", np.load(path, mmap_mode="r"), shape)
        _taken_up(engine, every, saved)
    else:
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _record(engine, shape, every, partial, saved, progress)
            partial.replace(path)
    return np.load(path, mmap_mode="r")


def _taken_up(engine, every: int, saved: Path) -> int:
    """Put the engine where a state is; the frames before it."""
    if not saved.exists():
        raise InputError(f"{saved} is not there", wanted="the state that the frames "
                         "beside it end with", mend="remove the frames")  # fmt: skip
    header, state = read_model(saved, "langevin-state/1")
    if header["every"] != every:
        raise InputError(f"{saved}: another run", wanted=f"saves every {every} steps",
                         got=str(header["every"]), mend="remove it")  # fmt: skip
    engine.restore(state)
    return int(header["frames"])


def _record(engine, shape, every, partial: Path, saved: Path, progress) -> None:
    done = 0
    if saved.exists() and partial.exists():
        done = _taken_up(engine, every, saved)
        out = np.lib.format.open_memmap(partial, mode="r+")
        check_shape(f"positions in {partial}", out, shape)
    else:
        saved.unlink(missing_ok=True)  # of frames that were removed
        kind = np.dtype(str(engine.x.dtype).removeprefix("torch."))
        out = np.lib.format.open_memmap(partial, mode="w+", dtype=kind, shape=shape)
    last = time.monotonic()
    for k in range(done, shape[0]):
        engine.advance(every)
        out[k] = engine.x.numpy()
        if time.monotonic() - last > CHECKPOINT_EVERY or k + 1 == shape[0]:
            out.flush()
            header = {"frames": k + 1, "every": every}
            write_model(saved, "langevin-state/1", header, engine.state())
            last = time.monotonic()
        if progress is not None:
            progress(k + 1, shape[0], "Langevin")
