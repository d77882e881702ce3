"""Runs of replicas: frames handed over as they come, or saved in a file resumably."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from ..core.artefact import read_model, told, write_model
from ..core.errors import BusyError, InputError
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

    Raises
    ------
    InputError
        When there is no frame or no step to make.
    """
    _check(frames, every)
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

    Beside `path` lie ``.partial``, the frames so far, until all are there, and
    ``.state``: with it a later call knows its own run, and leaves the engine at its end.

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
        When there is no frame or no step to make, or the file, or the state beside it, is
        of another run.
    BusyError
        When another process writes the file.
    """
    _check(frames, every)
    path = Path(path)
    partial, saved = (path.with_name(path.name + end) for end in (".partial", ".state"))
    shape = (frames, *engine.x.shape)
    if path.exists():
        found = _load(path, shape)
        _go_on(engine, saved, every)
        return found
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "ab") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    f"{path}: another process writes it", wanted="one run for a file",
                    got="two", mend="wait for it, or take another path",
                ) from None  # fmt: skip
            _record(engine, shape, every, partial, saved, progress)
            partial.replace(path)
    return _load(path, shape)


def _check(frames: int, every: int) -> None:
    if frames < 1 or every < 1:
        raise InputError("frames of a run", wanted="one or more, a step or more apart",
                         got=f"{frames}, every {every} steps")  # fmt: skip


def _load(path: Path, shape: tuple) -> np.ndarray:
    try:
        found = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as exc:
        raise InputError(f"{path} is no run", wanted="a NumPy file", got=str(exc),
                         mend="another path") from exc  # fmt: skip
    check_shape(f"positions in {path}", found, shape)
    return found


def _go_on(engine: Engine, saved: Path, every: int) -> int:
    """Take the engine to a saved state; frames that it had made."""
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
    if saved.exists() and partial.stat().st_size:
        done = _go_on(engine, saved, every)
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
