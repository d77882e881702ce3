"""Linear models: sums of terms, their file."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mesobridge.coarse.bases import TURN, Fourier, Spline
from mesobridge.coarse.langevin import Langevin
from mesobridge.coarse.linear_forces import LinearForces
from mesobridge.coarse.linear_model import LinearModel, load_linear
from mesobridge.coarse.model import load_model
from mesobridge.coarse.networks import Architecture
from mesobridge.coarse.neural import NeuralForces, NeuralModel
from mesobridge.coarse.pairs import Pairs
from mesobridge.coarse.terms import Bonded, Torsions
from mesobridge.coarse.umbrella import Biased, Umbrellas
from mesobridge.coarse.walls import Wall
from mesobridge.core.artefact import read_model, write_model
from mesobridge.core.errors import InputError, SchemaError

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


def test_shapes_that_do_not_fit_are_refused(model, tmp_path):
    for wrong in (
        {"masses": model.masses[1:]},
        {"coefficients": model.coefficients[0]},
        {"coefficients": model.coefficients[:, 1:]},
    ):
        with pytest.raises(InputError, match="masses and coefficients of a model"):
            replace(model, **wrong)
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(SchemaError, match="load_linear"):
        load_model(tmp_path / "model.safetensors")


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


def test_a_run_far_from_the_state_point_of_the_model_is_refused():
    """Also of a network on it and with umbrellas; of a ladder one rung must be there."""
    term = Bonded("bond", "distance", ((0, 1),), Spline(0.1, 0.5, 6))
    model = LinearModel(("A", "B"), np.ones(2), (term,), np.zeros((1, term.size)), 1,
                        {"temperature_K": 300.0})  # fmt: skip
    forces = LinearForces.of(model)
    window = torch.zeros(2, dtype=torch.long)
    bias = Umbrellas((("distance", (0, 1)),), torch.tensor([[0.3]]), torch.ones(1, 1))
    network = NeuralModel(model, Architecture(), (0, 1), np.zeros((2, 2, 2)), (),
                          model.validity)  # fmt: skip

    def run(potential, *temperatures):
        x = torch.zeros(2, 2, 3)
        x[:, 1, 0] = 0.3
        Langevin(potential, x, torch.ones(2), temperature=torch.tensor(temperatures),
                 friction=1.0, step=1e-3, seed=0)  # fmt: skip

    run(forces, 310.0, 310.0)
    run(forces, 300.0, 900.0)
    run(LinearForces(model.terms, model.parts(), 2), 500.0, 500.0)
    others = Biased(forces, bias, window), NeuralForces(forces, network)
    for potential in (forces, *others):
        with pytest.raises(InputError, match="temperature of a run") as told:
            run(potential, 330.0, 500.0)
        assert told.value.got == "330 K"
