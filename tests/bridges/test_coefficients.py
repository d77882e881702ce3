import warnings

import numpy as np
import pytest
import xarray as xr

from mesobridge.bridges.coefficients import coefficients_from_profiles
from mesobridge.bridges.sides import side_view
from mesobridge.core.cautions import Caution
from mesobridge.core.errors import InputError
from mesobridge.core.schema import QUALITY_FLAGS
from mesobridge.core.units import ELEMENTARY_CHARGE, NM, thermal_energy

KT = thermal_energy(1200.0)
WIDTH = 3.0  # nm


def work_of(coefficients, phi):
    """W / kT from what the bridge made, with phi (V) put back."""
    z = coefficients["charge_number"].values[:, None]
    return (coefficients["mu_ex"].values[0] + z * ELEMENTARY_CHARGE * phi) / KT


def poisson(truth, z):
    """Phi (V) of the true densities by fine quadrature, zero in the middle."""
    fine = np.linspace(0, WIDTH, 60001)
    density = [15e27 * np.exp(-truth.work(s, fine)) for s in ("Na", "Cl")]
    charge = ELEMENTARY_CHARGE * (density[0] - density[1])
    step = np.diff(fine) * NM
    field = (
        np.concatenate([[0], np.cumsum(0.5 * (charge[1:] + charge[:-1]) * step)])
        / 8.8541878128e-12
    )
    field -= np.interp(WIDTH / 2, fine, field)
    phi = -np.concatenate([[0], np.cumsum(0.5 * (field[1:] + field[:-1]) * step)])
    return np.interp(z, fine, phi - np.interp(WIDTH / 2, fine, phi))


def mirrored(profiles):
    """The same interface seen in a mirror."""
    flipped = {}
    for name, value in profiles.variables.items():
        axis = [d for d in value.dims if d in ("z", "z_face")]
        flipped[name] = value.copy()
        if axis and name in ("z", "z_face"):
            total = profiles["z_face"].values[0] + profiles["z_face"].values[-1]
            flipped[name] = value.copy(data=total - value.values[::-1])
        elif axis:
            flipped[name] = value.copy(data=value.values[..., ::-1])
    flipped["electric_field"] = -flipped["electric_field"]
    left, right = (profiles.attrs[f"surface_charge_{s}"] for s in ("left", "right"))
    attrs = {**profiles.attrs, "surface_charge_left": right, "surface_charge_right": left}
    return xr.Dataset(flipped, attrs=attrs)


@pytest.mark.parametrize("side", ["left", "right"])
def test_mu_ex_is_the_pmf_without_the_mean_field(make, charged_truth, side):
    profiles = make(charged_truth)
    got = coefficients_from_profiles(profiles, side=side)
    d = got["distance"].values / NM
    z = d if side == "left" else WIDTH - d
    work = work_of(got, poisson(charged_truth, z))
    for i, species in enumerate(("Na", "Cl")):
        # Where the ion is seen (W < 2 kT) and the taper has not begun.
        near = (d > 0.2) & (d < 1.1) & (charged_truth.work(species, z) < 2)
        exact = charged_truth.work(species, z)[near]
        # Up to z_i times one constant: the zero of phi is the bulk's mean.
        difference = work[i, near] - exact
        assert np.ptp(difference) < 0.05
        assert abs(difference.mean()) < 0.1
    sign = {"left": "left", "right": "right"}[side]
    assert got.attrs["surface_charge"] == profiles.attrs[f"surface_charge_{sign}"]


def test_doubts_about_the_profiles_are_told(make, charged_truth):
    profiles = make(charged_truth)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Caution)
        coefficients_from_profiles(profiles)
    flags = profiles["quality_flag"].copy()
    flags[1, 3] |= QUALITY_FLAGS["no_plateau"]
    doubtful = profiles.assign(quality_flag=flags)
    doubtful.attrs |= {"hmr": 1, "steady": 0, "steady_verdict": "NOT steady: density"}
    with pytest.warns(Caution) as told:
        coefficients_from_profiles(doubtful)
    texts = [str(one.message) for one in told]
    for wanted in ("HMR", "D_perp of Cl has no plateau", "NOT steady: density"):
        assert sum(wanted in text for text in texts) == 1


def test_the_zeros_of_phi_and_of_the_pmf_do_not_matter(make, charged_truth):
    profiles = make(charged_truth)
    shifted = profiles.copy(deep=True)
    shifted["potential"] = shifted["potential"] + 3.0
    offset = xr.DataArray([2.0 * KT, -1.0 * KT], dims="species")
    shifted["pmf"] = (shifted["pmf"] + offset).transpose(*profiles["pmf"].dims)
    for name in ("potential", "pmf"):
        shifted[name].attrs = profiles[name].attrs
    first, second = (coefficients_from_profiles(p) for p in (profiles, shifted))
    capped = first["mu_ex"] / KT
    assert np.allclose(second["mu_ex"] / KT, capped, atol=1e-8)
    assert np.allclose(second["bulk_density"], first["bulk_density"], rtol=1e-12)


def test_the_mirror_image_is_the_other_side(make, charged_truth):
    profiles = make(charged_truth, samples=2)
    right = coefficients_from_profiles(profiles, side="right")
    left = coefficients_from_profiles(mirrored(profiles), side="left")
    for name in ("mu_ex", "D_perp", "D_par", "bulk_density", "reaction_plane"):
        assert np.allclose(left[name], right[name], rtol=1e-7, atol=1e-26), name


def test_the_mean_of_equal_walls(make, truth, charged_truth):
    exact = make(truth)
    left, mean = (coefficients_from_profiles(exact, side=s) for s in ("left", "mean"))
    assert np.allclose(left["mu_ex"] / KT, mean["mu_ex"] / KT, atol=1e-6)
    noisy = make(truth, samples=2)
    # Equal walls that sampling made slightly unequal: the owner of the MD knows better.
    total = noisy.attrs["surface_charge_left"] + noisy.attrs["surface_charge_right"]
    noisy.attrs["surface_charge_left"] = noisy.attrs["surface_charge_right"] = total / 2
    both = side_view(noisy, "mean")
    one = side_view(noisy, "left")
    rest = side_view(noisy, "right")
    assert np.allclose(both.density, 0.5 * (one.density + rest.density))
    assert np.allclose(both.n_eff, one.n_eff + rest.n_eff)
    with pytest.raises(InputError, match="two walls that differ"):
        coefficients_from_profiles(make(charged_truth), side="mean")


def test_other_shapes_are_refused(make, charged_truth):
    surface = make(charged_truth).assign_attrs(geometry="surface")
    with pytest.raises(InputError, match="not those of a slab"):
        coefficients_from_profiles(surface)


def test_bulk_is_neutral_and_its_densities_are_near(make, truth):
    got = coefficients_from_profiles(make(truth, samples=1, replicates=30))
    density = got["bulk_density"].values
    assert density[:, 0] == pytest.approx(density[:, 1], rel=1e-12)
    assert density[0] / 15e27 == pytest.approx(1.0, abs=0.05)


def test_the_taper_is_smooth_and_reports_what_it_took(make, truth):
    got = coefficients_from_profiles(make(truth), taper_start=1.0 * NM)
    d, mu = got["distance"].values / NM, got["mu_ex"].values[0] / KT
    assert np.abs(mu[:, -1]).max() < 1e-12
    # The slope goes to zero with the value.
    assert np.abs(np.gradient(mu, d, axis=-1)[:, -2:]).max() < 0.05
    assert np.allclose(got["D_perp"][..., -1], got["bulk_D"], rtol=1e-12)
    later = coefficients_from_profiles(make(truth), taper_start=1.3 * NM)
    residuals = [c.attrs["taper_residual_mu_ex"] for c in (got, later)]
    assert 0 < residuals[1] < residuals[0] < 1.0


def test_the_taper_has_no_kink(make, truth):
    """A diffusivity of twice the bulk's everywhere shows the blend itself."""
    profiles = make(truth)
    profiles["D_perp"].values[...] = 2e-8
    given = np.full((profiles.sizes["replicate"], 2), 1e-8)
    profiles["D_bulk"] = (("replicate", "species"), given, {"units": "m2 s-1"})
    got = coefficients_from_profiles(profiles, taper_start=1.0 * NM)
    d = got["distance"].values / NM
    share = np.log2(got["D_perp"].values[0, 0] / 1e-8)
    assert share[d <= 1.0] == pytest.approx(1.0, abs=1e-12)
    assert share[-1] == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(share[d > 1.0]) < 0).all()
    slope = np.gradient(share, d)
    assert np.abs(np.diff(slope)).max() < 1.1 * 0.5 * (np.pi / 0.5) ** 2 * (d[1] - d[0])


def test_diffusivity_is_interpolated_and_positive(make, truth):
    profiles = make(truth)
    got = coefficients_from_profiles(profiles)
    d = got["distance"].values / NM
    near = (d > 0.05) & (d < 1.1)
    for i, species in enumerate(("Na", "Cl")):
        exact = truth.D(species, d[near])
        assert got["D_perp"].values[0, i, near] == pytest.approx(exact, rel=2e-3)
        assert got["D_par"].values[0, i, near] == pytest.approx(exact, rel=2e-3)
    jumpy = profiles.copy(deep=True)
    jumpy["D_perp"].values[..., ::2] *= 1e-3
    assert (coefficients_from_profiles(jumpy)["D_perp"] > 0).all()


def test_a_bulk_diffusivity_of_its_own_is_preferred(make, truth):
    profiles = make(truth)
    given = np.tile([1.1e-8, 0.9e-8], (profiles.sizes["replicate"], 1))
    profiles["D_bulk"] = (("replicate", "species"), given, {"units": "m2 s-1"})
    got = coefficients_from_profiles(profiles)
    assert np.allclose(got["bulk_D"], given)
    assert np.allclose(got["D_perp"][..., -1], given)
    assert got.attrs["taper_residual_ln_D"] == pytest.approx(np.log(1.1 / 0.9), rel=0.1)


@pytest.mark.parametrize("seed", range(8))
def test_reaction_plane_is_robust_to_counting_noise(make, truth, seed):
    got = coefficients_from_profiles(make(truth, samples=1, seed=seed, replicates=4))
    d = np.linspace(0.2, 0.6, 4001)
    for i, species in enumerate(("Na", "Cl")):
        exact = d[np.argmin(truth.work(species, d))]
        assert got["reaction_plane"].values[i] / NM == pytest.approx(exact, abs=0.015)
    assert (got["valid_from"] < got["reaction_plane"]).all()
    assert got["valid_from"].values / NM == pytest.approx([0.21, 0.27], abs=0.04)


def test_smoothing_beats_the_histogram(make, truth):
    """W at its own cells is nearer to the truth than the raw counts are."""
    profiles = make(truth, samples=1, replicates=4, seed=3)
    got = coefficients_from_profiles(profiles)
    phi = poisson(truth, got["distance"].values / NM)
    view = side_view(profiles, "left")
    near = (view.distance > 0.35) & (view.distance < 1.1)
    d = view.distance[near]
    salt = (work_of(got, phi)).sum(axis=0)  # phi drops out of the sum of both ions
    exact = truth.work("Na", d) + truth.work("Cl", d)
    smooth = np.interp(d, got["distance"].values / NM, salt) - exact
    raw = view.pmf[0][:, near].sum(axis=0) - exact
    assert smooth.std() < 0.8 * raw.std()


def test_unvisited_space_is_capped(make, truth):
    got = coefficients_from_profiles(make(truth, samples=2))
    # z phi drops out of the mean of both ions.
    wall = got["mu_ex"].values[..., 0].mean(axis=1) / KT
    assert wall == pytest.approx(30.0, abs=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"side": "top"}, "left, right or mean"),
        ({"bulk_plane": 1.6 * NM}, "planes out of order"),
        ({"taper_start": 1.5 * NM}, "planes out of order"),
        ({"taper_start": -1.0 * NM}, "planes out of order"),
        ({"reaction_plane": {"Cl": 2 * NM}}, "reaction plane of Cl"),
    ],
)
def test_bad_input_is_refused(make, truth, given, message):
    with pytest.raises(InputError, match=message):
        coefficients_from_profiles(make(truth), **given)


def test_a_species_that_was_hardly_seen_is_refused(make, truth):
    profiles = make(truth)
    profiles["quality_flag"].values[1, 10:] = 4
    with pytest.raises(InputError, match="too few cells"):
        coefficients_from_profiles(profiles)
