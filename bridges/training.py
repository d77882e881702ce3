"""`mesobridge train`: from a file of labelled frames to a potential and its report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

import xarray as xr

from ..atomistic.potential import TrainingResult, TrainingSettings, save_potential
from ..atomistic.potential.consistency import Consistency, check_units
from ..atomistic.potential.data import digest
from ..atomistic.potential.reading import is_isolated, read_labelled, split
from ..atomistic.potential.settings import check_device
from ..atomistic.potential.train import STATE, belongs, stored_note, train
from ..core.artefact import sha256, write_json, write_text
from ..core.errors import InputError
from .baselines import Chosen, choose, forget, labelled, without
from .pipeline.lock import run_lock
from .pipeline.progress import Display
from .training_config import Data, load_training, training_settings
from .training_uncertainty import asked, calibrated, check_asked

POTENTIAL, CURVE, REPORT = "potential.safetensors", "curve.json", "report.html"


@dataclass(frozen=True)
class Labelled:
    """Frames to learn from and to be judged by, and what their units say."""

    training: list[xr.Dataset]
    validation: list[xr.Dataset]
    units: Consistency | None


def run_training(
    path: Path | str,
    out: Path | str = "runs",
    *,
    baseline: str | None = None,
    fresh: bool = False,
    quiet: bool = False,
) -> Path:
    """Train as a configuration file says; a training that was killed goes on.

    Parameters
    ----------
    path
        TOML file; data files are relative to its folder.
    out
        Folder that holds run folders; this run's is ``out/<run.name>``, and gets
        ``potential.safetensors``, ``curve.json`` (while it trains) and ``report.html``.
    baseline
        ``module:factory`` of an ASE calculator, in place of the section [baseline].
    fresh
        Forget the training that is in that folder, and labels of a baseline.
    quiet
        Show nothing.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    InputError
        When configuration or data cannot be used, or the folder holds another training.
    """
    config = load_training(Path(path))
    folder = Path(out) / config.run.name
    below = choose(config.baseline, Path(path).parent, baseline)
    data = read_data(config.data, Path(path).parent)
    check_asked(config.uncertainty, data)
    settings = training_settings(config, data.training)
    with _processes(config.training.device) as rank:
        if rank:  # the first process keeps the folder and tells how it goes
            _wait()
            data = _left(data, below, folder, None)
            train(data.training, data.validation, settings, folder)
            return folder
        with run_lock(folder), Display(folder / "run.jsonl", quiet=quiet) as display:
            if fresh:
                (folder / STATE).unlink(missing_ok=True)
                forget(folder)
            data = _left(data, below, folder, display)
            _make_way(folder, settings, data)
            _wait()
            result = _train(data, settings, folder, display)
            _write(folder, Path(path).parent, config, data, result, display)
    return folder


def read_data(data: Data, folder: Path) -> Labelled:
    """Frames of the files, split, with their units checked.

    Raises
    ------
    InputError
    """

    def read(names: Sequence[str]) -> list[xr.Dataset]:
        return [
            ds
            for name in names
            for ds in read_labelled(folder / name, data.keys, stress=data.need_stress)
        ]

    sets = read(data.files)
    units = check_units(sets) if data.check_units else None
    if data.validation:
        held_out = [ds for ds in read(data.validation) if not is_isolated(ds)]
        if data.check_units:
            check_units(held_out)
        return Labelled(sets, held_out, units)
    training, held_out = split(sets, data.hold_out, seed=0 if data.drawn else None)
    return Labelled(training, held_out, units)


@contextmanager
def _processes(device: str) -> Iterator[int]:
    """Join the processes of torchrun, if there are any; number of this one."""
    import torch
    import torch.distributed as dist

    check_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(  # the others wait while the first labels
        "nccl" if device == "cuda" else "gloo", timeout=timedelta(days=1)
    )
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def _wait() -> None:
    """Until all processes are here: a state is read or forgotten by all of them."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.barrier()


def _left(
    data: Labelled, below: Chosen | None, folder: Path, display: Display | None
) -> Labelled:
    """The data without the baseline, if there is one."""
    if below is None:
        return data
    sets, n = [*data.training, *data.validation], len(data.training)
    if (folder / STATE).is_file() and not labelled(sets, below, folder):
        raise _another(folder)
    left = without(sets, below, folder, display)
    return replace(data, training=left[:n], validation=left[n:])


def _make_way(folder: Path, settings: TrainingSettings, data: Labelled) -> None:
    """Refuse to train over another training."""
    store = folder / STATE
    if not store.is_file():
        return
    found, note = digest([*data.training, *data.validation]), stored_note(store)
    if not belongs(note, settings, found):
        raise _another(folder, _differing(note["settings"], settings))


def _differing(stored: dict, settings: TrainingSettings) -> str:
    """Settings that are not those of a stored state."""
    new = json.loads(json.dumps(asdict(settings)))  # tuples become lists
    return ", ".join(
        f"{key} {new[key]} (was {stored.get(key)})"
        for key in new if new[key] != stored.get(key)
    )  # fmt: skip


def _another(folder: Path, differing: str = "") -> InputError:
    return InputError(
        f"{folder} holds a training of other settings or data",
        wanted="the configuration and files it was begun with",
        got=differing or "other frames, baseline or number of processes",
        mend="choose another [run] name or --out, or --fresh to train anew",
    )  # fmt: skip


def _train(
    data: Labelled, settings: TrainingSettings, folder: Path, display: Display
) -> TrainingResult:
    begun = time.monotonic()
    display.begin("training")
    result = train(
        data.training, data.validation, settings, folder,
        lambda done, total, text: display.show("training", done, total, text),
    )  # fmt: skip
    display.end("training", time.monotonic() - begun)
    return result


def _write(folder: Path, source: Path, config, data: Labelled, result, display) -> None:
    """Potential with its uncertainty, curve and report."""
    from .report.training import baseline_alone, judge, training_page

    files = [source / name for name in config.data.files]
    validity = {
        "training_sha256": [sha256(path) for path in files],
        "training_frames": sum(ds.sizes["frame"] for ds in data.training),
        "groups": sorted({str(g) for ds in data.training for g in ds["group"].values}),
    }
    save_potential(folder / POTENTIAL, result, validity)  # first: nothing may be lost
    begun = time.monotonic()
    display.begin("uncertainty")
    sure = calibrated(config.uncertainty, result, data)
    save_potential(folder / POTENTIAL, result, validity, sure.uncertainty)
    display.end("uncertainty", time.monotonic() - begun)
    predictions, errors = judge(result, data.validation)
    alone = baseline_alone(result, data, predictions)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    spent = {"training": processes * stored_note(folder / STATE)["cpu"]}
    curve = {"curve": result.curve, "validation": errors, "baseline": alone}
    curve["uncertainty"] = sure.as_json()
    curve["cpu_s"] = {**spent, "calibration": sure.cpu_s}
    write_json(folder / CURVE, curve)
    page = training_page(config, data, result, predictions, errors, alone, sure)
    write_text(folder / REPORT, page.render())
    if sure.failed is not None and asked(config.uncertainty):
        raise sure.failed
