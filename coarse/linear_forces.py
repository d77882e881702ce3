"""Energies and forces of linear models for many replicas at once, without autograd.

Every function of one coordinate becomes a table of cubic pieces, and all tables are
looked up together. Inside, replicas are the last, contiguous axis: each operation then
runs along them. Positions whose storage is (B, 3, R), as `langevin` keeps them, are not
copied. Shapes: R replicas, B beads, E pairs that a coordinate spans, K corners of two
such pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..core.errors import InputError
from .coordinates import KINDS
from .tables import Pieces, Range, Table
from .terms import Bonded, Term, Torsions


class BatchedPotential(Protocol):
    """What the engines ask of a potential."""

    def energy(self, x: Tensor) -> Tensor:
        """Shape (R,), kJ/mol, of positions (R, B, 3), nm."""

    def forces(self, x: Tensor) -> Tensor:
        """Shape (R, B, 3), kJ/mol/nm."""


@dataclass(frozen=True)
class AutogradForces:
    """A potential of any differentiable function, such as a network.

    Attributes
    ----------
    energy
        Gives energies (R,) of positions (R, B, 3).
    """

    energy: Callable[[Tensor], Tensor]

    def forces(self, x: Tensor) -> Tensor:
        """See `BatchedPotential`."""
        with torch.enable_grad():
            x = x.detach().contiguous().requires_grad_()
            (slope,) = torch.autograd.grad(self.energy(x).sum(), x)
        return -slope


class LinearForces:
    """A linear model with fixed coefficients.

    `Bonded` terms are tabulated and `Torsions` summed as they are, for molecules of up
    to a hundred beads; other terms are asked for all their functions, which is slow.
    Beyond the range of free splines, and below that of splines with a ``"zero"`` end,
    a potential goes on with its slope at the end, at least none outwards, and with
    `tables.STIFFNESS`: beads are driven back whatever the fit would do there.

    Parameters
    ----------
    terms, coefficients
        The model: each term with its coefficients, kJ/mol.
    n_beads
        B.
    dtype
        Of the computation.
    ranges
        By the name of a term, where coordinates were seen: beyond the knots next to it
        the continuation starts. The range of the basis where nothing is said.
    box
        Rows are box vectors, nm, shape (3, 3), for terms that want one.

    Raises
    ------
    InputError
        When coefficients do not fit the terms.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        coefficients: Sequence[Tensor],
        n_beads: int,
        *,
        dtype: torch.dtype = torch.float32,
        ranges: Mapping[str, Range] | None = None,
        box: Tensor | None = None,
    ):
        sizes = [term.size for term in terms], [len(c) for c in coefficients]
        if sizes[0] != sizes[1]:
            raise InputError(
                "coefficients of a linear model", wanted=f"{sizes[0]} of the terms",
                got=str(sizes[1]),
            )  # fmt: skip
        self.dtype, self._box = dtype, None if box is None else box.to(dtype)
        given = [torch.as_tensor(c, dtype=torch.float64).cpu() for c in coefficients]
        places = _Places(terms)
        self._difference = places.difference(n_beads).to(dtype)
        pairs, corners, turns = places.pairs, places.corners, places.dihedrals
        self._corner = [_Pick([c[side] for c in corners], len(pairs)) for side in (0, 1)]
        self._turn = [_Pick([d[side] for d in turns], len(corners)) for side in (0, 1)]
        self._entry = _Pick([corners[first][0] for first, _ in turns], len(pairs))
        owner = [k for kind in KINDS for _, k in places.rows(kind)]
        self._of = {
            kind: _Pick([place for place, _ in places.rows(kind)], len(known))
            for kind, known in zip(KINDS, (pairs, corners, turns), strict=True)
        }
        seen = ranges or {}
        functions = {
            k: Pieces.of(t.basis, given[k], t.kind, seen.get(t.name))
            for k, t in enumerate(terms) if isinstance(t, Bonded)
        }  # fmt: skip
        order = list(functions)
        self._table = Table(
            list(functions.values()), [order.index(k) for k in owner], dtype
        )
        self._maps = [
            _TorsionMap(places, term, c.to(dtype))
            for term, c in zip(terms, given, strict=True) if isinstance(term, Torsions)
        ]  # fmt: skip
        self._others = [
            (term, c.to(dtype)) for term, c in zip(terms, given, strict=True)
            if not isinstance(term, Bonded | Torsions)
        ]  # fmt: skip

    @torch.no_grad()
    def energy(self, x: Tensor) -> Tensor:
        """See `BatchedPotential`."""
        shape = _Shape(self, x)
        total = self._table.values(self._coordinates(shape)).sum(0)
        for one in self._maps:
            total = total + one.energy(shape.phi)
        for term, c in self._others:
            total = total + term.energies(x.contiguous(), self._boxes(x)) @ c
        return total

    @torch.no_grad()
    def forces(self, x: Tensor) -> Tensor:
        """See `BatchedPotential`."""
        shape = _Shape(self, x)
        slope = self._table.slopes(self._coordinates(shape))
        by = dict(zip(self._of, slope.split([p.size for p in self._of.values()]),
                      strict=True))  # fmt: skip
        along = self._of["distance"].spread(by["distance"])
        pull = shape.unit[:, :3] * along.unsqueeze(1)
        if self._corner[0].size:
            turn = self._turns(shape, by["dihedral"])
            self._add_corners(pull, shape, by["angle"], turn)
        out = self._difference.T @ pull.reshape(len(pull), -1)
        forces = -out.view(-1, 3, len(x)).permute(2, 0, 1)
        for term, c in self._others:
            forces = forces + term.forces(x.contiguous(), self._boxes(x)) @ c
        return forces

    def _boxes(self, x: Tensor) -> Tensor | None:
        return None if self._box is None else self._box.expand(len(x), 3, 3)

    def _coordinates(self, shape: _Shape) -> Tensor:
        """All coordinates that have a table, shape (N, R)."""
        parts = (shape.length, shape.theta, shape.phi)
        return torch.cat([p.of(q) for p, q in zip(self._of.values(), parts, strict=True)])

    def _turns(self, shape: _Shape, by_table: Tensor) -> Tensor:
        """Slopes of the energy against each dihedral, shape (D, R)."""
        slope = self._of["dihedral"].spread(by_table)
        for one in self._maps:
            one.add_slopes(shape.phi, slope)
        return slope

    def _add_corners(self, pull: Tensor, shape: _Shape, bend: Tensor, turn: Tensor):
        """Add slopes against vectors of pairs, from angles and dihedrals, to `pull`."""
        cosine, (u, v) = shape.cosine, shape.sides
        bend = self._of["angle"].spread(bend) / shape.sine
        both = (bend * cosine).unsqueeze(1)
        bend = bend.unsqueeze(1)
        by_u, by_v = bend * v - both * u, bend * u - both * v
        if self._turn[0].size:
            out = shape.normal / shape.sine.square().unsqueeze(1)
            first, second = (side.spread(turn) for side in self._turn)
            by_u.addcmul_(out, (first - second * cosine).unsqueeze(1))
            by_v.addcmul_(out, (second - first * cosine).unsqueeze(1))
        for corner, part in zip(self._corner, (by_u, by_v), strict=True):
            corner.add(pull, part / corner.of(shape.length).unsqueeze(1))


class _Shape:
    """Lengths, angles and dihedrals of replicas, and the vectors they are of.

    Vectors have five components, x y z x y: a cyclic shift is then a view.
    """

    def __init__(self, model: LinearForces, x: Tensor):
        at = x.to(model.dtype).permute(1, 2, 0)
        at = torch.cat([at, at[:, :2]], 1)
        way = (model._difference @ at.reshape(len(at), -1)).view(-1, *at.shape[1:])
        self.length = way[:, :3].square().sum(1).sqrt()
        self.unit = way / self.length.unsqueeze(1)
        u, v = (corner.of(self.unit) for corner in model._corner)
        self.sides = u[:, :3], v[:, :3]
        self.normal = u[:, 1:4] * v[:, 2:5] - u[:, 2:5] * v[:, 1:4]
        #: Of the angle between the two vectors, which is pi less that at the bead.
        self.cosine = (self.sides[0] * self.sides[1]).sum(1)
        smallest = torch.finfo(model.dtype).eps
        self.sine = self.normal.square().sum(1).sqrt().clamp(min=smallest)
        self.theta = torch.atan2(self.sine, -self.cosine)
        one, two = (side.of(self.normal) for side in model._turn)
        self.phi = torch.atan2((model._entry.of(self.unit)[:, :3] * two).sum(1),
                               (one * two).sum(1))  # fmt: skip


class _Pick:
    """Some of the n rows of tensors; a view where they follow each other."""

    def __init__(self, rows: Sequence[int], n: int):
        self.size, self._n = len(rows), n
        self._index = torch.tensor(rows, dtype=torch.long)
        self._start = rows[0] if rows else 0
        self._run = list(rows) == list(range(self._start, self._start + len(rows)))
        self._all = self._run and len(rows) == n

    def of(self, values: Tensor) -> Tensor:
        """The rows of `values`."""
        if self._all:
            return values
        if self._run:
            return values.narrow(0, self._start, self.size)
        return values.index_select(0, self._index)

    def add(self, total: Tensor, values: Tensor) -> None:
        """Add to rows, which may come more than once."""
        if self._run:
            self.of(total).add_(values)
        else:
            total.index_add_(0, self._index, values)

    def spread(self, values: Tensor) -> Tensor:
        """Sums in each of the n places."""
        if self._all:
            return values
        total = values.new_zeros(self._n, values.shape[-1])
        self.add(total, values)
        return total


class _Places:
    """What coordinates have in common: pairs of beads, corners of two pairs, dihedrals.

    Pairs that angles and dihedrals span come first, distances in the order of pairs.
    """

    def __init__(self, terms: Sequence[Term]):
        self.pairs: list[tuple[int, int]] = []
        self.corners: list[tuple[int, int]] = []
        self.dihedrals: list[tuple[int, int]] = []
        bonded = [(k, t) for k, t in enumerate(terms) if isinstance(t, Bonded)]
        found = [(t.kind, b, k) for k, t in bonded for b in t.beads]
        maps = [side for t in terms if isinstance(t, Torsions) for side in t.beads]
        of = {"angle": self.corner, "dihedral": self.dihedral, "distance": self.pair}
        for beads in (b for side in maps for b in side):
            self.dihedral(beads)
        self._rows: dict[str, list[tuple[int, int]]] = {}
        for kind, place in of.items():
            rows = [(place(beads), k) for name, beads, k in found if name == kind]
            self._rows[kind] = sorted(rows)

    def rows(self, kind: str) -> list[tuple[int, int]]:
        """Place of each coordinate of this kind, and its term."""
        return self._rows[kind]

    def pair(self, beads: tuple[int, ...]) -> int:
        """A distance has no direction."""
        back = (beads[1], beads[0])
        return self._at(self.pairs, back if back in self.pairs else tuple(beads))

    def corner(self, beads: tuple[int, ...]) -> int:
        a, b, c = beads
        sides = self._at(self.pairs, (a, b)), self._at(self.pairs, (b, c))
        return self._at(self.corners, sides)

    def dihedral(self, beads: tuple[int, ...]) -> int:
        ends = self.corner(tuple(beads[:3])), self.corner(tuple(beads[1:]))
        return self._at(self.dihedrals, ends)

    @staticmethod
    def _at(known: list, what) -> int:
        if what not in known:
            known.append(what)
        return known.index(what)

    def difference(self, n_beads: int) -> Tensor:
        """Matrix (E, B) that gives the vectors of pairs, from the first to the second."""
        out = torch.zeros(len(self.pairs), n_beads, dtype=torch.float64)
        for row, (a, b) in zip(out, self.pairs, strict=True):
            row[a], row[b] = -1.0, 1.0
        return out


class _TorsionMap:
    """One `Torsions` term: M pairs of dihedrals, L = 2 order + 1 functions of each.

    The derivative of Fourier functions is a matrix times the functions, so that slopes
    are sums of the same products as the energy.
    """

    def __init__(self, places: _Places, term: Torsions, c: Tensor):
        known = len(places.dihedrals)
        self.sides = [_Pick([places.dihedral(pair[s]) for pair in term.beads], known)
                      for s in (0, 1)]  # fmt: skip
        n, k = 2 * term.order + 1, torch.arange(1, term.order + 1)
        waves = k.to(c.dtype)
        self.waves = waves.unsqueeze(1)
        self.matrix = torch.cat([c.new_zeros(1), c]).view(n, n)
        derivative = c.new_zeros(n, n)
        derivative[k, term.order + k], derivative[term.order + k, k] = -waves, waves
        self.slopes = torch.cat([derivative.T @ self.matrix, self.matrix @ derivative])

    def _functions(self, phi: Tensor) -> list[Tensor]:
        """Of both dihedrals, shape (M, L, R)."""
        phase = phi.unsqueeze(1) * self.waves
        value = torch.cat([torch.ones_like(phase[:, :1]), phase.cos(), phase.sin()], 1)
        return [side.of(value) for side in self.sides]

    def energy(self, phi: Tensor) -> Tensor:
        """Shape (R,)."""
        one, two = self._functions(phi)
        return (one * (self.matrix @ two)).sum((0, 1))

    def add_slopes(self, phi: Tensor, total: Tensor) -> None:
        """Add to the slopes (D, R) against dihedrals."""
        one, two = self._functions(phi)
        products = (self.slopes @ two).unflatten(1, (2, -1)) * one.unsqueeze(1)
        for side, part in zip(self.sides, products.sum(2).unbind(1), strict=True):
            side.add(total, part)
