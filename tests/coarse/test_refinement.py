"""Refinement by relative entropy: a potential of one coordinate whose truth is known."""

import numpy as np
import pytest

from mesobridge.coarse.refinement import (
    Information,
    disagreement,
    refine,
    reweighted,
)
from mesobridge.coarse.rounds import independent_frames
from mesobridge.core.errors import InputError

KT = 2.5
TRUTH = np.array([1.5, -0.8, 0.6])
GRID = np.linspace(-np.pi, np.pi, 4001)


def basis(q):
    return np.stack([np.cos(q), np.cos(2 * q), np.sin(q)], 1)


def slopes(q):
    return np.stack([-np.sin(q), -2 * np.sin(2 * q), np.cos(q)], 1)


def draw(c, n, rng):
    """Exact samples by inversion."""
    p = np.exp(-basis(GRID) @ c / KT)
    return np.interp(rng.uniform(size=n), np.cumsum(p) / p.sum(), GRID)


def information(q, rng, noise=None):
    """Of frames q; with forces where these have noise (kJ/mol/rad)."""
    found = basis(q)
    if noise is None:
        return Information(found.mean(0), len(q), np.zeros((3, 3)), np.zeros(3))
    design = -slopes(q) / noise
    forces = design @ TRUTH + rng.standard_normal(len(q))
    return Information(found.mean(0), len(q), design.T @ design, design.T @ forces)


def refined(data, rng, start=(0.0, 0.0, 0.0)):
    """Samples are drawn anew until it has converged."""
    c = np.array(start)
    for _ in range(6):
        found = refine(c, basis(draw(c, 40_000, rng)), data, KT)
        c = found.coefficients
        if found.converged and found.n_eff > 0.95:
            break
    assert found.converged
    return c


@pytest.mark.parametrize("start", [(0.0, 0.0, 0.0), (-3.0, 4.0, 5.0)])
def test_the_truth_is_found_from_configurations_alone(start):
    """As the best likelihood of the very same frames, found by quadrature."""
    rng = np.random.default_rng(0)
    q = draw(TRUTH, 20_000, rng)
    c = refined(information(q, rng), rng, start)
    p = np.exp(-basis(GRID) @ c / KT)
    there = (p @ basis(GRID)) / p.sum()
    spread = basis(q).std(0) / np.sqrt(40_000)  # of the model's samples
    assert (np.abs(there - basis(q).mean(0)) < 5 * spread).all()
    np.testing.assert_allclose(c, TRUTH, atol=0.15)


def test_forces_and_configurations_weigh_as_they_should():
    """Errors of the joint estimate are those of the summed information, and smaller."""
    rng, n, found = (
        np.random.default_rng(1),
        300,
        {"both": [], "frames": [], "forces": []},
    )
    for _ in range(60):
        q = draw(TRUTH, n, rng)
        data = information(q, rng, noise=2.8)
        silent = Information(data.mean, n, np.zeros((3, 3)), np.zeros(3))
        sampled = basis(draw(TRUTH, 20_000, rng))
        found["both"].append(refine(TRUTH, sampled, data, KT).coefficients)
        found["frames"].append(refine(TRUTH, sampled, silent, KT).coefficients)
        found["forces"].append(np.linalg.solve(data.gram, data.moment))
    error = {k: np.square(np.array(v) - TRUTH).sum(1).mean() for k, v in found.items()}
    assert error["both"] < 0.8 * min(error["frames"], error["forces"])
    curve = n / KT**2 * np.cov(sampled.T) + data.gram
    assert error["both"] == pytest.approx(np.trace(np.linalg.inv(curve)), rel=0.45)


def test_samples_that_do_not_reach_stop_it():
    rng = np.random.default_rng(2)
    data = information(draw(TRUTH * 6, 5000, rng), rng)
    found = refine(np.zeros(3), basis(draw(np.zeros(3), 20_000, rng)), data, KT)
    assert not found.converged
    assert 0.5 <= found.n_eff < 0.8
    assert found.misfit > 30


def test_weights_lead_from_one_model_to_another():
    rng, other = np.random.default_rng(3), TRUTH + np.array([0.8, 0.5, -0.7])
    sampled = basis(draw(TRUTH, 200_000, rng))
    weights = reweighted(sampled, other - TRUTH, KT)
    wanted = basis(draw(other, 200_000, rng)).mean(0)
    np.testing.assert_allclose(weights @ sampled, wanted, atol=0.01)


def test_functions_that_never_change_are_left_alone():
    rng = np.random.default_rng(4)
    q = draw(TRUTH, 4000, rng)
    plain = information(q, rng)
    wide = Information(np.append(plain.mean, 0), 4000, np.zeros((4, 4)), np.zeros(4))
    sampled = np.pad(basis(draw(TRUTH, 20_000, rng)), ((0, 0), (0, 1)))
    found = refine(np.append(TRUTH, 7.0), sampled, wide, KT).coefficients
    assert found[3] == pytest.approx(7.0)
    expected = refine(TRUTH, sampled[:, :3], plain, KT).coefficients
    np.testing.assert_allclose(found[:3], expected, atol=1e-6)


#: A bias that takes the largest barrier off.
BIAS = np.array([-1.4, 0.5, -0.3])


def biased_information(rng, n, weighted=True):
    q = draw(TRUTH + BIAS, n, rng)
    functions = basis(q)
    weights = reweighted(functions, -BIAS, KT) if weighted else np.full(n, 1 / n)
    known = independent_frames(functions, 1, weights)
    return Information(weights @ functions, known, np.zeros((3, 3)), np.zeros(3))


def test_biased_frames_with_weights_tell_as_much_as_unbiased_ones():
    """As many of them as count alike have the same error; unweighted they mislead."""
    rng, sampled = (
        np.random.default_rng(5),
        basis(draw(TRUTH, 40_000, np.random.default_rng(6))),
    )
    known = biased_information(rng, 100_000).frames / 100_000
    assert 0.5 < known < 1.5  # what is lost in wells is won at the barrier
    n, error = 2000, {"biased": [], "unbiased": [], "without weights": []}
    for _ in range(40):
        for kind, data in (
            ("biased", biased_information(rng, round(n / known))),
            ("unbiased", information(draw(TRUTH, n, rng), rng)),
            ("without weights", biased_information(rng, n, weighted=False)),
        ):
            found = refine(TRUTH, sampled, data, KT).coefficients
            error[kind].append(((found - TRUTH) ** 2).sum())
    mean = {k: np.mean(v) for k, v in error.items()}
    assert 0.5 < mean["biased"] / mean["unbiased"] < 2.0
    assert mean["without weights"] > 20 * mean["biased"]


def test_samples_drawn_with_a_bias_refine_as_others():
    rng = np.random.default_rng(7)
    data = information(draw(TRUTH, 20_000, rng), rng)
    start = TRUTH + np.array([0.2, -0.2, 0.1])
    plain = refine(start, basis(draw(start, 200_000, rng)), data, KT)
    other = basis(draw(start + BIAS, 200_000, rng))
    found = refine(start, other, data, KT, BIAS)
    np.testing.assert_allclose(found.coefficients, plain.coefficients, atol=0.06)
    assert found.n_eff == pytest.approx(plain.n_eff, abs=0.25)
    assert found.converged


def test_independent_frames_of_weighted_and_repeated_ones():
    """Each frame ten times is no more; weights leave (sum w)^2 / sum w^2."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(4000, 6))
    assert independent_frames(x, 1) == pytest.approx(4000, rel=0.15)
    again = np.repeat(x, 10, axis=0)
    assert independent_frames(again, 10) == pytest.approx(4000, rel=0.15)
    w = rng.uniform(0, 1, 4000) ** 3
    assert independent_frames(x, 1, w) == pytest.approx(w.sum() ** 2 / (w @ w), rel=0.2)
    with pytest.raises(InputError, match="two blocks"):
        independent_frames(x, 3000)


@pytest.mark.parametrize("bias", [0.0, BIAS])
def test_disagreement_of_what_belongs_together_and_of_what_does_not(bias):
    """About one over repeated data; as large as a wrong force asks for."""
    rng, right, wrong = np.random.default_rng(9), [], []
    for _ in range(40):
        q = draw(TRUTH, 400, rng)
        data = information(q, rng, noise=2.8)
        matched = np.linalg.solve(data.gram, data.moment)
        sampled = basis(draw(matched + bias, 40_000, rng))
        right.append(disagreement(matched, sampled, data, KT, bias))
        off = matched + np.array([1.0, 0.0, 0.0])
        other = Information(data.mean, data.frames, data.gram, data.gram @ off)
        sampled = basis(draw(off + bias, 40_000, rng))
        wrong.append(disagreement(off, sampled, other, KT, bias))
    assert np.median(right) == pytest.approx(1.0, abs=0.6)
    assert np.median(wrong) > 3 * np.median(right)
