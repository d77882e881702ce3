"""Residence times of chains whose survival is known in closed form."""

import numpy as np
import pytest
from walkers import telegraph

from mesobridge.atomistic.profiles import inside_shell, inside_slab, residence
from mesobridge.atomistic.profiles.residence import stay
from mesobridge.core.errors import InputError
from mesobridge.core.stats import half_width95, interval95
from mesobridge.core.units import NM, PS

LEAVE, ENTER = 0.05, 0.02  # per frame


def found(inside, **changes):
    how = {"block": 200 * PS, "replicates": 100, "seed": 1, "longest": 80 * PS}
    return residence(inside, PS, **{**how, **changes})


def chain(steps, n_frames, number, seed):
    """States of independent Markov chains with the transition matrix `steps`."""
    rng = np.random.default_rng(seed)
    edges = np.cumsum(steps, axis=1)
    state = np.zeros((n_frames, number), int)
    for k in range(1, n_frames):
        draw = rng.random(number)
        state[k] = (draw[:, None] > edges[state[k - 1]]).sum(axis=1)
    return state


@pytest.mark.parametrize("kind", ["continuous", "intermittent"])
def test_two_state_chain(kind):
    """S = (1 - a)^k, C = (1 - a - b)^k; trapezoids give 1/a - 1/2, 1/(a + b) - 1/2."""
    decay = LEAVE if kind == "continuous" else LEAVE + ENTER
    chains = [telegraph(4001, 40, LEAVE, ENTER, seed) for seed in (1, 2)]
    got = found(chains, kind=kind, groups=np.arange(40) // 10)
    assert got.n_units == 2 * 20 * 4
    assert got.survival[0, 0] == pytest.approx(1.0)
    half = half_width95(got.survival, got.n_units)
    truth = (1 - decay) ** np.arange(81)
    assert (np.abs(got.survival[0] - truth) <= 2 * half + 1e-9).all()
    half = half_width95(got.time, got.n_units) / PS
    assert abs(got.time[0] / PS - (1 / decay - 0.5)) < 2 * half < 0.4 / decay
    assert 0.01 < got.tail < 0.1


@pytest.mark.parametrize("kind", ["continuous", "intermittent"])
def test_coverage_of_residence_times(kind):
    """95 % intervals hold the truth, over 80 sets."""
    decay = LEAVE if kind == "continuous" else LEAVE + ENTER
    inside = []
    for seed in range(80):
        h = telegraph(2001, 20, LEAVE, ENTER, 50 + seed)
        got = found(h, kind=kind, groups=np.arange(20) // 5, seed=seed)
        low, high = interval95(got.time / PS, got.n_units)
        inside.append(low <= 1 / decay - 0.5 <= high)
    assert 0.84 <= np.mean(inside) <= 1.0


def test_absences_up_to_the_tolerance_do_not_count():
    """Never gone, but unseen with probability q: leaving takes two misses in a row.

    The mean wait for the second is (1 + q) / q^2 frames; the first is one frame earlier.
    """
    q = 0.2
    seen = np.random.default_rng(3).random((4001, 40)) > q
    strict = found(seen, longest=60 * PS)
    assert strict.time[0] / PS == pytest.approx(1 / q - 0.5, rel=0.05)
    patient = found(seen, tolerance=PS)
    truth = (1 + q) / q**2 - 1.5
    half = half_width95(patient.time, patient.n_units) / PS
    assert abs(patient.time[0] / PS - truth) < 2 * half + 0.03 * truth
    assert half < 0.15 * truth


def test_stable_states_wait_for_the_outer_border():
    """Core, buffer, outside: first passage time ((b + c) / a + 1) / c frames.

    a from core to buffer, b back, c on to the outside.
    """
    a, b, c, e = 0.1, 0.2, 0.1, 0.1
    steps = np.array([[1 - a, a, 0], [b, 1 - b - c, c], [e, 0, 1 - e]])
    state = chain(steps, 4001, 40, 4)
    got = found(state == 0, outer=state < 2, longest=150 * PS)
    truth = ((b + c) / a + 1) / c - 0.5
    half = half_width95(got.time, got.n_units) / PS
    assert abs(got.time[0] / PS - truth) < 2 * half + 0.03 * truth
    assert found(state == 0).time[0] / PS == pytest.approx(1 / a - 0.5, rel=0.1)


def test_staying_frame_by_frame():
    core = np.array([[0, 1, 0, 1, 0, 0, 0, 1]], bool).T
    outer = np.array([[1, 1, 1, 1, 1, 0, 1, 1]], bool).T
    assert stay(core, core).ravel().tolist() == core.ravel().tolist()
    assert stay(core, outer).ravel().astype(int).tolist() == [0, 1, 1, 1, 1, 0, 0, 1]
    assert stay(core, core, 1).ravel().astype(int).tolist() == [0, 1, 1, 1, 0, 0, 0, 1]
    assert stay(core, core, 3).ravel().astype(int).tolist() == [0, 1, 1, 1, 1, 1, 1, 1]


def test_reversed_time_leaves_intermittent_residence_alone():
    """<h(0) h(t)> is even in t: exact when blocks fill the run."""
    h = telegraph(2001, 20, LEAVE, ENTER, 9)
    one, other = (found(x, kind="intermittent") for x in (h, h[::-1].copy()))
    np.testing.assert_allclose(one.survival[0], other.survival[0], atol=1e-9)


# regions ------------------------------------------------------------------------------


def test_slabs_with_and_without_a_period():
    x = np.zeros((1, 4, 3))
    x[0, :, 2] = np.array([0.1, 1.9, 2.1, -0.1]) * NM
    assert inside_slab(x, 0.0, 2 * NM).ravel().tolist() == [True, True, False, False]
    over = inside_slab(x, 1.8 * NM, 2.2 * NM, period=2 * NM)
    assert over.ravel().tolist() == [True, True, True, True]
    assert not inside_slab(x, 1.8 * NM, 2.05 * NM, period=2 * NM)[0, 0]
    tiny = np.zeros((1, 1, 3)) - 1e-25  # the remainder rounds to the period itself
    assert inside_slab(tiny, 0.0, 2 * NM, period=2 * NM).all()
    with pytest.raises(InputError, match="1 not finite"):
        inside_slab(np.where(x == x[0, 0, 2], np.nan, x), 0.0, 2 * NM)
    for low, high, period in ((1.0, 1.0, 0.0), (0.0, 3.0, 2.0)):
        with pytest.raises(InputError, match="slab of a residence"):
            inside_slab(x, low, high, period=period)


def test_shells_in_skewed_boxes():
    rng = np.random.default_rng(4)
    box = np.array([[2.0, 0, 0], [0.9, 1.8, 0], [-0.8, 0.7, 1.9]]) * NM
    x, centres = (rng.random((1, n, 3)) @ box for n in (200, 3))
    steps = np.stack(np.meshgrid(*[[-2, -1, 0, 1, 2]] * 3), -1).reshape(-1, 3) @ box
    apart = x[0][:, None, None] - centres[0][:, None] - steps
    near = np.sqrt((apart**2).sum(-1)).min(-1) < 0.7 * NM
    found = inside_shell(x, centres, 0.7 * NM, box=box, pairs=True)
    assert np.array_equal(found[0], near.ravel())
    assert 0.1 < near.mean() < 0.9


def test_shells_take_the_nearest_image():
    x = np.array([[[0.1, 1.0, 1.0], [1.0, 1.0, 1.0]]]) * NM
    centres = np.array([[[3.9, 1.0, 1.0], [1.2, 1.0, 1.0], [9.0, 9.0, 9.0]]]) * NM
    box = [2 * NM] * 3
    assert inside_shell(x, centres, 0.25 * NM).ravel().tolist() == [False, True]
    assert inside_shell(x, centres, 0.25 * NM, box=box).tolist() == [[True, True]]
    pairs = inside_shell(x, centres, 0.25 * NM, box=box, pairs=True)
    assert pairs.astype(int).tolist() == [[1, 0, 0, 0, 1, 1]]
    with pytest.raises(InputError, match="coordination shell"):
        inside_shell(x, centres, 0.25 * NM, box=[0.4 * NM] * 3)
    for bad, radius in ((centres[:0], 1.0), (centres, -1.0), (centres, np.nan)):
        with pytest.raises(InputError, match="coordination shell"):
            inside_shell(x, bad, radius)
    with pytest.raises(InputError, match="6 not finite"):
        inside_shell(x * np.nan, centres, 1.0)


# bad input ----------------------------------------------------------------------------


def test_bad_residence_input_is_refused_with_a_reason():
    h = telegraph(1001, 4, LEAVE, ENTER, 1)
    always = np.ones((1001, 4), bool)
    for inside, changes, words in (
        (h.astype(float), {}, "booleans"),
        (h, {"kind": "sometimes"}, "kind of residence"),
        (h, {"tolerance": -PS}, "times of the residence"),
        ([], {}, "no trajectory"),
        (h, {"tolerance": np.nan}, "times of the residence"),
        (h, {"block": np.nan}, "does not fit"),
        (always, {"kind": "intermittent"}, "nobody is ever outside"),
        (h, {"longest": 200 * PS}, "times of the residence"),
        (h, {"longest": 0.5 * PS}, "multiple"),
        (h, {"outer": h & False}, "inner and outer"),
        (h, {"outer": always[:, :2]}, "inner and outer"),
        (h, {"groups": np.arange(3)}, "groups"),
        (h & False, {}, "nobody is ever inside"),
        (always, {}, "longer than can be told"),
        (h, {"block": 2000 * PS}, "too short"),
        (h, {"block": 1000 * PS}, "too few blocks"),
        (h, {"replicates": 10}, "at least 50"),
    ):
        with pytest.raises(InputError, match=words):
            found(inside, **changes)
    with pytest.raises(InputError, match="does not fit"):
        residence(h, 0.0, block=10 * PS, replicates=60, seed=0)
    rare = h & False
    rare[:150, 0] = True
    with pytest.raises(InputError, match="nobody inside in a resample"):
        found(rare)
