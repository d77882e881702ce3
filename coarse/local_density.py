"""Local-density potentials: functions of how many beads are near a bead.

U = sum_i f(rho_i), rho_i = sum_j w(r_ij), of Sanyal & Shell 2016
(doi:10.1063/1.4958629): what many neighbours do together and pairs cannot say, such as
solvent that was left out. A function f that is linear is a pair potential f' w(r), and
a constant does nothing: what is told of those is how they add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from ..core.errors import InputError
from .bases import CELLS, Spline
from .neighbours import near_pairs


@dataclass(frozen=True)
class LocalDensity:
    """Functions of the number of beads of one species around each bead of another.

    Coefficients are those of the first of P pairs of species, then of the second ...
    The weight of a bead at r is 1 up to `inner` and 0 from `outer` on; between them
    1 - 3 s^2 + 2 s^3 with s = (r^2 - inner^2) / (outer^2 - inner^2): the cubic in r^2 of
    the paper.

    Attributes
    ----------
    species
        Of each bead, length B.
    around
        Pairs of a species and the one that is counted around it; order matters.
    inner, outer
        Where the weight begins to fall and where it ends, nm; 0 <= inner < outer.
    basis
        Of the local density, without unit, the same for each pair of species.
    name
        For reports.
    """

    species: tuple[str, ...]
    around: tuple[tuple[str, str], ...]
    inner: float
    outer: float
    basis: Spline
    name: str = "density"

    def __post_init__(self):
        if not 0 <= self.inner < self.outer or self.basis.ends == "periodic":
            raise InputError(
                f"weight and splines of {self.name}",
                wanted="0 <= inner < outer, and no periodic ends",
                got=f"inner {self.inner:g}, outer {self.outer:g} nm, {self.basis.ends}",
            )
        strange = {s for pair in self.around for s in pair} - set(self.species)
        if strange or len(set(self.around)) < len(self.around) or not self.around:
            raise InputError(
                f"pairs of species of {self.name}", got=str(self.around),
                wanted=f"each once, of {', '.join(dict.fromkeys(self.species))}",
            )  # fmt: skip

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of the pairs of species, such as ``"Na around Cl"``, length P."""
        return tuple(f"{counted} around {centre}" for centre, counted in self.around)

    @property
    def size(self) -> int:
        """Number of coefficients, P times those of the basis."""
        return len(self.around) * self.basis.size

    def densities(self, x: Tensor, box: Tensor | None = None) -> list[Tensor]:
        """Of each pair of species, densities at its centres, shape (F, centres)."""
        found = zip(*(self.frame(*frame) for frame in _frames(x, box)), strict=True)
        return [torch.from_numpy(np.array([rho for rho, _ in each])) for each in found]

    def energies(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        parts = [self.basis.dense(rho)[0].sum(1) for rho in self.densities(x, box)]
        return torch.cat(parts, -1).to(x)

    def forces(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        return self.design(x, box)[0]

    def design(self, x: Tensor, box: Tensor | None = None) -> tuple[Tensor, np.ndarray]:
        """Forces, and how often each cell of the density was visited, (P, `CELLS`)."""
        out, seen = [], np.zeros((len(self.around), CELLS))
        for frame in _frames(x, box):
            columns = []
            for (rho, pull), count in zip(self.frame(*frame), seen, strict=True):
                columns.append(pull @ self.basis.slope(torch.from_numpy(rho)).numpy())
                count += np.histogram(rho, CELLS, self.basis.span)[0]
            out.append(np.concatenate(columns, -1).reshape(*frame[0].shape, -1))
        return torch.from_numpy(np.array(out)).to(x), seen

    def roughness(self) -> Tensor:
        """See `Term`."""
        return torch.block_diag(*[self.basis.roughness()] * len(self.around))

    @cached_property
    def _members(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Which beads are centres, and which are counted, of each pair of species."""
        names = np.array(self.species)
        return [(names == centre, names == counted) for centre, counted in self.around]

    def frame(
        self, x: np.ndarray, box: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, csr_array]]:
        """Of one frame densities at centres, and minus their derivatives (3 B, centres).

        For each pair of species.
        """
        near = near_pairs(x, box, self.outer)
        weight, steep = self._weights(near.r)
        both = (near.i, near.j, steep * near.way), (near.j, near.i, -steep * near.way)
        for centres, counted in self._members:
            place, n = np.cumsum(centres) - 1, int(centres.sum())
            rho, rows, columns, entries = np.zeros(n), [], [], []
            for middle, other, slope in both:
                use = np.flatnonzero(centres[middle] & counted[other])
                i, j = place[middle[use]], other[use]
                rho += np.bincount(i, weight[use], n)
                for bead, part in ((j, -slope), (middle[use], slope)):
                    rows.append((3 * bead + np.arange(3)[:, None]).ravel())
                    columns.append(np.tile(i, 3))
                    entries.append(part[:, use].ravel())
            index = np.concatenate(rows), np.concatenate(columns)
            yield rho, csr_array((np.concatenate(entries), index), (x.size, n))

    def _weights(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of beads at distances, and their slopes over the distance."""
        wide = self.outer**2 - self.inner**2
        s = ((r**2 - self.inner**2) / wide).clip(0, 1)
        return 1 - s * s * (3 - 2 * s), -12 * s * (1 - s) / wide


def _frames(
    x: Tensor, box: Tensor | None
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    for f, frame in enumerate(x):
        yield frame.double().numpy(), None if box is None else box[f].double().numpy()
