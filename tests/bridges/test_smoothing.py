import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

from mesobridge.bridges.smoothing import SmoothingSpline


@pytest.fixture
def noisy():
    rng = np.random.default_rng(5)
    x = np.sort(rng.uniform(0, 3, 60))
    error = 0.05 + 0.1 * rng.random(60)
    truth = np.sin(4 * x) * np.exp(-x)
    return x, truth + error * rng.standard_normal(60), 1 / error**2, truth


def test_same_minimiser_as_scipy(noisy):
    x, y, weight, _ = noisy
    spline = SmoothingSpline(x, weight, y, 0.37)
    expected = make_smoothing_spline(x, y, weight, 0.37)
    at = np.linspace(x[0], x[-1], 200)
    assert spline.fit(y)(at) == pytest.approx(expected(at), abs=1e-9)


def test_cross_validation_comes_near_the_best_penalty(noisy):
    x, y, weight, truth = noisy

    def error(penalty):
        spline = SmoothingSpline(x, weight, y, penalty)
        return np.sqrt(np.mean((spline.fit(y)(x) - truth) ** 2))

    best = min(error(p) for p in np.logspace(-6, 4, 41))
    found = SmoothingSpline(x, weight, y).penalty
    assert error(found) < 1.6 * best
    assert error(found) < 0.8 * np.sqrt(np.mean((y - truth) ** 2))


def test_straight_lines_pass_unchanged_and_curves_are_fitted_alike(noisy):
    x, y, weight, _ = noisy
    spline = SmoothingSpline(x, weight, y, 1.0)
    assert spline.fit(2 - 3 * x)(x) == pytest.approx(2 - 3 * x, abs=1e-7)
    both = spline.fit(np.stack([y, 2 * y + 1]))(x)
    assert both[1] == pytest.approx(2 * both[0] + 1, abs=1e-9)
