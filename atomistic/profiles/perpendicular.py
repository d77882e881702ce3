"""D_perp(z) of every bootstrap replicate from transition counts, free or biased.

The likelihood is that of `fokker_planck`. What it gets wrong by lumping positions into
cells is taken off after the fit: the model that was found is propagated on cells four
times as fine, lumped, and fitted again; the difference is the bias, as in a parametric
bootstrap (Davison & Hinkley 1997, doi:10.1017/CBO9780511802843, ch. 2). For flat W and
small cells it is h^2 / (12 lag).
Lengths are in nm, times in ps, in this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from ...core.errors import InputError
from .fokker_planck import Likelihood, joint_probability, ring_basis, spline_basis

#: Counts added to each cell, so that a resample without visits keeps finite rates.
PSEUDO = 0.5
#: A cell is at most this many sqrt(2 D lag) wide. Lumping then adds 3 % to D at most, all
#: but 0.1 % of which is taken off; 0.28 would do without the correction, to 1 %.
WIDEST = 0.6
#: Cells of the propagator that tells the bias, per cell.
FINER = 4
#: Independent transitions beside a face below which D on it is not believed.
FEW_TRANSITIONS = 10.0
#: A window goes where its equilibrium weight is above this part of its largest.
NEGLIGIBLE = 1e-7


@dataclass(frozen=True)
class PerpendicularDiffusion:
    """D_perp of one species.

    Attributes
    ----------
    faces
        Indices of the faces it was estimated on, shape (n_faces,).
    D
        Shape (R + 1, n_faces), nm2/ps; replicate 0 is the point estimate.
    laplace
        Standard deviation of ln D after the Hessian, shape (n_faces,): a check of the
        bootstrap's, right if ions are independent.
    bias
        What was taken off ln D for the width of cells, shape (n_faces,).
    few
        Faces beside which there are fewer than `FEW_TRANSITIONS`; D there is interpolated
        or that of the nearest other face, shape (n_faces,).
    """

    faces: np.ndarray
    D: np.ndarray
    laplace: np.ndarray
    bias: np.ndarray
    few: np.ndarray

    def on_all_faces(self, n: int) -> np.ndarray:
        """D on all faces of n cells; beyond visited ones the last: (R + 1, n + 1)."""
        inside = np.clip(np.arange(n + 1), self.faces[0], self.faces[-1])
        return self.D[:, inside - self.faces[0]]


def estimate_perpendicular(
    transitions: np.ndarray,
    visits: np.ndarray,
    weights: np.ndarray,
    h: float,
    lag: float,
    overlap: int = 1,
    periodic: bool = False,
) -> PerpendicularDiffusion:
    """D_perp on the inner faces of the visited cells, for every replicate.

    Parameters
    ----------
    transitions
        Per unit, shape (U, n, n).
    visits
        Per unit, shape (U, n); any unit.
    weights
        Bootstrap weights, shape (R + 1, U), first row ones.
    h
        Width of a cell, nm: see `widest_cell`.
    lag
        ps.
    overlap
        Pairs that start within one lag: that many of them count as one observation.
    periodic
        Whether the last cell is beside the first: where ions go everywhere, faces are
        all of them, and the first is the last.

    Raises
    ------
    InputError
        When ions visit fewer than eight cells.
    """
    total = transitions.sum(axis=0)
    if periodic and (total.sum(axis=0) + total.sum(axis=1) > 0).all():
        return _on_a_ring(transitions, visits, weights, h, lag, overlap)
    low, high = _visited(total)
    counts = transitions[:, low:high, low:high].astype(float) / overlap
    if periodic:  # who crosses half of the cells went through the border
        counts *= 2 * np.abs(_steps(high - low)) < len(total)
    # PSEUDO is half a visit.
    cells = visits[:, low:high] * (counts.sum() / visits.sum())
    resampled = (
        (np.tensordot(w, counts, 1)[None], (w @ cells + PSEUDO)[None]) for w in weights
    )
    return _estimate(resampled, low, h, lag)


def _on_a_ring(transitions, visits, weights, h, lag, overlap) -> PerpendicularDiffusion:
    """The ring as a row of cells that goes on beyond both its ends, with periodic D."""
    n = visits.shape[-1]
    start, end = np.nonzero(transitions.sum(axis=0))
    step = (end - start + n // 2) % n - n // 2
    # Nobody who starts in the middle n cells feels the ends of the row.
    margin = 2 * int(np.abs(step).max()) + 2
    around = np.arange(-margin, n + margin) % n
    counts = transitions[:, start, end] / overlap
    cells = visits * (counts.sum() / visits.sum())

    def resampled():
        for w in weights:
            row = np.zeros((1, len(around), len(around)))
            row[0, start + margin, start + step + margin] = w @ counts
            yield row, (w @ cells + PSEUDO)[None, around]

    faces = np.arange(1, len(around)) - margin
    basis = ring_basis(faces * h, n * h)
    found = _estimate(resampled(), 0, h, lag, basis, around)
    kept = slice(margin - 1, margin + n)
    return PerpendicularDiffusion(
        np.arange(n + 1), found.D[:, kept], found.laplace[kept], found.bias[kept],
        found.few[kept],
    )  # fmt: skip


def _steps(n: int) -> np.ndarray:
    """Cells from the first of each pair to the second, shape (n, n)."""
    return np.arange(n) - np.arange(n)[:, None]


def estimate_biased(
    transitions: Sequence[np.ndarray],
    work: np.ndarray,
    bias: np.ndarray,
    weights: Sequence[np.ndarray],
    h: float,
    lag: float,
    overlap: int = 1,
) -> PerpendicularDiffusion:
    """D_perp shared by umbrella windows: each has the equilibrium of W plus its bias.

    Comer, Chipot & Gonzalez-Nilo 2013, doi:10.1021/ct300867e.

    Parameters
    ----------
    transitions
        Of each window, per unit, shape (U_k, n, n).
    work
        W (kT) in every replicate, shape (R + 1, n), as `pmf.umbrella_pmf` finds it.
    bias
        Of each window, kT, shape (K, n).
    weights
        Of each window, shape (R + 1, U_k), first row ones.
    h, lag, overlap
        As for `estimate_perpendicular`.

    Raises
    ------
    InputError
        When ions visit fewer than eight cells.
    """
    low, high = _visited(sum(t.sum(axis=0) for t in transitions))
    counts = [t[:, low:high, low:high].astype(float) / overlap for t in transitions]
    energy = work[:, None, low:high] + bias[:, low:high]

    def resampled():
        for replicate, row in enumerate(energy):
            p = np.exp(row.min(axis=1, keepdims=True) - row)
            seen = np.array(
                [
                    np.tensordot(w[replicate], c, 1)
                    for w, c in zip(weights, counts, strict=True)
                ]
            )
            visited = seen.sum(axis=2) + seen.sum(axis=1) > 0
            pairs = zip(p, visited, strict=True)
            yield seen, np.array([_contiguous(*pair) for pair in pairs])

    return _estimate(resampled(), low, h, lag)


def _contiguous(p: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Weights of one window, zero outside the cells it can reach or was seen in."""
    reach = np.flatnonzero((p > NEGLIGIBLE) | seen)
    kept = np.zeros_like(p)
    inside = slice(reach[0], reach[-1] + 1)
    kept[inside] = np.maximum(p[inside], 1e-12)
    return kept


def _visited(total: np.ndarray) -> tuple[int, int]:
    seen = np.flatnonzero(total.sum(axis=0) + total.sum(axis=1) > 0)
    if len(seen) == 0 or seen[-1] - seen[0] < 7:
        raise InputError(
            "ions visit too few cells for D across the slab",
            wanted="at least eight cells",
            got=str(len(seen)),
            mend="smaller cells, or a longer run",
        )
    return int(seen[0]), int(seen[-1]) + 1


def _estimate(resampled, low: int, h: float, lag: float, basis=None, around=None):
    """Fit every replicate; `resampled` yields counts (K, n, n) and visits (K, n).

    On a ring `around` tells which of its cells those of the row are, shape (n,).
    """
    counts, cells = next(resampled)
    total = counts.sum(axis=0)
    faces = np.arange(low + 1, low + len(total))
    likelihood = Likelihood(spline_basis(faces * h) if basis is None else basis, h, lag)
    guess = np.full(
        likelihood.basis.shape[1], np.log(_mean_square_step(total, h) / (2 * lag))
    )
    point, inverse = likelihood.maximise(guess, counts, cells)
    bias = _bias(likelihood, point, inverse, counts, cells)
    rows = [point]
    rows += [likelihood.newton(point, inverse, *sample) for sample in resampled]
    log_D = (np.array(rows) - bias) @ likelihood.basis.T
    across = total.sum(axis=0) + total.sum(axis=1)
    if around is not None:
        across = np.bincount(around, across)[around]
    few = 0.5 * np.minimum(across[1:], across[:-1]) < FEW_TRANSITIONS
    if not few.all():
        good = np.flatnonzero(~few)
        for row in log_D:
            row[few] = np.interp(np.flatnonzero(few), good, row[good])
    variance = np.einsum("fi,ij,fj->f", likelihood.basis, inverse, likelihood.basis)
    return PerpendicularDiffusion(
        faces, np.exp(log_D), np.sqrt(variance), likelihood.basis @ bias, few
    )


def _bias(likelihood: Likelihood, point, inverse, counts, cells) -> np.ndarray:
    """What a fit to the model's own lumped transitions adds to the coefficients."""
    # The finer cells have a bias of their own, smaller by FINER^2.
    rest = FINER**2 / (FINER**2 - 1)
    bias = np.zeros_like(point)
    for _ in range(2):  # the second time with a D that is nearly right
        model = point - bias
        expected = _expected(likelihood, model, counts, cells)
        # The prior must not pull here: it pulls replicates and truth alike.
        free = replace(likelihood, centre=model)
        bias = rest * (free.newton(point, inverse, expected, cells) - model)
    return bias


def _expected(likelihood: Likelihood, coefficients, counts, cells) -> np.ndarray:
    """Transitions (K, n, n) that a model would show, propagated on finer cells."""
    faces = np.arange(1, counts.shape[-1])
    fine_faces = np.arange(1, counts.shape[-1] * FINER) / FINER
    curve = PchipInterpolator(faces, likelihood.basis @ coefficients)
    D = np.exp(curve(np.clip(fine_faces, faces[0], faces[-1])))
    expected = np.zeros_like(counts)
    for k, (count, weight) in enumerate(zip(counts, cells, strict=True)):
        seen = np.flatnonzero(weight)
        low, high = seen[0], seen[-1] + 1
        fine = refine(weight[low:high], FINER)
        inside = D[low * FINER : high * FINER - 1]
        joint = joint_probability(inside, fine, likelihood.h / FINER, likelihood.lag)
        n = high - low
        joint = joint.reshape(n, FINER, n, FINER).sum(axis=(1, 3))
        expected[k, low:high, low:high] = joint * count.sum()
    return expected


def refine(weight: np.ndarray, times: int) -> np.ndarray:
    """Smooth weights on finer cells with the same sum in each cell, shape (n times,)."""
    n = len(weight)
    x = (np.arange(n * times) + 0.5) / times - 0.5
    curve = PchipInterpolator(np.arange(n), np.log(weight))
    fine = np.exp(curve(np.clip(x, 0, n - 1))).reshape(n, times)
    return (fine * (weight / fine.sum(axis=1))[:, None]).ravel()


def widest_cell(D: float, lag: float) -> float:
    """Widest cell (nm) for a smallest D (nm2/ps) and lag (ps)."""
    return float(WIDEST * np.sqrt(2 * D * lag))


def _mean_square_step(total: np.ndarray, h: float) -> float:
    return float((total * (h * _steps(len(total))) ** 2).sum() / total.sum()) + 1e-6
