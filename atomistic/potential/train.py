"""Training, restartable: a killed training ends bit-equal to an undisturbed one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...core.artefact import replacing
from ...core.errors import InputError
from ...core.units import ANGSTROM, EV, GPA
from .baseline import baseline_record
from .charges import first_energy, label_errors
from .core_repulsion import closest_pairs, nuclear_charges
from .data import Batch, Frame, batch, load_frames
from .derivatives import derivatives
from .model import CartesianACE

Progress = Callable[[float, float, str], None]

#: Seconds between two stored states, and points on the learning curve.
STORE_EVERY, CURVE_POINTS, CURVE_FRAMES = 10.0, 12, 24


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
        Number of steps and frames per step.
    learning_rate
        At its highest; warm-up over 50 steps, then a cosine to zero.
    energy_weight, stress_weight
        Of the squared error per atom (eV^2) and of the stress ((eV/A^3)^2) beside that of
        the forces ((eV/A)^2).
    seed
        Of the weights and of the order of frames.
    charges
        Charge of each species (e) that predicted charges start from, not all zero;
        ``None`` trains a short-ranged potential. The Coulomb energy of the charges is
        then part of the potential, and frames carry it in full.
    charge_weight, dipole_weight, born_weight
        Of squared errors of charges (e^2), dipoles of clusters ((e A)^2) and Born
        effective charges (e^2), where labelled.
    """

    species: tuple[str, ...]
    cutoff: float
    channels: int = 16
    radial: int = 8
    hidden: int = 64
    layers: int = 1
    steps: int = 800
    batch: int = 2
    learning_rate: float = 0.01
    energy_weight: float = 5.0
    stress_weight: float = 500.0
    seed: int = 0
    charges: tuple[float, ...] | None = None
    charge_weight: float = 0.0
    dipole_weight: float = 0.0
    born_weight: float = 0.0


@dataclass(frozen=True)
class TrainingResult:
    """Weights (EMA), settings and learning curve.

    Attributes
    ----------
    curve
        Points {"step", "loss", "force_rmse" (eV/A), "stress_rmse" (GPa)}.
    baseline
        What was subtracted from the labels (`baseline_record`), or ``None``.
    """

    settings: TrainingSettings
    tensors: dict[str, np.ndarray]
    curve: list[dict]
    baseline: dict | None = None


def train(
    training: Sequence[xr.Dataset],
    validation: Sequence[xr.Dataset],
    settings: TrainingSettings,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a potential on energies, forces and, where labelled, stress.

    Parameters
    ----------
    training, validation
        `frames/1`; validation frames only draw the learning curve.
    settings
        Model, length and weights of the training.
    folder
        Where the state is stored every 10 s; a later call with the same arguments
        goes on from it.
    progress
        Called with (steps done, steps, text).

    Raises
    ------
    InputError
        When there are fewer frames than a batch, or the loss is not finite.
    """
    cutoff = settings.cutoff / ANGSTROM
    baseline = baseline_record([*training, *validation])
    frames = load_frames(training, settings.species, cutoff)
    if len(frames) < settings.batch:
        raise InputError(
            "too few frames to train on",
            wanted=f"at least {settings.batch} (one batch)", got=str(len(frames)),
            mend="sample more frames or make the batch smaller",
        )  # fmt: skip
    held_out = load_frames(validation, settings.species, cutoff)
    every = max(1, len(held_out) // CURVE_FRAMES)
    run = _Training(settings, frames, held_out[::every])
    store = folder / "training.safetensors" if folder else None
    if store is not None and store.is_file():
        run.load(store)
    stored = time.monotonic()
    while run.step < settings.steps:
        run.advance()
        if store is not None and time.monotonic() - stored > STORE_EVERY:
            run.save(store)
            stored = time.monotonic()
        if progress is not None:
            progress(run.step, settings.steps, run.text())
    tensors = {k: v.numpy() for k, v in run.average.items()}
    tensors |= {k: v.numpy() for k, v in run.core.items()}
    return TrainingResult(settings, tensors, run.curve, baseline)


class _Training:
    """Model, optimiser, moving average and curve: all that a resumed training needs."""

    def __init__(self, s: TrainingSettings, frames: list[Frame], held_out: list[Frame]):
        self.s, self.frames, self.held_out = s, frames, held_out
        self.cutoff = s.cutoff / ANGSTROM
        torch.manual_seed(s.seed)
        self.model = new_model(s)
        closest = closest_pairs(frames, len(s.species))
        nuclear = nuclear_charges(s.species)
        self.core = {
            "inner": torch.from_numpy(closest).float(),
            "nuclear": torch.from_numpy(nuclear).float(),
        }
        rest = [f.energy for f in frames]
        if self.model.charges is not None:
            # Without the energy of the first charges, which can be most of the total.
            rest = [
                f.energy
                - first_energy(self.model, batch([f], self.cutoff, torch.float64))
                for f in frames
            ]
        self.model.shift.data[:] = _mean_energies(frames, rest, len(s.species))
        self.average = {k: v.detach().clone() for k, v in self.model.named_parameters()}
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=s.learning_rate)
        self.step, self.loss = 0, float("nan")
        self.curve: list[dict] = []

    def advance(self) -> None:
        """One step of the optimiser; a point of the curve when it is due."""
        loss = self._loss(self._next_batch())
        self.loss = float(loss.detach())
        if not np.isfinite(self.loss):
            raise InputError(
                "the training diverged", wanted="a finite loss",
                got=f"{self.loss} at step {self.step}", mend="lower the learning rate",
            )  # fmt: skip
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        keep = min(0.99, self.step / (self.step + 20))
        for name, value in self.model.named_parameters():
            self.average[name].mul_(keep).add_(value.detach(), alpha=1 - keep)
        self.step += 1
        if self.step % max(1, self.s.steps // CURVE_POINTS) == 0:
            self.curve.append(self._point())

    def _next_batch(self) -> Batch:
        """Frames of this step: a function of (seed, step) alone."""
        per_epoch = len(self.frames) // self.s.batch
        epoch, place = divmod(self.step, per_epoch)
        order = np.random.default_rng([self.s.seed, epoch]).permutation(len(self.frames))
        chosen = order[place * self.s.batch : (place + 1) * self.s.batch]
        return batch([self.frames[i] for i in chosen], self.cutoff, torch.float32)

    def _loss(self, b: Batch) -> Tensor:
        energy, forces, virial = derivatives(self.model, b, training=True)
        energy_error = ((energy - b.energy) / b.atoms).pow(2).mean()
        force_error = (forces - b.forces).pow(2).mean()
        stress = (virial - b.virial) / b.volume[:, None, None]
        stress_error = (stress.pow(2).mean((1, 2)) * b.has_virial).mean()
        s = self.s
        loss = (
            force_error + s.energy_weight * energy_error + s.stress_weight * stress_error
        )
        weights = {"charges": s.charge_weight, "dipole": s.dipole_weight}
        weights["born"] = s.born_weight
        if any(weights.values()):
            loss = loss + label_errors(self.model, b, weights)
        return loss

    def _learning_rate(self) -> float:
        fraction = self.step / self.s.steps
        warm = min(1.0, (self.step + 1) / 50)
        decay = 0.5 * (1 + np.cos(np.pi * fraction)) + 0.01
        return float(self.s.learning_rate * warm * decay)

    def _point(self) -> dict:
        """Errors of the averaged weights on the held-out frames."""
        model = build_model(self.s, self.average | self.core)
        force, stress = [], []
        for f in self.held_out:
            b = batch([f], self.cutoff, torch.float32)
            _, forces, virial = derivatives(model, b)
            force.append((forces - b.forces).pow(2).mean().item())
            if f.virial is not None:
                difference = (virial - b.virial) / f.volume
                stress.append(difference.pow(2).mean().item())
        unit = EV / ANGSTROM**3 / GPA
        return {
            "step": self.step,
            "loss": self.loss,
            "force_rmse": float(np.sqrt(np.mean(force))),
            "stress_rmse": float(np.sqrt(np.mean(stress)) * unit) if stress else None,
        }

    def text(self) -> str:
        """Where the training stands, in words."""
        if not self.curve:
            return "training"
        return f"training: force RMSE {1e3 * self.curve[-1]['force_rmse']:.1f} meV/A"

    def save(self, path: Path) -> None:
        """Store everything the rest of the training depends on."""
        tensors = {f"average.{k}": v for k, v in self.average.items()}
        for name, value in self.model.named_parameters():
            state = self.optimiser.state[value]
            tensors[f"model.{name}"] = value.detach()
            tensors[f"first.{name}"] = state["exp_avg"]
            tensors[f"second.{name}"] = state["exp_avg_sq"]
        note = json.dumps(
            {"settings": asdict(self.s), "step": self.step, "curve": self.curve}
        )
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"state": note})

    def load(self, path: Path) -> None:
        """Take up a stored state; one of other settings is ignored."""
        with safe_open(path, framework="pt") as handle:
            note = json.loads(handle.metadata()["state"])
            if note["settings"] != json.loads(json.dumps(asdict(self.s))):
                return
            stored = {k: handle.get_tensor(k) for k in handle.keys()}  # noqa: SIM118
        self.step, self.curve = note["step"], note["curve"]
        for name, value in self.model.named_parameters():
            value.data.copy_(stored[f"model.{name}"])
            self.average[name] = stored[f"average.{name}"]
            self.optimiser.state[value] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": stored[f"first.{name}"],
                "exp_avg_sq": stored[f"second.{name}"],
            }


def new_model(s: TrainingSettings) -> CartesianACE:
    """Model with random weights."""
    if s.charges is not None:
        _check_charges(s)
    return CartesianACE(
        len(s.species), s.cutoff / ANGSTROM, s.channels, s.radial, s.hidden, s.layers,
        s.charges,
    )  # fmt: skip


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


def _mean_energies(frames: list[Frame], energies: list[float], n_species: int) -> Tensor:
    """Energy per atom of each species by least squares: the network learns the rest."""
    counts = np.array([np.bincount(f.species, minlength=n_species) for f in frames])
    return torch.from_numpy(
        np.linalg.lstsq(counts.astype(float), np.array(energies), rcond=None)[0]
    )
