"""Local-density potentials: counts by hand, derivatives, force matching, OpenMM."""

import itertools
import math

import numpy as np
import openmm
import pytest
import torch

from mesobridge.coarse.bases import CELLS, Spline
from mesobridge.coarse.force_matching import match
from mesobridge.coarse.frames import ArrayFrames
from mesobridge.coarse.linear_forces import LinearForces
from mesobridge.coarse.linear_model import LinearModel, load_linear
from mesobridge.coarse.local_density import LocalDensity
from mesobridge.coarse.openmm_forces import linear_system
from mesobridge.coarse.pairs import Pairs
from mesobridge.coarse.solving import fit
from mesobridge.coarse.tables import STIFFNESS
from mesobridge.core.errors import InputError

SPECIES = tuple("ABA" * 8)
INNER, OUTER = 0.45, 0.8
TERM = LocalDensity(SPECIES, (("A", "A"), ("A", "B"), ("B", "A")), INNER, OUTER,
                    Spline(0.0, 16.0, 8))  # fmt: skip
TILTED = np.array([[2.0, 0, 0], [0.6, 1.9, 0], [-0.5, 0.7, 1.8]])


def beads(frames=3, seed=0):
    x = np.random.default_rng(seed).uniform(-1, 2, (frames, len(SPECIES), 3)) @ TILTED
    boxes = np.tile(TILTED, (frames, 1, 1))
    return torch.from_numpy(x), torch.from_numpy(boxes)


def model_of(*terms, seed=1):
    size = sum(term.size for term in terms)
    c = np.random.default_rng(seed).normal(size=(2, size))
    return LinearModel(SPECIES, np.full(len(SPECIES), 20.0), terms, c, 1, {})


def weight(r):
    """As the paper writes it."""
    x = (INNER / OUTER) ** 2
    c = np.array([1 - 3 * x, 6 * x / OUTER**2, -3 * (1 + x) / OUTER**4, 2 / OUTER**6])
    inside = (c / (1 - x) ** 3) @ r ** np.array([[0], [2], [4], [6]])
    return np.where(r <= INNER, 1.0, np.where(r < OUTER, inside, 0.0))


def test_densities_are_sums_over_images():
    x, boxes = beads()
    names = np.array(SPECIES)
    shifts = np.array(list(itertools.product(range(-3, 4), repeat=3))) @ TILTED
    for (centre, counted), found in zip(TERM.around, TERM.densities(x, boxes),
                                        strict=True):  # fmt: skip
        for f, i in itertools.product(range(3), range(4)):
            mine = np.flatnonzero(names == centre)[i]
            frac = (x[f] - x[f, mine]).numpy() @ np.linalg.inv(TILTED)
            ways = (frac - np.rint(frac)) @ TILTED
            r = np.linalg.norm(ways[:, None] + shifts, axis=-1)
            r = r[(names == counted) & (np.arange(len(names)) != mine)]
            assert float(found[f, i]) == pytest.approx(weight(r.ravel()).sum(), abs=1e-12)
    assert TERM.pairs == ("A around A", "B around A", "A around B")
    assert [d.shape[1] for d in TERM.densities(x, boxes)] == [16, 16, 8]


def test_within_the_inner_radius_neighbours_are_counted():
    """Seven beads within it; one far off has none."""
    x = torch.full((1, 8, 3), 9.0, dtype=torch.float64)
    x[0, :7] = 0.2 * torch.rand(7, 3, dtype=torch.float64)
    near = LocalDensity(("W",) * 8, (("W", "W"),), 0.4, 0.6, Spline(0, 9, 6))
    (found,) = near.densities(x)
    torch.testing.assert_close(found[0], torch.tensor([6.0] * 7 + [0.0]).double())
    assert not near.forces(x).any()


def test_forces_are_derivatives_of_energies():
    (x, boxes), h = beads(1), 1e-6
    force = TERM.forces(x, boxes)
    assert force.abs().max() > 0.1
    for bead, axis in itertools.product((0, 1, 7), range(3)):
        plus, minus = x.clone(), x.clone()
        plus[0, bead, axis] += h
        minus[0, bead, axis] -= h
        slope = (TERM.energies(plus, boxes) - TERM.energies(minus, boxes))[0] / (2 * h)
        assert (slope + force[0, bead, axis]).abs().max() < 1e-7 * force.abs().max()


def test_symmetries():
    """Forces add up to zero, turn with beads and box, and go with their numbers."""
    x, boxes = beads()
    force = TERM.forces(x, boxes)
    assert force.sum(1).abs().max() < 1e-11
    turn = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0])
    turned = TERM.forces(x @ turn.T + 0.3, boxes @ turn.T)
    expected = torch.einsum("ab,fnbk->fnak", turn, force)
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-9)
    order = np.random.default_rng(1).permutation(len(SPECIES))
    mixed = LocalDensity(tuple(SPECIES[k] for k in order), TERM.around, INNER, OUTER,
                         TERM.basis)  # fmt: skip
    torch.testing.assert_close(mixed.forces(x[:, order], boxes), force[:, order])


def test_a_linear_function_is_a_pair_potential():
    """Around like beads 2 a w(r) between each two; a constant does nothing."""
    x, boxes = beads()
    term = LocalDensity(SPECIES, (("A", "A"),), INNER, OUTER, Spline(0.0, 24.0, 8))
    rho = torch.linspace(0, 24, 50, dtype=torch.float64)
    wanted = torch.stack([0.7 * rho, torch.ones_like(rho)], 1)
    c = torch.linalg.lstsq(term.basis.dense(rho)[0], wanted).solution
    x.requires_grad_()
    like = torch.tensor([name == "A" for name in SPECIES])
    way = (x[:, like, None] - x[:, None, like]) @ torch.from_numpy(TILTED).inverse()
    square = ((way - way.round()) @ torch.from_numpy(TILTED)).square().sum(-1)
    s = ((square - INNER**2) / (OUTER**2 - INNER**2)).clamp(0, 1)
    (slope,) = torch.autograd.grad(0.7 * (1 - 3 * s**2 + 2 * s**3).sum(), x)
    x = x.detach()
    torch.testing.assert_close(term.forces(x, boxes) @ c[:, 0], -slope, rtol=0, atol=1e-9)
    assert (term.forces(x, boxes) @ c[:, 1]).abs().max() < 1e-10


def test_a_known_potential_comes_back_from_noisy_forces():
    """Beside pairs: curvatures of f, which pairs cannot have, within three errors."""
    pairs = Pairs(SPECIES, Spline(0.1, OUTER, 6, "zero"))
    terms = (pairs, LocalDensity(SPECIES, (("A", "A"),), INNER, OUTER, Spline(0, 8, 5)))
    rho = torch.linspace(0, 8, 40, dtype=torch.float64)
    f = 0.4 * (rho - 3) ** 2 - 0.03 * (rho - 3) ** 3
    c = torch.linalg.lstsq(terms[1].basis.dense(rho)[0], f.unsqueeze(1)).solution[:, 0]
    truth = torch.cat([torch.linspace(8, 0, pairs.size).double(), c])
    x, boxes = beads(160, 3)
    force = torch.cat([t.forces(x, boxes) for t in terms], -1) @ truth
    noise = np.random.default_rng(0).normal(size=x.shape)
    source = ArrayFrames(x.numpy(), force.numpy() + noise, boxes.numpy())
    equations = match(terms, [source], block=8)
    matched = fit(equations, terms, 40, 0, strength=0.0)
    assert matched.residual == pytest.approx(1.0, rel=0.03)
    assert equations.seen["density"].shape == (1, CELLS)
    low, high = matched.ranges["density A around A"]
    assert 0 <= low < 1.5 < 5 < high <= 8
    q = torch.linspace(1.5, 5, 8, dtype=torch.float64, requires_grad=True)
    bend = [
        torch.autograd.grad((terms[1].basis.dense(q)[1] @ k).sum(), q)[0].numpy()
        for k in torch.from_numpy(matched.coefficients[:, pairs.size :])
    ]
    expected = 0.8 - 0.18 * (q.detach().numpy() - 3)
    error = np.std(bend[1:], axis=0)
    assert np.abs(bend[0] - expected).max() < 0.15
    assert (np.abs(bend[0] - expected) < 4 * error + 1e-3).all()
    new, box = beads(20, 9)
    wanted = torch.cat([t.forces(new, box) for t in terms], -1)
    off = wanted @ (torch.from_numpy(matched.coefficients[0]) - truth)
    assert off.square().mean().sqrt() < 0.25


def evaluate(system, x, platform):
    kind = openmm.Platform.getPlatformByName(platform)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), kind)
    found = []
    for frame in x.numpy():
        context.setPositions(frame)
        state = context.getState(getEnergy=True, getForces=True)
        forces = state.getForces(asNumpy=True)._value
        found.append((state.getPotentialEnergy()._value, forces))
    energy, forces = zip(*found, strict=True)
    return np.array(energy), np.array(forces)


@pytest.mark.parametrize("periodic", [True, False])
def test_openmm_has_the_same_forces(periodic, tmp_path):
    """Through the model's file; beside pairs of the same beads."""
    model_of(TERM, Pairs(SPECIES, Spline(0, 0.7, 6, "zero"), ((0, 1),))).save(
        tmp_path / "model.safetensors"
    )
    model = load_linear(tmp_path / "model.safetensors")
    assert model.terms[0] == TERM
    x, boxes = beads(5)
    box = TILTED if periodic else None
    system = linear_system(model, box)
    assert [f.getName() for f in system.getForces()][:2] == [
        "density A around A", "density B around A",
    ]  # fmt: skip
    given = x, boxes if periodic else None
    expected = model.forces(*given).numpy()
    for platform, tolerance in (("Reference", 1e-9), ("CPU", 1e-4)):
        if periodic and platform == "Reference":
            continue  # its neighbour list misses pairs in tilted boxes (OpenMM 8.6.1)
        energy, forces = evaluate(system, x, platform)
        rms = math.sqrt(np.square(forces - expected).mean() / np.square(expected).mean())
        assert rms < tolerance
        np.testing.assert_allclose(energy, model.energy(*given), atol=30 * tolerance)


def test_densities_that_were_not_seen_cost():
    """Beyond the knots next to the range a parabola; in between nothing changes."""
    term = LocalDensity(("W",) * 9, (("W", "W"),), 0.4, 0.6, Spline(0, 8, 8))
    flat = np.zeros((1, term.size))
    model = LinearModel(("W",) * 9, np.ones(9), (term,), flat, 1, {},
                        {"density W around W": (1.5, 4.2)})  # fmt: skip
    energies = []
    for together in range(1, 10):
        x = torch.zeros(1, 9, 3, dtype=torch.float64)
        x[0, together:, 0] = 5.0 * torch.arange(1, 10 - together)
        energies.append(evaluate(linear_system(model), x, "Reference")[0][0])
    each = [(n, max(n - 1 - 5, 1 - (n - 1), 0)) for n in range(1, 10)]
    alone = 0.5 * STIFFNESS["density"]
    expected = [alone * (n * off**2 + (9 - n)) for n, off in each]
    assert energies == pytest.approx(expected, abs=1e-9)


def test_many_replicas_in_torch():
    x, boxes = beads(4)
    model = model_of(TERM)
    batched = LinearForces.of(model, dtype=torch.float64, box=boxes[0])
    torch.testing.assert_close(batched.forces(x), model.forces(x, boxes))
    torch.testing.assert_close(batched.energy(x), model.energy(x, boxes))
    single = LinearForces.of(model, box=boxes[0])
    torch.testing.assert_close(single.forces(x.float()).double(), model.forces(x, boxes),
                               rtol=0, atol=1e-3)  # fmt: skip


def test_what_makes_no_sense_is_refused():
    good = {"species": SPECIES, "around": (("A", "B"),), "inner": 0.3, "outer": 0.6,
            "basis": TERM.basis}  # fmt: skip
    for wrong in (
        {"inner": 0.7},
        {"inner": -0.1},
        {"basis": Spline(0, 9, 8, "periodic")},
    ):
        with pytest.raises(InputError, match="weight and splines"):
            LocalDensity(**{**good, **wrong})
    for around in ((), (("A", "C"),), (("A", "B"), ("A", "B"))):
        with pytest.raises(InputError, match="pairs of species"):
            LocalDensity(**{**good, "around": around})
