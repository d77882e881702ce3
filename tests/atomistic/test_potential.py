"""Cartesian ACE: symmetries, derivatives, learning, restart, files, OpenMM."""

import numpy as np
import openmm
import pytest
import torch
from scipy.spatial.transform import Rotation

from mesobridge.atomistic.potential import (
    Potential,
    TrainingSettings,
    errors,
    load_potential,
    save_potential,
    to_openmm,
    train,
)
from mesobridge.atomistic.potential.model import CartesianACE
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.md import MDSettings, make_context
from mesobridge.core.schema import dataset
from mesobridge.core.units import ANGSTROM, EV, KJ_MOL

CUTOFF = 4.0  # A
ALL = (True, True, True)


@pytest.fixture(scope="module", params=[1, 2])
def potential(request):
    """Untrained weights in double precision: every term contributes."""
    torch.manual_seed(3)
    model = CartesianACE(2, CUTOFF, 6, 5, 16, request.param).double()
    return Potential(model.requires_grad_(False), ("Na", "Cl"), {})


@pytest.fixture(scope="module")
def melt():
    return configuration(np.random.default_rng(1))


def configuration(rng, cells=3, spacing=2.6, noise=0.3):
    """Positions (A), species numbers and box of a disordered rock salt."""
    grid = np.indices((2 * cells,) * 3).reshape(3, -1).T
    positions = grid * spacing + rng.normal(0, noise, grid.shape)
    return positions, grid.sum(1) % 2, np.eye(3) * 2 * cells * spacing


def born_mayer(positions, species, box):
    """Energy (eV), forces, stress of a pair repulsion that is smooth at 4 A."""
    strength = np.array([[30.0, 90.0], [90.0, 160.0]])
    delta = positions[None] - positions[:, None]
    delta -= np.round(delta @ np.linalg.inv(box)) @ box
    r = np.sqrt((delta**2).sum(-1)) + 1e9 * np.eye(len(positions))
    a = strength[species[:, None], species[None, :]]
    x = np.clip(r / CUTOFF, 0, 1)
    taper, slope = (1 - x**2) ** 3, -6 * x * (1 - x**2) ** 2 / CUTOFF
    pair = a * np.exp(-r / 0.5)
    energy = 0.5 * (pair * taper).sum()
    derivative = pair * (slope - taper / 0.5)
    unit = delta / r[..., None]
    forces = (derivative[..., None] * unit).sum(1)
    virial = 0.5 * np.einsum("ij,ijk,ijl->kl", derivative * r, unit, unit)
    return energy, forces, virial / np.linalg.det(box)


def labelled(rng, n, noise=(0.15, 0.35)):
    rows = []
    for _ in range(n):
        positions, species, box = configuration(rng, noise=rng.uniform(*noise))
        rows.append((positions, box, *born_mayer(positions, species, box)))
    positions, boxes, energy, forces, stress = (
        np.array(x) for x in zip(*rows, strict=True)
    )
    return dataset(
        "frames/1",
        {
            "positions": positions * ANGSTROM,
            "forces": forces * EV / ANGSTROM,
            "box": boxes * ANGSTROM,
            "species": np.array(["Na", "Cl"])[species],
            "mass": np.full(len(species), 4e-26),
            "time": np.arange(n) * 1e-12,
            "energy": energy * EV,
            "stress": stress * EV / ANGSTROM**3,
        },
        {"source": "Born-Mayer", "pbc": "TTT"},
    )


SETTINGS = TrainingSettings(
    ("Na", "Cl"), CUTOFF * ANGSTROM, channels=6, radial=6, hidden=24,
    steps=240, batch=2, learning_rate=0.02, seed=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(11)
    return labelled(rng, 16), labelled(rng, 4)


@pytest.fixture(scope="module")
def trained(sets):
    return train([sets[0]], [sets[1]], SETTINGS)


def test_rotation_permutation_translation(potential, melt):
    x, s, box = melt
    here = potential.evaluate(x, s, box)
    turn = Rotation.from_euler("xyz", [0.3, 1.1, -0.7]).as_matrix()
    turned = potential.evaluate(x @ turn.T, s, box @ turn.T)
    assert turned.energy == pytest.approx(here.energy, abs=1e-10)
    np.testing.assert_allclose(turned.forces, here.forces @ turn.T, atol=1e-10)
    np.testing.assert_allclose(turned.stress, turn @ here.stress @ turn.T, atol=1e-10)
    order = np.random.default_rng(0).permutation(len(s))
    swapped = potential.evaluate(x[order], s[order], box)
    assert swapped.energy == pytest.approx(here.energy, abs=1e-10)
    np.testing.assert_allclose(swapped.forces, here.forces[order], atol=1e-10)
    moved = potential.evaluate(x + [1.3, -40.0, 7.7], s, box)
    assert moved.energy == pytest.approx(here.energy, abs=1e-10)
    assert np.abs(here.forces.sum(0)).max() < 1e-11


def test_mirror_images_have_the_same_energy(potential, melt):
    x, s, box = melt
    mirrored = potential.evaluate(-x, s, box)
    assert mirrored.energy == pytest.approx(
        potential.evaluate(x, s, box).energy, abs=1e-10
    )


def test_unwrapped_positions_are_the_same(potential, melt):
    x, s, box = melt
    image = np.random.default_rng(4).integers(-3, 4, x.shape) @ box
    here, there = potential.evaluate(x, s, box), potential.evaluate(x + image, s, box)
    assert there.energy == pytest.approx(here.energy, abs=1e-9)


def test_forces_are_the_gradient(potential, melt):
    x, s, box = melt
    rng = np.random.default_rng(2)
    forces = potential.evaluate(x, s, box).forces
    for _ in range(3):
        direction = rng.normal(size=x.shape)
        h = 1e-4
        plus = potential.evaluate(x + h * direction, s, box).energy
        minus = potential.evaluate(x - h * direction, s, box).energy
        slope = -(plus - minus) / (2 * h)
        assert slope == pytest.approx((forces * direction).sum(), rel=1e-6)


def test_stress_is_the_strain_derivative(potential, melt):
    x, s, box = melt
    stress = potential.evaluate(x, s, box).stress
    rng = np.random.default_rng(3)
    strain = rng.normal(size=(3, 3))
    strain = 0.5 * (strain + strain.T)
    h = 1e-6
    energy = [
        potential.evaluate(
            x @ (np.eye(3) + f * strain), s, box @ (np.eye(3) + f * strain)
        )
        for f in (h, -h)
    ]
    slope = (energy[0].energy - energy[1].energy) / (2 * h) / np.linalg.det(box)
    assert slope == pytest.approx((stress * strain).sum(), rel=1e-6)


def test_energy_is_extensive(potential, melt):
    x, s, box = melt
    one = potential.evaluate(x, s, box).energy
    double = np.diag([2.0, 1.0, 1.0]) @ box
    two = potential.evaluate(np.concatenate([x, x + box[0]]), np.tile(s, 2), double)
    assert two.energy == pytest.approx(2 * one, abs=1e-9)
    cluster = np.array([[0, 0, 0], [2.0, 0.3, 0], [0.2, 2.1, 0.5]])
    kinds, wide = np.array([0, 1, 1]), np.eye(3) * 200
    alone = potential.evaluate(cluster, kinds, wide, (False,) * 3).energy
    pair = potential.evaluate(
        np.concatenate([cluster, cluster + 50]), np.tile(kinds, 2), wide, (False,) * 3
    )
    assert pair.energy == pytest.approx(2 * alone, abs=1e-10)


def test_smooth_at_the_cutoff(potential):
    """Value, force and curvature vanish as a neighbour leaves."""
    box, kinds = np.eye(3) * 60, np.array([0, 1])

    def at(r):
        x = np.array([[0.0, 0, 0], [r, 0, 0]])
        found = potential.evaluate(x, kinds, box, (False,) * 3)
        return found.energy, found.forces[1, 0]

    beyond, _ = at(CUTOFF + 0.1)
    gap = 1e-3
    energy, force = at(CUTOFF - gap)
    nearer, _ = at(CUTOFF - 10 * gap)
    assert at(CUTOFF + gap)[1] == 0.0
    # (1 - x)^3: a tenth of the distance is a thousandth of the energy.
    assert abs(energy - beyond) < 2e-3 * abs(nearer - beyond)
    assert abs(force) < 1e-4 * abs(at(2.0)[1])


def test_batch_equals_single_frames(trained, sets, tmp_path):
    save_potential(tmp_path / "p.safetensors", trained, {})
    loaded = load_potential(tmp_path / "p.safetensors")
    ds = sets[1]
    report = errors(loaded, [ds])
    together = report["forces_predicted"].reshape(ds["forces"].shape)
    for i in range(ds.sizes["frame"]):
        one = loaded.evaluate(
            ds["positions"].values[i] / ANGSTROM, ds["species"].values,
            ds["box"].values[i] / ANGSTROM,
        )  # fmt: skip
        np.testing.assert_allclose(one.forces, together[i], atol=1e-6)


def test_padding_changes_nothing(potential, melt):
    from mesobridge.atomistic.potential.data import Frame, batch, vectors
    from mesobridge.atomistic.potential.derivatives import derivatives
    from mesobridge.atomistic.potential.neighbours import neighbours

    x, s, box = melt
    sparse = x * 1.25
    frames = []
    for positions, cell in ((x, box), (sparse, box * 1.25)):
        found = neighbours(positions, cell, ALL, CUTOFF)
        frames.append(
            Frame(vectors(positions, found), found, s, 0.0, np.zeros_like(x), None, 1.0)
        )
    widths = [f.vectors.shape[1] for f in frames]
    assert widths[0] != widths[1]
    b = batch(frames, CUTOFF, torch.float64)
    energy, forces, _ = derivatives(potential.model, b)
    for i, (positions, cell) in enumerate(((x, box), (sparse, box * 1.25))):
        alone = potential.evaluate(positions, s, cell)
        assert float(energy[i]) == pytest.approx(alone.energy, abs=1e-10)
        rows = slice(i * len(s), (i + 1) * len(s))
        np.testing.assert_allclose(forces[rows].numpy(), alone.forces, atol=1e-10)


def test_sums_over_pairs_equal_padded_rows(potential, melt, monkeypatch):
    from mesobridge.atomistic.potential import data
    from mesobridge.atomistic.potential.derivatives import derivatives

    x, s, box = melt
    found = data.neighbours(x, box, ALL, CUTOFF)
    rows = data.vectors(x, found)
    frame = data.Frame(rows, found, s, 0.0, np.zeros_like(x), None, 1.0)
    results = []
    for limit in (0.0, 1.1):
        monkeypatch.setattr(data, "FULL_ROWS", limit)
        b = data.batch([frame], CUTOFF, torch.float64)
        assert (b.centre is None) == (limit == 0.0)
        results.append(derivatives(potential.model, b))
    for padded, listed in zip(*results, strict=True):
        scale = float(padded.abs().max())
        torch.testing.assert_close(listed, padded, rtol=0, atol=1e-12 * scale)


def test_learns_a_pair_repulsion(trained, sets):
    from mesobridge.atomistic.potential.train import build_model

    tensors = {k: torch.from_numpy(v) for k, v in trained.tensors.items()}
    model = build_model(trained.settings, tensors)
    report = errors(Potential(model, ("Na", "Cl"), {}), [sets[1]])
    std = float(sets[1]["forces"].values.std()) / EV * ANGSTROM
    assert report["force_rmse"] < 0.12 * std
    assert report["stress_rmse"] is not None
    assert trained.curve[-1]["force_rmse"] < 0.5 * trained.curve[0]["force_rmse"]
    assert [p["step"] for p in trained.curve] == list(range(20, 241, 20))


@pytest.mark.parametrize("stop", [1, 77])
def test_a_killed_training_ends_bit_equal(trained, sets, tmp_path, monkeypatch, stop):
    from mesobridge.atomistic.potential import train as module  # the function

    class Kill(Exception):
        pass

    def kill(done, total, text):
        if done >= stop:
            raise Kill

    import sys

    monkeypatch.setattr(sys.modules[module.__module__], "STORE_EVERY", -1.0)
    with pytest.raises(Kill):
        train([sets[0]], [sets[1]], SETTINGS, tmp_path, kill)
    assert (tmp_path / "training.safetensors").is_file()
    resumed = train([sets[0]], [sets[1]], SETTINGS, tmp_path)
    assert resumed.curve == trained.curve
    for name, value in trained.tensors.items():
        np.testing.assert_array_equal(resumed.tensors[name], value)


def test_file_round_trip_and_refusals(trained, tmp_path):
    path = tmp_path / "p.safetensors"
    save_potential(path, trained, {"temperatures_K": [1200.0]})
    loaded = load_potential(path)
    assert loaded.species == ("Na", "Cl")
    assert loaded.header["validity"] == {"temperatures_K": [1200.0]}
    for name, value in loaded.model.named_parameters():
        np.testing.assert_array_equal(value.numpy(), trained.tensors[name])
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SchemaError):
        load_potential(path)
    with pytest.raises(InputError, match="no file"):
        load_potential(tmp_path / "none")


def test_openmm_force_equals_evaluation(trained, sets, tmp_path):
    path = tmp_path / "p.safetensors"
    save_potential(path, trained, {})
    ds = sets[1]
    species = list(ds["species"].values)
    system = openmm.System()
    for _ in species:
        system.addParticle(23.0)
    box = ds["box"].values[0] / ANGSTROM
    system.setDefaultPeriodicBoxVectors(*(box / 10))
    system.addForce(to_openmm(path, species))
    copy = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    positions = ds["positions"].values[0] / ANGSTROM
    expected = load_potential(path).evaluate(positions, species, box)
    for each in (system, copy):
        context = make_context(each, MDSettings(300, 1e-15, 1e12, 1))
        context.setPositions(positions / 10)
        state = context.getState(getEnergy=True, getForces=True)
        energy = state.getPotentialEnergy()._value * KJ_MOL / EV
        forces = state.getForces(asNumpy=True)._value * KJ_MOL / EV / 10
        assert energy == pytest.approx(expected.energy, abs=1e-4)
        np.testing.assert_allclose(forces, expected.forces, atol=1e-4)


def test_openmm_force_refuses_a_changed_file(trained, tmp_path):
    path = tmp_path / "p.safetensors"
    save_potential(path, trained, {})
    force = to_openmm(path, ["Na", "Cl"])
    save_potential(path, trained, {"another": "file"})
    system = openmm.System()
    for _ in range(2):
        system.addParticle(23.0)
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * 2))
    system.addForce(force)
    context = make_context(system, MDSettings(300, 1e-15, 1e12, 1))
    context.setPositions([[0, 0, 0], [0.25, 0, 0]])
    with pytest.raises(openmm.OpenMMException, match="has changed"):
        context.getState(getForces=True)


def test_bad_frames_are_refused(trained, sets):
    with pytest.raises(SchemaError, match="without energies"):
        train([sets[0].drop_vars("energy")], [], SETTINGS)
    other = sets[0].copy()
    other["species"] = ("atom", np.full(sets[0].sizes["atom"], "K"))
    with pytest.raises(SchemaError, match="does not know"):
        train([other], [], SETTINGS)
    with pytest.raises(InputError, match="too few frames"):
        train([sets[0].isel(frame=slice(0, 1))], [], SETTINGS)
