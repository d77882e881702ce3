"""One ion near a wall: from a force-matched wall to what the solver is given."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from mesobridge.bridges.ion_wall import coefficients_from_wall
from mesobridge.bridges.transport import resistances
from mesobridge.coarse.bases import Spline
from mesobridge.coarse.linear_model import LinearModel
from mesobridge.coarse.wall_pmf import wall_pmf
from mesobridge.coarse.walls import Wall
from mesobridge.core.errors import InputError
from mesobridge.core.units import AVOGADRO, BOLTZMANN, ELEMENTARY_CHARGE

T, KT = 298.15, BOLTZMANN * 298.15
BASIS = Spline.spaced(0.1, 2.0, 0.05, "zero")
BULK = {
    "bulk_D": {"Na": 1.3e-9, "Cl": 2.0e-9},
    "bulk_density": {"Na": 100 * AVOGADRO, "Cl": 100 * AVOGADRO},
    "relative_permittivity": 78.4,
}


def adsorption(d):
    """Repulsion and a well, kJ/mol; below a tenth of a J/mol from 1.5 nm on."""
    return 60 * np.exp(-d / 0.06) - 4 * np.exp(-(((d - 0.4) / 0.12) ** 2))


@pytest.fixture
def model():
    d = np.linspace(0.1, 2.0, 600)
    design = BASIS.dense(torch.from_numpy(d))[0].numpy()
    c = np.linalg.lstsq(design, adsorption(d), rcond=None)[0]
    walls = (Wall("Na-wall", (0,), BASIS, 0.0), Wall("Cl-wall", (1,), BASIS, 0.0))
    rows = np.stack([np.concatenate([k * c, 0.5 * k * c]) for k in (1.0, 1.1)])
    return LinearModel(("Na", "Cl"), np.array([23.0, 35.5]), walls, rows, 10,
                       {"temperature_K": T})  # fmt: skip


def handed_over(model):
    names = {"Na": "Na-wall", "Cl": "Cl-wall"}
    return wall_pmf(model, names, {"Na": 1.0, "Cl": -1.0})


def test_the_wall_is_handed_over_with_its_replicates(model):
    wall = handed_over(model)
    d = wall["distance"].values * 1e9
    inside = d > 0.15
    pmf = wall["pmf"].values / KT
    thermal = KT * AVOGADRO / 1e3
    for r, factor in enumerate((1.0, 1.1)):
        wanted = factor * adsorption(d[inside]) / thermal
        np.testing.assert_allclose(pmf[r, 0, inside], wanted, atol=0.01)
        np.testing.assert_allclose(pmf[r, 1, inside], 0.5 * wanted, atol=0.01)
    assert pmf[:, :, 0].min() > pmf[:, :, inside].max()
    assert pmf.max() <= 30 * (1 + 1e-9)
    np.testing.assert_allclose(wall["valid_from"], 0.1e-9)


def test_the_mean_field_is_counted_once(model):
    """w = mu + z e phi with a known phi: mu_ex is mu, for both signs of charge."""
    wall = handed_over(model)
    d = wall["distance"].values
    phi = 0.02 * np.exp(-d / 0.5e-9) * np.ones((2, 1)) + 0.3
    mu = wall["pmf"].values.copy()
    z = wall["charge_number"].values
    wall["pmf"].values += ELEMENTARY_CHARGE * z[:, None] * phi[:, None]
    wall["potential"] = (("replicate", "distance"), phi, {"units": "V"})
    found = coefficients_from_wall(wall, **BULK)
    near = d < 1.5e-9
    np.testing.assert_allclose(
        found["mu_ex"].values[..., near], (mu - mu[..., -1:])[..., near],
        atol=1e-3 * KT + ELEMENTARY_CHARGE * 0.02 * np.exp(-4.0) * 1.1,
    )  # fmt: skip
    assert found.attrs["taper_residual_mu_ex"] < 0.02 * KT


def test_the_solver_gives_the_resistance_of_the_wall(model):
    """Both ions feel the same wall: no field, c = c_bulk exp(-w/kT), flow along it."""
    same = LinearModel(
        model.beads, model.masses, model.terms,
        np.concatenate([model.coefficients[:, : BASIS.size]] * 2, axis=1), 10,
        model.validity,
    )  # fmt: skip
    found = coefficients_from_wall(handed_over(same), **BULK)
    solved = resistances(found)
    d = found["distance"].values
    for k, name in enumerate(("Na", "Cl")):
        path = d >= found["reaction_plane"].values[k]
        weight = np.exp(found["mu_ex"].values[0, k, path] / KT)
        flow = weight / (BULK["bulk_D"][name] * BULK["bulk_density"][name])
        wanted = KT / ELEMENTARY_CHARGE**2 * trapezoid(flow, d[path])
        assert solved.solved[0, k] == pytest.approx(wanted, rel=2e-3)
        assert solved.solved[0, k] < 0.98 * solved.bulk[0, k]


def test_bad_input_is_told(model):
    with pytest.raises(InputError, match="wall of Na"):
        wall_pmf(model, {"Na": "nothing"}, {"Na": 1.0})
    with pytest.raises(InputError, match="a charge of each"):
        wall_pmf(model, {"Na": "Na-wall"}, {"K": 1.0})
    wall = handed_over(model)
    with pytest.raises(InputError, match="bulk_D of Cl"):
        coefficients_from_wall(wall, **{**BULK, "bulk_D": {"Na": 1e-9}})
    charged = {"Na": 1e26, "Cl": 2e26}
    with pytest.raises(InputError, match="neutral"):
        coefficients_from_wall(wall, **{**BULK, "bulk_density": charged})
    with pytest.raises(InputError, match="taper"):
        coefficients_from_wall(wall, **BULK, taper_start=3e-9)
    with pytest.raises(InputError, match="temperature_K above zero"):
        handed_over(dataclasses.replace(model, validity={}))
