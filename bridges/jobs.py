"""Runs the interface job of a configuration in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.artefact import replacing, write_json, write_text
from ..core.errors import InputError
from .interface_job import plan
from .pipeline.config import Config, load_config
from .pipeline.limits import check_memory
from .pipeline.lock import run_lock
from .pipeline.progress import Display
from .pipeline.provenance import provenance
from .pipeline.runner import Outcome, Runner, order
from .pipeline.stage import Stage
from .pipeline.store import Store, stage_key
from .pipeline.summary import summarise

REPORT = "report.html"


@dataclass(frozen=True)
class Job:
    """A finished run.

    Attributes
    ----------
    folder
        ``summary.json``, ``report.html``, ``provenance.json``, ``config.toml``,
        ``run.jsonl`` and the store.
    summary
        As in ``summary.json``.
    artefacts
        Stage name -> folder of its files.
    """

    folder: Path
    summary: dict
    artefacts: dict[str, Path]


def run_job(
    path: Path | str,
    out: Path | str = "runs",
    *,
    workers: int | None = None,
    first: str | None = None,
    until: str | None = None,
    quiet: bool = False,
) -> Job:
    """Run the job of a configuration file; what is there already is not run again.

    Parameters
    ----------
    path
        TOML file, see ``mesobridge init``.
    out
        Folder that holds run folders; this run's is ``out/<run.name>``.
    workers
        Processes, one thread each; ``run.workers`` of the file when ``None``, 0 runs in
        this process.
    first
        Stage that is run again, with all that depends on it.
    until
        Last stage to run, with all that it needs.
    quiet
        Show nothing.

    Raises
    ------
    InputError
        When the configuration, a stage name or a hand-over cannot be used, or another
        run holds the folder.
    StageError
        When a stage failed; finished stages are kept.

    Notes
    -----
    Worker processes import the calling script again: call this under
    ``if __name__ == "__main__":``.
    """
    config = load_config(path)
    check_memory(config, str(path))
    stages = select(plan(config), until)
    again = _descendants(stages, first) if first else frozenset()
    folder = Path(out) / config.run.name
    with run_lock(folder):
        with Display(folder / "run.jsonl", quiet=quiet) as display:
            number = config.run.workers if workers is None else workers
            outcome = Runner(stages, folder, number, display, again).run()
        # Last: what lies in the folder belongs to one finished run.
        write_text(folder / "config.toml", Path(path).read_text(encoding="utf-8"))
        write_json(folder / "provenance.json", provenance())
        return _finish(folder, outcome)


def _finish(folder: Path, outcome: Outcome) -> Job:
    summary = summarise(outcome)
    store = Store(folder)
    artefacts = {name: store.path(m["key"]) for name, m in outcome.metas.items()}
    write_json(folder / "summary.json", summary)
    if "report" in artefacts:
        with replacing(folder / REPORT) as temporary:
            shutil.copyfile(artefacts["report"] / REPORT, temporary)
    else:  # a report of other numbers than those of the summary would mislead
        (folder / REPORT).unlink(missing_ok=True)
    return Job(folder, summary, artefacts)


def status(config: Config, out: Path | str = "runs") -> dict[str, str]:
    """State of each stage: ``"done"``, ``"started"`` (can be taken up) or ``"to do"``."""
    store = Store(Path(out) / config.run.name)
    states: dict[str, str] = {}
    contents: dict[str, str] = {}
    for stage in order(plan(config)):
        states[stage.name] = "to do"
        if any(need not in contents for need in stage.needs):
            continue
        key = stage_key(stage, {need: contents[need] for need in stage.needs})
        meta = store.find(key, repair=False)
        if meta is not None:
            contents[stage.name], states[stage.name] = meta["content"], "done"
        elif store.scratch(key).is_dir():
            states[stage.name] = "started"
    return states


def select(stages: Sequence[Stage], until: str | None) -> list[Stage]:
    """The stage `until` and all that it needs; every stage when it is ``None``."""
    if until is None:
        return list(stages)
    by_name = {stage.name: stage for stage in stages}
    _check_name(until, by_name)
    wanted, todo = set(), [until]
    while todo:
        name = todo.pop()
        wanted.add(name)
        todo.extend(by_name[name].needs)
    return [stage for stage in stages if stage.name in wanted]


def _descendants(stages: Sequence[Stage], first: str) -> frozenset[str]:
    _check_name(first, [stage.name for stage in stages])
    found = {first}
    for stage in order(stages):
        if found.intersection(stage.needs):
            found.add(stage.name)
    return frozenset(found)


def _check_name(name: str, known) -> None:
    if name not in known:
        raise InputError(
            f"no stage {name} in this plan", wanted=", ".join(known), got=name,
            mend="`mesobridge status` lists the stages",
        )  # fmt: skip
