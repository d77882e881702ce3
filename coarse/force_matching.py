"""One pass of force matching over trajectories, in one process or several."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from ..core.errors import InputError
from ..core.process import reader
from .frames import Frames
from .normal_equations import NormalEquations, accumulate, joined, load_equations
from .terms import Term

Progress = Callable[[float, float, str], None]

#: Seconds between writes of the equations that are complete.
STORE_EVERY = 30.0

#: A number of a source, its first frame, the one after its last.
Span = tuple[int, int, int]


def match(
    terms: Sequence[Term],
    frames: Sequence[Frames],
    *,
    block: int,
    processes: int = 1,
    store: Path | str | None = None,
    progress: Progress | None = None,
) -> NormalEquations:
    """Normal equations of all whole blocks of frames.

    Parameters
    ----------
    terms
        What the potential is made of.
    frames
        Of each replica; what is left after its last whole block is not used.
    block
        Frames per unit of the bootstrap.
    processes
        Each makes blocks of its own.
    store
        File that the equations are kept in; a pass that was killed goes on from there.
    progress
        Called with (done, total, text).

    Raises
    ------
    InputError
        When there are not two blocks, or `store` is of other terms or frames.
    """
    if not (isinstance(block, int | np.integer) and block > 0 and processes > 0):
        raise InputError("a pass of force matching", wanted="a block of one frame or more"
                         ", one process or more",
                         got=f"block {block}, {processes} processes")  # fmt: skip
    spans = [
        (k, start, start + block)
        for k, source in enumerate(frames)
        for start in range(0, len(source) - block + 1, block)
    ]
    if len(spans) < 2:
        raise InputError(
            "too few frames for force matching",
            wanted=f"two blocks of {block} frames",
            got=str([len(source) for source in frames]),
        )
    origin = _origin(terms, frames, block) if store else {}
    parts = _stored(store, origin)
    written, done = time.monotonic(), sum(len(part.rows) for part in parts)
    for equations in _blocks((terms, frames), spans[done:], processes):
        parts.append(equations)
        done += 1
        if store and (done == len(spans) or time.monotonic() > written + STORE_EVERY):
            parts = [joined(parts)]
            parts[0].save(store, origin)
            written = time.monotonic()
        if progress is not None:
            progress(done, len(spans), "blocks")
    return joined(parts)


def _origin(terms, frames, block: int) -> dict:
    """What equations are of, as plain data: terms, each source's first and last frame.

    Runs of one length may well start from the same frame.
    """
    ends = [next(iter(source.chunks(k, k + 1))) for source in frames
            for k in (0, len(source) - 1)]  # fmt: skip
    data = b"".join(np.ascontiguousarray(part).tobytes() for x, f, _ in ends
                    for part in (x, f))  # fmt: skip
    told = hashlib.sha256(repr([*terms, block]).encode() + data).hexdigest()
    return {"block": block, "frames": [len(source) for source in frames], "sha256": told}


def _stored(store, origin: dict) -> list[NormalEquations]:
    if store is None or not Path(store).exists():
        return []
    equations, found = load_equations(store)
    if found != origin:
        raise InputError(
            f"{store} is of another pass", wanted=str(origin), got=str(found),
            mend="another file, or remove this one",
        )  # fmt: skip
    return [equations]


def _blocks(
    work: tuple[Sequence[Term], Sequence[Frames]], spans: Sequence[Span], processes: int
) -> Iterator[NormalEquations]:
    """Equations of each span, in order."""
    if min(processes, len(spans)) < 2:
        yield from (_block(work, span) for span in spans)
        return
    # Forked processes need not import everything anew; where there are none, spawn them.
    kind = "fork" if sys.platform == "linux" else "spawn"
    with ProcessPoolExecutor(
        min(processes, len(spans)), mp_context=multiprocessing.get_context(kind),
        initializer=_begin, initargs=(os.getpid(), work),
    ) as pool:  # fmt: skip
        yield from pool.map(_block_here, spans)


def _block(work, span: Span) -> NormalEquations:
    terms, frames = work
    source, start, stop = span
    return accumulate(terms, frames[source].chunks(start, stop))


#: What a worker works on.
_work: list = []


def _begin(parent: int, work) -> None:
    reader(parent)
    torch.set_num_threads(1)
    _work[:] = work


def _block_here(span: Span) -> NormalEquations:
    return _block(_work, span)
