import numpy as np
import pytest

pytest.importorskip("dolfinx")

from scipy.integrate import quad

from mesobridge.bridges.coefficients import coefficients_from_profiles
from mesobridge.bridges.transport import (
    Interface,
    closure,
    resistances,
    solve_transport,
)
from mesobridge.core.errors import InputError
from mesobridge.core.schema import dataset, validate
from mesobridge.core.units import ELEMENTARY_CHARGE, NM, thermal_energy

pytestmark = pytest.mark.fem
KT = thermal_energy(1200.0)


@pytest.fixture(scope="module")
def noisy(make, truth):
    profiles = make(truth, samples=2, blocks=16, replicates=24)
    return profiles, coefficients_from_profiles(profiles)


@pytest.fixture(scope="module")
def exact(make, charged_truth):
    profiles = make(charged_truth)
    return profiles, coefficients_from_profiles(profiles)


def changed(coefficients, **values):
    copy = coefficients.copy(deep=True)
    for name, value in values.items():
        copy[name].values[...] = value
    return copy


def uniform(c=15e27, D=(9e-9, 8e-9), length=1.5, z=(1.0, -1.0)):
    """Bulk everywhere, two replicates."""
    d = np.linspace(0, length, 151) * NM
    D = np.tile(np.array(D)[:, None], (2, 1, len(d)))
    values = {
        "distance": d,
        "species": ["Na", "Cl"],
        "charge_number": np.array(z),
        "D_par": D,
        "D_perp": D,
        "mu_ex": np.zeros(D.shape),
        "relative_permittivity": np.ones(len(d)),
        "bulk_density": np.full((2, 2), c),
        "bulk_D": D[..., 0],
        "reaction_plane": np.array([0.3, 0.401]) * NM,
        "valid_from": np.zeros(2),
    }
    attrs = {
        "temperature": 1200.0,
        "surface_charge": 0.0,
        "taper_start": length * NM,
        "bulk_plane": length * NM,
        "n_units": 10,
    }
    return dataset("transport-coefficients/1", values, attrs)


def test_closure_returns_the_density_that_went_in(exact):
    profiles, coefficients = exact
    found = closure(coefficients, profiles)
    # Without noise what is left is the binning of the profiles.
    assert found.attrs["closure_max_rel"] < 5e-3
    assert found["counted"].values.sum() > 50
    # The wall is charged and the melt overscreens it: Poisson made a field.
    assert np.abs(coefficients.attrs["surface_charge"]) > 0.1
    assert np.ptp(found["potential_solver"].values) > 0.2
    near = found["distance"].values < 1.1 * NM
    difference = (found["potential_solver"] - found["potential"]).values[near]
    assert np.ptp(difference) < 0.01 * np.ptp(found["potential"].values[near])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_closure_of_noisy_profiles_stays_in_the_band(make, charged_truth, seed):
    profiles = make(charged_truth, samples=2, replicates=60, seed=seed)
    found = closure(coefficients_from_profiles(profiles), profiles)
    assert found.attrs["closure_inside"] > 0.85
    assert found.attrs["closure_rms"] < 0.06
    assert found.attrs["closure_max_rel"] < 0.25
    assert found.attrs["closure_band"] > 0


def test_closure_catches_mistakes_with_the_mean_field(exact):
    """W in place of mu_ex, a wrong sign of z, of the wall's charge or of the field."""
    profiles, good = exact
    right = closure(good, profiles).attrs["closure_max_rel"]
    phi = np.interp(
        good["distance"], profiles["z_face"] - profiles["z_face"][0],
        profiles["potential"].values[0] - profiles["potential"].values[0].mean(),
    )  # fmt: skip
    field = good["charge_number"].values[:, None] * ELEMENTARY_CHARGE * phi
    fade = np.clip((1.4 * NM - good["distance"].values) / (0.3 * NM), 0, 1)
    mistakes = {
        "the mean field counted twice": good["mu_ex"].values + field * fade,
        "the mean field taken out twice": good["mu_ex"].values - field * fade,
    }
    wrong = [closure(changed(good, mu_ex=mu), profiles) for mu in mistakes.values()]
    wrong.append(closure(changed(good, charge_number=-good["charge_number"]), profiles))
    charge = good.copy()
    charge.attrs["surface_charge"] = -good.attrs["surface_charge"]
    wrong.append(closure(charge, profiles))
    flipped = profiles.copy(deep=True)
    flipped["electric_field"].values[...] *= -1
    wrong.append(closure(coefficients_from_profiles(flipped), profiles))
    for found in wrong:
        assert found.attrs["closure_max_rel"] > 20 * right


def test_resistance_is_the_linear_response_integral(noisy):
    _, coefficients = noisy
    found = resistances(coefficients)
    assert found.solved == pytest.approx(found.exact, rel=1e-5)
    wide = resistances(coefficients.isel(replicate=slice(0, 2)), bias=1e-2)
    # The mean over both signs leaves no term linear in the bias.
    assert wide.solved == pytest.approx(found.solved[:2], rel=1e-4)


@pytest.mark.parametrize("species", [0, 1])
def test_resistance_against_quadrature_of_the_truth(make, truth, species):
    coefficients = coefficients_from_profiles(make(truth))
    found = resistances(coefficients)
    name = ("Na", "Cl")[species]
    plane = coefficients["reaction_plane"].values[species] / NM
    integral = quad(
        lambda d: np.exp(truth.work(name, d)) / truth.D(name, d), plane, 1.5, limit=200
    )[0]
    expected = KT / ELEMENTARY_CHARGE**2 * integral * NM / 15e27
    assert found.solved[0, species] == pytest.approx(expected, rel=5e-3)


def test_uniform_melt_is_its_own_bulk():
    coefficients = uniform()
    found = resistances(coefficients)
    assert found.solved == pytest.approx(found.bulk, rel=1e-6)
    paths = np.array([1.2, 1.099]) * NM
    by_hand = KT * paths / (ELEMENTARY_CHARGE**2 * np.array([9e-9, 8e-9]) * 15e27)
    assert found.solved[0] == pytest.approx(by_hand, rel=1e-6)


def test_resistance_scales_with_diffusivity_density_and_charge():
    one = resistances(uniform()).solved
    assert resistances(uniform(D=(4.5e-9, 4e-9))).solved == pytest.approx(2 * one)
    assert resistances(uniform(c=3e27)).solved == pytest.approx(5 * one, rel=1e-5)
    doubled = resistances(uniform(z=(2.0, -2.0))).solved
    assert doubled == pytest.approx(one / 4, rel=1e-5)


def test_a_barrier_adds_its_own_resistance():
    coefficients = uniform()
    d = coefficients["distance"].values / NM
    barrier = 3 * np.exp(-(((d - 0.9) / 0.1) ** 2))
    # The same for both ions: no charge, so c = c_bulk exp(-barrier).
    found = resistances(changed(coefficients, mu_ex=barrier * KT))
    path = quad(lambda x: np.exp(3 * np.exp(-(((x - 0.9) / 0.1) ** 2))), 0.3, 1.5)[0]
    assert found.solved[0, 0] / found.bulk[0, 0] == pytest.approx(path / 1.2, rel=1e-3)


def test_every_replicate_is_solved_at_its_own_state(noisy):
    profiles, coefficients = noisy
    calls = []
    solution = solve_transport(
        coefficients,
        profiles,
        lambda done, total, what: calls.append((done, total, what)),
    )
    validate(solution, "transport-solution/1")
    assert calls[-1] == (25, 25, "replicates")
    assert solution["resistance"].values[1:].std(axis=0).min() > 0
    # A replicate alone gives what it gave among the others.
    alone = coefficients.isel(replicate=[7, 3])
    found = resistances(alone).solved
    together = solution["resistance"].values[[7, 3]]
    assert found == pytest.approx(together, rel=1e-6)
    inner = (solution["distance"] > 0.4 * NM).values
    spread = solution["concentration"].values[1:, :, inner].std(axis=0)
    assert (spread[:, : spread.shape[1] // 2] > 0).all()
    for key in ("closure_max_rel", "closure_band", "closure_inside", "newton_iterations"):
        assert key in solution.attrs


def test_equilibrium_is_flat_and_neutral_as_a_whole(exact):
    """Psi = 0 and Gauss's law over the whole domain."""
    interface = Interface(exact[1])
    rest = interface.equilibrium(0)
    assert np.abs(rest.psi).max() < 1e-9
    charge = rest.concentration[0] - rest.concentration[1]
    sizes = rest.x[2::2] - rest.x[:-2:2]
    ions = (sizes / 6 * (charge[:-2:2] + 4 * charge[1::2] + charge[2::2])).sum()
    # The bulk plane holds phi = 0: what it takes in is the field that is left there.
    total = ions + rest.charge["wall"] + rest.charge["bulk"]
    assert total == pytest.approx(0.0, abs=1e-3 * abs(rest.charge["wall"]))


def test_a_hundred_replicates_in_seconds(make, truth):
    import time

    profiles = make(truth, samples=2, replicates=100)
    coefficients = coefficients_from_profiles(profiles)
    start = time.process_time()
    solve_transport(coefficients, profiles)
    assert time.process_time() - start < 20


def test_bad_input_is_refused(exact):
    profiles, good = exact
    short = good.isel(distance=slice(5, None))
    with pytest.raises(InputError, match="do not span the domain"):
        Interface(short)
    with pytest.raises(InputError, match="without charge"):
        Interface(changed(good, charge_number=[1.0, 0.0]))
    unseen = profiles.copy(deep=True)
    unseen["n_eff"].values[...] = 1.0
    with pytest.raises(InputError, match="no cell for the closure"):
        closure(good, unseen)
