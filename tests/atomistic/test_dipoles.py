"""Polarisation of molecules: exact sums, and the field of their charge."""

import numpy as np
import pytest

from mesobridge.atomistic.profiles.dipoles import DipoleSums
from mesobridge.atomistic.profiles.electrostatics import planar_potential
from mesobridge.core.errors import InputError
from mesobridge.core.units import ELEMENTARY_CHARGE, NM
from mesobridge.core.units import VACUUM_PERMITTIVITY as EPS0


def molecules(n, box, seed, size=0.3 * NM, atoms=5):
    """Neutral molecules of random shape, anywhere in and around the box."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-1, 2, (n, 1, 3)) * box
    x = centre + size * rng.uniform(-1, 1, (n, atoms, 3))
    q = rng.standard_normal((n, atoms))
    q -= q.mean(axis=1, keepdims=True)
    index = np.repeat(np.arange(n), atoms)
    return x.reshape(-1, 3), q.ravel() * ELEMENTARY_CHARGE, index


# polarisation -------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize("normal", [0, 2])
def test_polarisation_adds_up_to_the_dipole(n, normal):
    box = np.array([2.0, 2.5, 3.0]) * NM
    x, q, index = molecules(30, box, 0)
    sums = DipoleSums(1, n, normal)
    sums.add(0, x, q, index, box)
    M = q @ x
    assert sums.dipole[0] == pytest.approx(M, rel=1e-9)
    total = sums.polarisation[0].mean(axis=1) * box.prod()
    assert total == pytest.approx(M, rel=1e-7)
    assert sums.product[0] == pytest.approx(sums.polarisation[0] * M[:, None], rel=1e-6)


def test_across_the_slab_it_is_minus_the_integral_of_the_charge():
    """P = -sum q theta(z - z_i) / A, averaged over each cell."""
    box, n = np.array([2.0, 2.5, 4.0]) * NM, 25
    x, q, index = molecules(20, box, 1)
    x[:, 2] = np.random.default_rng(2).uniform(1.2, 2.8, len(x)) * NM
    sums = DipoleSums(1, n)
    sums.add(0, x, q, index, box)
    faces = np.linspace(0, box[2], n + 1)
    passed = np.clip((faces[1:, None] - x[:, 2]) / np.diff(faces)[0], 0, 1)
    truth = -passed @ q / (box[0] * box[1])
    assert sums.polarisation[0, 2] == pytest.approx(truth, abs=1e-7 * np.abs(truth).max())


def test_the_field_of_the_polarisation_is_that_of_the_charge():
    """E = -P / eps0 in a slab cell: both ways give the same mean field of a cell."""
    box, n, fine = np.array([2.0, 2.5, 4.0]) * NM, 20, 20000
    x, q, index = molecules(20, box, 3)
    x[:, 2] = np.random.default_rng(4).uniform(1.2, 2.8, len(x)) * NM
    sums = DipoleSums(1, n)
    sums.add(0, x, q, index, box)
    faces = np.linspace(0, box[2], fine + 1)
    charge = np.histogram(x[:, 2], faces, weights=q)[0] * fine / box.prod()
    found = planar_potential(charge, faces, boundary="slab")
    drop = -np.diff(found.potential[:: fine // n]) / (box[2] / n)
    truth = -sums.polarisation[0, 2] / EPS0
    assert drop == pytest.approx(truth, abs=2e-3 * np.abs(truth).max())
    assert found.dipole == pytest.approx(q @ x[:, 2] / (box[0] * box[1]), rel=1e-3)


def test_where_the_box_is_cut_does_not_matter():
    box, n = np.array([2.0, 2.5, 3.0]) * NM, 30
    x, q, index = molecules(30, box, 5)
    sums = [DipoleSums(1, n) for _ in range(3)]
    shift = np.array([0.3 * NM, 0.1 * NM, 7 * box[2] / n])
    images = np.random.default_rng(6).integers(-2, 3, (30, 3))[index]
    for s, y in zip(sums, (x, x + shift, x + images * box), strict=True):
        s.add(0, y, q, index, box)
    one = sums[0].polarisation[0]
    scale = np.abs(one).max()
    assert np.abs(np.roll(one, 7, axis=1) - sums[1].polarisation[0]).max() < 1e-6 * scale
    assert np.abs(one - sums[2].polarisation[0]).max() < 1e-6 * scale


def test_mirror_image_of_the_polarisation():
    """z -> -z turns P_z round and mirrors all profiles."""
    box, n = np.array([2.0, 2.5, 3.0]) * NM, 30
    x, q, index = molecules(30, box, 7)
    one, other = DipoleSums(1, n), DipoleSums(1, n)
    one.add(0, x, q, index, box)
    other.add(0, x * [1, 1, -1], q, index, box)
    mirrored = other.polarisation[0][:, ::-1] * np.array([[1], [1], [-1]])
    scale = np.abs(mirrored).max()
    assert np.abs(one.polarisation[0] - mirrored).max() < 1e-6 * scale


def test_atoms_level_with_the_centre_count_where_they_are():
    """A dipole that lies flat polarises its own cell only."""
    box = np.array([2.0, 2.0, 2.0]) * NM
    x = np.array([[0.9, 1.0, 0.55], [1.1, 1.0, 0.55]]) * NM
    sums = DipoleSums(1, 20)
    sums.add(0, x, np.array([-1.0, 1.0]) * ELEMENTARY_CHARGE, np.zeros(2, int), box)
    found = sums.polarisation[0, 0] * box.prod() / 20
    truth = np.zeros(20)
    truth[5] = 0.2 * NM * ELEMENTARY_CHARGE
    assert found == pytest.approx(truth, abs=1e-9 * truth[5])


def test_pooled_units_are_the_sums_of_neighbours():
    box, sums = np.array([2.0, 2.5, 3.0]) * NM, DipoleSums(4, 6)
    for seed in range(8):
        sums.add(seed // 2, *molecules(10, box, seed), box)
    pooled = sums.pooled(2)
    assert pooled.frames.tolist() == [4, 4]
    for name in ("volume", "product", "polarisation", "number", "dipole_square"):
        whole = getattr(sums, name)
        assert np.allclose(getattr(pooled, name), whole[::2] + whole[1::2], atol=0)
    assert sums.number.sum() == 80  # each molecule in one cell of each frame
    assert sums.frames.tolist() == [2, 2, 2, 2]


# bad input ----------------------------------------------------------------------------


def test_bad_input_is_refused_with_a_reason():
    box = np.array([2.0, 2.0, 2.0]) * NM
    x, q, index = molecules(4, box, 0)
    ions = q.copy()
    ions[7] += ELEMENTARY_CHARGE
    broken = x.copy()
    broken[3, 1] += box[1]
    sums = DipoleSums(2, 5)
    pair = np.array([[0.0, 0.0, 0.05], [0.0, 0.0, 1.95]]) * NM  # through the boundary
    e = np.array([1.0, -1.0]) * ELEMENTARY_CHARGE
    for call, words in (
        (lambda: sums.add(0, pair, e, np.array([0, 0]), box), "not whole"),
        (lambda: sums.add(2, x, q, index, box), "unit of a frame"),
        (lambda: sums.add(0, x[:, :2], q, index, box), r"\(N, 3\)"),
        (lambda: sums.add(0, x, None, index, box), "charges"),
        (lambda: sums.add(0, x, 0 * q, index, box), "all of them zero"),
        (lambda: sums.add(0, x, ions, index, box), "on molecule 1"),
        (lambda: sums.add(0, x, q, index - 1, box), "integers from 0"),
        (lambda: sums.add(0, x, q, index[1:], box), "molecules of a frame"),
        (lambda: sums.add(0, broken, q, index, box), "not whole"),
        (lambda: sums.add(0, x * np.nan, q, index, box), "finite"),
        (lambda: sums.add(0, x, q, index, box[:2]), "three edges"),
        (lambda: DipoleSums(0, 5), "sums of dipoles"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    assert not sums.frames.any()
