"""Coulomb derivatives written out for MD: those of autograd, in boxes that change."""

import numpy as np
import pytest
import torch

from mesobridge.atomistic.potential import ewald, structure_factors
from mesobridge.atomistic.potential.charges import Charges, Places, response
from mesobridge.atomistic.potential.data import System
from mesobridge.atomistic.potential.neighbours import neighbours

CUTOFF = 5.0
ALL, SLAB, NONE = (True,) * 3, (True, True, False), (False,) * 3
KINDS = ("crystal", "slab", "cluster")


@pytest.fixture(params=["waves", "mesh"])
def how(request, monkeypatch):
    """The two sums of cells; clusters do not tell them apart."""
    monkeypatch.setattr(ewald, "MESH_ATOMS", 1 if request.param == "mesh" else 10**6)
    return request.param


def ions(kind, rng):
    """Positions, triclinic box, periodic directions and species of 64 or 20 ions."""
    grid = np.indices((4,) * 3).reshape(3, -1).T
    x = grid * 2.8 + rng.normal(0, 0.25, grid.shape)
    box = np.array([[11.2, 0.7, -0.4], [0.3, 12.1, 0.9], [-1.1, 0.2, 11.6]])
    kinds = grid.sum(1) % 2
    if kind == "cluster":
        return x[:20], np.eye(3), NONE, kinds[:20]
    if kind == "slab":
        return x, box * [[1.0], [1.0], [3.0]], SLAB, kinds
    return x, box, ALL, kinds


def assert_equal(found, expected):
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * max(scale, 1.0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("total", [0.0, 2.5])
def test_equal_to_autograd(kind, total, how):
    """Energy and slopes by features, vectors, positions and strain, all of the head."""
    rng = np.random.default_rng(4)
    x, box, pbc, kinds = ions(kind, rng)
    torch.manual_seed(1)
    head = Charges((0.9, -0.8), 7, CUTOFF).double().requires_grad_(False)
    head.last.weight.normal_()
    found = neighbours(x, box, pbc, CUTOFF)
    edges = torch.from_numpy(x[found.index] + found.shift - x[:, None])
    index, species = torch.from_numpy(found.index), torch.from_numpy(kinds)
    features, system = torch.randn(len(x), 7).double(), System(x, box, pbc, total)
    by_hand = response(head, features, edges, species, index, [system])

    place = Places.of([system], torch.device("cpu"))
    inputs = [features.requires_grad_(), edges.requires_grad_()]
    inputs += [place.positions, place.strain]
    charges = head(features, species, torch.zeros_like(species), place.total)
    energy = head.near(charges, edges, index, None).sum()
    energy = energy + head.far(charges, place).sum()
    slopes = torch.autograd.grad(energy, inputs)
    assert charges.std() > 0.5
    assert float(by_hand.energies) == pytest.approx(float(energy.detach()), rel=1e-12)
    assert_equal(by_hand.charges, charges.detach())
    assert_equal(by_hand.features, slopes[0])
    assert_equal(by_hand.vectors, slopes[1])
    assert_equal(by_hand.positions, slopes[2])
    assert_equal(by_hand.strain, slopes[3])


def test_way_back_is_that_of_structure_factors():
    """Any weights, also those that no kernel has, and sizes even and odd."""
    torch.manual_seed(2)
    place, q = torch.randn(9, 3).double().requires_grad_(), torch.randn(9).double()
    for kind, sizes in ((structure_factors.Phases, (3, 5, 7)),
                        (structure_factors.Mesh, (12, 9, 10)),
                        (structure_factors.Mesh, (10, 12, 9))):  # fmt: skip
        atoms = kind(place, sizes)
        factors = atoms.factors(q.requires_grad_())
        _, count, _ = structure_factors.waves(sizes, False, place.device)
        weight = torch.randn(factors.shape).double()
        square = factors.real**2 + factors.imag**2
        energy = (count.view(weight.shape) * weight * square).sum()
        by_charges, by_place = torch.autograd.grad(energy, [q, place])
        with torch.no_grad():
            potential, *slopes = atoms.back(2 * weight * factors)
            assert_equal(potential, by_charges)
            assert_equal(q.unsqueeze(1) * torch.stack(slopes, 1), by_place)


def test_a_barostat_gets_the_box_it_asks_for(how):
    """What is kept of a box serves that box alone, also where the array is the same."""
    rng = np.random.default_rng(5)
    x, box, pbc, _ = ions("crystal", rng)
    q, here = torch.from_numpy(rng.normal(size=len(x))), torch.from_numpy(x)
    cell = torch.from_numpy(box)

    seen = []
    for scale in (1.0, 1.0 + 1e-9, 1.04, 1 / 1.04, 0.97):
        box *= scale  # the tensor looks at the same memory
        whole = float(ewald.far_energy(q, here, cell, pbc, CUTOFF))
        seen.append(float(ewald.far_slopes(q, here, cell, pbc, CUTOFF).energy))
        assert seen[-1] == pytest.approx(whole, rel=1e-12)
    assert seen[1] != seen[0]
    assert abs(seen[2] - seen[0]) > 1.0
