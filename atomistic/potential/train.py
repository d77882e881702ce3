"""Training, restartable: a killed training ends bit-equal to an undisturbed one.

Under torchrun every process trains on its own frames of each step and gradients are
added, which is one process with as many times the batch.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import xarray as xr
from safetensors import safe_open
from safetensors.torch import save_file

from ...core.artefact import replacing, write_json
from ...core.errors import InputError
from ...core.units import ANGSTROM
from .baseline import baseline_record
from .charges import first_energy
from .core_repulsion import closest_pairs, nuclear_charges
from .data import Frame, batch, digest, load_frames
from .element_energies import energy_offsets, reference_energies
from .loss import errors_of, frame_weights, loss, squared_errors
from .settings import (
    TrainingResult,
    TrainingSettings,
    begin_with,
    build_model,
    new_model,
)

__all__ = ["TrainingResult", "TrainingSettings", "build_model", "new_model", "train"]

Progress = Callable[[float, float, str], None]

#: Seconds between two stored states, and most frames behind a point of the curve.
STORE_EVERY, CURVE_FRAMES = 10.0, 48
#: Most frames that energies are fitted to once more at the end.
OFFSET_FRAMES = 200
#: Steps in a row without a finite gradient after which a training has diverged.
LOST = 10
#: File of the state, steps of warm-up.
STATE, WARM_UP = "training.safetensors", 50
#: What the optimiser keeps of each weight.
MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
#: Largest norm of a gradient over the running mean of norms; where the mean begins, and
#: over how many steps.
CLIP, FIRST_NORM, MEMORY = 3.0, 1.5, 100


def train(
    training: Sequence[xr.Dataset],
    validation: Sequence[xr.Dataset],
    settings: TrainingSettings,
    folder: Path | None = None,
    progress: Progress | None = None,
    initial: TrainingResult | None = None,
) -> TrainingResult:
    """Train a potential on energies, forces and, where labelled, stress.

    Parameters
    ----------
    training, validation
        `frames/1`; validation frames draw the learning curve and end the training early
        where `settings` ask for it. Single atoms in vacuum only give reference energies.
    settings
        Model, length and weights of the training.
    folder
        Where the state and, as ``curve.json``, the learning curve are stored every 10 s
        and at each point of the curve; a later call with the same arguments goes on.
    progress
        Called with (done, of how much, text).
    initial
        A training of the same network whose weights this one begins with.

    Raises
    ------
    InputError
        When there are fewer frames than a batch, none to be patient about, the loss
        is not finite, or the initial weights are those of another network.
    """
    cutoff = settings.cutoff / ANGSTROM
    baseline = baseline_record([*training, *validation])
    frames = load_frames(training, settings.species, cutoff)
    held_out = load_frames(validation, settings.species, cutoff)
    data = digest([*training, *validation])
    run = _Training(settings, frames, held_out, data, initial)
    store = folder / STATE if folder else None
    if store is not None and store.is_file():
        run.load(store)
    stored = time.monotonic()
    while not run.done:
        drawn = len(run.curve)
        run.advance()
        new_point = len(run.curve) > drawn
        if store is not None and (new_point or time.monotonic() - stored > STORE_EVERY):
            run.save(store)
            stored = time.monotonic()
        if progress is not None:
            progress(*run.progress())
    if store is not None:
        run.save(store)
    return replace(run.result(), baseline=baseline)


def stored_note(path: Path) -> dict:
    """What a stored state says of itself: settings, data, step and curve."""
    with safe_open(path, framework="pt") as handle:
        return json.loads(handle.metadata()["state"])


def belongs(note: dict, settings: TrainingSettings, data: str) -> bool:
    """Whether a stored state is of these settings, data and number of processes."""
    return note["key"] == _key(settings, data)


def _key(settings: TrainingSettings, data: str) -> str:
    text = json.dumps([asdict(settings), data, _processes()[1]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _processes() -> tuple[int, int]:
    """Number of this process, and of how many."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


class _Training:
    """Model, optimiser, moving average and curve: all that a resumed training needs."""

    def __init__(
        self,
        s: TrainingSettings,
        frames: list[Frame],
        held_out: list[Frame],
        data: str = "",
        initial: TrainingResult | None = None,
    ):
        self.s, self.key = s, _key(s, data + (initial.digest if initial else ""))
        self.rank, self.processes = _processes()
        self.cutoff = s.cutoff / ANGSTROM
        self.frames = [f for f in frames if not f.isolated]
        if len(self.frames) < s.batch * self.processes:
            raise InputError(
                "too few frames to train on", got=str(len(self.frames)),
                wanted=f"at least {s.batch * self.processes} (one batch)",
                mend="sample more frames or make the batch smaller",
            )  # fmt: skip
        if s.patience and not held_out:
            raise InputError(
                "patience without validation frames", got="none", wanted="at least one",
                mend="hold frames out, or leave patience at zero",
            )  # fmt: skip
        self.held_out = held_out[:: max(1, math.ceil(len(held_out) / CURVE_FRAMES))]
        torch.manual_seed(s.seed)
        self.model = new_model(s).to(s.device)
        if initial is not None:
            begin_with(self.model, initial)
        self.core = {
            "inner": torch.from_numpy(closest_pairs(self.frames, len(s.species))),
            "nuclear": torch.from_numpy(nuclear_charges(s.species)),
        }
        self.core = {k: v.to(self.model.dtype) for k, v in self.core.items()}
        first = [self._first_energy(f) for f in frames]
        self.model.shift.data[:] = reference_energies(frames, len(s.species), first)
        if self.processes > 1:  # sums of each may differ in the last digit
            dist.broadcast(self.model.shift.data, 0)
        self.average = {k: v.detach().clone() for k, v in self.model.named_parameters()}
        self.best = {k: v.clone() for k, v in self.average.items()}
        # AMSGrad: plain Adam blows up late, where gradients have become small.
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), lr=s.learning_rate, amsgrad=True
        )
        self.step, self.loss, self.lost = 0, float("nan"), 0
        self.norm = FIRST_NORM
        self.cpu, self._clock = 0.0, time.process_time()
        self.curve: list[dict] = []

    def _first_energy(self, f: Frame) -> float:
        """Energy of the first charges, which can be most of the total."""
        if self.model.charges is None or f.isolated:
            return 0.0
        return first_energy(self.model, batch([f], self.cutoff, torch.float64))

    @property
    def fraction(self) -> float:
        """Part of the training that is behind."""
        if self.s.cpu_minutes is None:
            return self.step / self.s.steps
        return min(1.0, self.cpu / (60 * self.s.cpu_minutes))

    @property
    def done(self) -> bool:
        """Whether the end is reached, or nothing got better for long enough."""
        waited = len(self.curve) - 1 - self._best_point() if self.curve else 0
        return self.fraction >= 1 or 0 < self.s.patience <= waited

    def _best_point(self) -> int:
        return int(np.argmin([point["score"] for point in self.curve]))

    def advance(self) -> None:
        """One step of the optimiser; a point of the curve when it is due."""
        before = self.fraction
        value = self._gradient(before)
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate(before)
        norm = self._clipped()
        if math.isfinite(value) and math.isfinite(norm):
            self.optimiser.step()
            self.loss, self.lost = value, 0
            self.norm += (min(norm, CLIP * self.norm) - self.norm) / MEMORY
        else:  # one such step must not end hours of training
            self.lost += 1
        if self.lost > LOST:
            raise InputError(
                "the training diverged", wanted="finite loss and gradient",
                got=f"{value} at step {self.step}", mend="lower the learning rate",
            )  # fmt: skip
        keep = min(self.s.average, self.step / (self.step + 20))
        for name, parameter in self.model.named_parameters():
            self.average[name].mul_(keep).add_(parameter.detach(), alpha=1 - keep)
        self.step += 1
        self._tick()
        points = self.s.points
        if int(self.fraction * points + 1e-9) > int(before * points + 1e-9):
            self._add_point()

    def _clipped(self) -> float:
        """Norm of the gradient, which is then cut to a few times the usual one.

        Late in a training gradients are small, and Adam divides by their size: one large
        one, of a frame that is far off, would throw the weights away.
        """
        largest = CLIP * self.norm
        return float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), largest))

    def _tick(self) -> None:
        now = time.process_time()
        passed = torch.tensor(
            now - self._clock, dtype=torch.float64, device=self.s.device
        )
        self._clock = now
        if self.s.cpu_minutes is not None and self.processes > 1:
            dist.all_reduce(passed, dist.ReduceOp.MAX)  # all must agree on the end
        self.cpu += float(passed)

    def _chosen(self) -> list[Frame]:
        """Frames of this step for all processes: a function of (seed, step) alone."""
        size = self.s.batch * self.processes
        epoch, place = divmod(self.step, len(self.frames) // size)
        order = np.random.default_rng([self.s.seed, epoch]).permutation(len(self.frames))
        return [self.frames[i] for i in order[place * size : (place + 1) * size]]

    def _gradient(self, fraction: float) -> float:
        """Gradient and value of the loss over the frames of all processes."""
        chosen = self._chosen()
        own = chosen[self.rank :: self.processes]
        b = batch(own, self.cutoff, self.model.dtype).to(self.s.device)
        counts = len(chosen), sum(len(f.species) for f in chosen)
        value = loss(
            self.model, b, frame_weights(own, self.s.group_weights, b.forces),
            self.s.energy_weight_at(fraction), self.s.stress_weight, counts,
            self.s.label_weights,
        )  # fmt: skip
        self.optimiser.zero_grad()
        value.backward()
        if self.processes == 1:
            return float(value.detach())
        total = value.detach().double()
        for part in (total, *(p.grad for p in self.model.parameters())):
            dist.all_reduce(part)
        return float(total)

    def _learning_rate(self, fraction: float) -> float:
        warm = min(1.0, (self.step + 1) / WARM_UP)
        decay = 0.5 * (1 + np.cos(np.pi * fraction)) + 0.01
        return float(self.s.learning_rate * warm * decay)

    def _add_point(self) -> None:
        """Errors of the averaged weights on validation frames; the best are kept."""
        model = build_model(self.s, self.average | self.core).to(self.s.device)
        own = self.held_out[self.rank :: self.processes]
        sums = squared_errors(model, own, self.cutoff, self.s.device)
        if self.processes > 1:
            total = torch.from_numpy(sums).to(self.s.device)
            dist.all_reduce(total)
            sums = total.cpu().numpy()
        means = sums[::2] / np.maximum(sums[1::2], 1)
        weights = 1.0, self.s.energy_weight, self.s.stress_weight
        point = {"step": self.step, "loss": self.loss, **errors_of(sums)}
        point["score"] = float(means @ weights)
        if self.s.cpu_minutes is not None:
            point["cpu_s"] = self.cpu
        self.curve.append(point)
        if self.s.patience and self._best_point() == len(self.curve) - 1:
            self.best = {k: v.clone() for k, v in self.average.items()}

    def progress(self) -> tuple[float, float, str]:
        """How much is done, of how much, and the errors so far."""
        text = "training"
        if self.curve and self.curve[-1]["force_rmse"] is not None:
            last = self.curve[-1]
            text = f"F {1e3 * last['force_rmse']:.1f} meV/A  "
            text += f"E {last['energy_rmse']:.2f} meV/atom"
            if last["stress_rmse"] is not None:
                text += f"  stress {last['stress_rmse']:.3f} GPa"
        if self.s.cpu_minutes is None:
            return self.step, self.s.steps, text
        total = 60 * self.s.cpu_minutes
        return self.fraction * total, total, text

    def result(self) -> TrainingResult:
        """The averaged weights; with patience those of the best point."""
        weights = self.best if self.s.patience and self.curve else self.average
        tensors = {k: v.cpu().numpy() for k, v in (weights | self.core).items()}
        model = build_model(self.s, weights | self.core).to(self.s.device)
        some = self.frames[:: math.ceil(len(self.frames) / OFFSET_FRAMES)]
        each = frame_weights(some, self.s.group_weights, torch.empty(0)).tolist()
        offsets = energy_offsets(model, some, each, self.s.device)
        tensors["shift"] = (tensors["shift"] + offsets).astype(tensors["shift"].dtype)
        return TrainingResult(self.s, tensors, self.curve)

    def save(self, path: Path) -> None:
        """Store everything the rest of the training depends on."""
        if self.rank or not self.optimiser.state:
            return
        tensors = {f"average.{k}": v for k, v in self.average.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for name, value in self.model.named_parameters():
            state = self.optimiser.state[value]
            tensors[f"model.{name}"] = value.detach()
            for key in MOMENTS:
                tensors[f"{key}.{name}"] = state[key]
        note = {"key": self.key, "settings": asdict(self.s), "step": self.step}
        note |= {"cpu": self.cpu, "loss": self.loss, "norm": self.norm}
        note["curve"] = self.curve
        write_json(path.with_name("curve.json"), {"curve": self.curve})
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"state": json.dumps(note)})

    def load(self, path: Path) -> None:
        """Take up a stored state; one of other settings or data is ignored."""
        note = stored_note(path)
        if note.get("key") != self.key:
            return
        with safe_open(path, framework="pt") as handle:
            stored = {
                k: handle.get_tensor(k).to(self.s.device)
                for k in handle.keys()  # noqa: SIM118
            }
        self.step, self.curve = note["step"], note["curve"]
        self.cpu, self.loss, self.norm = note["cpu"], note["loss"], note["norm"]
        for name, value in self.model.named_parameters():
            value.data.copy_(stored[f"model.{name}"])
            self.average[name] = stored[f"average.{name}"]
            self.best[name] = stored[f"best.{name}"]
            self.optimiser.state[value] = {
                "step": torch.tensor(float(self.step)),
                **{key: stored[f"{key}.{name}"] for key in MOMENTS},
            }
