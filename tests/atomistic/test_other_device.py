"""Training and evaluation on another device: every tensor is made where it is used.

The numbers must be those of the CPU.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from other_device import AWAY, Away, other_device, values

from mesobridge.atomistic.potential import Potential, TrainingSettings, ewald, train
from mesobridge.atomistic.potential.charges import response
from mesobridge.atomistic.potential.data import batch, load_frames
from mesobridge.atomistic.potential.loss import loss
from mesobridge.atomistic.potential.settings import new_model
from mesobridge.core.schema import dataset
from mesobridge.core.units import ANGSTROM, ELEMENTARY_CHARGE, EV


def frames(pbc, rng, n=1):
    """Random ions with labels of all kinds in a cell, a slab or nowhere."""
    grid = np.indices((2, 2, 2)).reshape(3, -1).T
    species = np.array(["Na", "Cl"])[grid.sum(1) % 2]
    box = np.diag([5.6, 5.6, 5.6 if pbc == "TTT" else 20.0]) + np.eye(3, k=1) * 0.3
    shape, e = (n, 8, 3), ELEMENTARY_CHARGE
    variables = {
        "positions": (2.8 * grid + rng.normal(0, 0.2, shape)) * ANGSTROM,
        "forces": rng.normal(size=shape) * EV / ANGSTROM,
        "box": np.tile(box * ANGSTROM, (n, 1, 1)),
        "species": species,
        "mass": np.full(8, 4e-26),
        "time": np.arange(n) * 1e-12,
        "energy": rng.normal(size=n) * EV,
        "stress": rng.normal(size=(n, 3, 3)) * 0.01 * EV / ANGSTROM**3,
        "charge": rng.normal(size=(n, 8)) * e,
        "dipole": rng.normal(size=(n, 3)) * e * ANGSTROM,
        "born_charge": rng.normal(size=(n, 8, 3, 3)) * e,
    }
    return dataset("frames/1", variables, {"source": "random", "pbc": pbc})


SETTINGS = TrainingSettings(
    ("Na", "Cl"), 4.0 * ANGSTROM, channels=4, radial=5, hidden=8, steps=2,
    batch=3, charges=(0.8, -0.9), charge_weight=1.0, dipole_weight=1.0, born_weight=1.0,
    points=1,
)  # fmt: skip


@pytest.mark.parametrize("mesh", [False, True])
def test_training_goes_on_another_device(mesh, monkeypatch):
    """Loss, its gradient, and points of the curve, to the last bit."""
    monkeypatch.setattr(ewald, "MESH_ATOMS", 1 if mesh else 10**6)
    rng = np.random.default_rng(1)
    sets = [frames(pbc, rng) for pbc in ("TTT", "TTF", "FFF")]
    at_home = train(sets, sets, SETTINGS)
    there = replace(SETTINGS, device="cuda")
    object.__setattr__(there, "device", AWAY)
    with other_device():
        away = train(sets, sets, there)
    assert away.curve == at_home.curve
    for name, value in at_home.tensors.items():
        np.testing.assert_array_equal(away.tensors[name], value)
    assert away.tensors["charges.last.weight"].any()


@pytest.mark.parametrize("pbc", ["TTT", "TTF", "FFF"])
@pytest.mark.parametrize("mesh", [False, True])
def test_derivatives_by_hand_on_another_device(pbc, mesh, monkeypatch):
    monkeypatch.setattr(ewald, "MESH_ATOMS", 1 if mesh else 10**6)
    model = new_model(SETTINGS).requires_grad_(False)
    (frame,) = load_frames([frames(pbc, np.random.default_rng(2))], ("Na", "Cl"), 4.0)
    rows = torch.from_numpy(frame.vectors)
    parts = (torch.randn(8, 8), rows.float(), torch.from_numpy(frame.species),
             torch.from_numpy(frame.list.index))  # fmt: skip
    at_home = response(model.charges, *parts, [frame.system])
    with other_device():
        there = response(
            model.to(AWAY).charges, *(p.to(AWAY) for p in parts), [frame.system]
        )
        for name in ("energies", "features", "vectors", "positions", "strain", "charges"):
            found = getattr(there, name)
            assert isinstance(found, Away)
            np.testing.assert_array_equal(values(found), getattr(at_home, name).numpy())


def test_two_devices_are_not_mixed():
    """The device that stands for a GPU does refuse what a GPU would."""
    b = batch(load_frames([frames("TTT", np.random.default_rng(3))], ("Na", "Cl"), 4.0),
              4.0, torch.float32)  # fmt: skip
    model, weight = new_model(SETTINGS), torch.ones(1)
    with other_device():
        with pytest.raises(RuntimeError, match="two devices"):
            loss(model.to(AWAY), b, weight, 1.0, 1.0, (1, 8))
        there = b.to(AWAY)
        assert loss(model, there, weight.to(AWAY), 1.0, 1.0, (1, 8)).device.type == AWAY
        with pytest.raises(RuntimeError, match="beside tensors"):
            there.vectors.new_zeros(3, device="cpu")


@pytest.mark.parametrize("charges", [None, (0.8, -0.9)])
@pytest.mark.parametrize("pbc", ["TTT", "TTF", "FFF"])
def test_a_potential_evaluates_on_another_device(charges, pbc):
    settings = replace(SETTINGS, charges=charges, layers=2)
    model = new_model(settings).requires_grad_(False)
    with torch.no_grad():
        model.shift += torch.tensor([1.0, 2.0])
    potential = Potential(model, ("Na", "Cl"), {})
    (frame,) = load_frames([frames(pbc, np.random.default_rng(5))], ("Na", "Cl"), 4.0)
    given = (frame.system.positions, frame.species, frame.system.box, frame.system.pbc)
    at_home = potential.evaluate(*given)
    with other_device():
        away = replace(potential, model=model.to(AWAY)).evaluate(*given)
    assert away.energy == at_home.energy
    for name in ("forces", "stress", "charges", "energies"):
        np.testing.assert_array_equal(getattr(away, name), getattr(at_home, name))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_potential_evaluates_on_a_gpu():
    potential = Potential(new_model(SETTINGS).requires_grad_(False), ("Na", "Cl"), {})
    (frame,) = load_frames([frames("TTT", np.random.default_rng(6))], ("Na", "Cl"), 4.0)
    given = (frame.system.positions, frame.species, frame.system.box, frame.system.pbc)
    at_home = potential.evaluate(*given)
    there = replace(potential, model=potential.model.to("cuda")).evaluate(*given)
    np.testing.assert_allclose(there.forces, at_home.forces, atol=1e-4)
