"""Linear models in OpenMM: equal to their terms, beyond the fit, what they sample."""

import math
from dataclasses import replace

import numpy as np
import openmm
import pytest
import torch
from beads import placed
from openmm import unit

from mesobridge.coarse.bases import TURN, Fourier, Spline
from mesobridge.coarse.linear_model import LinearModel, load_linear
from mesobridge.coarse.openmm_forces import linear_forces_openmm, linear_system
from mesobridge.coarse.pairs import Pairs
from mesobridge.coarse.tables import STIFFNESS
from mesobridge.coarse.terms import Bonded, Torsions
from mesobridge.coarse.walls import Wall
from mesobridge.core.errors import InputError
from mesobridge.core.md import MDSettings, MDState, run_segments
from mesobridge.core.units import BOLTZMANN, KJ_MOL, NM

#: Ranges that random beads do not leave but where a function ends at zero.
TERMS = (
    Bonded("bond", "distance", ((0, 1), (2, 1), (2, 3)), Spline(0.0, 9.0, 40)),
    Bonded("far", "distance", ((4, 0), (1, 5)), Spline(0.0, 2.0, 12, "zero")),
    Bonded("angle", "angle", ((0, 1, 2), (4, 3, 2)), Spline(0.0, math.pi, 7)),
    Bonded("wave", "dihedral", ((0, 1, 2, 3), (5, 4, 3, 1)), Fourier(4)),
    Bonded("turn", "dihedral", ((1, 2, 3, 4),), Spline(*TURN, 11, "periodic")),
    Bonded("shifted", "dihedral", ((0, 1, 2, 3),),
           Spline(0.3, 0.3 + math.tau, 9, "periodic")),
    Torsions("map", (((0, 1, 2, 3), (1, 2, 3, 4)), ((2, 1, 0, 5), (3, 4, 5, 0))), 3),
    Wall("floor", (0, 3, 5), Spline(0.0, 5.0, 8, "zero"), -4.5),
    Wall("lid", (1, 2), Spline(0.0, 9.0, 8), 4.5, -1, 0),
)  # fmt: skip
#: Spline tables are exact; OpenMM's bicubic map and Fourier tables are not.
TOLERANCES = {"map": 1e-4, "wave": 1e-6}
PLACES = {"distance": (0, 1), "angle": (0, 1, 2), "dihedral": (0, 1, 2, 3)}
KT = BOLTZMANN * 300.0 / KJ_MOL


def beads(seed=0, frames=60, n=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, n, 3, dtype=torch.float64, generator=generator)


def model_of(terms, n=6, coefficients=None, masses=12.0):
    size = sum(term.size for term in terms)
    if coefficients is None:
        coefficients = np.random.default_rng(1).normal(size=(3, size))
    names, masses = tuple(f"B{k}" for k in range(n)), np.full(n, masses)
    return LinearModel(names, masses, tuple(terms), coefficients, 3, {})


def spline_of(basis, function):
    """Coefficients of a function that the spline holds."""
    q = torch.linspace(basis.start, basis.stop, 200, dtype=torch.float64)
    return torch.linalg.lstsq(basis.dense(q)[0], function(q).unsqueeze(1)).solution[:, 0]


def evaluate(system, x, platform="Reference"):
    """Energies and forces of frames."""
    integrator = openmm.VerletIntegrator(0.001)
    kind = openmm.Platform.getPlatformByName(platform)
    context = openmm.Context(system, integrator, kind)
    energies, forces = [], []
    for frame in x.numpy():
        context.setPositions(frame)
        state = context.getState(getEnergy=True, getForces=True)
        energies.append(state.getPotentialEnergy()._value)
        forces.append(state.getForces(asNumpy=True)._value)
    return np.array(energies), np.array(forces)


def assert_equal(system, model, x, tolerance, replicate=0, platform="Reference"):
    """To a share of the spread of energies, and of the rms force."""
    energy, forces = evaluate(system, x, platform)
    expected = model.energy(x, replicate=replicate).numpy()
    assert np.abs(energy - expected).max() < tolerance * expected.std()
    expected = model.forces(x, replicate=replicate).numpy()
    rms = math.sqrt(np.square(forces - expected).mean() / np.square(expected).mean())
    assert rms < tolerance


@pytest.mark.parametrize("term", TERMS, ids=lambda t: t.name)
def test_energies_and_forces_are_those_of_each_term(term):
    model = model_of([term])
    (force,) = linear_forces_openmm(model)
    assert force.getName() == term.name
    assert not force.usesPeriodicBoundaryConditions()
    tolerance = TOLERANCES.get(term.name, 1e-9)
    for platform in ("Reference", "CPU"):
        assert_equal(linear_system(model), model, beads(), tolerance, platform=platform)


def test_systems_are_of_a_replicate_and_go_through_xml(tmp_path):
    model, x, box = model_of(TERMS), beads(frames=10), np.diag([3.0, 4.0, 5.0])
    model.save(tmp_path / "model.safetensors")
    back = load_linear(tmp_path / "model.safetensors")
    text = openmm.XmlSerializer.serialize(linear_system(back, box, replicate=2))
    again = openmm.XmlSerializer.deserialize(text)
    assert_equal(again, model, x, 1e-4, replicate=2)
    assert (model.energy(x, replicate=2) - model.energy(x)).abs().min() > 1e-2
    assert [force.getName() for force in again.getForces()] == [t.name for t in TERMS]
    rows = again.getDefaultPeriodicBoxVectors()
    np.testing.assert_array_equal([r.value_in_unit(unit.nanometer) for r in rows], box)


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("lean", [0.0, 80.0, -80.0])
def test_beyond_the_range_a_potential_drives_back(kind, lean):
    """Where the fit falls off its slope is not kept; where it rises it is."""
    basis = Spline(1.2, 1.8, 6)
    term = Bonded("q", kind, (PLACES[kind],), basis)
    c = spline_of(basis, lambda q: lean * (q - 1.5) - 90 * (q - 1.5) ** 2)
    grid = torch.linspace(0.31, 2.89, 259, dtype=torch.float64)
    energy, forces = evaluate(
        linear_system(model_of([term], 4, c[None].numpy())), placed(kind, grid)
    )
    ends = torch.tensor([1.2, 1.8], dtype=torch.float64)
    value, slope = (part @ c for part in basis.dense(ends))
    inside = (grid >= 1.2) & (grid <= 1.8)
    below, above = (1.2 - grid).clamp(min=0), (grid - 1.8).clamp(min=0)
    expected = torch.where(
        inside, basis.dense(grid)[0] @ c, torch.where(grid < 1.2, value[0], value[1])
    )
    expected -= slope[0].clamp(max=0) * below - slope[1].clamp(min=0) * above
    expected += 0.5 * STIFFNESS[kind] * (below**2 + above**2)
    np.testing.assert_allclose(energy, expected, rtol=1e-9, atol=1e-8)
    step = 1e-6
    along = (placed(kind, grid + step) - placed(kind, grid - step)).numpy() / (2 * step)
    pull = (forces * along).sum((1, 2))
    assert (pull[grid < 1.199] > 0).all()
    assert (pull[grid > 1.801] < 0).all()


def test_where_coordinates_were_not_seen_the_fit_is_not_trusted():
    """From the knots next to the range on; an end at zero stays one."""
    grid = torch.linspace(0.05, 2.25, 221, dtype=torch.float64)
    x = placed("distance", grid)
    for ends in ("free", "zero"):
        model = model_of([Bonded("q", "distance", ((0, 1),), Spline(0, 2, 20, ends))], 4)
        energy, _ = evaluate(linear_system(model, ranges={"q": (0.53, 1.37)}), x)
        fitted = model.energy(x).numpy()
        trusted = (grid > 0.5) & (grid < (1.4 if ends == "free" else 3.0))
        np.testing.assert_allclose(energy[trusted], fitted[trusted], atol=1e-9)
        assert (np.diff(energy[grid < 0.5]) < 0).all()
        assert energy[0] - energy[45] > 0.45 * STIFFNESS["distance"] * 0.45**2
        if ends == "free":
            assert (np.diff(energy[grid > 1.4]) > 0).all()


def test_walls_are_not_passed():
    """Behind the wall as below the shortest distance; beyond an end at zero nothing."""
    basis = Spline(0.1, 2.0, 8, "zero")
    walls = Wall("low", (0,), basis, 1.0), Wall("high", (1,), basis, 9.0, -1)
    model = model_of(walls, 2, np.tile(np.random.default_rng(2).normal(size=8), (1, 2)))
    gap = torch.tensor([-0.4, 0.05, 0.6, 1.9, 2.1, 3.0], dtype=torch.float64)
    x = torch.zeros(6, 2, 3, dtype=torch.float64)
    x[:, 0, 2], x[:, 1, 2] = 1.0 + gap, 9.0 - gap
    _, forces = evaluate(linear_system(model), x)
    np.testing.assert_allclose(forces[:, 0], -forces[:, 1], atol=1e-8)
    assert not forces[:, :, :2].any()
    assert not forces[4:].any()
    assert (forces[:2, 0, 2] > STIFFNESS["distance"] * np.array([0.49, 0.04])).all()
    np.testing.assert_allclose(forces[2:], model.forces(x)[2:], rtol=1e-9)


@pytest.mark.parametrize("edges", [None, [[3.0, 0, 0], [0.4, 3.1, 0], [-0.3, 0.2, 2.9]]])
def test_pairs_of_species_have_their_forces(edges):
    """In the open and between nearest images; beads of a bond are left out."""
    species = tuple("ABACB" * 4)
    term = Pairs(species, Spline(0.0, 1.3, 13, "zero"), ((0, 1), (1, 0), (7, 3)))
    model = model_of([term], 20)
    box = None if edges is None else np.array(edges)
    system = linear_system(model, box)
    names = [force.getName() for force in system.getForces()]
    assert names == [f"pairs {pair}" for pair in term.pairs]
    x = 1.2 * beads(4, 10, 20)
    boxes = None if box is None else torch.from_numpy(box).expand(10, 3, 3)
    expected = model.forces(x, boxes).numpy()
    for platform, tolerance in (("Reference", 1e-9), ("CPU", 1e-4)):
        energy, forces = evaluate(system, x, platform)
        rms = math.sqrt(np.square(forces - expected).mean())
        assert rms < tolerance * math.sqrt(np.square(expected).mean())
        np.testing.assert_allclose(energy, model.energy(x, boxes), atol=tolerance * 10)


def test_pairs_are_driven_apart_where_none_were_seen():
    species, basis = ("A", "B", "A", "B"), Spline(0.0, 1.0, 10, "zero")
    model = model_of([Pairs(species, basis)], 4)
    x = torch.zeros(3, 4, 3, dtype=torch.float64)
    x[:, 1, 0], x[:, 2:, 1] = torch.tensor([0.1, 0.25, 0.6]), 5.0
    x[:, 3, 0] = 2.0
    model = replace(model, ranges={"pairs A-B": (0.31, 0.9)})
    _, forces = evaluate(linear_system(model), x)
    assert (forces[:2, 1, 0] > STIFFNESS["distance"] * np.array([0.19, 0.04])).all()
    np.testing.assert_allclose(forces[2], model.forces(x)[2], rtol=1e-9)
    _, trusted = evaluate(linear_system(model, ranges={}), x)
    np.testing.assert_allclose(trusted, model.forces(x), rtol=1e-9, atol=1e-9)


class Spring:
    """A term that OpenMM is not told of."""

    name, size = "spring", 1


def test_what_is_not_known_is_refused():
    with pytest.raises(InputError, match="Bonded, Torsions, Wall, Pairs or LocalDensity"):
        linear_forces_openmm(model_of([Spring()]))
    with pytest.raises(InputError, match="bonds"):
        linear_system(model_of(TERMS), ranges={"bonds": (0.1, 0.2)})


CHAINS = 16
BOND, BEND = Spline(0.2, 0.6, 20), Spline(0.5, math.pi, 12)


def chains():
    """Chains of five beads: harmonic bonds and angles, a map of their two dihedrals.

    The map is 2 cos(phi) + 2 cos(phi - psi), kJ/mol.
    """
    first = [5 * k for k in range(CHAINS)]
    bonds = tuple((a + k, a + k + 1) for a in first for k in range(4))
    angles = tuple((a + k, a + k + 1, a + k + 2) for a in first for k in range(3))
    sides = tuple(((a, a + 1, a + 2, a + 3), (a + 1, a + 2, a + 3, a + 4)) for a in first)
    terms = (
        Bonded("bond", "distance", bonds, BOND),
        Bonded("angle", "angle", angles, BEND),
        Torsions("map", sides, 1),
    )
    c = torch.cat([
        spline_of(BOND, lambda r: 0.5 * 8e3 * (r - 0.38) ** 2),
        spline_of(BEND, lambda q: 0.5 * 100.0 * (q - 1.9) ** 2),
        torch.tensor([0.0, 0, 2, 2, 0, 0, 0, 2], dtype=torch.float64),
    ])  # fmt: skip
    return model_of(terms, 5 * CHAINS, c[None].numpy(), 50.0)


@pytest.fixture(scope="module")
def run():
    """As a user runs a linear model; frames as those of any other run."""
    model, zigzag = chains(), np.array([0, 0, 1, 1, 0.0])
    x = np.zeros((CHAINS, 5, 3))
    x[..., 0], x[..., 1], x[..., 2] = 0.3 * np.arange(5), 0.2 * zigzag, 0.1 * zigzag[::-1]
    settings = MDSettings(300.0, 1e-14, 5e12, 3)
    start = MDState(x.reshape(-1, 3), 10 * np.eye(3))
    return model, run_segments(
        linear_system(model), model.beads, start, settings, n_steps=4_000, stride=50,
        segment_steps=4_000, source="linear model",
    )  # fmt: skip


def test_frames_of_a_run_have_the_forces_of_the_model(run):
    model, trajectory = run
    kept = trajectory.frames.isel(frame=slice(20, None, 10))
    x = torch.from_numpy(kept["positions"].values / NM)
    forces = kept["forces"].values / (KJ_MOL / NM)
    expected = model.forces(x).numpy()
    error = np.square(forces - expected).mean() / np.square(expected).mean()
    assert math.sqrt(error) < 1e-5
    np.testing.assert_allclose(kept["energy"].values / KJ_MOL, model.energy(x), rtol=1e-5)


def test_a_run_samples_the_boltzmann_distribution(run):
    """Bonds, angles and the map are independent: their moments follow by quadrature."""
    model, trajectory = run
    frames = trajectory.frames.isel(frame=slice(20, None))
    kinetic = trajectory.total_energy[20:] - frames["energy"].values
    heat = kinetic.mean() / (1.5 * 5 * CHAINS * BOLTZMANN * 300.0)
    # Of independent momenta, forgotten within two frames.
    assert abs(heat - 1) < 4 * math.sqrt(2 * 2 / (15 * CHAINS * len(kinetic)))
    x = torch.from_numpy(frames["positions"].values / NM)
    bond, angle, _ = model.terms
    c = model.parts()
    r, theta = (t.coordinates(x)[0].reshape(len(x), CHAINS, -1) for t in (bond, angle))
    for q, basis, part, power in ((r, BOND, c[0], 2), (theta, BEND, c[1], 0)):
        grid = torch.linspace(basis.start, basis.stop, 4001, dtype=torch.float64)
        weight = torch.exp(-(basis.dense(grid)[0] @ part) / KT)
        weight = weight * (grid**2 if power else grid.sin())
        mean = float((weight * grid).sum() / weight.sum())
        variance = float((weight * (grid - mean) ** 2).sum() / weight.sum())
        assert_mean(q, mean)
        assert_mean((q - mean) ** 2, variance)
    assert_mean(*correlation(model, x))


def correlation(model, x):
    """Of the dihedrals: cos(phi - psi) of each chain, and its expectation."""
    side = [Bonded("", "dihedral", s, Fourier(1))
            for s in zip(*model.terms[2].beads, strict=True)]  # fmt: skip
    phi, psi = (s.coordinates(x)[0] for s in side)
    grid = torch.arange(360, dtype=torch.float64) * (math.tau / 360)
    one, two = grid[:, None], grid[None]
    energy = 2 * (one.cos() + (one - two).cos())
    weight = torch.exp(-energy / KT)
    return (phi - psi).cos(), float((weight * (one - two).cos()).sum() / weight.sum())


def assert_mean(samples, expected):
    """Within four standard errors, from chains, which are independent."""
    each = samples.mean(0).reshape(CHAINS, -1).mean(1)
    assert abs(each.mean() - expected) < 4 * each.std() / math.sqrt(CHAINS)
