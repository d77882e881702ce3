"""Is the run in a steady state, and molten throughout? Checks on its own blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from .settings import Geometry, ProfileSettings
from .statistics import Track, count_cells, follow_windows, load_tracks
from .sums import Plan, Sums

#: Cells for comparing halves, nm: wide enough for block means to be normal.
COARSE = 0.15
#: Largest root mean square of the difference of halves in units of its error.
MAX_DRIFT = 2.0
#: Largest difference of the mean energy of halves in units of its error.
MAX_ENERGY_DRIFT = 5.0
#: Largest correlation rho of neighbouring blocks. Errors of means are too small by
#: sqrt(1 + 2 rho) (only neighbours) to sqrt((1 + rho) / (1 - rho)) (first-order): at 0.25
#: by 22 to 29 %. From a dozen blocks rho itself is known to about 0.1.
MAX_BLOCK_CORRELATION = 0.25
#: Smallest ratio of mobilities of the two halves of the slab: frozen halves gave 0.5.
MIN_MOBILITY_RATIO = 0.65


def stationarity(
    frames: Sequence[xr.Dataset], geometry: Geometry, settings: ProfileSettings
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
    tracks, names, kind = load_tracks(frames, geometry, settings)
    width = float(geometry.right - geometry.left) * 1e9
    checks = [
        _check("density, first and second half of the run",
               _density_drift(tracks, kind, len(names), width), "<=", MAX_DRIFT),
        _check("energy, first and second half of the run",
               _energy_drift(frames, tracks), "<=", MAX_ENERGY_DRIFT),
        _check("density, correlation of neighbouring blocks",
               _block_correlation(tracks, kind, len(names), width), "<=",
               MAX_BLOCK_CORRELATION),
    ]  # fmt: skip
    lag = max(2, round(settings.lag * 1e12 / tracks[0].spacing))
    for name, ratio in zip(
        names, _mobility_ratio(tracks, kind, len(names), width, lag), strict=True
    ):
        text = f"mobility of {name}, slower half of the slab over the faster"
        checks.append(_check(text, ratio, ">=", MIN_MOBILITY_RATIO))
    return _judged(checks)


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


def steadiness(sums: Sums, plan: Plan, names: Sequence[str]) -> dict:
    """`stationarity` of what one pass over a trajectory summed, without energies.

    Parameters
    ----------
    sums, plan
        What was summed; units follow each other in time.
    names
        Of the species.
    """
    merge = max(1, round(COARSE / (plan.extent / plan.n)))
    n = plan.n // merge * merge
    counts = sums.counts[..., :n].reshape(*sums.counts.shape[:2], -1, merge).sum(axis=-1)
    counts = counts / sums.frames[:, None, None]
    first = np.arange(len(counts)) < len(counts) // 2
    checks = [
        _check("density, first and second half of the run", drift_of(counts, first),
               "<=", MAX_DRIFT),
        _check("density, correlation of neighbouring blocks", correlation_of([counts]),
               "<=", MAX_BLOCK_CORRELATION),
    ]  # fmt: skip
    middle = 0.5 * plan.extent
    left, right = plan.windows[:, 1] <= middle, plan.windows[:, 0] >= middle
    for s, name in enumerate(names):
        grown, spent = sums.growth[:, s].sum(axis=0), sums.spent[:, s].sum(axis=(0, 2))
        halves = [
            float(grown[side].sum() / spent[side].sum())
            for side in (left, right)
            if spent[side].sum()
        ]
        ratio = min(halves) / max(*halves, 1e-300) if len(halves) == 2 else None
        text = f"mobility of {name}, slower half of the cell over the faster"
        checks.append(_check(text, ratio, ">=", MIN_MOBILITY_RATIO))
    return _judged(checks)


def _check(name: str, value: float | None, op: str, limit: float) -> dict:
    """One check; without a value it is neither passed nor failed."""
    found = {"name": name, "value": value, "op": op, "limit": limit, "ok": None}
    if value is not None:
        ok = value <= limit if op == "<=" else value >= limit
        found.update(value=float(value), ok=bool(ok))
    return found


def _halves(tracks: Sequence[Track]) -> np.ndarray:
    """Whether each block belongs to the first half of its replica."""
    first = []
    for track in tracks:
        n = int(track.block[-1]) + 1
        first.append(np.arange(n) < n // 2)
    return np.concatenate(first)


def _density_drift(tracks, kind, n_species: int, width: float) -> float | None:
    n = max(4, round(width / COARSE))
    return drift_of(count_cells(tracks, kind, n_species, width, n), _halves(tracks))


def drift_of(counts: np.ndarray, first: np.ndarray) -> float | None:
    """Difference of the mean densities of halves in units of its error; None: too short.

    Parameters
    ----------
    counts
        Mean counts of each unit in cells, shape (U, S, n).
    first
        Which units belong to the first half, shape (U,).
    """
    a, b = counts[first], counts[~first]
    if min(len(a), len(b)) < 2:
        return None  # no error to compare with
    error = a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b)
    visited = counts.mean(axis=0) > 0.5
    if not visited.any():
        return None
    score = (a.mean(axis=0) - b.mean(axis=0))[visited] ** 2 / error[visited]
    return float(np.sqrt(score.mean()))


def _block_correlation(tracks, kind, n_species: int, width: float) -> float | None:
    n = max(4, round(width / COARSE))
    return correlation_of([count_cells([t], kind, n_species, width, n) for t in tracks])


def correlation_of(series: Sequence[np.ndarray]) -> float | None:
    """Correlation of the density in neighbouring blocks, mean over cells and species.

    Parameters
    ----------
    series
        Counts of the blocks of each replica in their order, shape (B, S, n).
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


def _energy_drift(frames, tracks) -> float | None:
    means = []
    for ds, track in zip(frames, tracks, strict=True):
        if "energy" not in ds:
            return None
        energy = ds["energy"].values[: len(track.block)]
        sums = np.bincount(track.block, energy)
        means.append(sums / np.bincount(track.block))
    first, values = _halves(tracks), np.concatenate(means)
    a, b = values[first], values[~first]
    if min(len(a), len(b)) < 2:
        return None
    error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return float(abs(a.mean() - b.mean()) / error)


def _mobility_ratio(tracks, kind, n_species: int, width: float, lag: int) -> np.ndarray:
    """Slower over faster half of the slab, per species."""
    halves = np.array([[0.0, 0.5 * width], [0.5 * width, width]])
    seen = follow_windows(tracks, kind, [halves] * n_species, lag)
    growth = (seen.long - seen.short).sum(axis=0) / np.maximum(seen.stayed.sum(axis=0), 1)
    growth = np.maximum(growth, 0.0)
    return growth.min(axis=1) / np.maximum(growth.max(axis=1), 1e-12)
