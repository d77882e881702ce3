"""Bead maps from what a topology says: selections, or residues by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import InputError
from .maps import BeadMap, Template

#: Weights of the atoms of a bead: centre of mass, centre of geometry, one atom.
RULES = ("mass", "geometric", "slice")


@dataclass(frozen=True, eq=False)
class Atoms:
    """What maps are made from; N atoms.

    Attributes
    ----------
    names
        Names of the atoms, shape (N,).
    residues
        Names of their residues, shape (N,).
    residue
        Numbers of their residues, shape (N,), each residue's its own.
    chain
        Numbers of their chains, shape (N,).
    masses
        Shape (N,), Da.
    """

    names: np.ndarray
    residues: np.ndarray
    residue: np.ndarray
    chain: np.ndarray
    masses: np.ndarray

    @classmethod
    def of(cls, universe: Any) -> Atoms:
        """From an MDAnalysis universe; its segments are the chains.

        Raises
        ------
        InputError
            When it lacks names, residues or masses.
        """
        a = universe.atoms
        lacking = [k for k in ("names", "resnames", "masses") if not hasattr(a, k)]
        if lacking:
            raise InputError(
                "topology of a bead map", wanted="names, residues and masses of atoms",
                got=f"no {', '.join(lacking)}",
                mend="another topology file, or universe.add_TopologyAttr",
            )  # fmt: skip
        return cls(a.names, a.resnames, a.resindices, a.segindices, a.masses)

    def template(self, name, atoms, beads, weights) -> Template:
        """A template of molecules with atoms (I, n), named after the first."""
        names = tuple(str(x) for x in self.names[atoms[0]])
        return Template(str(name), tuple(beads), names, np.array(weights), atoms)


def share(masses: np.ndarray, rule: str, bead: str) -> np.ndarray:
    """Weights of a bead's atoms by one of `RULES`, shape as `masses`.

    Raises
    ------
    InputError
        For another rule, a slice of several atoms, or atoms without mass.
    """
    if rule not in RULES:
        raise InputError("weights of beads", wanted=", ".join(RULES), got=repr(rule))
    if rule == "slice" and len(masses) != 1:
        raise InputError(
            f"bead {bead}, a slice",
            wanted="one atom",
            got=str(len(masses)),
            mend='select one atom, or take weights="mass"',
        )
    if rule != "mass":
        return np.full(len(masses), 1 / len(masses))
    if not masses.sum() > 0:
        raise InputError(
            f"masses of bead {bead}", wanted="a positive sum", got=f"{masses.sum():g} Da"
        )
    return masses / masses.sum()


def map_of_selections(
    universe: Any,
    beads: Mapping[str, str],
    weights: str | Mapping[str, Sequence[float]] = "mass",
    molecule: str | None = None,
) -> BeadMap:
    """One bead for each selection, all in one molecule.

    Parameters
    ----------
    universe
        Of MDAnalysis.
    beads
        Selection of each bead's atoms.
    weights
        ``"mass"``, ``"geometric"`` or ``"slice"`` (one atom each), or the weights of each
        bead's atoms, in the order of the system.
    molecule
        Selection of the atoms whose forces a force map may use; by default all atoms of
        the residues that the beads touch.

    Raises
    ------
    InputError
        When a selection is empty or reaches beyond the molecule, or weights do not fit.

    Examples
    --------
    ``map_of_selections(u, {"C1": "resname ACE and name C", "CA": "name CA"}, "slice")``
    """
    if not beads:
        raise InputError("a bead map", wanted="a bead at least", got="none")
    chosen = {name: universe.select_atoms(text).indices for name, text in beads.items()}
    for name, found in chosen.items():
        if not len(found):
            raise InputError(
                f"bead {name} is empty", wanted="a selection of atoms",
                got=repr(beads[name]),
            )  # fmt: skip
    topology = Atoms.of(universe)
    used = np.unique(np.concatenate(list(chosen.values())))
    if molecule is None:
        inside = np.isin(topology.residue, topology.residue[used])
        atoms = np.flatnonzero(inside)
    else:
        atoms = np.sort(universe.select_atoms(molecule).indices)
    outside = np.setdiff1d(used, atoms)
    if len(outside):
        raise InputError(
            "atoms of beads outside the molecule", wanted=f"atoms of {molecule!r}",
            got=", ".join(f"{topology.names[i]} ({i})" for i in outside[:5]),
        )  # fmt: skip
    block = np.zeros((len(beads), len(atoms)))
    for row, (name, found) in zip(block, chosen.items(), strict=True):
        if isinstance(weights, str):
            values = share(topology.masses[found], weights, name)
        else:
            values = _given(weights, name, len(found))
        row[np.searchsorted(atoms, found)] = values
    template = topology.template("selections", atoms[None], beads, block)
    return BeadMap((template,), len(topology.names))


def _given(weights: Mapping[str, Sequence[float]], name: str, n: int) -> np.ndarray:
    values = np.asarray(weights.get(name, ()), dtype=float)
    if values.shape != (n,):
        raise InputError(
            f"weights of bead {name}", wanted=f"{n}, one for each atom selected",
            got=str(values.shape),
        )  # fmt: skip
    return values


def map_of_residues(
    topology: Atoms,
    kinds: Mapping[str, Mapping[str, Sequence[str] | Mapping[str, float]]],
    weights: str = "mass",
) -> BeadMap:
    """Beads of every residue of some names.

    Parameters
    ----------
    topology
        Such as ``Atoms.of(universe)``.
    kinds
        For each name of a residue its beads; for each bead the names of its atoms, or
        their weights by name.
    weights
        Rule for beads given by names alone: ``"mass"``, ``"geometric"`` or ``"slice"``.

    Raises
    ------
    InputError
        When there is no such residue or atom, or residues of one name differ.

    Examples
    --------
    ``map_of_residues(Atoms.of(u), {"SOL": {"W": ["OW", "HW1", "HW2"]}})``
    """
    templates = []
    for kind, beads in kinds.items():
        atoms = instances(topology, kind)
        names, masses = topology.names[atoms[0]], topology.masses[atoms[0]]
        block = np.zeros((len(beads), len(names)))
        for row, (bead, members) in zip(block, beads.items(), strict=True):
            column = [_column(names, atom, kind) for atom in members]
            row[column] = (
                list(members.values())
                if isinstance(members, Mapping)
                else share(masses[column], weights, bead)
            )
        templates.append(topology.template(kind, atoms, beads, block))
    return BeadMap(tuple(templates), len(topology.names))


def instances(topology: Atoms, kind: str) -> np.ndarray:
    """Atoms of each residue of a name, shape (I, n)."""
    found = np.flatnonzero(topology.residues == kind)
    if not len(found):
        raise InputError(
            f"residues {kind}", wanted=", ".join(sorted(set(topology.residues))),
            got="none of that name",
        )  # fmt: skip
    found = found[np.argsort(topology.residue[found], kind="stable")]
    sizes = np.unique(topology.residue[found], return_counts=True)[1]
    atoms = found.reshape(len(sizes), -1) if len(set(sizes)) == 1 else None
    if atoms is None or (topology.names[atoms] != topology.names[atoms[0]]).any():
        raise InputError(
            f"residues {kind} differ", wanted="the same atoms in the same order",
            got=f"{sizes.min()} to {sizes.max()} atoms",
            mend="another name for each kind",
        )  # fmt: skip
    return atoms


def _column(names: np.ndarray, atom: str, kind: str) -> int:
    where = np.flatnonzero(names == atom)
    if len(where) != 1:
        raise InputError(
            f"atom {atom} of residue {kind}", wanted="one of " + ", ".join(names),
            got=f"{len(where)} of that name",
        )  # fmt: skip
    return int(where[0])
