"""Force matching by networks, restartable: a killed training ends bit-equal.

Networks learn what the forces of frames differ by from those of the prior. Most of that
is noise that no function of the beads explains: frames held out tell when to stop, and
weights are averaged over the last hundred steps.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..core.artefact import replacing
from ..core.errors import InputError
from .linear_model import LinearModel
from .networks import Architecture, build, fill
from .neural import NeuralModel

Progress = Callable[[float, float, str], None]
#: Positions (F, B, 3), nm, and forces (F, B, 3), kJ/mol/nm.
Labelled = tuple[Tensor, Tensor]

#: Seconds between stored states; frames that errors are taken of at once.
STORE_EVERY, PORTION = 10.0, 1024
#: Steps until the learning rate is full; how much of the average a step leaves.
WARM_UP, KEEP = 20, 0.99
#: What the optimiser keeps of each weight.
MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


@dataclass(frozen=True)
class NeuralSettings:
    """Of a training.

    Attributes
    ----------
    architecture
        Of the networks.
    types
        Of each bead, from 0; by default each bead is of its own type.
    epochs
        Times that all frames are seen, at most.
    batch
        Frames of a step.
    learning_rate
        Of AMSGrad, first; falls as a cosine.
    patience
        Epochs without a smaller error on held-out frames after which a training ends.
    members
        Networks, which differ by their seed.
    seed
        Of the first.
    """

    architecture: Architecture = Architecture()
    types: tuple[int, ...] | None = None
    epochs: int = 100
    batch: int = 128
    learning_rate: float = 1e-3
    patience: int = 20
    members: int = 1
    seed: int = 0


@dataclass(frozen=True)
class NeuralFit:
    """A trained model.

    Attributes
    ----------
    model
        Of each network the weights with the smallest error on held-out frames: where
        nothing was learned it is the prior.
    curves
        Of each network, points of epoch, loss (1 is that of the prior on the frames of
        training), and root mean square error of the forces of held-out frames, kJ/mol/nm.
    """

    model: NeuralModel
    curves: tuple[list[dict], ...]


def train(
    prior: LinearModel,
    training: Labelled,
    held_out: Labelled,
    settings: NeuralSettings,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> NeuralFit:
    """Fit networks to what a linear model leaves of the forces.

    Parameters
    ----------
    prior
        Linear model, fitted to the same frames.
    training, held_out
        Frames with forces. Held-out frames choose the weights: to judge the model others
        are needed, or the gate.
    settings
        Networks and length of the training.
    folder
        Where states are stored; a later call with the same arguments goes on.
    progress
        Called with (done, of how much, text).

    Raises
    ------
    InputError
        When frames do not fit the prior or are fewer than a batch, or the loss is not
        finite.
    """
    types = settings.types or tuple(range(len(prior.beads)))
    settings = replace(settings, types=types)
    _check(prior, training, held_out, settings)
    ranges = distance_ranges(training[0], types)
    data = [_left(prior, *part) for part in (training, held_out)]
    digest = _digest(data, ranges)
    runs = []
    for k in range(settings.members):
        own = replace(settings, seed=settings.seed + k, members=1)
        run = _Member(own, data, ranges, digest)
        store = folder / f"network{k}.safetensors" if folder else None
        run.finish(store, _shifted(progress, k, settings))
        runs.append(run)
    found = {
        "frames": len(training[0]), "data_sha256": digest,
        "held_out_force_rmse_kJ_mol_nm": [min(_errors(run)) for run in runs],
        "prior_force_rmse_kJ_mol_nm": runs[0].curve[0]["error"],
    }  # fmt: skip
    members = tuple({k: v.numpy() for k, v in run.best.items()} for run in runs)
    model = NeuralModel(
        prior, settings.architecture, types, ranges.numpy(), members,
        {**prior.validity, "networks": found},
    )  # fmt: skip
    return NeuralFit(model, tuple(run.curve for run in runs))


def distance_ranges(x: Tensor, types: Sequence[int]) -> Tensor:
    """Least and largest distance of pairs of types, shape (T, T, 2), of x (F, B, 3)."""
    n = max(types) + 1
    found = torch.zeros(n, n, 2)
    for a in range(n):
        for b in range(n):
            one, two = ([i for i, t in enumerate(types) if t == k] for k in (a, b))
            r = (x[:, one].unsqueeze(2) - x[:, two].unsqueeze(1)).pow(2).sum(-1).sqrt()
            r = r[r > 0]
            if len(r):
                found[a, b] = torch.stack([r.min(), r.max()])
    return found


def _check(prior: LinearModel, training: Labelled, held_out: Labelled, s) -> None:
    wanted = len(prior.beads), 3
    for name, part in (("training", training), ("held-out", held_out)):
        for values in part:
            if values.shape != (len(part[0]), *wanted) or not values.isfinite().all():
                raise InputError(
                    f"{name} frames", wanted=f"finite positions and forces (F, {wanted})",
                    got=str([tuple(v.shape) for v in part]),
                )  # fmt: skip
    if len(training[0]) < s.batch or not len(held_out[0]):
        raise InputError(
            "too few frames", wanted=f"{s.batch} for training (one batch), one held out",
            got=f"{len(training[0])} and {len(held_out[0])}",
            mend="sample more frames or make the batch smaller",
        )  # fmt: skip
    kinds = set(s.types)
    if len(s.types) != len(prior.beads) or kinds != set(range(len(kinds))):
        raise InputError(
            "types of beads", wanted=f"{len(prior.beads)} numbers from 0, none left out",
            got=str(s.types),
        )  # fmt: skip


def _left(prior: LinearModel, x: Tensor, forces: Tensor) -> Labelled:
    """Positions and what the prior leaves of forces, in single precision."""
    parts = zip(x.split(PORTION), forces.split(PORTION), strict=True)
    return x.float(), torch.cat([(f - prior.forces(y)).float() for y, f in parts])


def _digest(data: Sequence[Labelled], ranges: Tensor) -> str:
    found = hashlib.sha256()
    for values in (*(part for labelled in data for part in labelled), ranges):
        found.update(values.contiguous().numpy().tobytes())
    return found.hexdigest()


def _shifted(progress: Progress | None, k: int, s: NeuralSettings) -> Progress | None:
    """Epochs of one network told as those of all."""
    if progress is None:
        return None
    return lambda done, _, text: progress(
        k * s.epochs + done, s.members * s.epochs, f"network {k + 1}: {text}"
    )


def _errors(run: _Member) -> list[float]:
    return [point["error"] for point in run.curve]


class _Member:
    """One network with all that a resumed training needs."""

    def __init__(self, s: NeuralSettings, data, ranges: Tensor, digest: str):
        (self.x, self.left), self.held_out = data
        self.s = s
        text = json.dumps([asdict(s), digest], sort_keys=True)
        self.key = hashlib.sha256(text.encode()).hexdigest()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(s.seed)
            self.network = build(s.architecture, s.types or (), ranges)
            self.shadow = build(s.architecture, s.types or (), ranges)
        self.average = self._weights()
        self.best = self._weights()
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=s.learning_rate, amsgrad=True
        )
        self.scale = self.left.square().mean()
        self.steps = s.epochs * (len(self.x) // s.batch)
        self.step, self.curve, self.loss = 0, [self._point(1.0)], 0.0

    def _weights(self) -> dict[str, Tensor]:
        return {k: v.detach().clone() for k, v in self.network.named_parameters()}

    @property
    def done(self) -> bool:
        """Whether the end is reached, or nothing got better for long enough."""
        waited = len(self.curve) - 1 - int(np.argmin(_errors(self)))
        return self.step >= self.steps or waited >= self.s.patience

    def finish(self, store: Path | None, progress: Progress | None) -> None:
        """Train to the end, from a stored state where there is one."""
        if store is not None and store.is_file():
            self.load(store)
        stored = time.monotonic()
        while not self.done:
            self.advance()
            if store and (self.done or time.monotonic() - stored > STORE_EVERY):
                self.save(store)
                stored = time.monotonic()
            if progress is not None:
                last = self.curve[-1]
                progress(last["epoch"], self.s.epochs, f"F {last['error']:.1f} kJ/mol/nm")

    def advance(self) -> None:
        """One step; at the end of an epoch a point of the curve."""
        chosen, last = self._chosen()
        pull = _pull(self.network, self.x[chosen], create_graph=True)
        loss = (pull - self.left[chosen]).square().mean() / self.scale
        self.optimiser.zero_grad()
        loss.backward()
        size = float(loss.detach())
        if not math.isfinite(size):
            raise InputError(
                "the training diverged", wanted="a finite loss",
                got=f"{size} at step {self.step}", mend="lower the learning rate",
            )  # fmt: skip
        warm = min(1.0, (self.step + 1) / WARM_UP)
        decay = 0.5 + 0.5 * math.cos(math.pi * self.step / self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = self.s.learning_rate * warm * decay
        self.optimiser.step()
        keep = min(KEEP, self.step / (self.step + 20))
        for name, value in self.network.named_parameters():
            self.average[name].mul_(keep).add_(value.detach(), alpha=1 - keep)
        self.step, self.loss = self.step + 1, self.loss + size
        if last:
            self.curve.append(self._point(self.loss / (len(self.x) // self.s.batch)))
            self.loss = 0.0
            if np.argmin(_errors(self)) == len(self.curve) - 1:
                self.best = {k: v.clone() for k, v in self.average.items()}

    def _chosen(self) -> tuple[Tensor, bool]:
        """Frames of this step, by seed and step alone; whether they end an epoch."""
        batch, n = self.s.batch, len(self.x)
        epoch, place = divmod(self.step, n // batch)
        order = np.random.default_rng([self.s.seed, epoch]).permutation(n)
        return (
            torch.from_numpy(order[place * batch : (place + 1) * batch]),
            place + 1 == n // batch,
        )

    def _point(self, loss: float) -> dict:
        """Loss of an epoch, and the error of averaged weights on held-out frames."""
        fill(self.shadow, self.average)
        total = 0.0
        parts = zip(*(v.split(PORTION) for v in self.held_out), strict=True)
        for x, left in parts:
            total += float((_pull(self.shadow, x) - left).square().double().sum())
        error = math.sqrt(total / self.held_out[1].numel())
        epoch = len(self.curve) if hasattr(self, "curve") else 0
        return {"epoch": epoch, "loss": loss, "error": error}

    def save(self, path: Path) -> None:
        """Store everything the rest of the training depends on."""
        tensors = {f"average.{k}": v for k, v in self.average.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for name, value in self.network.named_parameters():
            tensors[f"network.{name}"] = value.detach()
            own = self.optimiser.state.get(value, {})  # none of what adds a constant
            tensors |= {f"{moment}.{name}": own[moment] for moment in MOMENTS if own}
        note = {"key": self.key, "step": self.step, "loss": self.loss}
        note["curve"] = self.curve
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"state": json.dumps(note)})

    def load(self, path: Path) -> None:
        """Take up a stored state; one of other settings or data is ignored."""
        with safe_open(path, framework="pt") as handle:
            note = json.loads(handle.metadata()["state"])
            if note["key"] != self.key:
                return
            stored = {k: handle.get_tensor(k) for k in handle.keys()}  # noqa: SIM118
        self.step, self.loss, self.curve = note["step"], note["loss"], note["curve"]
        for name, value in self.network.named_parameters():
            value.data.copy_(stored[f"network.{name}"])
            self.average[name] = stored[f"average.{name}"]
            self.best[name] = stored[f"best.{name}"]
            if f"{MOMENTS[0]}.{name}" in stored:
                self.optimiser.state[value] = {
                    "step": torch.tensor(float(self.step)),
                    **{moment: stored[f"{moment}.{name}"] for moment in MOMENTS},
                }


def _pull(network, x: Tensor, create_graph: bool = False) -> Tensor:
    """Forces of a network alone."""
    x = x.detach().requires_grad_()
    energy = network(x).sum()
    return -torch.autograd.grad(energy, x, create_graph=create_graph)[0]
