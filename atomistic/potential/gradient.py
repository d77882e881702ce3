"""Energy and slopes of a trained network for MD, with the chain rule written out.

`model.derivatives` leaves the gradient to autograd, as training needs it. An MD step is
made of many small operations, and there the book-keeping of autograd costs as much as
the numbers: here are the same numbers without it.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from .model import (
    FULL,
    CartesianACE,
    directions,
    smooth_cutoff,
    tensor_products,
)


def energy_and_slopes(
    model: CartesianACE, vectors: Tensor, species: Tensor, index: Tensor
) -> tuple[float, Tensor]:
    """Energy of all atoms and its derivative with respect to `vectors`.

    Parameters
    ----------
    vectors, species, index
        As `CartesianACE.forward`.

    Returns
    -------
    energy : float
        eV.
    slopes : Tensor
        Shape (N, K, 3), eV/A.
    """
    r = torch.sqrt((vectors * vectors).sum(-1))
    if model.in_core(r, species, index).any():
        return _by_autograd(model, vectors, species, index)
    with torch.no_grad():
        unit = vectors / r.unsqueeze(-1)
        kind = nn.functional.one_hot(species[index], model.n_species).to(r.dtype)
        waves, bends = _waves(model, r)
        radial = (kind.unsqueeze(-1) * waves.unsqueeze(-2)).flatten(-2)
        bent = (kind.unsqueeze(-1) * bends.unsqueeze(-2)).flatten(-2)
        angular = directions(unit)
        moments = torch.bmm(radial.transpose(1, 2), angular)
        energy, back = _read_out(model, moments, species)
        across = _through_directions(unit, torch.bmm(radial, back))
        along = (torch.bmm(bent, back) * angular).sum(-1, keepdim=True)
        along -= (unit * across).sum(-1, keepdim=True) / r.unsqueeze(-1)
        return energy, across / r.unsqueeze(-1) + unit * along


def _by_autograd(model, vectors, species, index) -> tuple[float, Tensor]:
    vectors = vectors.clone().requires_grad_(True)
    energy = model(vectors, species, index).sum()
    (slopes,) = torch.autograd.grad(energy, vectors)
    return float(energy.detach()), slopes


def _waves(model: CartesianACE, r: Tensor) -> tuple[Tensor, Tensor]:
    """Radial functions sin(k r) f(r) / r and their derivatives, shape (N, K, R)."""
    x = (r / model.cutoff).clamp(max=1.0)
    over = (smooth_cutoff(x) / r).unsqueeze(-1)
    fall = (-30 / model.cutoff) * (x * (1 - x)) ** 2 / r
    phase = r.unsqueeze(-1) * model.wave_numbers
    sine = torch.sin(phase)
    bends = torch.cos(phase) * (model.wave_numbers * over)
    bends += sine * (fall.unsqueeze(-1) - over / r.unsqueeze(-1))
    return sine * over, bends


def _through_directions(unit: Tensor, slope: Tensor) -> Tensor:
    """Gradient with respect to the unit vector from that of its tensors."""
    x, y, z = unit.unbind(-1)
    _, gx, gy, gz, gxx, gyy, gzz, gxy, gxz, gyz = slope.unbind(-1)
    return torch.stack(
        [
            gx + 2 * x * gxx + y * gxy + z * gxz,
            gy + 2 * y * gyy + x * gxy + z * gyz,
            gz + 2 * z * gzz + x * gxz + y * gyz,
        ],
        -1,
    )


def _read_out(
    model: CartesianACE, moments: Tensor, species: Tensor
) -> tuple[float, Tensor]:
    """Energy of all atoms, and its derivative with respect to the moments (N, B, 10)."""
    order = torch.argsort(species, stable=True)
    counts = torch.bincount(species).tolist()
    a0, a1, a2 = model.mixed(moments[order], counts)
    v, q = a1 @ model.pair[0], a2 @ model.pair[1]
    full, qv, square = tensor_products(v, q)
    features = torch.cat(
        [
            a0, (a1 * v).sum(0), (full * full).sum((0, 1)), (v * qv).sum(0),
            (qv * qv).sum(0), (full * square).sum((0, 1)),
        ],
        -1,
    )  # fmt: skip
    kind = nn.functional.one_hot(species[order], model.n_species).to(features.dtype)
    energy, slope = _network(model, features, kind)
    g0, g1, g2, g3, g4, g5 = slope.chunk(6, -1)
    by_v = g1 * a1 + 2 * g3 * qv + 2 * g4 * (full * qv).sum(1)
    # Every element of the matrix by itself; each of the six then gathers its elements.
    pull = g3 * v + 2 * g4 * qv
    by_full = 2 * g2 * full + 3 * g5 * square + pull.unsqueeze(1) * v.unsqueeze(0)
    by_q = torch.zeros_like(q).index_add_(0, FULL, by_full.flatten(0, 1))
    by_a1 = g1 * v + by_v @ model.pair[0].T
    by_a2 = by_q @ model.pair[1].T
    rows = torch.cat([g0.unsqueeze(0), by_a1, by_a2])
    back = torch.empty_like(moments)
    back[order] = _unmixed(model, rows, counts).permute(1, 2, 0)
    return energy + float(model.shift[species].sum()), back


def _unmixed(model: CartesianACE, rows: Tensor, counts: list[int]) -> Tensor:
    """Derivatives of channels (10, N, C) as derivatives of moments (10, N, B)."""
    parts = []
    for group, mix in zip(rows.split(counts, dim=1), model.mix, strict=False):
        parts.append(
            torch.cat([group[:1] @ mix[0].T, group[1:4] @ mix[1].T, group[4:] @ mix[2].T])
        )
    return torch.cat(parts, 1)


def _network(model: CartesianACE, features: Tensor, kind: Tensor) -> tuple[float, Tensor]:
    """Energy of the read-out network without the shifts, and its derivative."""
    first, _, second, _, last = (cast(nn.Linear, layer) for layer in model.network)
    one = first(torch.cat([features, kind], -1))
    gate_one = torch.sigmoid(one)
    two = second(one * gate_one)
    gate_two = torch.sigmoid(two)
    energy = last(two * gate_two) + model.linear(features)
    slope = last.weight * gate_two * (1 + two * (1 - gate_two))
    slope = (slope @ second.weight) * gate_one * (1 + one * (1 - gate_one))
    slope = slope @ first.weight[:, : features.shape[-1]] + model.linear.weight
    return float(energy.double().sum()), slope
