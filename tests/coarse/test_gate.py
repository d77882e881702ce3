"""The gate: known differences of known distributions."""

import numpy as np
import pytest

from mesobridge.coarse.gate import (
    Observable,
    difference,
    judge,
    of_the_model_itself,
    split_noise,
)
from mesobridge.core.errors import InputError

EDGES = np.linspace(-np.pi, np.pi, 25)
TURNS = Observable("phi-psi", (EDGES, EDGES))
KT = 0.0019872 * 300  # kcal/mol


def samples(n, seed, spread=0.9, shift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, spread, (n, 2))
    return (x + np.pi) % (2 * np.pi) - np.pi


def test_differences_of_known_densities():
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.0])
    q = np.array([0.2, 0.2, 0.3, 0.2, 0.1])
    found = difference(p, q, 300.0)
    wanted = KT**2 * (np.log(0.5) ** 2 + np.log(2) ** 2) / 4
    assert found.mse == pytest.approx(wanted, rel=1e-4)
    m = 0.5 * (p + q)
    js = sum(
        0.5 * a * np.log(a / b) for a, b in zip([*p[:4], *q], [*m[:4], *m], strict=True)
    )
    assert found.js == pytest.approx(js, rel=1e-12)
    assert difference(q, p, 300.0) == pytest.approx(found)
    same = difference(p, p, 300.0)
    assert (same.mse, same.js) == (0.0, 0.0)
    apart = difference(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 300.0)
    assert apart.mse == np.inf
    assert apart.js == pytest.approx(np.log(2))


def test_noise_falls_with_the_number_of_samples():
    """As one over n, where bins are well filled."""
    line = Observable("x", (np.linspace(-2, 2, 9),))
    small, large = (
        split_noise(line, samples(n, 1)[:, :1], 300.0)[0] for n in (4000, 64_000)
    )
    assert 10 < small.mse / large.mse < 25
    assert 10 < small.js / large.js < 25
    # Two halves of m samples differ by sqrt(2 / m p) in ln p.
    x = samples(64_000, 1)[:, :1]
    p = line.density(x)
    wanted = KT**2 * np.mean(2 / (32_000 * p))
    assert large.mse == pytest.approx(wanted, rel=0.25)


def test_frames_of_the_model_itself_differ_as_expected():
    """Where bins are well filled, by 1 / (n p) in the square of ln p."""
    line = Observable("x", (np.linspace(-2, 2, 9),))
    density = line.density(samples(200_000, 3)[:, :1])
    found = of_the_model_itself(density, 20_000, 300.0)
    assert found.mse == pytest.approx(KT**2 * np.mean(1 / (20_000 * density)), rel=0.25)
    own = difference(line.density(samples(20_000, 4)[:, :1]), density, 300.0)
    assert own.js < 3 * found.js


def test_samples_that_depend_on_each_other_are_split_in_blocks():
    x = np.repeat(samples(800, 2), 10, axis=0)
    together, apart = (split_noise(TURNS, x, 300.0, block=b)[0] for b in (10, 1))
    assert together.js > 3 * apart.js


def test_a_good_model_passes_and_others_do_not():
    names = ("phi-psi",)
    data = [samples(2500, seed) for seed in (3, 4)]
    given = [dict(zip(names, [x], strict=True)) for x in data]
    for model, passes in (
        (samples(100_000, 5), True),
        (samples(100_000, 6, shift=0.25), False),
        (samples(100_000, 7, spread=0.7), False),
    ):
        (verdict,) = judge([TURNS], {"phi-psi": model}, *given, 300.0)
        assert verdict.ok is passes
        assert verdict.as_json()["ok"] is passes


def test_a_perfect_model_seldom_fails():
    """Where bins are populated: what lies higher than that is left out."""
    turns = Observable("phi-psi", TURNS.edges, 8.0)
    model, failed = {"phi-psi": samples(100_000, 5)}, 0
    for seed in range(40):
        given = [{"phi-psi": samples(1500, 100 + 2 * seed + k)} for k in (0, 1)]
        (verdict,) = judge([turns], model, *given, 300.0)
        failed += not verdict.ok
        assert verdict.limit.js >= verdict.noise.js
        assert verdict.limit.mse >= 1.5 * verdict.noise.mse
    assert failed <= 2


def test_weights_reweigh():
    x = samples(200_000, 8, spread=1.2)
    weights = np.exp(-(x**2).sum(1) / 2 * (1 / 0.9**2 - 1 / 1.2**2))
    one = TURNS.density(x, weights)
    other = TURNS.density(samples(200_000, 9))
    # Those of the wide distribution that went around the circle are few.
    assert difference(one, other, 300.0).js < 0.01
    assert difference(TURNS.density(x), other, 300.0).js > 0.03


def wide(n, seed):
    """Samples of a wide distribution and weights to those of `samples`."""
    x = samples(n, seed, spread=1.2)
    return x, np.exp(-(x**2).sum(1) / 2 * (1 / 0.9**2 - 1 / 1.2**2))


def test_noise_of_weighted_samples():
    """As that of so many unweighted ones as count, where bins are well filled."""
    line = Observable("x", (np.linspace(-1, 1, 5),))
    x, w = wide(60_000, 10)
    found, _ = split_noise(line, x[:, :1], 300.0, weights=w)
    # Of a bin with weights w: var ln p = sum w^2 / (sum w)^2.
    bins = np.digitize(x[:, 0], line.edges[0])
    shares = [w[bins == k] for k in range(1, 5)]
    wanted = KT**2 * np.mean([2 * 2 * (s @ s) / s.sum() ** 2 for s in shares])
    assert found.mse == pytest.approx(wanted, rel=0.35)
    scaled, _ = split_noise(line, x[:, :1], 300.0, weights=7 * w)
    assert scaled.mse == pytest.approx(found.mse)


def test_a_model_is_judged_with_weights():
    """Biased data and a biased run of the right model pass; without weights it fails."""
    (one, w1), (two, w2), (model, w) = wide(6000, 11), wide(6000, 12), wide(200_000, 13)
    given = {"phi-psi": model}, {"phi-psi": one}, {"phi-psi": two}
    turns = Observable("phi-psi", TURNS.edges, 12.0)
    assert judge([turns], *given, 300.0, weights=(w, w1, w2))[0].ok
    flat = np.ones(len(w))
    assert not judge([turns], *given, 300.0, weights=(flat, w1, w2))[0].ok


def test_bins_above_the_ceiling_do_not_count():
    p, q = np.array([0.5, 0.499, 0.001]), np.array([0.5, 0.4999, 0.0001])
    low = difference(p, q, 300.0, 4.184 * KT * 3)  # 3 kT
    assert difference(p, q, 300.0).mse > 100 * low.mse > 0
    assert difference(p, q, 300.0, 4.184 * KT * 9) == difference(p, q, 300.0)
    assert low.js == difference(p, q, 300.0).js


def test_samples_outside_of_the_bins_count_against_a_model():
    """Bins between the ends of the data; every tenth sample of the model is far away."""
    line = Observable("x", (np.linspace(-2, 2, 21),))
    data = [{"x": samples(6000, seed)[:, :1].clip(-2, 2)} for seed in (3, 4)]
    good = samples(100_000, 5)[:, :1].clip(-2, 2)
    lost = np.where(np.arange(len(good))[:, None] % 10, good, 9.0)
    assert judge([line], {"x": good}, *data, 300.0)[0].ok
    (verdict,) = judge([line], {"x": lost}, *data, 300.0)
    assert not verdict.ok
    # A tenth in a bin of its own: of p = (1 - a, a) and q = (1, 0).
    a, m = 0.1, 0.95
    js = 0.5 * ((1 - a) * np.log((1 - a) / m) + a * np.log(2) - np.log(m))
    assert verdict.found.js == pytest.approx(js, rel=0.05)
    few = line.density(lost)
    assert few.sum() == pytest.approx(0.9)
    assert of_the_model_itself(few, 20_000, 300.0).js < 0.001


def test_too_few_samples_are_refused():
    fine = np.linspace(0, 1, 101)
    spread = np.random.default_rng(0).random((8, 2))
    with pytest.raises(InputError, match="halves of the data of x"):
        split_noise(Observable("x", (fine, fine)), spread, 300.0)
    with pytest.raises(InputError, match="too few blocks"):
        split_noise(TURNS, samples(30, 1), 300.0, block=10)
    with pytest.raises(InputError, match="no sample"):
        TURNS.density(samples(30, 1) + 100)
    with pytest.raises(InputError, match="too few blocks"):
        split_noise(TURNS, samples(30, 1), 300.0, block=0)


def test_what_cannot_be_judged_is_told():
    x = {TURNS.name: samples(100, 1)}
    nan = {TURNS.name: np.where(x[TURNS.name] > 0, np.nan, x[TURNS.name])}
    w = np.ones(100)
    for given, words in (
        (([TURNS], {}, x, x, 300.0), f"none of {TURNS.name}"),
        (([], x, x, x, 300.0), "observables of the gate"),
        (([TURNS], x, x, x, 0.0), "temperature of the gate"),
        (([TURNS], nan, x, x, 300.0), "or NaN"),
    ):
        with pytest.raises(InputError, match=words):
            judge(*given)
    with pytest.raises(InputError, match="99 weights"):
        judge([TURNS], x, x, x, 300.0, weights=(w[1:], w, w))
