"""D_perp, D_par: exact propagators, brute force, synthetic truth, coverage of errors."""

import numpy as np
import profiles_truth as truth
import pytest
from langevin import INERTIAL, SHAPES, Shape, walk
from scipy.linalg import expm

from mesobridge.atomistic.profiles.fokker_planck import (
    Likelihood,
    joint_probability,
    spline_basis,
)
from mesobridge.atomistic.profiles.lagscan import scan_lags
from mesobridge.atomistic.profiles.parallel import (
    PARTS,
    Survivors,
    count_survivors,
    estimate_parallel,
    lay_windows,
)
from mesobridge.atomistic.profiles.perpendicular import (
    estimate_biased,
    estimate_perpendicular,
    widest_cell,
)
from mesobridge.core.errors import InputError
from mesobridge.core.stats import bootstrap_weights

ONE = np.ones((1, 1))


def expected(shape, n, lag, finer=12, faster=1.0):
    """Exact transition probabilities between cells, and their weights."""
    N = n * finer
    z = (np.arange(N) + 0.5) * shape.width / N
    face = np.arange(1, N) * shape.width / N
    weight = np.exp(-shape.work(z))
    D = faster * shape.perpendicular(face)
    fine = joint_probability(D, weight, shape.width / N, lag)
    return fine.reshape(n, finer, n, finer).sum(axis=(1, 3)), weight.reshape(n, -1).sum(1)


# D_perp -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SHAPES))
def test_cells_leave_no_bias(name):
    """Exact transitions, lumped into wide cells: D to 0.5 %, where 15 % was taken off."""
    shape, n, lag = SHAPES[name], 80, 2.0
    joint, weight = expected(shape, n, lag)
    h = shape.width / n
    found = estimate_perpendicular(1e6 * joint[None], weight[None], ONE, h, lag)
    z = found.faces * h
    inner = (z > 0.1) & (z < shape.width - 0.1)
    error = np.log(found.D[0] / shape.perpendicular(z))
    assert np.abs(error[inner]).max() < 0.006
    assert np.abs(error).max() < 0.03
    assert found.bias.max() > 0.08


def test_a_ring_has_no_ends():
    """Exact transitions on a ring: D to 1 % everywhere, wherever the border is."""
    n, finer, width, lag = 80, 5, 3.0, 2.0
    N, h = n * finer, width / n
    turn = 2 * np.pi / width
    D = lambda z: 2e-3 * (1 - 0.4 * np.cos(turn * z))  # noqa: E731
    z = (np.arange(N) + 0.5) * width / N
    weight = np.exp(-np.cos(turn * z - 1.0))
    rate = D(np.arange(N) * width / N) * (N / width) ** 2  # through the left face
    up = np.sqrt(weight / np.roll(weight, 1))
    rates = np.zeros((N, N))
    for k in range(N):
        rates[k, k - 1] = rates[k - 1, k] = rate[k]
        rates[k - 1, k - 1] -= rate[k] * up[k]
        rates[k, k] -= rate[k] / up[k]
    root = np.sqrt(weight / weight.sum())
    joint = root[:, None] * expm(lag * rates) * root
    joint = joint.reshape(n, finer, n, finer).sum(axis=(1, 3))
    visits = weight.reshape(n, finer).sum(axis=1)
    for shift in (0, 33):
        pairs = 1e6 * np.roll(joint, (shift, shift), (0, 1))[None]
        at = np.roll(visits, shift)[None]
        found = estimate_perpendicular(pairs, at, ONE, h, lag, periodic=True)
        assert found.faces.tolist() == list(range(n + 1))
        error = np.log(found.D[0] / D((found.faces - shift) * h))
        assert np.abs(error).max() < 0.01
        rare = estimate_perpendicular(4e-3 * pairs, at, ONE, h, lag, periodic=True)
        assert not rare.few.any()  # 14 transitions or more in each cell
    # Leaving out who crosses the border makes the others slow beside it.
    stays = 1e6 * joint * (np.abs(np.subtract.outer(np.arange(n), np.arange(n))) < n / 2)
    row = estimate_perpendicular(stays[None], visits[None], ONE, h, lag)
    assert row.D[0, -1] < 0.96 * D(width)


def test_bias_of_cells_is_a_twelfth():
    """Uniform positions in both cells add 2 h^2 / 12 to <dz^2> = 2 D lag."""
    flat = Shape("flat", 2.0, np.zeros_like, lambda z: 0 * z + 1e-2, np.ones_like)
    n, lag = 100, 2.0
    joint, weight = expected(flat, n, lag)
    h = flat.width / n
    found = estimate_perpendicular(1e7 * joint[None], weight[None], ONE, h, lag)
    middle = np.abs(found.faces - n / 2) < n / 5
    assert np.expm1(found.bias[middle]) * 1e-2 == pytest.approx(h**2 / 12 / lag, rel=0.1)
    assert found.D[0, middle] == pytest.approx(1e-2, rel=1e-3)


def test_gradient_with_windows():
    """Differences of the value, with windows that reach different cells."""
    rng = np.random.default_rng(0)
    n, h = 20, 0.03
    likelihood = Likelihood(spline_basis(np.arange(1, n) * h), h, 1.0)
    counts = rng.poisson(3.0, (2, n, n)).astype(float)
    visits = rng.uniform(50, 200, (2, n))
    for k, outside in enumerate((slice(14, None), slice(0, 5))):
        visits[k, outside] = counts[k, outside] = counts[k, :, outside] = 0
    x = np.log(0.01) + 0.3 * rng.standard_normal(likelihood.basis.shape[1])
    _, gradient = likelihood.value_and_gradient(x, counts, visits)
    for k in range(len(x)):
        step = np.eye(len(x))[k] * 1e-5
        plus = likelihood.value_and_gradient(x + step, counts, visits)[0]
        minus = likelihood.value_and_gradient(x - step, counts, visits)[0]
        assert gradient[k] == pytest.approx((plus - minus) / 2e-5, rel=1e-5, abs=1e-4)


def test_unbiased_windows_are_one_run():
    """Two windows without a bias: the fit to all transitions together."""
    shape, n, lag = SHAPES["barrier"], 50, 4.0
    joint, weight = expected(shape, n, lag, finer=4)
    h = shape.width / n
    one = estimate_perpendicular(1e5 * joint[None], weight[None], ONE, h, lag)
    two = estimate_biased(
        [4e4 * joint[None], 6e4 * joint[None]], -np.log(weight)[None], np.zeros((2, n)),
        [ONE, ONE], h, lag,
    )  # fmt: skip
    assert np.abs(two.D / one.D - 1).max() < 2e-3


def test_faces_without_transitions_are_flagged():
    """A gap that few ions cross: D there is interpolated, and said to be."""
    joint, weight = expected(SHAPES["barrier"], 50, 4.0, finer=4)
    counts = np.round(2e3 * joint)
    counts[:6] = counts[:, :6] = 0
    counts[20:25] = counts[:, 20:25] = 0
    found = estimate_perpendicular(counts[None], weight[None], ONE, 0.08, 4.0)
    assert found.faces[0] >= 7
    assert found.few[(found.faces >= 20) & (found.faces <= 25)].all()
    assert found.few.mean() < 0.6
    everywhere = found.on_all_faces(50)
    assert everywhere.shape == (1, 51)
    assert (everywhere[:, :7] == found.D[:, :1]).all()
    with pytest.raises(InputError, match="too few cells"):
        estimate_perpendicular(counts[None] * 0, weight[None], ONE, 0.08, 4.0)


def test_widest_cell_keeps_lumping_small():
    """(0.6)^2 2 D lag / (12 lag) is 6 % of D."""
    h = widest_cell(2e-3, 2.0)
    assert h**2 / (12 * 2.0) == pytest.approx(0.06 * 2e-3)


# lags ---------------------------------------------------------------------------------


def lag_set(factors, noise=0.0):
    """Exact transitions at four lags, with D multiplied by a factor at each."""
    shape, n, rng = SHAPES["layers, dip 0.4"], 50, np.random.default_rng(3)
    lags = np.array([5.0, 10.0, 20.0, 40.0])
    transitions = []
    for lag, faster in zip(lags, factors, strict=True):
        joint, weight = expected(shape, n, lag, finer=4, faster=faster)
        share = np.exp(noise * rng.standard_normal((12, n, n)))
        transitions.append(1e4 * joint * share)
    visits = np.tile(weight, (12, 1))
    weights = bootstrap_weights(12, 50, 0)
    return scan_lags(transitions, lags, np.ones(4), visits, weights, 0.08), shape


def test_a_plateau_from_the_start():
    scan, shape = lag_set([1, 1, 1, 1])
    z = np.linspace(0, shape.width, 51)
    assert scan.chosen == 0
    assert not scan.no_plateau().any()
    assert not scan.few_visits()[1:-1].any()
    inner = (z > 0.2) & (z < 3.8)
    assert scan.best[0, inner] == pytest.approx(shape.perpendicular(z[inner]), rel=0.01)
    assert (scan.systematic / scan.best[0])[inner].max() < 0.02


def test_cages_put_the_lag_off():
    """D falls by 30 % and 8 % before it stays: the third lag, and no flag there."""
    scan, _ = lag_set([1.4, 1.08, 1, 1], noise=0.02)
    assert scan.lags[scan.chosen] == 20
    assert not scan.no_plateau().any()


def test_no_plateau_is_said():
    """D that goes on falling: the last but one lag, flags, and a term that says it."""
    scan, _ = lag_set([2.0, 1.7, 1.4, 1.0], noise=0.02)
    assert scan.lags[scan.chosen] == 20
    assert scan.no_plateau()[5:-5].all()
    relative = (scan.systematic / scan.best[0])[8:-8]
    assert relative == pytest.approx(np.log(1.4), rel=0.25)


def test_lags_must_ascend():
    with pytest.raises(InputError, match="lags of a plateau test"):
        scan_lags([], [2.0, 1.0], [], np.ones((1, 4)), ONE, 0.1)


# D_par --------------------------------------------------------------------------------


def test_survivors_by_brute_force():
    rng = np.random.default_rng(1)
    z, xy = rng.uniform(0, 1, (14, 6)), rng.standard_normal((14, 6, 2)).cumsum(axis=0)
    z = 0.5 + 0.35 * (z - 0.5)
    windows, lag, spacing = np.array([[0.3, 0.65], [0.4, 0.7]]), 3, 0.5
    group = np.array([0, 0, 1, 1, 1, 2])
    found = count_survivors(z, xy, windows, lag, spacing, group)
    number, growth = np.zeros((3, 2)), np.zeros((3, 2))
    time = np.zeros((3, 2, PARTS))
    for w, (low, high) in enumerate(windows):
        for i in range(6):
            for o in range(14 - lag):
                path = z[o : o + lag + 1, i]
                if not ((path >= low) & (path < high)).all():
                    continue
                number[group[i], w] += 1
                late, early = xy[o + 3, i] - xy[o, i], xy[o + 1, i] - xy[o, i]
                growth[group[i], w] += late @ late - early @ early
                for frame, share in ((1, 0.5), (2, 1.0), (3, 0.5)):
                    part = int((path[frame] - low) * PARTS / (high - low))
                    time[group[i], w, part] += share * spacing
    assert number.sum() > 20
    assert found.number == pytest.approx(number)
    assert found.growth == pytest.approx(growth)
    assert found.time == pytest.approx(time)


def test_windows_of_any_width_give_the_spline():
    """growth = 4 sum_j time_j D(z_j) without noise: D, whoever survived."""
    rng = np.random.default_rng(2)
    z = np.linspace(0.3, 3.7, 60)

    def D(z):
        return 1e-3 * (1 + 0.3 * z - 0.05 * z**2)

    for size in (0.3, 0.8):
        windows = lay_windows(0.0, 4.0, size)
        place = windows[:, :1] + size * (np.arange(PARTS) + 0.5) / PARTS
        time = 1e4 * rng.uniform(0.1, 1.0, (1, len(windows), PARTS))
        growth = 4 * (time * D(place)).sum(axis=-1)
        number = time.sum(axis=-1)
        found = estimate_parallel(Survivors(number, growth, time), windows, ONE, z, 1)
        assert found.D[0] == pytest.approx(D(z), rel=5e-3)
        assert not found.few.any()


def test_windows_without_survivors_are_flagged():
    windows = lay_windows(0.0, 2.0, 0.4)
    time = np.full((1, len(windows), PARTS), 100.0)
    number, growth = time.sum(axis=-1), 4 * 2e-3 * time.sum(axis=-1)
    for a in (number, growth, time):
        a[:, windows[:, 1] > 1.5] = 0
    z = np.array([0.5, 1.0, 1.2, 1.9])
    found = estimate_parallel(Survivors(number, growth, time), windows, ONE, z, 1)
    assert list(found.few) == [False, False, False, True]
    assert found.D[0] == pytest.approx(2e-3, rel=1e-6)
    with pytest.raises(InputError, match="hardly an ion stays"):
        estimate_parallel(Survivors(0 * number, growth, time), windows, ONE, z, 1)


# synthetic truth ----------------------------------------------------------------------


def test_walkers_are_in_equilibrium_and_diffuse():
    """exp(-W), and <dz^2> = 2 D t, <dx^2 + dy^2> = 4 D_par t where both are flat."""
    shape = Shape(
        "box", 4.0, lambda z: 2 * np.exp(-(((z - 1) / 0.3) ** 2)),
        lambda z: 2e-3 + 0 * z, lambda z: 3e-3 + 0 * z,
    )  # fmt: skip
    motion = walk(shape, 4000, 41, 5, save=0.5, dt=0.05)
    seen = np.histogram(motion.z[-1], np.linspace(0, 4, 17))[0]
    p = np.exp(-truth.true_work(shape, 16))
    want = p / p.sum() * 4000
    assert ((seen - want) ** 2 / want).sum() < 45  # chi^2 of 15: one in 10^4
    far = (motion.z[0] > 2.5) & (motion.z[0] < 3.3)
    step = (motion.z[10] - motion.z[0])[far]
    assert np.mean(step**2) == pytest.approx(2 * 2e-3 * 5, rel=4 * np.sqrt(2 / far.sum()))
    square = ((motion.xy[40] - motion.xy[0]) ** 2).sum(axis=-1)
    assert square.mean() == pytest.approx(4 * 3e-3 * 20, rel=4 / np.sqrt(4000))


@pytest.mark.parametrize("name", ["layers, dip 0.6", "barrier"])
def test_errors_at_1e5_positions(name):
    """At most 6 %; the expected 3 % has a spread of a sixth of it over sets."""
    shape = SHAPES[name]
    motion, lag = truth.moved(shape, 100_000, 7)
    found = truth.analyse(motion, shape, lag, 60, 0)
    assert truth.rms([found.perpendicular]) < 0.06
    assert truth.rms([found.parallel]) < 0.06
    for errors in (found.perpendicular, found.parallel, found.work):
        assert truth.coverage(errors, found.units.n) > 0.6


def test_inertia_is_gone_at_the_lag():
    """Free flight of 1 / gamma = 0.02 ps leaves 1 % at 2 ps."""
    motion, lag = truth.moved(INERTIAL, 100_000, 3)
    found = truth.analyse(motion, INERTIAL, lag, 0, 0)
    assert truth.rms([found.perpendicular]) < 0.07


def test_D_perp_from_umbrella_windows():
    work, D = truth.umbrella(SHAPES["barrier"], 1, 250, 50)
    assert truth.rms([D]) < 0.06
    assert np.sqrt(np.mean(work[0] ** 2)) < 0.6
    assert truth.coverage(D, 400) > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SHAPES))
def test_coverage_of_everything(name):
    """95 % bootstrap intervals hold the truth in 88 to 99 % of the points, 24 sets."""
    shape = SHAPES[name]
    sets = [truth.moved(shape, 100_000, 100 + s) for s in range(24)]
    assert [f["name"] for f in truth.covered(shape, sets, 100) if not f["ok"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("clones", [1, 4])
def test_coverage_whatever_moves_together(clones):
    """Time blocks are honest for ions that move in groups of four."""
    sets = [truth.fast(300 + s, clones=clones) for s in range(24)]
    found = truth.covered(truth.FAST, sets, 100)
    assert [f["name"] for f in found if not f["ok"]] == []


@pytest.mark.slow
def test_errors_at_1e6_positions():
    assert [f["name"] for f in truth.accuracy(1_000_000, 2, 0.03) if not f["ok"]] == []
