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
from .refinement import Information, Refined, disagreement, refine, reweighted
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
    bias
        Coefficients (K,) that are added while sampling, kJ/mol, such as those of a map
        that flattens barriers; `weights` take them off.
    """

    temperature: float
    step: float = 0.002
    friction: float = 5.0
    settle: int = 4000
    frames: int = 100
    every: int = 100
    seed: int = 0
    bias: np.ndarray | None = None

    @property
    def kT(self) -> float:
        """kJ/mol."""
        return GAS_CONSTANT * self.temperature

    def weights(self, sampled: np.ndarray) -> np.ndarray:
        """Of samples with basis functions (S, K) in the model without the bias."""
        off = np.zeros(sampled.shape[1]) if self.bias is None else -self.bias
        return reweighted(sampled, off, self.kT)


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
    weights: np.ndarray | None = None,
) -> Information:
    """What frames say of a model by their configurations and by their forces.

    Frames that were drawn with a bias count with weights, such as those of MBAR, in their
    configurations. Their forces need none if the bias is a function of the beads and its
    force was taken off: at fixed beads atoms are then distributed as without it.

    Parameters
    ----------
    equations, matched
        Of these frames.
    x
        Their beads, shape (F, B, 3), nm.
    independent
        How many of the frames are independent in their configurations. Their forces are
        taken for independent.
    weights
        Of the frames, shape (F,); equal ones where absent.
    """
    variance = matched.residual**2
    gram = equations.gram.sum(0) + matched.strength * penalty(equations, terms)
    mean = np.average(energies(terms, torch.as_tensor(x)), 0, weights)
    moment = equations.moment.sum(0)
    return Information(mean, independent, gram / variance, moment / variance)


def independent_frames(
    values: np.ndarray, block: int, weights: np.ndarray | None = None
) -> float:
    """How many independent unbiased frames would tell the means of functions as well.

    The variance of each function over that of its mean, which blocks tell; the median.

    Parameters
    ----------
    values
        Of K functions in frames in the order of time, shape (F, K).
    block
        Frames that depend on each other.
    weights
        Of the frames, shape (F,).
    """
    n = len(values) // block if block > 0 else 0
    if n < 2:
        raise InputError("frames to tell independent ones from", wanted="two blocks",
                         got=f"{len(values)} frames, blocks of {block}")  # fmt: skip
    values = values[: n * block]
    w = np.ones(len(values)) if weights is None else weights[: n * block]
    w = w / w.sum()
    off = values - w @ values
    parts = (w[:, None] * off).reshape(n, block, -1).sum(1)
    error = (parts**2).sum(0) * n / (n - 1)
    spread = w @ off**2
    return float(np.median(spread[error > 0] / error[error > 0]))


def sample(
    terms: Sequence[Term],
    coefficients: np.ndarray,
    start: Tensor,
    masses: Tensor,
    how: Sampling,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]:
    """Frames of replicas of a linear model, with the bias of `how`.

    Parameters
    ----------
    start
        Shape (R, B, 3), nm.
    masses
        Shape (B,), Da.
    ranges
        As `LinearForces`.
    progress
        Called with (frames, frames in all, text).

    Returns
    -------
    frames : Tensor
        Shape (frames, R, B, 3).
    last : Tensor
        Shape (R, B, 3).

    Raises
    ------
    InputError
        When coefficients or the bias are not of these terms; see `Langevin` and `run`.
    """
    start = torch.as_tensor(start)
    size = sum(term.size for term in terms)
    for name, given in (("coefficients", coefficients), ("a bias", how.bias)):
        if given is not None and np.shape(given) != (size,):
            raise InputError(f"{name} to sample with", wanted=f"shape ({size},), of all "
                             "terms", got=str(np.shape(given)))  # fmt: skip
    biased = coefficients if how.bias is None else coefficients + how.bias
    parts = torch.as_tensor(biased).split([term.size for term in terms])
    forces = LinearForces(terms, parts, start.shape[1], ranges=ranges)
    engine = Langevin(
        forces, (start - start.mean(1, keepdim=True)).float(), masses,
        temperature=how.temperature, friction=how.friction, step=how.step, seed=how.seed,
    )  # fmt: skip
    engine.advance(how.settle)
    found = torch.empty(how.frames, *start.shape)

    def keep(k: int, x: Tensor) -> None:
        found[k] = x

    run(engine, how.frames, how.every, keep, progress)
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
    doubtful: bool = False,
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
    doubtful
        Whether forces count less where the terms cannot describe both them and the
        configurations, as `disagreement` of the first round says: populations are then
        those of the frames. Samples must be in equilibrium from the start, as they are
        with a bias that leaves no barrier.
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
    if most < 1:
        raise InputError("rounds of refinement", wanted="one or more", got=str(most))
    history: list[Refined] = []
    bias, doubt = 0.0 if how.bias is None else how.bias, 1.0
    for k in range(most):
        own = replace(how, seed=how.seed + k)
        frames, start = sample(terms, coefficients, start, masses, own, ranges=ranges)
        found = energies(terms, frames.flatten(0, 1))
        if doubtful and k == 0:
            doubt = max(1.0, disagreement(coefficients, found, data, how.kT, bias))
            gram, moment = data.gram / doubt, data.moment / doubt
            data = replace(data, gram=gram, moment=moment)
        refined = refine(coefficients, found, data, how.kT, bias)
        history.append(replace(refined, doubt=doubt))
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
