"""Dielectric profiles of pores: exact sums, free dipoles of known permittivity."""

import numpy as np
import pytest

from mesobridge.atomistic.profiles.dielectric_pore import PoreSums, pore_profile
from mesobridge.core.errors import InputError
from mesobridge.core.stats import bootstrap_weights, half_width95
from mesobridge.core.units import ELEMENTARY_CHARGE, NM, thermal_energy
from mesobridge.core.units import VACUUM_PERMITTIVITY as EPS0

T = 300.0
KT = thermal_energy(T)
R = 2.0 * NM
BOX = np.array([6.0, 6.0, 3.0]) * NM
AXIS = np.array([3.0, 2.5]) * NM


def in_pore(n, radius, rng):
    """Points uniform in a cylinder about AXIS."""
    r, angle = radius * np.sqrt(rng.uniform(0, 1, n)), rng.uniform(0, 2 * np.pi, n)
    flat = AXIS + np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)
    return np.concatenate([flat, rng.uniform(0, BOX[2], (n, 1))], axis=1)


def some_molecules(seed):
    rng = np.random.default_rng(seed)
    x = in_pore(20, 1.6 * NM, rng)[:, None] + 0.1 * NM * rng.uniform(-1, 1, (20, 4, 3))
    q = rng.standard_normal((20, 4))
    q = ELEMENTARY_CHARGE * (q - q.mean(axis=1, keepdims=True))
    return x.reshape(-1, 3), q.ravel(), np.repeat(np.arange(20), 4)


def test_sum_rules():
    """The profile along the axis adds up to M_z; r P_r integrates to -sum q (R - r)."""
    x, q, index = some_molecules(0)
    faces = R * np.linspace(0, 1, 21) ** 0.7
    sums = PoreSums(1, faces)
    sums.add(0, x, q, index, BOX, AXIS)
    volume = np.pi * np.diff(faces**2) * BOX[2]
    assert sums.axial[0] @ volume == pytest.approx(q @ x[:, 2], rel=1e-9)
    r = np.hypot(*(x[:, :2] - AXIS).T)
    total = sums.radial[0] @ np.diff(faces) * 2 * np.pi * BOX[2]
    assert total == pytest.approx(q @ r, rel=1e-9)
    assert sums.logarithm[0] == pytest.approx(q @ np.log(r), rel=1e-9)


def test_a_path_is_shared_by_the_shells_that_it_crosses():
    """Through the axis, from 0.5 to -0.3 nm: lengths in each shell by hand."""
    x = np.array([[0.9, 0.0, 0.4], [0.1, 0.0, -0.4]]) * NM
    x[:, :2] += AXIS
    sums = PoreSums(1, np.array([0.0, 0.2, 0.6, 1.0, 2.0]) * NM)
    q = np.array([1.0, -1.0]) * ELEMENTARY_CHARGE
    sums.add(0, x, q, np.zeros(2, int), BOX, AXIS)
    found = sums.axial[0] * np.pi * np.diff(sums.faces**2) * BOX[2]
    # Centre at 0.5; arms to 0.9 and 0.1, each 0.4 nm for 0.4 e nm.
    share = np.array([0.1, 0.3 + 0.1, 0.3, 0.0]) * NM * ELEMENTARY_CHARGE
    assert found == pytest.approx(share, abs=1e-9 * share.max())


def test_mirror_and_rotation():
    """A turn about the axis changes nothing; z -> -z turns the dipole round."""
    x, q, index = some_molecules(1)
    faces = np.linspace(0, R, 15)
    turn = np.array([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, -1.0]])
    centre = np.array([*AXIS, 0.0])
    one, other = PoreSums(1, faces), PoreSums(1, faces)
    one.add(0, x, q, index, BOX, AXIS)
    other.add(0, (x - centre) @ turn.T + centre, q, index, BOX, AXIS)
    scale = np.abs(one.axial).max()
    assert np.abs(one.axial + other.axial).max() < 1e-9 * scale
    assert np.abs(one.radial - other.radial).max() < 1e-9 * np.abs(one.radial).max()


def free_dipoles(n_units, n_frames, seed, x=0.6, dipoles=60):
    """Rigid dipoles of random place and orientation: n mu^2 / (3 eps0 kT) = x."""
    rng = np.random.default_rng(seed)
    radius, length = 1.9 * NM, 0.05 * NM
    mu = np.sqrt(3 * EPS0 * KT * x * np.pi * radius**2 * BOX[2] / dipoles)
    q = np.tile([-mu / length, mu / length], dipoles)
    index = np.repeat(np.arange(dipoles), 2)
    sums = PoreSums(n_units, np.array([0.0, 0.6, 1.0, 1.4, 1.8, 2.0]) * NM)
    for frame in range(n_units * n_frames):
        way = rng.standard_normal((dipoles, 3))
        way *= 0.5 * length / np.linalg.norm(way, axis=1, keepdims=True)
        place = in_pore(dipoles, radius, rng)
        ends = np.stack([place - way, place + way], axis=1)
        sums.add(frame % n_units, ends.reshape(-1, 3), q, index, BOX, AXIS)
    return sums


def test_free_dipoles():
    """Along: eps = 1 + x, the response to E. Across: 1 / eps = 1 - x, that to D."""
    sums = free_dipoles(20, 100, 1)
    found = pore_profile(sums, bootstrap_weights(20, 200, 0), T)
    assert found.axial.shape == found.inverse_radial.shape == (201, 5)
    for replicates, truth in ((found.axial, 1.6), (found.inverse_radial, 0.4)):
        half = half_width95(replicates, 20)[:4]
        assert (np.abs(replicates[0, :4] - truth) < 2 * half).all()
        assert half[1:].max() < 0.25
    centred = pore_profile(sums, np.ones((1, 20)), T, zero_mean=False)
    assert np.abs(centred.axial[0] - found.axial[0]).max() < 0.02


def test_intervals_hold_the_truth():
    """95 % intervals over 20 sets of 20 blocks: 88 to 99 % of the points."""
    inside = []
    for seed in range(20):
        sums = free_dipoles(20, 30, 10 + seed, dipoles=30)
        found = pore_profile(sums, bootstrap_weights(20, 200, seed), T)
        for replicates, truth in ((found.axial, 1.6), (found.inverse_radial, 0.4)):
            half = half_width95(replicates, 20)
            inside.append(np.abs(replicates[0] - truth)[1:4] <= half[1:4])
    assert 0.88 <= np.mean(inside) <= 0.99


def test_bad_input_is_refused_with_a_reason():
    x, q, index = some_molecules(2)
    sums = PoreSums(1, np.linspace(0, R, 5))
    ions = q.copy()
    ions[0] += ELEMENTARY_CHARGE
    for call, words in (
        (lambda: sums.add(0, x, q, index, BOX, AXIS + NM), "outside of the shells"),
        (lambda: sums.add(0, x, None, index, BOX, AXIS), "charges"),
        (lambda: sums.add(0, x, ions, index, BOX, AXIS), "on molecule 0"),
        (lambda: sums.add(1, x, q, index, BOX, AXIS), "unit of a frame"),
        (lambda: sums.add(0, x, q, index, BOX, AXIS * np.nan), "outside of the shells"),
        (lambda: PoreSums(1, np.array([0.1, 1.0])), "from 0"),
        (lambda: PoreSums(1, np.array([0.0])), "two radii"),
        (lambda: PoreSums(1, np.array([])), "two radii"),
        (lambda: PoreSums(1, np.array([0.0, 1.0, 0.5])), "that grow"),
        (lambda: pore_profile(sums, np.ones((1, 1)), T), "1 empty of 1"),
    ):
        with pytest.raises(InputError, match=words):
            call()
