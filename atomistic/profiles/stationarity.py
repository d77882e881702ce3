"""Is the run in a steady state, and molten throughout? Checks on its own blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy.stats import t as student

from .extract import summed
from .settings import Geometry, Resolution
from .sums import Plan, Sums

#: Cells for comparing halves, nm: wide enough for block means to be normal.
COARSE = 0.15
#: Largest root mean square of the difference of halves in units of its error.
MAX_DRIFT = 2.0
#: Largest difference of the mean energy of halves in units of its error.
MAX_ENERGY_DRIFT = 5.0
#: Largest correlation rho of neighbouring blocks. Errors of means are too small by
#: sqrt(1 + 2 rho) (only neighbours) to sqrt((1 + rho) / (1 - rho)) (first-order): at 0.25
#: by 22 to 29 %. From n blocks rho itself is known to about 0.3 / sqrt(n).
MAX_BLOCK_CORRELATION, DOUBT = 0.25, 0.3
#: Smallest ratio of mobilities of the two halves of the slab, and one that must be told
#: from it: a frozen half gave 0.5 to 0.64.
MIN_MOBILITY_RATIO, FROZEN_RATIO = 0.8, 0.5


def stationarity(
    frames: Sequence[xr.Dataset], geometry: Geometry, settings: Resolution
) -> dict:
    """Compare halves of the run, and halves of the slab.

    Parameters
    ----------
    frames
        ``frames/1`` of each replica.
    geometry, settings
        As for `extract_profiles`.

    Returns
    -------
    dict
        ``ok`` (no check failed), ``verdict`` (a sentence) and ``checks``: name, value,
        limit, ok; value and ok are ``None`` where the run is too short to judge.
    """
    sums, plan, case, blocks = summed(frames, geometry, settings)
    energy = _check("energy, first and second half of the run",
                    _energy_drift(frames, blocks, plan.block), "<=",
                    MAX_ENERGY_DRIFT)  # fmt: skip
    return _judged([energy, *_checks(sums, plan, case.names, blocks)])


def steadiness(sums: Sums, plan: Plan, names: Sequence[str], groups: int = 1) -> dict:
    """`stationarity` of what one pass over a trajectory summed, without energies.

    Parameters
    ----------
    sums, plan
        What was summed; units follow each other in time, or are groups of particles.
    names
        Of the species.
    groups
        Of particles that are units; one where blocks of time are.
    """
    return _judged(_checks(sums, plan, names, [len(sums.frames)], groups))


def _checks(sums, plan, names, blocks: Sequence[int], groups: int = 1) -> list[dict]:
    """Density and mobility, of replicas with so many blocks."""
    if groups > 1:
        drift, correlation = _drift_of_groups(_coarse(sums.apart[:, :, :-1], plan)), None
    else:
        counts = _coarse(sums.counts, plan) / sums.frames[:, None, None]
        series = np.split(counts, np.cumsum(blocks)[:-1])
        drift, correlation = drift_of(series), correlation_of(series)
    checks = [_check("density, first and second half of the run", drift, "<=", MAX_DRIFT)]
    if groups == 1:
        text = "density, correlation of neighbouring blocks"
        limit = MAX_BLOCK_CORRELATION + DOUBT / sum(blocks) ** 0.5
        checks.append(_check(text, correlation, "<=", limit))
    for s, name in enumerate(names):
        text = f"mobility of {name}, slower half of the cell over the faster"
        ratio = _mobility_ratio(sums, plan, s)
        checks.append(_check(text, ratio, ">=", MIN_MOBILITY_RATIO))
    return checks


def _coarse(counts: np.ndarray, plan: Plan) -> np.ndarray:
    """Counts in wide cells, shape (..., c)."""
    merge = max(1, round(COARSE / (plan.extent / plan.n)))
    n = plan.n // merge * merge
    return counts[..., :n].reshape(*counts.shape[:-1], -1, merge).sum(axis=-1)


def _judged(checks: list[dict]) -> dict:
    """Verdict on checks."""
    failed = [c["name"] for c in checks if c["ok"] is False]
    unjudged = [c["name"] for c in checks if c["ok"] is None]
    verdict = "steady and mobile throughout, by every check that could be made"
    if failed:
        verdict = "NOT steady: " + "; ".join(failed)
    if unjudged:
        verdict += " (too short to judge: " + "; ".join(unjudged) + ")"
    return {"ok": not failed, "verdict": verdict, "checks": checks}


def _check(name: str, value: float | None, op: str, limit: float) -> dict:
    """One check; without a value it is neither passed nor failed."""
    found = {"name": name, "value": value, "op": op, "limit": limit, "ok": None}
    if value is not None:
        ok = value <= limit if op == "<=" else value >= limit
        found.update(value=float(value), ok=bool(ok))
    return found


def drift_of(series: Sequence[np.ndarray]) -> float | None:
    """Difference of the mean densities of halves in units of its error; None: too short.

    Parameters
    ----------
    series
        Mean counts in the blocks of each replica in their order, shape (B, S, c).
    """
    halves = (
        np.concatenate([one[: len(one) // 2] for one in series]),
        np.concatenate([one[len(one) // 2 :] for one in series]),
    )
    if min(map(len, halves)) < 2:
        return None  # no error to compare with
    variance = sum(half.var(axis=0, ddof=1) / len(half) for half in halves)
    return _pooled(halves[1].mean(axis=0) - halves[0].mean(axis=0), variance,
                   np.concatenate(series).mean(axis=0))  # fmt: skip


def _drift_of_groups(counts: np.ndarray) -> float | None:
    """The same of independent groups, shape (B, G, S, c), which remember their past."""
    half = len(counts) // 2
    off = counts[half : 2 * half].sum(axis=0) - counts[:half].sum(axis=0)
    variance = off.var(axis=0, ddof=1) / len(off)
    return _pooled(off.mean(axis=0), variance, counts.mean(axis=(0, 1)))


def _pooled(difference, variance, mean) -> float | None:
    """Root mean square over its error, where each cell counts by variance over mean."""
    scale = np.divide(1.0, mean, out=np.zeros_like(mean), where=mean > 0)
    expected = (variance * scale).sum()
    return float(np.sqrt((difference**2 * scale).sum() / expected)) if expected else None


def correlation_of(series: Sequence[np.ndarray]) -> float | None:
    """Correlation of the density in neighbouring blocks, mean over cells and species.

    Parameters
    ----------
    series
        Counts of the blocks of each replica in their order, shape (B, S, c).
    """
    product = square = 0.0
    for counts in series:
        if len(counts) < 4:
            return None  # too few to tell
        deviation = counts - counts.mean(axis=0)
        product += (deviation[1:] * deviation[:-1]).sum() / (len(counts) - 1)
        square += (deviation**2).sum() / len(counts)
        # Taking the mean off makes independent blocks look anti-correlated by 1/n.
        product += (deviation**2).sum() / len(counts) ** 2
    return float(product / square) if square else None


def _energy_drift(frames, blocks: Sequence[int], block: int) -> float | None:
    halves: tuple[list, list] = ([], [])
    for ds, n in zip(frames, blocks, strict=True):
        if "energy" not in ds:
            return None
        means = ds["energy"].values[: n * block].reshape(n, block).mean(axis=1)
        halves[0].append(means[: n // 2])
        halves[1].append(means[n // 2 :])
    a, b = (np.concatenate(half) for half in halves)
    if min(len(a), len(b)) < 2:
        return None
    error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return float(abs(a.mean() - b.mean()) / error)


def _mobility_ratio(sums: Sums, plan: Plan, s: int) -> float | None:
    """Slower over faster half of the cell, the most that it may be (99 %).

    None where the run could not tell a half that is frozen.
    """
    middle = 0.5 * plan.extent
    sides = plan.windows[:, 1] <= middle, plan.windows[:, 0] >= middle
    grown = np.array([sums.growth[:, s, side].sum(axis=1) for side in sides])
    spent = np.array([sums.spent[:, s, side].sum(axis=(1, 2)) for side in sides])
    n = grown.shape[1]
    if n < 2 or not (spent.sum(axis=1) > 0).all() or not grown.sum() > 0:
        return None
    # The last without none of the units, the others without one (jackknife).
    grown, spent = (
        one.sum(axis=1, keepdims=True) - np.append(one, np.zeros((2, 1)), axis=1)
        for one in (grown, spent)
    )
    slope = np.maximum(grown, 1e-9 * grown.max()) / np.maximum(spent, 1e-9 * spent.max())
    log = np.log(slope[0] / slope[1])
    unsure = student.ppf(0.995, n - 1) * np.sqrt((n - 1) * log[:-1].var())
    ratio = float(np.exp(min(unsure - abs(log[-1]), 0.0)))
    blind = np.exp(unsure) * FROZEN_RATIO > MIN_MOBILITY_RATIO
    return None if blind and ratio >= MIN_MOBILITY_RATIO else ratio
