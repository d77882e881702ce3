"""Coefficients from the configurations of frames and from their forces together.

The relative entropy of a model (Shell 2008, doi:10.1063/1.2992060) is minus the mean log
likelihood of the frames' configurations; the force residual is that of their forces, with
Gaussian noise. Both add up, each with the weight of its information: forces say much of
stiff and local parts, configurations of populations across barriers. Samples of a model
are used, reweighted, for models near it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

#: Samples that reweighting must leave, and Newton steps at most.
LEAST, STEPS = 0.5, 30
#: Largest change, in standard errors, that counts as none.
STILL = 1e-3
#: Of chi squared with one degree of freedom.
MEDIAN = 0.4549
#: Added to the diagonal of a curvature scaled to ones.
RIDGE = 1e-9


@dataclass(frozen=True)
class Information:
    """What data say of K coefficients c: configurations and forces.

    Attributes
    ----------
    mean
        Of the basis functions over the frames, shape (K,).
    frames
        Number of frames that are independent of each other.
    gram, moment
        Normal equations of the forces (K, K) and (K,) over the variance of their noise,
        regularisation included; (kJ/mol)^-2 and (kJ/mol)^-1.
    """

    mean: np.ndarray
    frames: float
    gram: np.ndarray
    moment: np.ndarray


@dataclass(frozen=True)
class Refined:
    """A model nearer to the data.

    Attributes
    ----------
    coefficients
        Shape (K,), kJ/mol.
    n_eff
        Part of the samples that is left after reweighting to it, of those that counted
        before.
    converged
        Whether it is the best one; otherwise it is as far as these samples reach, and new
        ones are to be drawn.
    misfit
        Largest difference of mean basis functions from those of the frames, in standard
        errors of the latter, where the refinement began.
    doubt
        By how much the information of the forces was taken down: see `disagreement`.
    """

    coefficients: np.ndarray
    n_eff: float
    converged: bool
    misfit: float
    doubt: float = 1.0


def refine(
    coefficients: np.ndarray,
    sampled: np.ndarray,
    data: Information,
    kT: float,
    bias: np.ndarray | float = 0.0,
) -> Refined:
    """Newton steps of the joint likelihood on samples of a model, while they reach.

    Parameters
    ----------
    coefficients
        Of the model, shape (K,), kJ/mol.
    sampled
        Basis functions of its samples, shape (S, K).
    data
        What it is refined to.
    kT
        kJ/mol.
    bias
        Coefficients (K,) that were added while sampling: weights take them off.
    """
    now, drawn = coefficients, coefficients + bias
    weights = reweighted(sampled, now - drawn, kT)
    whole, misfit, converged = _left(weights), _misfit(sampled, weights, data), False
    for _ in range(STEPS):
        mean = weights @ sampled
        off = sampled - mean
        curve = data.frames / kT**2 * (off.T * weights) @ off + data.gram
        slope = data.frames / kT * (data.mean - mean) + data.gram @ now - data.moment
        step = -_solve(curve, slope)
        length, weights = _reach(drawn, now, step, sampled, kT, LEAST * whole)
        now = now + length * step
        converged = bool(step @ curve @ step < STILL**2 * len(now))
        if length < 1 or converged:
            break
    return Refined(now, _left(weights) / whole, converged, misfit)


def disagreement(
    coefficients: np.ndarray,
    sampled: np.ndarray,
    data: Information,
    kT: float,
    bias: np.ndarray | float = 0.0,
) -> float:
    """By how much configurations and forces differ over what their errors allow.

    Chi squared of the two estimates of coefficients over its degrees of freedom, Birge's
    ratio: about one where the model can be right, more where its terms cannot describe
    both. Errors of forces are then those of the model, not their noise. It is taken from
    the median of independent combinations: some are of where the model hardly goes.

    Parameters
    ----------
    coefficients, sampled, kT, bias
        As `refine`, of the model that was matched to the forces.
    data
        Of configurations and forces.
    """
    weights = reweighted(sampled, -np.broadcast_to(bias, coefficients.shape), kT)
    mean = weights @ sampled
    off = sampled - mean
    curve = data.frames / kT**2 * (off.T * weights) @ off
    scale = np.sqrt(np.diag(curve))
    seen = scale > 0
    curve = (curve / np.outer(scale, scale).clip(1e-300))[np.ix_(seen, seen)]
    gram = (data.gram / np.outer(scale, scale).clip(1e-300))[np.ix_(seen, seen)]
    slope = (data.frames / kT * (data.mean - mean))[seen] / scale[seen]
    # Of these the covariance is H + H G^-1 H, H and G being the two informations.
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    spread = curve + curve @ np.linalg.solve(gram + ridge, curve)
    values, vectors = np.linalg.eigh(spread)
    known = values > RIDGE * values[-1]
    each = (slope @ vectors[:, known]) ** 2 / values[known]
    return float(np.median(each) / MEDIAN)


def _misfit(sampled: np.ndarray, weights: np.ndarray, data: Information) -> float:
    mean = weights @ sampled
    error = np.sqrt(weights @ (sampled - mean) ** 2 / data.frames)
    seen = error > 0
    gap = np.abs(mean - data.mean)[seen] / error[seen]
    return float(gap.max(initial=0.0))


def _reach(drawn, now, step, sampled, kT, least) -> tuple[float, np.ndarray]:
    """How far of a step samples reach, and their weights there."""
    length = 1.0
    while True:
        weights = reweighted(sampled, now + length * step - drawn, kT)
        if _left(weights) >= least or length < 1e-3:
            return length, weights
        length *= 0.7


def reweighted(sampled: np.ndarray, change: np.ndarray, kT: float) -> np.ndarray:
    """Weights (S,) of samples for a model whose coefficients differ by `change`."""
    exponent = -(sampled @ change) / kT
    weights = np.exp(exponent - exponent.max())
    return weights / weights.sum()


def _left(weights: np.ndarray) -> float:
    return float(1 / (weights @ weights) / len(weights))


def _solve(curve: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Newton step; directions that nothing is known of stay."""
    scale = np.sqrt(np.diag(curve))
    scale[scale == 0] = 1.0
    scaled = curve / np.outer(scale, scale)
    scaled[np.diag_indices_from(scaled)] += RIDGE
    factor = scipy.linalg.cho_factor(scaled)
    return scipy.linalg.cho_solve(factor, slope / scale) / scale
