"""How sure a potential is of its forces: distances, heads, intervals, and their use."""

from dataclasses import replace

import numpy as np
import openmm
import pytest
import torch
from ase import Atoms
from molecules import springs
from potentials import CUTOFF, frames, molecules, untrained
from produced import labelled_springs, learned_springs

from mesobridge.atomistic.potential import (
    MesobridgeCalculator,
    gradient,
    load_potential,
    to_openmm,
)
from mesobridge.atomistic.potential.data import load_frames
from mesobridge.atomistic.potential.uncertainty import LEVELS, POWER, Uncertainty
from mesobridge.atomistic.uncertainty import auroc, calibrate, coverage, with_uncertainty
from mesobridge.atomistic.uncertainty.conformal import conformal_scale
from mesobridge.atomistic.uncertainty.heads import fit_heads, mean_square
from mesobridge.atomistic.uncertainty.mahalanobis import fit_features
from mesobridge.atomistic.uncertainty.responses import Responses, responses
from mesobridge.core.artefact import read_model, write_model
from mesobridge.core.errors import InputError, SchemaError

ALL, NONE = (True,) * 3, (False,) * 3


def some_uncertainty(n_species=2, h=16, m=3, seed=0):
    """Numbers of the right shapes."""
    drawn = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=drawn, dtype=torch.float64)

    whiten = 0.3 * normal(n_species, h, h)
    floor, scale = normal(n_species).abs(), normal(n_species, len(LEVELS)).abs()
    return Uncertainty(normal(n_species, h), whiten, normal(m, h), floor, scale)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """In double precision, random weights."""
    loaded = load_potential(untrained(tmp_path_factory.mktemp("p") / "p.safetensors"))
    return replace(loaded, model=loaded.model.double())


@pytest.fixture(scope="module")
def sure(plain):
    return replace(plain, uncertainty=some_uncertainty())


def labelled(positions, symbols, box, pbc="TTT", forces=None):
    zero = np.zeros_like(positions) if forces is None else forces
    return frames(positions, symbols, box, pbc, np.zeros(len(positions)), zero)


def found_responses(potential, ds):
    loaded = load_frames([ds], potential.species, CUTOFF)
    return responses(potential.model, loaded)


def test_pulls_are_slopes_of_the_features(plain):
    x, symbols, box = molecules()
    r = found_responses(plain, labelled(x[None], symbols, box))
    h, atom, axis = 1e-4, 4, 1
    total = []
    for sign in (1, -1):
        moved = x.copy()
        moved[atom, axis] += sign * h
        there = found_responses(plain, labelled(moved[None], symbols, box))
        total.append(there.features.sum(0))
    slope = (total[0] - total[1]) / (2 * h)
    torch.testing.assert_close(-slope, r.pulls[atom, axis], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(r.pulls.sum(0), 0, atol=1e-9)


def test_errors_are_labels_without_the_potential(plain):
    x, symbols, box = molecules()
    forces = np.random.default_rng(1).normal(size=x.shape)
    r = found_responses(plain, labelled(x[None], symbols, box, forces=forces[None]))
    own = plain.evaluate(x, symbols, box).forces
    np.testing.assert_allclose(r.errors, forces - own, atol=1e-9)


@pytest.mark.parametrize("together", [0, 10**9])
@pytest.mark.parametrize("pbc", [ALL, NONE])
def test_spread_is_that_of_the_pulls(sure, pbc, together, monkeypatch):
    monkeypatch.setattr(gradient, "TOGETHER", together)
    x, symbols, box = molecules()
    flags = "".join("FT"[p] for p in pbc)
    r = found_responses(sure, labelled(x[None], symbols, box, flags))
    u = sure.uncertainty
    distance = u.distance(r.features, r.species)
    std = u.force_std(distance, mean_square(r.pulls, u.heads), r.species)
    found = sure.evaluate(x, symbols, box, pbc, spread=True)
    np.testing.assert_allclose(found.distances, distance, rtol=1e-9)
    np.testing.assert_allclose(found.force_std, std, rtol=1e-7)
    plain_one = sure.evaluate(x, symbols, box, pbc)
    assert plain_one.force_std is None
    np.testing.assert_array_equal(plain_one.distances, found.distances)
    np.testing.assert_allclose(plain_one.forces, found.forces, atol=1e-10)
    assert plain_one.energy == pytest.approx(found.energy, abs=1e-10)


def test_uncertainty_neither_turns_nor_moves(sure):
    x, symbols, _ = molecules()
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    one = sure.evaluate(x, symbols, spread=True)
    other = sure.evaluate(x @ turn.T + [1.0, -2.0, 0.5], symbols, spread=True)
    np.testing.assert_allclose(one.distances, other.distances, rtol=1e-8)
    np.testing.assert_allclose(one.force_std, other.force_std, rtol=1e-8)


def test_many_at_once_are_each_alone(sure):
    x, symbols, box = molecules()
    moved = x + np.random.default_rng(0).normal(0, 0.05, (4, *x.shape))
    together = sure.evaluate_many(moved, symbols, box, spread=True)
    for here, found in zip(moved, together, strict=True):
        alone = sure.evaluate(here, symbols, box, spread=True)
        np.testing.assert_allclose(found.force_std, alone.force_std, rtol=1e-8)
        np.testing.assert_allclose(found.distances, alone.distances, rtol=1e-8)


def test_distances_of_gaussian_features_are_one_and_strangers_are_far():
    rng = torch.Generator().manual_seed(0)
    mix = torch.randn(6, 6, generator=rng, dtype=torch.float64)
    draw = lambda n: torch.randn(n, 6, generator=rng, dtype=torch.float64) @ mix + 3  # noqa: E731
    mean, whiten = fit_features(draw(4000), torch.zeros(4000, dtype=torch.long), 2)
    u = replace(some_uncertainty(), mean=mean, whiten=whiten)
    new = u.distance(draw(4000), torch.zeros(4000, dtype=torch.long))
    assert float(new.square().mean()) == pytest.approx(1, abs=0.05)
    assert u.distance(draw(2), torch.ones(2, dtype=torch.long)).isinf().all()
    with pytest.raises(InputError, match="10 or more"):
        fit_features(draw(9), torch.zeros(9, dtype=torch.long), 1)


def synthetic(n, seed, heads, floor):
    """Atoms whose errors are as heads and floors say, two species."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    pulls, species = normal(n, 3, heads.shape[1]), torch.arange(n) % 2
    distance = (0.2 * normal(n)).exp()
    variance = mean_square(pulls, heads) + floor[species] ** 2
    std = distance**POWER * variance.sqrt()
    blank = torch.zeros(n, heads.shape[1], dtype=torch.float64)
    errors = std.unsqueeze(1) * normal(n, 3)
    return Responses(blank, pulls, errors, species, torch.arange(n) // 10), distance, std


def test_heads_find_the_spread_that_made_the_errors():
    truth = 0.1 * torch.randn(2, 8, generator=torch.Generator().manual_seed(4)).double()
    floor = torch.tensor([0.05, 0.3], dtype=torch.float64)
    r, distance, _ = synthetic(1500, 1, truth, floor)
    heads, floors = fit_heads(r, distance, 2, 4, seed=0)
    new, far, std = synthetic(1500, 2, truth, floor)
    u = replace(some_uncertainty(h=8), heads=heads, floor=floors)
    found = u.force_std(far, mean_square(new.pulls, heads), new.species)
    assert float((found / std).log().abs().mean()) < 0.08
    rms = float((new.errors.square().mean(1) / found**2).mean().sqrt())
    assert rms == pytest.approx(1, abs=0.05)


def test_a_few_far_atoms_do_not_make_the_others_sure():
    """Where it is highest, errors are of their standard deviations."""
    rng = torch.Generator().manual_seed(2)
    pulls = torch.randn(70, 3, 8, generator=rng).double()
    distance = torch.full((70,), 0.7).double()
    distance[:3] = 30.0
    errors = 0.3 * torch.randn(70, 3, generator=rng)  # no larger far away
    species = torch.zeros(70, dtype=torch.long)
    r = Responses(pulls.new_zeros(70, 8), pulls, errors.double(), species, species)
    heads, floor = fit_heads(r, distance, 1, 4, seed=0)
    variance = distance ** (2 * POWER) * (mean_square(pulls, heads) + floor.square())
    assert (errors.square().sum(1) / variance / 3).mean().sqrt() == pytest.approx(
        1, abs=0.03
    )


def test_intervals_hold_what_they_say_whatever_the_errors():
    rng = torch.Generator().manual_seed(5)

    def drawn(n):
        species = torch.arange(n) % 2
        std = (0.5 * torch.randn(n, generator=rng)).exp().double()
        noise = torch.randn(n, 3, generator=rng).double()
        heavy = noise / torch.rand(n, 1, generator=rng).double().clamp(min=0.05)
        return heavy * std.unsqueeze(1) * (1 + 3 * species).unsqueeze(1), std, species

    errors, std, species = drawn(3000)
    scale = conformal_scale(errors.abs() / std.unsqueeze(1), species, 3, LEVELS)
    errors, std, species = drawn(20_000)
    for k, level in enumerate(LEVELS):
        inside = errors.abs() <= (scale[species, k] * std).unsqueeze(1)
        for s in (0, 1):  # each element for itself
            assert float(inside[species == s].double().mean()) == pytest.approx(
                level, abs=0.025
            )
    assert (scale[2] > scale[0]).all()  # that of all, of which half are wilder
    assert (scale[2] < scale[1]).all()
    few, one = torch.rand(11, 3).double(), torch.zeros(11, dtype=torch.long)
    promised = conformal_scale(few, one, 1, LEVELS) < 1
    assert promised.tolist() == [[True] * 5 + [False]]


def test_area_under_the_curve():
    score = np.array([1.0, 2.0, 3.0, 4.0])
    assert auroc(score, np.array([False, False, True, True])) == 1
    assert auroc(-score, np.array([False, False, True, True])) == 0
    assert auroc(np.ones(4), np.array([True, False, True, False])) == 0.5
    with pytest.raises(InputError, match="events and others"):
        auroc(score, np.zeros(4, bool))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return learned_springs(tmp_path_factory.mktemp("springs") / "p.safetensors")


def test_a_trained_potential_knows_its_errors(learned):
    potential = load_potential(learned)
    cold = coverage(potential, [labelled_springs(400, 0.05, 2)])
    # Heads of half of so few frames are less sure than those of all: rather too wide.
    assert 0.92 < cold.found[LEVELS.index(0.95)] < 0.995
    assert 0.6 < cold.found[1] < 0.85
    assert (cold.interval[:, 0] < cold.found).all()
    assert (cold.found < cold.interval[:, 1]).all()
    hot = coverage(potential, [labelled_springs(100, 0.12, 3)])
    assert np.median(hot.distance) > 1.5 * np.median(cold.distance)
    assert np.median(hot.std) > 2 * np.median(cold.std)
    both = np.concatenate([cold.error, hot.error])
    std = np.concatenate([cold.std, hot.std])
    assert auroc(std, both > 3 * np.sqrt(np.mean(cold.error**2))) > 0.85


def test_coverage_of_one_that_was_not_calibrated_is_refused(plain):
    ds = labelled(*(a for a in (molecules()[0][None], *molecules()[1:])))
    for ask in (lambda: coverage(plain, [ds]), lambda: with_uncertainty(ds, plain),
                lambda: plain.evaluate(*molecules(), spread=True)):  # fmt: skip
        with pytest.raises(InputError, match="calibrated"):
            ask()


def test_few_frames_to_calibrate_on_are_refused(plain):
    x, symbols, box = molecules()
    ds = labelled(x[None], symbols, box)
    with pytest.raises(InputError, match="frames to calibrate on"):
        calibrate(plain, [ds], [ds])


def test_files_keep_it_and_say_what_is_wrong(learned, tmp_path):
    one = load_potential(learned)
    header, tensors = read_model(learned, "potential/1")
    broken = {**tensors, "uncertainty.mean": np.zeros((2, 3))}
    write_model(tmp_path / "a.safetensors", "potential/1", header, broken)
    with pytest.raises(SchemaError, match="mean of the uncertainty"):
        load_potential(tmp_path / "a.safetensors")
    part = {k: v for k, v in tensors.items() if k != "uncertainty.floor"}
    write_model(tmp_path / "b.safetensors", "potential/1", header, part)
    with pytest.raises(SchemaError, match="uncertainty of a potential"):
        load_potential(tmp_path / "b.safetensors")
    bare = {k: v for k, v in tensors.items() if not k.startswith("uncertainty")}
    write_model(tmp_path / "c.safetensors", "potential/1", header, bare)
    assert load_potential(tmp_path / "c.safetensors").uncertainty is None
    assert one.uncertainty.half_width(torch.ones(1), torch.zeros(1, dtype=int)) > 1
    with pytest.raises(InputError, match="level of an interval"):
        one.uncertainty.half_width(torch.ones(1), torch.zeros(1, dtype=int), 0.94)


def test_ase_tells(learned):
    atoms = springs(np.random.default_rng(7))
    atoms = Atoms(atoms.symbols, atoms.positions)
    calculator = atoms.calc = MesobridgeCalculator(learned)
    atoms.get_forces()
    assert "force_std" not in calculator.results
    found = calculator.potential.evaluate(atoms.positions, atoms.symbols, spread=True)
    for name in ("force_std", "distances"):
        np.testing.assert_allclose(
            calculator.get_property(name, atoms), getattr(found, name), rtol=1e-5
        )


def test_openmm_is_watched_and_can_be_stopped(learned):
    seen = []

    def watch(found):
        seen.append(found)
        if len(seen) == 5:
            raise RuntimeError("far from the training set")

    system = openmm.System()
    for mass in (16.0, 1.0, 1.0):
        system.addParticle(mass)
    system.addForce(to_openmm(learned, ("O", "H", "H"), pbc="FFF", watch=watch,
                              watch_every=2))  # fmt: skip
    integrator = openmm.VerletIntegrator(0.0005)
    context = openmm.Context(
        system, integrator, openmm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(springs(np.random.default_rng(7)).positions / 10)
    with pytest.raises(openmm.OpenMMException, match="far from the training set"):
        integrator.step(20)
    assert [found.force_std is not None for found in seen] == [True, False] * 2 + [True]
    assert all(found.distances.shape == (3,) for found in seen)


def test_trajectories_carry_it(learned):
    potential = load_potential(learned)
    ds = labelled_springs(5, 0.05, 9)
    found = with_uncertainty(ds, potential)
    one = potential.evaluate(
        ds["positions"].values[3] * 1e10, ["O", "H", "H"], spread=True
    )
    np.testing.assert_allclose(found["distance"].values[3], one.distances, rtol=1e-5)
    ratio = found["force_std"].values[3] / one.force_std
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    np.testing.assert_allclose(ratio[0], 1.602176634e-9, rtol=1e-4)
