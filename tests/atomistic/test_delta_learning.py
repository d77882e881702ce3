"""A baseline subtracted in training is added in use, and no other."""

import functools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import openmm
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential
from potentials import CUTOFF, frames, molecules, untrained

from mesobridge.atomistic.calculators import OpenMMCalculator, mace, xtb
from mesobridge.atomistic.oracle import label
from mesobridge.atomistic.potential import (
    CalculatorPotential,
    MesobridgeCalculator,
    TrainingSettings,
    errors,
    load_potential,
    save_potential,
    train,
    without_baseline,
)
from mesobridge.core.artefact import read_dataset, sha256, write_dataset
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.units import ANGSTROM

PAIRS = functools.partial(LennardJones, sigma=1.2, epsilon=0.2, rc=CUTOFF, smooth=True)
#: The truth: the pair potential and a smaller, softer part that is to be learned.
SOFT = functools.partial(
    MorsePotential, epsilon=0.05, r0=2.0, rho0=2.0, rcut1=3.0, rcut2=CUTOFF
)
SETTINGS = TrainingSettings(
    ("O", "H"), CUTOFF * ANGSTROM, channels=6, radial=6, hidden=16, steps=150, seed=2
)


def labels(n, seed):
    rng = np.random.default_rng(seed)
    x, symbols, box = molecules(8)
    many = [x + rng.normal(0, 0.06, x.shape) for _ in range(n)]
    parts = [
        [CalculatorPotential(c).evaluate(x, symbols, box, stress=False) for x in many]
        for c in (PAIRS, SOFT)
    ]
    energy = [a.energy + b.energy for a, b in zip(*parts, strict=True)]
    forces = [a.forces + b.forces for a, b in zip(*parts, strict=True)]
    return frames(many, symbols, box, "TTT", energy, forces)


class Slow(LennardJones):
    """Waits between keeping atoms and using them."""

    def calculate(self, atoms=None, *args, **more):
        self.atoms = atoms
        time.sleep(0.001)
        super().calculate(self.atoms, *args, **more)


def test_threads_take_turns_with_a_calculator():
    shared = CalculatorPotential(Slow(sigma=1.2, epsilon=0.2, rc=CUTOFF))
    x, symbols, box = molecules(8)
    systems = [x, x * 1.02]
    wanted = [shared.evaluate(x, symbols, box, stress=False) for x in systems]

    def equal(k):
        found = shared.evaluate(systems[k % 2], symbols, box, stress=False)
        return np.array_equal(found.forces, wanted[k % 2].forces)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(equal, range(40)))


@pytest.fixture(scope="module")
def sets():
    return labels(12, 0), labels(6, 1)


@pytest.fixture(scope="module")
def delta(sets, tmp_path_factory):
    """File trained on what is left after the pairs."""
    left = [without_baseline(ds, PAIRS(), source="pairs") for ds in sets]
    path = tmp_path_factory.mktemp("p") / "delta.safetensors"
    save_potential(path, train([left[0]], [left[1]], SETTINGS), {})
    return path


def test_a_good_baseline_leaves_less_to_learn(sets, delta, tmp_path):
    """Whole labels, twelve frames: the error falls with what was left."""
    direct = tmp_path / "direct.safetensors"
    save_potential(direct, train([sets[0]], [sets[1]], SETTINGS), {})
    without = errors(load_potential(direct), [sets[1]])
    with_it = errors(load_potential(delta, baseline=PAIRS), [sets[1]])
    assert with_it["force_rmse"] < 0.3 * without["force_rmse"]


def test_use_adds_what_training_subtracted(sets, delta):
    ds = sets[1]
    together = load_potential(delta, baseline=PAIRS())
    alone = load_potential(delta, baseline="engine")
    x, box = ds["positions"].values[0] / ANGSTROM, ds["box"].values[0] / ANGSTROM
    symbols = list(ds["species"].values)
    atoms = Atoms(symbols, x, cell=box, pbc=True)
    atoms.calc = MesobridgeCalculator(delta, baseline=PAIRS)
    pairs = CalculatorPotential(PAIRS).evaluate(x, symbols, box)
    both, net = (p.evaluate(x, symbols, box) for p in (together, alone))
    assert both.energy == pytest.approx(net.energy + pairs.energy, abs=1e-9)
    np.testing.assert_allclose(both.forces, net.forces + pairs.forces, atol=1e-9)
    np.testing.assert_allclose(both.stress, net.stress + pairs.stress, atol=1e-12)
    assert atoms.get_potential_energy() == pytest.approx(both.energy, abs=1e-5)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), both.stress, atol=1e-7)
    (many,) = together.evaluate_many([x], symbols, box)
    assert many.energy == pytest.approx(both.energy, abs=1e-5)
    assert both.energies is None
    assert net.energies.sum() == pytest.approx(net.energy)


def test_the_file_cannot_be_used_by_mistake(delta, tmp_path):
    with pytest.raises(SchemaError, match="(?s)only what is left.*pairs"):
        load_potential(delta)
    with pytest.raises(SchemaError, match="only what is left"):
        MesobridgeCalculator(delta)
    other = functools.partial(PAIRS, epsilon=0.21)
    with pytest.raises(SchemaError, match="(?s)another baseline.*pairs"):
        load_potential(delta, baseline=other)
    plain = untrained(tmp_path / "plain.safetensors")
    with pytest.raises(SchemaError, match="without a baseline"):
        load_potential(plain, baseline=PAIRS)
    header = load_potential(delta, baseline="engine").header
    assert header["baseline"]["source"] == "pairs"
    assert json.dumps(header["baseline"])


def test_frames_keep_their_baseline(sets, tmp_path):
    """Through files, in any order, and never two of them."""
    left = without_baseline(sets[0], PAIRS(), source="pairs")
    write_dataset(left, tmp_path / "left.nc", "frames/1")
    again = read_dataset(tmp_path / "left.nc", "frames/1")
    result = train([again.isel(frame=[5, 2, 7])], [left], replace_steps(1))
    assert result.baseline["source"] == "pairs"
    with pytest.raises(SchemaError, match="subtracted from these labels before"):
        without_baseline(left, SOFT(), source="soft")
    with pytest.raises(SchemaError, match="different baselines"):
        train([left], [sets[0]], replace_steps(1))


def replace_steps(n):
    return replace(SETTINGS, steps=n)


def test_another_potential_and_an_openmm_system_are_baselines(sets, tmp_path):
    ds = sets[1].isel(frame=slice(0, 3))
    first = MesobridgeCalculator(untrained(tmp_path / "first.safetensors", scale=0.1))
    for baseline in (first, OpenMMCalculator(springs(ds.sizes["atom"]))):
        left = without_baseline(ds, baseline, source="first")
        result = train([left], [left], replace_steps(2))
        path = tmp_path / "second.safetensors"
        save_potential(path, result, {})
        used = load_potential(path, baseline=baseline)
        alone = errors(load_potential(path, baseline="engine"), [left])
        together = errors(used, [ds])
        assert together["force_rmse"] == pytest.approx(alone["force_rmse"], rel=1e-5)


def springs(n):
    """Bonds between successive particles, 500 kJ/mol/nm2 and 0.1 nm."""
    system, bonds = openmm.System(), openmm.HarmonicBondForce()
    bonds.setUsesPeriodicBoundaryConditions(True)
    for i in range(n):
        system.addParticle(1.0)
        if i:
            bonds.addBond(i - 1, i, 0.1, 500.0)
    system.addForce(bonds)
    system.setDefaultPeriodicBoxVectors(*np.eye(3))
    return system


def test_an_openmm_system_as_calculator():
    """A spring by hand; stress against the derivative by hand."""
    atoms = Atoms("H2", [[1, 1, 1], [1, 1, 2.5]], cell=[8, 9, 10], pbc=True)
    atoms.calc = OpenMMCalculator(springs(2))
    unit = 0.01036427  # eV per kJ/mol
    assert atoms.get_potential_energy() == pytest.approx(250 * 0.05**2 * unit, rel=1e-5)
    force = 500 * 0.05 * unit / 10
    assert atoms.get_forces()[1, 2] == pytest.approx(-force, rel=1e-4)
    assert atoms.get_stress()[2] == pytest.approx(force * 1.5 / 720, rel=1e-3)
    with pytest.raises(InputError, match="do not fit"):
        OpenMMCalculator(springs(3)).get_potential_energy(atoms)


def test_stress_labels_need_a_baseline_with_stress(sets):
    class Bare:
        implemented_properties = ("energy", "forces")

        def get_potential_energy(self, atoms):
            return 0.0

        def get_forces(self, atoms):
            return np.zeros((len(atoms), 3))

        def get_stress(self, atoms):
            raise NotImplementedError

    ds = label(sets[0].isel(frame=slice(0, 2)), PAIRS(), source="pairs")
    with pytest.raises(SchemaError, match="baseline has no stress"):
        without_baseline(ds, Bare(), source="nothing")
    without_baseline(ds.drop_vars("stress"), Bare(), source="nothing")


def test_xtb_binds_water_or_says_what_is_missing():
    atoms = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    if find_spec("tblite") is None:
        with pytest.raises(InputError, match="mesobridge\\[xtb\\]"):
            xtb()
        return
    atoms.calc = xtb()
    # -5.07 Hartree, of tblite's own documentation of GFN2-xTB.
    assert atoms.get_potential_energy() == pytest.approx(-5.07 * 27.2114, abs=0.3)


def test_a_mace_file_must_be_trusted(tmp_path):
    path = tmp_path / "mace.model"
    path.write_bytes(b"a pickle that must not be opened")
    with pytest.raises(InputError, match="not the model you trust"):
        mace(path, trust="sha256:" + 64 * "0")
    with pytest.raises(InputError, match="no file"):
        mace(tmp_path / "none", trust="sha256:" + 64 * "0")
    if find_spec("mace") is None:
        with pytest.raises(InputError, match="mesobridge\\[mace\\]"):
            mace(path, trust="sha256:" + sha256(path))
