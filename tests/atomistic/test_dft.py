"""PySCF as an oracle: slopes, symmetries, warm starts, and what does not converge."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

pytest.importorskip("pyscf", reason="needs PySCF (extra dft)")

from mesobridge.atomistic.dft import NEAR, PySCF  # noqa: E402
from mesobridge.atomistic.labels import (  # noqa: E402
    Failed,
    Labeller,
    LabelStore,
    check_oracle,
)
from mesobridge.atomistic.named_oracle import NamedOracle  # noqa: E402
from mesobridge.core.errors import InputError, StageError  # noqa: E402


@pytest.fixture
def water():
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"xc": "b3lyp"},
        {"density_fit": False},
        {"charge": 1},
        {"multiplicity": 3},
    ],
    ids=str,
)
def test_forces_are_the_slope_of_the_energy(water, given):
    """Also of radicals and triplets; the response of the grid makes them sum to zero."""
    calculator = PySCF(basis="sto-3g", conv_tol=1e-11, grid_level=1, **given)
    forces = calculator.get_forces(water)
    assert np.abs(forces.sum(0)).max() < 1e-9
    step, size = 2e-3, np.linalg.norm(forces)
    energies = []
    for h in (step, -step, 2 * step, -2 * step):
        moved = water.copy()
        moved.positions += h * forces / size
        energies.append(calculator.get_potential_energy(moved))
    fine = (energies[0] - energies[1]) / (2 * step)
    coarse = (energies[2] - energies[3]) / (4 * step)
    assert (4 * fine - coarse) / 3 == pytest.approx(-size, rel=2e-5)


def test_turned_and_moved_molecules_have_the_same_energy(water):
    """But for the grid, which does not turn."""
    calculator = PySCF(basis="sto-3g")
    energy, forces = calculator.get_potential_energy(water), calculator.get_forces(water)
    turned = water.copy()
    turned.positions = water.positions[:, [1, 2, 0]] * [1, 1, -1] + 3.0
    assert calculator.get_potential_energy(turned) == pytest.approx(energy, abs=1e-3)
    np.testing.assert_allclose(
        calculator.get_forces(turned), forces[:, [1, 2, 0]] * [1, 1, -1], atol=2e-3
    )


def test_it_is_what_pyscf_gives_by_another_way(water):
    """Hydrogen by hand; density fitting is near what it fits."""
    from pyscf import dft, gto

    two = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])
    known = dft.RKS(
        gto.M(atom="H 0 0 0; H 0 0 0.8", basis="def2-svp", verbose=0), xc="pbe"
    )
    plain = PySCF(density_fit=False)
    assert plain.get_potential_energy(two) == pytest.approx(
        known.kernel() * 27.211386245988, abs=2e-6
    )
    fitted = PySCF().get_potential_energy(water)
    assert fitted == pytest.approx(plain.get_potential_energy(water), abs=5e-3)
    assert fitted != plain.get_potential_energy(water)
    # The same by the unrestricted code.
    field = dft.UKS(
        gto.M(atom="H 0 0 0; H 0 0 0.8", basis="def2-svp", verbose=0), xc="pbe"
    )
    assert field.kernel() == pytest.approx(known.e_tot, abs=1e-8)
    triplet = PySCF(density_fit=False, multiplicity=3).get_potential_energy(two)
    assert triplet > plain.get_potential_energy(two) + 1.0


def test_a_warm_start_saves_cycles_and_nothing_else(water):
    near = water.copy()
    near.rattle(0.01, seed=2)
    warm, cold = PySCF(), PySCF()
    warm.get_potential_energy(water)
    energy, forces = cold.get_potential_energy(near), cold.get_forces(near)
    assert warm.get_potential_energy(near) == pytest.approx(energy, abs=1e-6)
    np.testing.assert_allclose(warm.get_forces(near), forces, atol=2e-4)
    assert warm.cycles <= cold.cycles - 2
    radical, other = PySCF(charge=1), PySCF(charge=1)
    radical.get_potential_energy(water)
    assert radical.get_potential_energy(near) == pytest.approx(
        other.get_potential_energy(near), abs=1e-6
    )
    assert radical.cycles < other.cycles


def test_the_guess_is_a_density_of_this_molecule(water):
    """As many electrons, idempotent; none from afar or of other atoms."""
    calculator = PySCF(basis="def2-svp")
    calculator.get_potential_energy(water)
    near, far = water.copy(), water.copy()
    near.rattle(0.05, seed=3)
    far.positions += NEAR * 1.01
    field = calculator._field(near)
    density, overlap = calculator._guess(near, field), field.get_ovlp()
    assert np.trace(density @ overlap) == pytest.approx(10, abs=1e-9)
    np.testing.assert_allclose(density @ overlap @ density, 2 * density, atol=1e-8)
    assert calculator._guess(far, field) is None
    assert calculator._guess(Atoms("SH2", water.positions), field) is None


def test_one_scf_serves_energy_and_forces(water, monkeypatch):
    calculator = PySCF(basis="sto-3g")
    done = []
    converged = calculator._converged
    monkeypatch.setattr(
        calculator, "_converged", lambda atoms: done.append(1) or converged(atoms)
    )
    for _ in range(2):
        calculator.get_potential_energy(water)
        calculator.get_forces(water)
    assert len(done) == 1


def test_second_order_steps_help_then_it_is_told(water, tmp_path):
    reference = PySCF().get_potential_energy(water)
    helped = PySCF(max_cycle=4)  # too few without them
    assert helped.get_potential_energy(water) == pytest.approx(reference, abs=1e-6)
    np.testing.assert_allclose(
        helped.get_forces(water), PySCF().get_forces(water), atol=1e-3
    )
    with pytest.raises(StageError, match="(?s)SCF of H2O does not converge.*max_cycle"):
        PySCF(max_cycle=1).get_potential_energy(water)
    oracle = NamedOracle(kind="pyscf", max_cycle=1)
    (failed,) = Labeller(oracle, LabelStore(tmp_path)).label([water])
    assert isinstance(failed, Failed)
    assert "does not converge" in failed.reason
    assert failed.attempts == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"xc": "pbee"}, "no functional pbee"),
        ({"basis": "def2-svpp"}, "no basis def2-svpp"),
        ({"multiplicity": 2}, "cannot describe.*multiplicity"),
        ({"charge": 1, "multiplicity": 1}, "cannot describe"),
    ],
)
@pytest.mark.filterwarnings("ignore:Basis may be available")
def test_what_makes_no_sense_is_told(water, given, words):
    with pytest.raises(InputError, match=f"(?s){words}"):
        PySCF(**given).get_potential_energy(water)


def test_other_atoms_than_it_is_made_for_are_told(water):
    water.info["total_charge"] = -1
    with pytest.raises(InputError, match="another total charge"):
        PySCF().get_potential_energy(water)
    crystal = Atoms("He", cell=[3, 3, 3], pbc=True)
    with pytest.raises(InputError, match="(?s)periodic atoms.*CP2K"):
        PySCF().get_potential_energy(crystal)
    with pytest.raises(InputError, match="elements of the basis"):
        PySCF().get_potential_energy(Atoms("Np"))


def test_labels_say_what_made_them(water, tmp_path):
    oracle = NamedOracle(kind="pyscf", basis="sto-3g")
    (label,) = Labeller(oracle, LabelStore(tmp_path)).label([water])
    calculator = PySCF(basis="sto-3g")
    assert label.energy == pytest.approx(calculator.get_potential_energy(water), abs=1e-7)
    assert label.settings["basis"] == "sto-3g"
    assert label.versions["pyscf"][0].isdigit()
    assert label.cpu_s > 0
    assert check_oracle(oracle, water).forces == pytest.approx(1, abs=1e-3)
