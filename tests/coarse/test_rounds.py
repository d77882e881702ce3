"""Sampling and refinement in turns: a molecule of three beads whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mesobridge.coarse import ArrayFrames, Spline, fit, match
from mesobridge.coarse.gate import Observable, difference
from mesobridge.coarse.rounds import (
    Sampling,
    energies,
    independent_frames,
    information,
    refine_in_rounds,
    sample,
)
from mesobridge.coarse.terms import Bonded
from mesobridge.core.errors import InputError

BOND, ANGLE = Spline(0.09, 0.21, 4), Spline(0.6, 3.2, 6)
TERMS = (
    Bonded("bond", "distance", ((0, 1), (1, 2)), BOND),
    Bonded("angle", "angle", ((0, 1, 2),), ANGLE),
)
MASSES = torch.tensor([12.0, 14.0, 12.0])
HOW = Sampling(300.0, settle=600, frames=30, every=40)
SHAPE = Observable("angle", (np.linspace(1.2, 3.0, 19),))


def coefficients_of(basis, potential):
    q = torch.linspace(basis.start, basis.stop, 60, dtype=torch.float64)
    return torch.linalg.lstsq(basis.dense(q)[0], potential(q)[:, None]).solution[:, 0]


@pytest.fixture(scope="module")
def truth():
    """Coefficients, a start and frames of a stiff bond and a wide angle."""
    bond = coefficients_of(BOND, lambda r: 0.5 * 2e4 * (r - 0.15) ** 2)
    angle = coefficients_of(ANGLE, lambda q: 6 * (q - 2.0) ** 2 + 2 * (q - 2.0) ** 3)
    start = torch.tensor([[0.15, 0, 0], [0, 0, 0], [-0.07, 0.13, 0]]).double()
    c = torch.cat([bond, angle]).numpy()
    frames, last = sample(TERMS, c, start.expand(300, 3, 3), MASSES, HOW)
    return c, last, frames


def angles(x):
    return TERMS[1].coordinates(x.double().flatten(0, -3))[0].numpy()


def test_noisy_forces_and_few_frames_together_find_the_truth(truth):
    c, start, frames = truth
    x = frames[::5, ::3].flatten(0, 1).double()
    rng = np.random.default_rng(0)
    design = torch.cat([term.forces(x) for term in TERMS], -1)
    force = (design @ torch.from_numpy(c)).numpy() + rng.normal(0, 900, x.shape)
    equations = match(TERMS, [ArrayFrames(x.numpy(), force)], block=50)
    matched = fit(equations, TERMS, 0, 0)
    data = information(TERMS, equations, matched, x, len(x))
    found, history = refine_in_rounds(
        TERMS, matched.coefficients[0], data, start, MASSES, HOW
    )
    assert history[-1].converged
    assert history[-1].misfit < history[0].misfit
    wanted = SHAPE.density(angles(frames))
    shapes = [
        SHAPE.density(angles(sample(TERMS, k, start, MASSES, HOW)[0]))
        for k in (matched.coefficients[0], found)
    ]
    before, after = (difference(s, wanted, 300.0) for s in shapes)
    # Six hundred frames know the angle to about one part in 600 per bin.
    assert after.js < 0.01
    assert after.js < 0.5 * before.js


def test_information_of_a_model_s_own_frames_leaves_it(truth):
    c, start, frames = truth
    x = frames.flatten(0, 1)
    force = torch.cat([term.forces(x.double()) for term in TERMS], -1).numpy() @ c
    noise = np.random.default_rng(1).normal(0, 300, x.shape)
    equations = match(TERMS, [ArrayFrames(x.numpy(), force + noise)], block=500)
    matched = fit(equations, TERMS, 0, 0, strength=0.0)
    data = information(TERMS, equations, matched, x, len(x) / 10)
    np.testing.assert_allclose(data.mean, energies(TERMS, x).mean(0))
    found, history = refine_in_rounds(TERMS, c, data, start, MASSES, HOW)
    assert len(history) <= 2
    q = torch.linspace(1.6, 2.6, 20, dtype=torch.float64)
    value = ANGLE.dense(q)[0].numpy() @ np.stack([c, found])[:, -ANGLE.size :].T
    gap = np.diff(value - value.mean(0), axis=1)
    assert np.abs(gap).max() < 0.25  # kJ/mol


def test_rounds_that_do_not_suffice_are_told(truth):
    c, start, frames = truth
    x = frames.flatten(0, 1)
    force = np.random.default_rng(2).normal(0, 900, x.shape)
    equations = match(TERMS, [ArrayFrames(x.numpy(), force)], block=500)
    matched = fit(equations, TERMS, 0, 0)
    data = information(TERMS, equations, matched, x, len(x))
    far = c.copy()
    far[-ANGLE.size :] *= 4
    with pytest.raises(InputError, match="refinement after 1 rounds"):
        refine_in_rounds(TERMS, far, data, start, MASSES, HOW, most=1)
    with pytest.raises(InputError, match="rounds of refinement"):
        refine_in_rounds(TERMS, c, data, start, MASSES, HOW, most=0)
    with pytest.raises(InputError, match="two blocks"):
        independent_frames(energies(TERMS, x), 0)
    with pytest.raises(InputError, match="coefficients to sample with"):
        sample(TERMS, c[None], start, MASSES, HOW)
    with pytest.raises(InputError, match="a bias to sample with"):
        sample(TERMS, c, start, MASSES, replace(HOW, bias=c[1:]))


def test_biased_frames_and_biased_samples_find_a_double_well(truth):
    """Both wells and the barrier, from frames of which only weights know the wells."""
    c, start, _ = truth
    wells = c.copy()
    wells[-ANGLE.size :] = coefficients_of(
        ANGLE, lambda q: 150 * ((q - 2.0) ** 2 - 0.2) ** 2 + 3 * (q - 2.0)
    )
    bias = np.zeros(len(c))
    bias[-ANGLE.size :] = (c - wells)[-ANGLE.size :]
    how = Sampling(300.0, settle=600, frames=30, every=40, bias=bias)
    x = sample(TERMS, wells, start, MASSES, how)[0].flatten(0, 1)[::7].double()
    weights = how.weights(energies(TERMS, x))
    rng = np.random.default_rng(4)
    design = torch.cat([term.forces(x) for term in TERMS], -1)
    force = (design @ torch.from_numpy(wells)).numpy() + rng.normal(0, 900, x.shape)
    equations = match(TERMS, [ArrayFrames(x.numpy(), force)], block=50)
    matched = fit(equations, TERMS, 0, 0)
    known = independent_frames(energies(TERMS, x), 1, weights)
    data = information(TERMS, equations, matched, x, known, weights)
    found, history = refine_in_rounds(
        TERMS, matched.coefficients[0], data, start, MASSES, how
    )
    assert history[-1].converged
    q = torch.linspace(1.4, 2.6, 30, dtype=torch.float64)
    value = ANGLE.dense(q)[0].numpy() @ np.stack([wells, found])[:, -ANGLE.size :].T
    gap = np.diff(value - value.mean(0), axis=1)
    assert np.sqrt((gap**2).mean()) < 0.6  # kJ/mol, of a barrier of 6
