"""A salt at several concentrations: what is taken up, and what its report compares."""

from dataclasses import replace

import numpy as np
import pytest

from mesobridge.bridges.activity import activity_from_osmotic, debye_hueckel
from mesobridge.bridges.report.salt import MOLAR, PERMITTIVITY, comparison
from mesobridge.bridges.salt import SaltActivity, _key, salt_activity
from mesobridge.coarse.bases import Spline
from mesobridge.coarse.model import CGModel
from mesobridge.core.errors import InputError

MODEL = CGModel(
    ("Na", "Cl"), (1.0, -1.0), ("Na-Na", "Na-Cl", "Cl-Cl"), Spline(0.0, 0.8, 4, "zero"),
    np.zeros((3, 3, 4)), np.full(3, 0.2), 10, {"temperature_K": 298.15}, 78.4,
)  # fmt: skip


def test_runs_of_another_model_or_length_are_not_taken_up():
    keys = {_key(MODEL, 32, 1e-9, 0), _key(MODEL, 16, 1e-9, 0)}
    for change in (
        {"validity": {"temperature_K": 310.0}},
        {"permittivity": 71.0},
        {"charges": (2.0, -2.0)},
        {"inner": MODEL.inner + 0.01},
        {"coefficients": MODEL.coefficients + 1e-9},
        {"spline": Spline(0.0, 0.9, 4, "zero")},
    ):
        keys.add(_key(replace(MODEL, **change), 32, 1e-9, 0))
    assert len(keys) == 8
    again = replace(MODEL, inner=MODEL.inner.copy())
    assert _key(again, 32, 1e-9, 0) == _key(MODEL, 32, 1e-9, 0)


@pytest.mark.parametrize("charge", [1.0, 2.0])
def test_what_the_solvent_explains_is_of_the_charge_of_the_ions(charge):
    """A model that is Debye and Hueckel's law in a medium of its own."""
    c, medium = np.array([0.01, 0.02, 0.05]) * MOLAR, (charge, 60.0, 298.15)
    rng = np.random.default_rng(0)
    phi = 1 + debye_hueckel(c, *medium)[2] + 1e-4 * rng.standard_normal((9, 3))
    activity = activity_from_osmotic(
        c, phi, salt="MX", charge=charge, permittivity=60.0, temperature=298.15,
        n_units=10,
    )  # fmt: skip
    (row,) = comparison(SaltActivity(c, phi, activity), 0.0, {0.03: 0.8})
    at = np.array([0.03 * 0.99705]) * MOLAR
    water = debye_hueckel(at, charge, PERMITTIVITY, 298.15)[0][0]
    assert row["ln_gamma"] - row["permittivity"] == pytest.approx(water, abs=2e-3)


def test_what_cannot_be_run_is_told_at_once(tmp_path):
    alone = replace(MODEL, coefficients=MODEL.coefficients[:1])
    with pytest.raises(InputError, match="two or more"):
        salt_activity(alone, [1e25, 5e25, 2e26], tmp_path, salt="NaCl")
    with pytest.raises(InputError, match="concentrations of a salt"):
        salt_activity(MODEL, [1e26, 5e25, 2e26], tmp_path, salt="NaCl")
