"""A potential in ASE, in batches, with kept neighbour lists and compiled."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list
from potentials import CUTOFF, molecules, untrained

from mesobridge.atomistic.potential import (
    MesobridgeCalculator,
    Potential,
    VerletList,
    load_potential,
)
from mesobridge.atomistic.potential.neighbours import near_pairs
from mesobridge.core.artefact import read_model, write_model
from mesobridge.core.errors import InputError, SchemaError

ALL = (True, True, True)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("p") / "p.safetensors", scale=0.3)


@pytest.fixture(scope="module")
def potential(path):
    """In double precision."""
    loaded = load_potential(path)
    return Potential(loaded.model.double(), loaded.species, loaded.header)


def water(pbc=True):
    x, symbols, box = molecules()
    return Atoms(symbols, x, cell=box, pbc=pbc)


def test_calculator_gives_what_the_potential_gives(potential):
    atoms = water()
    atoms.calc = MesobridgeCalculator(potential)
    expected = potential.evaluate(atoms.positions, atoms.symbols, atoms.cell.array)
    assert atoms.get_potential_energy() == pytest.approx(expected.energy, abs=1e-10)
    assert atoms.get_potential_energies().sum() == pytest.approx(expected.energy)
    np.testing.assert_allclose(atoms.get_forces(), expected.forces, atol=1e-10)
    stress = atoms.get_stress(voigt=False)
    np.testing.assert_allclose(stress, expected.stress, atol=1e-12)


def test_calculator_keeps_results_until_atoms_change(potential, monkeypatch):
    atoms, calls = water(), []
    calculator = atoms.calc = MesobridgeCalculator(potential)
    calculate = calculator.calculate
    monkeypatch.setattr(
        calculator, "calculate", lambda *a: (calls.append(1), calculate(*a))
    )
    before = atoms.get_potential_energy()
    atoms.get_forces()
    atoms.get_stress()
    assert len(calls) == 1
    atoms.positions[0, 0] += 0.1
    assert atoms.get_potential_energy() != before
    assert len(calls) == 2


def test_calculator_conserves_energy(potential):
    atoms = water()
    atoms.calc = MesobridgeCalculator(potential)
    rng = np.random.default_rng(1)
    atoms.set_velocities(rng.normal(0, 0.01, (len(atoms), 3)))
    change = {}
    for step in (0.2, 0.1):
        moving = atoms.copy()
        moving.calc = MesobridgeCalculator(potential)
        energies = []
        dynamics = VelocityVerlet(moving, step * units.fs)
        dynamics.attach(lambda a=moving, e=energies: e.append(a.get_total_energy()))
        dynamics.run(round(6 / step))
        change[step] = np.std(energies)
    # The shadow energy's distance shrinks with the square of the step.
    assert change[0.2] / change[0.1] == pytest.approx(4, rel=0.25)


def test_small_cells_are_their_supercells(potential):
    """One molecule in a cell much smaller than the cut-off, skewed; slabs and wires."""
    x, symbols, _ = molecules(1)
    cell = np.array([[3.1, 0, 0], [0.7, 2.9, 0], [-0.4, 0.5, 3.3]])
    for pbc, repeat in ((ALL, (2, 2, 2)), ((1, 1, 0), (3, 3, 1)), ((0, 0, 1), (1, 1, 3))):
        small = Atoms(symbols, x, cell=cell, pbc=pbc)
        large = small * repeat
        small.calc, large.calc = (MesobridgeCalculator(potential) for _ in range(2))
        n = np.prod(repeat)
        energy = n * small.get_potential_energy()
        assert large.get_potential_energy() == pytest.approx(energy, abs=1e-9)
        forces = np.tile(small.get_forces(), (n, 1))
        np.testing.assert_allclose(large.get_forces(), forces, atol=1e-10)
        if pbc == ALL:
            np.testing.assert_allclose(small.get_stress(), large.get_stress(), atol=1e-10)


def test_a_molecule_needs_no_cell(potential):
    atoms = water(False)
    atoms.calc = MesobridgeCalculator(potential)
    boxed = atoms.get_potential_energy()
    atoms.cell[:] = 0
    assert atoms.get_potential_energy() == pytest.approx(boxed, abs=1e-12)
    assert np.abs(atoms.get_forces().sum(0)).max() < 1e-12
    with pytest.raises(PropertyNotImplementedError, match="without volume"):
        atoms.calc.get_property("stress", atoms)


def test_calculator_refuses_what_it_cannot_do(path, potential, tmp_path):
    with pytest.raises(InputError, match="no file"):
        MesobridgeCalculator(tmp_path / "none.safetensors")
    atoms = Atoms("OArH", np.eye(3), calculator=MesobridgeCalculator(path))
    with pytest.raises(SchemaError, match="(?s)does not know.*got: *Ar"):
        atoms.get_potential_energy()
    atoms = water()
    atoms.calc = MesobridgeCalculator(path)
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(InputError, match="at the same place"):
        atoms.get_forces()
    atoms.positions[1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        atoms.get_forces()


def test_species_that_do_not_fit_are_told(potential):
    x, symbols, box = molecules()
    atomic = [{"O": 8, "H": 1}[s] for s in symbols]
    for wrong in (atomic, np.full(len(x), -1)):
        with pytest.raises(SchemaError, match="(?s)does not know.*atomic numbers"):
            potential.evaluate(x, wrong, box)
    for species in (symbols[:-1], symbols * 2, []):
        with pytest.raises(InputError, match="positions and species do not fit"):
            potential.evaluate(x, species, box)
    with pytest.raises(InputError, match="0 atoms"):
        potential.evaluate(np.zeros((0, 3)), [], box)


@pytest.mark.parametrize(
    "wrong",
    [{"channels": 7}, {"layers": 1}, {"species": ("O",)}, {"colour": 3}, {"cutoff": "a"}],
)
def test_a_file_whose_parts_do_not_fit_is_told(path, tmp_path, wrong):
    header, tensors = read_model(path, "potential/1")
    for settings in ({**header["settings"], **wrong}, None):
        changed = {**header, "settings": settings}
        changed["species"] = wrong.get("species", header["species"])
        if settings is None:
            del changed["settings"]
        write_model(tmp_path / "p.safetensors", "potential/1", changed, tensors)
        with pytest.raises(SchemaError, match="weights and settings do not fit"):
            load_potential(tmp_path / "p.safetensors")
    changed = {**header, "architecture": "cartesian-ace/1"}
    write_model(tmp_path / "p.safetensors", "potential/1", changed, tensors)
    with pytest.raises(SchemaError, match="unknown architecture"):
        load_potential(tmp_path / "p.safetensors")


@pytest.mark.parametrize("scale", [np.nan, np.inf, 0.0, [[1.0], [1.0], [0.0]]])
def test_a_box_that_is_none_is_told(potential, scale):
    """The search for neighbours would take the process with it."""
    x, symbols, box = molecules()
    box = np.where(box == 0, 0, np.multiply(np.where(box == 0, 1, box), scale))
    for verlet in (None, VerletList(CUTOFF, 1.0)):
        with pytest.raises(InputError, match="span no lattice"):
            potential.evaluate(x, symbols, box, verlet=verlet)


def test_a_kept_list_gives_a_new_list(potential):
    """Random walk with jumps over the boundary and a box that changes."""
    x, symbols, box = molecules()
    rng = np.random.default_rng(5)
    numbers, kept = potential.numbers(symbols), VerletList(CUTOFF, 0.8)
    for step in range(40):
        x = x + rng.normal(0, 0.02, x.shape)
        if step == 20:
            x[7] += box[1]
        if step == 30:
            x, box = 1.01 * x, 1.01 * box
        new = potential.evaluate(x, numbers, box)
        old = potential.evaluate(x, numbers, box, verlet=kept)
        assert old.energy == pytest.approx(new.energy, abs=1e-10)
        np.testing.assert_allclose(old.forces, new.forces, atol=1e-10)
        np.testing.assert_allclose(old.stress, new.stress, atol=1e-12)
    assert 3 <= kept.builds <= 12


def test_a_kept_list_gives_neighbours_in_the_order_of_a_new_one():
    """Bit for bit: a run that was taken up sums over neighbours as one that went on."""
    rng = np.random.default_rng(3)
    for lengths, n in ((12.0, 12.0, 40.0), 128), ((11.0, 11.0, 11.0), 64):
        box, x = np.diag(lengths), rng.uniform(0, lengths, (n, 3))
        kept = VerletList(5.0, 1.0)
        kept.rows(x, box, ALL)
        x = x + rng.uniform(-0.25, 0.25, x.shape)
        old, new = kept.rows(x, box, ALL), VerletList(5.0, 1.0).rows(x, box, ALL)
        assert kept.builds == 1
        for ours, theirs in zip(old, new, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_threads_may_share_a_list():
    """Two systems in turns, lists made at every call: never pairs of the other."""
    kept, rng = VerletList(CUTOFF, 0.5), np.random.default_rng(0)
    box = np.eye(3) * 12
    systems = [rng.uniform(0, 12, (120, 3)) for _ in range(4)]
    wanted = [VerletList(CUTOFF, 0.5).rows(x, box, ALL)[0] for x in systems]

    def equal(k):
        return np.array_equal(kept.rows(systems[k % 4], box, ALL)[0], wanted[k % 4])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(equal, range(400)))


def test_replicas_at_once_are_one_by_one(potential):
    x, symbols, box = molecules()
    rng = np.random.default_rng(2)
    many = x + rng.normal(0, 0.05, (5, *x.shape))
    boxes = box * rng.uniform(0.97, 1.03, (5, 1, 1))
    for repeats in (True, False):
        found = potential.evaluate_many(many, symbols, boxes if repeats else None)
        for e, one, cell in zip(found, many, boxes, strict=True):
            cell = cell if repeats else np.zeros((3, 3))
            alone = potential.evaluate(one, symbols, cell, (repeats,) * 3)
            assert e.energy == pytest.approx(alone.energy, abs=1e-10)
            np.testing.assert_allclose(e.forces, alone.forces, atol=1e-10)
            if repeats:
                np.testing.assert_allclose(e.stress, alone.stress, atol=1e-10)


def test_different_systems_at_once(path):
    """In single precision, with lists of their own sizes."""
    potential = load_potential(path)
    systems = [molecules(1), molecules(8), molecules(27, seed=4)]
    x, symbols, boxes = zip(*systems, strict=True)
    found = potential.evaluate_many(x, symbols, np.array(boxes))
    for e, system in zip(found, systems, strict=True):
        alone = potential.evaluate(*system)
        assert e.energy == pytest.approx(alone.energy, abs=1e-6 * len(system[1]))
        np.testing.assert_allclose(e.forces, alone.forces, atol=1e-5)


def test_pairs_are_those_of_another_code():
    """ASE's search: a tilted cell that is smaller than the reach, one vacuum."""
    rng = np.random.default_rng(5)
    box = np.array([[4.0, 0, 0], [1.5, 5, 0], [0.3, -1, 9]])
    atoms = Atoms("OH2", rng.uniform(-9, 9, (3, 3)), cell=box, pbc=(True, True, False))
    i, j, shift = near_pairs(atoms.positions, box, atoms.pbc, 6.0)
    assert (np.diff(i) >= 0).all()
    between = atoms.positions[j] + shift - atoms.positions[i]
    found = np.column_stack([i, j, between])
    other = np.column_stack(neighbor_list("ijD", atoms, 6.0))
    assert len(found) == len(other) > 20
    for rows in (found, other):
        rows[:] = rows[np.lexsort(rows.round(6).T)]
    np.testing.assert_allclose(found, other, atol=1e-9)
    with pytest.raises(InputError, match="not finite"):
        near_pairs(np.array([[0, 0, np.inf]]), box, atoms.pbc, 6.0)


def test_what_has_no_box(potential):
    atoms = water(pbc=False)
    one = potential.evaluate(atoms.positions, atoms.symbols)
    (many,) = potential.evaluate_many([atoms.positions], list(atoms.symbols))
    assert one.energy == pytest.approx(many.energy, abs=1e-6)
    assert one.stress is None
    with pytest.raises(InputError, match="span no lattice"):
        potential.evaluate(atoms.positions, atoms.symbols, np.diag([9.0, 9.0, 0.0]))


def test_a_single_atom_has_its_own_energy(potential):
    alone = potential.evaluate_many(np.zeros((2, 1, 3)), ["O"])
    one = potential.evaluate(np.zeros((1, 3)), ["O"], np.eye(3) * 20)
    assert [e.energy for e in alone] == pytest.approx([one.energy] * 2, abs=1e-12)
    assert np.abs(one.forces).max() == 0


@pytest.mark.slow
def test_compiled_is_uncompiled(path):
    plain, fast = load_potential(path), load_potential(path, compile=True)
    x, symbols, box = molecules(8)
    rng = np.random.default_rng(3)
    widths = set()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    for _ in range(6):
        x = x + rng.normal(0, 0.05, x.shape)
        widths.add(VerletList(CUTOFF).rows(x, box, ALL)[1].shape[1])
        expected, found = (p.evaluate(x, symbols, box) for p in (plain, fast))
        assert found.energy == pytest.approx(expected.energy, abs=1e-5)
        np.testing.assert_allclose(found.forces, expected.forces, atol=2e-5)
    assert len(widths) > 1
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.slow
def test_without_a_compiler_it_warns_and_goes_on(path):
    code = f"""
import sys, warnings
sys.path.insert(0, "tests/helpers")
from potentials import molecules
from mesobridge.atomistic.potential import load_potential
plain, fast = (load_potential({str(path)!r}, compile=c) for c in (False, True))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    energies = [p.evaluate(*molecules(1)).energy for p in (plain, fast, fast)]
assert energies[0] == energies[1] == energies[2], energies
print([str(w.message) for w in told if "not compiled" in str(w.message)])
"""
    environment = {
        **os.environ, "CXX": "no-such-compiler",
        "TORCHINDUCTOR_CACHE_DIR": str(path.parent),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("not compiled") == 1
