"""Terms of a potential that is linear in its coefficients.

Each gives, for frames of beads, the sums of its basis functions (`energies`) and the
forces that each function exerts (`forces`): the columns of force matching.
Shapes: F frames, B beads, `size` coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .bases import CELLS, Basis, Fourier
from .coordinates import KINDS, dihedral


class Term(Protocol):
    """What force matching and relative entropy ask of a term."""

    @property
    def name(self) -> str:
        """For reports."""

    @property
    def size(self) -> int:
        """Number of coefficients."""

    def energies(self, x: Tensor, box: Tensor | None) -> Tensor:
        """Sums of basis functions, shape (F, size), of x (F, B, 3) in boxes (F, 3, 3)."""

    def forces(self, x: Tensor, box: Tensor | None) -> Tensor:
        """Forces of basis functions, shape (F, B, 3, size)."""

    def roughness(self) -> Tensor:
        """What regularisation weighs, shape (size, size), float64."""


@dataclass(frozen=True)
class Bonded:
    """Functions of distances, angles or dihedrals that share their coefficients.

    Attributes
    ----------
    name
        Such as ``"C-N-CA"``.
    kind
        ``"distance"``, ``"angle"`` or ``"dihedral"``.
    beads
        M tuples of two, three or four beads of whole molecules.
    basis
        Of the coordinate.
    """

    name: str
    kind: str
    beads: tuple[tuple[int, ...], ...]
    basis: Basis

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return self.basis.size

    @cached_property
    def _index(self) -> Tensor:
        return torch.tensor(self.beads)

    def coordinates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values (F, M) and gradients (F, M, k, 3)."""
        return KINDS[self.kind][0](x, self._index)

    def energies(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        return self.basis.dense(self.coordinates(x)[0])[0].sum(1)

    def forces(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        return self.design(x, box)[0]

    def design(self, x: Tensor, box: Tensor | None = None) -> tuple[Tensor, np.ndarray]:
        """Forces, and how often each cell of the coordinate was visited, (1, `CELLS`)."""
        value, gradient = self.coordinates(x)
        force = on_beads(-gradient, self.basis.slope(value), self._index, x.shape[1])
        low, high = self.basis.span
        return force, torch.histc(value, CELLS, low, high).numpy()[None]

    def roughness(self) -> Tensor:
        """See `Term`."""
        return self.basis.roughness()


@dataclass(frozen=True)
class Torsions:
    """Products of Fourier functions of two dihedrals, such as phi and psi.

    Each factor is 1 or a function of `Fourier`; the constant product is left out, those
    of one angle alone are within.

    Attributes
    ----------
    name
        Such as ``"phi-psi"``.
    beads
        M pairs of four beads: of the first and of the second dihedral.
    order
        Highest wave number of each.
    """

    name: str
    beads: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    order: int

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return (2 * self.order + 1) ** 2 - 1

    @cached_property
    def _index(self) -> tuple[Tensor, Tensor]:
        first, second = zip(*self.beads, strict=True)
        return torch.tensor(first), torch.tensor(second)

    def _factors(self, x: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """Values and slopes (F, M, 2 order + 1), gradients (F, M, 4, 3)."""
        angle, gradient = dihedral(x, self._index[side])
        return *self._waves(angle), gradient

    def _waves(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Values and slopes (F, M, 2 order + 1)."""
        value, slope = Fourier(self.order).dense(angle)
        one = torch.ones_like(angle).unsqueeze(-1)
        return torch.cat([one, value], -1), torch.cat([0 * one, slope], -1)

    def energies(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        (one, *_), (two, *_) = (self._factors(x, side) for side in (0, 1))
        return _product(one, two).sum(1)

    def of_angles(self, first: Tensor, second: Tensor) -> Tensor:
        """As `energies`, of angles (F, M)."""
        one, two = (self._waves(angle)[0] for angle in (first, second))
        return _product(one, two).sum(1)

    def forces(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        (one, bend_one, by_one), (two, bend_two, by_two) = (
            self._factors(x, side) for side in (0, 1)
        )
        sides = (by_one, _product(bend_one, two)), (by_two, _product(one, bend_two))
        first, second = (
            on_beads(-gradient, slope, index, x.shape[1])
            for (gradient, slope), index in zip(sides, self._index, strict=True)
        )
        return first + second

    def roughness(self) -> Tensor:
        """Mean of (k^2 + l^2)^2 times the square of each product."""
        k = torch.arange(1, self.order + 1, dtype=torch.float64)
        waves = torch.cat([torch.zeros(1, dtype=torch.float64), k, k])
        weight = torch.where(waves > 0, 0.5, 1.0)
        square = (waves.unsqueeze(1) ** 2 + waves**2) ** 2 * weight.outer(weight)
        return torch.diag(square.flatten()[1:])


def _product(one: Tensor, two: Tensor) -> Tensor:
    """All products but the first, shape (F, M, size)."""
    return (one.unsqueeze(-1) * two.unsqueeze(-2)).flatten(-2)[..., 1:]


def on_beads(pull: Tensor, slope: Tensor, index: Tensor, n: int) -> Tensor:
    """Sum over coordinates: pull (F, M, k, 3), slope (F, M, size) -> (F, n, 3, size)."""
    found = pull.new_zeros(len(pull), n, 3, slope.shape[-1])
    for m, beads in enumerate(index):
        part = pull[:, m].unsqueeze(-1) * slope[:, m, None, None]
        found.index_add_(1, beads, part)
    return found
