"""Boxes of any shape and size: nearest images, paths through borders, profiles."""

from itertools import product

import numpy as np
import pytest
from MDAnalysis.lib.mdamath import triclinic_vectors
from universes import free, universe

from mesobridge.atomistic.profiles import (
    Species,
    bulk_diffusion,
    dielectric_response,
    unwrap,
)
from mesobridge.atomistic.profiles.coordinates import Cylindrical, Planar, Spherical
from mesobridge.atomistic.profiles.estimates import Electrics
from mesobridge.atomistic.profiles.images import narrowest, nearest, reach
from mesobridge.atomistic.profiles.interface import (
    Resolution,
    View,
    density_profiles,
    interface_profiles,
)
from mesobridge.atomistic.profiles.readers import read_paths
from mesobridge.core.errors import InputError
from mesobridge.core.stats import half_width95
from mesobridge.core.units import NM, PS

IONS = {"Na": "name Na", "Cl": "name Cl"}
HEXAGONAL = (3.0, 3.0, 4.0, 90.0, 90.0, 60.0)
DODECAHEDRON = (3.2, 3.2, 3.2, 60.0, 60.0, 90.0)
UNIT = NM**2 / PS


def cells():
    """Boxes of all kinds: thin, skewed by more than their edges, turned anyhow."""
    rng = np.random.default_rng(0)
    for d, _ in product((2, 3), range(60)):
        box = rng.normal(size=(d, d))
        if abs(np.linalg.det(box)) > 0.1:
            yield box
    yield np.array([[1.0, 0, 0], [5.5, 1.0, 0], [-3.3, 7.7, 1.0]])
    yield triclinic_vectors(DODECAHEDRON, float)
    yield np.diag([1.0, 2.0, 3.0])


def test_the_nearest_image_is_that_of_brute_force():
    rng = np.random.default_rng(1)
    for box in cells():
        d = len(box)
        v = rng.normal(size=(40, d)) * 2
        got = nearest(v, box)
        steps = (v - got) @ np.linalg.inv(box)
        assert np.abs(steps - np.round(steps)).max() < 1e-8  # an image it is
        images = np.array(list(product(range(-16, 17), repeat=d))) @ box
        images = images[(images**2).sum(axis=1) < 4 * np.abs(got).max() ** 2 * d]
        square = ((got[:, None] + images) ** 2).sum(axis=2).min(axis=1)
        assert (got**2).sum(axis=1) == pytest.approx(square)
        assert reach(got, box) <= 0.5 + 1e-9
        length = np.sqrt((images**2).sum(axis=1))
        assert narrowest(box) == pytest.approx(length[length > 1e-9].min())


def breathing(n, frames, D, save, seed):
    """Random walks in a box whose edges fluctuate by a tenth, wrapped; and the boxes."""
    rng = np.random.default_rng(seed)
    box = 2.0 * (1 + 0.1 * np.clip(rng.standard_normal((frames, 3)), -2.5, 2.5))
    x = rng.uniform(0, 1, (n, 3)) * box[0]
    found = []
    for edges in box:
        found.append(x % edges)
        # The barostat scales positions in the box; a step is a particle's own.
        x = found[-1] + np.sqrt(2 * D * save) * rng.standard_normal((n, 3))
    return np.array(found), box


def test_diffusion_in_a_box_that_breathes():
    """By nearest images D is right; by borders crossed, those far off would be shaken."""
    D, save = 0.05, 0.2
    x, box = breathing(100, 4000, D, save, 2)
    paths, _ = read_paths(universe(x, save, box), IONS)
    found = bulk_diffusion([paths], block=40 * PS, replicates=100, seed=1)
    half = half_width95(found.D, found.n_units)
    assert half.max() < 0.06 * D * UNIT
    assert np.abs(found.D[0] / UNIT - D).max() * UNIT < 1.6 * half.max()
    # The scheme that keeps the lattice: images counted, times the box of the frame.
    crossed = np.cumsum(np.round(np.diff(x, axis=0) / box[1:, None]), axis=0)
    naive = x[1:] - crossed * box[1:, None]
    lag = 50
    wrong = ((naive[lag:] - naive[:-lag]) ** 2).mean() / (2 * lag * save)
    right = paths.positions / NM
    right = ((right[lag:] - right[:-lag]) ** 2).mean() / (2 * lag * save)
    assert right == pytest.approx(D, rel=0.05)
    assert wrong > 1.5 * D


def test_unwrapping_in_boxes_of_their_own():
    x, box = breathing(20, 300, 0.05, 0.2, 3)
    matrices = box[:, None] * np.eye(3)
    assert unwrap(x, box) == pytest.approx(unwrap(x, matrices))
    tilted = matrices + [[0, 0, 0], [0.3, 0, 0], [0.4, -0.5, 0]]
    back = unwrap(x, tilted)
    shift = (np.diff(back, axis=0) - np.diff(x, axis=0)) @ np.linalg.inv(tilted[1:])
    assert np.abs(shift - np.round(shift)).max() < 1e-9


@pytest.mark.parametrize("box", [HEXAGONAL, DODECAHEDRON])
def test_paths_in_a_skewed_box(box):
    """Of atoms, and of molecules that straddle the border."""
    centre = free(30, 400, 3.0, 9)
    arm = np.array([0.1, 0.0, 0.1])
    x = np.stack([centre - arm, centre + arm], axis=2).reshape(400, 60, 3)
    u = universe(
        x, 0.1, box, charges=[0.0] * 60, residues=np.repeat(np.arange(30), 2), wrap=True
    )
    for wanted, of in ((x, "atoms"), (centre, "residues")):
        paths, _ = read_paths(u, {"all": Species("all", of)})
        moved = (paths.positions - paths.positions[0]) / NM
        assert moved == pytest.approx(wanted - wanted[0], abs=1e-4)
        volume = np.linalg.det(triclinic_vectors(box, float))
        assert paths.volume() / NM**3 == pytest.approx(volume, rel=1e-5)


@pytest.mark.parametrize(
    ("box", "coordinate"),
    [
        (DODECAHEDRON, Planar()),
        (HEXAGONAL, Cylindrical(1.45 * NM)),
        (DODECAHEDRON, Spherical(1.55 * NM)),
    ],
)
def test_free_particles_in_a_skewed_box(box, coordinate):
    """Uniform density and the D they have, wrapped or far out of the box."""
    vectors = triclinic_vectors(box, float)
    x = free(300, 2000, 3.0, 5)
    x += np.random.default_rng(2).uniform(0, 1, (300, 3)) @ vectors - x[0]
    how = Resolution(0.1 * NM, 0.4 * PS, 20 * PS, 50, 1)
    closing = "periodic" if coordinate.everywhere else "closed"
    view = View(300.0, coordinate, electrics=Electrics(closing, reference="right"))
    ds, same = (
        interface_profiles(universe(x, 0.1, box, wrap=wrap), IONS, how, view)
        for wrap in (True, False)
    )
    for name in ("number_density", "D_perp", "D_par"):
        assert np.allclose(same[name], ds[name], rtol=2e-3, atol=1e-3)
    z = ds["z"].values / NM
    far = z > 0.5
    density = ds["number_density"].values[0][:, far] * NM**3
    wanted = 150 / np.linalg.det(vectors)
    assert density.mean() == pytest.approx(wanted, rel=0.03)
    assert np.abs(density / wanted - 1).max() < 0.12
    for name in ("D_perp", "D_par"):
        D = ds[name].values[0][:, -len(z) :][:, far & (z < 1.1)] / UNIT
        assert np.abs(D / 0.02 - 1).max() < 0.12


def test_a_moving_origin_in_a_skewed_box():
    """A dumb-bell that drifts through all borders, and its shell, are followed."""
    rng = np.random.default_rng(6)
    drift = np.linspace(0, 1, 60)[:, None, None] * [7.0, -4.0, 9.0]
    shell = rng.normal(size=(60, 40, 3))
    shell *= 0.8 / np.linalg.norm(shell, axis=2, keepdims=True)
    core = np.zeros((60, 2, 3)) + [[0.3, 0.0, 0.1], [-0.3, 0.0, -0.1]]
    x = np.concatenate([shell, core], axis=1) + drift
    u = universe(x, 0.1, DODECAHEDRON, ["Na"] * 40 + ["X"] * 2, [0.0] * 42, wrap=True)
    how = Resolution(0.05 * NM, 0.0, 1 * PS, 50)
    view = View(300.0, Spherical(1.5 * NM), moving="name X")
    ds = density_profiles(u, {"Na": "name Na"}, how, view)
    seen = ds["z"].values[ds["number_density"].values[0, 0] > 0] / NM
    assert seen == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(
    ("box", "coordinate", "text"),
    [
        (HEXAGONAL, Planar("x"), "planes normal to x"),
        (HEXAGONAL, Planar("z", 0.0, 4.1 * NM), "beyond the box"),
        (DODECAHEDRON, Cylindrical(1.0 * NM), "tilted"),
        (HEXAGONAL, Cylindrical(1.51 * NM), "beyond the box"),
        (DODECAHEDRON, Spherical(1.61 * NM), "beyond the box"),
        ((3.0, 3.0, 3.0, 90.0, 90.0, 0.0), Planar(), "has no box"),
    ],
)
def test_boxes_that_do_not_suit(box, coordinate, text):
    u = universe(np.zeros((40, 2, 3)), 0.1, box)
    how = Resolution(0.1 * NM, 0.0, 1 * PS, 50)
    with pytest.raises(InputError, match=text):
        density_profiles(u, IONS, how, View(300.0, coordinate))


def test_jumps_are_refused_in_a_skewed_box():
    """Half of a short diagonal is a jump, however long the edges are."""
    vectors = triclinic_vectors(DODECAHEDRON, float)
    x = np.zeros((40, 2, 3))
    x[20:, 0] = 0.45 * (vectors[2] - vectors[0])
    how = Resolution(0.1 * NM, 0.2 * PS, 1 * PS, 50)
    with pytest.raises(InputError, match="0.45 of the box"):
        interface_profiles(universe(x, 0.1, DODECAHEDRON), IONS, how, View(300.0))
    neutral = universe(x, 0.1, DODECAHEDRON, charges=[0.0] * 2)
    with pytest.raises(InputError, match="right angles"):
        dielectric_response(neutral, bin=NM, temperature=300.0, boundary="periodic")


@pytest.mark.parametrize("box", [(3.0, 3.0, 4.0), DODECAHEDRON])
def test_positions_that_are_no_numbers(box):
    """Of a run that blew up: refused, whether particles are followed or counted."""
    x = free(8, 80, 3.0, 1)
    x[30, 0] = np.nan
    u, view = universe(x, 0.1, box), View(300.0)
    how = Resolution(0.1 * NM, 0.2 * PS, 1 * PS, 50)
    for profiles in (interface_profiles, density_profiles):
        with pytest.raises(InputError, match="positions of frame 30"):
            profiles(u, IONS, how, view)
