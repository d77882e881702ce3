"""Functions of one coordinate as cubic pieces, with what they become beyond the fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .bases import Basis, Fourier

#: Curvature with which a function goes on where its fit ends, kJ/mol/nm2 or kJ/mol/rad2.
STIFFNESS = {"distance": 2e5, "angle": 2e3, "dihedral": 2e3}
#: Pieces per wave of a Fourier function: slopes of the table are within 1e-6.
PIECES_PER_WAVE = 128

Range = tuple[float, float]


@dataclass(frozen=True)
class Pieces:
    """A piecewise cubic.

    Attributes
    ----------
    origin
        Where the first piece begins.
    width
        Of a piece.
    table
        Shape (n, 4), float64: coefficients of 1, t, t^2, t^3 in piece k, where
        t = (q - origin) / width - k. The first also holds for all below it and the last
        for all above.
    """

    origin: float
    width: float
    table: Tensor


def cubic_pieces(basis: Basis, c: Tensor, kind: str, seen: Range | None = None) -> Pieces:
    """The function of a basis with given coefficients.

    Splines are kept to rounding. Beyond free ends, and below the start of splines with a
    ``"zero"`` end, the function goes on with its slope there, at least none outwards, and
    with `STIFFNESS`: beads are driven back whatever the fit would do.

    Parameters
    ----------
    basis, c
        Basis and its coefficients, float64, kJ/mol.
    kind
        Of the coordinate, for its stiffness.
    seen
        Where coordinates were seen: beyond the knots next to it the function goes on as
        beyond an end. Of no effect on what is periodic and on a ``"zero"`` end.
    """
    if isinstance(basis, Fourier):
        width = math.tau / (PIECES_PER_WAVE * basis.order)
        return _turn(basis, c, -math.pi, width)
    start, width, low, high = basis.start, basis.width, 0, basis.intervals
    if basis.ends == "periodic":
        return _turn(basis, c, start, width)
    if seen is not None:
        low = min(max(math.floor((seen[0] - start) / width + 1e-6), 0), high - 1)
        if basis.ends == "free":
            last = math.ceil((seen[1] - start) / width - 1e-6)
            high = min(max(last, low + 1), high)
    value, rise = _nodes(basis, c, start, width, low, high)
    below, above = _ends(value, rise, 0.5 * STIFFNESS[kind] * width**2)
    if basis.ends == "zero":
        above = torch.zeros_like(above)
    table = torch.cat([below[None], _hermite(value, rise), above[None]])
    return Pieces(start + (low - 1) * width, width, table)


def _turn(basis: Basis, c: Tensor, start: float, width: float) -> Pieces:
    """From -pi to pi, wherever the basis starts."""
    low = math.floor((-math.pi - start) / width)
    high = math.ceil((math.pi - start) / width)
    table = _hermite(*_nodes(basis, c, start, width, low, high))
    return Pieces(start + low * width, width, table)


def _nodes(
    basis: Basis, c: Tensor, start: float, width: float, low: int, high: int
) -> tuple[Tensor, Tensor]:
    """Values at the nodes from low to high, and slopes over a piece."""
    nodes = start + width * torch.arange(low, high + 1, dtype=torch.float64)
    value, slope = (part @ c for part in basis.dense(nodes))
    return value, width * slope


def _hermite(value: Tensor, rise: Tensor) -> Tensor:
    """Cubics, shape (n, 4), of values and slopes at n + 1 nodes a unit apart."""
    step, low, high = value.diff(), rise[:-1], rise[1:]
    return torch.stack(
        [value[:-1], low, 3 * step - 2 * low - high, low + high - 2 * step], 1
    )


def _ends(value: Tensor, rise: Tensor, curve: float) -> tuple[Tensor, Tensor]:
    """The piece that ends at the first node, and that which begins at the last."""
    down, up = rise[0].clamp(max=0.0), rise[-1].clamp(min=0.0)
    curvature, zero = torch.full_like(down, curve), torch.zeros_like(down)
    # About its left node, as every piece: one unit before the node where it ends.
    below = torch.stack([value[0] - down + curve, down - 2 * curve, curvature, zero])
    return below, torch.stack([value[-1], up, curvature, zero])
