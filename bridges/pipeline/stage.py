"""What a stage is, and what it is given when it runs."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stage:
    """One step of a pipeline: a function of its settings and of upstream artefacts.

    Attributes
    ----------
    name
        Unique in the plan; safe as a file name.
    function
        ``"module:function"``, imported in the worker that runs it. It is called as
        ``function(inputs, settings, out, context)`` with `inputs` a mapping of upstream
        names to folders, `out` an empty folder for its files; it returns a JSON-able
        dictionary of results: ``"summary"`` and ``"measured"`` (what differs from run to
        run, such as times) are merged into ``summary.json``.
    version
        To be raised when the function's results change.
    settings
        JSON-able; all that the function depends on beside its inputs.
    needs
        Names of upstream stages.
    cost
        Rough seconds; longer chains start first.
    backends
        Distributions whose versions matter to the result.
    """

    name: str
    function: str
    version: int
    settings: Mapping
    needs: tuple[str, ...] = ()
    cost: float = 1.0
    backends: tuple[str, ...] = ()

    def load(self) -> Callable[..., dict]:
        """Import the function."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)


class Context:
    """What a running stage may use beside its inputs.

    Parameters
    ----------
    scratch
        Folder that survives a kill, for work that can be taken up again; removed when
        the stage is complete.
    report
        File through which progress is told (replaced, never appended).
    """

    #: Seconds between two reports.
    EVERY = 0.5

    def __init__(self, scratch: Path, report: Path | None = None):
        self.scratch, self._report = scratch, report
        self._told = 0.0

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Tell how far the stage is; cheap enough to call often."""
        now = time.monotonic()
        if self._report is None or now - self._told < self.EVERY:
            return
        self._told = now
        beside = self._report.with_suffix(".part")
        beside.write_text(json.dumps({"done": done, "total": total, "text": text}))
        beside.replace(self._report)
