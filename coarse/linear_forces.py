"""Energies and forces of linear models for many replicas at once, without autograd.

Every function of one coordinate becomes a table of cubic pieces, and all tables are
looked up together. Inside, replicas are the last, contiguous axis: each operation then
runs along them. Positions whose storage is (3, B, R), as `langevin` keeps them, are not
copied. Shapes: R replicas, B beads, K corners of three beads, D dihedrals of two corners.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..core.errors import InputError
from .continued import continued
from .coordinates import KINDS
from .linear_model import LinearModel
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
    to a hundred beads; `Pairs`, `Wall` and `LocalDensity` go frame by frame, which is
    slow, and other terms are asked for all their functions.
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
        By the name of a force, such as that of a `Bonded` term or ``"pairs Na-Cl"``,
        where coordinates were seen: beyond the knots next to it the continuation starts.
        The range of the basis where nothing is said.
    box
        Rows are box vectors, nm, shape (3, 3), for terms that want one.

    Attributes
    ----------
    validity
        That of the model, of which `Langevin` asks whether the temperature is its own.

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
        self.validity: Mapping = {}
        self.dtype, self._box = dtype, None if box is None else box.double()
        given = [torch.as_tensor(c, dtype=torch.float64).cpu() for c in coefficients]
        places = _Places(terms)
        self._rows = [len(places.rows["distance"]), len(places.corners)]
        self._difference = places.difference(n_beads).to(dtype).expand(5, -1, -1)
        self._gather = -self._difference[:3].mT.contiguous()
        known, turns = len(places.corners), places.dihedrals
        self._turn = [_Pick([pair[side] for pair in turns], known) for side in (0, 1)]
        self._bend = _Pick([at for at, _ in places.rows["angle"]], known)
        self._twist = _Pick([at for at, _ in places.rows["dihedral"]], len(turns))
        owner = [k for rows in places.rows.values() for _, k in rows]
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
            continued(term, c, seen) for term, c in zip(terms, given, strict=True)
            if not isinstance(term, Bonded | Torsions)
        ]  # fmt: skip

    @classmethod
    def of(cls, model: LinearModel, *, replicate: int = 0,
           dtype: torch.dtype = torch.float32, box: Tensor | None = None
           ) -> LinearForces:  # fmt: skip
        """A replicate of a model, not trusted beyond where it was seen."""
        made = cls(model.terms, model.parts(replicate), len(model.beads), dtype=dtype,
                   ranges=model.ranges, box=box)  # fmt: skip
        made.validity = model.validity
        return made

    @torch.no_grad()
    def energy(self, x: Tensor) -> Tensor:
        """See `BatchedPotential`."""
        shape = _Shape(self, x)
        total = self._table.values(self._coordinates(shape)).sum(0)
        for part in self._maps:
            total = total + part.energy(shape.phi)
        for one in self._others:
            total = total + one.energy(*self._wide(x)).to(total)
        return total

    @torch.no_grad()
    def forces(self, x: Tensor) -> Tensor:
        """See `BatchedPotential`."""
        shape = _Shape(self, x)
        slope = self._table.slopes(self._coordinates(shape))
        along, bend, twist = slope.split([self._rows[0], self._bend.size,
                                          self._twist.size])  # fmt: skip
        pull = [shape.along * along]
        if self._rows[1]:
            pull += self._on_corners(shape, self._bend.spread(bend),
                                     self._turns(shape, twist))  # fmt: skip
        forces = torch.bmm(self._gather, torch.cat(pull, 1)).permute(2, 1, 0)
        for one in self._others:
            forces = forces + one.forces(*self._wide(x)).to(forces)
        return forces

    def _wide(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Positions and boxes of frames, in double precision."""
        box = None if self._box is None else self._box.expand(len(x), 3, 3)
        return x.double().contiguous(), box

    def _coordinates(self, shape: _Shape) -> Tensor:
        """All coordinates that have a table, shape (N, R)."""
        parts = shape.distance, self._bend.of(shape.theta), self._twist.of(shape.phi)
        return torch.cat(parts)

    def _turns(self, shape: _Shape, by_table: Tensor) -> Tensor:
        """Slopes of the energy against each dihedral, shape (D, R)."""
        slope = self._twist.spread(by_table)
        for one in self._maps:
            one.add_slopes(shape.phi, slope)
        return slope

    def _on_corners(self, shape: _Shape, bend: Tensor, turn: Tensor) -> list[Tensor]:
        """Slopes against the two vectors of each corner, shape (3, K, R)."""
        (u, v), cosine = shape.sides, shape.cosine
        bend = bend / shape.sine
        both = bend * cosine
        by_u, by_v = (bend * b - both * a for a, b in ((u, v), (v, u)))
        if self._turn[0].size:
            out = shape.normal / shape.sine.square()
            first, second = (side.spread(turn) for side in self._turn)
            by_u.addcmul_(out, first - second * cosine)
            by_v.addcmul_(out, second - first * cosine)
        return [by_u / shape.lengths[0], by_v / shape.lengths[1]]


class _Shape:
    """Lengths, angles and dihedrals of replicas, and the unit vectors they are of.

    Vectors have five components, x y z x y: a cyclic shift is then a view.
    """

    def __init__(self, model: LinearForces, x: Tensor):
        at = x.to(model.dtype).permute(2, 1, 0)
        way = torch.bmm(model._difference, torch.cat([at, at[:2]]))
        length = way[:3].square().sum(0).sqrt()
        rows = [model._rows[0], model._rows[1], model._rows[1]]
        self.distance, *self.lengths = length.split(rows)
        along, u, v = (way / length).split(rows, 1)
        self.along, self.sides = along[:3], (u[:3], v[:3])
        self.normal = u[1:4] * v[2:5] - u[2:5] * v[1:4]
        #: Of the angle between the two vectors, which is pi less that at the bead.
        self.cosine = (self.sides[0] * self.sides[1]).sum(0)
        smallest = torch.finfo(model.dtype).eps
        self.sine = self.normal.square().sum(0).sqrt().clamp_(min=smallest)
        self.theta = torch.atan2(self.sine, -self.cosine)
        one, two = (side.of(self.normal) for side in model._turn)
        entry = model._turn[0].of(self.sides[0])
        self.phi = torch.atan2((entry * two).sum(0), (one * two).sum(0))


class _Pick:
    """Some of the n rows (..., n, R) of tensors; a view where they follow each other."""

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
            return values.narrow(-2, self._start, self.size)
        return values.index_select(-2, self._index)

    def add(self, total: Tensor, values: Tensor) -> None:
        """Add to rows, which may come more than once."""
        if self._run:
            self.of(total).add_(values)
        else:
            total.index_add_(-2, self._index, values)

    def spread(self, values: Tensor) -> Tensor:
        """Sums in each of the n places, shape (n, R)."""
        if self._all:
            return values
        total = values.new_zeros(self._n, values.shape[-1])
        if self.size:
            self.add(total, values)
        return total


class _Places:
    """What coordinates have in common: corners of three beads, dihedrals of two corners.

    Attributes
    ----------
    rows
        Of each kind, in the order of `KINDS`, the place of every coordinate and its term.
    """

    def __init__(self, terms: Sequence[Term]):
        self.corners: list[tuple[int, ...]] = []
        self.dihedrals: list[tuple[int, int]] = []
        self._bonds: list[tuple[int, ...]] = []
        for term in terms:
            if isinstance(term, Torsions):
                for pair in term.beads:
                    self.dihedral(pair[0])
                    self.dihedral(pair[1])
        place = {"distance": self._bond, "angle": self._corner, "dihedral": self.dihedral}
        self.rows: dict[str, list[tuple[int, int]]] = {}
        for kind in KINDS:
            found = [(place[kind](beads), k) for k, term in enumerate(terms)
                     if isinstance(term, Bonded) and term.kind == kind
                     for beads in term.beads]  # fmt: skip
            self.rows[kind] = sorted(found)

    def _bond(self, beads: tuple[int, ...]) -> int:
        self._bonds.append(beads)
        return len(self._bonds) - 1

    def _corner(self, beads: tuple[int, ...]) -> int:
        return _at(self.corners, tuple(beads))

    def dihedral(self, beads: tuple[int, ...]) -> int:
        """Place of a dihedral, new or known."""
        return _at(self.dihedrals, (self._corner(beads[:3]), self._corner(beads[1:])))

    def difference(self, n_beads: int) -> Tensor:
        """Matrix from beads to the vectors of distances, then both of each corner."""
        pairs = [*self._bonds, *(c[:2] for c in self.corners),
                 *(c[1:] for c in self.corners)]  # fmt: skip
        out = torch.zeros(len(pairs), n_beads, dtype=torch.float64)
        for row, (a, b) in zip(out, pairs, strict=True):
            row[a], row[b] = -1.0, 1.0
        return out


def _at(known: list, what) -> int:
    """Place in a list, at whose end it is put when it is new."""
    if what not in known:
        known.append(what)
    return known.index(what)


class _TorsionMap:
    """One `Torsions` term: M pairs of dihedrals, L = 2 order + 2 functions of each.

    The functions are cosines and sines from wave 0 on. Their derivative is a matrix times
    themselves, so that slopes are sums of the same products as the energy.
    """

    def __init__(self, places: _Places, term: Torsions, c: Tensor):
        known, n = len(places.dihedrals), term.order + 1
        self.sides = [_Pick([places.dihedral(pair[s]) for pair in term.beads], known)
                      for s in (0, 1)]  # fmt: skip
        k = torch.arange(n)
        waves = k.to(c.dtype)
        self.waves = waves.view(n, 1, 1)
        used = torch.cat([k, k[1:] + n])
        self.matrix = c.new_zeros(2 * n, 2 * n)
        self.matrix[used.unsqueeze(1), used] = torch.cat([c.new_zeros(1), c]).view(
            len(used), -1
        )
        derivative = torch.zeros_like(self.matrix)
        derivative[k, k + n], derivative[k + n, k] = -waves, waves
        self.slopes = torch.cat([derivative.T @ self.matrix, self.matrix @ derivative])

    def _products(self, matrix: Tensor, phi: Tensor) -> Tensor:
        """Sums over functions, shape (rows of the matrix over L, M, R)."""
        phase = self.waves * phi
        value = torch.cat([phase.cos(), phase.sin()])
        one, two = (side.of(value) for side in self.sides)
        right = torch.mm(matrix, two.reshape(len(two), -1)).view(-1, *one.shape)
        return (right * one).sum(1)

    def energy(self, phi: Tensor) -> Tensor:
        """Shape (R,)."""
        return self._products(self.matrix, phi).sum((0, 1))

    def add_slopes(self, phi: Tensor, total: Tensor) -> None:
        """Add to the slopes (D, R) against dihedrals."""
        parts = self._products(self.slopes, phi).unbind()
        for side, part in zip(self.sides, parts, strict=True):
            side.add(total, part)
