"""Training with predicted charges: Coulomb tails, labels of charges, files, restart."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from mesobridge.atomistic.potential import (
    MesobridgeCalculator,
    TrainingSettings,
    load_potential,
    save_potential,
    to_openmm,
    train,
    without_baseline,
)
from mesobridge.atomistic.potential.data import load_frames
from mesobridge.atomistic.potential.ewald import COULOMB
from mesobridge.atomistic.potential.predictions import error_table, predict, row_of
from mesobridge.core.errors import InputError
from mesobridge.core.schema import dataset
from mesobridge.core.units import ANGSTROM, ELEMENTARY_CHARGE, EV

CUTOFF = 4.0  # A
NONE = (False,) * 3
SETTINGS = TrainingSettings(
    ("Na", "Cl"), CUTOFF * ANGSTROM, channels=4, radial=6, hidden=16, steps=300, batch=8,
    learning_rate=0.02, energy_weight=1.0, seed=2, charges=(0.6, -0.8),
)  # fmt: skip


def dimers(distances, charges, rng, **labels):
    """Two ions along random axes: Coulomb, and a repulsion that ends at the cut-off."""
    way = rng.normal(size=(len(distances), 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    r, product = np.asarray(distances), COULOMB * charges[0] * charges[1]
    inside = np.clip(1 - (r / CUTOFF) ** 2, 0, 1)
    push = 2000 * np.exp(-r / 0.32) * inside**2
    energy = product / r + push * inside
    slope = push * (inside / 0.32 + 6 * r / CUTOFF**2)
    along = (product / r**2 + slope)[:, None] * way
    n = len(r)
    values = {
        "positions": np.stack([np.zeros_like(way), r[:, None] * way], 1) * ANGSTROM,
        "forces": np.stack([-along, along], 1) * EV / ANGSTROM,
        "box": np.tile(np.eye(3), (n, 1, 1)) * 100 * ANGSTROM,
        "species": np.array(["Na", "Cl"]), "mass": np.full(2, 4e-26),
        "time": np.arange(n) * 1e-12, "energy": energy * EV, **labels,
    }  # fmt: skip
    attrs = {"source": "two ions", "pbc": "FFF", "charge_number": sum(charges)}
    return dataset("frames/1", values, attrs)


def potential_of(sets, settings, folder):
    path = folder / "p.safetensors"
    save_potential(path, train(sets, sets[:1], settings), {})
    return load_potential(path)


def force(potential, r, total=0.0):
    """On the second ion of a pair along x, eV/A."""
    x = np.array([[0.0, 0, 0], [r, 0, 0]])
    kinds = np.array(["Na", "Cl"])
    return potential.evaluate(x, kinds, np.eye(3) * 100, NONE, total).forces[1, 0]


@pytest.fixture(scope="module")
def pairs():
    """Distances up to 1.5 times the cut-off."""
    return dimers(np.linspace(2.6, 6.0, 60), (1.0, -1.0), np.random.default_rng(1))


@pytest.fixture(scope="module")
def charged(pairs, tmp_path_factory):
    return potential_of([pairs], SETTINGS, tmp_path_factory.mktemp("charged"))


def test_coulomb_tail_beyond_the_cutoff(pairs, charged, tmp_path):
    exact = -COULOMB / (2 * CUTOFF) ** 2
    assert force(charged, 2 * CUTOFF) == pytest.approx(exact, rel=0.01)
    assert force(charged, 5 * CUTOFF) == pytest.approx(exact / 6.25, rel=0.01)
    short = potential_of([pairs], replace(SETTINGS, charges=None), tmp_path)
    assert force(short, 2 * CUTOFF) == 0.0
    assert force(short, 2.8) == pytest.approx(force(charged, 2.8), abs=0.3)


def test_a_neutral_partner_has_no_tail(tmp_path):
    """Charge +1 and 0: what is learned must not pull where nothing does."""
    frames = dimers(np.linspace(2.6, 6.0, 60), (1.0, 0.0), np.random.default_rng(2))
    settings = replace(SETTINGS, charges=(0.8, 0.2))
    potential = potential_of([frames], settings, tmp_path)
    unit = COULOMB / (2 * CUTOFF) ** 2
    assert abs(force(potential, 2 * CUTOFF, 1.0)) < 0.01 * unit
    assert potential.evaluate(
        np.array([[0.0, 0, 0], [9.0, 0, 0]]), ["Na", "Cl"], np.eye(3) * 99, NONE, 1.0
    ).charges == pytest.approx([1.0, 0.0], abs=0.01)


def falling(r):
    """Charge that falls with the distance."""
    return 0.5 + 0.4 * np.exp(-((r - 2.3) ** 2))


@pytest.mark.parametrize("name", ["charge", "dipole", "born_charge"])
def test_labels_of_charges_are_learned(name, tmp_path):
    """Each of them tells how the charge falls; here energies and forces do not."""
    r, h = np.linspace(2.3, 3.6, 48), 1e-4
    frames = dimers(r, (0.0, 0.0), np.random.default_rng(3))
    arms = frames["positions"].values[:, 1] / ANGSTROM
    q, unit = falling(r)[:, None], arms / r[:, None]
    slope = (falling(r + h) - falling(r - h)) / (2 * h)
    born = -q[..., None] * np.eye(3)
    born = born - (slope * r)[:, None, None] * unit[:, :, None] * unit[:, None, :]
    dims = ("frame", "atom", "row", "xyz")
    labels = {
        "charge": (dims[:2], np.hstack([q, -q])),
        "dipole": (("frame", "xyz"), -q * arms * ANGSTROM),
        "born_charge": (dims, np.stack([-born, born], 1)),
    }
    axes, values = labels[name]
    given = frames.assign({name: (axes, values * ELEMENTARY_CHARGE)})
    weight = {f"{name.removesuffix('_charge')}_weight": 30.0}
    settings = replace(SETTINGS, steps=200, energy_weight=0.0, **weight)
    potential = potential_of([given], settings, tmp_path)
    for distance in (2.4, 3.0, 3.4):
        x = np.array([[0.0, 0, 0], [0, distance, 0]])
        found = potential.evaluate(x, ["Na", "Cl"], np.eye(3), NONE).charges
        assert found[0] == pytest.approx(falling(distance), abs=0.03)
    rows = load_frames([given], SETTINGS.species, CUTOFF)
    table = error_table(predict(potential.model, rows, SETTINGS.species))
    assert {r["quantity"] for r in table} == {"energy", "forces", name}
    error = row_of(table, name)
    assert error["rmse"]["value"] < 0.1 * error["rms"]


def test_a_baseline_knows_the_total_charge(pairs, charged, tmp_path):
    """Another potential with charges is the baseline."""
    frames = pairs.isel(frame=slice(0, 16)).assign_attrs(charge_number=0.5)
    left = without_baseline(frames, MesobridgeCalculator(charged), source="below")
    result = train([left], [left], replace(SETTINGS, steps=1, charges=None))
    path = tmp_path / "p.safetensors"
    save_potential(path, result, {})
    whole = load_potential(path, baseline=MesobridgeCalculator(charged))
    alone = load_potential(path, baseline="engine")
    x, place = np.array([[0.0, 0, 0], [3.0, 0, 0]]), (["Na", "Cl"], np.eye(3), NONE)
    for total in (0.0, 0.5):
        added = charged.evaluate(x, *place, total).energy
        found = whole.evaluate(x, *place, total).energy
        assert found == pytest.approx(alone.evaluate(x, *place).energy + added, abs=1e-6)


def test_openmm_force_carries_the_charges(charged, pairs, tmp_path):
    import openmm

    from mesobridge.core.md import MDSettings, make_context

    path = tmp_path / "p.safetensors"
    save_potential(path, train([pairs], [pairs], replace(SETTINGS, steps=1)), {})
    with pytest.raises(InputError, match="cannot be compiled"):
        load_potential(path, compile=True)
    system = openmm.System()
    for _ in range(2):
        system.addParticle(23.0)
    system.addForce(to_openmm(path, ["Na", "Cl"], pbc="FFF"))
    context = make_context(system, MDSettings(300, 1e-15, 1e12, 1))
    context.setPositions([[0, 0, 0], [0.9, 0, 0]])
    found = context.getState(getForces=True).getForces(asNumpy=True)._value[1, 0]
    expected = force(load_potential(path), 9.0) * 96.4853 * 10
    assert found == pytest.approx(expected, rel=1e-5)
    assert abs(expected) > 10


def test_a_killed_training_ends_bit_equal(pairs, tmp_path, monkeypatch):
    class Kill(Exception):
        pass

    def kill(done, total, text):
        if done >= 7:
            raise Kill

    settings = replace(SETTINGS, steps=20)
    whole = train([pairs], [pairs], settings)
    monkeypatch.setattr(sys.modules[train.__module__], "STORE_EVERY", -1.0)
    with pytest.raises(Kill):
        train([pairs], [pairs], settings, tmp_path, kill)
    resumed = train([pairs], [pairs], settings, tmp_path)
    for name, value in whole.tensors.items():
        np.testing.assert_array_equal(resumed.tensors[name], value)


@pytest.mark.parametrize("charges", [(0.0, 0.0), (1.0,), (1.0, np.nan)])
def test_charges_to_start_from_are_checked(pairs, charges):
    with pytest.raises(InputError, match="charges to start from"):
        train([pairs], [], replace(SETTINGS, charges=charges))


def test_a_total_that_does_not_fit_is_refused(pairs):
    wrong = pairs.assign_attrs(charge_number=3)
    with pytest.raises(InputError, match="cannot carry the total"):
        train([wrong], [], SETTINGS)
