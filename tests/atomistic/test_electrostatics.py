"""Field and potential of charge profiles against closed forms of electrostatics."""

import numpy as np
import pytest
from charged import SIGMA, L, neutral, uneven_faces

from mesobridge.atomistic.profiles.electrostatics import (
    planar_potential,
    radial_potential,
)
from mesobridge.core.errors import InputError
from mesobridge.core.units import BOLTZMANN, ELEMENTARY_CHARGE, KJ_MOL, NM
from mesobridge.core.units import VACUUM_PERMITTIVITY as EPS0

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
    charge, faces, _ = dipolar_sheets()
    h = faces[1] - faces[0]
    charge[150] += 0.03 / h
    z = faces - L / 2
    M = (charge * h) @ (0.5 * (z[1:] + z[:-1]))
    background = charge - 0.03 / L
    ewald = planar_potential(background, faces, boundary="periodic").field
    corrected = ewald - (M - 0.03 * z) / (EPS0 * L)
    truth = planar_potential(charge, faces, boundary="slab").field
    assert corrected == pytest.approx(truth, abs=1e-9 * np.abs(truth).max())


def test_fields_are_those_of_an_ewald_sum():
    """Force on a small charge in the vacuum of a particle-mesh Ewald sum in OpenMM.

    Two sheets, 8 x 8 charges each: p / (eps0 L) without slab correction, nothing with it.
    """
    openmm = pytest.importorskip("openmm")
    from mesobridge.atomistic.systems import slab_correction
    from mesobridge.core.coulomb import coulomb_force

    edge, height, probe = 2.0, 6.0, 1e-5  # nm, nm, e
    grid = (np.indices((8, 8)).reshape(2, -1).T + 0.5) * edge / 8
    sheet = [np.column_stack([grid, np.full(64, z)]) for z in (2.6, 3.4)]
    x = np.concatenate([*sheet, [[1.0, 1.0, 5.3]]])
    q = np.concatenate([np.full(64, -0.01), np.full(64, 0.01), [probe]])
    dipole = 0.64 * 0.8 * ELEMENTARY_CHARGE * NM / (edge * NM) ** 2
    truth = dipole / (EPS0 * height * NM)
    for corrected, wanted in ((False, truth), (True, 0.0)):
        system = openmm.System()
        for _ in q:
            system.addParticle(1.0)
        system.setDefaultPeriodicBoxVectors(*np.diag([edge, edge, height]))
        system.addForce(coulomb_force(q, 0.9, tolerance=1e-6))
        if corrected:
            system.addForce(slab_correction(q, edge**2 * height))
        platform = openmm.Platform.getPlatformByName("Reference")
        context = openmm.Context(system, openmm.VerletIntegrator(1.0), platform)
        context.setPositions(x)
        force = context.getState(getForces=True).getForces(asNumpy=True)._value[-1, 2]
        field = force / probe * KJ_MOL / NM / ELEMENTARY_CHARGE
        assert field == pytest.approx(wanted, abs=2e-3 * truth)


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
    middle = np.abs(faces / L - 0.5) < 0.1 + 1e-9
    assert abs(phi["middle"][middle].mean()) < 1e-12 * step
    for other in phi.values():
        assert other - other[0] == pytest.approx(phi["none"] - phi["none"][0])


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
        (lambda: planar_potential(charge[None][:0], faces), "do not fit"),
        (lambda: planar_potential(charge, faces, wall_charge=np.nan), "charges of the w"),
        (lambda: planar_potential(charge, faces, wall_charge=charge), "charges of the w"),
        (lambda: planar_potential(charge, faces, smearing=np.inf), "smearing"),
        (
            lambda: radial_potential(
                charge, faces, geometry="sphere", wall_charge=np.nan
            ),
            "charges of the walls",
        ),
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
    ):
        with pytest.raises(InputError, match=words):
            call()
