"""`mesobridge train`: from a file of labelled frames to a potential and its report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from pydantic import Field, model_validator

from ..atomistic.potential import (
    NamedBaseline,
    TrainingResult,
    TrainingSettings,
    save_potential,
)
from ..atomistic.potential.consistency import Consistency, check_units
from ..atomistic.potential.labelled_frame import Keys
from ..atomistic.potential.reading import is_isolated, read_labelled, split
from ..atomistic.potential.train import STATE, belongs, digest, stored_note, train
from ..core.artefact import sha256, write_json, write_text
from ..core.config import (
    Length,
    PositiveFloat,
    PositiveInt,
    Section,
    checked,
    read_toml,
)
from ..core.errors import InputError
from .baselines import Chosen, choose, forget, labelled, without
from .pipeline.lock import run_lock
from .pipeline.progress import Display

POTENTIAL, CURVE, REPORT = "potential.safetensors", "curve.json", "report.html"
#: Atoms of a step, about, where no batch is given: five molecules of fifteen, one liquid.
ATOMS = 75
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
#: Weights of labels of charges, and names of these in `[data]` and `frames/1`.
CHARGE_LABELS = {
    "charge_weight": "charge", "dipole_weight": "dipole", "born_weight": "born_charge",
}  # fmt: skip


class Run(Section):
    """Name of the run folder."""

    name: str = Field(default="potential", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


class Data(Section):
    """Files, what labels are called in them, and what is held out."""

    files: tuple[str, ...] = Field(min_length=1)
    validation: tuple[str, ...] = ()
    hold_out: float = Field(default=0.1, gt=0, lt=1)
    drawn: bool = False
    check_units: bool = True
    need_stress: bool = False
    energy: str = "energy"
    forces: str = "forces"
    stress: str = "stress"
    virial: str = "virial"
    group: str = "config_type"
    charge: str = Keys.charge
    dipole: str = Keys.dipole
    born_charge: str = Keys.born_charge
    total_charge: str = Keys.total_charge

    @property
    def keys(self) -> Keys:
        """What labels are called."""
        return Keys(**{f.name: getattr(self, f.name) for f in fields(Keys)})


class Model(Section):
    """Of `CartesianACE`; charges (e) to start from make it long-ranged."""

    cutoff: Length = 5e-10
    channels: int = Field(default=32, gt=0, le=512, strict=True)
    radial: int = Field(default=8, gt=0, le=64, strict=True)
    hidden: int = Field(default=64, gt=0, le=1024, strict=True)
    layers: int = Field(default=2, gt=0, le=8, strict=True)
    charges: dict[str, Finite] | None = None


class Training(Section):
    """Of `TrainingSettings`: either steps or cpu_minutes; batch by the size of frames."""

    steps: PositiveInt | None = None
    cpu_minutes: PositiveFloat | None = None
    batch: PositiveInt | None = None
    learning_rate: PositiveFloat = 0.01
    energy_weight: PositiveFloat = 2.0
    last_energy_weight: PositiveFloat | None = None
    stress_weight: NonNegative = 500.0
    charge_weight: NonNegative = 0.0
    dipole_weight: NonNegative = 0.0
    born_weight: NonNegative = 0.0
    group_weights: dict[str, NonNegative] = Field(default_factory=dict)
    average: float = Field(default=0.995, ge=0, lt=1)
    patience: int = Field(default=0, ge=0, strict=True)
    points: int = Field(default=40, gt=0, le=10_000, strict=True)
    seed: int = Field(default=0, ge=0, lt=2**31, strict=True)
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "float64"] = "float32"

    @model_validator(mode="after")
    def _one_length(self):
        if (self.steps is None) == (self.cpu_minutes is None):
            raise ValueError("wanted either steps or cpu_minutes")
        return self


class TrainingConfig(Section):
    """All of it."""

    run: Run = Run()
    data: Data
    baseline: NamedBaseline | None = None
    model: Model = Model()
    training: Training


@dataclass(frozen=True)
class Labelled:
    """Frames to learn from and to be judged by, and what their units say."""

    training: list[xr.Dataset]
    validation: list[xr.Dataset]
    units: Consistency | None


def load_training(path: Path) -> TrainingConfig:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        Names the key, what was wanted and what was found.
    """
    mend = "see examples/potential/train.toml"
    return checked(TrainingConfig, read_toml(path), str(path), mend)


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
    settings = _settings(config, data.training)
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
            _write(folder, Path(path).parent, config, data, result)
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


def _settings(config: TrainingConfig, sets: list[xr.Dataset]) -> TrainingSettings:
    from ase.data import atomic_numbers

    names = {str(s) for ds in sets for s in ds["species"].values}
    known = {str(g) for ds in sets for g in ds["group"].values}
    t = config.training.model_dump()
    unknown = sorted(set(t["group_weights"]) - known)
    if unknown:
        raise InputError(
            "training.group_weights names groups that no frame has", got=unknown[0],
            wanted=", ".join(sorted(known)), mend="data.group is the key of groups",
        )  # fmt: skip
    t["group_weights"] = tuple(sorted(t["group_weights"].items()))
    if t["steps"] is None:
        t.pop("steps")
    if t["batch"] is None:
        sizes = np.repeat(
            [ds.sizes["atom"] for ds in sets], [ds.sizes["frame"] for ds in sets]
        )
        t["batch"] = max(1, min(round(ATOMS / sizes.mean()), len(sizes) // 4))
    species = tuple(sorted(names, key=lambda s: atomic_numbers.get(s, 0)))
    model = config.model.model_dump()
    model["charges"] = _charges(model["charges"], species)
    _check_labels(config, sets)
    return TrainingSettings(species=species, **model, **t)


def _charges(guess: dict[str, float] | None, species: tuple) -> tuple | None:
    """Charges to start from in the order of the species."""
    if guess is None:
        return None
    odd = {"nothing": set(species) - set(guess), "a charge": set(guess) - set(species)}
    if any(odd.values()):
        got = [f"{what} for {', '.join(sorted(of))}" for what, of in odd.items() if of]
        raise InputError(
            "model.charges does not fit the data", got=" and ".join(got),
            wanted=f"one charge (e) for each of {', '.join(species)}",
            mend="give formal charges, or rough ones such as O -0.8, H 0.4",
        )  # fmt: skip
    return tuple(guess[name] for name in species)


def _check_labels(config: TrainingConfig, sets: Sequence[xr.Dataset]) -> None:
    """Refuse weights of labels of charges that nothing would be weighed by."""
    for weight, name in CHARGE_LABELS.items():
        if not getattr(config.training, weight):
            continue
        if config.model.charges is None:
            raise InputError(f"training.{weight} without charges", got="none",
                             wanted="model.charges to start from")  # fmt: skip
        if not any(name in ds for ds in sets):
            key = getattr(config.data, name)
            raise InputError(
                f"training.{weight}: no training frame has this label",
                wanted=f"{key}{' of neutral clusters' if name == 'dipole' else ''}",
                got="none", mend=f"name the key in the files: data.{name}",
            )  # fmt: skip


@contextmanager
def _processes(device: str) -> Iterator[int]:
    """Join the processes of torchrun, if there are any; number of this one."""
    import torch
    import torch.distributed as dist

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("training.device", wanted="a GPU that torch can use",
                         got="none", mend='device = "cpu"')  # fmt: skip
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
    found = digest([*data.training, *data.validation])
    if not belongs(stored_note(store), settings, found):
        raise _another(folder)


def _another(folder: Path) -> InputError:
    return InputError(
        f"{folder} holds a training of other settings or data",
        wanted="the configuration and files it was begun with", got="others",
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


def _write(folder: Path, source: Path, config, data: Labelled, result) -> None:
    """Potential, curve and report."""
    from .report.training import baseline_alone, judge, training_page

    files = [source / name for name in config.data.files]
    validity = {
        "training_sha256": [sha256(path) for path in files],
        "training_frames": sum(ds.sizes["frame"] for ds in data.training),
        "groups": sorted({str(g) for ds in data.training for g in ds["group"].values}),
    }
    save_potential(folder / POTENTIAL, result, validity)
    predictions, errors = judge(result, data.validation)
    alone = baseline_alone(result, data, predictions)
    curve = {"curve": result.curve, "validation": errors, "baseline": alone}
    write_json(folder / CURVE, curve)
    page = training_page(config, data, result, predictions, errors, alone)
    write_text(folder / REPORT, page.render())
