"""W(z) from densities, and from umbrella windows through MBAR.

The windows are joined by the multistate Bennett acceptance ratio (Shirts & Chodera 2008,
doi:10.1063/1.2978177) with samples rounded to cells: then their counts are additive, one
table of bootstrap weights resamples them together with everything else, and a replicate
costs milliseconds. The bias of a cell is that of its middle, which errs by the square of
the cell: 0.02 kT at most for cells of 0.3 standard deviations of a window and W of 20 kT,
0.002 kT for 0.1. Its mean over the cell would be right for a flat W alone, and tilt
others. Energies are in kT, lengths in one unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from ...core.errors import InputError
from ...core.stats import bootstrap_weights

#: Where no ion goes W is this many kT.
CAP = 30.0
#: Overlap of neighbouring windows below which their free-energy difference is weak
#: (Klimovich, Shirts & Mobley 2015, doi:10.1007/s10822-015-9840-9), and below which they
#: are not connected at all.
WEAK, GAP = 0.03, 1e-4
#: Widest cell, in standard deviations of a window.
WIDEST = 0.5
#: Largest residual of the MBAR equations, as a part of a window's samples.
RESIDUAL = 1e-9


def density_pmf(density: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """W = -ln(rho / rho_ref) in kT, at most `CAP`.

    Parameters
    ----------
    density
        Shape (..., n); any unit.
    reference
        Cells whose mean density has W = 0, shape (n,); the middle fifth when ``None``.

    Raises
    ------
    InputError
        When nobody is in the cells of reference, in any replicate, or densities are no
        numbers.
    """
    n = density.shape[-1]
    if reference is None:
        reference = np.zeros(n, dtype=bool)
        reference[int(0.4 * n) : int(np.ceil(0.6 * n))] = True
    level = density[..., reference].sum(axis=-1, keepdims=True) / max(reference.sum(), 1)
    if not (level > 0).all() or not np.isfinite(density).all():
        raise InputError(
            "density that W refers to",
            wanted="finite densities, above zero in the cells of reference",
            got=f"{level.min():g} there",
            mend="other cells of reference, where particles are in every replicate",
        )
    ratio = density / level
    return -np.log(np.maximum(ratio, np.exp(-CAP)))


@dataclass(frozen=True)
class UmbrellaPMF:
    """W of umbrella windows joined; K windows, n cells.

    Attributes
    ----------
    W
        kT, shape (R + 1, n); replicate 0 is the point estimate.
    free_energy
        Of each window, kT, the first one zero, shape (R + 1, K).
    overlap
        Probability that a sample of window i could be of window j, shape (K, K).
    weak
        Pairs of neighbouring windows whose overlap is below `WEAK`.
    visited
        Cells that were visited, shape (n,); W is `CAP` elsewhere.
    """

    W: np.ndarray
    free_energy: np.ndarray
    overlap: np.ndarray
    weak: list[tuple[int, int]]
    visited: np.ndarray


def harmonic_bias(
    centres: np.ndarray, stiffness: np.ndarray, faces: np.ndarray
) -> np.ndarray:
    """Bias of each window in the middle of each cell: k (z - z0)^2 / 2.

    Parameters
    ----------
    centres
        z0, shape (K,).
    stiffness
        k, kT over length squared, scalar or shape (K,); 0 for a run without bias.
    faces
        Of the cells, shape (n + 1,).

    Returns
    -------
    ndarray, shape (K, n)
        kT.

    Raises
    ------
    InputError
        When a spring is negative, or cells are wider than half of a window's standard
        deviation.
    """
    k = np.broadcast_to(np.asarray(stiffness, dtype=float), np.shape(centres))[:, None]
    faces = np.asarray(faces, dtype=float)
    widest = np.diff(faces).max()
    if not (k >= 0).all() or not widest**2 * k.max() <= WIDEST**2 * (1 + 1e-9):
        raise InputError(
            "springs of umbrella windows",
            wanted=f"k >= 0, cells of at most {WIDEST:g} / sqrt(k)",
            got=f"k from {k.min():g} to {k.max():g}, cells of {widest:g}",
            mend="smaller cells; k in kT over the square of their unit of length",
        )
    return 0.5 * k * (0.5 * (faces[1:] + faces[:-1]) - np.asarray(centres)[:, None]) ** 2


def window_weights(units: Sequence[int], replicates: int, seed: int) -> list[np.ndarray]:
    """Bootstrap weights of each window, drawn independently, shapes (R + 1, U_k)."""
    seeds = np.random.SeedSequence(seed).generate_state(len(units))
    return [
        bootstrap_weights(n, replicates, int(s))
        for n, s in zip(units, seeds, strict=True)
    ]


def umbrella_pmf(
    counts: Sequence[np.ndarray],
    bias: np.ndarray,
    weights: Sequence[np.ndarray],
    inefficiency: np.ndarray | None = None,
    reference: np.ndarray | None = None,
) -> UmbrellaPMF:
    """W from the counts of umbrella windows, for every replicate.

    Parameters
    ----------
    counts
        Of each window, per unit, shape (U_k, n).
    bias
        kT, shape (K, n): see `harmonic_bias`.
    weights
        Of each window, shape (R + 1, U_k): see `window_weights`.
    inefficiency
        Statistical inefficiency of each window, shape (K,): its samples count as that
        many fewer when windows are joined; one each when ``None``.
    reference
        Cells whose mean density has W = 0, shape (n,); all visited ones when ``None``.

    Raises
    ------
    InputError
        When arrays do not fit, a window is empty, or windows leave a gap.
    """
    g = np.ones(len(counts)) if inefficiency is None else np.asarray(inefficiency)
    _check_shapes(counts, bias, weights, g)
    # (R + 1, K, n)
    table = np.stack(
        [w @ c / s for c, w, s in zip(counts, weights, g, strict=True)], axis=1
    )
    if not (table[0].sum(axis=-1) > 0).all():
        empty = np.flatnonzero(table[0].sum(axis=-1) == 0)
        raise InputError(
            "umbrella windows without samples",
            wanted="samples in each",
            got=f"none in {', '.join(map(str, empty))}",
        )
    # Far from all windows the bias is thousands of kT, and nothing is known.
    visited = table[0].sum(axis=0) > 0
    table, bias = table[..., visited], np.asarray(bias)[:, visited]
    f = _free_energies(table[0], bias, np.zeros(len(bias)))
    overlap = _overlap(table[0], bias, f)
    weak = _check_overlap(table[0], bias, overlap)
    free = [f] + [_free_energies(t, bias, f) for t in table[1:]]
    density = np.zeros((len(table), len(visited)))
    density[:, visited] = [_density(t, bias, x) for t, x in zip(table, free, strict=True)]
    W = density_pmf(density, visited if reference is None else reference)
    return UmbrellaPMF(W, np.array(free), overlap, weak, visited)


def _check_shapes(counts, bias, weights, inefficiency) -> None:
    """One of each for each window, all of them numbers."""
    shapes = [np.shape(c)[1:] for c in counts], [np.shape(w)[1:] for w in weights]
    wanted = [np.shape(bias)[1:]] * len(bias), [np.shape(c)[:1] for c in counts]
    fit = shapes == wanted and np.shape(inefficiency) == (len(bias),) and len(bias) > 0
    if not fit or not (inefficiency > 0).all() or np.isnan(bias).any():
        raise InputError(
            "umbrella windows that do not fit together",
            wanted="for each a row of the bias (no NaN), counts (U, n), weights (R + 1, "
            "U) and an inefficiency above zero",
            got=f"bias {np.shape(bias)}, counts {[np.shape(c) for c in counts]}, weights "
            f"{[np.shape(w) for w in weights]}",
        )
    if not all((np.isfinite(c) & (np.asarray(c) >= 0)).all() for c in counts):
        raise InputError("counts of umbrella windows", wanted="numbers >= 0", got="NaN")


def _log_mixture(table: np.ndarray, bias: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Logarithm of sum_j N_j exp(f_j - u_j) in each cell, shape (n,)."""
    number = table.sum(axis=1)
    with np.errstate(divide="ignore"):  # a window that a resample lost has no weight
        return logsumexp(np.log(number)[:, None] + f[:, None] - bias, axis=0)


def _density(table: np.ndarray, bias: np.ndarray, f: np.ndarray) -> np.ndarray:
    log_mixture = _log_mixture(table, bias, f)
    return table.sum(axis=0) * np.exp(log_mixture.min() - log_mixture)


def _free_energies(table: np.ndarray, bias: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Newton's method on the convex objective of MBAR, halving steps that overshoot."""
    number, total = table.sum(axis=1), table.sum(axis=0)

    def objective(f: np.ndarray) -> float:
        return float(total @ _log_mixture(table, bias, f) - number @ f)

    f, value = start.copy(), objective(start)
    for _ in range(200):
        with np.errstate(divide="ignore"):
            log_p = np.log(number)[:, None] + f[:, None] - bias
        p = np.exp(log_p - _log_mixture(table, bias, f))  # window of a sample in a cell
        expected = p @ total
        gradient = expected - number
        if np.abs(gradient).max() <= RESIDUAL * number.sum():
            break
        hessian = np.diag(expected) - (p * total) @ p.T
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-12)[0]
        step = np.clip(step, -20, 20)  # kT: far from the solution the objective is linear
        for _ in range(40):
            trial = objective(f - step)
            if trial <= value + 1e-12 * abs(value):
                break
            step *= 0.5
        f, value = f - step, trial
        f -= f[0]
    return f


def _overlap(table: np.ndarray, bias: np.ndarray, f: np.ndarray) -> np.ndarray:
    number, total = table.sum(axis=1), table.sum(axis=0)
    p = np.exp(np.log(number)[:, None] + f[:, None] - bias - _log_mixture(table, bias, f))
    return (p * total) @ p.T / number[:, None]


def _check_overlap(table, bias, overlap) -> list[tuple[int, int]]:
    """Weak pairs of neighbours in the order of the windows' mean positions."""
    cell = np.arange(table.shape[1])
    order = np.argsort(table @ cell / table.sum(axis=1))
    shared = np.minimum(overlap, overlap.T)
    weak = []
    for left, right in zip(order[:-1], order[1:], strict=True):
        if shared[left, right] < GAP:
            raise InputError(
                f"umbrella windows {left} and {right} do not overlap",
                wanted=f"an overlap of at least {WEAK}",
                got=f"{shared[left, right]:.2g}",
                mend="a window between them, or softer springs",
            )
        if shared[left, right] < WEAK:
            weak.append((int(left), int(right)))
    return weak
