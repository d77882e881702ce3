"""Energy and slopes of a trained network for MD: the large tensors by hand.

`model.derivatives` lets autograd go through arrays of neighbours x functions, which
training needs. Here autograd stops at the moments of each atom; from there to the
neighbours' vectors the chain rule is written out. Same numbers, half the time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .model import CartesianACE, directions, smooth_cutoff


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
    unit = vectors / r.unsqueeze(-1)
    kind = nn.functional.one_hot(species[index], model.n_species).to(r.dtype)
    waves, bends = _waves(model, r)
    radial = (kind.unsqueeze(-1) * waves.unsqueeze(-2)).flatten(-2)
    angular = directions(unit)
    moments = torch.bmm(radial.transpose(1, 2), angular).requires_grad_(True)
    energy = model.read_out(moments, species).sum()
    (back,) = torch.autograd.grad(energy, moments)
    by_angular = torch.bmm(radial, back)
    by_radial = torch.bmm(angular, back.transpose(1, 2)).unflatten(-1, kind.shape[-1:] + (-1,))
    along = ((by_radial * kind.unsqueeze(-1)).sum(-2) * bends).sum(-1)
    across = _through_directions(unit, by_angular)
    across = across - unit * (unit * across).sum(-1, keepdim=True)
    slopes = across / r.unsqueeze(-1) + unit * along.unsqueeze(-1)
    return float(energy.detach()), slopes


def _by_autograd(model, vectors, species, index) -> tuple[float, Tensor]:
    vectors = vectors.clone().requires_grad_(True)
    energy = model(vectors, species, index).sum()
    (slopes,) = torch.autograd.grad(energy, vectors)
    return float(energy.detach()), slopes


def _waves(model: CartesianACE, r: Tensor) -> tuple[Tensor, Tensor]:
    """Radial functions sin(k r) f(r) / r and their derivatives, shape (N, K, R)."""
    x = (r / model.cutoff).clamp(max=1.0)
    over = (smooth_cutoff(x) / r).unsqueeze(-1)
    fall = -30 * (x * (1 - x)) ** 2 / (model.cutoff * r)
    phase = r.unsqueeze(-1) * model.wave_numbers
    sine = torch.sin(phase)
    bends = torch.cos(phase) * model.wave_numbers * over
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
