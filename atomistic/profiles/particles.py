"""Who is counted: species by selections of MDAnalysis, their charges and masses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.errors import InputError
from .images import nearest, reach

#: Different charges and masses above which they are added up atom by atom.
MOST_KINDS = 64
#: Part of the way to the next image that atoms of a residue may be from its first one.
LONGEST_ARM = 0.45


@dataclass(frozen=True)
class Species:
    """Particles that are counted, and followed.

    Attributes
    ----------
    selection
        In MDAnalysis' language.
    of
        ``"atoms"``, or ``"residues"``, whose centres of mass are the particles.
    """

    selection: str
    of: str = "atoms"

    def __post_init__(self):
        if self.of not in ("atoms", "residues"):
            raise InputError(
                "particles of a species",
                wanted='"atoms" or "residues"',
                got=repr(self.of),
            )


@dataclass(frozen=True)
class Particles:
    """Species of a universe, S of them, of K kinds of atoms.

    Attributes
    ----------
    names
        Of the species.
    charge_number
        Of a particle of each, shape (S,).
    mass
        Of a particle of each, dalton, shape (S,).
    kind
        Of each atom, shape (n_atoms,).
    member
        How often an atom of each kind counts for each species, shape (S, K); 0 for
        species of residues.
    kind_charge, kind_mass
        Of an atom of each kind, e and dalton, shape (K,).
    bodies
        Species index -> atoms of its residues one after the other, and where each begins.
    followed
        Index of each followed particle's species, shape (M,).
    atoms
        Atom of each followed particle, -1 for residues, shape (M,).
    charges, masses
        Of each atom, e and dalton, shape (n_atoms,).
    """

    names: list[str]
    charge_number: np.ndarray
    mass: np.ndarray
    kind: np.ndarray
    member: np.ndarray
    kind_charge: np.ndarray
    kind_mass: np.ndarray
    bodies: dict[int, tuple[np.ndarray, np.ndarray]]
    followed: np.ndarray
    atoms: np.ndarray
    charges: np.ndarray
    masses: np.ndarray

    def whole(self, s: int, positions: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Atoms of the residues of a species, each residue in one image, (n, 3).

        Raises
        ------
        InputError
            When a residue is too long to be made whole.
        """
        atoms, begin = self.bodies[s]
        x = positions[atoms].astype(float)
        first = np.repeat(x[begin], np.diff(np.append(begin, len(atoms))), axis=0)
        arms = nearest(x - first, box)
        if (far := reach(arms, box)) > LONGEST_ARM:
            raise InputError(
                f"a residue of {self.names[s]} that is too long to be made whole",
                wanted=f"atoms within {LONGEST_ARM:g} of the box from its first one",
                got=f"{far:.2f}",
                mend="select its atoms, or part it into residues, one a monomer",
            )
        return first + arms

    def centres(self, s: int, positions: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Centres of mass of the residues of a species, made whole, (n_residues, 3)."""
        atoms, begin = self.bodies[s]
        mass, x = self.masses[atoms, None], self.whole(s, positions, box)
        return np.add.reduceat(mass * x, begin) / np.add.reduceat(mass, begin)

    def positions(self, positions: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Of the followed particles, shape (M, 3)."""
        found = positions[self.atoms].astype(float)
        for s in self.bodies:
            mine = self.followed == s
            if mine.any():
                found[mine] = self.centres(s, positions, box)
        return found


def particles_of(
    universe: Any,
    species: Mapping[str, str | Species],
    charges: Mapping[str, float] | None = None,
) -> Particles:
    """Species of an MDAnalysis universe.

    Parameters
    ----------
    universe
        With a trajectory; charges come from its topology.
    species
        Name -> selection, or `Species`.
    charges
        Selection, or name of a species of atoms -> charge of each of its atoms, e; in
        place of those of the topology.

    Raises
    ------
    InputError
        When a selection is empty or wrong, charges or masses are missing, or particles of
        a species differ in charge.
    """
    if not species:
        raise InputError("species of profiles", wanted="one or more", got="none")
    specs = {
        name: Species(one) if isinstance(one, str) else one
        for name, one in species.items()
    }
    groups = {name: selected(universe, one.selection) for name, one in specs.items()}
    q, m = _charges(universe, groups, charges or {}), _masses(universe)
    bodies, numbers, mass, followed, atoms = {}, [], [], [], []
    member = np.zeros((len(specs), universe.atoms.n_atoms))
    for s, (name, one) in enumerate(specs.items()):
        index = groups[name].indices
        if one.of == "atoms":
            member[s, index] = 1
            own, weights, ids = q[index], m[index], index
        else:
            index, begin = _by_residue(groups[name])
            bodies[s] = index, begin
            own, weights = (np.add.reduceat(v[index], begin) for v in (q, m))
            ids = np.full(len(begin), -1)
        numbers.append(_common(name, own))
        if not (weights > 0).all():
            raise InputError(
                f"masses of the species {name}", wanted="positive ones", got="zero"
            )
        mass.append(float(weights.mean()))
        followed.append(np.full(len(ids), s))
        atoms.append(ids)
    kind, (members, kind_charge, kind_mass) = _kinds(member, q, m)
    return Particles(
        list(specs),
        np.array(numbers),
        np.array(mass),
        kind,
        members,
        kind_charge,
        kind_mass,
        bodies,
        np.concatenate(followed),
        np.concatenate(atoms),
        q,
        m,
    )


def _kinds(member: np.ndarray, q: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Kind of each atom; and memberships, charge and mass of each kind.

    Atoms that are counted alike are one kind: one histogram of integers serves all.
    """
    table = np.vstack([member, q, m])
    unique, kind = np.unique(table, axis=1, return_inverse=True)
    if unique.shape[1] > MOST_KINDS:
        unique, kind = np.unique(table[:-2], axis=1, return_inverse=True)
        unique = np.vstack([unique, np.full((2, unique.shape[1]), np.nan)])
    return np.ravel(kind), (unique[:-2], unique[-2], unique[-1])


def selected(universe, selection: str):
    """Atoms of a selection.

    Raises
    ------
    InputError
        When it is wrong or empty.
    """
    try:
        group = universe.select_atoms(selection)
    except Exception as exc:  # MDAnalysis raises many kinds
        raise InputError(
            f"the selection {selection!r}",
            wanted="MDAnalysis' selection language, such as 'name NA' or 'resname SOL'",
            got=str(exc).splitlines()[0] if str(exc) else type(exc).__name__,
        ) from exc
    if group.n_atoms == 0:
        known = (
            sorted(set(universe.atoms.names)) if hasattr(universe.atoms, "names") else []
        )
        raise InputError(
            f"the selection {selection!r}",
            wanted="one atom or more",
            got="none; names are " + ", ".join(known[:12]),
        )
    return group


def _charges(universe, groups: Mapping, given: Mapping[str, float]) -> np.ndarray:
    charges = np.full(universe.atoms.n_atoms, np.nan)
    if hasattr(universe.atoms, "charges"):
        charges[:] = universe.atoms.charges
    for name, charge in given.items():
        group = groups[name] if name in groups else selected(universe, name)
        charges[group.indices] = charge
    missing = universe.atoms[~np.isfinite(charges)]
    if missing.n_atoms:
        raise InputError(
            "charges are missing",
            wanted="one for each atom",
            got=f"none for {missing.n_atoms} atoms, the first {missing[0].index} "
            f"({getattr(missing[0], 'name', '?')})",
            mend="a topology with charges (tpr, prmtop, psf, ...), or charges by "
            "selection (--charge SELECTION=CHARGE)",
        )
    return charges


def _masses(universe) -> np.ndarray:
    masses = getattr(universe.atoms, "masses", None)
    # Sites without mass are as good as any, particles are not.
    if masses is None or not (np.isfinite(masses) & (masses >= 0)).all():
        raise InputError(
            "masses are missing",
            wanted="one for each atom",
            got="none" if masses is None else f"{np.min(masses):g}",
            mend="a topology with masses, or universe.add_TopologyAttr('masses', ...)",
        )
    return np.asarray(masses, dtype=float)


def _by_residue(group) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(group.resindices, kind="stable")
    index, owner = group.indices[order], group.resindices[order]
    begin = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    return index, begin


def _common(name: str, charges: np.ndarray) -> float:
    if np.ptp(charges) > 1e-3:
        raise InputError(
            f"charges of the species {name}",
            wanted="particles of one charge",
            got=f"{charges.min():g} to {charges.max():g} e",
            mend="select each kind as a species of its own, or whole residues; "
            "for dipoles, neutral molecules alone",
        )
    return float(charges.mean())
