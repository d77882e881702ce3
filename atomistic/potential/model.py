"""Cartesian atomic cluster expansion: layers of body order up to four.

Around atom i, radial functions (Bessel functions times a smooth cut-off) and traceless
Cartesian tensors of the direction are contracted over neighbours first and mixed into
channels afterwards, so that nothing as large as neighbours x channels x tensors is made:

    T_i[b, k] = sum_j R_b(j) Y_k(r_ij)
    A_i[c, k] = sum_b W[s_i, l(k), b, c] T_i[b, k]

with Y = (1, u, u u - 1/3). In the first layer R is a set of radial functions per species
of the neighbour; in the next ones a product of a learned radial function and the
features of the neighbour, which carry what that one sees. Invariants A0, A1.A1, Q:Q,
A1.Q.A1, |Q.A1|^2 and tr Q^3 per channel feed a small network that gives the features of
the atom, and a share of its energy in every layer.

Sources: atomic cluster expansion, doi:10.1103/PhysRevB.99.014104; its Cartesian form,
doi:10.1038/s41524-024-01332-4; message passing of it, doi:10.48550/arXiv.2206.07697;
radial Bessel functions, doi:10.48550/arXiv.2003.03123.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .basis import directions, invariants, radial_waves
from .charges import Charges
from .core_repulsion import screened_repulsion


class Layer(nn.Module):
    """From moments of an atom's surroundings to its features and a share of its energy.

    Parameters
    ----------
    n_species
        Number of species S.
    width
        Of the moments, B.
    channels
        C.
    incoming
        Features of the layer before, or species in the first.
    hidden
        Features, H.
    """

    def __init__(
        self, n_species: int, width: int, channels: int, incoming: int, hidden: int
    ):
        super().__init__()
        self.mix = nn.Parameter(
            torch.randn(n_species, 3, width, channels) / math.sqrt(width)
        )
        self.pair = nn.Parameter(torch.randn(2, channels, channels) / math.sqrt(channels))
        self.network = nn.Sequential(
            nn.Linear(6 * channels + incoming, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.last = nn.Linear(hidden, 1, bias=False)
        self.linear = nn.Linear(6 * channels, 1, bias=False)

    def forward(
        self, moments: Tensor, before: Tensor, counts: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Features (N, H) and energies (N, 1) of atoms sorted by species.

        Parameters
        ----------
        moments
            Shape (N, B, 10).
        before
            Features of the layer before, shape (N, incoming).
        counts
            Atoms of each species.
        """
        a0, a1, a2 = self.mixed(moments, counts)
        found = invariants(a0, a1, a1 @ self.pair[0], a2 @ self.pair[1])
        features = self.network(torch.cat([found, before], -1))
        return features, self.last(features) + self.linear(found)

    def mixed(self, moments: Tensor, counts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Scalars (N, C), vectors (3, N, C) and tensors (6, N, C) in channels."""
        groups = moments.permute(2, 0, 1).split(counts, dim=1)
        parts = [
            (rows[0] @ mix[0], rows[1:4] @ mix[1], rows[4:] @ mix[2])
            for rows, mix in zip(groups, self.mix, strict=False)
        ]
        a0, a1, a2 = (torch.cat(part, -2) for part in zip(*parts, strict=True))
        return a0, a1, a2


class CartesianACE(nn.Module):
    """Energies of atoms from the vectors to their neighbours.

    Parameters
    ----------
    n_species
        Number of species.
    cutoff
        A, of each layer: with L layers an atom feels others up to L times as far.
    channels
        Number of channels C.
    radial
        Number of radial functions, in the first layer per species of the neighbour.
    hidden
        Features of an atom.
    layers
        L; one is the fastest, two are more accurate.
    charges
        Charge of each species (e) that a head for charges starts from; ``None`` for a
        short-ranged model. Their energy is not part of `forward`.
    """

    wave_numbers: Tensor
    inner: Tensor
    nuclear: Tensor

    def __init__(
        self,
        n_species: int,
        cutoff: float,
        channels: int,
        radial: int,
        hidden: int = 64,
        layers: int = 1,
        charges: Sequence[float] | None = None,
    ):
        super().__init__()
        self.n_species, self.cutoff = n_species, cutoff
        widths = [n_species * radial] + (layers - 1) * [channels]
        incoming = [n_species] + (layers - 1) * [hidden]
        self.layers = nn.ModuleList(
            Layer(n_species, width, channels, before, hidden)
            for width, before in zip(widths, incoming, strict=True)
        )
        self.waves = nn.ParameterList(
            nn.Parameter(torch.randn(radial, channels) / math.sqrt(radial))
            for _ in range(layers - 1)
        )
        self.send = nn.ModuleList(nn.Linear(hidden, channels) for _ in range(layers - 1))
        self.charges = None if charges is None else Charges(charges, hidden, cutoff)
        self.shift = nn.Parameter(torch.zeros(n_species, dtype=torch.float64))
        waves = torch.arange(1, radial + 1) * math.pi / cutoff
        self.register_buffer("wave_numbers", waves, persistent=False)
        # Closest pairs of the training set (A); zero while it trains: see core_repulsion.
        self.register_buffer("inner", torch.zeros(n_species, n_species))
        self.register_buffer("nuclear", torch.zeros(n_species))

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.wave_numbers.dtype

    def forward(
        self,
        vectors: Tensor,
        species: Tensor,
        index: Tensor,
        centre: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Energy and features of each atom.

        Parameters
        ----------
        vectors
            Shape (N, K, 3), A: from each atom to its neighbours; padded ones lie beyond
            the cut-off. With `centre` shape (E, 3), one for each pair.
        species
            Shape (N,): number of the species.
        index
            Shape (N, K) or (E,): the neighbours.
        centre
            Shape (E,): the atom of each pair.

        Returns
        -------
        energy : Tensor
            Shape (N,), eV, float64.
        features : Tensor
            Shape (N, H), of the last layer.
        """
        order, place, counts = self.sorted(species)
        if centre is None:
            vectors, index = vectors[order], place[index[order]]
        else:
            centre, index = place[centre], place[index]
        kind = species[order]
        energy, features = self._atoms(vectors, kind, index, centre, counts)
        return (energy + self.shift[kind])[place], features[place]

    def sorted(self, species: Tensor) -> tuple[Tensor, Tensor, list[int]]:
        """Order of atoms by species, place of each in it, atoms of each species."""
        order = torch.argsort(species, stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        counts = torch.bincount(species, minlength=self.n_species).tolist()
        return order, place, counts

    def in_core(self, r: Tensor, own: Tensor, other: Tensor) -> Tensor:
        """Which pairs of these species are closer than any of the training set."""
        return r < self.inner[own, other]

    def _atoms(self, vectors, species, index, centre, counts) -> tuple[Tensor, Tensor]:
        """Of atoms sorted by species, without their shifts."""
        r = torch.sqrt((vectors * vectors).sum(-1))
        waves = radial_waves(r, self.wave_numbers, self.cutoff)
        tensors = directions(vectors / r.unsqueeze(-1))
        features = nn.functional.one_hot(species, self.n_species).to(waves.dtype)
        energy = self._cores(r, species, index, centre)
        for number, layer in enumerate(self.layers):
            if number == 0:
                own = features[index].unsqueeze(-1) * waves.unsqueeze(-2)
                radial = own.flatten(-2)
            else:
                sent = self.send[number - 1](features)
                radial = (waves @ self.waves[number - 1]) * sent[index]
            moments = contract(radial, tensors, centre, len(species))
            found, share = layer(moments, features, counts)
            features = found + features if number else found
            energy = energy + share[:, 0].double()
        return energy, features

    def _cores(self, r, species, index, centre) -> Tensor:
        """Repulsion of pairs closer than any in the training set, (N,), float64."""
        energy = torch.zeros(len(species), dtype=torch.float64, device=r.device)
        own = species.unsqueeze(-1) if centre is None else species[centre]
        inside = self.in_core(r, own, species[index])
        if not inside.any():
            return energy
        if centre is None:
            atom = torch.nonzero(inside, as_tuple=True)[0]
        else:
            atom = centre[inside]
        a, b = species[atom], species[index[inside]]
        pairs = screened_repulsion(
            r[inside], self.nuclear[a], self.nuclear[b], self.inner[a, b]
        )
        return energy.index_add(0, atom, 0.5 * pairs.double())


def contract(radial: Tensor, tensors: Tensor, centre: Tensor | None, n: int) -> Tensor:
    """Sum of radial functions times tensors over the neighbours of n atoms, (n, B, 10).

    Batched products of padded rows or, with `centre`, sums over pairs: where some atoms
    have many more neighbours than others, rows are mostly padding.
    """
    if centre is None:
        return torch.bmm(radial.transpose(1, 2), tensors)
    parts = [
        radial.new_zeros(n, radial.shape[-1]).index_add(0, centre, radial * each)
        for each in tensors.split(1, -1)
    ]
    return torch.stack(parts, -1)
