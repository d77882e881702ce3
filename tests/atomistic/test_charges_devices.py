"""Charges on another device: every tensor is made where it is used.

No accelerator is at hand, so torch's "meta" device stands for one: tensors that say they
are there carry their values all the same, and an operation that mixes them with tensors
of the CPU fails, as on a GPU. The numbers must be those of the CPU.
"""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

from mesobridge.atomistic.potential import TrainingSettings, ewald, train
from mesobridge.atomistic.potential.charges import response
from mesobridge.atomistic.potential.data import batch, load_frames
from mesobridge.atomistic.potential.loss import loss
from mesobridge.atomistic.potential.settings import new_model
from mesobridge.core.schema import dataset
from mesobridge.core.units import ANGSTROM, ELEMENTARY_CHARGE, EV

AWAY = "meta"
ATEN = torch.ops.aten
#: What torch puts off until the values are read, done at once.
AT_ONCE = {
    ATEN._efficientzerotensor.default: ATEN.zeros.default,
    ATEN._conj.default: ATEN.conj_physical.default,
    ATEN._neg_view.default: ATEN.neg.default,
}


class Away(torch.Tensor):
    """A tensor of the other device, with its values."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device=AWAY,
            storage_offset=held.storage_offset(),
        )  # fmt: skip

    def __init__(self, held):
        self.held = held

    def tolist(self):
        return values(self).tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return apart(func, args, kwargs or {})


def apart(func, args, kwargs):
    """Runs an operation where its tensors are; refuses those of two devices."""
    tensors = [a for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
    away = [t for t in tensors if isinstance(t, Away)]
    target, moves = kwargs.get("device"), func is ATEN._to_copy.default
    if away and func is not ATEN.copy_.default:
        # A GPU takes numbers, tensors of no dimension, from the CPU.
        here = [t for t in tensors if not isinstance(t, Away) and t.dim()]
        if here:
            raise RuntimeError(f"{func}: tensors are on two devices")
    on_away = bool(away) if target is None else torch.device(target).type == AWAY
    if away and not on_away and not moves:
        raise RuntimeError(f"{func}: made on the CPU beside tensors of the device")
    if target is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    func = AT_ONCE.get(func, func)
    inner = tree_map_only(Away, lambda t: t.held, (args, kwargs))
    out = func(*inner[0], **inner[1])
    if func is ATEN.copy_.default:
        return args[0]
    if on_away:
        out = tree_map_only(torch.Tensor, Away, out)
    if away and on_away:
        return return_and_correct_aliasing(func, args, kwargs, out)
    return out


class OtherDevice(TorchDispatchMode):
    """Where the device exists."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return apart(func, args, kwargs or {})


class Written(TorchFunctionMode):
    """Numbers written out for the device: `torch.tensor` of "meta" would drop them."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.tensor and kwargs.get("device") is not None:
            return func(*args, **kwargs | {"device": "cpu"}).to(kwargs["device"])
        return func(*args, **kwargs)


@contextmanager
def other_device():
    with Written(), OtherDevice():
        yield


def values(tensor):
    return tensor.detach().to("cpu").numpy()


def frames(pbc, rng, n=1):
    """Random ions with labels of all kinds in a cell, a slab or nowhere."""
    grid = np.indices((2, 2, 2)).reshape(3, -1).T
    species = np.array(["Na", "Cl"])[grid.sum(1) % 2]
    box = np.diag([5.6, 5.6, 5.6 if pbc == "TTT" else 20.0]) + np.eye(3, k=1) * 0.3
    shape, e = (n, 8, 3), ELEMENTARY_CHARGE
    values = {
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
    return dataset("frames/1", values, {"source": "random", "pbc": pbc})


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
    at_home = response(model.charges, *parts, frame.system)
    with other_device():
        there = response(
            model.to(AWAY).charges, *(p.to(AWAY) for p in parts), frame.system
        )
        assert there.energy == at_home.energy
        for name in ("features", "vectors", "positions", "strain", "charges"):
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
