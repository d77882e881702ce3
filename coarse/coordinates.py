"""Internal coordinates of beads and their gradients, of many frames at once (torch).

Shapes: F frames, B beads, M coordinates of k beads each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Values (F, M) and gradients (F, M, k, 3) of coordinates of x (F, B, 3), beads (M, k).
Coordinate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def distance(x: Tensor, beads: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of pairs, nm, and their gradients."""
    a, b = x[:, beads].unbind(2)
    return lengths(b - a)


def lengths(way: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths of vectors (..., 3) from a first to a second bead, and their gradients."""
    r = way.pow(2).sum(-1).sqrt()
    unit = way / r.unsqueeze(-1)
    return r, torch.stack([-unit, unit], -2)


def angle(x: Tensor, beads: Tensor) -> tuple[Tensor, Tensor]:
    """Angles at the second of three beads, 0 to pi, and their gradients (1/nm)."""
    a, b, c = x[:, beads].unbind(2)
    u, v = a - b, c - b
    normal = torch.linalg.cross(u, v)
    sine = normal.pow(2).sum(-1).sqrt()
    value = torch.atan2(sine, (u * v).sum(-1))
    sine = sine.clamp(min=torch.finfo(x.dtype).tiny).unsqueeze(-1)
    by_a = torch.linalg.cross(u, normal) / (u.pow(2).sum(-1, keepdim=True) * sine)
    by_c = torch.linalg.cross(normal, v) / (v.pow(2).sum(-1, keepdim=True) * sine)
    return value, torch.stack([by_a, -by_a - by_c, by_c], -2)


def dihedral(x: Tensor, beads: Tensor) -> tuple[Tensor, Tensor]:
    """Dihedral angles of four beads (IUPAC), -pi to pi, and their gradients (1/nm).

    Gradients as Blondel & Karplus 1996 (J. Comput. Chem. 17, 1132): no sine divides.
    """
    a, b, c, d = x[:, beads].unbind(2)
    f, g, h = a - b, b - c, d - c
    one, two = torch.linalg.cross(f, g), torch.linalg.cross(h, g)
    size = g.pow(2).sum(-1).sqrt()
    value = torch.atan2((torch.linalg.cross(two, one) * g).sum(-1) / size,
                        (one * two).sum(-1))  # fmt: skip
    size = size.unsqueeze(-1)
    one = one / one.pow(2).sum(-1, keepdim=True)
    two = two / two.pow(2).sum(-1, keepdim=True)
    by_a, by_d = -size * one, size * two
    middle = (f * g).sum(-1, keepdim=True) / size * one
    middle = middle - (h * g).sum(-1, keepdim=True) / size * two
    return value, torch.stack([by_a, middle - by_a, -middle - by_d, by_d], -2)


#: Coordinates by name, and of how many beads they are.
KINDS: dict[str, tuple[Coordinate, int]] = {
    "distance": (distance, 2), "angle": (angle, 3), "dihedral": (dihedral, 4),
}  # fmt: skip
