"""Pairs, walls and local densities with their coefficients, frame after frame.

Beyond where a coordinate was seen its function goes on as `Pieces` says, and as it does
in `openmm_forces`: beads are driven apart, and out of walls, whatever the fit does there.
Shapes: R frames, B beads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .bases import Basis
from .local_density import LocalDensity
from .pairs import Pairs
from .tables import Pieces, Range, Table
from .terms import Term
from .walls import Wall

Ranges = Mapping[str, Range]


class _Function:
    """Of coordinates of any shape."""

    def __init__(self, basis: Basis, c: Tensor, kind: str, seen: Range | None):
        self._table = Table([Pieces.of(basis, c, kind, seen)], [0], torch.float64)

    def values(self, q: Tensor) -> Tensor:
        """kJ/mol."""
        return self._table.values(q.reshape(1, -1)).view(q.shape)

    def slopes(self, q: Tensor) -> Tensor:
        """Their derivatives."""
        return self._table.slopes(q.reshape(1, -1)).view(q.shape)


@dataclass(frozen=True)
class _Linear:
    """A term of another kind, as it is."""

    term: Term
    c: Tensor

    def energy(self, x: Tensor, box: Tensor | None) -> Tensor:
        """Shape (R,), kJ/mol."""
        return self.term.energies(x, box) @ self.c.to(x)

    def forces(self, x: Tensor, box: Tensor | None) -> Tensor:
        """Shape (R, B, 3), kJ/mol/nm."""
        return self.term.forces(x, box) @ self.c.to(x)


class _Wall:
    def __init__(self, term: Wall, c: Tensor, ranges: Ranges):
        self._term = term
        self._function = _Function(term.basis, c, "distance", ranges.get(term.name))

    def energy(self, x: Tensor, box: Tensor | None) -> Tensor:
        return self._function.values(self._term.distances(x)).sum(1)

    def forces(self, x: Tensor, box: Tensor | None) -> Tensor:
        out, term = torch.zeros_like(x), self._term
        pull = -term.facing * self._function.slopes(term.distances(x))
        out[..., term.axis].index_add_(1, torch.tensor(term.beads), pull)
        return out


class _Framewise:
    """What has neighbours to find in each frame; a function of each pair of species."""

    def __init__(self, term, c: Tensor, ranges: Ranges):
        kind = "distance" if isinstance(term, Pairs) else "density"
        parts = zip(term.pairs, c.split(term.basis.size), strict=True)
        self._term, self._functions = term, [
            _Function(term.basis, part, kind, ranges.get(f"{term.name} {pair}"))
            for pair, part in parts
        ]  # fmt: skip

    def energy(self, x: Tensor, box: Tensor | None) -> Tensor:
        return torch.stack([_guarded(self._energy, *frame) for frame in _frames(x, box)])

    def forces(self, x: Tensor, box: Tensor | None) -> Tensor:
        return torch.stack([_guarded(self._forces, *frame) for frame in _frames(x, box)])

    def _energy(self, x: Tensor, box: Tensor | None) -> Tensor:
        raise NotImplementedError

    def _forces(self, x: Tensor, box: Tensor | None) -> Tensor:
        raise NotImplementedError


class _Pairs(_Framewise):
    def _energy(self, x: Tensor, box: Tensor | None) -> Tensor:
        near, kind = self._term.near(x, box)
        r = torch.from_numpy(near.r)
        parts = [f.values(r[kind == p]).sum() for p, f in enumerate(self._functions)]
        return torch.stack(parts).sum()

    def _forces(self, x: Tensor, box: Tensor | None) -> Tensor:
        near, kind = self._term.near(x, box)
        slope = np.zeros(len(near.r))
        for p, function in enumerate(self._functions):
            slope[kind == p] = function.slopes(torch.from_numpy(near.r[kind == p]))
        np.divide(slope, near.r, out=slope, where=near.r > 0)  # beads that coincide
        pull = torch.from_numpy(near.way * slope).T
        out = torch.zeros_like(x)
        out.index_add_(0, torch.from_numpy(near.i), pull)
        return out.index_add_(0, torch.from_numpy(near.j), -pull)


class _Densities(_Framewise):
    def _energy(self, x: Tensor, box: Tensor | None) -> Tensor:
        parts = [f.values(rho).sum() for f, rho, _ in self._found(x, box)]
        return torch.stack(parts).sum()

    def _forces(self, x: Tensor, box: Tensor | None) -> Tensor:
        parts = [pull @ f.slopes(rho).numpy() for f, rho, pull in self._found(x, box)]
        return torch.from_numpy(np.sum(parts, axis=0)).view(x.shape)

    def _found(self, x: Tensor, box: Tensor | None):
        frame = x.numpy(), None if box is None else box.numpy()
        for f, (rho, pull) in zip(self._functions, self._term.frame(*frame), strict=True):
            yield f, torch.from_numpy(rho), pull


Continued = _Linear | _Wall | _Pairs | _Densities


def continued(term: Term, c: Tensor, ranges: Ranges) -> Continued:
    """A term with coefficients (size,), float64, that goes on beyond its ranges.

    Parameters
    ----------
    term, c
        Terms of kinds that are not known here are taken as they are.
    ranges
        By the names of forces, as `LinearModel` has them.

    Returns
    -------
    object
        Its ``energy`` and ``forces`` are of positions (R, B, 3), float64, in boxes.
    """
    if isinstance(term, Wall):
        return _Wall(term, c, ranges)
    if isinstance(term, Pairs):
        return _Pairs(term, c, ranges)
    if isinstance(term, LocalDensity):
        return _Densities(term, c, ranges)
    return _Linear(term, c)


def _guarded(of, x: Tensor, box: Tensor | None) -> Tensor:
    """NaN where beads are not finite, for the guards of the engine."""
    if bool(x.isfinite().all()):
        return of(x, box)
    return torch.full_like(of(torch.zeros_like(x), box), torch.nan)


def _frames(x: Tensor, box: Tensor | None):
    for k, frame in enumerate(x):
        yield frame, None if box is None else box[k]
