"""From matched forces to a refined model: sampling and refinement in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError
from .langevin import GAS_CONSTANT, Langevin
from .linear_forces import LinearForces
from .normal_equations import NormalEquations
from .recording import run
from .refinement import Information, Refined, refine
from .solving import Fit, penalty
from .terms import Term

Progress = Callable[[float, float, str], None]

#: Samples of a model whose functions are evaluated at once.
AT_ONCE = 4096
#: Part of the samples that must count when a model is taken for the last one.
SETTLED = 0.9


@dataclass(frozen=True)
class Sampling:
    """How a model is sampled.

    Attributes
    ----------
    temperature
        K.
    step, friction
        ps, 1/ps.
    settle
        Steps before the first frame.
    frames, every
        Frames of each replica, and steps between them.
    seed
        Of the noise; each round draws its own.
    """

    temperature: float
    step: float = 0.002
    friction: float = 5.0
    settle: int = 4000
    frames: int = 100
    every: int = 100
    seed: int = 0


def energies(terms: Sequence[Term], x: Tensor) -> np.ndarray:
    """Basis functions of all terms, shape (F, K), of frames (F, B, 3)."""
    parts = [
        torch.cat([term.energies(some, None) for term in terms], -1)
        for some in x.double().split(AT_ONCE)
    ]
    return torch.cat(parts).numpy()


def information(
    terms: Sequence[Term],
    equations: NormalEquations,
    matched: Fit,
    x: np.ndarray | Tensor,
    independent: float,
) -> Information:
    """What frames say of a model by their configurations and by their forces.

    Parameters
    ----------
    equations, matched
        Of these frames.
    x
        Their beads, shape (F, B, 3), nm.
    independent
        How many of the frames are independent in their configurations. Their forces are
        taken for independent.
    """
    variance = matched.residual**2
    gram = equations.gram.sum(0) + matched.strength * penalty(equations, terms)
    mean = energies(terms, torch.as_tensor(x)).mean(0)
    moment = equations.moment.sum(0)
    return Information(mean, independent, gram / variance, moment / variance)


def sample(
    terms: Sequence[Term],
    coefficients: np.ndarray,
    start: Tensor,
    masses: Tensor,
    how: Sampling,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Tensor, Tensor]:
    """Frames of replicas of a linear model.

    Parameters
    ----------
    start
        Shape (R, B, 3), nm.
    masses
        Shape (B,), Da.
    ranges
        As `LinearForces`.

    Returns
    -------
    frames : Tensor
        Shape (frames, R, B, 3).
    last : Tensor
        Shape (R, B, 3).
    """
    parts = torch.as_tensor(coefficients).split([term.size for term in terms])
    forces = LinearForces(terms, parts, start.shape[1], ranges=ranges)
    engine = Langevin(
        forces, (start - start.mean(1, keepdim=True)).float(), masses,
        temperature=how.temperature, friction=how.friction, step=how.step, seed=how.seed,
    )  # fmt: skip
    engine.advance(how.settle)
    found = torch.empty(how.frames, *start.shape)

    def keep(k: int, x: Tensor) -> None:
        found[k] = x

    run(engine, how.frames, how.every, keep)
    return found, engine.x.clone()


def refine_in_rounds(
    terms: Sequence[Term],
    coefficients: np.ndarray,
    data: Information,
    start: Tensor,
    masses: Tensor,
    how: Sampling,
    *,
    most: int = 10,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, list[Refined]]:
    """Sample, refine as far as the samples reach, and again.

    Parameters
    ----------
    coefficients
        Of matched forces, shape (K,).
    data
        What the model is refined to.
    start, masses, how, ranges
        As `sample`.
    most
        Rounds.
    progress
        Called with (round, rounds, text).

    Returns
    -------
    coefficients : ndarray
        Shape (K,).
    history : list of Refined
        One for each round.

    Raises
    ------
    InputError
        When the rounds do not suffice.
    """
    history: list[Refined] = []
    for k in range(most):
        own = replace(how, seed=how.seed + k)
        frames, start = sample(terms, coefficients, start, masses, own, ranges=ranges)
        found = energies(terms, frames.flatten(0, 1))
        kT = GAS_CONSTANT * how.temperature
        history.append(refine(coefficients, found, data, kT))
        coefficients = history[-1].coefficients
        if progress is not None:
            text = f"misfit {history[-1].misfit:.1f}, {history[-1].n_eff:.2f} of samples"
            progress(k + 1, most, text)
        if history[-1].converged and history[-1].n_eff > SETTLED:
            return coefficients, history
    raise InputError(
        f"refinement after {most} rounds", wanted="a model that no longer changes",
        got=f"{history[-1].n_eff:.2f} of the samples, misfit {history[-1].misfit:.1f}",
        mend="more rounds, or longer sampling",
    )  # fmt: skip
