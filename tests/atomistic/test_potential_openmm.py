"""A potential in OpenMM: multiple time steps, pressure, checkpoints, serialisation."""

import functools
import io

import numpy as np
import openmm
import pytest
from ase.calculators.lj import LennardJones
from potentials import molecules, untrained

from mesobridge.atomistic.potential import (
    CalculatorPotential,
    load_potential,
    to_openmm,
)
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.units import EV, KJ_MOL

ARGON = functools.partial(LennardJones, sigma=3.4, epsilon=0.0104, rc=8.0, smooth=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Weak: a perturbation of what the native forces do."""
    return untrained(tmp_path_factory.mktemp("p") / "p.safetensors", scale=0.02)


def argon_of_openmm():
    """Lennard-Jones with a group of its own, the reference's constants, nm and kJ/mol."""
    force = openmm.CustomNonbondedForce("4*e*((s/r)^12-(s/r)^6); e=1.0034; s=0.34")
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(0.65)
    force.setUseSwitchingFunction(True)
    force.setSwitchingDistance(0.6)
    force.setUseLongRangeCorrection(False)
    return force


def argon(*forces, edge=4, spacing=4.3):
    """A system of argon with the forces given, and positions on a grid (nm)."""
    system = openmm.System()
    positions = np.indices((edge,) * 3).reshape(3, -1).T * spacing / 10
    for _ in positions:
        system.addParticle(39.9)
        for force in forces:
            if isinstance(force, openmm.CustomNonbondedForce):
                force.addParticle([])
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * edge * spacing / 10))
    for force in forces:
        system.addForce(force)
    noise = np.random.default_rng(0).normal(0, 0.01, positions.shape)
    return system, positions + noise


def start(system, positions, integrator, platform="CPU"):
    options = {"Threads": "1"} if platform == "CPU" else {}
    context = openmm.Context(
        system, integrator, openmm.Platform.getPlatformByName(platform), options
    )
    context.setPositions(positions)
    context.setVelocitiesToTemperature(90.0, 1)
    return context


def energy_and_forces(context, groups=-1):
    state = context.getState(getEnergy=True, getForces=True, groups=groups)
    energy = state.getPotentialEnergy()._value * KJ_MOL / EV
    return energy, state.getForces(asNumpy=True)._value * KJ_MOL / EV / 10


def test_groups_hold_their_own_force(path):
    symbols = ["O"] * 64
    system, x = argon(argon_of_openmm(), to_openmm(path, symbols, force_group=1))
    context = start(system, x, openmm.VerletIntegrator(0.002))
    box = np.eye(3) * 17.2
    expected = load_potential(path).evaluate(10 * x, symbols, box)
    energy, forces = energy_and_forces(context, {1})
    assert energy == pytest.approx(expected.energy, abs=1e-5)
    np.testing.assert_allclose(forces, expected.forces, atol=1e-5)
    native, _ = energy_and_forces(context, {0})
    assert energy_and_forces(context)[0] == pytest.approx(native + energy, abs=1e-4)


@pytest.mark.parametrize("cell", ["wrapped", "unwrapped"])
def test_images_do_not_matter(path, cell):
    x, symbols, box = molecules()
    system = openmm.System()
    for _ in symbols:
        system.addParticle(6.0)
    system.setDefaultPeriodicBoxVectors(*(box / 10))
    system.addForce(to_openmm(path, symbols))
    moved = x + np.random.default_rng(1).integers(-2, 3, x.shape) @ box
    if cell == "wrapped":
        moved = np.mod(x, np.diag(box))
    context = start(system, moved / 10, openmm.VerletIntegrator(0.001), "Reference")
    energy, forces = energy_and_forces(context)
    expected = load_potential(path).evaluate(x, symbols, box)
    assert energy == pytest.approx(expected.energy, abs=1e-5)
    np.testing.assert_allclose(forces, expected.forces, atol=1e-5)


def test_a_molecule_in_vacuum(path):
    x, symbols, _ = molecules(1)
    system = openmm.System()
    for _ in symbols:
        system.addParticle(6.0)
    system.addForce(to_openmm(path, symbols, pbc="FFF"))
    context = start(system, x / 10, openmm.VerletIntegrator(0.001), "Reference")
    expected = load_potential(path).evaluate(x, symbols, np.zeros((3, 3)), (False,) * 3)
    assert energy_and_forces(context)[0] == pytest.approx(expected.energy, abs=1e-6)


def test_multiple_time_steps(path):
    """Ours once for two native steps: the total energy stays, the heat bath is met."""
    symbols = ["O"] * 64
    system, x = argon(argon_of_openmm(), to_openmm(path, symbols, force_group=1))
    context = start(system, x, openmm.MTSIntegrator(0.008, [(1, 1), (0, 2)]))
    energies = []
    for _ in range(80):
        context.getIntegrator().step(1)
        state = context.getState(getEnergy=True)
        energies.append(
            (state.getPotentialEnergy()._value, state.getKineticEnergy()._value)
        )
    potential, kinetic = np.array(energies).T
    assert np.std(potential + kinetic) < 0.02 * np.std(kinetic)
    bath = openmm.MTSLangevinIntegrator(90.0, 20.0, 0.004, [(1, 1), (0, 2)])
    bath.setRandomNumberSeed(7)
    context = start(system, x, bath)
    bath.step(60)
    heat = []
    for _ in range(100):
        bath.step(2)
        heat.append(context.getState(getEnergy=True).getKineticEnergy()._value)
    # 192 degrees of freedom, correlated over about six samples: 2.5 % standard error.
    temperature = 2 * np.mean(heat) / (192 * 8.314e-3)
    assert temperature == pytest.approx(90.0, rel=0.1)


def test_single_precision_resolves_a_barostat(path):
    """Energy differences of volume moves, against those in double precision."""
    x, symbols, box = molecules(27)
    single, double = load_potential(path), load_potential(path)
    double.model.double()
    differences = []
    for k in range(20):
        scale = 1 + 1e-4 * (k + 1)
        differences.append(
            [
                p.evaluate(scale * x, symbols, scale * box).energy
                - p.evaluate(x, symbols, box).energy
                for p in (single, double)
            ]
        )
    single, double = np.array(differences).T
    assert np.ptp(double) > 5e-4
    assert np.abs(single - double).max() < 1e-3 * 0.0257  # kT at 298 K


@pytest.mark.slow
def test_constant_pressure(path):
    """Liquid argon with our perturbation has the density of liquid argon."""
    density = []
    for ours in (False, True):
        forces = [argon_of_openmm()] + ([to_openmm(path, ["O"] * 64)] if ours else [])
        system, x = argon(*forces, spacing=3.9)
        barostat = openmm.MonteCarloBarostat(200.0, 90.0, 5)
        barostat.setRandomNumberSeed(3)
        system.addForce(barostat)
        integrator = openmm.LangevinMiddleIntegrator(90.0, 5.0, 0.01)
        integrator.setRandomNumberSeed(4)
        context = start(system, x, integrator)
        integrator.step(300)
        volume = []
        for _ in range(100):
            integrator.step(5)
            box = context.getState().getPeriodicBoxVectors(asNumpy=True)._value
            volume.append(np.linalg.det(box))
        density.append(64 * 39.9 / np.mean(volume) / 602.2)
    # 1.4 g/cm3 at 90 K; the short cut-off without tails makes it a tenth thinner.
    assert density[0] == pytest.approx(1.33, rel=0.08)
    assert density[1] == pytest.approx(density[0], rel=0.08)


def test_checkpoint_round_trip(path):
    symbols = ["O"] * 64
    system, x = argon(argon_of_openmm(), to_openmm(path, symbols))
    integrator = openmm.LangevinMiddleIntegrator(90.0, 1.0, 0.005)
    integrator.setRandomNumberSeed(1)
    context = start(system, x, integrator, "Reference")
    integrator.step(5)
    stored = context.createCheckpoint()
    runs = []
    for _ in range(2):
        context.loadCheckpoint(stored)
        integrator.step(10)
        state = context.getState(getPositions=True)
        runs.append(state.getPositions(asNumpy=True)._value)
    np.testing.assert_allclose(runs[1], runs[0], atol=1e-6)


def test_a_calculator_moves_atoms_and_serialises():
    force = to_openmm(ARGON, ["Ar"] * 64)
    system, x = argon(force)
    copy = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    expected = CalculatorPotential(ARGON()).evaluate(
        10 * x, ["Ar"] * 64, np.eye(3) * 17.2
    )
    for each in (system, copy):
        context = start(each, x, openmm.VerletIntegrator(0.002), "Reference")
        energy, forces = energy_and_forces(context)
        assert energy == pytest.approx(expected.energy, abs=1e-6)
        np.testing.assert_allclose(forces, expected.forces, atol=1e-6)


def test_serialised_with_a_baseline(tmp_path):
    x, symbols, box = molecules()
    pair = functools.partial(LennardJones, sigma=1.6, epsilon=0.01, rc=3.0, smooth=True)
    energy = CalculatorPotential(pair).evaluate(x, symbols, box).energy
    record = {
        "source": "pairs", "species": symbols, "positions": x.tolist(),
        "box": box.tolist(), "pbc": [True] * 3, "energy": energy,
    }  # fmt: skip
    path = untrained(tmp_path / "p.safetensors", baseline=record)
    force = to_openmm(path, symbols, baseline=pair, force_group=2)
    text = openmm.XmlSerializer.serialize(force)
    system = openmm.System()
    for _ in symbols:
        system.addParticle(6.0)
    system.setDefaultPeriodicBoxVectors(*(box / 10))
    system.addForce(openmm.XmlSerializer.deserialize(text))
    assert system.getForce(0).getForceGroup() == 2
    context = start(system, x / 10, openmm.VerletIntegrator(0.001), "Reference")
    alone = load_potential(path, baseline="engine").evaluate(x, symbols, box).energy
    assert energy_and_forces(context)[0] == pytest.approx(alone + energy, abs=1e-4)
    with pytest.raises(SchemaError, match="only what is left"):
        to_openmm(path, symbols)


@pytest.mark.parametrize("pbc", ["ttt", "TT", "TTTT", "xyz", (True, True, True)])
def test_periodic_directions_are_letters(path, pbc):
    """Whatever is no T would not repeat, and nobody would notice."""
    with pytest.raises(InputError, match="periodic directions"):
        to_openmm(path, ["O"], pbc=pbc)


def test_what_is_no_calculator_is_told():
    system, x = argon(to_openmm(io.StringIO, ["Ar"] * 64))
    with pytest.raises(openmm.OpenMMException, match="no ASE calculator"):
        energy_and_forces(start(system, x, openmm.VerletIntegrator(0.002), "Reference"))
    with pytest.raises(InputError, match="no ASE calculator"):
        CalculatorPotential(lambda: 3)
