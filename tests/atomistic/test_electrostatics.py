"""Field and potential of charge profiles against closed forms of electrostatics."""

import numpy as np
import pytest
from scipy.special import erf

from mesobridge.atomistic.profiles.charges import charge_in_cells
from mesobridge.atomistic.profiles.electrostatics import (
    field_and_potential,
    planar_potential,
    radial_potential,
)
from mesobridge.core.errors import InputError
from mesobridge.core.units import BOLTZMANN, ELEMENTARY_CHARGE, NM
from mesobridge.core.units import VACUUM_PERMITTIVITY as EPS0

SIGMA = 0.1  # C/m2
L = 4 * NM


def uneven_faces(n=200, length=L, seed=0):
    """Faces of cells whose widths differ: nothing may need equal ones."""
    width = np.random.default_rng(seed).uniform(0.5, 1.5, n)
    return np.concatenate([[0.0], np.cumsum(width)]) * length / width.sum()


def neutral(shape, faces, seed=1):
    """Random charge density whose integral is zero, C/m3."""
    charge = np.random.default_rng(seed).standard_normal(shape) * 1e7
    h = np.diff(faces)
    return charge - (charge @ h)[..., None] / h.sum()


# closed cells -------------------------------------------------------------------------


def test_parallel_plates_in_vacuum():
    """E = sigma / eps0 between the plates, a drop of sigma L / eps0."""
    faces = uneven_faces()
    found = planar_potential(np.zeros(200), faces, wall_charge=SIGMA, reference="left")
    assert found.field == pytest.approx(SIGMA / EPS0)
    assert found.potential == pytest.approx(-SIGMA * faces / EPS0)
    assert found.residual_field == 0
    assert found.dipole == pytest.approx(-SIGMA * L)


def test_what_the_walls_do_not_close_is_reported():
    """(sigma_left + sigma_right + integral of charge) / eps0, and nothing is tilted."""
    faces = uneven_faces()
    charge = np.full((3, 200), 0.02 / L)
    found = planar_potential(charge, faces, wall_charge=SIGMA, far_charge=-SIGMA)
    assert found.residual_field == pytest.approx(np.full(3, 0.02 / EPS0))
    assert found.field[..., -1] == pytest.approx((SIGMA + 0.02) / EPS0)


def test_uniformly_charged_slab():
    """E = rho z / eps0 about its middle (Gauss' law), phi = -rho z^2 / 2 eps0."""
    faces = uneven_faces() - L / 2
    rho = 1e7
    found = planar_potential(
        np.full(200, rho), faces, wall_charge=-rho * L / 2, reference="left"
    )
    assert found.field == pytest.approx(rho * faces / EPS0, rel=1e-9, abs=1.0)
    truth = rho * (faces[0] ** 2 - faces**2) / (2 * EPS0)
    assert found.potential == pytest.approx(truth, abs=1e-12 * np.abs(truth).max())


def test_gouy_chapman_to_second_order():
    """Charge of a Gouy-Chapman layer in, its potential out, error O(h^2).

    psi = 2 ln[(1 + g e^-kz) / (1 - g e^-kz)] in kT/e (Gouy 1910, Chapman 1913).
    """
    kappa, g = 1 / (0.3 * NM), 0.6
    volt = BOLTZMANN * 300 / ELEMENTARY_CHARGE

    def psi(z):
        wave = g * np.exp(-kappa * z)
        return 2 * volt * np.log((1 + wave) / (1 - wave))

    def field(z):
        wave = g * np.exp(-kappa * z)
        return 4 * volt * kappa * wave / (1 - wave**2)

    errors = []
    for n in (50, 100, 200):
        z = np.linspace(0, L, n + 1)
        charge = EPS0 * np.diff(field(z)) / np.diff(z)
        found = planar_potential(
            charge, z, wall_charge=EPS0 * field(0), reference="right"
        )
        assert found.field == pytest.approx(field(z), rel=1e-9, abs=1e-6 * field(0))
        errors.append(np.abs(found.potential - psi(z) + psi(L)).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)
    assert errors[2] < 2e-3 * psi(0)


def test_mirror_image():
    """Mirrored charge and exchanged walls: phi mirrored, E mirrored and reversed."""
    faces = uneven_faces()
    mirrored = L - faces[::-1]
    charge = neutral((5, 200), faces)
    charge[..., [0, -1]] = 0
    h = np.diff(faces)
    charge[..., 100] -= charge @ h / h[100]
    for how in (
        {"wall_charge": SIGMA, "far_charge": -SIGMA},
        {"boundary": "periodic"},
        {"boundary": "slab"},
        {"boundary": "periodic", "smearing": 0.05 * NM},
    ):
        swapped = dict(how)
        if "wall_charge" in how:
            swapped = {"wall_charge": -SIGMA, "far_charge": SIGMA}
        one = planar_potential(charge, faces, reference="middle", **how)
        other = planar_potential(charge[..., ::-1], mirrored, **swapped)
        scale = np.abs(one.field).max()
        assert np.abs(one.field + other.field[..., ::-1]).max() < 1e-9 * scale
        gap = np.abs(one.potential - other.potential[..., ::-1]).max()
        assert gap < 1e-9 * np.abs(one.potential).max()
        assert one.dipole == pytest.approx(-other.dipole, abs=1e-9 * SIGMA * L)


def test_linear_in_the_charge_and_the_same_for_each_replicate():
    faces = uneven_faces()
    charge = neutral((3, 4, 200), faces)
    found = planar_potential(charge, faces, boundary="periodic", smearing=0.1 * NM)
    assert found.potential.shape == (3, 4, 201)
    assert found.dipole.shape == found.residual_field.shape == (3, 4)
    alone = planar_potential(
        charge[1, 2], faces, boundary="periodic", smearing=0.1 * NM
    ).potential
    scale = np.abs(alone).max()
    assert np.abs(found.potential[1, 2] - alone).max() < 1e-12 * scale


def test_the_short_form_is_the_closed_cell():
    faces = uneven_faces()
    charge = neutral((2, 200), faces)
    field, potential = field_and_potential(charge, faces, SIGMA)
    found = planar_potential(charge, faces, wall_charge=SIGMA)
    assert np.array_equal(field, found.field)
    assert np.array_equal(potential, found.potential)


# periodic and slab cells --------------------------------------------------------------


@pytest.mark.parametrize("mode", [1, 3])
def test_periodic_potential_of_a_cosine(mode):
    """rho = a cos(kz): phi = rho / (eps0 k^2); Gaussians damp by exp(-k^2 s^2 / 2)."""
    n, s = 1000, 0.2 * NM
    faces = np.linspace(0, L, n + 1)
    k, a = 2 * np.pi * mode / L, 1e7
    charge = a * np.diff(np.sin(k * faces)) / (k * np.diff(faces))
    truth = a * np.cos(k * faces) / (EPS0 * k**2)
    point = planar_potential(charge, faces, boundary="periodic", reference="none")
    phi = point.potential - point.potential[:-1].mean()
    assert np.abs(phi - truth).max() < 1e-5 * truth.max() * mode**2
    smooth = planar_potential(charge, faces, boundary="periodic", smearing=s)
    phi = smooth.potential - smooth.potential[:-1].mean()
    damped = truth * np.exp(-0.5 * (k * s) ** 2)
    assert np.abs(phi - damped).max() < 1e-5 * damped.max() * mode**2
    assert np.abs(smooth.field[0] - smooth.field[-1]) < 1e-9 * np.abs(smooth.field).max()


def test_smearing_wider_than_the_cell_leaves_little():
    """exp(-k^2 s^2 / 2) of the longest wave: images are counted as far as they reach."""
    n, s = 400, 0.5 * L
    faces = np.linspace(0, L, n + 1)
    k = 2 * np.pi / L
    charge = 1e7 * np.diff(np.sin(k * faces)) / (k * np.diff(faces))
    found = planar_potential(charge, faces, boundary="periodic", smearing=s)
    swing = np.ptp(found.potential)
    truth = 2e7 / (EPS0 * k**2) * np.exp(-0.5 * (k * s) ** 2)
    assert swing == pytest.approx(truth, rel=1e-3)


def test_periodic_cell_closes_and_has_no_mean_field():
    faces = uneven_faces()
    charge = neutral((4, 200), faces)
    found = planar_potential(charge, faces, boundary="periodic")
    scale = np.abs(found.potential).max()
    assert np.abs(found.potential[:, 0] - found.potential[:, -1]).max() < 1e-10 * scale
    h = np.diff(faces)
    mean = 0.5 * (found.field[:, 1:] + found.field[:, :-1]) @ h / L
    assert np.abs(mean).max() < 1e-10 * np.abs(found.field).max()


def test_periodic_potential_does_not_depend_on_where_the_cell_is_cut():
    n = 200
    faces = np.linspace(0, L, n + 1)
    charge = neutral((3, n), faces)
    one = planar_potential(charge, faces, boundary="periodic", smearing=0.03 * NM)
    other = planar_potential(
        np.roll(charge, 37, axis=-1), faces, boundary="periodic", smearing=0.03 * NM
    )
    assert np.diff(np.roll(one.potential[:, :-1], 37, axis=-1)) == pytest.approx(
        np.diff(other.potential[:, :-1]), abs=1e-10
    )


def dipolar_sheets(n=400, gap=1.0 * NM):
    """Sheets of -SIGMA and SIGMA, `gap` apart, one cell wide, in the middle of L."""
    faces = np.linspace(0, L, n + 1)
    charge = np.zeros(n)
    h, half = L / n, round(gap / (2 * L / n))
    charge[n // 2 - half] = -SIGMA / h
    charge[n // 2 + half] = SIGMA / h
    return charge, faces, SIGMA * 2 * half * h


def test_sheet_dipole_in_the_two_kinds_of_cells():
    """Dipole p per area. With slab correction: no field outside, a step of p / eps0.

    Without: p / (eps0 L) in the vacuum (Yeh & Berkowitz 1999), no step across the cell.
    """
    charge, faces, p = dipolar_sheets()
    slab = planar_potential(charge, faces, boundary="slab", reference="left")
    assert slab.dipole == pytest.approx(p)
    outside = np.r_[0:100, 300:401]
    assert np.abs(slab.field[outside]).max() < 1e-6 * SIGMA / EPS0
    assert slab.potential[-1] == pytest.approx(p / EPS0)
    open_cell = planar_potential(charge, faces, boundary="periodic", reference="left")
    assert open_cell.field[outside] == pytest.approx(p / (EPS0 * L))
    correction = slab.field - open_cell.field
    assert correction == pytest.approx(-p / (EPS0 * L))
    assert abs(open_cell.potential[-1]) < 1e-9 * p / EPS0


def test_charged_slab_is_a_charged_sheet_from_outside():
    """-Q / 2 eps0 and Q / 2 eps0 (Ballenegger, Arnold & Cerda 2009, with its terms)."""
    charge, faces, _ = dipolar_sheets()
    charge[200] += 0.03 / (faces[1] - faces[0])
    found = planar_potential(charge, faces, boundary="slab")
    assert found.field[0] == pytest.approx(-0.03 / (2 * EPS0))
    assert found.field[-1] == pytest.approx(0.03 / (2 * EPS0))
    assert found.residual_field == pytest.approx(0.03 / EPS0)


def test_charged_slab_is_the_corrected_ewald_sum():
    """Ewald field with background, plus -(M - Q z) / (eps0 V), is the slab's field."""
    charge, faces, p = dipolar_sheets()
    n, h = len(charge), faces[1] - faces[0]
    charge[150] += 0.03 / h
    z = faces - L / 2
    M = (charge * h) @ (0.5 * (z[1:] + z[:-1]))
    background = charge - 0.03 / L
    ewald = planar_potential(background, faces, boundary="periodic").field
    corrected = ewald - (M - 0.03 * z) / (EPS0 * L)
    truth = planar_potential(charge, faces, boundary="slab").field
    assert n == 400
    assert corrected == pytest.approx(truth, abs=1e-9 * np.abs(truth).max())


def test_references():
    charge, faces, p = dipolar_sheets()
    step = p / EPS0
    phi = {
        name: planar_potential(charge, faces, boundary="slab", reference=name).potential
        for name in ("left", "right", "vacuum", "middle", "none")
    }
    assert phi["left"][0] == 0
    assert phi["right"][-1] == 0
    assert phi["right"][0] == pytest.approx(-step)
    assert phi["vacuum"][0] == pytest.approx(-step / 2, rel=0.01)  # mean of both sides
    middle = (faces >= 0.4 * L) & (faces <= 0.6 * L)
    assert abs(phi["middle"][middle].mean()) < 1e-12 * step
    for other in phi.values():
        assert other - other[0] == pytest.approx(phi["none"] - phi["none"][0])


# Gaussian charges ---------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["closed", "slab"])
def test_a_smeared_plane_of_charge_is_an_error_function(boundary):
    """E = sigma erf(z / sqrt 2 s) / 2 eps0; phi its integral, a kink rounded over s."""
    n, s = 1201, 0.1 * NM
    faces = np.linspace(0, L, n + 1)
    charge = np.zeros(n)
    charge[n // 2] = SIGMA / (L / n)
    how = {"wall_charge": -SIGMA / 2} if boundary == "closed" else {"boundary": "slab"}
    found = planar_potential(charge, faces, smearing=s, reference="left", **how)
    x = (faces - L / 2) / (np.sqrt(2) * s)
    assert found.field == pytest.approx(
        SIGMA * erf(x) / (2 * EPS0), abs=1e-4 * SIGMA / EPS0
    )
    integral = np.sqrt(2) * s * (x * erf(x) + np.exp(-(x**2)) / np.sqrt(np.pi))
    truth = -SIGMA * (integral - integral[0]) / (2 * EPS0)
    assert found.potential == pytest.approx(truth, abs=1e-4 * np.abs(truth).max())
    assert found.smearing == s


def test_smearing_is_exact_in_coarse_uneven_cells():
    """Against the convolution of a fine copy of the same cells."""
    faces = uneven_faces(12)
    charge = neutral((12,), faces)
    charge[[0, -1]] = 0
    h = np.diff(faces)
    charge[5] -= charge @ h / h[5]
    fine = np.unique(np.concatenate([np.linspace(0, L, 801), faces]))
    cell = np.searchsorted(faces, 0.5 * (fine[1:] + fine[:-1])) - 1
    s = 0.2 * NM
    coarse = planar_potential(
        charge, faces, boundary="slab", smearing=s, reference="left"
    )
    # Tails beyond the ends are missing from neither: both start from -infinity.
    copy = planar_potential(
        charge[cell], fine, boundary="slab", smearing=s, reference="left"
    )
    at = np.searchsorted(fine, faces)
    scale = np.abs(copy.potential).max()
    assert np.abs(coarse.potential - copy.potential[at]).max() < 1e-9 * scale
    # and phi'' = -rho / eps0, with rho the error functions of the edges
    z = np.linspace(0.4 * L, 0.6 * L, 2001)
    edges = 0.5 * (1 + erf((z[:, None] - faces) / (np.sqrt(2) * s)))
    rho = -np.diff(edges, axis=1) @ charge
    dense = np.union1d(z, faces)
    where = np.searchsorted(faces, 0.5 * (dense[1:] + dense[:-1])) - 1
    field = planar_potential(charge[where], dense, boundary="slab", smearing=s).field
    at = np.searchsorted(dense, z)
    slope = np.gradient(field[at], z)
    assert np.abs(EPS0 * slope - rho)[5:-5].max() < 1e-3 * np.abs(rho).max()


def test_narrow_gaussians_are_points():
    faces = uneven_faces()
    charge = neutral((200,), faces)
    for boundary in ("closed", "periodic"):
        point = planar_potential(charge, faces, boundary=boundary)
        narrow = planar_potential(charge, faces, boundary=boundary, smearing=1e-6 * NM)
        scale = np.abs(point.potential).max()
        assert np.abs(narrow.potential - point.potential).max() < 1e-6 * scale


# cylinders and spheres ----------------------------------------------------------------


@pytest.mark.parametrize(("geometry", "d"), [("cylinder", 2), ("sphere", 3)])
def test_uniformly_charged_cylinder_and_sphere(geometry, d):
    """E = rho r / (d eps0), phi = rho (R^2 - r^2) / (2 d eps0), exact in any cells."""
    rho, R = 1e7, 2 * NM
    faces = uneven_faces(20, R)
    found = radial_potential(
        np.full((2, 20), rho), faces, geometry=geometry, wall_charge=-rho * R / d
    )
    assert found.field[1] == pytest.approx(rho * faces / (d * EPS0))
    truth = rho * (R**2 - faces**2) / (2 * d * EPS0)
    assert found.potential[1] == pytest.approx(truth, abs=1e-12 * truth[0])
    assert np.abs(found.residual_field).max() < 1e-9 * rho * R / EPS0
    assert found.boundary == geometry


@pytest.mark.parametrize("geometry", ["cylinder", "sphere"])
def test_outside_of_a_charged_core(geometry):
    """Line charge: phi falls as -ln r; point charge: as 1 / r."""
    faces = uneven_faces(40, 2 * NM)
    charge = np.zeros(40)
    charge[:5] = 2e7
    a = faces[5]
    found = radial_potential(charge, faces, geometry=geometry, reference="right")
    r, R = faces[5:], faces[-1]
    if geometry == "cylinder":
        truth = 2e7 * a**2 / (2 * EPS0) * np.log(R / r)
    else:
        truth = 2e7 * a**3 / (3 * EPS0) * (1 / r - 1 / R)
    assert found.potential[5:] == pytest.approx(truth, abs=1e-12 * truth[0])


def test_coaxial_and_concentric_capacitors():
    """Inner wall a, outer wall b: sigma a ln(b/a) / eps0 and sigma a (1 - a/b) / eps0."""
    a, b = 1 * NM, 3 * NM
    faces = a + uneven_faces(30, b - a)
    for geometry, outer, drop in (
        ("cylinder", -SIGMA * a / b, a * np.log(b / a)),
        ("sphere", -SIGMA * (a / b) ** 2, a * (1 - a / b)),
    ):
        found = radial_potential(
            np.zeros(30), faces, geometry=geometry, inner_charge=SIGMA, wall_charge=outer
        )
        assert found.field[0] == pytest.approx(SIGMA / EPS0)
        assert found.potential[0] == pytest.approx(SIGMA * drop / EPS0)
        assert abs(found.residual_field) < 1e-9 * SIGMA / EPS0


@pytest.mark.parametrize("geometry", ["cylinder", "sphere"])
def test_a_thin_curved_shell_is_planar(geometry):
    far = 1e4 * L
    flat = uneven_faces(50)
    charge = neutral((50,), flat)
    plane = planar_potential(charge, flat, reference="right").potential
    curved = radial_potential(charge, far + flat, geometry=geometry).potential
    assert np.abs(curved - plane).max() < 1e-3 * np.abs(plane).max()


# histogram ----------------------------------------------------------------------------


def test_charge_of_the_cells_is_all_charge():
    """Sum rule: frames times the net charge; the last face belongs to the last cell."""
    rng = np.random.default_rng(0)
    z = rng.uniform(0, 1, (7, 50))
    z[0, 0], z[0, 1] = 0.0, 1.0
    charges = rng.standard_normal(50)
    faces = uneven_faces(9, 1.0)
    found = charge_in_cells(z, charges, faces)
    assert found.sum() == pytest.approx(7 * charges.sum())
    assert found == pytest.approx(
        sum(np.histogram(row, faces, weights=charges)[0] for row in z)
    )


# bad input ----------------------------------------------------------------------------


def test_bad_input_is_refused_with_a_reason():
    faces = np.linspace(0, L, 11)
    charge = np.zeros(10)
    filled = np.full(10, SIGMA / L)
    crooked = faces.copy()
    crooked[3] = crooked[5]
    for call, words in (
        (lambda: planar_potential(charge, crooked), "that grow"),
        (lambda: planar_potential(charge, faces[:-1]), "do not fit"),
        (lambda: planar_potential(charge * np.nan, faces), "NaN"),
        (
            lambda: planar_potential(filled, faces, boundary="periodic"),
            "-0.1 C/m2 in sum",
        ),
        (lambda: planar_potential(filled, faces, boundary="slab"), "shift the atoms"),
        (lambda: planar_potential(charge, faces, boundary="open"), "boundary"),
        (lambda: planar_potential(charge, faces, reference="wall"), "reference"),
        (lambda: planar_potential(filled, faces, reference="vacuum"), "no vacuum"),
        (lambda: planar_potential(charge[:1], faces[:2]), "middle fifth"),
        (lambda: planar_potential(charge, faces, smearing=-1.0), "smearing"),
        (
            lambda: planar_potential(charge, faces, boundary="slab", wall_charge=0.1),
            "walls of given charge",
        ),
        (lambda: radial_potential(charge, faces - L, geometry="sphere"), "radii"),
        (lambda: radial_potential(charge, faces, geometry="torus"), "geometry"),
        (
            lambda: radial_potential(charge, faces, geometry="sphere", inner_charge=1),
            "inner wall",
        ),
        (lambda: charge_in_cells(faces, None, faces), "charges"),
        (lambda: charge_in_cells(faces, np.zeros(11), faces), "all of them zero"),
        (lambda: charge_in_cells(faces, np.full(11, np.nan), faces), "11 of them"),
        (lambda: charge_in_cells(2 * faces, np.ones(11), faces), "5 of 11 outside"),
        (lambda: charge_in_cells(faces, np.ones(11), faces[::-1]), "that grow"),
    ):
        with pytest.raises(InputError, match=words):
            call()
