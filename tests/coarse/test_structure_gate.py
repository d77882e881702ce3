"""The gate of structure: who passes, how often, and what the file says."""

import numpy as np
import pytest

from mesobridge.coarse.bases import Spline
from mesobridge.coarse.distributions import Distribution, bonded_distribution
from mesobridge.coarse.linear_model import LinearModel, load_linear
from mesobridge.coarse.structure_gate import judge_structure, judged, rms_difference
from mesobridge.coarse.terms import Bonded
from mesobridge.core.errors import InputError

EDGES = np.linspace(0, 1, 41)
CENTRES = 0.5 * (EDGES[1:] + EDGES[:-1])


def radial(seed, blocks=10, height=1.8, rate=4e3, name="pairs A-A"):
    """Blocks with counting noise of g with a peak; nothing within a core."""
    rng = np.random.default_rng(seed)
    g = np.where(CENTRES < 0.2, 0, 1 + height * np.exp(-(((CENTRES - 0.3) / 0.05) ** 2)))
    expected = np.tile(rate * CENTRES**2, (blocks, 1))
    return Distribution(name, EDGES, rng.poisson(g * expected).astype(float), expected)


def test_differences_are_over_bins_that_are_visited():
    one, other = radial(0), radial(1, height=2.3)
    off = (one.values() - other.values())[CENTRES > 0.2]
    assert rms_difference(one, other) == pytest.approx(np.sqrt(np.mean(off**2)))
    assert rms_difference(one, one) == 0


def test_a_perfect_model_passes_and_others_do_not():
    """Of perfect models with as much noise as the data one in twenty fails."""
    passed, covered = [], []
    for k in range(100):
        (verdict,) = judge_structure([radial(3 * k)], [radial(3 * k + 1)],
                                     [radial(3 * k + 2)], seed=k)  # fmt: skip
        passed.append(verdict.ok)
        covered.append(verdict.interval[0] <= verdict.found <= verdict.interval[1])
        assert 0 < verdict.noise < verdict.limit
    assert np.mean(passed) >= 0.87
    assert np.mean(covered) > 0.9
    (verdict,) = judge_structure([radial(0, height=2.1)], [radial(1)], [radial(2)])
    assert not verdict.ok
    assert verdict.interval[0] > verdict.noise


def test_the_interval_is_that_of_a_difference_far_above_the_noise():
    """95 % of intervals hold the true difference of two models."""
    peak = np.exp(-(((CENTRES - 0.3) / 0.05) ** 2))
    truth = np.sqrt(np.mean((0.6 * peak)[CENTRES > 0.2] ** 2))
    inside = []
    for k in range(100):
        (v,) = judge_structure([radial(2 * k, 20, 2.4)], [radial(777, 20)],
                               [radial(2 * k + 1, 20)], seed=k)  # fmt: skip
        inside.append(v.interval[0] <= truth <= v.interval[1])
    assert np.mean(inside) >= 0.87


def test_more_noise_tells_less():
    """What ten times the data find, few data do not."""
    model, passes = radial(5, 100, height=1.87), []
    for blocks in (8, 100):
        training, held_out = (radial(k, blocks) for k in (6, 7))
        passes.append(judge_structure([model], [training], [held_out])[0].ok)
    assert passes == [True, False]


def test_the_verdict_is_in_the_file_of_the_model(tmp_path):
    """Of bonds that are too long."""
    bond = Bonded("bond", "distance", ((0, 1),), Spline(0.0, 1.0, 8))
    model = LinearModel(("A", "A"), np.ones(2), (bond,), np.zeros((1, bond.size)), 0,
                        {"temperature_K": 300.0})  # fmt: skip
    rng, given = np.random.default_rng(0), []
    for middle in (0.5, 0.5, 0.53):
        x = np.zeros((2000, 2, 3))
        x[:, 1, 2] = rng.normal(middle, 0.05, 2000)
        given.append([bonded_distribution(bond, x, bins=50, block=100)])
    training, held_out, long = given
    for run, ok in ((long, False), (training, True)):
        verdicts = judge_structure(run, training, held_out)
        judged(model, verdicts).save(tmp_path / "model.safetensors")
        validity = load_linear(tmp_path / "model.safetensors").validity
        (told,) = validity["structure_gate"]
        assert told["name"] == "bond"
        assert told["ok"] is ok
        assert told == verdicts[0].as_json()
        assert validity["temperature_K"] == 300.0


def test_bonds_beyond_the_ends_count_against_a_model():
    """A fifth of them is broken; the others are as they should be."""
    bond = Bonded("bond", "distance", ((0, 1),), Spline(0.0, 1.0, 8))
    x = np.zeros((6000, 2, 3))
    x[:, 1, 2] = np.random.default_rng(1).normal(0.5, 0.05, 6000)
    broken = x[4000:].copy()
    broken[::5, 1, 2] = 7.0
    good, training, held_out, bad = (
        [bonded_distribution(bond, part, bins=50, block=100)]
        for part in (x[4000:], x[:2000], x[2000:4000], broken)
    )
    assert judge_structure(good, training, held_out)[0].ok
    assert not judge_structure(bad, training, held_out)[0].ok


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="same bins"):
        rms_difference(radial(0), radial(1, name="pairs A-B"))
    with pytest.raises(InputError, match="four at least"):
        judge_structure([radial(0)], [radial(1, 1)], [radial(2, 1)])
