"""Charges of atoms predicted from their surroundings, and their Coulomb energy.

Each charge is the one guessed for its species plus a linear function of the atom's
features; what is missing from the total charge of the frame is spread evenly. The
Coulomb energy of these point charges in all space (`ewald`) joins that of the short
range, so that forces and stress also hold what the charges change by. Charges, dipoles
and Born effective charges can be trained on too; energies and forces alone do not tell
their sign.

Sources: charges from the surroundings, doi:10.1038/s41467-020-20427-2; phases in place of
positions in a periodic cell, doi:10.1103/PhysRevLett.80.1800.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...core.errors import InputError
from .data import Batch, System
from .ewald import (
    Slopes,
    cluster_energies,
    cluster_slopes,
    far_energy,
    far_slopes,
    near_kernel,
    with_slope,
)

#: e per atom: more than this is not spread to reach a total charge.
MISSING = 0.5
#: Atoms that are closer (A) lie on each other.
OVERLAP = 0.05


class Charges(nn.Module):
    """Head of a network.

    Parameters
    ----------
    guess
        Charge of each species (e) to start from; what is added to it is learned.
    hidden
        Features of an atom.
    cutoff
        A, of the neighbour list.
    """

    guess: Tensor

    def __init__(self, guess: Sequence[float], hidden: int, cutoff: float):
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("guess", torch.tensor(guess).double(), persistent=False)
        self.added = nn.Parameter(torch.zeros(len(guess)))
        self.last = nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.last.weight)

    def forward(
        self, features: Tensor, species: Tensor, frame: Tensor, total: Tensor
    ) -> Tensor:
        """Charges (N,), e, float64, that sum to `total` in every frame.

        Parameters
        ----------
        features
            Shape (N, H).
        species, frame
            Shape (N,).
        total
            Shape (n_frames,), e, float64.

        Raises
        ------
        InputError
            When the total is far from the sum of the guesses.
        """
        count = torch.bincount(frame, minlength=len(total))
        guess = self.guess[species]
        self._check_total(
            total, torch.zeros_like(total).index_add(0, frame, guess), count
        )
        charges = guess + (self.added[species] + self.last(features)[:, 0]).double()
        missing = total.index_add(0, frame, -charges)
        return charges + (missing / count)[frame]

    def _check_total(self, total: Tensor, carried: Tensor, count: Tensor) -> None:
        missing = ((total - carried) / count).abs()
        worst = int(missing.argmax())
        if float(missing[worst]) > MISSING:
            raise InputError(
                "these atoms cannot carry the total charge",
                wanted=f"about {float(carried[worst]):+.2f} e, the sum of the charges"
                " their species start from",
                got=f"{float(total[worst]):+.2f} e",
                mend="give the frames their attribute charge_number",
            )  # fmt: skip

    def near(
        self, charges: Tensor, vectors: Tensor, index: Tensor, centre: Tensor | None
    ) -> Tensor:
        """Each atom's half of its screened pairs, (N,), eV."""
        r = _distances(vectors)
        others = charges.to(r.dtype)[index]
        pairs = (0.5 * others * near_kernel(r, self.cutoff)).double()
        if centre is None:
            return charges * pairs.sum(1)
        return charges * torch.zeros_like(charges).index_add(0, centre, pairs)

    def near_slopes(
        self, charges: Tensor, vectors: Tensor, index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Derivatives of all of `near`, padded, by charges (N,) and by vectors (N, K, 3).

        Their neighbours list each other, so that the first, times half of the charges,
        is the energy.
        """
        r = _distances(vectors)
        pairs, slope = with_slope(lambda r: near_kernel(r, self.cutoff), r)
        own = charges.to(r.dtype)
        others = own[index]
        along = 0.5 * own.unsqueeze(1) * others * slope / r
        return (others * pairs).double().sum(1), along.unsqueeze(2) * vectors

    def far(self, charges: Tensor, place: Places) -> Tensor:
        """Energy of each frame beyond its screened pairs, (n_frames,), eV."""
        deform = torch.eye(3, dtype=place.strain.dtype, device=place.strain.device)
        deform = deform + place.strain
        counts = torch.tensor(place.counts, device=deform.device)
        frame = torch.repeat_interleave(counts)
        positions = torch.bmm(place.positions.unsqueeze(1), deform[frame]).squeeze(1)
        if not any(map(any, place.pbc)):
            return cluster_energies(charges, positions, place.counts, self.cutoff)
        boxes, energies = place.boxes @ deform, []
        parts = charges.split(place.counts), positions.split(place.counts)
        for q, x, box, pbc in zip(*parts, boxes, place.pbc, strict=True):
            if any(pbc):
                energies.append(far_energy(q, x, box, pbc, self.cutoff))
            else:
                energies += cluster_energies(q, x, [len(q)], self.cutoff)
        return torch.stack(energies)


def _distances(vectors: Tensor) -> Tensor:
    r = vectors.pow(2).sum(-1).sqrt()
    closest = float(r.detach().min()) if r.numel() else math.inf
    if closest < OVERLAP:
        raise InputError(
            "charges lie on each other",
            wanted=f"atoms more than {OVERLAP} A apart", got=f"{closest:.2g} A",
            mend="remove the copy of the atom, or check the units of length",
        )  # fmt: skip
    return r


@dataclass(frozen=True)
class Places:
    """Where the atoms of all frames are, to be differentiated (float64).

    Attributes
    ----------
    positions
        Shape (N, 3), A.
    strain
        Shape (n_frames, 3, 3), zero.
    boxes
        Shape (n_frames, 3, 3), A.
    pbc, counts
        Directions that repeat and atoms of each frame.
    total
        Shape (n_frames,), e.
    """

    positions: Tensor
    strain: Tensor
    boxes: Tensor
    pbc: list[tuple[bool, ...]]
    counts: list[int]
    total: Tensor

    @classmethod
    def of(cls, systems: Sequence[System], device: torch.device) -> Places:
        """Of frames put end to end."""
        boxes = torch.stack([torch.from_numpy(s.box) for s in systems]).to(device)
        return cls(
            _positions(systems).to(device).requires_grad_(),
            torch.zeros_like(boxes).requires_grad_(),
            boxes,
            [s.pbc for s in systems],
            [len(s.positions) for s in systems],
            _totals(systems).to(device),
        )


def _positions(systems: Sequence[System]) -> Tensor:
    return torch.cat([torch.from_numpy(s.positions) for s in systems])


def _totals(systems: Sequence[System]) -> Tensor:
    return torch.tensor([s.charge for s in systems], dtype=torch.float64)


def coulomb_energy(head: Charges, features: Tensor, b: Batch, place: Places) -> Tensor:
    """Energy of each frame of a batch, (n_frames,), eV."""
    charges = head(features, b.species, b.frame, place.total)
    near = head.near(charges, b.vectors, b.index, b.centre)
    return head.far(charges, place).index_add(0, b.frame, near)


def first_energy(model, b: Batch) -> float:
    """Coulomb energy (eV) of untrained charges: those of the species."""
    b = b.to(str(model.shift.device))
    place = Places.of(b.systems, model.shift.device)
    features = model.charges.last.weight.new_zeros(
        len(b.species), model.charges.last.in_features
    )
    with torch.no_grad():
        return float(coulomb_energy(model.charges, features, b, place).sum())


@dataclass(frozen=True)
class Response:
    """Coulomb energies of B frames end to end, (B,), eV, their derivatives, and charges.

    The derivatives by strain have the shape (B, 3, 3).
    """

    energies: Tensor
    features: Tensor
    vectors: Tensor
    positions: Tensor
    strain: Tensor
    charges: Tensor


def response(
    head: Charges,
    features: Tensor,
    vectors: Tensor,
    species: Tensor,
    index: Tensor,
    systems: Sequence[System],
) -> Response:
    """Coulomb energies with derivatives where the network's are written out.

    Parameters
    ----------
    features, vectors, species, index
        Of B frames end to end, padded, in the order of `systems`.
    """
    device = features.device
    positions, total = (f(systems).to(device) for f in (_positions, _totals))
    count = torch.tensor([len(s.positions) for s in systems], device=device)
    frame = torch.repeat_interleave(count)
    with torch.no_grad():
        charges = head(features, species, frame, total)
        near, by_vectors = head.near_slopes(charges, vectors, index)
        far = _far(charges, positions, systems, head.cutoff)
        # What one charge gains, all of its frame lose evenly.
        by_charges = near + far.charges
        means = torch.zeros_like(total).index_add(0, frame, by_charges) / count
        by_charges = (by_charges - means[frame]).to(features.dtype)
        energies = far.energy.index_add(0, frame, 0.5 * charges * near)
    return Response(
        energies, by_charges.outer(head.last.weight[0]), by_vectors, far.positions,
        far.strain, charges,
    )  # fmt: skip


def _far(charges: Tensor, positions: Tensor, systems, cutoff: float) -> Slopes:
    """`far_slopes` of each frame, put together; clusters of one size go at once."""
    sizes = [len(s.positions) for s in systems]
    if len(set(sizes)) == 1 and not any(map(any, (s.pbc for s in systems))):
        found = cluster_slopes(
            charges.view(-1, sizes[0]), positions.view(-1, sizes[0], 3), cutoff
        )
        flat = found.charges.flatten(), found.positions.flatten(0, 1)
        return Slopes(found.energy, *flat, found.strain)
    each = []
    parts = charges.split(sizes), positions.split(sizes)
    for q, x, s in zip(*parts, systems, strict=True):
        box = torch.from_numpy(s.box).to(x.device)
        each.append(far_slopes(q, x, box, s.pbc, cutoff))
    energy, by_charges, by_positions, strain = zip(*each, strict=True)
    return Slopes(
        torch.stack(energy), torch.cat(by_charges), torch.cat(by_positions),
        torch.stack(strain),
    )  # fmt: skip


def charges_of(model, b: Batch) -> Tensor:
    """Charges (N,) of a batch, e; differentiable by its vectors."""
    _, features = model(b.vectors, b.species, b.index, b.centre)
    total = _totals(b.systems).to(features.device)
    return model.charges(features, b.species, b.frame, total)


def dipoles(charges: Tensor, b: Batch) -> Tensor:
    """Sum of q r in each frame, shape (n_frames, 3), e A: of neutral clusters."""
    moments = charges.unsqueeze(1) * _positions(b.systems).to(charges.device)
    return moments.new_zeros(b.n_frames, 3).index_add(0, b.frame, moments)


def born_charges(charges: Tensor, b: Batch, *, training: bool = False) -> Tensor:
    """Born effective charges, dP_a / dr_b of each atom, shape (N, 3, 3), e.

    Where the cell repeats, an atom that lies s box vectors away counts as sin(2 pi s) /
    2 pi of them: the same for charges that change near the moved atom, and whole.

    Parameters
    ----------
    charges
        `charges_of` the batch, whose vectors must require gradients.
    """
    from .derivatives import forces_on_atoms

    def slopes(weights: Tensor) -> Tensor:
        (by_vectors,) = torch.autograd.grad(
            (charges * weights).sum(), b.vectors, create_graph=training, retain_graph=True
        )
        return -forces_on_atoms(by_vectors, b.index, b.centre, len(charges)).double()

    positions, boxes, cyclic = [], [], []
    for s in b.systems:
        box = torch.from_numpy(s.box) if any(s.pbc) else torch.eye(3, dtype=torch.float64)
        positions.append(torch.from_numpy(s.positions) @ torch.linalg.inv(box))
        boxes.append(box)
        cyclic.append(torch.tensor(s.pbc))
    device = charges.device
    place, box, repeats = (
        torch.cat(positions).to(device),
        torch.stack(boxes).to(device)[b.frame],
        torch.stack(cyclic).to(device)[b.frame],
    )
    born = charges[:, None, None] * torch.eye(3, dtype=torch.float64, device=device)
    for c in range(3):
        angle, turns = 2 * math.pi * place[:, c], repeats[:, c]
        sine, cosine = torch.sin(angle), torch.cos(angle)
        plain = slopes(torch.where(turns, sine / (2 * math.pi), place[:, c]))
        moved = plain
        if turns.any():
            other = slopes(torch.where(turns, cosine, 0.0)) / (2 * math.pi)
            turned = cosine.unsqueeze(1) * plain - sine.unsqueeze(1) * other
            moved = torch.where(turns.unsqueeze(1), turned, plain)
        born = born + box[:, c, :].unsqueeze(2) * moved.unsqueeze(1)
    return born


def label_errors(model, b: Batch, weights: Mapping[str, float], weight: Tensor) -> Tensor:
    """Weighted mean squared errors of charges, dipoles and Born charges, frames summed.

    Parameters
    ----------
    weights
        Of ``"charges"`` (e^2), ``"dipole"`` ((e A)^2) and ``"born"`` (e^2); frames
        without a label do not count.
    weight
        Of each frame, shape (n_frames,).
    """
    b.vectors.requires_grad_(True)
    charges = charges_of(model, b)
    counts = [len(s.positions) for s in b.systems]
    found = {"charges": charges.split(counts), "dipole": dipoles(charges, b).unbind()}
    if weights.get("born") and any(s.born is not None for s in b.systems):
        found["born"] = born_charges(charges, b, training=True).split(counts)
    loss = charges.new_zeros(())
    for name, values in found.items():
        for value, system, frame in zip(values, b.systems, weight, strict=True):
            label = getattr(system, name)
            if weights.get(name) and label is not None:
                error = (value - torch.from_numpy(label).to(value.device)).pow(2).mean()
                loss = loss + weights[name] * frame * error
    return loss
