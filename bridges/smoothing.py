"""Smoothing splines for many noisy curves on the same points."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar


class SmoothingSpline:
    """Natural cubic smoothing spline; the penalty is chosen once, for all curves.

    Minimises ``sum_k w_k (y_k - f(x_k))^2 + penalty * integral f''^2`` (Reinsch 1967,
    doi:10.1007/BF02162161). The penalty minimises the generalised cross validation of
    one curve (Craven & Wahba 1979, doi:10.1007/BF01404567), so that it follows the noise
    and not a setting. A linear operator: replicates keep their correlations.

    Parameters
    ----------
    x
        Shape (n,), increasing, n >= 4.
    weight
        Shape (n,), positive: inverse variances, up to a factor.
    curve
        Shape (n,): the one that decides the penalty.
    penalty
        Given instead of found; in the unit of ``weight y^2 x^3``.

    Attributes
    ----------
    penalty
        The one in use.
    """

    def __init__(
        self,
        x: np.ndarray,
        weight: np.ndarray,
        curve: np.ndarray,
        penalty: float | None = None,
    ):
        self.x = x
        self._root = np.sqrt(weight)
        roughness = _roughness(x) / np.outer(self._root, self._root)
        self._stiffness, self._modes = np.linalg.eigh(roughness)
        self._stiffness[:2] = 0.0  # straight lines bend nowhere
        self.penalty = self._cross_validate(curve) if penalty is None else penalty

    def _cross_validate(self, curve: np.ndarray) -> float:
        amplitude = self._modes.T @ (self._root * curve)

        def score(log_penalty: float) -> float:
            rest = 1 - 1 / (1 + np.exp(log_penalty) * self._stiffness)
            return np.mean((rest * amplitude) ** 2) / np.mean(rest) ** 2

        stiff = self._stiffness[2:]
        # From "follows every point" to "a straight line"; the score has local minima.
        grid = np.linspace(-np.log(stiff[-1]) - 4, -np.log(stiff[0]) + 4, 61)
        best = int(np.argmin([score(g) for g in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 60)]
        return float(
            np.exp(minimize_scalar(score, (low, high), (low, high), method="bounded").x)
        )

    def fit(self, curves: np.ndarray) -> CubicSpline:
        """Spline of each curve.

        Parameters
        ----------
        curves
            Shape (..., n).

        Returns
        -------
        CubicSpline
            Along the last axis; straight at both ends.
        """
        damping = 1 / (1 + self.penalty * self._stiffness)
        smoother = (self._modes * damping) @ self._modes.T
        smoother = smoother * self._root / self._root[:, None]
        return CubicSpline(self.x, curves @ smoother.T, axis=-1, bc_type="natural")


def _roughness(x: np.ndarray) -> np.ndarray:
    """Matrix K with ``y K y = integral f''^2`` of the natural spline through y."""
    n, h = len(x), np.diff(x)
    second = np.zeros((n, n - 2))
    column = np.arange(n - 2)
    second[column, column] = 1 / h[:-1]
    second[column + 1, column] = -1 / h[:-1] - 1 / h[1:]
    second[column + 2, column] = 1 / h[1:]
    gram = np.diag((h[:-1] + h[1:]) / 3)
    gram += np.diag(h[1:-1] / 6, 1) + np.diag(h[1:-1] / 6, -1)
    return second @ np.linalg.solve(gram, second.T)
