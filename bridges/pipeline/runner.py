"""Runs a plan: each stage as soon as what it needs is there, nothing twice."""

from __future__ import annotations

import contextlib
import graphlib
import multiprocessing
import os
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from ...core.artefact import write_json
from ...core.errors import ConfigError, MesobridgeError, StageError
from ...core.process import one_thread
from .progress import Display
from .provenance import provenance, tree_memory
from .stage import Stage
from .store import Store, stage_key
from .worker import run_stage, start

POLL = 0.5  # s


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes
    ----------
    metas
        Stage name -> ``meta.json``.
    ran
        Names of the stages that ran; the others were as before.
    wall_s, peak_rss_mib
        Of the whole run.
    """

    metas: dict[str, dict]
    ran: frozenset[str]
    wall_s: float
    peak_rss_mib: float


def order(stages: Sequence[Stage]) -> list[Stage]:
    """Stages in an order that honours their needs.

    Raises
    ------
    ConfigError
        When a need is missing or needs go round in a circle.
    """
    by_name = {stage.name: stage for stage in stages}
    for stage in stages:
        missing = [need for need in stage.needs if need not in by_name]
        if missing:
            raise ConfigError(
                f"stage {stage.name} needs what is not planned",
                wanted=", ".join(by_name), got=", ".join(missing),
            )  # fmt: skip
    try:
        names = list(
            graphlib.TopologicalSorter({s.name: s.needs for s in stages}).static_order()
        )
    except graphlib.CycleError as exc:
        raise ConfigError("stages need each other", got=str(exc.args[1])) from exc
    return [by_name[name] for name in names]


def _urgency(stages: list[Stage]) -> dict[str, float]:
    """Cost of the longest chain that starts with each stage."""
    urgency = {stage.name: stage.cost for stage in stages}
    for stage in reversed(stages):
        for need in stage.needs:
            cost = next(s.cost for s in stages if s.name == need)
            urgency[need] = max(urgency[need], cost + urgency[stage.name])
    return urgency


class Runner:
    """Runs a plan in a folder.

    Parameters
    ----------
    stages
        The plan.
    folder
        Run folder; holds the store.
    workers
        Worker processes, one thread each; 0 runs in this process.
    display
        Shows and logs progress.
    again
        Names of stages that run even when they are there.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        folder: Path,
        workers: int,
        display: Display,
        again: frozenset[str] = frozenset(),
    ):
        self.stages, self.folder, self.again = order(stages), folder, again
        self.store, self.display = Store(folder), display
        self.metas: dict[str, dict] = {}
        self.ran: set[str] = set()
        self._running: dict[Future, tuple[Stage, str, Executor]] = {}
        self._urgency = _urgency(self.stages)
        self._idle: list[Executor] = self._executors(workers)
        self._provenance = provenance()
        self._others = set(multiprocessing.active_children())
        self._peak = 0.0

    def _executors(self, workers: int) -> list[Executor]:
        if workers == 0:
            return [ThreadPoolExecutor(1)]
        spawn = multiprocessing.get_context("spawn")
        # One pool per worker, so that a worker that dies is known by its stage.
        return [
            ProcessPoolExecutor(
                1, mp_context=spawn, initializer=start, initargs=(os.getpid(),)
            )
            for _ in range(workers)
        ]

    def run(self) -> Outcome:
        """Run what is not there yet.

        Raises
        ------
        MesobridgeError
            Of the first stage that failed; what is complete is kept.
        """
        begin = time.perf_counter()
        self.store.sweep()
        executors = list(self._idle)
        try:
            with one_thread():
                while len(self.metas) < len(self.stages):
                    self._start_ready()
                    if self._running:
                        self._wait()
        except BaseException:
            self._kill()
            raise
        finally:
            for executor in executors:
                # Workers are idle or dead by now: waiting frees their semaphores.
                executor.shutdown(wait=True, cancel_futures=True)
        self._note_memory()
        return Outcome(
            self.metas, frozenset(self.ran), time.perf_counter() - begin, self._peak
        )

    def _start_ready(self) -> None:
        """Take up what is cached; give the most urgent of the rest to idle workers."""
        busy = {stage.name for stage, _, _ in self._running.values()}
        ready = []
        for stage in self.stages:
            if stage.name in self.metas or stage.name in busy:
                continue
            if any(need not in self.metas for need in stage.needs):
                continue
            key = self._key(stage)
            meta = None if stage.name in self.again else self.store.find(key)
            if meta is None:
                ready.append((stage, key))
            else:
                self.metas[stage.name] = meta
                self.display.cached(stage.name)
        ready.sort(key=lambda item: -self._urgency[item[0].name])
        for stage, key in ready:
            if not self._idle:
                break
            self._submit(stage, key, self._idle.pop())

    def _key(self, stage: Stage) -> str:
        inputs = {need: self.metas[need]["content"] for need in stage.needs}
        return stage_key(stage, inputs)

    def _submit(self, stage: Stage, key: str, executor: Executor) -> None:
        out = self.store.begin(key)
        inputs = {need: self.store.path(self.metas[need]["key"]) for need in stage.needs}
        scratch = self.store.scratch(key)
        future = executor.submit(
            run_stage, stage, inputs, out, scratch, self._report(key)
        )
        self._running[future] = stage, key, executor
        self.display.begin(stage.name)

    def _report(self, key: str) -> Path:
        return self.store.work / key / "progress.json"

    def _wait(self) -> None:
        done, _ = wait(self._running, timeout=POLL, return_when=FIRST_COMPLETED)
        self._note_memory()
        for stage, key, _ in self._running.values():
            self.display.update(stage.name, self._report(key))
        for future in done:
            stage, key, executor = self._running.pop(future)
            self._idle.append(executor)
            self._finish(stage, key, self._result(stage, future))

    def _result(self, stage: Stage, future: Future) -> dict:
        try:
            return future.result()
        except BrokenProcessPool as exc:
            raise StageError(
                f"stage {stage.name}: its process died", wanted="a result",
                got="no word (killed, or out of memory)",
                mend="run again: it goes on where it was; look at the memory it needs",
            ) from exc  # fmt: skip
        except MesobridgeError as exc:
            self.display.log("error", stage=stage.name, text=str(exc))
            raise type(exc)(
                f"stage {stage.name}: {exc.what}",
                wanted=exc.wanted, got=exc.got, mend=exc.mend,
            ) from exc  # fmt: skip
        except Exception as exc:
            trace = "".join(traceback.format_exception(exc))
            self.display.log("error", stage=stage.name, traceback=trace)
            raise StageError(
                f"stage {stage.name} failed", got=f"{type(exc).__name__}: {exc}",
                mend=f"the traceback is the last line of {self.folder / 'run.jsonl'}",
            ) from exc  # fmt: skip

    def _finish(self, stage: Stage, key: str, found: dict) -> None:
        meta = {
            **found,
            "stage": stage.name,
            "settings": dict(stage.settings),
            "version": stage.version,
            "parents": {need: self.metas[need]["key"] for need in stage.needs},
            "inputs": {need: self.metas[need]["content"] for need in stage.needs},
            "provenance": self._provenance,
        }
        self.metas[stage.name] = self.store.commit(key, meta)
        self.ran.add(stage.name)
        self.display.end(stage.name, found["wall_s"])
        write_json(
            self.folder / "stages.json", {n: m["key"] for n, m in self.metas.items()}
        )

    def _note_memory(self) -> None:
        self._peak = max(self._peak, tree_memory())

    def _kill(self) -> None:
        """Stop running workers now: what they stored so far is taken up next time."""
        for child in set(multiprocessing.active_children()) - self._others:
            with contextlib.suppress(OSError):
                child.kill()
