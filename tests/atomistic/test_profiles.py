"""Profiles: synthetic truth, analytic electrostatics, coverage of error bars."""

import numpy as np
import pytest
from brownian import (
    D0,
    EDGE,
    TEMPERATURE,
    WIDTH,
    diffusivity,
    frames_of,
    geometry,
    settings,
    walk,
    work,
)

from mesobridge.atomistic.profiles import (
    bulk_diffusion,
    extract_profiles,
    stationarity,
)
from mesobridge.atomistic.profiles.electrostatics import planar_potential
from mesobridge.atomistic.profiles.fokker_planck import Likelihood, spline_basis
from mesobridge.core.errors import InputError
from mesobridge.core.stats import interval95
from mesobridge.core.units import (
    ELEMENTARY_CHARGE,
    NM,
    PS,
    VACUUM_PERMITTIVITY,
    thermal_energy,
)

UNIT = NM**2 / PS


@pytest.fixture(scope="module")
def replicas():
    return [walk(256, 80.0, seed) for seed in (11, 12)]


@pytest.fixture(scope="module")
def profiles(replicas):
    D_bulk = np.full((61, 2), D0 * UNIT)
    return extract_profiles(replicas, geometry(), settings(), D_bulk)


def distances(ds, name="z"):
    return ds[name].values / NM - 5.0


def coverage(replicates, truth, n_units):
    """Fraction of points whose 95 % interval holds the truth."""
    inside = []
    for k in range(replicates.shape[1]):
        low, high = interval95(replicates[:, k], n_units)
        inside.append(low <= truth[k] <= high)
    return np.mean(inside)


def test_density_follows_the_work(profiles):
    z = distances(profiles)
    fine = np.linspace(0, WIDTH, 6001)
    shape = np.exp(-work(fine))
    truth = np.exp(-work(z)) * 128 / (EDGE**2 * shape.mean() * WIDTH)
    found = profiles["number_density"].values * NM**3
    rms = np.sqrt(np.mean((found[0] / truth - 1) ** 2))
    assert rms < 0.10
    for s in range(2):
        assert coverage(found[:, s], truth, 16) >= 0.85


def test_pmf_is_the_logarithm_of_the_density(profiles):
    density = profiles["number_density"].values
    W = profiles["pmf"].values / thermal_energy(TEMPERATURE)
    step = np.diff(W, axis=-1) + np.diff(np.log(density), axis=-1)
    assert np.abs(step).max() < 1e-9


def test_D_perp_of_the_truth(profiles):
    z = distances(profiles, "z_face")
    away = (z > 0.06) & (z < WIDTH - 0.06)
    truth = diffusivity(z)
    for s in range(2):
        found = profiles["D_perp"].values[:, s] / UNIT
        rms = np.sqrt(np.mean((found[0] / truth - 1)[away] ** 2))
        assert rms < 0.08
        assert coverage(found[:, away], truth[away], 16) >= 0.75


def test_D_par_of_the_truth(profiles):
    z = distances(profiles)
    truth = diffusivity(z)
    away = (z > 0.15) & (z < WIDTH - 0.15)
    for s in range(2):
        found = profiles["D_par"].values[0, s] / UNIT
        assert np.sqrt(np.mean((found / truth - 1)[away] ** 2)) < 0.08
        middle = (z > 0.5) & (z < 1.1)
        assert found[middle].mean() == pytest.approx(truth[middle].mean(), rel=0.04)


def test_good_data_have_good_flags(profiles):
    assert (profiles["quality_flag"].values == 0).mean() > 0.9
    assert profiles["n_eff"].values.min() > 10
    assert profiles.attrs["n_units"] == 16


def test_every_replicate_is_neutral(profiles):
    h = np.diff(profiles["z_face"].values)
    total = (profiles["charge_density"].values * h).sum(axis=1)
    assert np.abs(total).max() < 1e-9 * ELEMENTARY_CHARGE / (EDGE * NM) ** 2


def test_unvisited_cells_are_capped_and_flagged():
    """A gap that no ion enters: W at the cap, D carried on, both said in the flag."""
    rng = np.random.default_rng(5)
    steps = 0.04 * rng.standard_normal((400, 64, 3))
    x = rng.uniform(0.5, 1.1, 64)[:, None] + np.cumsum(steps, axis=0)
    x[..., 2] = 5.8 + 0.3 * np.sin(x[..., 2])  # between 0.5 and 1.1 nm from the wall
    found = extract_profiles([frames_of(x, 0.02)], geometry(), settings(block=2 * PS))
    outside = distances(found) < 0.45
    assert (found["quality_flag"].values[:, outside] & 4 == 4).all()
    W = found["pmf"].values[0][:, outside] / thermal_energy(TEMPERATURE)
    assert np.abs(W - 30).max() < 1e-9
    assert (found["D_perp"].values > 0).all()


def test_an_ion_on_the_right_wall_is_in_the_last_cell():
    """Both walls are alike: who comes within 0.02 nm of the right one touches it."""
    touching = [walk(64, 40.0, seed) for seed in (11, 12)]
    nudged = [ds.copy(deep=True) for ds in touching]
    right = geometry().right
    for ds, gap in [(ds, 0.0) for ds in touching] + [(ds, 1e-6 * NM) for ds in nudged]:
        z = ds["positions"].values[..., 2]
        near = z > right - 0.02 * NM
        assert near[:, ds["species"].values == ds["species"].values[-1]].any()
        z[near] = right - gap
    one, other = (extract_profiles(r, geometry(), settings()) for r in (touching, nudged))
    for name in ("number_density", "D_perp", "D_par"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6)


def test_mirror_image_gives_mirrored_profiles(replicas):
    mirrored = []
    for ds in replicas:
        x = ds["positions"].values.copy()
        x[..., 2] = (10.0 + WIDTH) * NM - x[..., 2]
        mirrored.append(ds.assign(positions=(ds["positions"].dims, x, {"units": "m"})))
    how = settings(replicates=50)
    one = extract_profiles(replicas, geometry(), how)
    other = extract_profiles(mirrored, geometry(), how)
    # A point exactly on a face changes its cell in the mirror; nothing else differs.
    for name, tolerance in (("number_density", 5e-3), ("D_perp", 2e-3), ("D_par", 0.02)):
        a, b = one[name].values[0], other[name].values[0][..., ::-1]
        assert np.abs(a / b - 1).max() < tolerance


def test_field_of_a_charged_wall_and_its_counter_charge():
    """Uniform counter-charge: the field falls on a straight line, phi on a parabola."""
    faces = np.linspace(0, 2e-9, 101)
    sigma = 0.1
    charge = np.full(100, -sigma / 2e-9)
    found = planar_potential(charge, faces, wall_charge=sigma)
    field, phi = found.field, found.potential
    assert field[0] == pytest.approx(sigma / VACUUM_PERMITTIVITY)
    assert abs(field[-1]) < 1e-6 * field[0]
    drop = sigma * 2e-9 / (2 * VACUUM_PERMITTIVITY)
    assert phi[0] - phi[-1] == pytest.approx(drop, rel=1e-12)


def test_gradient_of_the_likelihood():
    rng = np.random.default_rng(0)
    n, h = 24, 0.03
    basis = spline_basis(np.arange(1, n) * h)
    likelihood = Likelihood(basis, h, 1.0)
    counts = rng.poisson(3.0, (n, n)).astype(float)
    visits = rng.uniform(50, 200, n)
    x = np.log(0.01) + 0.3 * rng.standard_normal(basis.shape[1])
    _, gradient = likelihood.value_and_gradient(x, counts, visits)
    for k in range(len(x)):
        step = np.eye(len(x))[k] * 1e-5
        plus = likelihood.value_and_gradient(x + step, counts, visits)[0]
        minus = likelihood.value_and_gradient(x - step, counts, visits)[0]
        assert gradient[k] == pytest.approx((plus - minus) / 2e-5, rel=1e-5, abs=1e-4)


@pytest.mark.slow
def test_coverage_of_D_perp():
    """The 95 % band holds the truth in 88 to 99 % of the points, over 20 sets."""
    inside, squares = [], []
    for seed in range(20):
        data = [walk(128, 80.0, 100 + 2 * seed + k) for k in range(2)]
        found = extract_profiles(data, geometry(), settings(seed=seed))
        z = distances(found, "z_face")
        away = (z > 0.06) & (z < WIDTH - 0.06)
        for s in range(2):
            D = found["D_perp"].values[:, s] / UNIT
            inside.append(coverage(D[:, away], diffusivity(z[away]), 16))
            squares.append(np.mean((D[0] / diffusivity(z) - 1)[away] ** 2))
    assert 0.88 <= np.mean(inside) <= 0.99
    assert np.sqrt(np.mean(squares)) < 0.10


# bulk ---------------------------------------------------------------------------------


def drifting(n, duration, seed, save=0.1, drift=0.3):
    """Free diffusion in 3D, on top of it a drift that all ions share (nm/ps)."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((round(duration / save), n, 3)) * np.sqrt(2 * D0 * save)
    steps -= steps.mean(axis=1, keepdims=True)
    x = np.cumsum(steps, axis=0)
    x += drift * save * np.arange(len(x))[:, None, None]
    return frames_of(x, save, box=(2.0, 2.0, 2.0))


def test_bulk_diffusion_ignores_a_common_drift():
    data = [drifting(256, 30.0, seed) for seed in (1, 2)]
    found = bulk_diffusion(data, block=5 * PS, replicates=100, seed=1)
    assert found.species == ["Na", "Cl"]
    for s in range(2):
        assert found.D[0, s] / UNIT == pytest.approx(D0 * 255 / 256, rel=0.03)
        low, high = interval95(found.D[:, s], found.n_units)
        assert 0.01 < (high - low) / 2 / found.D[0, s] < 0.1


def test_a_frozen_salt_has_no_diffusion_coefficient():
    x = np.tile(np.random.default_rng(0).uniform(0, 2, (1, 16, 3)), (100, 1, 1))
    with pytest.raises(InputError, match="do not diffuse"):
        bulk_diffusion([frames_of(x, 0.1)], block=4 * PS, replicates=50, seed=0)


# stationarity -------------------------------------------------------------------------


def test_a_steady_run_is_called_steady(replicas):
    found = stationarity(replicas, geometry(), settings(block=16 * PS))
    assert found["ok"], found["checks"]
    assert "too short to judge: energy" in found["verdict"]  # there is none here


def test_a_frozen_half_is_caught():
    """Half of the slab hardly moves: the trap of a start from the lattice."""
    rng = np.random.default_rng(1)
    z = rng.uniform(0.05, WIDTH - 0.05, 256)
    mobile = np.where(z < WIDTH / 2, 0.15, 1.0)
    data = walk(256, 8.0, 4, z_start=z, mobile=mobile)
    found = stationarity([data], geometry(), settings(block=PS))
    assert not found["ok"]
    assert "mobility" in found["verdict"]


def test_a_profile_that_still_changes_is_caught():
    """Ions that start in the left half spread through the run."""
    z = np.random.default_rng(2).uniform(0.05, 0.4, 256)
    data = walk(256, 8.0, 5, z_start=z)
    found = stationarity([data], geometry(), settings(block=PS))
    assert "density" in found["verdict"]


def test_blocks_that_are_too_short_are_caught():
    """Blocks within which nothing relaxes say too little about the error."""
    slow = walk(256, 8.0, 6)
    found = stationarity([slow], geometry(), settings(block=0.5 * PS))
    assert "blocks" in found["verdict"]


# bad input ----------------------------------------------------------------------------


def test_bad_input_is_refused_with_a_reason(replicas):
    ds = replicas[0]
    outside = ds.copy(deep=True)
    outside["positions"].values[3, 5, 2] = 1.0 * NM
    ragged = ds.isel(frame=[k for k in range(4000) if k % 5])
    other = ds.assign(species=("atom", ["Na"] * ds.sizes["atom"]))
    for frames, how, words in (
        ([outside], settings(), "outside the walls"),
        ([ragged], settings(), "not equally spaced"),
        ([ds, other], settings(), "different ions"),
        ([ds], settings(block=50 * PS), "too short"),
        ([ds], settings(block=4.991 * PS), "does not fit"),
    ):
        with pytest.raises(InputError, match=words):
            extract_profiles(frames, geometry(), how)
    with pytest.raises(InputError, match="at least 50"):
        settings(replicates=10)
    with pytest.raises(InputError, match="lag <= block / 2"):
        settings(lag=11 * PS)
