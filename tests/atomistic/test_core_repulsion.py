"""Cores repel where there were no data; the gradient for MD is that of autograd."""

import numpy as np
import pytest
import torch

from mesobridge.atomistic.potential import Potential
from mesobridge.atomistic.potential.core_repulsion import (
    nuclear_charges,
    screened_repulsion,
)
from mesobridge.atomistic.potential.data import Frame, batch, vectors
from mesobridge.atomistic.potential.derivatives import derivatives
from mesobridge.atomistic.potential.model import CartesianACE
from mesobridge.atomistic.potential.neighbours import neighbours

BOX = np.eye(3) * 12.0


@pytest.fixture
def potential():
    torch.manual_seed(3)
    model = CartesianACE(2, 4.0, channels=6, radial=5, hidden=16).double()
    model.inner[:] = torch.tensor([[2.6, 2.0], [2.0, 2.8]])
    model.nuclear[:] = torch.tensor([11.0, 17.0])
    return Potential(model.requires_grad_(False), ("Na", "Cl"), {})


def cluster(closest):
    """Twenty ions on a grid, the first two at a given distance (A)."""
    grid = np.indices((3, 3, 3)).reshape(3, -1).T[:20] * 3.2
    rng = np.random.default_rng(0)
    x = grid + rng.uniform(-0.1, 0.1, grid.shape) + 1.0
    x[1] = x[0] + closest * np.array([0.6, 0.8, 0.0])
    return x, np.arange(20) % 2


def reference(potential, x, species):
    """Energy and forces by autograd."""
    found = neighbours(x, BOX, (True,) * 3, potential.model.cutoff)
    rows, volume = vectors(x, found), float(np.linalg.det(BOX))
    frame = Frame(rows, found, species, 0.0, np.zeros_like(x), None, volume)
    one = batch([frame], potential.model.cutoff, torch.float64)
    energy, forces, virial = derivatives(potential.model, one)
    return float(energy), forces.numpy(), virial[0].numpy()


@pytest.mark.parametrize("closest", [3.1, 1.4])
def test_the_gradient_for_md_is_that_of_autograd(potential, closest):
    x, species = cluster(closest)
    energy, forces, virial = reference(potential, x, species)
    found = potential.evaluate(x, species, BOX)
    assert found.energy == pytest.approx(energy, rel=1e-12)
    assert np.abs(found.forces - forces).max() < 1e-10 * np.abs(forces).max()
    assert found.stress * 12.0**3 == pytest.approx(virial, rel=1e-9, abs=1e-10)


def test_forces_inside_a_core_are_the_gradient(potential):
    x, species = cluster(1.5)
    forces = potential.evaluate(x, species, BOX).forces
    for axis in range(3):
        step = np.zeros_like(x)
        step[0, axis] = 1e-5
        plus = potential.evaluate(x + step, species, BOX).energy
        minus = potential.evaluate(x - step, species, BOX).energy
        assert forces[0, axis] == pytest.approx((minus - plus) / 2e-5, rel=1e-6, abs=1e-6)


def test_unlike_ions_cannot_collapse(potential):
    """The repulsion beats the attraction of formal charges at every short distance."""
    energies = []
    for r in (1.6, 1.0, 0.6, 0.3, 0.1):
        x, species = cluster(r)
        energies.append(potential.evaluate(x, species, BOX).energy - 14.4 / r)
    assert np.diff(energies[1:]).min() > 0


def test_the_repulsion_ends_smoothly():
    r = torch.linspace(1.9, 2.1, 2001, dtype=torch.float64, requires_grad=True)
    ones = torch.ones_like(r)
    energy = screened_repulsion(r.clamp(max=2.0), 11 * ones, 17 * ones, 2 * ones)
    assert float(energy[1001:].detach().abs().max()) == 0
    (slope,) = torch.autograd.grad(energy.sum(), r)
    assert float(slope.diff().abs().max()) < 2e-3
    assert (energy[:1000].detach().diff() < 0).all()


def test_hydrogen_at_one_bohr():
    """Against the formula by hand: Z = 1, 1 at 0.529 A, fade off (inner far away)."""
    r = torch.tensor([0.529177], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    x = 0.529177 * 2 / 0.46850
    phi = (
        0.18175 * np.exp(-3.1998 * x) + 0.50986 * np.exp(-0.94229 * x)
        + 0.28022 * np.exp(-0.4029 * x) + 0.028171 * np.exp(-0.20162 * x)
    )  # fmt: skip
    found = float(screened_repulsion(r, one, one, 1e6 * one))
    assert found == pytest.approx(27.2114 * phi, rel=1e-4)


def test_nuclear_charges():
    assert nuclear_charges(["Na", "Cl", "bead"]).tolist() == [11.0, 17.0, 0.0]
