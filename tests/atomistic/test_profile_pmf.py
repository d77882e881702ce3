"""W from densities and umbrella windows: closed forms, gaps, another implementation."""

import numpy as np
import pytest
from langevin import SHAPES, walk

from mesobridge.atomistic.profiles.pmf import (
    CAP,
    WIDEST,
    density_pmf,
    harmonic_bias,
    umbrella_pmf,
    window_weights,
)
from mesobridge.core.errors import InputError

FACES = np.linspace(0, 4, 401)
Z = 0.5 * (FACES[1:] + FACES[:-1])


def windows(centres, stiffness, work, samples=1e4):
    """Exact mean counts of windows, one unit each, and their bias."""
    bias = harmonic_bias(centres, stiffness, FACES)
    p = np.exp(-work(Z) - bias)
    return [samples * row[None] / row.sum() for row in p], bias


def wavy(z):
    return 3 * np.cos(3 * z) + 0.5 * z


def test_windows_give_back_the_work():
    """Counts in proportion to exp(-W - u): W exactly, and free energies of windows."""
    centres = np.linspace(0.1, 3.9, 15)
    counts, bias = windows(centres, 60.0, wavy)
    found = umbrella_pmf(counts, bias, window_weights([1] * 15, 0, 0))
    want = density_pmf(np.exp(-wavy(Z)), found.visited)
    assert found.W[0] == pytest.approx(want, abs=1e-6)
    f = -np.log(np.exp(-wavy(Z) - bias).sum(axis=1))
    assert found.free_energy[0] == pytest.approx(f - f[0], abs=1e-6)
    assert found.overlap.sum(axis=1) == pytest.approx(1)
    assert found.weak == []


def test_order_of_windows_does_not_matter():
    rng = np.random.default_rng(3)
    centres = np.linspace(0.1, 3.9, 15)
    counts, bias = windows(centres, 60.0, wavy)
    counts = [rng.poisson(c).astype(float) for c in counts]
    order = rng.permutation(15)
    ones = [np.ones((1, 1))] * 15
    a = umbrella_pmf(counts, bias, ones)
    b = umbrella_pmf([counts[k] for k in order], bias[order], ones)
    assert np.abs(a.W - b.W).max() < 1e-7


def test_free_energy_difference_of_two_springs():
    """Flat W, springs k1, k2: f2 - f1 = ln(k2 / k1) / 2."""
    bias = harmonic_bias(np.array([2.0, 2.0]), np.array([40.0, 90.0]), FACES)
    p = np.exp(-bias)
    counts = [1e4 * row[None] / row.sum() for row in p]
    found = umbrella_pmf(counts, bias, [np.ones((1, 1))] * 2)
    assert found.free_energy[0, 1] == pytest.approx(0.5 * np.log(90 / 40), abs=1e-6)


def test_a_run_without_bias_is_a_window():
    """No spring, no bias; with it the windows give the same W."""
    bias = harmonic_bias(np.array([1.0, 2.0]), np.array([0.0, 60.0]), FACES)
    assert bias[0] == pytest.approx(np.zeros(400), abs=1e-6)
    counts = [1e4 * row[None] / row.sum() for row in np.exp(-wavy(Z) - bias)]
    found = umbrella_pmf(counts, bias, [np.ones((1, 1))] * 2)
    assert found.W[0] == pytest.approx(density_pmf(np.exp(-wavy(Z)), found.visited))


@pytest.mark.parametrize("far", [9e3, np.inf])
def test_cells_far_from_all_windows_do_not_matter(far):
    """Stiff windows in a corner: beyond it 9000 kT, or a hard wall."""
    centres = np.linspace(0.2, 1.0, 11)
    here = Z < 1.2
    counts, bias = windows(centres, 500.0, wavy)
    counts = [np.where(here, c, 0.0) for c in counts]
    found = umbrella_pmf(counts, np.where(here, bias, far), [np.ones((1, 1))] * 11)
    want = density_pmf(np.exp(-wavy(Z[here])), np.ones(here.sum(), dtype=bool))
    assert found.W[0, here] == pytest.approx(want, abs=1e-6)
    assert (found.W[0, ~here] == CAP).all()


@pytest.mark.parametrize("work", [wavy, lambda z: 5 * z, lambda z: 0 * z])
def test_wide_cells_do_not_tilt_the_work(work):
    """The widest cells that are taken, truth from within them: to 0.02 of 20 kT."""
    centres, k, fine = np.linspace(0.1, 3.9, 25), 60.0, 200
    n = int(np.ceil(4 * np.sqrt(k) / WIDEST))
    z = (np.arange(n * fine) + 0.5) * 4 / (n * fine)
    weight = np.exp(-work(z) - 0.5 * k * (z - centres[:, None]) ** 2)
    counts = [1e4 * row[None] / row.sum() for row in weight.reshape(25, n, fine).sum(-1)]
    bias = harmonic_bias(centres, k, np.linspace(0, 4, n + 1))
    found = umbrella_pmf(counts, bias, [np.ones((1, 1))] * 25)
    error = found.W[0] + np.log(np.exp(-work(z)).reshape(n, fine).mean(axis=1))
    assert np.abs(error - error.mean()).max() < 0.02


def test_bad_input_is_refused_with_a_reason():
    counts, bias = windows(np.array([1.0, 1.3]), 60.0, wavy)
    ones, gone = [np.ones((1, 1))] * 2, [counts[0] * np.nan, counts[1]]
    for call, words in (
        (lambda: harmonic_bias([1.0], -5.0, FACES), "springs of umbrella"),
        (lambda: harmonic_bias([1.0], 1e5, FACES), "smaller cells"),
        (lambda: umbrella_pmf(counts, bias[:1], ones), "do not fit together"),
        (lambda: umbrella_pmf(counts, bias[:, :9], ones), "do not fit together"),
        (lambda: umbrella_pmf(counts, bias * np.nan, ones), "do not fit together"),
        (lambda: umbrella_pmf(counts, bias, ones[:1]), "do not fit together"),
        (lambda: umbrella_pmf(counts, bias, ones, np.zeros(2)), "do not fit together"),
        (lambda: umbrella_pmf([], bias[:0], []), "do not fit together"),
        (lambda: umbrella_pmf(gone, bias, ones), "counts of umbrella"),
        (lambda: density_pmf(np.repeat([1.0, 0.0, 1.0], 5)), "refers to"),
        (lambda: density_pmf(np.array([np.nan, 1.0, 1.0])), "refers to"),
        (lambda: density_pmf(np.ones(9), np.zeros(9, dtype=bool)), "refers to"),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_gaps_are_refused_and_weak_overlap_is_said():
    counts, bias = windows(np.array([0.5, 3.5]), 60.0, wavy)
    ones = [np.ones((1, 1))] * 2
    with pytest.raises(InputError, match="do not overlap"):
        umbrella_pmf(counts, bias, ones)
    counts, bias = windows(np.array([1.0, 1.65]), 60.0, lambda z: 0 * z)
    found = umbrella_pmf(counts, bias, ones)
    assert found.weak == [(0, 1)]
    with pytest.raises(InputError, match="without samples"):
        umbrella_pmf([counts[0], 0 * counts[1]], bias, ones)


def test_where_nobody_goes_W_is_capped():
    counts, bias = windows(np.array([1.0, 1.3]), 60.0, lambda z: 0 * z, samples=1e3)
    counts = [np.round(c) for c in counts]
    found = umbrella_pmf(counts, bias, [np.ones((1, 1))] * 2)
    assert (found.W[0, ~found.visited] == CAP).all()
    assert not found.visited[Z > 3].any()


def test_bars_shrink_with_the_square_root():
    """Four times the units, half the error of W."""
    rng = np.random.default_rng(4)
    centres = np.linspace(0.1, 3.9, 15)
    mean, bias = windows(centres, 60.0, wavy, samples=300)
    errors = []
    for units in (20, 80):
        counts = [rng.poisson(np.repeat(c, units, axis=0)) for c in mean]
        weights = window_weights([units] * 15, 100, 1)
        found = umbrella_pmf(counts, bias, weights)
        errors.append(found.W[1:, 50:350].std(axis=0).mean())
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.15)


def test_beside_pymbar():
    """MBAR of the samples themselves, by its authors' package, where it is installed."""
    pymbar = pytest.importorskip("pymbar")
    shape, centres, k = SHAPES["barrier"], np.linspace(0.1, 3.9, 15), 60.0
    z = [
        walk(shape, 20, 50, i, save=0.5, dt=0.05,
             bias=lambda z, c=c: 0.5 * k * (z - c) ** 2).z.ravel()
        for i, c in enumerate(centres)
    ]  # fmt: skip
    counts = [np.histogram(row, FACES)[0][None].astype(float) for row in z]
    bias = harmonic_bias(centres, k, FACES)
    found = umbrella_pmf(counts, bias, [np.ones((1, 1))] * 15)
    energy = 0.5 * k * (np.concatenate(z) - centres[:, None]) ** 2
    exact = pymbar.MBAR(energy, np.full(15, 1000)).f_k
    assert found.free_energy[0] == pytest.approx(exact - exact[0], abs=0.02)
