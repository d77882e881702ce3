"""Bootstrap weights and the coverage of intervals."""

import numpy as np
import pytest

from mesobridge.core.stats import bootstrap_weights, estimate, interval95


def test_weights():
    weights = bootstrap_weights(12, 200, seed=3)
    assert weights.shape == (201, 12)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 12).all()
    assert np.array_equal(weights, bootstrap_weights(12, 200, seed=3))
    assert not np.array_equal(weights, bootstrap_weights(12, 200, seed=4))
    # Multinomial: mean 1, variance 1 - 1/n.
    assert weights[1:].mean() == pytest.approx(1.0)
    assert weights[1:].var() == pytest.approx(11 / 12, rel=0.1)


@pytest.mark.parametrize("n_units", [5, 8, 20])
def test_coverage_with_few_units(n_units):
    """95 % intervals of a mean hold the truth in about 95 % of 600 experiments."""
    rng = np.random.default_rng(n_units)
    held = 0
    for k in range(600):
        values = rng.normal(1.0, 0.3, n_units)
        means = bootstrap_weights(n_units, 100, k) @ values / n_units
        low, high = interval95(means, n_units)
        held += low <= 1.0 <= high
    assert 0.925 <= held / 600 <= 0.985


def test_estimate():
    found = estimate(np.array([2.0, 1.9, 2.1, 2.0, 2.05]), 10)
    assert found["value"] == 2.0
    assert found["ci95"][0] < 2.0 < found["ci95"][1]
