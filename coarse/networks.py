"""Networks that give the energy of a molecule of beads: SchNet and PaiNN.

All ordered pairs of a molecule are edges, so there is no neighbour search. Networks see
each distance held within the range that pairs of these types had in the training data:
where a pair leaves it, the energy stays what it was at its edge.
Shapes: R frames, B beads, E = B (B - 1) edges, T types, F features. Lengths in nm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..core.errors import InputError

#: Part of a range over which it is left.
SOFT = 0.05
#: Added to squares below a root, whose slope at zero is not finite.
TINY = 1e-8


@dataclass(frozen=True)
class Architecture:
    """What is built before there are weights.

    Attributes
    ----------
    kind
        ``"schnet"`` (Schuett et al. 2018, doi:10.1063/1.5019779; by torch_geometric) or
        ``"painn"`` (Schuett et al. 2021, doi:10.48550/arXiv.2102.03150).
    features
        Of each bead.
    layers
        Rounds of messages.
    functions
        Gaussians that distances are expanded in.
    cutoff
        Where beads no longer see each other, nm.
    """

    kind: Literal["schnet", "painn"] = "schnet"
    features: int = 64
    layers: int = 2
    functions: int = 50
    cutoff: float = 1.0

    def __post_init__(self):
        sizes = self.features, self.layers, self.functions
        if self.kind not in BUILDERS or min(sizes) < 1 or not self.cutoff > 0:
            raise InputError(
                "network", wanted=f"{' or '.join(BUILDERS)} with sizes above zero",
                got=f"{self.kind}: {sizes}, cut-off {self.cutoff} nm",
            )  # fmt: skip


def build(a: Architecture, types: Sequence[int], ranges: Tensor) -> nn.Module:
    """A network of random weights whose energy is zero.

    Parameters
    ----------
    a
        What to build.
    types
        Of each bead, from 0, length B.
    ranges
        Shape (T, T, 2): least and largest distance of pairs of types in the data, nm.

    Returns
    -------
    Module
        Maps positions (R, B, 3), nm, to energies (R,), kJ/mol.
    """
    return BUILDERS[a.kind](a, torch.tensor(types), ranges)


def fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a network its weights, by name.

    Raises
    ------
    ValueError
        When they are of another network.
    """
    own = dict(network.named_parameters())
    shapes = [{k: tuple(v.shape) for k, v in of.items()} for of in (own, weights)]
    if shapes[0] != shapes[1]:
        raise ValueError("weights of another network")
    for name, value in own.items():
        value.data.copy_(weights[name])


class Pairs(nn.Module):
    """All ordered pairs of each molecule, in the form that SchNet asks for."""

    first: Tensor
    second: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, types: Tensor, ranges: Tensor, cutoff: float):
        super().__init__()
        self.beads = len(types)
        first, second = torch.nonzero(~torch.eye(self.beads, dtype=torch.bool)).T
        low, high = ranges[types[first], types[second]].clamp(max=cutoff).T
        parts = {"first": first, "second": second, "low": low, "high": high}
        for name, value in parts.items():
            self.register_buffer(name, value.clone(), persistent=False)

    def held(self, r: Tensor) -> Tensor:
        """Distances (R, E), softly held within their ranges."""
        width = (SOFT * (self.high - self.low)).clamp(min=1e-4)
        up, down = (
            nn.functional.softplus((r - edge) / width) for edge in (self.low, self.high)
        )
        return self.low + width * (up - down)

    def forward(self, x: Tensor, molecule: Tensor) -> tuple[Tensor, Tensor]:
        """Edges (2, R E) and held distances (R E,) of beads (R B, 3)."""
        x = x.view(-1, self.beads, 3)
        start = self.beads * torch.arange(len(x), device=x.device).unsqueeze(1)
        edges = torch.stack([self.second + start, self.first + start]).flatten(1)
        way = x[:, self.second] - x[:, self.first]
        return edges, self.held(way.pow(2).sum(-1).sqrt()).flatten()


class SchNetEnergy(nn.Module):
    """SchNet of torch_geometric on `Pairs`.

    Held distances never pass the cut-off: beyond it torch_geometric's filters, which are
    not cut there, would come back.
    """

    types: Tensor

    def __init__(self, a: Architecture, types: Tensor, ranges: Tensor):
        super().__init__()
        try:
            from torch_geometric.nn.models import SchNet
        except ImportError as exc:
            raise InputError(
                "SchNet needs torch_geometric", wanted="an importable torch_geometric",
                got=str(exc), mend="pip install torch_geometric, or use painn",
            ) from exc  # fmt: skip
        self.register_buffer("types", types, persistent=False)
        self.network = SchNet(
            a.features, a.features, a.layers, a.functions, a.cutoff,
            interaction_graph=Pairs(types, ranges, a.cutoff),
        )  # fmt: skip
        self.network.embedding = nn.Embedding(int(types.max()) + 1, a.features)
        _silence(self.network.lin2)

    def forward(self, x: Tensor) -> Tensor:
        """Energies (R,) of x (R, B, 3)."""
        n, beads, _ = x.shape
        molecule = torch.arange(n, device=x.device).repeat_interleave(beads)
        return self.network(self.types.repeat(n), x.reshape(-1, 3), molecule).squeeze(-1)


class PaiNNEnergy(nn.Module):
    """Scalars and vectors of beads that exchange messages."""

    types: Tensor
    centres: Tensor

    def __init__(self, a: Architecture, types: Tensor, ranges: Tensor):
        super().__init__()
        self.cutoff, self.pairs = a.cutoff, Pairs(types, ranges, a.cutoff)
        centres = torch.linspace(0, a.cutoff, a.functions)
        self.register_buffer("types", types, persistent=False)
        self.register_buffer("centres", centres, persistent=False)
        self.embedding = nn.Embedding(int(types.max()) + 1, a.features)
        self.messages = nn.ModuleList(Message(a) for _ in range(a.layers))
        self.updates = nn.ModuleList(Update(a.features) for _ in range(a.layers))
        self.out = _perceptron(a.features, a.features // 2 + 1, 1)
        _silence(self.out[2])

    def forward(self, x: Tensor) -> Tensor:
        """Energies (R,) of x (R, B, 3)."""
        p = self.pairs
        way = x[:, p.second] - x[:, p.first]
        r = way.pow(2).sum(-1).sqrt()
        spacing = self.cutoff / max(len(self.centres) - 1, 1)
        gap = (p.held(r).unsqueeze(-1) - self.centres) / spacing
        radial = torch.exp(-0.5 * gap.square())
        # Of the true distance: beads that are far apart are alone, at any angle.
        fade = 0.5 + 0.5 * torch.cos(math.pi * r.clamp(max=self.cutoff) / self.cutoff)
        unit = (way / r.unsqueeze(-1)).unsqueeze(-1)
        s = self.embedding(self.types).expand(len(x), -1, -1)
        v = s.new_zeros(*s.shape[:2], 3, s.shape[2])
        for message, update in zip(self.messages, self.updates, strict=True):
            s, v = message(s, v, radial, fade.unsqueeze(-1), unit, p)
            s, v = update(s, v)
        return self.out(s).sum((1, 2))


class Message(nn.Module):
    """What beads learn of the others: equations 7 and 8 of PaiNN."""

    def __init__(self, a: Architecture):
        super().__init__()
        self.source = _perceptron(a.features, a.features, 3 * a.features)
        self.filter = nn.Linear(a.functions, 3 * a.features)

    def forward(self, s, v, radial, fade, unit, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Scalars (R, B, F) and vectors (R, B, 3, F)."""
        sent = self.source(s)[:, pairs.second] * self.filter(radial) * fade
        plain, along, new = sent.chunk(3, -1)
        turned = v[:, pairs.second] * along.unsqueeze(2) + new.unsqueeze(2) * unit
        return s.index_add(1, pairs.first, plain), v.index_add(1, pairs.first, turned)


class Update(nn.Module):
    """Scalars and vectors of a bead mixed: equations 9 and 10 of PaiNN."""

    def __init__(self, features: int):
        super().__init__()
        self.mix = nn.Linear(features, 2 * features, bias=False)
        self.gate = _perceptron(2 * features, features, 3 * features)

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As `Message`."""
        one, two = self.mix(v).chunk(2, -1)
        size = (two.square().sum(2) + TINY).sqrt()
        turn, inner, own = self.gate(torch.cat([s, size], -1)).chunk(3, -1)
        return s + own + inner * (one * two).sum(2), v + turn.unsqueeze(2) * one


BUILDERS = {"schnet": SchNetEnergy, "painn": PaiNNEnergy}


def _perceptron(first: int, hidden: int, last: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(first, hidden), nn.SiLU(), nn.Linear(hidden, last))


def _silence(layer: nn.Module) -> None:
    """Weights of zero."""
    for value in layer.parameters():
        nn.init.zeros_(value)
