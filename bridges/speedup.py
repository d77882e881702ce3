"""`mesobridge speedup`: measured costs, and what they make of a number of steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..atomistic.labels import Failed, Label, LabelStore, read_labels
from ..atomistic.named_oracle import CodeOracle, NamedOracle, OracleSpec, canonical
from ..atomistic.potential.reading import read_structures
from ..atomistic.potential.train import STATE, stored_note
from ..atomistic.speedup import Costs
from ..atomistic.timing import Task, Timings, no_speedup, timings
from ..core.artefact import existing, read_json, write_json, write_text
from ..core.config import checked, read_toml
from ..core.errors import InputError
from ..core.provenance import processor
from ..core.units import quantity
from .active_job import ROUNDS
from .report.speedup import speedup_page

#: Kinds of oracles that nobody saves by replacing.
CHEAP_KINDS = ("xtb", "openmm", "potential")
DECADES = tuple(10**k for k in range(3, 9))


@dataclass(frozen=True)
class Request:
    """What the user wrote.

    Attributes
    ----------
    potential, structure, labels
        `potential/1` file; file whose first configuration moves; label store or
        `labels/1` file.
    config, oracle
        TOML with a section ``[oracle]`` (`NamedOracle`), or ``module:factory``.
    training, training_cpu
        Folder of the training, or of learning on the fly, whose rounds all count;
        without, that of the potential. Or CPU time with unit.
    steps, frames, replicas, compile, temperature, timestep, baseline
        As `Task`, the quantities with units.
    json, html
        Files to write.
    anyway
        Also over an oracle that is about as cheap as the potential.
    """

    potential: Path
    structure: Path
    labels: Path
    config: Path | None = None
    oracle: str | None = None
    training: Path | None = None
    training_cpu: str | None = None
    steps: int = 150_000
    frames: int = 5
    replicas: int = 1
    compile: bool = False
    temperature: str = "300 K"
    timestep: str = "0.5 fs"
    baseline: str | None = None
    json: Path | None = None
    html: Path | None = None
    anyway: bool = False


def speedup(request: Request) -> dict:
    """Measure, count and, where asked for, write.

    Returns
    -------
    dict
        What ``--json`` holds: ``warning`` (or ``None``), ``notes``, ``costs``,
        ``break_even``, ``limit``, ``asked`` and ``rows``.

    Raises
    ------
    InputError
        When something is missing or does not fit, the oracle fails, or it is one that
        no speed-up is quoted over.
    """
    oracle = _oracle(request)
    named = isinstance(oracle, NamedOracle) and oracle.kind in CHEAP_KINDS
    if named and not request.anyway:
        raise no_speedup(oracle.name)
    labels, failures = _labels(request.labels)
    training = _training(request)
    atoms = read_structures(request.structure)[0]
    found = timings(Task(
        existing(request.potential), oracle, atoms,
        quantity(request.temperature, "K"), quantity(request.timestep, "s"),
        request.frames, request.replicas, request.compile, request.baseline,
        request.anyway,
    ))  # fmt: skip
    result = accounted(request, oracle, labels, failures, training, found)
    if request.json is not None:
        write_json(request.json, result)
    if request.html is not None:
        write_text(request.html, speedup_page(result))
    return result


def accounted(
    request: Request,
    oracle: OracleSpec,
    labels: list[Label],
    failures: list[Failed],
    training: float,
    found: Timings,
) -> dict:
    """Figures of given timings; see `speedup`."""
    failed = float(sum(x.cpu_s for x in failures))
    costs = Costs(found.oracle, found.model, np.array([x.cpu_s for x in labels]),
                  training, failed)  # fmt: skip
    (asked,) = costs.speedups([request.steps])
    even, (oracle_s, model_s) = costs.break_even, costs.medians()
    return {
        "warning": _warning(oracle.name) if found.cheap else None,
        "potential": str(request.potential), "oracle": oracle.name,
        "engine": "OpenMM" if request.replicas == 1 else f"batch of {request.replicas}",
        "compiled": request.compile, "processor": processor(),
        "costs": {
            "oracle_s": float(oracle_s[0]), "oracle_all_s": found.oracle.tolist(),
            "oracle_cold_s": found.cold,
            "model_s": float(model_s[0]), "model_all_s": found.model.tolist(),
            "labels": len(labels), "labels_s": float(sum(x.cpu_s for x in labels)),
            "failed_s": failed, "training_s": training,
        },
        "break_even": even, "limit": costs.limit, "asked": asked,
        "rows": costs.speedups(sorted({*DECADES, request.steps})),
        "notes": _notes(oracle, labels, failures, found, even["value"]),
    }  # fmt: skip


def _oracle(request: Request) -> OracleSpec:
    if (request.config is None) == (request.oracle is None):
        raise InputError("the oracle", wanted="--config or --oracle, one of them",
                         got="neither" if request.config is None else "both")  # fmt: skip
    if request.oracle is not None:
        return CodeOracle(request.oracle, request.oracle, "")
    path = Path(request.config)  # type: ignore[arg-type]
    section = read_toml(path).get("oracle")
    if not isinstance(section, dict):
        raise InputError(f"{path} names no oracle", wanted="a section [oracle]",
                         got="none", mend='[oracle] with kind = "pyscf"')  # fmt: skip
    mend = "see mesobridge.atomistic.named_oracle.NamedOracle"
    return checked(NamedOracle, section, f"{path}: [oracle]", mend).located(path.parent)


def _warning(name: str) -> str:
    return (
        f"NO SPEED-UP OVER A FIRST-PRINCIPLES METHOD: {name} is itself a cheap model; "
        "this ratio says nothing about what labels of quantum chemistry would cost."
    )


def _labels(path: Path) -> tuple[list[Label], list[Failed]]:
    """Labels, and configurations that failed."""
    failures: list[Failed] = []
    if path.is_dir():
        store = LabelStore(path)
        labels, failures = list(store), store.failures()
    else:
        labels = read_labels(path)
    if not labels or not sum(label.cpu_s for label in labels) > 0:
        raise InputError(
            f"{path}: no labels whose cost is known", got=f"{len(labels)} labels",
            wanted="a label store, or a labels/1 file, with CPU seconds",
            mend="label with mesobridge.atomistic.labels.Labeller, which keeps them",
        )  # fmt: skip
    return labels, failures


def _training(request: Request) -> float:
    """CPU seconds of the training."""
    if request.training_cpu is not None:
        return quantity(request.training_cpu, "s")
    folder = request.training or request.potential.parent
    curve, state = folder / "curve.json", folder / STATE
    if (folder / ROUNDS).is_file():
        spent = [r.get("cpu_s", 0.0) for r in read_json(folder / ROUNDS)["rounds"]]
        if spent and min(spent) > 0:
            return float(sum(spent))
    if curve.is_file():
        kept = read_json(curve)
        if kept.get("cpu_s"):
            return float(sum(kept["cpu_s"].values()))
        points = kept.get("curve") or [{}]
        if points[-1].get("cpu_s"):
            return float(points[-1]["cpu_s"])
    if state.is_file() and stored_note(state)["cpu"] > 0:
        return float(stored_note(state)["cpu"])
    raise InputError(
        f"{folder} does not tell how long the training took",
        wanted="curve.json of mesobridge train with cpu_s", got="none",
        mend='--training FOLDER, or --training-cpu "2 hour"',
    )  # fmt: skip


def _notes(
    oracle: OracleSpec, labels: list[Label], failures: list[Failed], found: Timings, even
) -> list[str]:
    """What a reader must know to take the figures for what they are."""
    n, notes = len(labels), []
    notes.append(f"A run of N <= {n} steps saves nothing: the labels alone are as many.")
    if even is None:
        notes.append("Nothing is ever saved: a step of the potential is no cheaper.")
    others = sorted({_name_of(x.settings) for x in labels if not _same(oracle, x)})
    if others:
        many = sum(not _same(oracle, x) for x in labels)
        notes.append(
            f"{many} of {n} labels are of another oracle than the one that was timed, "
            f"{oracle.name}: {', '.join(others)}. The potential stands for those."
        )
    elsewhere = {x.versions.get("processor") for x in labels} - {processor(), None}
    if elsewhere:
        notes.append(
            f"Labels were made on {', '.join(sorted(map(str, elsewhere)))}, steps were "
            f"timed on {processor()}."
        )
    if failures:
        spent = sum(x.cpu_s for x in failures)
        notes.append(f"{len(failures)} configurations failed: {spent:.4g} s, counted; "
                     "what processes that died had spent is not known.")  # fmt: skip
    mean = sum(x.cpu_s for x in labels) / n
    if mean < found.oracle.mean():
        notes.append(
            "A label cost less than a step does: the bound N / labels does not hold."
        )
    notes.append(
        "CPU seconds, one thread; intervals are from the spread of the timings alone."
    )
    return notes


def _same(oracle: OracleSpec, label: Label) -> bool:
    if isinstance(oracle, CodeOracle):  # its version is not known
        return label.settings.get("name") == oracle.name
    return canonical(label.settings) == canonical(oracle.settings())


def _name_of(settings: dict) -> str:
    if settings.get("kind") == "pyscf":
        return f"{settings.get('xc')}/{settings.get('basis')}"
    return str(settings.get("name") or settings.get("method") or settings.get("kind"))
