"""Functions of one coordinate as cubic pieces, of many coordinates looked up at once.

Shapes: N coordinates, R replicas, the last and contiguous axis. nm or rad, kJ/mol.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .bases import Basis, Fourier

#: Curvature with which a function goes on where its basis ends, kJ/mol/nm2, kJ/mol/rad2;
#: of a density, kJ/mol: two kT for one neighbour too many.
STIFFNESS = {"distance": 2e5, "angle": 2e3, "dihedral": 2e3, "density": 10.0}
#: Pieces per wave of a Fourier function: slopes of the table are within 1e-6.
PIECES_PER_WAVE = 128

Range = tuple[float, float]


@dataclass(frozen=True)
class Pieces:
    """One function: n pieces, and one on each side for what lies beyond.

    Attributes
    ----------
    origin, width
        Of the first of the n pieces.
    cubics
        Shape (n + 2, 4), of the distance from the start of a piece over the width.
    """

    origin: float
    width: float
    cubics: Tensor

    @classmethod
    def of(cls, basis: Basis, c: Tensor, kind: str, seen: Range | None) -> Pieces:
        """Of a basis with coefficients, exact for splines.

        Those of a turn go from -pi to pi wherever the basis starts. Others go on beyond
        their range, or the knots next to what was seen, with their slope there, at least
        none outwards, and `STIFFNESS`; but splines with a ``"zero"`` end stay zero.
        """
        if isinstance(basis, Fourier):
            n = PIECES_PER_WAVE * basis.order
            return cls._around(basis, c, -math.pi, 2 * math.pi / n, n)
        width, start, n = basis.width, basis.start, basis.intervals
        if basis.ends == "periodic":
            low = math.floor((-math.pi - start) / width)
            n = math.ceil((math.pi - start) / width) - low
            return cls._around(basis, c, start + low * width, width, n)
        low, high = 0, n
        if seen is not None:
            first, last = ((edge - start) / width for edge in seen)
            low = min(max(math.floor(first + 1e-6), 0), n - 1)
            if basis.ends == "free":
                high = min(max(math.ceil(last - 1e-6), low + 1), n)
        nodes = start + width * torch.arange(low, high + 1, dtype=torch.float64)
        value, slope = (part @ c for part in basis.dense(nodes))
        curve = 0.5 * STIFFNESS[kind] * width**2
        cubics = [_below(value[0], width * slope[0].clamp(max=0.0), curve),
                  _hermite(value, width * slope),
                  _above(value[-1], width * slope[-1].clamp(min=0.0), curve)]  # fmt: skip
        if basis.ends == "zero":
            cubics[-1] = torch.zeros_like(cubics[-1])
        return cls(start + low * width, width, torch.cat(cubics))

    def values(self, q: Tensor) -> Tensor:
        """Energies of coordinates of any shape, kJ/mol."""
        flat = q.reshape(1, -1).to(self.cubics.dtype)
        return Table([self], [0], self.cubics.dtype).values(flat).view(q.shape)

    @classmethod
    def _around(cls, basis: Basis, c: Tensor, origin: float, width: float, n: int):
        nodes = origin + width * torch.arange(-1, n + 2, dtype=torch.float64)
        value, slope = (part @ c for part in basis.dense(nodes))
        return cls(origin, width, _hermite(value, width * slope))


def _hermite(value: Tensor, rise: Tensor) -> Tensor:
    """Cubics, shape (n, 4), between n + 1 nodes."""
    step, low, high = value.diff(), rise[:-1], rise[1:]
    bend, turn = step - low, high - low
    return torch.stack([value[:-1], low, 3 * bend - turn, turn - 2 * bend], 1)


def _below(value: Tensor, rise: Tensor, curve: float) -> Tensor:
    """The parabola that ends with a value and a rise, shape (1, 4)."""
    parts = value - rise + curve, rise - 2 * curve, 0 * rise + curve, 0 * rise
    return torch.stack(parts).unsqueeze(0)


def _above(value: Tensor, rise: Tensor, curve: float) -> Tensor:
    """The parabola that starts with a value and a rise, shape (1, 4)."""
    return torch.stack((value, rise, 0 * rise + curve, 0 * rise)).unsqueeze(0)


class Table:
    """The functions of N coordinates.

    Parameters
    ----------
    functions
        Pieces of each function.
    owner
        Which function is that of each coordinate.
    dtype
        Of the computation.
    """

    def __init__(
        self, functions: Sequence[Pieces], owner: Sequence[int], dtype: torch.dtype
    ):
        at, rows = 1, []
        for f in functions:
            last = len(f.cubics) - 2
            rows.append((1 / f.width, -f.origin / f.width, last, at))
            at += last + 2
        column = torch.tensor([rows[k] for k in owner], dtype=torch.float64)
        self._scale, self._shift, self._last, self._at = (
            column.reshape(-1, 4).to(dtype).unsqueeze(-1).unbind(1)
        )
        none = torch.zeros(0, 4, dtype=torch.float64)
        cubics = torch.cat([none, *(f.cubics for f in functions)])
        rise = torch.cat([none, *(f.cubics / f.width for f in functions)])[:, 1:]
        self._value = cubics.T.to(dtype).contiguous()
        self._slope = (rise * torch.arange(1.0, 4.0)).T.to(dtype).contiguous()

    def values(self, q: Tensor) -> Tensor:
        """Energies of coordinates (N, R), kJ/mol, shape (N, R)."""
        return self._sum(self._value, q)

    def slopes(self, q: Tensor) -> Tensor:
        """Their derivatives, shape (N, R)."""
        return self._sum(self._slope, q)

    def _sum(self, table: Tensor, q: Tensor) -> Tensor:
        place = torch.addcmul(self._shift, q, self._scale)
        # NaN has no piece: `fmin` gives it the last, and `t` stays NaN.
        first = torch.fmin(place.floor(), self._last).clamp_(min=-1.0)
        t, index = (place - first).flatten(), (first + self._at).long().flatten()
        parts = [column.index_select(0, index) for column in table]
        total = parts.pop()
        while parts:
            total = torch.addcmul(parts.pop(), total, t)
        return total.view_as(q)
