"""Force maps: known optima, known mean forces with rigid bonds, real molecules."""

from pathlib import Path

import numpy as np
import pytest

import mesobridge
from mesobridge.coarse import (
    Atoms,
    BeadMap,
    ForceCovariance,
    ForceMap,
    Template,
    backbone,
    basic_force_map,
    check_forces,
    load_force_map,
    one_bead_per_atom,
    one_bead_per_molecule,
    optimal_force_map,
    rigid_pairs,
    virial_temperature,
)
from mesobridge.core.errors import InputError, SchemaError

KT = 2.494338785
KCAL_A = 41.84  # kJ/mol/nm


def molecule(weights, copies=1, names=None):
    """Copies of one molecule, atoms in order."""
    weights = np.array(weights, dtype=float)
    b, n = weights.shape
    atoms = np.arange(copies * n).reshape(copies, n)
    kind = Template(
        "mol", tuple("ABCDEFG"[:b]), tuple(names or map(str, range(n))), weights, atoms
    )
    return BeadMap((kind,), copies * n)


def random_map(rng, b, n, overlap=True):
    weights = rng.uniform(0.1, 1, (b, n))
    if not overlap:
        weights *= np.eye(b)[np.arange(n) % b].T
    return molecule(weights / weights.sum(axis=1, keepdims=True))


def noisy(rng, n, frames):
    """Forces with a random covariance, shape (F, n, 3)."""
    return np.einsum(
        "ij,fjk->fik", rng.normal(size=(n, n)), rng.normal(size=(frames, n, 3))
    )


# optima ------------------------------------------------------------------------------


def test_independent_atoms():
    """One bead of atoms with shares c and variances s: w = (c/s) / sum(c^2/s)."""
    rng = np.random.default_rng(0)
    c, s = rng.dirichlet(np.ones(6)), rng.uniform(1, 1e4, 6)
    covariance = ForceCovariance((np.diag(3e3 * s),), (1000,))
    found = optimal_force_map(molecule([c]), covariance)
    assert found.blocks[0][0] == pytest.approx(c / s / (c**2 / s).sum(), rel=1e-10)
    assert found.rms(covariance) == pytest.approx(
        1 / np.sqrt((c**2 / s).sum()), rel=1e-10
    )


@pytest.mark.parametrize("seed", range(5))
def test_optimum_solves_the_equations_of_lagrange(seed):
    """Beads that share atoms, two rigid groups: beside the dense KKT system."""
    rng = np.random.default_rng(seed)
    b, n = 3, 9
    beads, pairs = random_map(rng, b, n), [(0, 4), (4, 5), (7, 8)]
    covariance = ForceCovariance.of(beads, noisy(rng, n, 300))
    found = optimal_force_map(beads, covariance, pairs)
    tie = np.zeros((3, n))
    for row, (i, j) in zip(tie, pairs, strict=True):
        row[i], row[j] = 1, -1
    fixed = np.vstack([beads.templates[0].weights, tie])
    size = n + len(fixed)
    kkt = np.zeros((size, size))
    kkt[:n, :n] = covariance.sums[0] / 900
    kkt[:n, n:], kkt[n:, :n] = fixed.T, fixed
    right = np.vstack([np.zeros((n, b)), np.eye(b), np.zeros((3, b))])
    wanted = np.linalg.solve(kkt, right)[:n].T
    assert found.blocks[0] == pytest.approx(wanted, rel=1e-8, abs=1e-8)
    assert np.abs(found.matrix @ beads.matrix.T - np.eye(b)).max() < 1e-12
    for i, j in pairs:
        assert (found.blocks[0][:, i] == found.blocks[0][:, j]).all()


@pytest.mark.parametrize("seed", range(5))
def test_optimum_is_never_noisier_than_the_sum(seed):
    rng = np.random.default_rng(seed)
    beads, pairs = random_map(rng, 3, 9, overlap=False), [(0, 3), (1, 4)]
    covariance = ForceCovariance.of(beads, noisy(rng, 9, 300))
    basic, optimal = (
        basic_force_map(beads, pairs),
        optimal_force_map(beads, covariance, pairs),
    )
    assert optimal.rms(covariance) <= basic.rms(covariance)
    for w in (basic, optimal):
        assert np.abs(w.matrix @ beads.matrix.T - np.eye(3)).max() < 1e-12


def test_covariance_of_bead_forces_is_that_of_mapped_forces():
    rng = np.random.default_rng(3)
    beads = molecule([[0.5, 0.5, 0, 0], [0, 0, 0, 1]], copies=5)
    f = noisy(rng, 20, 40)
    covariance = ForceCovariance.of(beads, f)
    w = optimal_force_map(beads, covariance)
    mapped = w.forces(f).reshape(40, 5, 2, 3)
    wanted = np.einsum("fmik,fmjk->ij", mapped, mapped) / (40 * 5 * 3)
    assert w.covariance(covariance)[0] == pytest.approx(wanted, rel=1e-12)
    assert w.rms(covariance) == pytest.approx(np.sqrt((mapped**2).mean()), rel=1e-12)


def test_streamed_merged_and_whole_sums_are_equal():
    """Frame by frame, or halves of the molecules: the same optimum."""
    rng = np.random.default_rng(4)
    beads = molecule([[0.5, 0.5, 0, 0], [0, 0, 0.2, 0.8]], copies=6)
    f = noisy(rng, 24, 50)
    whole = ForceCovariance.of(beads, f)
    stream = ForceCovariance.of(beads, f[0])
    for frame in f[1:]:
        stream = stream + ForceCovariance.of(beads, frame)
    half = molecule(beads.templates[0].weights, copies=3)
    merged = ForceCovariance.of(half, f[:, :12]) + ForceCovariance.of(half, f[:, 12:])
    for other in (stream, merged):
        assert other.samples == whole.samples == (300,)
        assert other.sums[0] == pytest.approx(whole.sums[0], rel=1e-12, abs=1e-9)
        found = optimal_force_map(beads, other).blocks[0]
        assert found == pytest.approx(
            optimal_force_map(beads, whole).blocks[0], abs=1e-12
        )


def test_rotated_forces_give_rotated_bead_forces():
    """The optimum itself does not change."""
    rng = np.random.default_rng(5)
    beads, f = random_map(rng, 2, 6), noisy(rng, 6, 100)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    w = optimal_force_map(beads, ForceCovariance.of(beads, f))
    turned = optimal_force_map(beads, ForceCovariance.of(beads, f @ turn))
    assert turned.blocks[0] == pytest.approx(w.blocks[0], abs=1e-10)
    assert turned.forces(f @ turn) == pytest.approx(w.forces(f) @ turn, abs=1e-8)


def test_atoms_without_force_get_no_weight():
    """Forces that leave a choice: the smallest weights."""
    rng = np.random.default_rng(6)
    f = noisy(rng, 5, 100)
    f[:, 3:] = 0.0
    beads = molecule([[0.6, 0.4, 0, 0, 0]])
    w = optimal_force_map(beads, ForceCovariance.of(beads, f)).blocks[0]
    assert w[0, 3:] == pytest.approx([0, 0], abs=1e-12)
    assert np.isfinite(w).all()


# rigid bonds --------------------------------------------------------------------------

KA, KB, LENGTH = 800.0, 500.0, 0.15
HERE, ELSEWHERE = np.array([0.03, -0.02, 0.01]), np.array([-0.02, 0.04, 0.05])


def rigid_dimer(rng, frames, inner=4000.0, stretch=3e4):
    """Atom A held at `HERE` in a well; B on a rigid bond, in another well; C on a spring.

    A force along the rigid bond does no work. Forces at a fixed bead, and the mean force
    on it: B's direction is von Mises-Fisher distributed, its mean the Langevin function.
    """
    gap = HERE - ELSEWHERE
    distance = np.linalg.norm(gap)
    kappa = KB * LENGTH * distance / KT
    cosine = 1 + np.log1p(-rng.uniform(size=frames) * -np.expm1(-2 * kappa)) / kappa
    axis = -gap / distance
    across = np.cross(axis, rng.normal(size=(frames, 3)))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    u = cosine[:, None] * axis + np.sqrt(1 - cosine[:, None] ** 2) * across
    spring = np.sqrt(KT / stretch) * rng.normal(size=(frames, 3))
    a = -KA * HERE + inner * u + stretch * spring
    b = -KB * (gap + LENGTH * u) - inner * u
    x = np.stack([np.tile(HERE, (frames, 1)), HERE + LENGTH * u, HERE + spring], axis=1)
    langevin = 1 / np.tanh(kappa) - 1 / kappa
    mean = -KA * HERE - KB * gap + KB * LENGTH * langevin * gap / distance
    return x, np.stack([a, b, -stretch * spring], axis=1), mean


def test_forces_of_a_rigid_dimer_have_the_mean_force():
    """The bare atom is far off; the sum and the optimum agree, the latter quieter."""
    rng = np.random.default_rng(7)
    x, f, mean = rigid_dimer(rng, 40_000)
    beads = molecule([[1, 0, 0]])
    pairs = rigid_pairs(beads, x[:100])
    assert pairs.tolist() == [[0, 1]]
    covariance = ForceCovariance.of(beads, f)
    maps = {
        "slice": basic_force_map(beads),
        "basic": basic_force_map(beads, pairs),
        "optimal": optimal_force_map(beads, covariance, pairs),
    }
    off, error = {}, {}
    for name, w in maps.items():
        forces = w.forces(f)[:, 0]
        error[name] = forces.std(axis=0) / np.sqrt(len(f))
        off[name] = np.abs(forces.mean(axis=0) - mean) / error[name]
    assert off["slice"].max() > 20
    assert off["basic"].max() < 4.5
    assert off["optimal"].max() < 4.5
    assert (error["optimal"] < error["basic"] / 5).all()
    assert maps["optimal"].blocks[0][0] == pytest.approx([1, 1, 1], abs=0.02)


def test_a_spring_beside_a_rigid_bond_is_not_rigid():
    """Molecules across the box; the bond of one molecule alone may not be rigid."""
    x = np.concatenate(
        [rigid_dimer(np.random.default_rng(k), 40)[0] for k in (8, 9)], axis=1
    )
    beads, box = molecule([[1, 0, 0]], copies=2), np.diag([0.5, 0.6, 0.7])
    assert rigid_pairs(beads, x % np.diag(box), box).tolist() == [[0, 1], [3, 4]]
    x[:, 4] += np.random.default_rng(0).normal(0, 0.01, (40, 3))
    assert len(rigid_pairs(beads, x)) == 0
    with pytest.raises(InputError, match="30 or more"):
        rigid_pairs(beads, x[:29])


def test_rigid_water_has_one_force():
    """Three rigid bonds leave the sum alone, whatever the noise."""
    beads = molecule([[0.8, 0.1, 0.1]], copies=4)
    covariance = ForceCovariance.of(beads, noisy(np.random.default_rng(1), 12, 50))
    pairs = [
        (3 * m + i, 3 * m + j) for m in range(4) for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    w = optimal_force_map(beads, covariance, pairs)
    assert w.blocks[0] == pytest.approx(np.ones((1, 3)), abs=1e-12)
    assert basic_force_map(beads, pairs).blocks[0].tolist() == [[1, 1, 1]]


def test_beads_in_one_rigid_group_are_refused():
    beads = molecule([[1, 0, 0, 0], [0, 0, 1, 0]], names=["C1", "H", "C2", "X"])
    covariance = ForceCovariance.of(beads, noisy(np.random.default_rng(2), 4, 50))
    for pairs in ([(0, 2)], [(0, 1), (1, 2)]):
        with pytest.raises(InputError, match="A, B share C1"):
            optimal_force_map(beads, covariance, pairs)
        with pytest.raises(InputError, match="A, B share C1"):
            basic_force_map(beads, pairs)
    mixed = molecule([[0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0]])
    with pytest.raises(InputError, match="the optimal force map"):
        basic_force_map(mixed)
    w = optimal_force_map(mixed, covariance, [(0, 1)])
    assert np.abs(w.matrix @ mixed.matrix.T - np.eye(2)).max() < 1e-12


def test_rigid_bonds_must_be_alike_and_inside():
    beads = molecule([[1, 0, 0]], copies=2)
    with pytest.raises(InputError, match="molecules that differ"):
        basic_force_map(beads, [(0, 1)])
    with pytest.raises(InputError, match="outside it"):
        basic_force_map(beads, [(0, 3)])
    larger = BeadMap(beads.templates, 8)
    with pytest.raises(InputError, match="outside it"):
        basic_force_map(larger, [(0, 6), (3, 7)])
    basic_force_map(larger, [(6, 7)])


# the temperature that forces show -----------------------------------------------------


def bound_pair(rng, frames, stretch=2e4, inner=4000.0):
    """A in a well, B on a rigid bond to it with a force along it, C on a spring to B."""
    u = rng.normal(size=(frames, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    a = np.sqrt(KT / KA) * rng.normal(size=(frames, 3))
    spring = np.sqrt(KT / stretch) * rng.normal(size=(frames, 3))
    b = a + LENGTH * u
    f = [-KA * a + inner * u, stretch * spring - inner * u, -stretch * spring]
    return np.stack([a, b, b + spring], axis=1), np.stack(f, axis=1)


def test_virial_temperature():
    """300 K; far off with kcal/mol/A for kJ/mol/nm, or when the rigid bond is missed."""
    x, f = bound_pair(np.random.default_rng(10), 40_000)
    beads = molecule([[1, 0, 0], [0, 0, 1]])
    w = basic_force_map(beads, [(0, 1)])
    found = virial_temperature(w, x, f)
    error = found.std() / np.sqrt(len(found))
    assert error < 10
    assert abs(found.mean() - 300) < 4.5 * error
    missed = basic_force_map(beads)
    for wrong in (
        virial_temperature(w, x, f / KCAL_A),
        virial_temperature(missed, x, f),
    ):
        assert abs(wrong.mean() - 300) > 20 * error
    box = np.eye(3) * 0.5
    again = virial_temperature(w, x % 0.5, f, box)
    assert again == pytest.approx(found, rel=1e-6, abs=1e-3)
    with pytest.raises(InputError, match="two beads"):
        virial_temperature(basic_force_map(one_bead_per_atom("AB")), x[:, :2], f[:, :2])


@pytest.mark.parametrize(
    ("positions", "forces", "words"),
    [
        (1.0, 1 / KCAL_A, "convert: forces are in kcal/mol/A$"),
        (10.0, 1 / KCAL_A, "forces are in kcal/mol/A and positions in A"),
        (1.0, 0.1, "forces are in kJ/mol/A"),
        (10.0, 1.0, "positions are in A"),
        (1.0, 1 / 964.853, "forces are in eV/A$"),
        (10.0, 1 / 964.853, "forces are in eV/A and positions in A"),
        (1.0, 1.7, "name every rigid bond"),
    ],
)
def test_wrong_units_are_named(positions, forces, words):
    x, f = bound_pair(np.random.default_rng(13), 20_000)
    w = basic_force_map(molecule([[1, 0, 0], [0, 0, 1]]), [(0, 1)])
    found, error = check_forces(w, x, f, 300.0)
    assert abs(found - 300) < 5 * error
    with pytest.raises(InputError, match=words):
        check_forces(w, positions * x, forces * f, 300.0)
    with pytest.raises(InputError, match="40 or more"):
        check_forces(w, x[:39], f[:39], 300.0)


# files, bad input ---------------------------------------------------------------------


def test_force_maps_survive_their_tensors():
    rng = np.random.default_rng(11)
    beads, f = random_map(rng, 2, 6), noisy(rng, 6, 100)
    w = optimal_force_map(beads, ForceCovariance.of(beads, f))
    tensors = {**beads.tensors(), **w.tensors()}
    assert (load_force_map(beads, tensors).forces(f) == w.forces(f)).all()
    with pytest.raises(SchemaError, match="the force map of a model file"):
        load_force_map(beads, beads.tensors())


def test_refusals():
    beads = molecule([[0.5, 0.5, 0], [0, 0, 1]])
    f = noisy(np.random.default_rng(12), 3, 40)
    with pytest.raises(InputError, match="off by 0.5"):
        ForceMap(beads, (np.array([[1.0, 0, 0], [0, 0, 1]]),))
    for wrong in ((np.eye(2),), (np.array([[1.0, 1, 0], [0, 0, 1]]),) * 2):
        with pytest.raises(InputError, match="shapes of a force map"):
            ForceMap(beads, wrong)
    with pytest.raises(InputError, match="only zeros"):
        ForceCovariance.of(beads, 0 * f)
    f[3, 1, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        ForceCovariance.of(beads, f)
    with pytest.raises(InputError, match="too few frames"):
        optimal_force_map(beads, ForceCovariance.of(beads, f[:3]))
    for other in (None, f[:, :2]):
        with pytest.raises(InputError, match="forces of atoms"):
            ForceCovariance.of(beads, other)
    with pytest.raises(InputError, match="numbers from 0 to 2"):
        basic_force_map(beads, [(1, 3)])
    w, x = basic_force_map(beads), np.ones((40, 3, 3))
    for wrong in (f, np.ones((39, 3, 3))):  # NaN; another number of frames
        with pytest.raises(InputError, match="of the same frames"):
            check_forces(w, x, wrong, 300.0)
    with pytest.raises(InputError, match="only zeros"):
        check_forces(w, x, 0 * x, 300.0)


# real data ----------------------------------------------------------------------------

SHARED = Path(mesobridge.__file__).resolve().parent.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data is not there")


def dipeptide(run):
    data = np.load(SHARED / f"ala2_obc2_amber14_{run}_openmm.npz")
    number = np.cumsum(np.append(0, data["res"][1:] != data["res"][:-1]))
    atoms = Atoms(data["names"], data["res"], number, np.zeros(22, int), np.ones(22))
    return backbone(atoms), data["coords_nm"], data["forces_kJ_mol_nm"]


@needs_data
@pytest.mark.parametrize(
    ("run", "bonds", "slices", "basics", "optimum", "other_half"),
    [("noconstr_1fs", 0, 27.89, 27.89, 19.59, 19.46),
     ("hbonds_2fs", 12, 26.24, 25.35, 19.58, 19.56)],
)  # fmt: skip
def test_alanine_dipeptide(run, bonds, slices, basics, optimum, other_half):
    """Root mean squares as aggforce finds them (kcal/mol/A), to four digits; 300 K."""
    beads, x, f = dipeptide(run)
    pairs = rigid_pairs(beads, x[::200])
    assert len(pairs) == bonds
    covariance = ForceCovariance.of(beads, f)
    first, second = (ForceCovariance.of(beads, half) for half in np.array_split(f, 2))
    basic = basic_force_map(beads, pairs)
    w = optimal_force_map(beads, covariance, pairs)
    found = [
        basic_force_map(beads).rms(covariance),
        basic.rms(covariance),
        w.rms(covariance),
        optimal_force_map(beads, first, pairs).rms(second),
    ]
    wanted = [slices, basics, optimum, other_half]
    assert np.array(found) / KCAL_A == pytest.approx(wanted, abs=0.006)
    assert np.abs(w.matrix @ beads.matrix.T - np.eye(5)).max() < 1e-12
    assert check_forces(w, x, f, 300.0)[1] < 40
    with pytest.raises(InputError, match="kcal/mol/A"):
        check_forces(w, x, f / KCAL_A, 300.0)


@needs_data
def test_water_dimer():
    """The sum over a flexible molecule is near the optimum; a bare oxygen is far off."""
    data = np.load(SHARED / "aggforce_waterdimer.npz")
    masses = np.tile([15.999, 1.008, 1.008], 2)
    names, number = np.array(["O", "H1", "H2"] * 2), np.repeat([0, 1], 3)
    top = Atoms(names, np.array(["SOL"] * 6), number, number, masses)
    centre = one_bead_per_molecule(top)
    assert len(rigid_pairs(centre, data["coords"])) == 0
    for beads, low, high in ((centre, 0.99, 1.0), (molecule([[1, 0, 0]], 2), 0.0, 0.02)):
        covariance = ForceCovariance.of(beads, data["Fs"])
        w = optimal_force_map(beads, covariance)
        ratio = (w.rms(covariance) / basic_force_map(beads).rms(covariance)) ** 2
        assert low < ratio <= high
