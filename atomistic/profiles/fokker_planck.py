"""Likelihood of transition counts under the Fokker-Planck equation on a row of cells.

Hummer 2005, doi:10.1088/1367-2630/7/1/034, with W(z) known from the density, rates of
Bicout & Szabo 1998 (doi:10.1063/1.476800), ln D a cubic B-spline and an exact gradient.
Umbrella windows have equilibrium weights of their own and share D (Comer, Chipot &
Gonzalez-Nilo 2013, doi:10.1021/ct300867e). Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import minimize

#: Distance of the spline's knots, nm, and how many coefficients there may be.
KNOT_SPACING, FEWEST, MOST = 0.28, 6, 60
#: Standard deviation of the second differences of ln D: a weak prior that only matters
#: where ions hardly go. On the steep slope of a wall they forget where they were within
#: a lag, and D alone would run off.
ROUGHNESS = 1.0
#: Largest predicted decrease of the negative log likelihood that is called converged.
CONVERGED = 1e-3


@dataclass(frozen=True)
class Likelihood:
    """Likelihood of ln D coefficients on a row of cells.

    Attributes
    ----------
    basis
        Spline basis on the inner faces, shape (n - 1, m).
    h, lag
        Width of a cell and time of a transition.
    centre
        Coefficients whose second differences the prior favours; constant ones when
        ``None``.
    """

    basis: np.ndarray
    h: float
    lag: float
    centre: np.ndarray | None = None

    def value_and_gradient(
        self, coefficients: np.ndarray, transitions: np.ndarray, visits: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Negative log posterior and its gradient.

        Parameters
        ----------
        coefficients
            Of ln D (nm2/ps), shape (m,).
        transitions
            Counts from cell j to cell k, shape (n, n), or (K, n, n) of K windows.
        visits
            Equilibrium weight of each cell, shape (n,) or (K, n); where it is zero no
            ion of that window goes.
        """
        D = np.exp(np.clip(self.basis @ coefficients, -25.0, 5.0))
        n = transitions.shape[-1]
        value, by_face = 0.0, np.zeros(n - 1)
        for counts, weight in zip(
            transitions.reshape(-1, n, n), visits.reshape(-1, n), strict=True
        ):
            low, high = _extent(weight)
            part, slope = self._window(
                D[low : high - 1], counts[low:high, low:high], weight[low:high]
            )
            value += part
            by_face[low : high - 1] += slope
        off = coefficients if self.centre is None else coefficients - self.centre
        bend = np.diff(off, 2) / ROUGHNESS**2
        value += 0.5 * ROUGHNESS**2 * float(bend @ bend)
        gradient = np.convolve(bend, [1.0, -2.0, 1.0]) - self.basis.T @ by_face
        return value, gradient

    def _window(self, D, transitions, visits) -> tuple[float, np.ndarray]:
        """Value and its negative slope by ln D on each face."""
        rate, diagonal, up = _rates(D, visits, self.h)
        decay, modes = _modes(diagonal, rate)
        weight = np.exp(self.lag * np.minimum(decay, 0.0))
        propagator = np.maximum((modes * weight) @ modes.T, 1e-14)
        # sqrt(p) factors of the propagator do not depend on D.
        value = -float((transitions * np.log(propagator)).sum())
        slope = _loewner(decay, weight, self.lag)
        inner = modes.T @ (transitions / propagator) @ modes
        outer = modes @ (slope * inner) @ modes.T
        outer = 0.5 * (outer + outer.T)
        along = np.diag(outer)
        by_rate = 2 * np.diag(outer, 1) - along[:-1] * up - along[1:] / up
        return value, by_rate * rate

    def hessian(
        self, coefficients: np.ndarray, transitions: np.ndarray, visits: np.ndarray
    ) -> np.ndarray:
        """Second derivatives, from differences of the exact gradient."""
        step, columns = 1e-4, []
        for unit in np.eye(len(coefficients)) * step:
            plus, minus = (
                self.value_and_gradient(coefficients + s * unit, transitions, visits)[1]
                for s in (1, -1)
            )
            columns.append((plus - minus) / (2 * step))
        matrix = np.array(columns)
        return 0.5 * (matrix + matrix.T)

    def maximise(
        self, guess: np.ndarray, transitions: np.ndarray, visits: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of the point estimate and the inverse of its Hessian."""
        # Tight: a loose optimiser leaves errors of tens of percent near walls.
        found = minimize(
            self.value_and_gradient, guess, (transitions, visits), method="L-BFGS-B",
            jac=True, options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-5},
        )  # fmt: skip
        hessian = self.hessian(found.x, transitions, visits)
        inverse = np.linalg.pinv(hessian, hermitian=True)
        return self.newton(found.x, inverse, transitions, visits), inverse

    def newton(
        self,
        start: np.ndarray,
        inverse: np.ndarray,
        transitions: np.ndarray,
        visits: np.ndarray,
    ) -> np.ndarray:
        """Newton's method with a Hessian from nearby; L-BFGS when it fails."""
        x = start.copy()
        value, gradient = self.value_and_gradient(x, transitions, visits)
        for _ in range(12):
            step = inverse @ gradient
            if abs(gradient @ step) < CONVERGED:
                return x
            trial = x - step
            new_value, new_gradient = self.value_and_gradient(trial, transitions, visits)
            if not new_value < value + 1e-9:
                break
            x, value, gradient = trial, new_value, new_gradient
        return minimize(
            self.value_and_gradient, x, (transitions, visits), method="L-BFGS-B",
            jac=True, options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-4},
        ).x  # fmt: skip


def _extent(weight: np.ndarray) -> tuple[int, int]:
    """First of the cells that have weight, and the one after the last."""
    seen = np.flatnonzero(weight)
    return int(seen[0]), int(seen[-1]) + 1


def _rates(D, visits, h) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Off-diagonal and diagonal of the symmetrised rates, sqrt(p_up / p_down)."""
    rate = D / h**2
    up = np.sqrt(visits[1:] / visits[:-1])
    diagonal = np.zeros(len(visits))
    diagonal[:-1] -= rate * up
    diagonal[1:] -= rate / up
    return rate, diagonal, up


def _modes(diagonal: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and vectors of the symmetrised rates."""
    try:
        return eigh_tridiagonal(diagonal, rate)
    except np.linalg.LinAlgError:  # the fast method fails on rows that repeat themselves
        return eigh_tridiagonal(diagonal, rate, lapack_driver="stev")


def _loewner(decay: np.ndarray, weight: np.ndarray, lag: float) -> np.ndarray:
    """Divided differences of exp(lag x): the derivative of the matrix exponential."""
    gap = decay[:, None] - decay
    mean = 0.5 * lag * (weight[:, None] + weight)
    close = np.abs(gap) * lag < 1e-6
    gap[close] = 1.0
    return np.where(close, mean, (weight[:, None] - weight) / gap)


def joint_probability(
    D: np.ndarray, visits: np.ndarray, h: float, lag: float
) -> np.ndarray:
    """Probability of a transition from cell j to cell k in equilibrium, shape (n, n).

    Parameters
    ----------
    D
        On the inner faces, shape (n - 1,), nm2/ps.
    visits
        Equilibrium weights, shape (n,), positive; any unit.
    h, lag
        nm, ps.
    """
    rate, diagonal, _ = _rates(D, visits, h)
    decay, modes = _modes(diagonal, rate)
    root = np.sqrt(visits / visits.sum())
    scaled = root[:, None] * modes
    return np.maximum((scaled * np.exp(lag * np.minimum(decay, 0.0))) @ scaled.T, 0.0)


def spline_basis(
    points: np.ndarray,
    spacing: float = KNOT_SPACING,
    span: tuple[float, float] | None = None,
) -> np.ndarray:
    """Clamped cubic B-spline basis on points, shape (n, m).

    Parameters
    ----------
    points
        nm, increasing.
    spacing
        Of the knots, nm.
    span
        First and last knot; the first and last point when ``None``.
    """
    low, high = (points[0], points[-1]) if span is None else span
    m = int(np.clip(round((high - low) / spacing) + 3, FEWEST, MOST))
    inner = np.linspace(low, high, m - 2)
    knots = np.concatenate([[low] * 3, inner, [high] * 3])
    return BSpline.design_matrix(np.clip(points, low, high), knots, 3).toarray()


def ring_basis(points: np.ndarray, period: float, spacing: float = KNOT_SPACING):
    """Periodic cubic B-spline basis on points, shape (n, m).

    Parameters
    ----------
    points
        nm, any.
    period
        nm.
    spacing
        Of the knots, nm; adjusted to fill the period.
    """
    m = int(np.clip(round(period / spacing), FEWEST, MOST))
    knots = np.arange(-3.0, m + 4)
    basis = BSpline.design_matrix(points % period * (m / period), knots, 3).toarray()
    basis[:, :3] += basis[:, m:]
    return basis[:, :m]
