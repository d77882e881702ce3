"""Coefficients from normal equations: roughness by held-out blocks, bootstrap bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, cho_factor, cho_solve

from ..core.errors import InputError
from ..core.stats import bootstrap_weights
from .bases import visited
from .normal_equations import NormalEquations
from .tables import Range
from .terms import Term

#: Strengths of the roughness penalty that are tried.
STRENGTHS = tuple(10.0**k for k in range(-9, 2))
#: Parts of the blocks, each held out once.
FOLDS = 5
#: Ridge over the diagonal, and how often it is taken back: what forces tell better than
#: to 1e-12 comes out as without it, what they do not tell at all stays zero.
RIDGE, ROUNDS = 1e-12, 3


@dataclass(frozen=True, eq=False)
class Fit:
    """Coefficients with bootstrap replicates, and how well they match.

    Attributes
    ----------
    coefficients
        Shape (R + 1, n), kJ/mol; replicate 0 is of all blocks.
    strength
        Of the roughness penalty, without unit.
    residual
        Root mean square of the force that is left, kJ/mol/nm.
    held_out
        The same in blocks that the coefficients do not know.
    explained
        Part of the mean square force that the model explains where it was held out.
    n_units
        Blocks that were resampled.
    ranges
        See `seen_ranges`.
    """

    coefficients: np.ndarray
    strength: float
    residual: float
    held_out: float
    explained: float
    n_units: int
    ranges: Mapping[str, Range]


def penalty(equations: NormalEquations, terms: Sequence[Term]) -> np.ndarray:
    """Roughness (n, n), of each term as large as its part of the equations."""
    gram, parts = equations.gram.sum(0), []
    for term in terms:
        own, rough = equations.columns(term.name), term.roughness().numpy()
        parts.append(rough * (np.trace(gram[own, own]) / (np.trace(rough) or 1)))
    return block_diag(*parts)


def seen_ranges(
    terms: Sequence[Term], seen: Mapping[str, np.ndarray]
) -> dict[str, Range]:
    """Where coordinates were visited often enough, by the name that a force has.

    Parameters
    ----------
    terms
        Of a model.
    seen
        What their `design` counted, as `NormalEquations` has it.

    Returns
    -------
    dict
        Of terms that count, ends as `bases.visited` gives them; such as ``"bond"``, or
        ``"pairs Na-Cl"`` where a term has a function of each pair of species. What was
        hardly visited at all is left out.
    """
    found: dict[str, list[float]] = {}
    for term in (term for term in terms if term.name in seen):
        pairs = getattr(term, "pairs", None)
        names = [f"{term.name} {pair}" for pair in pairs] if pairs else [term.name]
        ends = visited(seen[term.name], term.basis.span)  # type: ignore[attr-defined]
        found.update(zip(names, ends.tolist(), strict=True))
    return {name: (low, high) for name, (low, high) in found.items() if low < high}


def solve(
    equations: NormalEquations, rough: np.ndarray, strength: float, weights: np.ndarray
) -> np.ndarray:
    """Coefficients for each row of weights of blocks.

    Parameters
    ----------
    equations
        With U blocks and n coefficients.
    rough
        See `penalty`.
    strength
        Of the penalty; zero for least squares.
    weights
        Shape (R, U).

    Returns
    -------
    ndarray, shape (R, n)
        Iterated Tikhonov solutions of the equations scaled to a diagonal of one.
    """
    total = weights.sum(1) / len(equations.rows)
    out = []
    for weight, share in zip(weights, total, strict=True):
        gram = np.tensordot(weight, equations.gram, 1) + strength * share * rough
        scale = np.sqrt(np.diag(gram))
        scale = 1 / np.where(scale > 0, scale, 1)
        gram, moment = gram * np.outer(scale, scale), scale * (weight @ equations.moment)
        factor = cho_factor(gram + RIDGE * np.eye(len(gram)))
        found = np.zeros(len(gram))
        for _ in range(ROUNDS):
            found += cho_solve(factor, moment - gram @ found)
        out.append(scale * found)
    return np.array(out)


def held_out(
    equations: NormalEquations, rough: np.ndarray, strength: float, folds: int = FOLDS
) -> float:
    """Root mean square force left in blocks that were left out, kJ/mol/nm."""
    blocks = len(equations.rows)
    # Neighbouring blocks are alike, so that each part is one stretch.
    part = np.arange(blocks) * min(folds, blocks) // blocks
    out = part == np.unique(part)[:, None]
    found = solve(equations, rough, strength, (~out).astype(float))
    rows = out @ equations.rows
    each = [equations.mean_square(c, w.astype(float)) for c, w in zip(found, out,
            strict=True)]  # fmt: skip
    return float(np.sqrt(rows @ each / rows.sum()))


def fit(
    equations: NormalEquations,
    terms: Sequence[Term],
    replicates: int,
    seed: int,
    *,
    strength: float | None = None,
) -> Fit:
    """Match forces.

    Parameters
    ----------
    equations
        Of at least two blocks.
    terms
        Those of the equations.
    replicates
        Bootstrap resamples of blocks, R.
    seed
        Of the resampling.
    strength
        Of the roughness penalty; by default the one of `STRENGTHS` that leaves least in
        held-out blocks.

    Raises
    ------
    InputError
        When there is one block only, the terms are others, all forces are zero, or
        `replicates`, `seed` or `strength` is below zero.
    """
    blocks = len(equations.rows)
    if replicates < 0 or seed < 0 or (strength is not None and not strength >= 0):
        raise InputError(
            "a fit", wanted="replicates, a seed and a strength of zero or more",
            got=f"replicates {replicates}, seed {seed}, strength {strength}",
        )  # fmt: skip
    if not equations.square.sum() > 0:
        raise InputError("forces of a fit", wanted="forces", got="only zeros",
                         mend="a trajectory that holds forces")  # fmt: skip
    if blocks < 2:
        raise InputError(
            "blocks of force matching", wanted="two at least", got=str(blocks)
        )
    if equations.terms != tuple((term.name, term.size) for term in terms):
        raise InputError("terms of a fit", wanted=str(equations.terms),
                         got=str([(term.name, term.size) for term in terms]))  # fmt: skip
    rough = penalty(equations, terms)
    tried = STRENGTHS if strength is None else (strength,)
    left = [held_out(equations, rough, s) for s in tried]
    best = int(np.argmin(left))
    weights = bootstrap_weights(blocks, replicates, seed)
    found = solve(equations, rough, tried[best], weights)
    whole = equations.square.sum() / equations.rows.sum()
    return Fit(
        found, tried[best], float(np.sqrt(equations.mean_square(found[0]))), left[best],
        1 - left[best] ** 2 / whole, blocks, seen_ranges(terms, equations.seen),
    )  # fmt: skip
