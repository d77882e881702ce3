"""Cartesian atomic cluster expansion: one layer, body order up to four.

Around atom i, radial functions (Bessel functions times a smooth cut-off, one set per
species of the neighbour) and traceless Cartesian tensors of the direction are contracted
over neighbours first and mixed into channels afterwards, so that nothing as large as
neighbours x channels is ever made:

    T_i[b, k] = sum_j B_b(r_ij) Y_k(r_ij)
    A_i[c, k] = sum_b W[s_i, l(k), b, c] T_i[b, k]

with Y = (1, u, u u - 1/3). Invariants A0, A1.A1, Q:Q, A1.Q.A1, |Q.A1|^2 and tr Q^3 per
channel feed a small network that gives the energy of the atom.

Sources: atomic cluster expansion, doi:10.1103/PhysRevB.99.014104; its Cartesian form,
doi:10.1038/s41524-024-01332-4; radial Bessel functions, doi:10.48550/arXiv.2003.03123.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .core_repulsion import screened_repulsion


class CartesianACE(nn.Module):
    """Energies of atoms from the vectors to their neighbours.

    Parameters
    ----------
    n_species
        Number of species.
    cutoff
        A.
    channels
        Number of channels C.
    radial
        Number of radial functions per species of the neighbour.
    hidden
        Width of the read-out network.
    """

    wave_numbers: Tensor
    inner: Tensor
    nuclear: Tensor
    network: nn.Sequential
    linear: nn.Linear

    def __init__(
        self, n_species: int, cutoff: float, channels: int, radial: int, hidden: int = 64
    ):
        super().__init__()
        self.n_species, self.cutoff = n_species, cutoff
        self.channels, self.radial, self.hidden = channels, radial, hidden
        width = n_species * radial
        self.mix = nn.Parameter(
            torch.randn(n_species, 3, width, channels) / math.sqrt(width)
        )
        self.pair = nn.Parameter(torch.randn(2, channels, channels) / math.sqrt(channels))
        self.network = nn.Sequential(
            nn.Linear(6 * channels + n_species, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 1, bias=False),
        )
        self.linear = nn.Linear(6 * channels, 1, bias=False)
        self.shift = nn.Parameter(torch.zeros(n_species, dtype=torch.float64))
        waves = torch.arange(1, radial + 1) * math.pi / cutoff
        self.register_buffer("wave_numbers", waves, persistent=False)
        # Closest pairs of the training set (A); zero while it trains: see core_repulsion.
        self.register_buffer("inner", torch.zeros(n_species, n_species))
        self.register_buffer("nuclear", torch.zeros(n_species))

    def forward(self, vectors: Tensor, species: Tensor, index: Tensor) -> Tensor:
        """Energy of each atom.

        Parameters
        ----------
        vectors
            Shape (N, K, 3), A: from each atom to its neighbours; padded ones lie beyond
            the cut-off.
        species
            Shape (N,): number of the species.
        index
            Shape (N, K): the neighbours.

        Returns
        -------
        Tensor
            Shape (N,), eV, float64.
        """
        r = torch.sqrt((vectors * vectors).sum(-1))
        radial, angular = self._basis(vectors, r, species[index])
        moments = torch.bmm(radial.transpose(1, 2), angular)
        energy = self.read_out(moments, species)
        inside = self.in_core(r, species, index)
        if inside.any():
            atom, slot = torch.nonzero(inside, as_tuple=True)
            other = index[atom, slot]
            za, zb = self.nuclear[species[atom]], self.nuclear[species[other]]
            ends = self.inner[species[atom], species[other]]
            pairs = screened_repulsion(r[inside], za, zb, ends)
            energy = energy.index_add(0, atom, 0.5 * pairs.double())
        return energy

    def in_core(self, r: Tensor, species: Tensor, index: Tensor) -> Tensor:
        """Which pairs are closer than any in the training set, shape (N, K)."""
        return r < self.inner[species.unsqueeze(-1), species[index]]

    def read_out(self, moments: Tensor, species: Tensor) -> Tensor:
        """Energy of each atom (N,) from the moments of its surroundings (N, B, 10)."""
        order = torch.argsort(species, stable=True)
        a0, a1, a2 = self.mixed(moments[order], torch.bincount(species).tolist())
        features = _invariants(a0, a1, a1 @ self.pair[0], a2 @ self.pair[1])
        kind = nn.functional.one_hot(species[order], self.n_species).to(features.dtype)
        energy = self.network(torch.cat([features, kind], -1)) + self.linear(features)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        return energy[back, 0].double() + self.shift[species]

    def mixed(self, moments: Tensor, counts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Scalars, vectors and tensors in channels; atoms sorted by species."""
        groups = moments.permute(2, 0, 1).split(counts, dim=1)
        parts = [
            (rows[0] @ mix[0], rows[1:4] @ mix[1], rows[4:] @ mix[2])
            for rows, mix in zip(groups, self.mix, strict=False)
        ]
        a0, a1, a2 = (torch.cat(part, -2) for part in zip(*parts, strict=True))
        return a0, a1, a2

    def _basis(
        self, vectors: Tensor, r: Tensor, neighbour: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Radial functions (N, K, species x radial) and tensors (N, K, 10)."""
        envelope = smooth_cutoff((r / self.cutoff).clamp(max=1.0))
        waves = torch.sin(r.unsqueeze(-1) * self.wave_numbers)
        waves = waves * (envelope / r).unsqueeze(-1)
        kind = nn.functional.one_hot(neighbour, self.n_species).to(waves.dtype)
        radial = (kind.unsqueeze(-1) * waves.unsqueeze(-2)).flatten(-2)
        return radial, directions(vectors / r.unsqueeze(-1))


def smooth_cutoff(x: Tensor) -> Tensor:
    """(1-x)^3 (1 + 3x + 6x^2): one and flat at 0, zero with two derivatives at 1."""
    return (1 - x) ** 3 * (1 + x * (3 + 6 * x))


def directions(unit: Tensor) -> Tensor:
    """Cartesian tensors (1, u, u u - 1/3) of unit vectors (..., 3), shape (..., 10)."""
    x, y, z = unit.unbind(-1)
    third = 1.0 / 3.0
    tensors = (
        torch.ones_like(x), x, y, z,
        x * x - third, y * y - third, z * z - third, x * y, x * z, y * z,
    )  # fmt: skip
    return torch.stack(tensors, -1)


#: Where the nine elements of a symmetric matrix are among xx, yy, zz, xy, xz, yz.
FULL = torch.tensor([0, 3, 4, 3, 1, 5, 4, 5, 2])


def tensor_products(v: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q as a matrix (3, 3, N, C), Q v (3, N, C) and Q Q (3, 3, N, C)."""
    full = q.index_select(0, FULL).unflatten(0, (3, 3))
    square = (full.unsqueeze(1) * full.unsqueeze(0)).sum(2)
    return full, (full * v).sum(1), square


def _invariants(a0: Tensor, a1: Tensor, v: Tensor, q: Tensor) -> Tensor:
    """Invariants of scalars, vectors (3, N, C) and traceless tensors (6, N, C)."""
    full, qv, square = tensor_products(v, q)
    norm, cubic = (full * full).sum((0, 1)), (full * square).sum((0, 1))
    parts = (a0, (a1 * v).sum(0), norm, (v * qv).sum(0), (qv * qv).sum(0), cubic)
    return torch.cat(parts, -1)


def derivatives(
    model: CartesianACE,
    vectors: Tensor,
    species: Tensor,
    index: Tensor,
    frame: Tensor,
    n_frames: int,
    *,
    training: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Energies, forces and virials of a batch, by one backward pass.

    Parameters
    ----------
    vectors, species, index
        As `CartesianACE.forward`.
    frame
        Shape (N,): frame of each atom.
    n_frames
        Number of frames.
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
    vectors = vectors.requires_grad_(True)
    atoms = model(vectors, species, index)
    energy = torch.zeros(n_frames, dtype=atoms.dtype).index_add(0, frame, atoms)
    (slope,) = torch.autograd.grad(atoms.sum(), vectors, create_graph=training)
    forces = forces_on_atoms(slope, index)
    strain = torch.bmm(vectors.transpose(1, 2), slope)
    virial = torch.zeros(n_frames, 3, 3, dtype=strain.dtype).index_add(0, frame, strain)
    virial = 0.5 * (virial + virial.transpose(1, 2))
    if training:
        return energy, forces, virial
    return energy.detach(), forces.detach(), virial.detach()


def forces_on_atoms(slope: Tensor, index: Tensor) -> Tensor:
    """Forces (N, 3) from the derivatives with respect to the vectors to neighbours."""
    # vectors = r_j - r_i: pull from own row, push from rows that list this atom.
    return slope.sum(1) - torch.zeros_like(slope[:, 0]).index_add(
        0, index.flatten(), slope.flatten(0, 1)
    )
