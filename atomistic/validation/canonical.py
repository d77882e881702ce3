"""Is a kinetic energy canonical? Mean and variance, with correlated samples.

In the canonical ensemble 2 K / kT is chi-square distributed with as many degrees of
freedom as momenta that the thermostat reaches, whatever the potential is (Merz & Shirts
2018, doi:10.1371/journal.pone.0202764). A wrong mean shows a thermostat or forces that
heat; a wrong variance one that scales velocities; a wrong partition a flying ice cube.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

#: Independent samples below which nothing is judged.
FEWEST = 50.0


@dataclass(frozen=True)
class CanonicalTest:
    """Mean and variance of a kinetic energy beside the canonical ones.

    Attributes
    ----------
    mean_ratio, variance_ratio
        Over the canonical ones: dof kT / 2 and dof (kT)^2 / 2.
    mean_error
        Standard error of `mean_ratio`, canonical.
    mean_p, variance_p
        Two-sided probabilities; ``None`` when the series is too short.
    independent
        Number of independent samples, of the mean.
    """

    mean_ratio: float
    variance_ratio: float
    mean_error: float
    mean_p: float | None
    variance_p: float | None
    independent: float


def inefficiency(series: np.ndarray) -> float:
    """Statistical inefficiency of a mean: samples per independent one, at least 1.

    The sum of correlations is cut by Geyer's initial positive sequence (1992,
    doi:10.1214/ss/1177011137).
    """
    return max(1.0, 2.0 * float(_correlation(series).sum()) - 1.0)


def _correlation(series: np.ndarray) -> np.ndarray:
    """Autocorrelation from lag 0 to where sums of neighbouring lags turn negative."""
    x = np.asarray(series, dtype=float)
    scale = 1e-14 * float(np.abs(x).max(initial=0.0))
    x = x - x.mean()
    n = len(x)
    if n < 4 or x.std() <= scale:
        return np.ones(1)
    power = np.abs(np.fft.rfft(x, 2 * n)) ** 2
    sums = np.fft.irfft(power)[:n]
    rho = sums / sums[0] * n / np.arange(n, 0, -1)
    even = n - n % 2
    negative = rho[0:even:2] + rho[1:even:2] <= 0
    end = 2 * int(np.argmax(negative)) if negative.any() else even
    return rho[: max(end, 1)]


def canonical_test(
    kinetic: np.ndarray, dof: float, kT: float, allowance: float = 0.0
) -> CanonicalTest:
    """Test a series of kinetic energies against the canonical distribution.

    Parameters
    ----------
    kinetic
        Equally spaced in time, shape (F,), in units of `kT`.
    dof
        Degrees of freedom.
    kT
        Thermal energy.
    allowance
        Relative deviation of the mean that is forgiven (twice that of the variance): the
        error of a finite time step.
    """
    mean, variance = 0.5 * dof * kT, 0.5 * dof * kT**2
    series = np.asarray(kinetic, dtype=float)
    deviation = (series - series.mean()) ** 2
    n_mean = len(series) / inefficiency(series)
    # Squares of a Gaussian series are correlated by the square of its correlation.
    n_variance = len(series) / (2 * float((_correlation(series) ** 2).sum()) - 1)
    ratio = float(series.mean() / mean)
    # The sample mean takes up its own share of the variance.
    spread = float(deviation.mean() / variance / (1 - min(0.5, 1 / n_mean)))
    # A chi-square variable has kurtosis 3 + 12 / dof: its variance is harder to tell.
    freedom = 2 * n_variance / (2 + 12 / dof)
    enough = min(n_mean, n_variance) >= FEWEST
    return CanonicalTest(
        ratio, spread, float(np.sqrt(2 / (dof * n_mean))),
        _two_sided(_forgiven(ratio, allowance), dof * n_mean) if enough else None,
        _two_sided(_forgiven(spread, 2 * allowance), freedom) if enough else None,
        float(n_mean),
    )  # fmt: skip


def _forgiven(ratio: float, allowance: float) -> float:
    return 1 + float(np.sign(ratio - 1)) * max(0.0, abs(ratio - 1) - allowance)


def _two_sided(ratio: float, freedom: float) -> float:
    """Probability that chi-square over its degrees of freedom is as far from 1."""
    x = ratio * freedom
    return float(2 * min(chi2.cdf(x, freedom), chi2.sf(x, freedom), 0.5))
