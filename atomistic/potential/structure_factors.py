"""Structure factors of point charges, and what weighted ones give back at the charges.

S(k) = sum_j q_j exp(-i k r_j) over half of the waves of a cell: with the phases of all
atoms (`Phases`) or, faster where atoms are many, from charges on a mesh (`Mesh`). Both
can be differentiated, as training needs. For MD `back` is the way back, written out, of
a sum of kernel(k) |S(k)|^2.

Sources: the mesh, Essmann et al. 1995, doi:10.1063/1.470117, with the influence function
of Hockney & Eastwood 1988, ISBN 978-0-85274-392-8.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn

Sizes = tuple[int, int, int]

#: Order of the splines on the mesh.
ORDER = 6


class Phases:
    """Exact structure factors.

    Parameters
    ----------
    place
        Shape (N, 3): positions over box vectors, float64.
    sizes
        Waves along each reciprocal vector, odd: from -size // 2 to size // 2.
    """

    def __init__(self, place: Tensor, sizes: Sizes):
        self.axes = []
        for part, n in zip(place.unbind(1), _orders(sizes, place.device), strict=True):
            turn = -2j * math.pi * n
            phase = torch.exp(part.unsqueeze(1) * turn)
            self.axes.append((phase, turn * phase))

    def factors(self, charges: Tensor) -> Tensor:
        """Structure factors of charges (N,), in the order of `waves`, as a grid."""
        x, y, z = (values for values, _ in self.axes)
        plane = (x.unsqueeze(2) * y.unsqueeze(1)).flatten(1)
        found = plane.T @ (z * charges.unsqueeze(1))
        return found.unflatten(0, (x.shape[1], y.shape[1]))

    def back(self, weighted: Tensor) -> Tensor:
        """Sum over all waves of `weighted` exp(i k r), and its slopes by `place`.

        Shape (4, N). `weighted` is a grid as that of `factors`.
        """
        twice = torch.full_like(weighted[0, 0].real, 2.0)
        twice[0] = 1.0
        x, y, z = (torch.stack(axis, 1) for axis in self.axes)
        inner = z @ (weighted * twice).conj().flatten(0, 1).T
        return _contracted(inner, y, x).real


class Mesh:
    """Structure factors, but for the influence function, of charges on a mesh.

    Parameters
    ----------
    place
        Shape (N, 3): positions over box vectors, float64.
    sizes
        Of the mesh.
    """

    def __init__(self, place: Tensor, sizes: Sizes):
        self.sizes = sizes
        mesh = torch.tensor(sizes, device=place.device)
        scaled = place * mesh
        corner = scaled.detach().floor()
        values, slopes = _splines(scaled - corner)
        slopes = slopes * mesh.unsqueeze(1)
        self.axes = [*zip(values.unbind(1), slopes.unbind(1), strict=True)]
        steps = torch.arange(ORDER, device=place.device)
        x, y, z = ((corner.long().unsqueeze(-1) - steps) % mesh.unsqueeze(1)).unbind(1)
        rows = (x.unsqueeze(2) * sizes[1] + y.unsqueeze(1)) * sizes[2]
        self.nodes = (rows.unsqueeze(3) + z[:, None, None, :]).flatten()

    def factors(self, charges: Tensor) -> Tensor:
        """As `Phases.factors`."""
        x, y, z = (values for values, _ in self.axes)
        spread = torch.einsum("n,nx,ny,nz->nxyz", charges, x, y, z).flatten()
        on_mesh = charges.new_zeros(math.prod(self.sizes))
        on_mesh = on_mesh.scatter_add(0, self.nodes, spread)
        return torch.fft.rfftn(on_mesh.view(self.sizes))

    def back(self, weighted: Tensor) -> Tensor:
        """As `Phases.back`."""
        on_mesh = torch.fft.irfftn(weighted, s=self.sizes, norm="forward").flatten()
        here = on_mesh.index_select(0, self.nodes).view(-1, ORDER**2, ORDER)
        x, y, z = (torch.stack(axis, 1) for axis in self.axes)
        return _contracted(z @ here.transpose(1, 2), y, x)


def _contracted(inner: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Value and three slopes (4, N), with the last axis summed over: (N, 2, X Y)."""
    rows = inner.view(len(x), -1, y.shape[2]) @ y.transpose(1, 2)
    found = torch.einsum("ncxb,nax->abcn", rows.view(len(x), 2, -1, 2), x)
    return torch.stack([found[0, 0, 0], found[1, 0, 0], found[0, 1, 0], found[0, 0, 1]])


def _orders(sizes: Sizes, device: torch.device) -> list[Tensor]:
    """Numbers of waves along each axis, in the order of a transform of real values."""
    options = {"dtype": torch.float64, "device": device}
    half = torch.fft.rfftfreq(sizes[2], 1 / sizes[2], **options)
    return [torch.fft.fftfreq(k, 1 / k, **options) for k in sizes[:2]] + [half]


@functools.lru_cache(maxsize=8)
def waves(
    sizes: Sizes, mesh: bool, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """The half of the waves that structure factors are of; the first is zero.

    Returns
    -------
    numbers : Tensor
        Shape (K, 3): how often each goes up and down along the box vectors.
    count : Tensor
        Shape (K,): two where a wave stands for its opposite too.
    influence : Tensor
        Shape (K,): weight that takes the splines of a mesh and their aliases out again.
    """
    orders = _orders(sizes, device)
    numbers = torch.cartesian_prod(*orders)
    last = numbers[:, 2]
    count = torch.where((last > 0) & (2 * last < sizes[2]), 2.0, 1.0).to(numbers)
    if not mesh:
        return numbers, count, torch.ones_like(count)
    # The one of least error (Hockney & Eastwood): the interpolating one of smooth PME has
    # a thirty times larger error of the energy.
    shifts = torch.arange(-3, 4, dtype=numbers.dtype, device=device)
    parts = []
    for n, size in zip(orders, sizes, strict=True):
        powers = torch.sinc(n.unsqueeze(1) / size + shifts) ** (2 * ORDER)
        parts.append(powers[:, 3] / powers.sum(1) ** 2)
    return numbers, count, torch.cartesian_prod(*parts).prod(1)


def _splines(x: Tensor) -> tuple[Tensor, Tensor]:
    """Cardinal B-splines of `ORDER` at x + j, j = 0 .. ORDER - 1, and their slopes.

    x lies in [0, 1].
    """
    values, slopes, x = torch.ones_like(x).unsqueeze(-1), x, x.unsqueeze(-1)
    for order in range(2, ORDER + 1):
        j = torch.arange(order, dtype=x.dtype, device=x.device)
        low, high = nn.functional.pad(values, (0, 1)), nn.functional.pad(values, (1, 0))
        values = ((x + j) * low + (order - x - j) * high) / (order - 1)
        slopes = low - high
    return values, slopes
