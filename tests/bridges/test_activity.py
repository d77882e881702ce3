"""From osmotic to activity coefficients: thermodynamics, limits, refusals."""

import numpy as np
import pytest

from mesobridge.bridges.activity import (
    activity_from_osmotic,
    debye_hueckel,
    inverse_screening,
    ln_gamma_at,
    to_molal,
)
from mesobridge.continuum.activity import Activity
from mesobridge.core.errors import InputError
from mesobridge.core.units import AVOGADRO

MOLAR = 1e3 * AVOGADRO
WATER = 1.0, 78.4, 298.15
SALT = {"salt": "NaCl", "charge": 1.0, "permittivity": 78.4, "temperature": 298.15,
        "n_units": 10}  # fmt: skip


def test_limiting_law_of_water():
    """ln gamma = -1.17 sqrt(c / M) and kappa^-1 = 0.304 nm / sqrt(c / M) at 25 C."""
    c = np.array([1e-4, 1e-3]) * MOLAR
    limit, slope, osmotic = debye_hueckel(c, *WATER, contact=0.0)
    np.testing.assert_allclose(limit, -1.1745 * np.sqrt(c / MOLAR), rtol=5e-3)
    np.testing.assert_allclose(slope, limit / 2, rtol=1e-12)
    np.testing.assert_allclose(osmotic, limit / 3, rtol=1e-12)
    screening = 1e9 / inverse_screening(c, *WATER)
    np.testing.assert_allclose(screening, 0.304 / np.sqrt(c / MOLAR), rtol=5e-3)


def test_debye_hueckel_obeys_gibbs_and_duhem():
    """d(c phi) = c d(ln gamma) + dc, and the slope is the derivative."""
    ln_c = np.linspace(np.log(1e-5 * MOLAR), np.log(2 * MOLAR), 4001)
    ln_gamma, slope, osmotic = debye_hueckel(np.exp(ln_c), *WATER)
    np.testing.assert_allclose(np.gradient(ln_gamma, ln_c)[1:-1], slope[1:-1], atol=1e-6)
    np.testing.assert_allclose(
        (osmotic + np.gradient(osmotic, ln_c))[1:-1], slope[1:-1], atol=1e-6
    )


def synthetic(rng, c, noise=0.002, n=40):
    """phi of a salt with powers that the fit has, with noise."""
    true = (
        1 + debye_hueckel(c, *WATER)[2] + 0.12 * (c / MOLAR) - 0.03 * (c / MOLAR) ** 1.5
    )
    first = true + noise * rng.standard_normal(len(c))
    return first + noise * np.vstack([np.zeros(len(c)), rng.standard_normal((n, len(c)))])


def truth(c):
    return debye_hueckel(c, *WATER)[0] + 0.24 * (c / MOLAR) - 0.05 * (c / MOLAR) ** 1.5


def test_activity_comes_back_within_its_band():
    rng, c = np.random.default_rng(0), np.geomspace(0.05, 1.0, 7) * MOLAR
    where, scores = np.array([0.1, 0.3, 1.0]) * MOLAR, []
    for _ in range(60):
        found, _ = ln_gamma_at(activity_from_osmotic(c, synthetic(rng, c), **SALT), where)
        scores.append((found[0] - truth(where)) / found[1:].std(0, ddof=1))
    within = np.mean(np.abs(scores) < 1.96)
    assert 0.88 < within <= 0.99


def test_the_slope_is_the_derivative_and_the_solver_takes_it():
    rng, c = np.random.default_rng(1), np.geomspace(0.05, 1.0, 7) * MOLAR
    ds = activity_from_osmotic(c, synthetic(rng, c), **SALT)
    x = np.log(ds["concentration"].values)
    fine = np.linspace(x[0], x[-1], 3000)
    value, slope = ln_gamma_at(ds, np.exp(fine))
    np.testing.assert_allclose(
        np.gradient(value[0], fine)[5:-5], slope[0, 5:-5], atol=2e-4
    )
    closure = Activity.from_dataset(ds, [0.5, 0.5], density=MOLAR)
    assert closure.concentration[-1] == pytest.approx(1.0)
    with pytest.raises(InputError, match="above the activity table"):
        closure.check(np.array([[1.2], [1.2]]))


def test_nothing_is_extrapolated():
    rng, c = np.random.default_rng(2), np.geomspace(0.05, 0.5, 6) * MOLAR
    ds = activity_from_osmotic(c, synthetic(rng, c), **SALT)
    for outside in (0.51, 1e-5):
        with pytest.raises(InputError, match="activity of NaCl"):
            ln_gamma_at(ds, [outside * MOLAR])


def test_bad_osmotic_coefficients_are_told():
    rng, c = np.random.default_rng(3), np.geomspace(0.05, 0.5, 6) * MOLAR
    phi = synthetic(rng, c)
    with pytest.raises(InputError, match="osmotic coefficients"):
        activity_from_osmotic(c[:2], phi[:, :2], **SALT)
    with pytest.raises(InputError, match="osmotic coefficients"):
        activity_from_osmotic(c, phi[0], **SALT)
    with pytest.raises(InputError, match="R > 1 replicates"):
        activity_from_osmotic(c, phi[:1], **SALT)
    odd = phi + np.array([0, 0, 0.1, 0, 0, 0])
    with pytest.raises(InputError, match="the fit of osmotic"):
        activity_from_osmotic(c, odd, **SALT)


def test_molal_coefficient():
    """Of an ideal solution without volume nothing changes; V c counts twice."""
    c = np.array([0.1, 0.5])
    np.testing.assert_array_equal(to_molal([0.0, 0.0], [1.0, 1.0], c, 0.0), 0)
    found = to_molal([0.0, 0.0], [1.0, 1.0], c, 0.0177)
    np.testing.assert_allclose(found, -2 * 0.0177 * c, rtol=0.01)
