"""Gaussian charges, cylinders and spheres against closed forms of electrostatics."""

import numpy as np
import pytest
from charged import SIGMA, L, neutral, uneven_faces
from scipy.special import erf

from mesobridge.atomistic.profiles.electrostatics import (
    planar_potential,
    radial_potential,
)
from mesobridge.core.errors import InputError
from mesobridge.core.units import NM
from mesobridge.core.units import VACUUM_PERMITTIVITY as EPS0

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


def test_bad_radii_are_refused_with_a_reason():
    faces, charge = np.linspace(0, L, 11), np.zeros(10)
    for call, words in (
        (lambda: radial_potential(charge, faces - L, geometry="sphere"), "radii"),
        (lambda: radial_potential(charge, faces, geometry="torus"), "geometry"),
        (
            lambda: radial_potential(charge, faces, geometry="sphere", inner_charge=1),
            "inner wall",
        ),
    ):
        with pytest.raises(InputError, match=words):
            call()
