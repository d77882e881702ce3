"""What a learned potential saves, with its labels and its training paid for.

S(N) = N t_oracle / (n_labels t_label + t_failed + t_training + N t_model), all in CPU
seconds.
Where a label costs what a step of the oracle costs, S is below N / n_labels whatever the
potential; and below t_oracle / t_model whatever N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REPLICATES = 2000


@dataclass(frozen=True)
class Costs:
    """CPU seconds, as measured.

    Attributes
    ----------
    oracle, model
        Of steps, shapes (K,) and (B,): medians count.
    labels
        Of each label, shape (n,): all were spent.
    training
        Of the training.
    failed
        Of configurations that got no label.
    """

    oracle: np.ndarray
    model: np.ndarray
    labels: np.ndarray
    training: float
    failed: float = 0.0

    @property
    def spent(self) -> float:
        """Before the first step, s."""
        return float(np.sum(self.labels)) + self.failed + self.training

    def medians(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Of a step of the oracle and of the model, shapes (R + 1,).

        As measured first, then of resampled timings.
        """
        rng = np.random.default_rng(seed)

        def of(x: np.ndarray) -> np.ndarray:
            drawn = np.median(rng.choice(x, (REPLICATES, len(x))), axis=1)
            return np.concatenate([[np.median(x)], drawn])

        return of(np.asarray(self.oracle, float)), of(np.asarray(self.model, float))

    def speedups(self, steps: Sequence[float]) -> list[dict]:
        """``steps``, ``speedup`` with ``ci95``, and ``bound`` = steps / labels, of each.

        Intervals are from the spread of the timings; of few they are too narrow.
        """
        oracle, model = self.medians()
        rows = []
        for n in steps:
            value = n * oracle / (self.spent + n * model)
            rows.append({"steps": n, "speedup": float(value[0]), "ci95": _interval(value),
                         "bound": n / len(self.labels)})  # fmt: skip
        return rows

    @property
    def limit(self) -> dict:
        """``value`` and ``ci95`` of the speed-up of a run without end."""
        oracle, model = self.medians()
        return {"value": float(oracle[0] / model[0]), "ci95": _interval(oracle / model)}

    @property
    def break_even(self) -> dict:
        """Steps from which on something is saved; ``None`` where that is never."""
        oracle, model = self.medians()
        saved = oracle - model
        with np.errstate(divide="ignore"):
            steps = np.where(saved > 0, self.spent / np.maximum(saved, 0), np.inf)
        plain = [float(x) if np.isfinite(x) else None for x in (steps[0], *_ends(steps))]
        return {"value": plain[0], "ci95": plain[1:]}


def _ends(replicates: np.ndarray) -> tuple[float, float]:
    """95 % of the resampled values."""
    low, high = np.quantile(replicates[1:], (0.025, 0.975), method="nearest")
    return float(low), float(high)


def _interval(replicates: np.ndarray) -> list[float]:
    return list(_ends(replicates))
