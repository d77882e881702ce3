"""Bands of refined models: a torsion whose potential is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from beads import placed

from mesobridge.coarse import ArrayFrames, fit, match
from mesobridge.coarse.bases import Fourier
from mesobridge.coarse.refined_replicates import refined_replicates
from mesobridge.coarse.refinement import refine
from mesobridge.coarse.rounds import energies, information
from mesobridge.coarse.terms import Bonded
from mesobridge.core.errors import InputError
from mesobridge.core.stats import half_width95

KT, NOISE, FRAMES, BLOCK = 2.5, 14.0, 480, 20
TERMS = (Bonded("turn", "dihedral", ((0, 1, 2, 3),), Fourier(2)),)
TRUTH = np.array([2.0, -1.0, 1.2, 0.5])
GRID = torch.linspace(-math.pi, math.pi, 4001, dtype=torch.float64)
VALUES = Fourier(2).dense(GRID)[0].numpy()


def draw(c, n, rng):
    """Exact samples of the torsion by inversion."""
    p = np.exp(-VALUES @ c / KT)
    q = np.interp(rng.uniform(size=n), np.cumsum(p) / p.sum(), GRID.numpy())
    return placed("dihedral", torch.from_numpy(q)).double()


def refined(seed, replicates=40, noise=NOISE):
    """(matched, refined) coefficients with replicates, of one set of frames."""
    rng = np.random.default_rng(seed)
    x = draw(TRUTH, FRAMES, rng)
    force = (TERMS[0].forces(x) @ torch.from_numpy(TRUTH)).numpy()
    force += noise * rng.standard_normal(force.shape)
    equations = match(TERMS, [ArrayFrames(x.numpy(), force)], block=BLOCK)
    matched = fit(equations, TERMS, replicates, seed)
    data = information(TERMS, equations, matched, x, FRAMES)
    c = matched.coefficients[0]
    for _ in range(4):
        sampled = energies(TERMS, draw(c, 3000, rng))
        c = refine(c, sampled, data, KT).coefficients
    given = {"independent": FRAMES, "kT": KT, "seed": seed}
    sampled = energies(TERMS, draw(c, 3000, rng))
    c = refine(c, sampled, data, KT).coefficients
    args = TERMS, equations, matched, x.numpy(), c, sampled
    return matched.coefficients, refined_replicates(*args, **given), args, given


def test_bands_cover_the_truth_and_are_narrower_than_those_of_forces():
    """95 % bands of the potential over 16 sets of frames."""
    some, inside, widths = VALUES[200::400], [], []
    some = some - some.mean(0)
    for seed in range(16):
        forces, both, *_ = refined(seed)
        halves = [half_width95(c @ some.T, FRAMES // BLOCK) for c in (forces, both)]
        inside.append(np.abs((both[0] - TRUTH) @ some.T) <= halves[1])
        widths.append(np.mean(halves, axis=1))
    assert 0.85 <= np.mean(inside) <= 0.995
    wide, narrow = np.mean(widths, axis=0)
    assert narrow < 0.85 * wide


def test_replicates_are_joint_with_those_of_forces():
    """Where forces are all that tells, they are the same ones."""
    forces, both, *_ = refined(1, noise=0.5)
    assert both.shape == forces.shape == (41, 4)
    for k in range(4):
        assert np.corrcoef(forces[1:, k], both[1:, k])[0, 1] > 0.98


def test_weights_of_one_are_none():
    _, found, args, given = refined(2, replicates=3)
    again = refined_replicates(*args, **given, weights=np.full(FRAMES, 0.3))
    np.testing.assert_allclose(again, found, atol=1e-9)


def test_replicates_are_around_a_model_of_doubted_forces_and_biased_samples():
    """Forces of another torsion, whose information counts a thirtieth."""
    rng, doubt, bias = np.random.default_rng(5), 30.0, np.array([-1.0, 0.5, -0.6, -0.2])
    x = draw(TRUTH, FRAMES, rng)
    off = torch.from_numpy(TRUTH + [2.0, 0, 0, 0])
    force = (TERMS[0].forces(x) @ off).numpy()
    force += NOISE / 3 * rng.standard_normal(force.shape)
    equations = match(TERMS, [ArrayFrames(x.numpy(), force)], block=BLOCK)
    matched = fit(equations, TERMS, 40, 0)
    data = information(TERMS, equations, matched, x, FRAMES)
    data = replace(data, gram=data.gram / doubt, moment=data.moment / doubt)
    c = TRUTH
    for _ in range(4):
        sampled = energies(TERMS, draw(c + bias, 10_000, rng))
        c = refine(c, sampled, data, KT, bias).coefficients
    sampled = energies(TERMS, draw(c + bias, 10_000, rng))
    args = TERMS, equations, matched, x.numpy(), c, sampled
    given = {"independent": FRAMES, "kT": KT, "seed": 0}
    right, wrong = (
        refined_replicates(*args, **given, **how)
        for how in ({"doubt": doubt, "bias": bias}, {"bias": bias})
    )
    middle = refine(c, sampled, data, KT, bias).coefficients  # as these samples tell
    spread = right[1:].std(0)
    assert (np.abs(right[1:].mean(0) - middle) < 0.8 * spread).all()
    assert (np.abs(wrong[1:].mean(0) - middle) / spread).max() > 2


def test_samples_that_do_not_reach_are_refused():
    _, _, args, given = refined(3, replicates=3)
    few = np.random.default_rng(0).normal(0, 0.01, (5, 4))
    with pytest.raises(InputError, match="samples of the refined model"):
        refined_replicates(*args[:-1], few, **{**given, "independent": 1e9})
