"""Coordinates, bases and terms: derivatives, symmetries, known functions."""

import math

import numpy as np
import pytest
import torch
from MDAnalysis.lib.distances import calc_angles, calc_dihedrals

from mesobridge.coarse.bases import TURN, Fourier, Spline, as_json, from_json
from mesobridge.coarse.coordinates import KINDS
from mesobridge.coarse.terms import Bonded, Torsions
from mesobridge.coarse.walls import Wall
from mesobridge.core.errors import InputError

BASES = (
    Spline(0.0, 7.0, 9),
    Spline(0.5, 3.0, 6),
    Spline(*TURN, 11, "periodic"),
    Spline(0.0, 2.5, 8, "zero"),
    Fourier(4),
)
TERMS = (
    Bonded("bond", "distance", ((0, 1), (2, 4)), Spline(0.0, 7.0, 9)),
    Bonded("angle", "angle", ((0, 1, 2), (5, 4, 3)), Spline(0.0, math.pi, 7)),
    Bonded("improper", "dihedral", ((0, 1, 2, 3),), Fourier(4)),
    Bonded("turn", "dihedral", ((0, 1, 2, 3), (1, 2, 3, 4)), BASES[2]),
    Wall("wall", (0, 3, 5), Spline(0.0, 3.0, 8, "zero"), -1.5),
    Wall("lid", (1, 2), Spline(0.0, 4.0, 8), 2.0, -1, 0),
    Torsions("map", (((0, 1, 2, 3), (1, 2, 3, 4)), ((2, 1, 0, 5), (3, 4, 5, 0))), 3),
)


def beads(seed=0, frames=7):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, 6, 3, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_coordinates_are_those_of_autograd(kind):
    x = beads().requires_grad_()
    coordinate, k = KINDS[kind]
    index = torch.tensor([[0, 1, 2, 3][:k], [5, 3, 1, 0][:k]])
    value, gradient = coordinate(x, index)
    for m in range(2):
        (found,) = torch.autograd.grad(value[:, m].sum(), x, retain_graph=True)
        ours = torch.zeros_like(x).index_add(1, index[m], gradient[:, m])
        torch.testing.assert_close(ours, found, rtol=0, atol=1e-12)


def test_angles_are_those_of_another_code():
    x = beads(1, 200)
    places = np.moveaxis(x.numpy(), 1, 0)
    angle, _ = KINDS["angle"][0](x, torch.tensor([[0, 1, 2]]))
    turn, _ = KINDS["dihedral"][0](x, torch.tensor([[0, 1, 2, 3]]))
    for ours, other in (
        (angle, calc_angles(*places[:3])),
        (turn, calc_dihedrals(*places[:4])),
    ):
        off = (ours[:, 0].numpy() - other + math.pi) % (2 * math.pi) - math.pi
        assert np.abs(off).max() < 1e-5


@pytest.mark.parametrize("basis", BASES, ids=str)
def test_slopes_of_bases_are_their_derivatives(basis):
    low, high = (-4.0, 4.0) if isinstance(basis, Fourier) else (basis.start, basis.stop)
    q = torch.linspace(low, high, 41, dtype=torch.float64)[:-1].requires_grad_()
    value, slope = basis.dense(q)
    assert value.shape == (40, basis.size)
    for k in range(basis.size):
        (found,) = torch.autograd.grad(value[:, k].sum(), q, retain_graph=True)
        torch.testing.assert_close(slope[:, k], found, rtol=0, atol=1e-12)


def test_splines_hold_cubics_and_end_as_they_should():
    q = torch.linspace(0.5, 3.0, 101, dtype=torch.float64)
    free, wanted = Spline(0.5, 3.0, 6), q**3 - 2 * q
    value, slope = free.dense(q)
    c = torch.linalg.lstsq(value, wanted.unsqueeze(1)).solution
    torch.testing.assert_close((slope @ c)[:, 0], 3 * q**2 - 2, rtol=0, atol=1e-9)
    torch.testing.assert_close(value.sum(1), torch.ones_like(q))
    end = torch.tensor([3.0 - 1e-9, 3.0, 4.7], dtype=torch.float64)
    for part in Spline(0.0, 3.0, 8, "zero").dense(end):
        assert part.abs().max() < 1e-8
    around = Spline(*TURN, 10, "periodic")
    ends = torch.tensor([math.pi - 1e-12, -math.pi + 1e-12], dtype=torch.float64)
    for part in around.dense(ends):
        torch.testing.assert_close(part[0], part[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("basis", BASES, ids=str)
def test_roughness_weighs_what_bends(basis):
    """Nothing but what has no second differences goes unpunished."""
    values = torch.linalg.eigvalsh(basis.roughness())
    free = {"free": 2, "periodic": 1, "zero": 2}.get(getattr(basis, "ends", ""), 0)
    assert values.min() > -1e-12
    assert int((values < 1e-9).sum()) == free


def test_bases_go_through_json():
    for basis in BASES:
        assert from_json(as_json(basis)) == basis
    with pytest.raises(InputError, match="four intervals"):
        Spline(1.0, 1.0, 8)


@pytest.mark.parametrize("term", TERMS, ids=lambda t: t.name)
def test_forces_are_slopes_of_energies(term):
    x = beads(2).requires_grad_()
    c = torch.randn(
        term.size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    energy, forces = term.energies(x), term.forces(x)
    assert energy.shape == (7, term.size)
    (slope,) = torch.autograd.grad((energy @ c).sum(), x)
    torch.testing.assert_close(forces.detach() @ c, -slope, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "term", [t for t in TERMS if not isinstance(t, Wall)], ids=lambda t: t.name
)
def test_terms_turn_and_move_with_the_beads(term):
    x = beads(3)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    turn = turn * torch.linalg.det(turn)
    there = x @ turn.T + 1.7
    torch.testing.assert_close(term.energies(there), term.energies(x), rtol=0, atol=1e-11)
    turned = torch.einsum("ab,fnbk->fnak", turn, term.forces(x))
    torch.testing.assert_close(term.forces(there), turned, rtol=0, atol=1e-10)
    assert term.forces(x).sum(1).abs().max() < 1e-11


def test_walls_push_along_their_normal():
    """A bead feels the same at the same distance from either wall."""
    basis = Spline(0.0, 2.0, 8, "zero")
    low, high = Wall("low", (0,), basis, 0.0), Wall("high", (1,), basis, 10.0, -1)
    x = torch.tensor([[[3.0, 1.0, 0.7], [1.0, 4.0, 9.3]]], dtype=torch.float64)
    torch.testing.assert_close(low.energies(x), high.energies(x))
    up, down = low.forces(x)[0], high.forces(x)[0]
    torch.testing.assert_close(up[0, 2], -down[1, 2])
    assert up[0, 2].abs().max() > 0.1
    assert not up[:, :2].any()
    x[0, 0, 2] = 2.1
    assert not low.forces(x).any()


def test_torsions_are_the_products_they_say():
    x, term = beads(4), TERMS[-1]
    expected = []
    for sides in term.beads:
        one, two = (
            torch.cat([torch.ones(7, 1), Fourier(3).dense(q)[0][:, 0]], 1)
            for q in (KINDS["dihedral"][0](x, torch.tensor([b]))[0] for b in sides)
        )
        expected.append((one[:, :, None] * two[:, None]).flatten(1)[:, 1:])
    torch.testing.assert_close(term.energies(x), sum(expected), rtol=0, atol=1e-12)
    # The mean over both angles of the square of the Laplacian, by quadrature.
    grid = torch.linspace(-math.pi, math.pi, 33, dtype=torch.float64)[:-1]
    value, k = Fourier(3).dense(grid)[0], torch.tensor([0, 1, 2, 3, 1, 2, 3.0])
    value = torch.cat([torch.ones(32, 1), value], 1).double()
    bent = (k[:, None] ** 2 + k**2) * value[:, None, :, None] * value[None, :, None]
    found = bent.square().mean((0, 1)).flatten()[1:]
    torch.testing.assert_close(term.roughness().diag(), found, rtol=1e-10, atol=1e-10)
