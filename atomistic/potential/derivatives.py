"""Energies, forces and virials of a batch, by automatic differentiation."""

from __future__ import annotations

import torch
from torch import Tensor

from .charges import Places, coulomb_energy
from .data import Batch
from .model import CartesianACE


def derivatives(
    model: CartesianACE, b: Batch, *, training: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Energies, forces and virials of a batch, by one backward pass.

    Parameters
    ----------
    model
        The network.
    b
        Frames.
    training
        Keep the graph, so that a loss of forces can be differentiated.

    Returns
    -------
    energy : Tensor
        Shape (n_frames,), eV, float64.
    forces : Tensor
        Shape (N, 3), eV/A.
    virial : Tensor
        Shape (n_frames, 3, 3), eV: derivative of the energy with respect to strain
        (stress times volume).
    """
    vectors = b.vectors.requires_grad_(True)
    atoms, features = model(vectors, b.species, b.index, b.centre)
    energy = atoms.new_zeros(b.n_frames).index_add(0, b.frame, atoms)
    inputs = [vectors]
    if model.charges is not None:
        place = Places.of(b.systems, vectors.device)
        energy = energy + coulomb_energy(model.charges, features, b, place)
        inputs += [place.positions, place.strain]
    slope, *far = torch.autograd.grad(energy.sum(), inputs, create_graph=training)
    forces = forces_on_atoms(slope, b.index, b.centre, len(b.species))
    if b.centre is None:
        strain, frame = torch.bmm(vectors.transpose(1, 2), slope), b.frame
    else:
        strain, frame = vectors.unsqueeze(2) * slope.unsqueeze(1), b.frame[b.centre]
    virial = torch.zeros_like(b.virial).index_add(0, frame, strain)
    if far:
        forces, virial = forces - far[0].to(slope), virial + far[1].to(slope)
    virial = 0.5 * (virial + virial.transpose(1, 2))
    if training:
        return energy, forces, virial
    return energy.detach(), forces.detach(), virial.detach()


def forces_on_atoms(
    slope: Tensor, index: Tensor, centre: Tensor | None, n: int
) -> Tensor:
    """Forces on n atoms from the derivatives with respect to vectors to neighbours."""
    # vectors = r_j - r_i: pull from own pairs, push from pairs that list this atom.
    if centre is None:
        pull, slope, index = slope.sum(1), slope.flatten(0, 1), index.flatten()
    else:
        pull = slope.new_zeros(n, 3).index_add(0, centre, slope)
    return pull - slope.new_zeros(n, 3).index_add(0, index, slope)
