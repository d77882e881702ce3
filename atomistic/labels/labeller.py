"""Many labels at once, none twice, whatever happens meanwhile."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from ...core.errors import InputError
from ...core.progress import Show, shown
from ..named_oracle import NamedOracle, OracleSpec, canonical, charged
from ..oracle import TOTAL_CHARGE
from .crews import POLL, Alone, Borrowed, Crew, Processes
from .label import Failed, Label, label_key
from .store import Claim, LabelStore
from .work import Answer, Job


@dataclass
class _Open:
    """A label that is being made."""

    claim: Claim
    attempts: int = 0
    cpu_s: float = 0.0


class Labeller:
    """Makes labels and keeps them.

    What is in the store is taken from there. What another process is making is waited
    for, while this one makes others: a warm start does not give the same bits, and labels
    cost more than waiting. A configuration that fails is tried again with a new
    calculator, then quarantined. A kill at any moment loses the labels in work only.

    Parameters
    ----------
    oracle
        `NamedOracle`, `CodeOracle`, or of their kind.
    store
        `LabelStore`.
    processes
        How many at once, each in a process of one thread; one works in this process. In
        a script, guard what runs with ``if __name__ == "__main__":``.
    timeout
        Seconds for one label, after which its process is killed (also a single one).
    retries
        Attempts after the first.
    executor
        Of `concurrent.futures`, such as that of a cluster: takes the place of processes.
        Labels come back here, so its machines need not see the store.

    Raises
    ------
    InputError
        When numbers are out of range, or an executor is to be timed: its machines must.
    """

    def __init__(
        self,
        oracle: OracleSpec,
        store: LabelStore,
        *,
        processes: int = 1,
        timeout: float | None = None,
        retries: int = 1,
        executor: Executor | None = None,
    ):
        if processes < 1 or retries < 0 or (timeout is not None and not timeout > 0):
            raise InputError(
                "numbers of a labeller", got=f"{processes}, {timeout}, {retries}",
                wanted="processes >= 1, timeout > 0 s or None, retries >= 0",
            )  # fmt: skip
        if executor is not None and timeout is not None:
            raise InputError("a time-out with an executor", wanted="one of them",
                             got="both", mend="limit the time of its jobs")  # fmt: skip
        # Others may work in another folder.
        self.oracle = oracle.located(".") if isinstance(oracle, NamedOracle) else oracle
        self.store, self.processes, self.timeout = store, processes, timeout
        self.retries, self.executor = retries, executor
        self.settings = canonical(self.oracle.settings())
        self._calculators: dict = {}  # one label at a time starts warm as well

    def label(
        self, frames: Sequence[Atoms], progress: Show = None, *, again: bool = False
    ) -> list[Label | Failed]:
        """Labels of configurations, in their order.

        Parameters
        ----------
        frames
            ``info["total_charge"]`` (or ``charge``) is their charge, e.
        progress
            See `core.progress.Show`; counts what is not in the store yet.
        again
            Try what is quarantined once more.

        Raises
        ------
        InputError
            When positions are not finite or a charge is not the oracle's, before anything
            is computed; when the oracle cannot be made.
        StageError
            When an executor loses a label, or a process cannot begin.
        """
        jobs = [self._job(i, atoms) for i, atoms in enumerate(frames)]
        found: dict[str, Label | Failed] = {}
        todo: deque[Job] = deque()
        for job in {job.key: job for job in jobs}.values():
            if again:
                self.store.forgive(job.key)
            if not self._there(job, found):
                todo.append(job)
        if todo:
            making = closing(self._made(todo, found))
            with shown(f"labels of {self.oracle.name}", progress) as tell, making as keys:
                for n, _ in enumerate(keys, 1):
                    if tell is not None:
                        tell(n, n + len(todo) + len(self._open), self._failures(found))
        return [found[job.key] for job in jobs]

    def _job(self, index: int, atoms: Atoms) -> Job:
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell).all()):
            raise InputError(f"positions or cell of frame {index} are not finite",
                             wanted="numbers", got="NaN or infinity",
                             mend="leave the frame out")  # fmt: skip
        charge = self.oracle.charge_of(atoms)
        key = label_key(json.loads(self.settings), atoms, charge)
        return Job(key, charged(atoms, charge), self.settings)

    def _there(self, job: Job, found: dict) -> bool:
        """Take a label or a failure from the store."""
        kept = self.store.find(job.key) or self.store.failed(job.key)
        if kept is not None:
            found[job.key] = kept
        return kept is not None

    @staticmethod
    def _failures(found: dict) -> str:
        failed = sum(isinstance(kept, Failed) for kept in found.values())
        return f"{failed} failed" if failed else ""

    def _made(self, todo: deque[Job], found: dict) -> Generator[str, None, None]:
        """Make labels; yields the key of each that is there."""
        self._open: dict[str, _Open] = {}
        crew = self._crew(len(todo))
        try:
            while todo or self._open:
                yield from self._filled(crew, todo, found)
                if todo and not self._open:
                    time.sleep(POLL)  # others make what is left
                for job, answer in crew.finished():
                    if self._heard(crew, job, answer, found):
                        self._open.pop(job.key).claim.release()
                        yield job.key
        finally:
            crew.close()
            for one in self._open.values():
                one.claim.release()

    def _crew(self, wanted: int) -> Crew:
        if self.executor is not None:
            return Borrowed(self.oracle, self.executor, self.processes)
        size = min(self.processes, wanted)
        if self.processes == 1 and self.timeout is None:
            return Alone(self.oracle, self._calculators)
        return Processes(self.oracle, size, self.timeout)

    def _filled(self, crew: Crew, todo: deque[Job], found: dict) -> Iterator[str]:
        """Start what can be; what another process made meanwhile is taken."""
        for _ in range(len(todo)):
            if len(self._open) >= crew.size:
                return
            job = todo.popleft()
            claim = self.store.claim(job.key)
            if claim is None:
                todo.append(job)
            elif self._there(job, found):
                claim.release()
                yield job.key
            else:
                self._open[job.key] = _Open(claim)
                crew.start(job)

    def _heard(self, crew: Crew, job: Job, answer: Answer, found: dict) -> bool:
        """Keep a label or a failure, or try once more; whether it is settled."""
        if answer.fatal is not None:
            raise answer.fatal
        one = self._open[job.key]
        one.attempts += 1
        one.cpu_s += answer.cpu_s
        if answer.results is not None:
            found[job.key] = self._label(job, answer, one.cpu_s)
            self.store.put(found[job.key])
        elif one.attempts <= self.retries and not answer.hopeless:
            crew.start(replace(job, fresh=True))
            return False
        else:
            failed = Failed(job.key, job.atoms, answer.reason, one.attempts, one.cpu_s)
            self.store.quarantine(failed, json.loads(self.settings))
            found[job.key] = failed
        return True

    def _label(self, job: Job, answer: Answer, cpu_s: float) -> Label:
        atoms, results = job.atoms, answer.results or {}
        return Label(
            job.key, atoms.numbers, atoms.positions,
            atoms.cell.array if atoms.pbc.any() else np.zeros((3, 3)), atoms.pbc,
            atoms.info[TOTAL_CHARGE[0]], float(results["energy"]), results["forces"],
            results.get("stress"), cpu_s, answer.wall_s, json.loads(self.settings),
            answer.versions, int(time.time()),
        )  # fmt: skip


def succeeded(labels: Sequence[Label | Failed]) -> list[Label]:
    """Labels without failures."""
    return [label for label in labels if isinstance(label, Label)]
