"""Energies and slopes of a trained network for MD, with the chain rule written out.

`derivatives` leaves the gradient to autograd, as training needs it. An MD step is
made of many small operations, and there the book-keeping of autograd costs as much as
the numbers: here are the same numbers without it, in a form that can be compiled.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from .basis import directions, smooth_cutoff, tensor_products
from .charges import Charges, Response, response
from .data import System
from .derivatives import forces_on_atoms
from .model import CartesianACE, Layer

Run = Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]

#: Neighbours of all atoms up to which heads go back together: of few, most of the time
#: is that of starting operations; of many, together they no longer fit in the cache.
TOGETHER = 3000


class Found(NamedTuple):
    """What the network says of N atoms with up to K neighbours.

    Attributes
    ----------
    energies
        Shape (N,), eV, float64.
    slopes
        Derivative of their sum with respect to the vectors, shape (N, K, 3), eV/A.
    features
        Of the last layer, shape (N, H).
    spread
        Mean square over heads and components of the forces that heads add, shape (N,),
        (eV/A)^2; ``None`` without heads.
    """

    energies: Tensor
    slopes: Tensor
    features: Tensor
    spread: Tensor | None = None


def energies_and_slopes(
    model: CartesianACE,
    vectors: Tensor,
    species: Tensor,
    index: Tensor,
    run: Run,
    heads: Tensor | None = None,
) -> Found:
    """Energies of atoms and the derivative of their sum with respect to `vectors`.

    Parameters
    ----------
    model, vectors, species, index
        As `CartesianACE.forward`, padded.
    run
        `by_hand`, or that `Compiled`.
    heads
        Weights (M, H) on the features whose forces are asked for; never compiled.
    """
    order, place, counts = model.sorted(species)
    with torch.no_grad():
        given = model, vectors[order], species[order], place[index[order]], counts
        spread = None
        if heads is None:
            energies, slopes, inside, features = run(*given)
        else:
            energies, features, inside, kept = _energies(*given)
            slopes = _slopes(model, kept, torch.zeros_like(features), *given[3:])
            spread = _spread(model, kept, slopes, heads, *given[3:])[place]
        if inside:
            return Found(*by_autograd(model, vectors, species, index), spread)
        energies = energies[place] + model.shift[species]
        return Found(energies, slopes[place], features[place], spread)


def charged_energies_and_slopes(
    model: CartesianACE,
    vectors: Tensor,
    species: Tensor,
    index: Tensor,
    systems: Sequence[System],
    heads: Tensor | None = None,
) -> tuple[Found, Response]:
    """`energies_and_slopes` of frames whose atoms have charges, never compiled.

    The slopes hold all that depends on `vectors`; the energies of atoms are without
    Coulomb's, which is in the response with its derivatives by positions and strain.

    Parameters
    ----------
    model, vectors, species, index
        As `CartesianACE.forward`, padded.
    systems
        The same atoms in space, frame by frame.
    heads
        As there; what they do to charges is not theirs.
    """
    order, place, counts = model.sorted(species)

    def respond(features: Tensor) -> Response:
        return response(
            cast(Charges, model.charges), features, vectors, species, index, systems
        )

    with torch.no_grad():
        kind, near = species[order], place[index[order]]
        energies, features, inside, kept = _energies(
            model, vectors[order], kind, near, counts
        )
        spread = None
        if heads is not None:
            bare = _slopes(model, kept, torch.zeros_like(features), near, counts)
            spread = _spread(model, kept, bare, heads, near, counts)[place]
        if inside:
            edges = vectors.clone().requires_grad_(True)
            with torch.enable_grad():
                energies, features = model(edges, species, index)
                charged = respond(features)
                outputs, weights = [energies.sum(), features], [None, charged.features]
                (slopes,) = torch.autograd.grad(outputs, edges, weights)
            slopes = slopes + charged.vectors
            return Found(energies.detach(), slopes, features.detach(), spread), charged
        charged = respond(features[place])
        slopes = _slopes(model, kept, charged.features[order], near, counts)[place]
        energies = energies[place] + model.shift[species]
        slopes = slopes + charged.vectors
        return Found(energies, slopes, features[place], spread), charged


def by_autograd(
    model: CartesianACE, vectors: Tensor, species: Tensor, index: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`energies_and_slopes` without the chain rule by hand, cores included."""
    vectors = vectors.clone().requires_grad_(True)
    with torch.enable_grad():
        energies, features = model(vectors, species, index)
        (slopes,) = torch.autograd.grad(energies.sum(), vectors)
    return energies.detach(), slopes, features.detach()


def _spread(model, kept, slopes, heads: Tensor, index, counts) -> Tensor:
    """Mean square of the forces that heads add to those of `slopes`, shape (N,)."""
    n = len(index)

    def square(head: Tensor) -> Tensor:
        added = _slopes(model, kept, head.expand(n, -1), index, counts) - slopes
        return forces_on_atoms(added, index, None, n).square().mean(1)

    if index.numel() <= TOGETHER:
        return torch.vmap(square)(heads).mean(0)
    return torch.stack([square(head) for head in heads]).mean(0)


class Compiled:
    """`by_hand` compiled by `torch.compile`, once for each number of atoms.

    Rows may get longer and shorter. Without a working compiler it warns, and goes on
    uncompiled.
    """

    def __init__(self) -> None:
        self._run: Run = torch.compile(by_hand)

    def __call__(self, model: CartesianACE, vectors: Tensor, species, index, counts):
        """As `by_hand`."""
        for rows in (vectors, index):
            torch._dynamo.maybe_mark_dynamic(rows, 1)
        try:
            return self._run(model, vectors, species, index, counts)
        except RuntimeError as exc:
            warnings.warn(f"not compiled: {str(exc).splitlines()[0]}", stacklevel=2)
            self._run = by_hand
            return by_hand(model, vectors, species, index, counts)


def by_hand(
    model: CartesianACE,
    vectors: Tensor,
    species: Tensor,
    index: Tensor,
    counts: list[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Energies and slopes of atoms sorted by species, without shifts and cores.

    Parameters
    ----------
    model, vectors, species, index
        As `CartesianACE.forward`, padded.
    counts
        Atoms of each species.

    Returns
    -------
    energies : Tensor
        Shape (N,), eV, float64.
    slopes : Tensor
        Shape (N, K, 3), eV/A.
    inside : Tensor
        Whether any pair is closer than those of the training set.
    features : Tensor
        Shape (N, H), of the last layer.
    """
    energies, features, inside, kept = _energies(model, vectors, species, index, counts)
    slopes = _slopes(model, kept, torch.zeros_like(features), index, counts)
    return energies, slopes, inside, features


def _energies(model: CartesianACE, vectors, species, index, counts):
    """Energies, features, whether in a core, and what `_slopes` needs."""
    r = torch.sqrt((vectors * vectors).sum(-1))
    inside = model.in_core(r, species.unsqueeze(-1), species[index]).any()
    unit = vectors / r.unsqueeze(-1)
    angular = directions(unit)
    waves, bends = _waves(model, r)
    known = torch.arange(model.n_species, device=r.device)
    features = (species.unsqueeze(-1) == known).to(r.dtype)
    energy = torch.zeros(len(species), dtype=torch.float64, device=r.device)
    passes = []
    layers = [cast(Layer, layer) for layer in model.layers]
    for number, layer in enumerate(layers):
        # Radial functions of every neighbour, their slopes along r, and what they have
        # besides its features.
        if number:
            sent = model.send[number - 1](features)[index]
            learned = waves @ model.waves[number - 1]
            radial = learned * sent
            along = (bends @ model.waves[number - 1]).mul_(sent)
        else:
            sent, learned = features[index].unsqueeze(-1), waves
            radial = (sent * waves.unsqueeze(-2)).flatten(-2)
            along = (sent * bends.unsqueeze(-2)).flatten(-2)
        moments = torch.bmm(radial.transpose(1, 2), angular)
        found, share, kept = _forth(layer, moments, features, counts)
        features = found + features if number else found
        energy = energy + share[:, 0].double()
        passes.append((radial, along, learned, kept))
    return energy, features, inside, (r, unit, angular, passes)


def _slopes(model: CartesianACE, kept, by_features, index, counts) -> Tensor:
    """Slopes (N, K, 3) of the sum of energies, and of what else the features do."""
    r, unit, angular, passes = kept
    layers = [cast(Layer, layer) for layer in model.layers]
    by_angular, by_r = torch.zeros_like(angular), torch.zeros_like(r)
    for number in reversed(range(len(layers))):
        radial, along, learned, kept = passes[number]
        back, by_before = _back(layers[number], kept, by_features, counts)
        by_radial = torch.bmm(angular, back.transpose(1, 2))
        by_angular = torch.baddbmm(by_angular, radial, back)
        by_r = by_r + torch.einsum("nkc,nkc->nk", by_radial, along)
        if number:
            by_sent = by_radial.mul_(learned).flatten(0, 1)
            by_sent = torch.zeros_like(radial[:, 0]).index_add(
                0, index.flatten(), by_sent
            )
            send = cast(nn.Linear, model.send[number - 1])
            by_features = by_features + by_before + by_sent @ send.weight
    across = _through_directions(unit, by_angular)
    by_r = by_r.unsqueeze(-1) - (unit * across).sum(-1, keepdim=True) / r.unsqueeze(-1)
    return across / r.unsqueeze(-1) + unit * by_r


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


def _forth(layer: Layer, moments: Tensor, before: Tensor, counts: list[int]):
    """Features, share of the energy, and what the way back needs."""
    a0, a1, a2 = layer.mixed(moments, counts)
    v, q = a1 @ layer.pair[0], a2 @ layer.pair[1]
    full, qv, square = tensor_products(v, q)
    found = torch.cat(
        [
            a0, (a1 * v).sum(0), (full * full).sum((0, 1)), (v * qv).sum(0),
            (qv * qv).sum(0), (full * square).sum((0, 1)),
        ],
        -1,
    )  # fmt: skip
    first, second = (cast(nn.Linear, layer.network[place]) for place in (0, 2))
    one = first(torch.cat([found, before], -1))
    gate_one = torch.sigmoid(one)
    two = second(one * gate_one)
    gate_two = torch.sigmoid(two)
    features = two * gate_two
    share = layer.last(features) + layer.linear(found)
    return features, share, (a1, v, full, qv, square, one, gate_one, two, gate_two)


def _back(layer: Layer, kept, by_features: Tensor, counts: list[int]):
    """Derivatives by moments (N, B, 10) and by the features before (N, incoming)."""
    a1, v, full, qv, square, one, gate_one, two, gate_two = kept
    first, second = (cast(nn.Linear, layer.network[place]) for place in (0, 2))
    slope = by_features + layer.last.weight
    slope = slope * gate_two * (1 + two * (1 - gate_two))
    slope = (slope @ second.weight) * gate_one * (1 + one * (1 - gate_one))
    slope = slope @ first.weight
    width = layer.linear.weight.shape[-1]
    by_found = slope[:, :width] + layer.linear.weight
    g0, g1, g2, g3, g4, g5 = by_found.chunk(6, -1)
    by_v = g1 * a1 + 2 * g3 * qv + 2 * g4 * (full * qv).sum(1)
    # Every element of the matrix by itself; each of the six then gathers its elements.
    pull = g3 * v + 2 * g4 * qv
    f = 2 * g2 * full + 3 * g5 * square + pull.unsqueeze(1) * v.unsqueeze(0)
    off = (f[0, 1] + f[1, 0], f[0, 2] + f[2, 0], f[1, 2] + f[2, 1])
    by_q = torch.stack([f[0, 0], f[1, 1], f[2, 2], *off])
    by_a1 = g1 * v + by_v @ layer.pair[0].T
    rows = torch.cat([g0.unsqueeze(0), by_a1, by_q @ layer.pair[1].T])
    parts = [
        torch.cat([group[:1] @ mix[0].T, group[1:4] @ mix[1].T, group[4:] @ mix[2].T])
        for group, mix in zip(rows.split(counts, dim=1), layer.mix, strict=False)
    ]
    return torch.cat(parts, 1).permute(1, 2, 0), slope[:, width:]
