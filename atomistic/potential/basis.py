"""Radial functions and Cartesian tensors of the vectors to neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

#: Components of (1, u, u u - 1/3).
TENSORS = 10


def smooth_cutoff(x: Tensor) -> Tensor:
    """(1-x)^3 (1 + 3x + 6x^2): one and flat at 0, zero with two derivatives at 1."""
    return (1 - x) ** 3 * (1 + x * (3 + 6 * x))


def radial_waves(r: Tensor, wave_numbers: Tensor, cutoff: float) -> Tensor:
    """Bessel functions sin(k r) / r times the cut-off, shape (..., R)."""
    envelope = smooth_cutoff((r / cutoff).clamp(max=1.0)) / r
    return torch.sin(r.unsqueeze(-1) * wave_numbers) * envelope.unsqueeze(-1)


def directions(unit: Tensor) -> Tensor:
    """Cartesian tensors (1, u, u u - 1/3) of unit vectors (..., 3), shape (..., 10)."""
    x, y, z = unit.unbind(-1)
    third = 1.0 / 3.0
    tensors = (
        torch.ones_like(x), x, y, z,
        x * x - third, y * y - third, z * z - third, x * y, x * z, y * z,
    )  # fmt: skip
    return torch.stack(tensors, -1)


def tensor_products(v: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q as a matrix (3, 3, N, C), Q v (3, N, C) and Q Q (3, 3, N, C)."""
    xx, yy, zz, xy, xz, yz = q.unbind(0)
    full = torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz]).unflatten(0, (3, 3))
    square = (full.unsqueeze(1) * full.unsqueeze(0)).sum(2)
    return full, (full * v).sum(1), square


def invariants(a0: Tensor, a1: Tensor, v: Tensor, q: Tensor) -> Tensor:
    """Invariants of scalars, vectors (3, N, C) and traceless tensors (6, N, C)."""
    full, qv, square = tensor_products(v, q)
    norm, cubic = (full * full).sum((0, 1)), (full * square).sum((0, 1))
    parts = (a0, (a1 * v).sum(0), norm, (v * qv).sum(0), (qv * qv).sum(0), cubic)
    return torch.cat(parts, -1)
