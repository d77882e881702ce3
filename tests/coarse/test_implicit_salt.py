"""Osmotic coefficients of ions in an implicit solvent."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from mesobridge.bridges.salt import salt_activity
from mesobridge.coarse.bases import Spline
from mesobridge.coarse.engine import make_system
from mesobridge.coarse.implicit_salt import (
    osmotic_coefficient,
    run_salt,
    salt_samples,
)
from mesobridge.coarse.langevin import GAS_CONSTANT
from mesobridge.coarse.linear_model import load_linear
from mesobridge.coarse.model import CGModel
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.md import MDSettings, make_context
from mesobridge.core.units import AVOGADRO, NM

T = 298.15
THERMAL = GAS_CONSTANT * T
MOLAR = 1e3 * AVOGADRO  # m-3
BASIS = Spline.spaced(0.0, 0.85, 0.02, "zero")


def soft(strength=1.0):
    """Coefficients of strength kT (0.5 nm/r - 1)^2 (3 - r/0.283)^2 ... a smooth core."""
    r = np.linspace(0.15, 0.85, 400)
    u = strength * THERMAL * 6 * np.clip(1 - r / 0.8, 0, 1) ** 3
    design = BASIS.dense(torch.from_numpy(r))[0].numpy()
    return np.linalg.lstsq(design, u, rcond=None)[0]


def ions(charge=1.0, strengths=(1.0, 1.0, 1.0)):
    c = np.array([[soft(s)] * 3 for s in strengths])
    return CGModel(
        ("Na", "Cl"), (charge, -charge), ("Na-Na", "Na-Cl", "Cl-Cl"), BASIS, c,
        np.full(3, 0.16), 10, {"temperature_K": T}, 78.4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def molar():
    model = ions(strengths=(1.0, 1.0, 1.0, 1.1))
    frames = run_salt(model, MOLAR, n_pairs=32, length=8e-11, settle=1e-11,
                      save=2e-13, seed=3)  # fmt: skip
    return model, frames


def test_the_virial_is_what_a_change_of_volume_costs(molar):
    """(U_C + sum of -r u') / 3 = -V dU/dV, by differences of energies."""
    model, frames = molar
    few = frames.isel(frame=slice(0, 3))
    samples = salt_samples(model, few)
    phi = [
        osmotic_coefficient(replace(model, coefficients=model.coefficients[:1]),
                            salt_samples(model, few.isel(frame=[k])), blocks=1)[0]
        for k in range(3)
    ]  # fmt: skip
    beads = [str(s) for s in few["species"].values]
    for k in range(3):
        box = few["box"].values[k] / NM
        energies = []
        for scale in (1 - 1e-4, 1 + 1e-4):
            system = make_system(model, beads, [20.0] * len(beads), box * scale,
                                 coulomb_cutoff=0.49 * box[0, 0])  # fmt: skip
            system.getForce(0).setEwaldErrorTolerance(1e-6)
            context = make_context(system, MDSettings(T, 1e-14, 1e12, 1))
            context.setPositions(few["positions"].values[k] / NM * scale)
            energies.append(context.getState(getEnergy=True).getPotentialEnergy()._value)
        change = (energies[1] - energies[0]) / 6e-4  # dU / d ln V
        wanted = 1 - change / (samples.n_ions * THERMAL)
        assert phi[k] == pytest.approx(wanted, abs=0.003)


def test_neutral_particles_have_their_second_virial_coefficient():
    model = ions(charge=0.0)
    c = 0.6 * MOLAR
    frames = run_salt(model, c, n_pairs=32, length=1e-10, settle=1e-11, save=2e-13)
    phi = osmotic_coefficient(
        replace(model, coefficients=model.coefficients[:1].repeat(30, 0)),
        salt_samples(model, frames), blocks=20,
    )  # fmt: skip
    r = np.linspace(1e-4, 0.85, 4000)
    f = np.exp(-model.potential(r)[0] / THERMAL) - 1
    density = 2 * c * NM**3
    second = -2 * np.pi * trapezoid(f * r**2, r) * density
    assert 0.1 < second < 0.2
    # The third virial coefficient is of the order of the second squared.
    assert phi[0] - 1 == pytest.approx(
        second, abs=0.3 * second**2 + 3 * phi[1:].std(ddof=1)
    )


def test_a_replicate_by_reweighting_is_its_own_run(molar):
    model, frames = molar
    n = 20
    both = np.concatenate([model.coefficients[:1], model.coefficients[3:].repeat(n, 0)])
    found = osmotic_coefficient(
        replace(model, coefficients=both), salt_samples(model, frames)
    )
    other = replace(model, coefficients=model.coefficients[3:].repeat(n + 1, 0))
    frames = run_salt(other, MOLAR, n_pairs=32, length=8e-11, settle=1e-11, save=2e-13,
                      seed=5)  # fmt: skip
    own = osmotic_coefficient(other, salt_samples(other, frames))
    error = np.hypot(found[1:].std(ddof=1), own[1:].std(ddof=1))
    assert found[1:].mean() > found[0]
    assert found[1:].mean() - own[0] == pytest.approx(0, abs=3.5 * error)


def test_a_replicate_that_is_too_far_is_refused(molar):
    model, frames = molar
    far = replace(model, coefficients=np.array([model.coefficients[0],
                                                30 * model.coefficients[0]]))  # fmt: skip
    with pytest.raises(InputError, match="replicate 1 of the ions"):
        osmotic_coefficient(far, salt_samples(model, frames))


def test_what_is_no_salt_and_too_small_a_box(tmp_path):
    model = ions()
    with pytest.raises(InputError, match="a salt"):
        run_salt(replace(model, charges=(1.0, 1.0)), MOLAR)
    with pytest.raises(InputError, match="symbols of elements"):
        run_salt(replace(model, species=("Na+", "Cl-")), MOLAR)
    with pytest.raises(InputError, match="an edge of 1.7 nm"):
        run_salt(model, 5 * MOLAR, n_pairs=8)
    with pytest.raises(InputError, match="convert mol/L"):
        run_salt(model, 0.5)
    with pytest.raises(InputError, match="temperature_K above zero"):
        run_salt(replace(model, validity={}), MOLAR)
    for wrong in (-78.0, 0.0, float("nan")):
        with pytest.raises(InputError, match="relative permittivity"):
            replace(model, permittivity=wrong)
    model.save(tmp_path / "ions.safetensors")
    with pytest.raises(SchemaError, match="load_model"):
        load_linear(tmp_path / "ions.safetensors")


def test_what_cannot_become_an_activity(molar, tmp_path):
    model, frames = molar
    with pytest.raises(InputError, match="frames of a salt"):
        osmotic_coefficient(model, salt_samples(model, frames.isel(frame=slice(19))))
    rising = np.array([0.1, 0.2, 0.3]) * MOLAR
    for wrong, given in (
        ("processes", {"processes": 0}),
        ("cannot be written", {"folder": tmp_path / "file" / "runs"}),
        ("replicates of the ions", {"model": ions(strengths=(1.0, 1.0))}),
        ("temperature_K", {"model": replace(model, validity={})}),
    ):
        (tmp_path / "file").touch()
        told = {"model": model, "folder": tmp_path, "processes": 1, **given}
        with pytest.raises(InputError, match=wrong):
            salt_activity(concentrations=rising, salt="NaCl", **told)


def test_killed_and_taken_up_it_ends_equal(tmp_path):
    model = ions()
    options = {"n_pairs": 16, "length": 5e-11, "settle": 1e-12, "save": 2e-13}

    def run(folder, progress=None):
        return run_salt(model, MOLAR, scratch=folder, progress=progress, **options)

    class Killed(Exception):
        pass

    def kill(*_):
        raise Killed

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = run(tmp_path / "a")
    with pytest.raises(Killed):
        run(tmp_path / "b", kill)
    np.testing.assert_array_equal(run(tmp_path / "b")["positions"], whole["positions"])
