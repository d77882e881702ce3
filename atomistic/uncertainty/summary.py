"""Coverage as plain numbers: tables and curves of reports, by group."""

from __future__ import annotations

import math

import numpy as np

from ...core.errors import InputError
from ..potential.uncertainty import LEVELS
from .coverage import Coverage, auroc

#: An error is large from so many times the median error on.
LARGE = 3.0
#: Points of a plot of errors against standard deviations, and bins of their means.
SHOWN, BINS = 3000, 12
#: Groups that are drawn beside all frames.
GROUPS = 6


def summary(c: Coverage) -> list[dict]:
    """A row for all frames, and for each group where there are several.

    Returns
    -------
    list of dict
        ``group``, ``frames``, ``atoms``; ``found`` and ``ci95`` of each of ``levels``;
        ``calibration`` and ``rank_correlation`` as `Coverage` has them; ``auroc`` of
        standard deviations for errors above ``threshold`` (eV/A; `LARGE` times the median
        error of all frames), ``auroc_distance`` of distances; medians ``error``, ``std``
        (eV/A) and ``distance``. ``None`` where a number cannot be told.
    """
    threshold = LARGE * float(np.median(c.error))
    names = _groups(c)
    rows = [_row(c, "all", threshold)]
    return rows + [_row(c.among(c.group == g), g, threshold) for g in names]


def curves(c: Coverage) -> dict:
    """Errors and standard deviations of components of forces, meV/A, for plots.

    ``points`` of an even choice of atoms, and by group ``std`` and ``error`` (root mean
    squares) in bins of equally many atoms.
    """
    names = _groups(c)
    shown = {g: c.among(c.group == g) for g in names} if names else {"all": c}
    chosen = np.linspace(0, len(c.error) - 1, min(SHOWN, len(c.error))).astype(int)
    component = 1e3 * c.error / math.sqrt(3)
    return {
        "points": {
            "std": (1e3 * c.std[chosen]).tolist(),
            "error": component[chosen].tolist(),
        },
        "bins": {g: _bins(part) for g, part in shown.items()},
    }


def _groups(c: Coverage) -> list[str]:
    names = sorted(set(map(str, c.group)))
    return names if len(names) > 1 else []


def _bins(c: Coverage) -> dict:
    order = np.argsort(c.std)
    parts = np.array_split(order, min(BINS, max(1, len(order) // 10)))
    rms = lambda x: float(1e3 * np.sqrt(np.mean(np.square(x))))  # noqa: E731
    return {
        "std": [rms(c.std[p]) for p in parts],
        "error": [rms(c.error[p]) / math.sqrt(3) for p in parts],
    }


def _row(c: Coverage, group: str, threshold: float) -> dict:
    return {
        "group": group, "frames": c.frames, "atoms": len(c.error),
        "levels": list(LEVELS), "found": c.found.tolist(),
        "ci95": None if c.frames < 2 else c.interval.tolist(),
        "calibration": _finite(c.calibration),
        "rank_correlation": _finite(c.rank_correlation),
        "threshold": threshold,
        "auroc": _area(c.std, c.error > threshold),
        "auroc_distance": _area(c.distance, c.error > threshold),
        "error": float(np.median(c.error)), "std": _finite(np.median(c.std)),
        "distance": _finite(np.median(c.distance)),
    }  # fmt: skip


def _area(score: np.ndarray, event: np.ndarray) -> float | None:
    try:
        return auroc(score, event)
    except InputError:
        return None


def _finite(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None
