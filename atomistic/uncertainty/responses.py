"""Features of the atoms of labelled frames, what moves forces with them, and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..potential.charges import Places, coulomb_energy
from ..potential.data import Frame, batch
from ..potential.derivatives import forces_on_atoms
from ..potential.loss import batches
from ..potential.model import CartesianACE

#: Atoms that are differentiated at once: H backward passes share one graph.
ATOMS = 600


@dataclass(frozen=True)
class Responses:
    """Of N atoms of labelled frames, H features; float64.

    Attributes
    ----------
    features
        Shape (N, H), of the last layer of the network.
    pulls
        Shape (N, 3, H), 1/A: minus the derivative of the sum of each feature over the
        frame by the position of the atom. An energy w . sum(features) has the forces
        pulls @ w.
    errors
        Label minus potential, shape (N, 3), eV/A.
    species
        Numbers, shape (N,).
    frame
        Number of the frame of each atom, shape (N,).
    """

    features: Tensor
    pulls: Tensor
    errors: Tensor
    species: Tensor
    frame: Tensor

    def of_frames(self, chosen: Tensor) -> Responses:
        """Of the frames whose numbers are chosen."""
        keep = torch.isin(self.frame, chosen)
        return Responses(*(getattr(self, f.name)[keep] for f in fields(self)))


def responses(model: CartesianACE, frames: Sequence[Frame]) -> Responses:
    """Features, pulls and force errors of labelled frames.

    Parameters
    ----------
    model
        Trained.
    frames
        With neighbours up to the cut-off of the model; at least one.
    """
    parts, done = [], 0
    for some in batches(frames, ATOMS):
        parts.append(_of_batch(model, some, done))
        done += len(some)
    return Responses(*(torch.cat(part) for part in zip(*parts, strict=True)))


def features_of(model: CartesianACE, frames: Sequence[Frame]) -> tuple[Tensor, Tensor]:
    """Features (N, H), float64, and numbers of the species (N,) of all atoms."""
    features, species = [], []
    for some in batches(frames, ATOMS):
        b = batch(some, model.cutoff, model.dtype).to(model.shift.device.type)
        with torch.no_grad():
            features.append(model(b.vectors, b.species, b.index, b.centre)[1])
        species.append(b.species)
    return torch.cat(features).double().cpu(), torch.cat(species).cpu()


def _of_batch(model: CartesianACE, some: Sequence[Frame], first: int):
    b = batch(some, model.cutoff, model.dtype).to(model.shift.device.type)
    vectors = b.vectors.requires_grad_(True)
    atoms, features = model(vectors, b.species, b.index, b.centre)
    total, inputs = atoms.sum(), [vectors]
    if model.charges is not None:
        place = Places.of(b.systems, vectors.device)
        total = total + coulomb_energy(model.charges, features, b, place).sum()
        inputs.append(place.positions)
    slope, *far = torch.autograd.grad(total, inputs, retain_graph=True)
    forces = forces_on_atoms(slope, b.index, b.centre, len(b.species))
    if far:
        forces = forces - far[0].to(forces)
    pulls = []
    for column in features.sum(0):
        (slope,) = torch.autograd.grad(column, vectors, retain_graph=True)
        pulls.append(forces_on_atoms(slope, b.index, b.centre, len(b.species)))
    found = features.detach(), torch.stack(pulls, -1), (b.forces - forces).detach()
    return *(x.double().cpu() for x in found), b.species.cpu(), b.frame.cpu() + first
