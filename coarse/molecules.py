"""Terms for a molecule of a few beads: what its bonds and the range of the data say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError
from .bases import TURN, Spline
from .coordinates import KINDS
from .terms import Bonded, Term, Torsions

Beads = tuple[int, ...]

#: Intervals of splines of bonds, angles, dihedrals and other distances; order of maps.
INTERVALS, ORDER = {"bond": 6, "angle": 8, "dihedral": 12, "distance": 10}, 5
#: Room beside the data, over their range.
ROOM = 0.05


def molecular_terms(
    x: np.ndarray | Tensor,
    bonds: Sequence[tuple[int, int]],
    names: Sequence[str],
    *,
    maps: Sequence[tuple[Beads, Beads]] = (),
    order: int = ORDER,
) -> tuple[Term, ...]:
    """Bonds, angles, dihedrals, and distances three bonds apart or more.

    Parameters
    ----------
    x
        Frames of one whole molecule, shape (F, B, 3), nm: they set the ranges of splines.
    bonds
        Pairs of beads.
    names
        Of the beads.
    maps
        Pairs of dihedrals that get a map of both angles, such as phi and psi, in place of
        a function of each.
    order
        Of these maps.

    Raises
    ------
    InputError
        When `x` is not of these beads, bonds do not hold the molecule together, or a map
        names other beads.
    """
    x, n = torch.as_tensor(x, dtype=torch.float64), len(names)
    if not (x.ndim == 3 and x.shape[1:] == (n, 3) and len(x) and x.isfinite().all()):
        raise InputError("frames of a molecule", got=f"{tuple(x.shape)}, or NaN",
                         wanted=f"a frame at least, finite, (F, {n}, 3)")  # fmt: skip
    bonds = [(int(a), int(b)) for a, b in bonds]
    maps = [(tuple(one), tuple(two)) for one, two in maps]
    apart = _bonds_apart(bonds, n)
    chains = {k: _chains(bonds, k) for k in (3, 4)}
    mapped = [beads for pair in maps for beads in pair]
    strange = [beads for beads in mapped if beads not in chains[4]]
    if strange:
        raise InputError(
            "dihedrals of a map", wanted=f"four bonded beads: {chains[4]}",
            got=str(strange[0]),
        )  # fmt: skip
    far = [(a, b) for b in range(n) for a in range(b) if apart[a, b] >= 3]
    terms: list[Term] = [_term("bond", "distance", tuple(b), x, names) for b in bonds]
    terms += [_term("angle", "angle", b, x, names) for b in chains[3]]
    terms += [
        Bonded(_name("dihedral", b, names), "dihedral", (b,),
               Spline(*TURN, INTERVALS["dihedral"], "periodic"))
        for b in chains[4] if b not in mapped
    ]  # fmt: skip
    terms += [
        Torsions(
            f"map {_name('', one, names)},{_name('', two, names)}", ((one, two),), order
        )
        for one, two in maps
    ]
    terms += [_term("distance", "distance", b, x, names) for b in far]
    return tuple(terms)


def _term(what: str, kind: str, beads: Beads, x: Tensor, names: Sequence[str]) -> Bonded:
    values = KINDS[kind][0](x, torch.tensor([beads]))[0]
    low, high = float(values.min()), float(values.max())
    room = ROOM * max(high - low, 1e-3)
    basis = Spline(low - room, high + room, INTERVALS[what])
    return Bonded(_name(what, beads, names), kind, (beads,), basis)


def _name(what: str, beads: Beads, names: Sequence[str]) -> str:
    """Such as ``"angle C0-N1-CA2"``: unlike beads may have one name."""
    return f"{what} {'-'.join(f'{names[b]}{b}' for b in beads)}".strip()


def _bonds_apart(bonds: Sequence[tuple[int, int]], n: int) -> np.ndarray:
    """Number of bonds between beads, shape (n, n)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import shortest_path

    wrong = [b for b in bonds if b[0] == b[1] or not (min(b) >= 0 and max(b) < n)]
    if wrong or not bonds:
        raise InputError("bonds of a molecule", wanted=f"pairs of beads, 0 to {n - 1}",
                         got=str(wrong[0]) if wrong else "none")  # fmt: skip
    first, second = zip(*bonds, strict=True)
    graph = coo_matrix((np.ones(len(bonds)), (first, second)), shape=(n, n))
    apart = shortest_path(graph, directed=False, unweighted=True)
    if not np.isfinite(apart).all():
        alone = int(np.argmax(~np.isfinite(apart[0])))
        raise InputError(
            "bonds of a molecule", wanted="bonds that reach every bead",
            got=f"none to bead {alone}",
        )  # fmt: skip
    return apart


def _chains(bonds: Sequence[tuple[int, int]], length: int) -> list[Beads]:
    """All chains of so many different bonded beads, each in one direction."""
    near: dict[int, list[int]] = {}
    for a, b in bonds:
        near.setdefault(a, []).append(b)
        near.setdefault(b, []).append(a)
    found: list[Beads] = [(a,) for a in sorted(near)]
    for _ in range(length - 1):
        found = [(*c, b) for c in found for b in sorted(near[c[-1]]) if b not in c]
    return [c for c in found if c[0] < c[-1]]
