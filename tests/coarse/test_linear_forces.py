"""Linear models at once: equal to their terms and to OpenMM; beyond the fitted range."""

import math

import numpy as np
import openmm
import pytest
import torch
from beads import placed

from mesobridge.coarse.bases import TURN, Fourier, Spline
from mesobridge.coarse.coordinates import KINDS
from mesobridge.coarse.linear_forces import AutogradForces, LinearForces
from mesobridge.coarse.linear_model import LinearModel
from mesobridge.coarse.tables import STIFFNESS
from mesobridge.coarse.terms import Bonded, Torsions
from mesobridge.core.errors import InputError

#: Terms in every order and direction, with shared beads; ranges that nothing leaves.
TERMS = (
    Bonded("far", "distance", ((4, 0), (1, 4)), Spline(0.0, 9.0, 30, "zero")),
    Torsions("map", (((0, 1, 2, 3), (1, 2, 3, 4)), ((2, 1, 0, 5), (3, 4, 5, 0))), 3),
    Bonded("bond", "distance", ((0, 1), (2, 1), (2, 3)), Spline(0.0, 9.0, 40)),
    Bonded("again", "distance", ((1, 0),), Spline(0.0, 9.0, 25)),
    Bonded("angle", "angle", ((0, 1, 2), (4, 3, 2)), Spline(0.0, math.pi, 7)),
    Bonded("wave", "dihedral", ((0, 1, 2, 3), (5, 4, 3, 1)), Fourier(4)),
    Bonded("turn", "dihedral", ((1, 2, 3, 4),), Spline(*TURN, 11, "periodic")),
    Bonded("shifted", "dihedral", ((0, 1, 2, 3),), Spline(0.3, 0.3 + math.tau, 9,
                                                          "periodic")),
    Torsions("other", (((5, 4, 3, 2), (0, 1, 2, 3)),), 5),
)  # fmt: skip


class Spring:
    """A term that is none of those that are tabulated."""

    name, size = "spring", 2

    def energies(self, x, box=None):
        square = x.square().sum((1, 2))
        return torch.stack([square, square**2], 1)

    def forces(self, x, box=None):
        square = x.square().sum((1, 2)).view(-1, 1, 1)
        return torch.stack([-2 * x, -4 * square * x], -1)


def beads(seed=0, replicas=40):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(replicas, 6, 3, dtype=torch.float64, generator=generator)


def coefficients(terms, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(t.size, dtype=torch.float64, generator=generator) for t in terms]


def of_terms(terms, given, x):
    energy = sum(t.energies(x, None) @ c for t, c in zip(terms, given, strict=True))
    return energy, sum(t.forces(x, None) @ c for t, c in zip(terms, given, strict=True))


@pytest.mark.parametrize("terms", [(t,) for t in TERMS] + [(*TERMS, Spring())],
                         ids=lambda t: t[0].name if len(t) == 1 else "all")  # fmt: skip
def test_energies_and_forces_are_those_of_the_terms(terms):
    x, given = beads(), coefficients(terms)
    energy, forces = of_terms(terms, given, x)
    model = LinearForces(terms, given, 6, dtype=torch.float64)
    torch.testing.assert_close(model.energy(x), energy, rtol=1e-7, atol=1e-6)
    largest = forces.norm(dim=2).max()
    assert (model.forces(x) - forces).abs().max() < 1e-6 * largest
    single = LinearForces(terms, given, 6)
    assert (single.forces(x.float()) - forces).abs().max() < 3e-5 * largest


def test_the_layout_of_storage_does_not_matter():
    x, given = beads(), coefficients(TERMS)
    model = LinearForces(TERMS, given, 6, dtype=torch.float64)
    last = x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    torch.testing.assert_close(model.forces(last), model.forces(x), rtol=0, atol=0)
    torch.testing.assert_close(model.forces(x[:1]), model.forces(x)[:1])


def test_forces_are_the_slopes_of_what_is_given_and_pull_as_a_whole_on_nothing():
    x, given = beads(2), coefficients(TERMS)
    model = LinearForces(TERMS, given, 6, dtype=torch.float64)
    way = beads(3)
    step = 1e-6 * way
    found = (model.energy(x + step) - model.energy(x - step)) / 2e-6
    exact = -(model.forces(x) * way).sum((1, 2))
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-5)
    forces = model.forces(x)
    assert forces.sum(1).abs().max() < 1e-11 * forces.abs().max()
    torque = torch.linalg.cross(x, forces).sum(1)
    assert torque.abs().max() < 1e-9 * forces.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_beyond_the_range_a_potential_rises(kind):
    """Though the fit falls off on both sides."""
    basis = Spline(1.2, 1.8, 6)
    places = {"distance": (0, 1), "angle": (0, 1, 2), "dihedral": (0, 1, 2, 3)}
    term = Bonded("q", kind, (places[kind],), basis)
    c = fitted(basis, lambda q: -90 * (q - 1.5) ** 2)
    model = LinearForces([term], [c], 4, dtype=torch.float64)
    grid = torch.linspace(0.3, 2.9, 261, dtype=torch.float64)
    x = placed(kind, grid)
    torch.testing.assert_close(term.coordinates(x)[0][:, 0], grid)
    energy = model.energy(x)
    inside = (grid > 1.2) & (grid < 1.8)
    torch.testing.assert_close(energy[inside], -90 * (grid[inside] - 1.5) ** 2)
    for side in (grid <= 1.2, grid >= 1.8):
        gap = torch.minimum((grid - 1.2).abs(), (grid - 1.8).abs())[side]
        expected = -8.1 + 0.5 * STIFFNESS[kind] * gap**2
        torch.testing.assert_close(energy[side], expected)
    finite = (energy[2:] - energy[:-2]) / (grid[2:] - grid[:-2])
    along = -(model.forces(x) * slope_of(kind, grid)).sum((1, 2))[1:-1]
    smooth = ((grid - 1.2).abs() > 0.02) & ((grid - 1.8).abs() > 0.02)
    torch.testing.assert_close(along[smooth[1:-1]], finite[smooth[1:-1]], rtol=1e-3,
                               atol=0.1)  # fmt: skip


def slope_of(kind, q):
    """How `placed` moves with q."""
    return (placed(kind, q + 1e-6) - placed(kind, q - 1e-6)) / 2e-6


def test_where_coordinates_were_not_seen_the_basis_is_not_trusted():
    term = Bonded("q", "distance", ((0, 1),), Spline(0.0, 2.0, 20))
    given = coefficients([term])
    plain = LinearForces([term], given, 4, dtype=torch.float64)
    model = LinearForces([term], given, 4, dtype=torch.float64, ranges={"q": (0.53, 1.4)})
    grid = torch.linspace(0.05, 1.95, 381, dtype=torch.float64)
    ours, whole = (m.energy(placed("distance", grid)) for m in (model, plain))
    seen = (grid > 0.5) & (grid < 1.4)
    torch.testing.assert_close(ours[seen], whole[seen])
    assert bool((ours[grid < 0.5].diff() < 0).all())
    assert bool((ours[grid > 1.4].diff() > 0).all())
    assert float(ours[0]) > 0.4 * STIFFNESS["distance"] * 0.45**2
    whole = torch.stack([3 * given[0], given[0]]).numpy()
    kept = LinearModel(("A",) * 4, np.ones(4), (term,), whole, 1, {}, {"q": (0.53, 1.4)})
    again = LinearForces.of(kept, replicate=1, dtype=torch.float64)
    assert torch.equal(again.energy(placed("distance", grid)), ours)


def test_a_pair_function_ends_at_its_cut_off():
    term = Bonded("q", "distance", ((0, 1),), Spline(0.2, 1.0, 8, "zero"))
    model = LinearForces([term], coefficients([term]), 4, dtype=torch.float64)
    x = placed("distance", torch.tensor([1.0, 1.3, 40.0], dtype=torch.float64))
    assert model.energy(x).abs().max() < 1e-12
    assert model.forces(x).abs().max() < 1e-12
    near = model.energy(placed("distance", torch.tensor([0.02], dtype=torch.float64)))
    assert float(near) > 1000


def test_nan_stays_nan():
    x, terms = beads(), TERMS
    x[3, 2, 1] = math.nan
    forces = LinearForces(terms, coefficients(terms), 6).forces(x.float())
    assert bool(forces[3].isnan().any())
    assert bool(forces[[*range(3), *range(4, 40)]].isfinite().all())


def test_a_differentiable_function_gives_the_same_forces():
    given = coefficients(TERMS)
    model = LinearForces(TERMS, given, 6, dtype=torch.float64)
    other = AutogradForces(lambda x: of_terms(TERMS, given, x)[0])
    x = beads(5)
    largest = model.forces(x).abs().max()
    assert (other.forces(x) - model.forces(x)).abs().max() < 1e-6 * largest
    torch.testing.assert_close(other.energy(x), model.energy(x), rtol=1e-7, atol=1e-6)


def test_openmm_finds_the_same_forces():
    """A harmonic chain with a cosine on its dihedral."""
    bond = Bonded("b", "distance", ((0, 1), (1, 2), (2, 3)), Spline(0.0, 5.0, 12))
    angle = Bonded("a", "angle", ((0, 1, 2), (1, 2, 3)), Spline(0.0, math.pi, 12))
    turn = Bonded("t", "dihedral", ((0, 1, 2, 3),), Fourier(3))
    given = [fitted(bond.basis, lambda q: 200 * (q - 1.1) ** 2),
             fitted(angle.basis, lambda q: 30 * (q - 1.9) ** 2),
             torch.tensor([0, 0, 4.0, 0, 0, 3.0])]  # fmt: skip
    system, forces = openmm.System(), (openmm.HarmonicBondForce(),
                                       openmm.HarmonicAngleForce(),
                                       openmm.PeriodicTorsionForce())  # fmt: skip
    for _ in range(4):
        system.addParticle(12.0)
    for pair in bond.beads:
        forces[0].addBond(*pair, 1.1, 400.0)
    for three in angle.beads:
        forces[1].addAngle(*three, 1.9, 60.0)
    # 4 cos 3q + 3 sin 3q = 5 cos(3q - phase), beside the constant of OpenMM.
    forces[2].addTorsion(0, 1, 2, 3, 3, math.atan2(3, 4), 5.0)
    for force in forces:
        system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    x = beads(7)[:5, :4]
    model = LinearForces([bond, angle, turn], given, 4, dtype=torch.float64)
    for one, ours, energy in zip(x, model.forces(x), model.energy(x), strict=True):
        context.setPositions(one.numpy())
        state = context.getState(getForces=True, getEnergy=True)
        theirs = torch.tensor(state.getForces(asNumpy=True)._value)
        assert (ours - theirs).abs().max() < 1e-6 * theirs.abs().max()
        assert float(energy) + 5.0 == pytest.approx(state.getPotentialEnergy()._value)


def fitted(basis, wanted):
    q = torch.linspace(basis.start, basis.stop, 200, dtype=torch.float64)
    return torch.linalg.lstsq(basis.dense(q)[0], wanted(q)[:, None]).solution[:, 0]


def test_coefficients_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="coefficients of a linear model"):
        LinearForces(TERMS[:1], [torch.zeros(3)], 6)
