"""Terms of many beads in the torch engine: as OpenMM has them, also where none were."""

import math

import numpy as np
import pytest
import torch

from mesobridge.coarse.bases import Spline
from mesobridge.coarse.langevin import Langevin
from mesobridge.coarse.linear_forces import LinearForces
from mesobridge.coarse.linear_model import LinearModel
from mesobridge.coarse.local_density import LocalDensity
from mesobridge.coarse.openmm_forces import linear_system
from mesobridge.coarse.openmm_potential import OpenMMForces
from mesobridge.coarse.pairs import Pairs
from mesobridge.coarse.tables import STIFFNESS
from mesobridge.coarse.walls import Wall

SPECIES = tuple("ABACB" * 4)
TERMS = {
    "pairs": Pairs(SPECIES, Spline(0.1, 1.2, 12, "zero"), ((0, 1), (7, 3))),
    "wall": Wall("wall", (0, 3, 5), Spline(0.0, 3.0, 8, "zero"), 0.2, 1, 1),
    "lid": Wall("lid", (1, 2), Spline(0.0, 3.0, 8), 2.6, -1, 0),
    "density": LocalDensity(
        SPECIES, (("A", "B"), ("A", "A"), ("C", "B")), 0.5, 0.9, Spline(0.0, 6.0, 8)
    ),
}
#: Beads leave all of them.
RANGES = {
    "pairs": {"pairs A-A": (0.5, 1.1), "pairs A-B": (0.42, 1.1)},
    "wall": {"wall": (0.5, 2.0)},
    "lid": {"lid": (0.6, 1.8)},
    "density": {"density B around A": (1.6, 3.2)},
}
BOX = torch.tensor([[2.8, 0, 0], [0.4, 2.9, 0], [-0.3, 0.2, 2.7]], dtype=torch.float64)


def beads(frames=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2.6 * torch.rand(frames, 20, 3, dtype=torch.float64, generator=generator)


def model_of(name):
    term = TERMS[name]
    c = 5 * np.random.default_rng(1).normal(size=(1, term.size))
    return LinearModel(SPECIES, np.full(20, 12.0), (term,), c, 1, {}, RANGES[name])


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("box", [None, BOX], ids=["open", "periodic"])
def test_energies_and_forces_are_those_of_openmm(name, box):
    model, x = model_of(name), beads()
    theirs = OpenMMForces(linear_system(model, None if box is None else box.numpy()))
    ours = LinearForces.of(model, dtype=torch.float64, box=box)
    energy, forces = theirs.energy(x), theirs.forces(x)
    # The CPU platform computes in single precision.
    torch.testing.assert_close(ours.energy(x), energy, rtol=2e-5, atol=1e-3)
    assert (ours.forces(x) - forces).abs().max() < 2e-5 * forces.abs().max()
    fit = model.forces(x, None if box is None else box.expand(len(x), 3, 3))
    assert (fit - forces).abs().max() > STIFFNESS["density"]


@pytest.mark.parametrize("name", TERMS)
def test_forces_are_slopes_in_either_precision(name):
    model, x, way = model_of(name), beads(seed=2), beads(seed=3) - 1.3
    ours = LinearForces.of(model, dtype=torch.float64, box=BOX)
    step = 1e-6 * way
    found = (ours.energy(x + step) - ours.energy(x - step)) / 2e-6
    exact = -(ours.forces(x) * way).sum((1, 2))
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-3)
    single = LinearForces.of(model, box=BOX).forces(x.float())
    assert single.dtype == torch.float32
    largest = ours.forces(x).abs().max()
    assert (single - ours.forces(x)).abs().max() < 1e-5 * largest


@pytest.mark.parametrize("name", ["pairs", "density"])
def test_nan_is_of_its_own_replica(name):
    x = beads()
    x[2, 4, 0] = math.nan
    ours = LinearForces.of(model_of(name), dtype=torch.float64, box=BOX)
    assert ours.energy(x).isfinite().tolist() == [True, True, False, True, True, True]
    assert ours.forces(x).isfinite().all((1, 2)).tolist() == [k != 2 for k in range(6)]


def test_beads_that_attract_where_none_were_seen_do_not_fall_into_each_other():
    """A fit that falls without end below 0.3 nm."""
    term = Pairs(("A", "A"), Spline(0.0, 1.0, 20, "zero"))
    r = torch.linspace(0.0, 1.0, 200, dtype=torch.float64)
    wanted = (-300 * (1 - r) ** 3).unsqueeze(1)
    c = torch.linalg.lstsq(term.basis.dense(r)[0], wanted).solution.T.numpy()
    model = LinearModel(("A", "A"), np.ones(2), (term,), c, 1, {},
                        {"pairs A-A": (0.3, 1.0)})  # fmt: skip
    x = torch.zeros(8, 2, 3)
    x[:, 1, 0] = 0.35
    moving = Langevin(LinearForces.of(model), x, torch.full((2,), 40.0), seed=1,
                      temperature=300.0, friction=5.0, step=0.002)  # fmt: skip
    for _ in range(8):
        moving.advance(15)
        apart = (moving.x[:, 1] - moving.x[:, 0]).norm(dim=1)
        assert float(apart.min()) > 0.26
    assert int(moving.restarts.sum()) == 0
