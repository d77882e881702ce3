"""Predicted charges: Ewald against known sums, symmetries, derivatives, Coulomb tails."""

import numpy as np
import pytest
import torch
from ase import Atoms
from scipy.spatial.transform import Rotation

from mesobridge.atomistic.potential import (
    MesobridgeCalculator,
    Potential,
    VerletList,
    data,
    ewald,
)
from mesobridge.atomistic.potential.charges import (
    Charges,
    born_charges,
    charges_of,
    dipoles,
)
from mesobridge.atomistic.potential.data import Frame, System, batch, vectors
from mesobridge.atomistic.potential.derivatives import derivatives
from mesobridge.atomistic.potential.model import CartesianACE
from mesobridge.atomistic.potential.neighbours import neighbours
from mesobridge.core.errors import InputError

ALL, SLAB, NONE = (True,) * 3, (True, True, False), (False,) * 3
CUTOFF = 5.0


def charged_model(layers=1, seed=3, cutoff=CUTOFF):
    """Untrained weights in double precision whose charges feel their surroundings."""
    torch.manual_seed(seed)
    model = CartesianACE(2, cutoff, 6, 5, 16, layers, (0.8, -0.7)).double()
    torch.nn.init.normal_(model.charges.last.weight, std=1 / layers**3)
    return Potential(model.requires_grad_(False), ("Na", "Cl"), {})


@pytest.fixture(scope="module", params=[1, 2])
def potential(request):
    return charged_model(request.param)


def melt(rng, cells=2, spacing=2.8, noise=0.25):
    grid = np.indices((2 * cells,) * 3).reshape(3, -1).T
    positions = grid * spacing + rng.normal(0, noise, grid.shape)
    box = np.eye(3) * 2 * cells * spacing
    return positions, grid.sum(1) % 2, box + np.triu(rng.normal(0, 0.4, (3, 3)), 1)


def in_place(kind):
    """Positions, species, box and periodic directions of a crystal, slab or cluster."""
    x, s, box = melt(np.random.default_rng(1))
    if kind == "crystal":
        return x, s, box, ALL
    if kind == "slab":
        box = box * [[1.0], [1.0], [3.0]]
        return x, s, box, SLAB
    return x[:20], s[:20], np.eye(3), NONE


def point_charges(x, q, box, pbc, cutoff=CUTOFF):
    """Coulomb energy, eV, with its slope by positions."""
    found = neighbours(x, box, pbc, cutoff)
    here = torch.tensor(x, requires_grad=True)
    charges = torch.as_tensor(q, dtype=torch.float64)
    shift, index = torch.from_numpy(found.shift), torch.from_numpy(found.index)
    edges = here[index] + shift - here.unsqueeze(1)
    near = charges.unsqueeze(1) * charges[index]
    energy = 0.5 * (near * ewald.near_kernel(edges.norm(dim=-1), cutoff)).sum()
    cell = torch.as_tensor(box, dtype=torch.float64)
    if any(pbc):
        energy = energy + ewald.far_energy(charges, here, cell, pbc, cutoff)
    else:
        energy = energy + ewald.cluster_energies(charges, here, [len(x)], cutoff)[0]
    (slope,) = torch.autograd.grad(energy, here)
    return float(energy.detach()), slope.numpy()


FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
CRYSTALS = {
    "NaCl": (FCC, FCC + [0.5, 0, 0], 0.5, 1.7475645946),
    "CsCl": (np.zeros((1, 3)), np.full((1, 3), 0.5), np.sqrt(0.75), 1.7626747731),
    "ZnS": (FCC, FCC + 0.25, np.sqrt(3) / 4, 1.6380550534),
}


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("cutoff", [4.0, 6.0])
def test_madelung_constants(name, cutoff):
    plus, minus, nearest, constant = CRYSTALS[name]
    x = np.concatenate([plus, minus]) * 5.3
    q = np.repeat([1.0, -1.0], len(plus))
    energy, _ = point_charges(x, q, np.eye(3) * 5.3, ALL, cutoff)
    expected = -constant * ewald.COULOMB / (nearest * 5.3) * len(plus)
    assert energy == pytest.approx(expected, rel=1e-6)


def test_a_cluster_is_the_sum_over_pairs():
    rng = np.random.default_rng(2)
    x, q = melt(rng)[0], rng.normal(size=64)
    energy, slope = point_charges(x, q, np.eye(3), NONE)
    delta = x[:, None] - x[None]
    r = np.linalg.norm(delta, axis=-1) + np.eye(64) * 1e30
    pairs = ewald.COULOMB * q[:, None] * q[None]
    assert energy == pytest.approx(0.5 * (pairs / r).sum(), abs=1e-5)
    expected = -(pairs / r**3)[..., None] * delta
    np.testing.assert_allclose(slope, expected.sum(1), atol=2e-5)


@pytest.mark.parametrize("total", [0.0, 1.5])
def test_a_slab_does_not_feel_its_gap(total):
    """Two dimensions are the limit of a growing gap, with the correction or without."""
    x, s, box = melt(np.random.default_rng(3), cells=1)
    q = np.where(s, -1.0, 1.0) + total / len(s)
    heights = [25.0, 50.0, 100.0]
    found = [point_charges(x, q, np.diag([5.6, 5.6, h]), SLAB) for h in heights]
    for energy, slope in found[1:]:
        assert energy == pytest.approx(found[0][0], abs=2e-7)
        np.testing.assert_allclose(slope, found[0][1], atol=2e-7)
    if total == 0.0:
        bare = [point_charges(x, q, np.diag([5.6, 5.6, h]), ALL)[0] for h in heights]
        left = np.array(bare) - found[0][0]
        np.testing.assert_allclose(left[1:] / left[:-1], 0.5, rtol=1e-5)
        moment = 2 * np.pi * ewald.COULOMB / (5.6**2 * 50) * (q @ x[:, 2]) ** 2
        assert left[1] == pytest.approx(-moment, rel=1e-5)


def patch_sum(x, q, edge, n):
    """Coulomb energy per cell and slopes of a square patch of (2n + 1)^2 cells."""
    steps = np.arange(-n, n + 1)
    cells = np.stack(np.meshgrid(steps, steps, [0]), -1).reshape(-1, 3) * edge
    energy, slope = 0.0, np.zeros_like(x)
    for i, j in np.ndindex(len(x), len(x)):
        d = x[i] - x[j] + cells
        d = d[np.linalg.norm(d, axis=1) > 1e-9]
        r = np.linalg.norm(d, axis=1)
        energy += 0.5 * ewald.COULOMB * q[i] * q[j] * (1 / r).sum()
        slope[i] -= ewald.COULOMB * q[i] * q[j] * (d / r[:, None] ** 3).sum(0)
    return energy, slope


def test_a_slab_is_the_limit_of_large_patches():
    """Sums over pairs alone, with what falls as the inverse edge extrapolated away."""
    base = np.array([[0.2, -0.1, 0.3], [2.8, 2.8, 0], [2.8, 0, 0.0], [0, 2.8, 0]])
    x = np.concatenate([base, base[::-1] + [0, 0, 2.6]])
    q = np.array([1, 1, -1, -1, 1, 1, -1, -1.0])
    energy, slope = point_charges(x, q, np.diag([5.6, 5.6, 30]), SLAB)
    patches = [patch_sum(x, q, 5.6, n) for n in (20, 40)]
    found = [(40.5 * b - 20.5 * a) / 20 for a, b in zip(*patches, strict=True)]
    assert energy == pytest.approx(found[0], rel=1e-5)
    np.testing.assert_allclose(slope, found[1], atol=5e-5)


def test_slab_correction_equals_that_of_torch_pme():
    torchpme = pytest.importorskip("torchpme")
    rng = np.random.default_rng(5)
    x, q = melt(rng)[0], rng.normal(size=64)
    box = torch.tensor([[12.0, 1.0, 0], [-2, 11.0, 0], [0, 0, 40.0]]).double()
    charges, places = torch.from_numpy(q), torch.from_numpy(x)
    for order in ([0, 1, 2], [2, 0, 1]):  # the open direction: last, then first
        pbc = [c != 2 for c in order]
        cell, here = box[order][:, order], places[:, order]
        found = ewald._open_slab(charges, here, cell, pbc)
        potential = torchpme.CoulombPotential(smearing=1.0, prefactor=ewald.COULOMB)
        theirs = potential.pbc_correction(
            torch.tensor(pbc), here, cell, charges.unsqueeze(1)
        )
        expected = 0.5 * (theirs[:, 0] * charges).sum()
        assert float(found) == pytest.approx(float(expected), rel=1e-12)


def test_the_sum_equals_that_of_torch_pme():
    torchpme = pytest.importorskip("torchpme")
    x, s, box, _ = in_place("crystal")
    q = torch.from_numpy(np.where(s, -1.0, 1.1))
    here, cell = torch.tensor(x, requires_grad=True), torch.from_numpy(box)
    width = CUTOFF / ewald.SPLIT
    potential = torchpme.CoulombPotential(smearing=width, prefactor=ewald.COULOMB)
    theirs = torchpme.EwaldCalculator(potential, width / 2)
    none = torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, dtype=torch.float64)
    energy = (q * theirs(q.unsqueeze(1), cell, here, *none)[:, 0]).sum()
    found = ewald.far_energy(q, here, cell, ALL, CUTOFF)
    assert float(found.detach()) == pytest.approx(float(energy.detach()), rel=1e-6)
    slopes = [torch.autograd.grad(e, here)[0] for e in (found, energy)]
    torch.testing.assert_close(*slopes, rtol=0, atol=3e-5)


@pytest.mark.parametrize("kind", ["crystal", "slab"])
def test_mesh_equals_the_sum_over_wave_vectors(kind, monkeypatch):
    x, s, box, pbc = in_place(kind)
    q = np.where(s, -1.0, 1.02)
    energy, slope = point_charges(x, q, box, pbc)
    monkeypatch.setattr(ewald, "MESH_ATOMS", 1)
    meshed, slope_meshed = point_charges(x, q, box, pbc)
    assert meshed == pytest.approx(energy, rel=3e-6)
    assert np.abs(slope_meshed - slope).max() < 2e-3 * np.abs(slope).max()
    errors = []
    for spacing in (0.8, 0.4):
        monkeypatch.setattr(ewald, "MESH", spacing)
        errors.append(np.abs(point_charges(x, q, box, pbc)[1] - slope).max())
    assert errors[1] < errors[0] / 20  # splines of order six: more than fourth power


def test_both_sums_end_with_two_continuous_derivatives():
    """They fall as the cube of the distance to their ends, in space and in waves."""
    width = CUTOFF / ewald.SPLIT
    left = torch.tensor([1.0, 2e-3, 1e-3, -1e-9]).double()  # the first wave counts apart
    near = ewald.near_kernel(CUTOFF * (1 - left[1:]), CUTOFF)
    waves = ewald._wave_kernel((ewald.SPLIT / width * (1 - left)) ** 2, width)[1:]
    for value in (near, waves):
        assert float(torch.log2(value[0] / value[1])) == pytest.approx(3, abs=0.1)
        assert float(value[2]) == 0


@pytest.mark.parametrize("kind", ["crystal", "slab", "cluster"])
def test_symmetries(potential, kind):
    x, s, box, pbc = in_place(kind)
    here = potential.evaluate(x, s, box, pbc)
    turn = Rotation.from_euler("xyz", [0.3, 1.1, -0.7]).as_matrix()
    turned = potential.evaluate(x @ turn.T, s, box @ turn.T, pbc)
    assert turned.energy == pytest.approx(here.energy, abs=1e-10)
    np.testing.assert_allclose(turned.forces, here.forces @ turn.T, atol=1e-10)
    np.testing.assert_allclose(turned.stress, turn @ here.stress @ turn.T, atol=1e-10)
    order = np.random.default_rng(0).permutation(len(s))
    swapped = potential.evaluate(x[order], s[order], box, pbc)
    assert swapped.energy == pytest.approx(here.energy, abs=1e-10)
    np.testing.assert_allclose(swapped.charges, here.charges[order], atol=1e-12)
    moved = potential.evaluate(x + [1.3, -4.0, 7.7], s, box, pbc)
    assert moved.energy == pytest.approx(here.energy, abs=1e-10)
    assert np.abs(here.forces.sum(0)).max() < 1e-10
    if kind == "crystal":
        image = np.random.default_rng(4).integers(-3, 4, x.shape) @ box
        there = potential.evaluate(x + image, s, box, pbc)
        assert there.energy == pytest.approx(here.energy, abs=1e-9)


@pytest.mark.parametrize("kind", ["crystal", "slab", "cluster", "mesh"])
def test_forces_and_stress_are_derivatives(potential, kind, monkeypatch):
    if kind == "mesh":
        monkeypatch.setattr(ewald, "MESH_ATOMS", 1)
    x, s, box, pbc = in_place("crystal" if kind == "mesh" else kind)
    rng = np.random.default_rng(2)
    found = potential.evaluate(x, s, box, pbc)
    way = rng.normal(size=x.shape)
    h = 1e-4
    ends = [potential.evaluate(x + e * way, s, box, pbc).energy for e in (h, -h)]
    slope = -(ends[0] - ends[1]) / (2 * h)
    assert slope == pytest.approx((found.forces * way).sum(), rel=1e-6)
    strain = rng.normal(size=(3, 3))
    strain, h = strain + strain.T, 1e-5
    ends = []
    for e in (h, -h):
        deform = np.eye(3) + e * strain
        ends.append(potential.evaluate(x @ deform, s, box @ deform, pbc).energy)
    slope = (ends[0] - ends[1]) / (2 * h) / abs(np.linalg.det(box))
    assert slope == pytest.approx((found.stress * strain).sum(), rel=1e-6)


def test_cells_repeat_without_change(potential):
    x, s, box = melt(np.random.default_rng(1))
    one = potential.evaluate(x, s, box)
    double = box * [[2.0], [1.0], [1.0]]
    two = potential.evaluate(np.concatenate([x, x + box[0]]), np.tile(s, 2), double)
    assert two.energy == pytest.approx(2 * one.energy, abs=1e-8)
    np.testing.assert_allclose(two.forces, np.tile(one.forces, (2, 1)), atol=1e-8)
    np.testing.assert_allclose(two.stress, one.stress, atol=1e-9)


@pytest.mark.parametrize("total", [0.0, -2.0, 0.37])
def test_the_total_charge_is_kept(potential, total):
    x, s, box, pbc = in_place("cluster")
    found = potential.evaluate(x, s, box, pbc, total)
    assert found.charges.sum() == pytest.approx(total, abs=1e-12)
    assert found.charges[s == 0].std() > 1e-3  # they feel their surroundings


def test_ase_and_many_at_once_take_charges(potential):
    x, s, box, pbc = in_place("slab")
    alone = potential.evaluate(x, s, box, pbc, 1.0)
    many = potential.evaluate_many([x, x], s, box, pbc, 1.0)
    kept = VerletList(CUTOFF, 1.0)
    many += [potential.evaluate(x, s, box, pbc, 1.0, verlet=kept)]
    for found in many:
        assert found.energy == pytest.approx(alone.energy, abs=1e-10)
        np.testing.assert_allclose(found.forces, alone.forces, atol=1e-10)
        np.testing.assert_allclose(found.charges, alone.charges, atol=1e-12)
    symbols = np.array(potential.species)[s]
    atoms = Atoms(symbols, x, cell=box, pbc=pbc)
    atoms.calc = MesobridgeCalculator(potential, charge=1.0)
    assert atoms.get_potential_energy() == pytest.approx(alone.energy, abs=1e-10)
    assert atoms.get_charges().sum() == pytest.approx(1.0, abs=1e-12)
    atoms.calc.charge = 0.0  # what was calculated is not that of the new one
    assert atoms.get_charges().sum() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("fewer", [0, 2])
@pytest.mark.parametrize("kind", ["crystal", "slab", "cluster"])
def test_replicas_at_once_are_those_alone(potential, kind, fewer):
    """More boxes than are kept, of other sizes and other atoms, lists used again."""
    x, s, box, pbc = in_place(kind)
    scales = np.linspace(0.97, 1.03, 6)
    sizes = [len(s) - fewer * b for b in range(6)]
    kinds, boxes = [s[:n] for n in sizes], scales[:, None, None] * box
    lists = [VerletList(CUTOFF, 1.0) for _ in sizes]
    for shift in (0.0, 0.1):
        many = [x[:n] * e + shift for n, e in zip(sizes, scales, strict=True)]
        found = potential.evaluate_many(many, kinds, boxes, pbc, 1.0, verlets=lists)
        for place, own, cell, one in zip(many, kinds, boxes, found, strict=True):
            alone = potential.evaluate(place, own, cell, pbc, 1.0)
            assert one.energy == pytest.approx(alone.energy, abs=1e-9)
            assert one.charges.sum() == pytest.approx(1.0, abs=1e-12)
            np.testing.assert_allclose(one.forces, alone.forces, atol=1e-9)
            np.testing.assert_allclose(one.stress, alone.stress, atol=1e-9)


def frames_of(*kinds, labels=None):
    rows = []
    for kind in kinds:
        x, s, box, pbc = in_place(kind)
        found = neighbours(x, box, pbc, CUTOFF)
        system = System(x, box, pbc, 0.0, **(labels or {}))
        rows.append(
            Frame(vectors(x, found), found, s, 0.0, np.zeros_like(x), None, 1.0, system)
        )
    return rows


@pytest.mark.parametrize("limit", [0.0, 1.1])
def test_batch_and_gradient_by_hand_agree(potential, limit, monkeypatch):
    """Training's autograd over mixed frames equals what MD computes for each."""
    monkeypatch.setattr(data, "FULL_ROWS", limit)  # padded rows, then pairs
    kinds = ("crystal", "cluster", "slab")
    b = batch(frames_of(*kinds), CUTOFF, torch.float64)
    assert (b.centre is None) == (limit == 0.0)
    energy, forces, virial = derivatives(potential.model, b)
    start = 0
    for i, kind in enumerate(kinds):
        x, s, box, pbc = in_place(kind)
        alone = potential.evaluate(x, s, box, pbc)
        assert float(energy[i]) == pytest.approx(alone.energy, abs=1e-9)
        rows = slice(start, start + len(s))
        np.testing.assert_allclose(forces[rows].numpy(), alone.forces, atol=1e-9)
        stress = virial[i].numpy() / abs(np.linalg.det(box))
        np.testing.assert_allclose(stress, alone.stress, atol=1e-9)
        start += len(s)


def test_cores_inside_and_charges_together():
    potential = charged_model()
    model = potential.model
    model.inner[:], model.nuclear[:] = 2.4, torch.tensor([11.0, 17.0])
    x, s, box, pbc = in_place("crystal")
    assert model.in_core(torch.tensor(2.0), torch.tensor(0), torch.tensor(1))
    found, way = potential.evaluate(x, s, box, pbc), np.zeros_like(x)
    pairs = np.linalg.norm(x[:, None] - x[None], axis=-1) + 9 * np.eye(len(x))
    close = np.unravel_index(pairs.argmin(), pairs.shape)[0]
    assert pairs.min() < 2.4
    way[close] = [0.5, 0.2, -0.4]
    h = 1e-5
    ends = [potential.evaluate(x + e * way, s, box, pbc).energy for e in (h, -h)]
    slope = -(ends[0] - ends[1]) / (2 * h)
    assert slope == pytest.approx((found.forces * way).sum(), rel=1e-6)


def polarisation(model, x, s, box, pbc):
    found = neighbours(x, box, pbc, CUTOFF)
    system = System(x, box, pbc)
    frame = Frame(vectors(x, found), found, s, 0.0, x, None, 1.0, system)
    b = batch([frame], CUTOFF, torch.float64)
    b.vectors.requires_grad_(True)
    return charges_of(model, b), b


def test_born_charges_are_the_dipole_by_the_positions(potential):
    x, s, box, pbc = in_place("cluster")
    model = potential.model
    charges, b = polarisation(model, x, s, box, pbc)
    born = born_charges(charges, b)
    np.testing.assert_allclose(
        born.sum(0).detach().numpy(), 0.0, atol=1e-12
    )  # acoustic sum
    for atom, c in ((0, 1), (7, 2)):
        ends, h = [], 1e-4
        for e in (h, -h):
            moved = x.copy()
            moved[atom, c] += e
            q, there = polarisation(model, moved, s, box, pbc)
            ends.append(dipoles(q, there)[0].detach().numpy())
        slope = (ends[0] - ends[1]) / (2 * h)
        np.testing.assert_allclose(born[atom, :, c].detach().numpy(), slope, atol=1e-7)


def test_born_charges_in_a_wide_cell_are_those_of_the_cluster(potential):
    x, s, _, _ = in_place("cluster")
    alone = born_charges(*polarisation(potential.model, x, s, np.eye(3), NONE))
    errors = []
    for wide in (60.0, 120.0):
        box = np.array([[wide, 0, 0], [0.3 * wide, wide, 0], [0, 0.1 * wide, wide]])
        born = born_charges(*polarisation(potential.model, x, s, box, ALL))
        np.testing.assert_allclose(born.sum(0).detach().numpy(), 0.0, atol=1e-1)
        errors.append(float((born - alone).detach().abs().max()))
    assert errors[1] < 0.3 * errors[0] < 0.3 * 0.2  # sin x / x: falls with the square
    q = polarisation(potential.model, x, s, box, ALL)
    shifted = born_charges(*polarisation(potential.model, x + [70, -3, 9], s, box, ALL))
    np.testing.assert_allclose(
        shifted.detach().numpy(), born_charges(*q).detach().numpy(), atol=1e-9
    )


def test_what_cannot_be_summed_is_refused(potential):
    x, s, box, _ = in_place("crystal")
    with pytest.raises(InputError, match="one periodic direction"):
        potential.evaluate(x, s, box, (True, False, False))
    with pytest.raises(InputError, match="no volume"):
        potential.evaluate(x, s, box * [[1.0], [1.0], [0.0]], SLAB)
    with pytest.raises(InputError, match="gap"):
        potential.evaluate(x, s, box, SLAB)
    with pytest.raises(InputError, match="cannot carry"):
        potential.evaluate(x, s, box, ALL, 60.0)
    x[1] = x[0] + 1e-3
    with pytest.raises(InputError, match="on each other"):
        potential.evaluate(x, s, box, ALL)


def test_charges_start_from_those_of_the_species():
    head = Charges((1.0, -1.0), 8, CUTOFF)
    species = torch.tensor([0, 1, 1])
    found = head(
        torch.randn(3, 8), species, torch.zeros(3).long(), torch.zeros(1).double()
    )
    np.testing.assert_allclose(found.detach(), [4 / 3, -2 / 3, -2 / 3], atol=1e-6)
