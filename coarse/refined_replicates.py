"""Bootstrap replicates of a refined model, joint with those of its matched forces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..core.errors import InputError
from ..core.stats import bootstrap_weights
from .normal_equations import NormalEquations
from .refinement import Information, refine
from .rounds import energies
from .solving import Fit, penalty
from .terms import Term


def refined_replicates(
    terms: Sequence[Term],
    equations: NormalEquations,
    matched: Fit,
    x: np.ndarray,
    refined: np.ndarray,
    sampled: np.ndarray,
    *,
    independent: float,
    kT: float,
    seed: int,
    weights: np.ndarray | None = None,
    doubt: float = 1.0,
    bias: np.ndarray | float = 0.0,
) -> np.ndarray:
    """What refinement gives for resampled blocks of frames, from the same samples.

    Each replicate has the forces and the configurations of the same blocks, and those
    that `fit` drew with this seed. The noise of the samples themselves is not in them.

    Parameters
    ----------
    terms
        K functions in all.
    equations, matched
        Of the frames; of U blocks, with R replicates.
    x
        Beads of the frames, shape (F, B, 3), nm, in the order that `equations` were made
        in; F is a multiple of U, or what is over is of no block.
    refined
        Coefficients (K,), kJ/mol, that refinement found from all frames.
    sampled
        Basis functions of samples of that model, shape (S, K).
    independent
        As `rounds.information`.
    kT
        kJ/mol.
    seed
        Of the blocks, as in `fit`.
    weights
        Of frames that were drawn with a bias, shape (F,).
    doubt
        By how much refinement took the information of the forces down, see `Refined`.
    bias
        Coefficients (K,) that were added while sampling, as in `refine`.

    Returns
    -------
    ndarray, shape (R + 1, K)
        Replicate 0 is `refined`.

    Raises
    ------
    InputError
        When the samples do not reach a replicate.
    """
    blocks, variance = len(equations.rows), doubt * matched.residual**2
    used = len(x) // blocks * blocks
    v = (np.ones(len(x)) if weights is None else weights)[:used]
    found = v[:, None] * energies(terms, torch.as_tensor(x[:used]))
    sums, whole = (part.reshape(blocks, used // blocks, -1).sum(1) for part in (found, v))
    rough = matched.strength * penalty(equations, terms)
    out, lost = [refined], 0
    for w in bootstrap_weights(blocks, len(matched.coefficients) - 1, seed)[1:]:
        gram = np.tensordot(w, equations.gram, 1) + rough
        mean, moment = w @ sums / (w @ whole), w @ equations.moment
        data = Information(mean, independent, gram / variance, moment / variance)
        one = refine(refined, sampled, data, kT, bias)
        lost += not one.converged
        out.append(one.coefficients)
    if lost:
        raise InputError(
            "samples of the refined model", wanted="enough for each replicate",
            got=f"{lost} of {len(out) - 1} replicates beyond their reach",
            mend="more samples, or more data",
        )  # fmt: skip
    return np.array(out)
