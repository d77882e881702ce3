"""Dielectric profiles: ensembles of known permittivity, coverage."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

import mesobridge
from mesobridge.atomistic.profiles.dielectric import (
    bulk_permittivity,
    dielectric_profile,
    dipole_relaxation,
    permittivity_interval95,
)
from mesobridge.atomistic.profiles.dipoles import DipoleSums
from mesobridge.core.errors import InputError
from mesobridge.core.stats import bootstrap_weights, half_width95, interval95
from mesobridge.core.units import ANGSTROM, ELEMENTARY_CHARGE, NM, thermal_energy
from mesobridge.core.units import VACUUM_PERMITTIVITY as EPS0

T = 300.0
KT = thermal_energy(T)
WATER = Path(mesobridge.__file__).resolve().parent.parent / "shared/data/spce510"


# independent rigid dipoles ------------------------------------------------------------


def free_dipoles(n_units, n_frames, seed, *, x=0.6, fill=1.0, n=8, dipoles=60):
    """Rigid dipoles of random place and orientation: n mu^2 / (3 eps0 kT) = x."""
    rng = np.random.default_rng(seed)
    box = np.array([2.0, 2.0, 4.0]) * NM
    mu = np.sqrt(3 * EPS0 * KT * x * box.prod() * fill / dipoles)
    length = 0.05 * NM
    q = np.tile([-0.5, 0.5], dipoles) * 2 * mu / length
    index = np.repeat(np.arange(dipoles), 2)
    sums = DipoleSums(n_units, n)
    for frame in range(n_units * n_frames):
        place = rng.uniform(0, 1, (dipoles, 3)) * box * [1, 1, fill]
        way = rng.standard_normal((dipoles, 3))
        way *= 0.5 * length / np.linalg.norm(way, axis=1, keepdims=True)
        ends = np.stack([place - way, place + way], axis=1)
        sums.add(frame % n_units, ends.reshape(-1, 3), q, index, box)
    return sums


def test_free_dipoles_that_fill_a_periodic_box():
    """Langevin: eps = 1 + x along; x is the response to E, so 1 / eps = 1 / (1 + x)."""
    sums = free_dipoles(20, 100, 1)
    weights = bootstrap_weights(20, 200, 0)
    found = dielectric_profile(sums, weights, T, boundary="periodic")
    assert found.parallel.shape == found.inverse_perpendicular.shape == (201, 8)
    assert found.z == pytest.approx((np.arange(8) + 0.5) * 0.5 * NM)
    assert found.parallel[0].mean() == pytest.approx(1.6, abs=0.06)
    assert found.inverse_perpendicular[0].mean() == pytest.approx(1 / 1.6, abs=0.04)
    eps = bulk_permittivity(sums, weights, T)
    assert abs(eps[0] - 1.6) < 2 * half_width95(eps, 20)
    # The box is full: the mean of the profile is the response of the whole.
    total = sums.dipole_square.sum(axis=0) / 2000 / (EPS0 * KT * 16 * NM**3)
    assert found.parallel[0].mean() == pytest.approx(1 + total[:2].mean(), rel=1e-6)


def test_free_dipoles_in_half_of_the_box():
    """Along: 1 + x. Across: 1 - x in a slab cell, 1 - x / (1 + x / 2) in a periodic one.

    Free dipoles answer to the field they are put into: D for a slab cell, the mean E for
    a periodic one, of which half holds the polarisation. Vacuum: 1.
    """
    sums = free_dipoles(20, 100, 2, fill=0.5)
    parts = {
        name: dielectric_profile(sums, np.ones((1, 20)), T, boundary=name)
        for name in ("slab", "periodic")
    }
    for name, truth in (("slab", 0.4), ("periodic", 1 - 0.6 / 1.3)):
        inverse = parts[name].inverse_perpendicular[0]
        assert inverse[1:3].mean() == pytest.approx(truth, abs=0.12)
        assert inverse[5:7] == pytest.approx(1)
        assert parts[name].parallel[0, 1:3].mean() == pytest.approx(1.6, abs=0.08)
        assert parts[name].parallel[0, 5:7] == pytest.approx(1)


def test_intervals_hold_the_truth():
    """95 % intervals over 30 sets of 20 blocks: 88 to 99 % of the points, and bulk."""
    truth = {"parallel": 1.6, "inverse_perpendicular": 1 / 1.6}
    inside = {name: [] for name in (*truth, "bulk")}
    for seed in range(30):
        sums = free_dipoles(20, 30, 100 + seed, n=4, dipoles=30)
        weights = bootstrap_weights(20, 200, seed)
        found = dielectric_profile(sums, weights, T, boundary="periodic")
        for name, value in truth.items():
            replicates = getattr(found, name)
            half = half_width95(replicates, 20)
            inside[name].append(np.mean(np.abs(replicates[0] - value) <= half))
        low, high = interval95(bulk_permittivity(sums, weights, T), 20)
        inside["bulk"].append(low <= 1.6 <= high)
    for name in truth:
        assert 0.88 <= np.mean(inside[name]) <= 0.99, (name, np.mean(inside[name]))
    assert np.mean(inside["bulk"]) >= 0.85


# short runs ---------------------------------------------------------------------------


def relaxing(n_units, blocks, seed):
    """Sums of a Gaussian dipole that relaxes exponentially in `blocks` blocks, eps 2."""
    rng, frames = np.random.default_rng(seed), 20
    keep = np.exp(-1 / (frames * blocks))
    push = np.sqrt(1 - keep**2) * rng.standard_normal((n_units * frames, 3))
    push[0] /= np.sqrt(1 - keep**2)
    M = lfilter([1], [1, -keep], push, axis=0) * np.sqrt(EPS0 * KT * NM**3)
    sums = DipoleSums(n_units, 1)
    sums.frames[:] = frames
    sums.volume[:] = frames * NM**3
    sums.dipole[:] = M.reshape(n_units, frames, 3).sum(axis=1)
    sums.dipole_square[:] = (M.reshape(n_units, frames, 3) ** 2).sum(axis=1)
    return sums


def test_relaxation_time_of_the_dipole():
    for blocks in (0.1, 0.5, 2.0):
        assert dipole_relaxation(relaxing(4000, blocks, 0)) == pytest.approx(
            blocks, rel=0.12
        )


@pytest.mark.parametrize("blocks", [0.005, 0.05, 0.1, 0.5, 1.5])
def test_interval_of_short_runs_holds_the_truth(blocks):
    """Eight blocks of twenty frames, some shorter than the relaxation, some frames far
    apart: 90 to 99 % of 300 runs hold 2."""
    inside = []
    for seed in range(300):
        low, high = permittivity_interval95(relaxing(8, blocks, seed), T)
        inside.append(low <= 2 <= high)
    assert 0.90 <= np.mean(inside) <= 0.99


# a dielectric of layers ---------------------------------------------------------------


def layers(boundary, chi, n_cells, frames, seed):
    """Gaussian polarisation of layers with susceptibility chi, one cell each.

    Energy per area and height: P^2 / (2 eps0 chi) + P^2 / (2 eps0) across a slab cell
    (E = -P / eps0), P^2 / (2 eps0 chi) + (P - mean P)^2 / (2 eps0) across a periodic one,
    P^2 / (2 eps0 chi) along. Then eps = 1 + chi in every layer and either cell.
    """
    rng = np.random.default_rng(seed)
    box = np.array([2.0, 2.0, 4.0]) * NM
    h, area, k = box[2] / n_cells, box[0] * box[1], len(chi)
    stiffness = np.diag(1 / chi + 1)
    if boundary == "periodic":
        stiffness = stiffness - np.ones((k, k)) / n_cells
    spread = EPS0 * KT / (area * h)
    across = np.linalg.cholesky(spread * np.linalg.inv(stiffness))
    level = (np.arange(k) + 2) * h  # the first two cells are vacuum
    up = np.zeros((k, 2, 3))
    up[:, :, 2] = level[:, None] + [0, h]
    flat = np.zeros((k, 2, 3))
    flat[:, 1, 0] = 0.1 * NM
    flat[:, :, 2] = level[:, None] + 0.5 * h
    x = np.concatenate([up, flat]).reshape(-1, 3)
    index = np.repeat(np.arange(2 * k), 2)
    sums = DipoleSums(20, n_cells)
    for frame in range(frames):
        strength = np.concatenate(
            [
                across @ rng.standard_normal(k) * area,
                np.sqrt(2 * spread * chi)
                * rng.standard_normal(k)
                * area
                * h
                / (0.1 * NM),
            ]
        )
        q = np.stack([-strength, strength], axis=1).ravel()
        sums.add(frame % 20, x, q, index, box)
    return sums


@pytest.mark.parametrize("boundary", ["slab", "periodic"])
def test_layers_of_known_permittivity(boundary):
    """Both kinds of cells give the same profile, though their fluctuations differ."""
    chi = np.array([0.5, 2.0, 8.0, 8.0, 2.0, 0.5])
    sums = layers(boundary, chi, 12, 6000, seed=3)
    weights = bootstrap_weights(20, 200, 0)
    found = dielectric_profile(sums, weights, T, boundary=boundary)
    inverse = found.inverse_perpendicular
    half = half_width95(inverse, 20)[2:8]
    assert (np.abs(inverse[0, 2:8] - 1 / (1 + chi)) < 2 * half).all()
    assert half.max() < 0.1
    assert inverse[0, [0, 1, 9, 10, 11]] == pytest.approx(1)
    # Along the slab x alone is polarised, with twice the variance: half of 2 chi.
    half = half_width95(found.parallel, 20)[2:8]
    assert (np.abs(found.parallel[0, 2:8] - 1 - chi) < 2 * half).all()
    assert (half < 0.25 * (1 + chi)).all()


# SPC/E --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def water():
    """Sums of 30 ps of 510 SPC/E molecules in 5 blocks, 8 cells."""
    if not WATER.is_dir():
        pytest.skip("needs shared/data/spce510 beside the repository")
    mda = pytest.importorskip("MDAnalysis")
    universe = mda.Universe(
        str(WATER / "spce510.tpr"), str(WATER / "spce510_300K_0.1ps.trr")
    )
    q = universe.atoms.charges * ELEMENTARY_CHARGE
    sums = DipoleSums(5, 8)
    for frame, ts in enumerate(universe.trajectory[:300]):
        box = ts.dimensions[:3]
        x = ts.positions.reshape(-1, 3, 3)
        x = x - np.round((x - x[:, :1]) / box) * box
        sums.add(
            frame // 60,
            x.reshape(-1, 3) * ANGSTROM,
            q,
            universe.atoms.resindices,
            box * ANGSTROM,
        )
    return sums


def test_permittivity_of_spce(water):
    """71 at 300 K (van der Spoel, van Maaren & Berendsen 1998, doi:10.1063/1.476482).

    30 ps are a few relaxation times of some 10 ps: the interval is wide and holds it.
    """
    eps = bulk_permittivity(water, np.ones((1, 5)), T)[0]
    low, high = permittivity_interval95(water, T)
    assert low < 71 < high
    assert low < eps < high
    assert 3 * 0.5 < 6 * dipole_relaxation(water) < 3 * 10  # ps
    # With a mean taken from so short a run the value would be far too low.
    assert bulk_permittivity(water, np.ones((1, 5)), T, zero_mean=False)[0] < 0.9 * eps


def test_mean_of_the_profile_is_the_response_of_the_box(water):
    """No interface: along and across, in noise of 30 ps that is large in single cells."""
    one = np.ones((1, 5))
    found = dielectric_profile(water, one, T, boundary="periodic")
    V = (2.5 * NM) ** 3
    frames = water.frames.sum()
    square = water.dipole_square.sum(axis=0) / frames
    along = 1 + square[:2].mean() / (EPS0 * KT * V)
    assert found.parallel[0].mean() == pytest.approx(along, rel=1e-6)
    variance = square[2] - (water.dipole[:, 2].sum() / frames) ** 2
    across = 1 / (1 + variance / (EPS0 * KT * V))
    assert found.inverse_perpendicular[0].mean() == pytest.approx(across, rel=1e-6)


# bad input ----------------------------------------------------------------------------


def test_bad_input_is_refused_with_a_reason():
    sums, full = DipoleSums(2, 5), free_dipoles(2, 1, 0)
    for call, words in (
        (lambda: bulk_permittivity(sums, np.ones((1, 2)), T), "2 empty of 2"),
        (lambda: permittivity_interval95(sums, T), "2 empty of 2"),
        (lambda: bulk_permittivity(full, np.ones((1, 3)), T), "bootstrap weights"),
        (lambda: bulk_permittivity(full, np.ones((1, 2)), 0.0), "temperature"),
        (
            lambda: dielectric_profile(full, np.ones((1, 2)), T, boundary="closed"),
            "boundary of the run",
        ),
    ):
        with pytest.raises(InputError, match=words):
            call()
