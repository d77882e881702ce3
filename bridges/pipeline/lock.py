"""One run per folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ...core.errors import BusyError


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the system lets go when the process ends.

    Raises
    ------
    BusyError
        When another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip()
            raise BusyError(
                f"another run works in {folder}",
                wanted="one run per folder",
                got=f"process {owner or 'unknown'} holds it",
                mend="wait for it, or choose another [run] name or --out",
            ) from exc
        os.truncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
