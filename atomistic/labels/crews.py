"""Who makes labels: this process, processes beside it, or an executor."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    wait,
)
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Protocol

from ...core.errors import InputError, StageError
from ...core.process import one_thread, reader
from ..named_oracle import OracleSpec
from .work import Answer, Job, work

#: Seconds between looks at what goes on.
POLL = 0.2


class Crew(Protocol):
    """What makes labels, `size` at a time."""

    size: int

    def start(self, job: Job) -> None:
        """Begin a label."""

    def finished(self) -> Iterator[tuple[Job, Answer]]:
        """Labels that are ready, after a short wait if there are none."""

    def close(self) -> None:
        """Stop all at once."""


class Alone:
    """The process that asks; `made` keeps its calculator, as of `work`."""

    size = 1

    def __init__(self, oracle: OracleSpec, made: dict):
        self._oracle, self._made = oracle, made
        self._done: list[tuple[Job, Answer]] = []

    def start(self, job: Job) -> None:
        """Make a label."""
        self._done.append((job, work(self._oracle, job, self._made)))

    def finished(self) -> Iterator[tuple[Job, Answer]]:
        """What was made."""
        while self._done:
            yield self._done.pop()

    def close(self) -> None:
        """Nothing is left to stop."""


class Borrowed:
    """Any executor, such as that of a cluster; it is left open."""

    def __init__(self, oracle: OracleSpec, executor: Executor, size: int):
        self.size, self._oracle, self._executor = size, oracle, executor
        self._jobs: dict[Future, Job] = {}

    def start(self, job: Job) -> None:
        """Hand in a label."""
        try:
            self._jobs[self._executor.submit(work, self._oracle, job)] = job
        except RuntimeError as exc:  # broken or shut down
            raise _lost(exc) from exc

    def finished(self) -> Iterator[tuple[Job, Answer]]:
        """Labels that came back."""
        done, _ = wait(self._jobs, timeout=POLL, return_when=FIRST_COMPLETED)
        for future in done:
            job = self._jobs.pop(future)
            try:
                yield job, future.result()
            except (Exception, CancelledError) as exc:  # `work` itself raises nothing
                raise _lost(exc) from exc

    def close(self) -> None:
        """Take back what has not begun."""
        for future in self._jobs:
            future.cancel()


def _lost(exc: BaseException) -> StageError:
    return StageError(
        "the executor lost a label", wanted="an answer",
        got=f"{type(exc).__name__}: {exc}",
        mend="label again: what is done is kept; look at the executor's own messages",
    )  # fmt: skip


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    job: Job
    deadline: float | None = None
    ready: bool = False  # it has begun a label


class Processes:
    """Processes of our own, one thread each, that die with this one.

    Parameters
    ----------
    size
        How many.
    timeout
        Seconds after which one that works on a label is killed.
    """

    def __init__(self, oracle: OracleSpec, size: int, timeout: float | None):
        self.size, self._oracle, self._timeout = size, oracle, timeout
        self._busy: list[_Worker] = []
        self._idle: list[_Worker] = []

    def start(self, job: Job) -> None:
        """Give a label to an idle process, or to a new one."""
        worker = self._idle.pop() if self._idle else self._hired(job)
        worker.job, worker.deadline = job, None
        self._busy.append(worker)
        try:
            worker.pipe.send(job)
        except OSError:  # it died while idle: reading tells
            return

    def _hired(self, job: Job) -> _Worker:
        here, there = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")  # forked, threads would be shared
        process = spawn.Process(
            target=_serve, args=(there, self._oracle, os.getpid()), daemon=True
        )
        try:
            with one_thread():
                process.start()
        except (AttributeError, TypeError, pickle.PicklingError) as exc:
            raise InputError(
                f"the oracle {self._oracle.name} cannot be sent to a process",
                wanted="functions that can be imported", got=str(exc),
                mend='CodeOracle("module:function", ...)',
            ) from exc  # fmt: skip
        there.close()
        return _Worker(process, here, job)

    def finished(self) -> Iterator[tuple[Job, Answer]]:
        """Labels that came back, and those whose process died or was killed."""
        ready = wait_for([w.pipe for w in self._busy], POLL)
        for worker in list(self._busy):
            answer = self._heard(worker) if worker.pipe in ready else None
            if answer is None and worker.deadline and time.monotonic() > worker.deadline:
                took = time.monotonic() - worker.deadline + (self._timeout or 0.0)
                reason = f"it took longer than {self._timeout:g} s"
                answer = Answer(reason=reason, cpu_s=took, wall_s=took)  # of one thread
                _end(worker)
            if answer is not None:
                self._busy.remove(worker)
                if worker.process.is_alive():
                    self._idle.append(worker)
                yield worker.job, answer

    def _heard(self, worker: _Worker) -> Answer | None:
        """An answer; ``None`` when it only tells that it has begun."""
        try:
            heard = worker.pipe.recv()
        except (EOFError, OSError):
            _end(worker)
            code = worker.process.exitcode
            if worker.ready:
                return Answer(
                    reason=f"its process died ({code}): killed, or out of memory"
                )
            return Answer(fatal=StageError(
                "a process for labels died before it began one", got=f"exit code {code}",
                mend='read its own messages; a script needs if __name__ == "__main__":',
            ))  # fmt: skip
        if heard is not None:
            return heard
        worker.ready = True
        if self._timeout is not None:
            worker.deadline = time.monotonic() + self._timeout
        return None

    def close(self) -> None:
        """Kill all."""
        for worker in self._busy + self._idle:
            _end(worker)
        self._busy, self._idle = [], []


def _end(worker: _Worker) -> None:
    """Kill a process and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.process.pid, signal.SIGKILL)  # type: ignore[arg-type]
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _serve(pipe: Connection, oracle: OracleSpec, parent: int) -> None:
    """Make labels until nobody asks for more."""
    reader(parent)
    os.setpgid(0, 0)
    made: dict = {}
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(work(oracle, job, made, lambda: pipe.send(None)))
