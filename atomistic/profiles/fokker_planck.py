"""D_perp(z) by maximum likelihood of transition counts under the Fokker-Planck equation.

Hummer 2005, doi:10.1088/1367-2630/7/1/034, with W(z) known from the density, rates of
Bicout & Szabo 1998 (doi:10.1063/1.476800), ln D a cubic B-spline and an exact gradient.
Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import minimize

#: Distance of the spline's knots, nm, and how many coefficients there may be.
KNOT_SPACING, FEWEST, MOST = 0.22, 6, 18
#: Standard deviation of the second differences of ln D: a weak prior that only matters
#: where ions hardly go. On the steep slope of a wall they forget where they were within
#: a lag, and D alone would run off.
ROUGHNESS = 0.2
#: Counts added to each cell, so that a resample without visits keeps finite rates.
PSEUDO = 0.5
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
    """

    basis: np.ndarray
    h: float
    lag: float

    def value_and_gradient(
        self, coefficients: np.ndarray, transitions: np.ndarray, visits: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Negative log posterior and its gradient.

        Parameters
        ----------
        coefficients
            Of ln D (nm2/ps), shape (m,).
        transitions
            Counts from cell j to cell k, shape (n, n).
        visits
            Equilibrium weight of each cell, shape (n,), positive.
        """
        D = np.exp(np.clip(self.basis @ coefficients, -25.0, 5.0))
        rate = D / self.h**2
        up = np.sqrt(visits[1:] / visits[:-1])  # symmetrised rates: see the diagonal
        diagonal = np.zeros(len(visits))
        diagonal[:-1] -= rate * up
        diagonal[1:] -= rate / up
        decay, modes = eigh_tridiagonal(diagonal, rate)
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
        gradient = -self.basis.T @ (by_rate * rate)
        bend = np.diff(coefficients, 2) / ROUGHNESS**2
        value += 0.5 * ROUGHNESS**2 * float(bend @ bend)
        gradient += np.convolve(bend, [1.0, -2.0, 1.0])
        return value, gradient

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


def _loewner(decay: np.ndarray, weight: np.ndarray, lag: float) -> np.ndarray:
    """Divided differences of exp(lag x): the derivative of the matrix exponential."""
    gap = decay[:, None] - decay
    mean = 0.5 * lag * (weight[:, None] + weight)
    close = np.abs(gap) * lag < 1e-6
    gap[close] = 1.0
    return np.where(close, mean, (weight[:, None] - weight) / gap)


@dataclass(frozen=True)
class PerpendicularDiffusion:
    """D_perp of one species.

    Attributes
    ----------
    faces
        Indices of the faces it was estimated on.
    D
        Shape (R + 1, n_faces), nm2/ps; replicate 0 is the point estimate.
    """

    faces: np.ndarray
    D: np.ndarray


def spline_basis(faces: np.ndarray, spacing: float = KNOT_SPACING) -> np.ndarray:
    """Clamped cubic B-spline basis on points, shape (n, m)."""
    low, high = faces[0], faces[-1]
    m = int(np.clip(round((high - low) / spacing) + 3, FEWEST, MOST))
    inner = np.linspace(low, high, m - 2)
    knots = np.concatenate([[low] * 3, inner, [high] * 3])
    return BSpline.design_matrix(faces, knots, 3).toarray()


def estimate_perpendicular(
    transitions: np.ndarray,
    visits: np.ndarray,
    weights: np.ndarray,
    h: float,
    lag: float,
) -> PerpendicularDiffusion:
    """D_perp on the inner faces of the visited cells, for every replicate.

    The lumping of positions into cells adds about ``h^2 / (8 lag)`` to D, which is taken
    off.

    Parameters
    ----------
    transitions
        Per block, shape (U, n, n).
    visits
        Per block, shape (U, n); any unit.
    weights
        Bootstrap weights, shape (R + 1, U), first row ones.
    h
        Width of a cell, nm; at most ``0.28 sqrt(2 D lag)``.
    lag
        ps.
    """
    total = transitions.sum(axis=0)
    seen = np.flatnonzero(total.sum(axis=0) + total.sum(axis=1) > 0)
    low, high = seen[0], seen[-1] + 1
    counts = transitions[:, low:high, low:high].astype(float)
    scale = total.sum() / visits.sum()  # so that PSEUDO is half a visit
    cells = visits[:, low:high] * scale
    faces = np.arange(low + 1, high)
    likelihood = Likelihood(spline_basis(faces * h), h, lag)
    spread = np.sqrt(_mean_square_step(total, h))
    guess = np.full(likelihood.basis.shape[1], np.log(spread**2 / (2 * lag)))
    point, inverse = _maximise(likelihood, guess, counts.sum(0), cells.sum(0) + PSEUDO)
    rows = []
    for weight in weights:
        resampled = np.tensordot(weight, counts, 1), weight @ cells + PSEUDO
        rows.append(_newton(likelihood, point, inverse, *resampled))
    D = np.exp(np.array(rows) @ likelihood.basis.T)
    return PerpendicularDiffusion(faces, np.maximum(D - h**2 / (8 * lag), 0.1 * D))


def _mean_square_step(total: np.ndarray, h: float) -> float:
    j, k = np.indices(total.shape)
    return float((total * (h * (j - k)) ** 2).sum() / total.sum()) + 1e-6


def _maximise(likelihood, guess, counts, cells) -> tuple[np.ndarray, np.ndarray]:
    """Point estimate and the inverse of its Hessian."""
    # Tight: a loose optimiser leaves errors of tens of percent near walls.
    found = minimize(
        likelihood.value_and_gradient, guess, (counts, cells), method="L-BFGS-B",
        jac=True, options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-5},
    )  # fmt: skip
    inverse = np.linalg.pinv(likelihood.hessian(found.x, counts, cells), hermitian=True)
    return _newton(likelihood, found.x, inverse, counts, cells), inverse


def _newton(likelihood, start, inverse, counts, cells) -> np.ndarray:
    """Newton's method with the Hessian of the point estimate; L-BFGS when it fails."""
    x = start.copy()
    value, gradient = likelihood.value_and_gradient(x, counts, cells)
    for _ in range(12):
        step = inverse @ gradient
        if abs(gradient @ step) < CONVERGED:
            return x
        new_value, new_gradient = likelihood.value_and_gradient(x - step, counts, cells)
        if not new_value < value + 1e-9:
            break
        x, value, gradient = x - step, new_value, new_gradient
    return minimize(
        likelihood.value_and_gradient, x, (counts, cells), method="L-BFGS-B", jac=True,
        options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-4},
    ).x  # fmt: skip
