"""Configuration of `mesobridge train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from pydantic import AfterValidator, Field, model_validator

from ..atomistic.potential import NamedBaseline, TrainingSettings
from ..atomistic.potential.labelled_frame import Keys
from ..core.config import (
    Length,
    PositiveFloat,
    PositiveInt,
    Section,
    checked,
    read_toml,
)
from ..core.errors import InputError

#: Atoms of a step, about, where no batch is given: five molecules of fifteen, one liquid.
ATOMS = 75
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
#: Weights of labels of charges, and names of these in `[data]` and `frames/1`.
CHARGE_LABELS = {
    "charge_weight": "charge", "dipole_weight": "dipole", "born_weight": "born_charge",
}  # fmt: skip


def _some_angstrom(cutoff: float) -> float:
    if not 1e-10 <= cutoff <= 15e-10:
        raise ValueError("wanted 1 to 15 angstrom")
    return cutoff


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

    cutoff: Annotated[Length, AfterValidator(_some_angstrom)] = 5e-10
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


class UncertaintySection(Section):
    """Of forces: heads of `atomistic.uncertainty.calibrate`, or none at all."""

    heads: int = Field(default=4, gt=0, le=64, strict=True)
    calibrate: bool = True


class TrainingConfig(Section):
    """All of it."""

    run: Run = Run()
    data: Data
    baseline: NamedBaseline | None = None
    model: Model = Model()
    training: Training
    uncertainty: UncertaintySection = UncertaintySection()


def load_training(path: Path) -> TrainingConfig:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        Names the key, what was wanted and what was found.
    """
    mend = "see examples/potential/every_key.toml"
    return checked(TrainingConfig, read_toml(path), str(path), mend)


def training_settings(
    config: TrainingConfig, sets: Sequence[xr.Dataset]
) -> TrainingSettings:
    """What the configuration says, for the species, groups and sizes of the frames.

    Raises
    ------
    InputError
        When groups, charges or weights of their labels do not fit the frames.
    """
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
    if not any(t["group_weights"].get(name, 1.0) for name in known):
        raise InputError(
            "training.group_weights", got="zero for every group", mend="leave some",
            wanted="a weight above zero for one group at least",
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
