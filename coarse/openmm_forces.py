"""Linear models in OpenMM: one force per term, of pairs one per pair of species.

Functions of one coordinate are looked up as cubic pieces, in a discrete table and an
expression: splines are kept to rounding, and go on beyond their range as `Pieces`
says, where OpenMM's own splines would be zero. Maps of two dihedrals are OpenMM's
periodic bicubic splines; CMAPTorsionForce would copy its whole map in every step on the
CPU platform. Beads are of whole, unwrapped molecules, as in `Bonded`: of the forces none
but those of `Pairs` and `LocalDensity` is periodic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np
import openmm
import torch
from torch import Tensor

from ..core.errors import InputError
from .bases import TURN, Fourier
from .coordinates import KINDS
from .linear_model import LinearModel
from .local_density import LocalDensity
from .pairs import Pairs
from .tables import Pieces, Range
from .terms import Bonded, Term, Torsions
from .walls import Wall

Beads = Sequence[tuple[int, ...]]

#: Points of a torsion map per wave: the rms error of forces is below 5e-5 of their rms.
MAP_POINTS_PER_WAVE = 32


def linear_forces_openmm(
    model: LinearModel,
    *,
    replicate: int = 0,
    ranges: Mapping[str, Range] | None = None,
    periodic: bool = False,
) -> list[openmm.Force]:
    """Forces of the terms of a model, in their order and named after them.

    Parameters
    ----------
    model
        Terms and coefficients.
    replicate
        Of the coefficients.
    ranges
        By the name of a force, where its coordinates were seen: beyond the knots next to
        it the function goes on as beyond the end of its basis. By default those of the
        model.
    periodic
        Whether `Pairs` and `LocalDensity` are of nearest images.

    Returns
    -------
    list of openmm.Force
        CustomCompoundBondForce; for `Pairs` a CustomNonbondedForce of each pair of
        species, such as ``"pairs Na-Cl"``, and of `LocalDensity` a CustomGBForce, such
        as ``"density Na around Cl"``. Walls act on the unwrapped coordinate, and go
        on like distances.

    Raises
    ------
    InputError
        When the model has a term of another kind, or `ranges` one that it has not.
    """
    ranges = model.ranges if ranges is None else ranges
    forces: list[openmm.Force] = []
    for term, c in zip(model.terms, model.parts(replicate), strict=True):
        if isinstance(term, Pairs):
            forces += _pairs(term, c, ranges, periodic)
        elif isinstance(term, LocalDensity):
            forces += _densities(term, c, ranges, periodic)
        else:
            forces.append(_maker(term)(term, c, ranges.get(term.name)))
            forces[-1].setName(term.name)
    names = [force.getName() for force in forces]
    unknown = [name for name in ranges if name not in names]
    if unknown:
        raise InputError("ranges of terms that the model does not have",
                         wanted=", ".join(names), got=", ".join(unknown))  # fmt: skip
    return forces


def linear_system(
    model: LinearModel,
    box: np.ndarray | None = None,
    *,
    replicate: int = 0,
    ranges: Mapping[str, Range] | None = None,
) -> openmm.System:
    """System of the beads of a model.

    Parameters
    ----------
    model, replicate, ranges
        See `linear_forces_openmm`.
    box
        Rows are box vectors in OpenMM's reduced form, nm, shape (3, 3).

    Raises
    ------
    InputError
        See `linear_forces_openmm`.
    """
    system = openmm.System()
    for mass in model.masses:
        system.addParticle(float(mass))
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*box)
    for force in linear_forces_openmm(
        model, replicate=replicate, ranges=ranges, periodic=box is not None
    ):
        system.addForce(force)
    return system


def _maker(term: Term) -> Callable[..., openmm.Force]:
    makers: dict[type, Callable[..., openmm.Force]] = {
        Bonded: _bonded, Torsions: _torsions, Wall: _wall
    }  # fmt: skip
    if type(term) not in makers:
        raise InputError(
            f"term {term.name} in OpenMM", got=type(term).__name__,
            wanted="Bonded, Torsions, Wall, Pairs or LocalDensity",
            mend="run this model with the torch engine",
        )  # fmt: skip
    return makers[type(term)]


def _bonded(term: Bonded, c: Tensor, seen: Range | None) -> openmm.Force:
    n = KINDS[term.kind][1]
    coordinate = f"{term.kind}({','.join(f'p{k + 1}' for k in range(n))})"
    pieces = Pieces.of(term.basis, c, term.kind, seen)
    return _compound(*_look_up(pieces, coordinate), term.beads)


def _wall(term: Wall, c: Tensor, seen: Range | None) -> openmm.Force:
    coordinate = f"{term.facing}*({'xyz'[term.axis]}1-({term.place!r}))"
    pieces = Pieces.of(term.basis, c, "distance", seen)
    return _compound(*_look_up(pieces, coordinate), [(bead,) for bead in term.beads])


def _look_up(pieces: Pieces, coordinate: str) -> tuple[str, openmm.TabulatedFunction]:
    """Energy and its table `f`; it and `floor` count as constant in derivatives."""
    energy = (
        "f(0,k+1)+t*(f(1,k+1)+t*(f(2,k+1)+t*f(3,k+1))); t=place-k; "
        f"k=min(max(floor(place),-1),{len(pieces.cubics) - 2}); "
        f"place=({coordinate}-({pieces.origin!r}))/{pieces.width!r}"
    )
    table = pieces.cubics.flatten().tolist()
    return energy, openmm.Discrete2DFunction(4, len(pieces.cubics), table)


def _pairs(
    term: Pairs, c: Tensor, ranges: Mapping[str, Range], periodic: bool
) -> Iterator[openmm.CustomNonbondedForce]:
    """Interaction groups evaluate one table per pair of beads."""
    method = "CutoffPeriodic" if periodic else "CutoffNonPeriodic"
    names = dict.fromkeys(term.species)
    members = [[i for i, s in enumerate(term.species) if s == name] for name in names]
    both = combinations_with_replacement(members, 2)
    parts = c.split(term.basis.size)
    for pair, groups, part in zip(term.pairs, both, parts, strict=True):
        name = f"{term.name} {pair}"
        pieces = Pieces.of(term.basis, part, "distance", ranges.get(name))
        energy, table = _look_up(pieces, "r")
        force = openmm.CustomNonbondedForce(energy)
        force.setName(name)
        force.addTabulatedFunction("f", table)
        for _ in term.species:
            force.addParticle()
        for excluded in {tuple(sorted(two)) for two in term.excluded}:
            force.addExclusion(*excluded)
        force.addInteractionGroup(*groups)
        force.setNonbondedMethod(getattr(force, method))
        force.setCutoffDistance(term.basis.stop)
        yield force


def _densities(
    term: LocalDensity, c: Tensor, ranges: Mapping[str, Range], periodic: bool
) -> Iterator[openmm.CustomGBForce]:
    """Which beads are centres and which are counted are parameters, one or zero."""
    method = "CutoffPeriodic" if periodic else "CutoffNonPeriodic"
    square, wide = term.inner**2, term.outer**2 - term.inner**2
    weight = f"counted2*(1-s*s*(3-2*s)); s=min(max((r*r-{square!r})/{wide!r},0),1)"
    parts = c.split(term.basis.size)
    for pair, (centre, counted), part in zip(term.pairs, term.around, parts, strict=True):
        force = openmm.CustomGBForce()
        force.setName(f"{term.name} {pair}")
        pieces = Pieces.of(term.basis, part, "density", ranges.get(force.getName()))
        energy, table = _look_up(pieces, "rho")
        force.addTabulatedFunction("f", table)
        force.addPerParticleParameter("centre")
        force.addPerParticleParameter("counted")
        for name in term.species:
            force.addParticle([name == centre, name == counted])
        force.addComputedValue("rho", weight, force.ParticlePairNoExclusions)
        force.addEnergyTerm(f"centre*u; u={energy}", force.SingleParticle)
        force.setNonbondedMethod(getattr(force, method))
        force.setCutoffDistance(term.outer)
        yield force


def _torsions(term: Torsions, c: Tensor, seen: Range | None) -> openmm.Force:
    n, waves = MAP_POINTS_PER_WAVE * term.order, 2 * term.order + 1
    grid = torch.arange(n, dtype=torch.float64) * (math.tau / n) - math.pi
    value = torch.cat([grid.new_ones(n, 1), Fourier(term.order).dense(grid)[0]], 1)
    value = torch.cat([value, value[:1]])
    matrix = torch.cat([c.new_zeros(1), c]).view(waves, waves)
    # The first dihedral runs fastest.
    table = (value @ matrix @ value.T).T.flatten().tolist()
    function = openmm.Continuous2DFunction(n + 1, n + 1, table, *TURN, *TURN, True)
    energy = "f(dihedral(p1,p2,p3,p4),dihedral(p5,p6,p7,p8))"
    return _compound(energy, function, [(*a, *b) for a, b in term.beads])


def _compound(
    energy: str, function: openmm.TabulatedFunction, beads: Beads
) -> openmm.Force:
    force = openmm.CustomCompoundBondForce(len(beads[0]), energy)
    force.addTabulatedFunction("f", function)
    for group in beads:
        force.addBond(group)
    return force
