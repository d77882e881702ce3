"""Bootstrap weights and intervals, the same for every scale.

Replicate 0 is always the point estimate; replicates 1..R are bootstrap resamples that
share one table of weights, so that correlations between quantities survive.
"""

from __future__ import annotations

import numpy as np


def bootstrap_weights(n_units: int, n_replicates: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in each replicate.

    Parameters
    ----------
    n_units
        Number of exchangeable units (blocks, or particle x block pairs).
    n_replicates
        Number of bootstrap replicates R.
    seed
        Seed of the draw.

    Returns
    -------
    ndarray, shape (R + 1, n_units)
        Row 0 is all ones (the point estimate), every row sums to `n_units`.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_units, np.full(n_units, 1.0 / n_units), size=n_replicates)
    return np.vstack([np.ones((1, n_units)), drawn.astype(float)])


def half_width95(replicates: np.ndarray, n_units: int | None = None) -> np.ndarray:
    """Half of the 95 % interval of quantities from their replicates.

    Student's t quantile times the standard deviation of the bootstrap replicates. With
    few units the bootstrap deviation is too small by sqrt((n - 1) / n), which is
    corrected (Davison & Hinkley 1997, doi:10.1017/CBO9780511802843, ch. 2).

    Parameters
    ----------
    replicates
        Shape (R + 1, ...), replicate 0 first.
    n_units
        Number of units that were resampled; ``None`` for many.

    Returns
    -------
    ndarray, shape (...)
    """
    from scipy.stats import t

    factor = 1.96
    if n_units is not None and n_units > 1:
        factor = float(t.ppf(0.975, n_units - 1)) * np.sqrt(n_units / (n_units - 1))
    return factor * np.std(np.asarray(replicates, dtype=float)[1:], axis=0, ddof=1)


def interval95(replicates: np.ndarray, n_units: int | None = None) -> tuple[float, float]:
    """95 % interval of one quantity: replicate 0 plus and minus `half_width95`."""
    value, half = float(np.asarray(replicates)[0]), half_width95(replicates, n_units)
    return value - float(half), value + float(half)


def estimate(replicates: np.ndarray, n_units: int | None = None) -> dict:
    """``{"value", "ci95"}`` of a quantity, as reports and summaries carry it."""
    return {
        "value": float(np.asarray(replicates)[0]),
        "ci95": list(interval95(replicates, n_units)),
    }
