"""Training: what it minimises, when it ends, processes together, reference energies."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from molecules import pair, springs
from potentials import frames, molecules

from mesobridge.atomistic.potential import TrainingSettings, train
from mesobridge.atomistic.potential.data import batch, digest, load_frames
from mesobridge.atomistic.potential.element_energies import reference_energies
from mesobridge.atomistic.potential.loss import loss
from mesobridge.atomistic.potential.predictions import error_table, predict, row_of
from mesobridge.atomistic.potential.reading import read_labelled, split
from mesobridge.atomistic.potential.settings import build_model
from mesobridge.atomistic.potential.train import (
    STATE,
    belongs,
    stored_note,
)
from mesobridge.core.artefact import write_dataset
from mesobridge.core.errors import InputError

HELPER = Path(__file__).resolve().parents[1] / "helpers/parallel_training.py"
SETTINGS = TrainingSettings(
    ("H", "O"), 4e-10, channels=8, radial=6, hidden=16, steps=300, batch=4,
    energy_weight=20.0, points=6,
)  # fmt: skip


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Molecules of two sizes and three groups."""
    rng = np.random.default_rng(2)
    frames = [springs(rng) for _ in range(30)]
    frames += [springs(rng, noise=0.1, group="hot") for _ in range(30)]
    frames += [pair(rng) for _ in range(20)]
    path = tmp_path_factory.mktemp("data") / "a.xyz"
    write(path, frames, format="extxyz")
    return split(read_labelled(path), 0.2)


@pytest.fixture(scope="module")
def trained(sets):
    return train(*sets, SETTINGS)


def model_of(result):
    return build_model(
        result.settings, {k: torch.from_numpy(v) for k, v in result.tensors.items()}
    )


def test_springs_are_learned_by_group_and_element(trained, sets):
    frames = load_frames(sets[1], ("H", "O"), 4.0)
    p = predict(model_of(trained), frames, ("H", "O"))
    table = error_table(p)
    assert {r["quantity"] for r in table} == {"energy", "forces"}
    assert {r["group"] for r in table} == {"all", "gas", "hot", "radical"}
    forces = p.pairs["forces"]
    total = row_of(table, "forces")
    assert total["rms"] == pytest.approx(1e3 * np.sqrt((forces.values[0] ** 2).mean()))
    assert total["rmse"]["value"] < 0.1 * total["rms"]
    of = (forces.element == "O") & (p.group[forces.frame] == "hot")
    difference = 1e3 * np.diff(forces.values[:, of], axis=0)
    found = row_of(table, "forces", "hot", "O")
    assert found["rmse"]["value"] == pytest.approx(np.sqrt((difference**2).mean()))
    assert found["mae"]["value"] == pytest.approx(np.abs(difference).mean())
    low, high = found["rmse"]["ci95"]
    assert low < found["rmse"]["value"] < high
    last = trained.curve[-1]  # all validation frames are behind a point of the curve
    assert last["force_rmse"] * 1e3 == pytest.approx(total["rmse"]["value"], rel=1e-4)
    # Energies of elements are fitted once more after the last point.
    energy = row_of(table, "energy")["rmse"]["value"]
    assert last["energy_rmse"] == pytest.approx(energy, rel=0.2)
    assert last["stress_rmse"] is None


def test_a_short_training_leaves_no_offset_of_energies():
    """Forces alone are learned: energies of elements follow from a fit at the end."""
    rng = np.random.default_rng(7)
    x, symbols, box = molecules(1)
    x = x + rng.normal(0, 0.05, (12, *x.shape))
    forces = rng.normal(0, 0.1, x.shape)
    sets = [frames(x, symbols, box, "FFF", rng.normal(-5, 0.01, 12), forces)]
    settings = replace(SETTINGS, steps=3, energy_weight=1e-9, learning_rate=0.05)
    result = train(sets, [], settings)
    p = predict(model_of(result), load_frames(sets, ("H", "O"), 4.0), ("H", "O"))
    off = np.diff(p.pairs["energy"].values, axis=0)
    assert abs(off.mean()) < 1e-6
    assert off.std() < 0.1


def test_intervals_cover(sets):
    """Errors that are drawn: their root mean square is in 95 % of the intervals."""
    frames = load_frames(sets[0], ("H", "O"), 4.0)
    model = model_of(train(*sets, replace(SETTINGS, steps=1)))
    base = predict(model, frames, ("H", "O"))
    energy = base.pairs["energy"]
    label = energy.values[0]
    inside = []
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0, 0.02, label.shape)
        pairs = {"energy": replace(energy, values=np.stack([label, label + noise]))}
        table = error_table(replace(base, pairs=pairs), seed)
        low, high = row_of(table, "energy")["rmse"]["ci95"]
        inside.append(low < 20.0 < high)
    assert 0.89 < np.mean(inside) < 0.99


def test_a_weight_is_a_number_of_copies(sets):
    """Three times the weight is three times the frame, but for the mean."""
    frames = load_frames(sets[0], ("H", "O"), 4.0)[:2]
    model = model_of(train(*sets, replace(SETTINGS, steps=2))).requires_grad_(True)

    def value(some, weight):
        b = batch(some, 4.0, torch.float32)
        return loss(model, b, torch.tensor(weight), 3.0, 0.0, (4, 12)).item()

    copies = [frames[0], frames[0], frames[0], frames[1]]
    assert value(frames, [3.0, 1.0]) == pytest.approx(value(copies, [1.0] * 4), rel=1e-5)


def test_weights_of_groups_pull(sets):
    """A group of no weight is learned worse than the others."""
    frames = load_frames(sets[1], SETTINGS.species, 4.0)
    both = []
    for weight in (0.0, 1.0):
        s = replace(SETTINGS, steps=100, batch=8, group_weights=(("radical", weight),))
        table = error_table(predict(model_of(train(*sets, s)), frames, s.species))
        both.append(row_of(table, "energy", "radical")["rmse"]["value"])
    assert both[0] > 3 * both[1]


def test_energy_weight_follows_its_schedule():
    s = replace(SETTINGS, energy_weight=2.0, last_energy_weight=200.0)
    found = [s.energy_weight_at(f) for f in (0, 0.5, 1)]
    assert found == pytest.approx([2.0, 20.0, 200.0])


def test_training_ends_when_nothing_gets_better(sets, tmp_path):
    """Labels of the validation frames that nobody can learn: the first point is best."""
    noise = sets[1][0].copy(deep=True)
    noise["forces"].values[:] *= -1
    s = replace(SETTINGS, points=30, patience=3)
    result = train(sets[0], [noise], s, tmp_path)
    scores = [point["score"] for point in result.curve]
    best = int(np.argmin(scores))
    assert len(scores) == best + 4 < 30
    short = train(sets[0], [noise], s, tmp_path)  # nothing is left to do
    assert short.curve == result.curve
    for name, value in result.tensors.items():
        np.testing.assert_array_equal(short.tensors[name], value)
    # The weights are those of the best point.
    frames = load_frames([noise], s.species, 4.0)
    forces = predict(model_of(result), frames, s.species).pairs["forces"].values
    error = np.sqrt(((forces[1] - forces[0]) ** 2).mean())
    assert error == pytest.approx(result.curve[best]["force_rmse"], rel=1e-4)


def test_a_budget_of_time_ends_the_schedule(sets):
    s = replace(SETTINGS, cpu_minutes=0.02, points=4)
    curve = train(*sets, s).curve
    assert curve[-1]["cpu_s"] >= 1.2
    assert curve[-1]["step"] > 5
    assert len(curve) <= 4


def test_two_processes_are_one_with_twice_the_batch(sets, tmp_path):
    """Frames of unequal sizes and weights; gradients are added."""
    for i, ds in enumerate(sets[0]):
        write_dataset(ds, tmp_path / f"{i}.nc", "frames/1")
    for size in (1, 2):
        running = [
            subprocess.Popen(
                [sys.executable, str(HELPER), str(tmp_path), str(r), str(size)]
            )
            for r in range(size)
        ]
        assert [one.wait(timeout=120) for one in running] == [0] * size
    one, two = (np.load(tmp_path / f"weights{n}.npz") for n in (1, 2))
    assert set(one) == set(two)
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-6, atol=1e-8)


def single(symbol, energy):
    atoms = Atoms(symbol, positions=[[0, 0, 0]])
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


def test_reference_energies(tmp_path):
    """Of free atoms plus the least change; by least squares without them."""
    rng = np.random.default_rng(3)
    frames = [springs(rng, shift=-445.0, noise=1e-9), single("O", -430.0)]
    write(tmp_path / "a.xyz", [*frames, single("H", -13.0)], format="extxyz")
    loaded = load_frames(read_labelled(tmp_path / "a.xyz"), ("H", "O"), 4.0)
    assert [f.isolated for f in loaded] == [False, True, True]
    h, o = reference_energies(loaded, 2).numpy()
    bound = loaded[0].energy - (-430.0 - 26.0)
    assert [h + 13.0, o + 430.0] == pytest.approx([bound * 2 / 5, bound / 5], abs=1e-9)
    more = [springs(rng, shift=-7.0, noise=1e-9), pair(rng, shift=-4.0)]
    more[1].positions[1, 2] = 0.96
    more[1].calc = SinglePointCalculator(more[1], energy=-4.0, forces=np.zeros((2, 3)))
    write(tmp_path / "b.xyz", more, format="extxyz")
    loaded = load_frames(read_labelled(tmp_path / "b.xyz"), ("H", "O"), 4.0)
    both = reference_energies(loaded, 2).numpy()
    assert both == pytest.approx([-3.0, -1.0], abs=1e-3)


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="precision"):
        replace(SETTINGS, dtype="float16")
    with pytest.raises(InputError, match="device"):
        replace(SETTINGS, device="abacus")
    for cutoff in (4.0, 0.0, -4e-10, np.nan):
        with pytest.raises(InputError, match="metres"):
            replace(SETTINGS, cutoff=cutoff)
    for name in ("steps", "batch", "layers", "points"):
        with pytest.raises(InputError, match=f"{name} of the training"):
            replace(SETTINGS, **{name: 0})
    for species in ((), ("H", "O", "H")):
        with pytest.raises(InputError, match="each once"):
            replace(SETTINGS, species=species)


def test_the_average_forgets_the_first_weights(sets):
    """After one step it is what that gave, however slowly it moves later on."""
    slow, quick = (
        train(sets[0], [], replace(SETTINGS, steps=1, average=a)).tensors
        for a in (0.9999, 0.0)
    )
    for name, value in slow.items():
        np.testing.assert_array_equal(value, quick[name])


def test_patience_needs_something_to_judge_by(sets):
    """Every point would be as good as the first, whose weights are hardly trained."""
    with pytest.raises(InputError, match="patience without validation"):
        train(sets[0], [], replace(SETTINGS, patience=2))


def test_molecules_need_no_box(sets):
    """Nothing is divided by a volume that is zero; beside cells with stress, neither."""
    boxless = [ds.assign(box=0 * ds["box"]) for ds in sets[0]]
    s = replace(SETTINGS, steps=3, points=1)
    with_, without = train(sets[0], sets[0], s), train(boxless, boxless, s)
    for name, value in with_.tensors.items():
        np.testing.assert_array_equal(without.tensors[name], value)
    assert without.curve == with_.curve


@pytest.mark.parametrize("what", ["pbc", "group", "charge"])
def test_data_that_differ_are_not_taken_up(sets, tmp_path, what):
    s = replace(SETTINGS, steps=2, points=1)
    train(*sets, s, tmp_path)
    one = sets[0][0]
    other = {
        "pbc": one.assign_attrs(pbc="TTF"),
        "group": one.assign(group=one["group"][::-1].astype(object) + "-2"),
        "charge": one.assign_attrs(charge_number=1),
    }[what]  # fmt: skip
    note = stored_note(tmp_path / STATE)
    assert belongs(note, s, digest([*sets[0], *sets[1]]))
    assert not belongs(note, s, digest([other, *sets[0][1:], *sets[1]]))


def test_a_step_without_a_finite_gradient_is_left_out(sets, monkeypatch):
    calls, whole = [], loss

    def sometimes(*args):
        calls.append(1)
        bad = len(calls) in lost
        return whole(*args) * (float("nan") if bad else 1.0)

    module = sys.modules["mesobridge.atomistic.potential.train"]
    monkeypatch.setattr(module, "loss", sometimes)
    lost = {1, 7, 8}
    settings = replace(SETTINGS, steps=30)
    result = train(*sets, settings)
    assert len(calls) == 30
    assert all(np.isfinite(v).all() for v in result.tensors.values())
    assert all(np.isfinite(point["loss"]) for point in result.curve)
    calls.clear()
    lost = range(5, 100)
    with pytest.raises(InputError, match="diverged"):
        train(*sets, settings)
    assert 10 < len(calls) < 20


def test_a_gradient_far_off_counts_as_a_few_others(sets):
    """One that is a million times the usual late in a training."""
    module = sys.modules["mesobridge.atomistic.potential.train"]
    run = module._Training(SETTINGS, load_frames(sets[0], ("H", "O"), 4.0), [])
    norms = []

    def norm():
        grads = [p.grad.flatten() for p in run.model.parameters()]
        return float(torch.linalg.vector_norm(torch.cat(grads)))

    for _ in range(250):
        run.advance()
        norms.append(norm())
    usual = np.mean(norms[-100:])
    assert 0.5 * usual < run.norm < 3 * usual
    for p in run.model.parameters():
        p.grad.mul_(1e6)
    assert run._clipped() > 1e3 * usual
    assert norm() == pytest.approx(3 * run.norm, rel=1e-3)
