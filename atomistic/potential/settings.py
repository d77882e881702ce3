"""What is trained and how, and what comes of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...core.errors import InputError
from ...core.units import ANGSTROM
from .model import CartesianACE

#: Settings that count something; a longer cut-off (A) is meant in other units.
NUMBERS = ("channels", "radial", "hidden", "layers", "steps", "batch", "points")
LARGEST = 100.0


def check_device(name: str, *, here: bool = True) -> None:
    """Refuse what is no device of torch, and one that is not `here`.

    Raises
    ------
    InputError
    """
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise InputError("device", wanted="cpu or cuda", got=name)
    if here and kind == "cuda" and not torch.cuda.is_available():
        raise InputError("device", wanted="a GPU that torch can use", got="none",
                         mend='device="cpu"')  # fmt: skip


@dataclass(frozen=True)
class TrainingSettings:
    """What is trained, and how.

    Attributes
    ----------
    species
        Symbols, in the order of the model.
    cutoff
        m.
    channels, radial, hidden, layers
        Of `CartesianACE`.
    steps, batch
        Number of steps, and frames per step of each process.
    cpu_minutes
        CPU time to train for, in place of a number of steps; the schedule follows the
        clock, so that such a training is not repeated bit by bit.
    learning_rate
        At its highest; warm-up over 50 steps, then a cosine to zero.
    energy_weight, stress_weight
        Of the squared error per atom (eV^2) and of the stress ((eV/A^3)^2) beside that of
        the forces ((eV/A)^2).
    last_energy_weight
        What the energy weight becomes at the end, on a straight line of logarithms;
        ``None`` leaves it.
    group_weights
        (group, weight) of all errors of its frames; one for those that are not named.
    average
        Decay of the moving average of the weights, per step.
    patience
        Points of the learning curve without a better one after which training ends, with
        the weights of the best; zero trains to the end.
    points
        Points on the learning curve.
    seed
        Of the weights and of the order of frames.
    charges
        Charge of each species (e) that predicted charges start from, not all zero;
        ``None`` trains a short-ranged potential. The Coulomb energy of the charges is
        then part of the potential, and frames carry it in full.
    charge_weight, dipole_weight, born_weight
        Of squared errors of charges (e^2), dipoles of clusters ((e A)^2) and Born
        effective charges (e^2), where labelled.
    device, dtype
        Of torch: ``cpu`` or ``cuda``; ``float32`` or ``float64``.
    """

    species: tuple[str, ...]
    cutoff: float
    channels: int = 16
    radial: int = 8
    hidden: int = 64
    layers: int = 1
    steps: int = 800
    batch: int = 2
    cpu_minutes: float | None = None
    learning_rate: float = 0.01
    energy_weight: float = 5.0
    stress_weight: float = 500.0
    last_energy_weight: float | None = None
    group_weights: tuple[tuple[str, float], ...] = ()
    average: float = 0.99
    patience: int = 0
    points: int = 12
    seed: int = 0
    charges: tuple[float, ...] | None = None
    charge_weight: float = 0.0
    dipole_weight: float = 0.0
    born_weight: float = 0.0
    device: str = "cpu"
    dtype: str = "float32"

    def __post_init__(self):
        if self.dtype not in ("float32", "float64"):
            raise InputError("precision of the training", wanted="float32 or float64",
                             got=self.dtype)  # fmt: skip
        check_device(self.device, here=False)
        if not 0 < self.cutoff / ANGSTROM < LARGEST:
            raise InputError("cut-off of the network", wanted="metres, such as 5e-10",
                             got=f"{self.cutoff:g}")  # fmt: skip
        if not 0 < len(self.species) == len(set(self.species)):
            raise InputError("species of the network", got=str(self.species),
                             wanted="one or more symbols, each once")  # fmt: skip
        for name in NUMBERS:
            if getattr(self, name) < 1:
                raise InputError(f"{name} of the training", wanted="one or more",
                                 got=str(getattr(self, name)))  # fmt: skip

    @property
    def label_weights(self) -> dict[str, float]:
        """Weights of labels of charges by their names in `System`, but for zeros."""
        weights = {"charges": self.charge_weight, "dipole": self.dipole_weight}
        weights["born"] = self.born_weight
        return {name: weight for name, weight in weights.items() if weight}

    def energy_weight_at(self, fraction: float) -> float:
        """Weight of energies after a fraction of the training."""
        if self.last_energy_weight is None:
            return self.energy_weight
        return float(
            self.energy_weight
            * (self.last_energy_weight / self.energy_weight) ** fraction
        )


@dataclass(frozen=True)
class TrainingResult:
    """Weights (EMA), settings and learning curve.

    Attributes
    ----------
    curve
        Points {"step", "loss", "force_rmse" (eV/A), "energy_rmse" (meV/atom),
        "stress_rmse" (GPa), with a time budget also "cpu_s"} on validation frames; errors
        are ``None`` where nothing was labelled.
    baseline
        What was subtracted from the labels (`baseline_record`), or ``None``.
    """

    settings: TrainingSettings
    tensors: dict[str, np.ndarray]
    curve: list[dict]
    baseline: dict | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        arrays = (self.tensors[name].tobytes() for name in sorted(self.tensors))
        return hashlib.sha256(b"".join(arrays)).hexdigest()


def new_model(s: TrainingSettings) -> CartesianACE:
    """Model with random weights."""
    if s.charges is not None:
        _check_charges(s)
    model = CartesianACE(
        len(s.species), s.cutoff / ANGSTROM, s.channels, s.radial, s.hidden, s.layers,
        s.charges,
    )  # fmt: skip
    return model.to(getattr(torch, s.dtype)) if s.dtype != "float32" else model


def _check_charges(s: TrainingSettings) -> None:
    charges = s.charges or ()
    if len(charges) == len(s.species) and np.isfinite(charges).all() and any(charges):
        return
    raise InputError(
        "charges to start from", wanted="one for each species (e), not all zero",
        got=f"{list(charges)} for {', '.join(s.species)}",
        mend="give formal charges, or rough ones such as O -0.8, H 0.4",
    )  # fmt: skip


def build_model(s: TrainingSettings, tensors: dict[str, Tensor]) -> CartesianACE:
    """Model with the given weights."""
    model = new_model(s)
    model.load_state_dict(tensors)
    return model.requires_grad_(False)


def begin_with(model: CartesianACE, initial: TrainingResult) -> None:
    """Give a model the weights of another training, but energies of elements and cores.

    Raises
    ------
    InputError
        When they are those of another network.
    """
    names = {name for name, _ in model.named_parameters()} - {"shift"}
    weights = {k: torch.from_numpy(v) for k, v in initial.tensors.items() if k in names}
    same = len(weights) == len(names) and initial.settings.species
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError as exc:
        same, why = (), str(exc).splitlines()[-1].strip()
    else:
        why = f"{len(weights)} of {len(names)} tensors"
    if not same:
        raise InputError("weights to begin with", got=why,
                         wanted="those of a training of the same network")  # fmt: skip
