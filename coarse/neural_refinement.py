"""Networks refined to the configurations of frames and to their forces together.

The likelihood is that of `refinement`: the relative entropy of a model (Shell 2008,
doi:10.1063/1.2992060) over its samples, reweighted while it moves, and forces with
Gaussian noise. Gradients come from autograd, steps from Adam.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import InputError
from .neural import NeuralModel

#: Part of the samples that reweighting must leave.
LEAST = 0.5


@dataclass(frozen=True)
class NeuralRefined:
    """A model nearer to the data.

    Attributes
    ----------
    model
        With refined networks; the prior stays.
    n_eff
        Part of the samples that is left after reweighting to it.
    steps
        How many were taken; fewer than asked for where samples reach no further and new
        ones are to be drawn.
    entropy
        Change of the relative entropy, nats of one frame, as the samples tell.
    """

    model: NeuralModel
    n_eff: float
    steps: int
    entropy: float


def refine_neural(
    model: NeuralModel,
    sampled: Tensor,
    frames: Tensor,
    kT: float,
    *,
    forces: tuple[Tensor, float] | None = None,
    independent: float | None = None,
    steps: int = 20,
    learning_rate: float = 1e-3,
) -> NeuralRefined:
    """Adam steps of the joint likelihood on samples of a model, while they reach.

    Parameters
    ----------
    model
        Whose networks are refined, all together: samples are of their mean.
    sampled, frames
        Configurations of the model (S, B, 3) and of the data (F, B, 3), nm.
    kT
        kJ/mol.
    forces
        Of `frames` (F, B, 3), kJ/mol/nm, and the standard deviation of their noise.
    independent
        Number of frames that are independent of each other; by default all.
    steps
        At most.
    learning_rate
        Of Adam.

    Raises
    ------
    InputError
        When there are no frames or samples.
    """
    if not len(sampled) or not len(frames):
        raise InputError(
            "refinement without configurations", wanted="samples and frames",
            got=f"{len(sampled)} and {len(frames)}",
        )  # fmt: skip
    networks = nn.ModuleList(copy.deepcopy(model.networks(frames.dtype)))
    optimiser = torch.optim.Adam(networks.requires_grad_().parameters(), learning_rate)
    entropy = _RelativeEntropy(model, sampled, frames, kT)
    each = len(frames) / (independent or len(frames))
    left = forces and (forces[0] - model.prior.forces(frames)) / forces[1]
    found = NeuralRefined(model, 1.0, 0, 0.0)
    for step in range(steps + 1):
        change, n_eff = entropy(networks)
        if not n_eff >= LEAST:  # nor where it is NaN
            break
        found = replace(found, n_eff=n_eff, steps=step, entropy=float(change.detach()))
        weights = [_weights(network) for network in networks]
        if step < steps:
            optimiser.zero_grad()
            (change + each * _misfit(networks, frames, left, forces)).backward()
            optimiser.step()
    return replace(found, model=replace(model, members=tuple(weights)))


class _RelativeEntropy:
    """Its change from that of a model, nats, and what reweighting leaves of samples."""

    def __init__(self, model: NeuralModel, sampled: Tensor, frames: Tensor, kT: float):
        self.sampled, self.frames, self.kT = sampled, frames, kT
        self.first = model.correction(sampled), model.correction(frames)

    def __call__(self, networks: nn.ModuleList) -> tuple[Tensor, float]:
        own, data = (
            (_mean(networks, x) - first) / self.kT
            for x, first in zip((self.sampled, self.frames), self.first, strict=True)
        )
        normal = torch.logsumexp(-own, 0)
        left = torch.exp(2 * normal - torch.logsumexp(-2 * own, 0)) / len(own)
        return data.mean() + normal - math.log(len(own)), float(left.detach())


def _misfit(networks, frames: Tensor, left: Tensor | None, forces) -> Tensor | float:
    """Minus the log likelihood of forces, of one frame."""
    if left is None:
        return 0.0
    x = frames.detach().requires_grad_()
    energy = _mean(networks, x).sum()
    (slope,) = torch.autograd.grad(energy, x, create_graph=True)
    return 0.5 * (left + slope / forces[1]).square().sum() / len(x)


def _mean(networks: nn.ModuleList, x: Tensor) -> Tensor:
    return torch.stack([network(x) for network in networks]).mean(0)


def _weights(network: nn.Module) -> dict[str, np.ndarray]:
    return {k: v.detach().float().numpy().copy() for k, v in network.named_parameters()}
