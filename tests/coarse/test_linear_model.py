"""Linear models: sums of terms, their file."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mesobridge.coarse.bases import TURN, Fourier, Spline
from mesobridge.coarse.linear_model import LinearModel, load_linear
from mesobridge.coarse.pairs import Pairs
from mesobridge.coarse.terms import Bonded, Torsions
from mesobridge.coarse.walls import Wall
from mesobridge.core.artefact import read_model, write_model
from mesobridge.core.errors import SchemaError

TERMS = (
    Bonded("bonds", "distance", ((0, 1), (1, 2), (2, 3), (3, 4)), Spline(0.0, 5.0, 8)),
    Bonded("angle", "angle", ((0, 1, 2),), Spline(0.0, math.pi, 6)),
    Bonded("turn", "dihedral", ((0, 1, 2, 3),), Spline(*TURN, 8, "periodic")),
    Bonded("omega", "dihedral", ((1, 2, 3, 4),), Fourier(2)),
    Torsions("phi-psi", (((0, 1, 2, 3), (1, 2, 3, 4)),), 2),
    Pairs(("A", "B", "A", "A", "B"), Spline(0.0, 4.0, 8, "zero"), ((0, 1), (1, 2))),
    Wall("wall", (0, 3), Spline(0.0, 3.0, 8, "zero"), -1.5),
)
RANGES = {"bonds": (1.0, 2.5), "pairs A-B": (0.7, 4.0)}


@pytest.fixture
def model():
    rng, size = np.random.default_rng(0), sum(term.size for term in TERMS)
    names, masses = ("C", "N", "CA", "C", "N"), np.array([12.0, 14, 12, 12, 14])
    validity = {"temperature_K": 300.0}
    return LinearModel(names, masses, TERMS, rng.normal(size=(4, size)), 3, validity,
                       RANGES)  # fmt: skip


def test_forces_are_slopes_of_the_energy(model):
    terms = tuple(t for t in TERMS if not isinstance(t, Pairs))  # have no graph
    size = sum(term.size for term in terms)
    model = replace(model, terms=terms, coefficients=model.coefficients[:, :size])
    x = torch.randn(6, 5, 3, dtype=torch.float64).requires_grad_()
    for replicate in (0, 2):
        energy = model.energy(x, replicate=replicate)
        (slope,) = torch.autograd.grad(energy.sum(), x)
        forces = model.forces(x.detach(), replicate=replicate)
        torch.testing.assert_close(forces, -slope, rtol=0, atol=1e-9)
    assert (model.energy(x) - model.energy(x, replicate=1)).abs().min() > 1e-3


def test_a_model_goes_through_its_file(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    back = load_linear(path)
    assert back.terms == TERMS
    assert back.beads == model.beads
    assert back.validity == {"temperature_K": 300.0}
    assert back.ranges == RANGES
    x = torch.randn(3, 5, 3, dtype=torch.float64)
    assert torch.equal(back.forces(x, replicate=3), model.forces(x, replicate=3))


def test_files_of_old_say_no_ranges(model, tmp_path):
    path = tmp_path / "model.safetensors"
    header, tensors = model.packed()
    del header["ranges"]
    write_model(path, "cg-model/1", header, tensors)
    assert load_linear(path).ranges == {}


@pytest.mark.parametrize("wrong", ["kind", "term", "coefficients", "basis", "ranges"])
def test_other_files_are_refused(model, tmp_path, wrong):
    path = tmp_path / "model.safetensors"
    model.save(path)
    header, tensors = read_model(path, "cg-model/1")
    if wrong == "kind":
        header["model"] = "schnet"
    elif wrong == "term":
        header["terms"][0]["term"] = "spring"
    elif wrong == "basis":
        del header["terms"][0]["basis"]["stop"]
    elif wrong == "ranges":
        header["ranges"] = {"bonds": [1.0]}
    else:
        tensors["coefficients"] = tensors["coefficients"][:, 1:].copy()
    del header["schema"]
    write_model(path, "cg-model/1", header, tensors)
    with pytest.raises(SchemaError, match="a linear model, as `save` writes it"):
        load_linear(path)
