"""Active learning of a periodic system, whose labels hold stress."""

import numpy as np
import pytest
from ase import Atoms

from mesobridge.atomistic.active import ActiveSettings, Motion, Trigger, learn
from mesobridge.atomistic.fumi_tosi import IonicCalculator
from mesobridge.atomistic.labels import Labeller, LabelStore
from mesobridge.atomistic.named_oracle import CodeOracle
from mesobridge.atomistic.potential import TrainingSettings, load_potential
from mesobridge.atomistic.potential.train import stored_note
from mesobridge.atomistic.systems import bulk_cell, lattice_start, number_density
from mesobridge.core.errors import InputError

SETTINGS = ActiveSettings(
    TrainingSettings(("Na", "Cl"), 4.5e-10, channels=4, radial=5, hidden=8, steps=120,
                     batch=2, points=3, seed=1, charges=(1.0, -1.0)),
    Motion(1100.0, 2.0, 0.01, seed=2), Trigger(force=0.3, energy=5.0, memory=20.0),
    horizon=20.0, replicas=2, every=5, first=32, displacement=(0.1, 0.2, 0.3),
    labels_per_round=4, most_labels=36, warm_steps=10,
)  # fmt: skip


def oracle():
    return CodeOracle(lambda: IonicCalculator(0.4), name="Fumi-Tosi", version="1")


def salt():
    """Sixteen ions on a grid with vacancies."""
    cell = bulk_cell(16, number_density(1300.0))
    x = 10 * lattice_start(cell, 3).positions
    return Atoms(cell.species, x, cell=10 * np.array(cell.lengths), pbc=True)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("periodic")
    store = LabelStore(folder / "labels")
    rounds = []
    potential = learn([salt()], Labeller(oracle(), store), SETTINGS, folder / "run",
                      heard=rounds.append)  # fmt: skip
    return folder / "run", store, potential, rounds


def test_labels_hold_stress_and_the_training_uses_it(learned):
    folder, store, potential, rounds = learned
    labels = list(store)
    assert len(labels) == rounds[-1].labels
    assert all(label.stress is not None for label in labels)
    curve = stored_note(folder / "round-000" / "training.safetensors")["curve"]
    assert curve[-1]["stress_rmse"] < 0.5 * curve[0]["stress_rmse"]
    true = labels[-1]
    found = potential.evaluate(true.positions, true.atoms().symbols, true.cell)
    assert found.stress.shape == (3, 3)
    assert rounds[-1].force_rmse < 0.5 * np.std([label.forces for label in labels])


def test_walks_stay_in_their_cell_and_images_are_the_same(learned):
    folder, _, potential, rounds = learned
    assert rounds[-1].passed > 0
    atoms = salt()
    atoms.rattle(0.1, seed=1)
    far = atoms.positions + 2 * atoms.cell.lengths() * (np.arange(16) % 3)[:, None]
    here, there = (
        potential.evaluate(x, atoms.symbols, atoms.cell.array, spread=True)
        for x in (atoms.positions, far)
    )
    assert here.energy == pytest.approx(there.energy, abs=1e-4)
    np.testing.assert_allclose(here.force_std, there.force_std, rtol=1e-3)
    np.testing.assert_allclose(here.stress, there.stress, atol=1e-5)
    again = load_potential(folder / "potential.safetensors")
    np.testing.assert_array_equal(again.calibrated().scale, potential.calibrated().scale)


def test_starts_of_another_cell_are_refused(tmp_path):
    wide = salt()
    wide.set_cell(1.1 * wide.cell.array)
    with pytest.raises(InputError, match="the same atoms and cell"):
        learn([salt(), wide], Labeller(oracle(), LabelStore(tmp_path)), SETTINGS,
              tmp_path / "run")  # fmt: skip
