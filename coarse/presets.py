"""Bead maps that are wanted often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..core.errors import InputError
from .maps import BeadMap, Template
from .templates import Atoms, instances, share

Bead = tuple[str, int]


def one_bead_per_atom(species: Sequence[str]) -> BeadMap:
    """The map of monatomic ions: every atom is a bead."""
    names = np.array([str(s) for s in species])
    kinds = dict.fromkeys(names.tolist())
    templates = [
        Template(name, (name,), (name,), np.ones((1, 1)), np.argwhere(names == name))
        for name in kinds
    ]
    return BeadMap(tuple(templates), len(names))


def one_bead_per_molecule(
    topology: Atoms, kinds: Sequence[str] | None = None, weights: str = "mass"
) -> BeadMap:
    """A bead for every residue, named after it.

    Parameters
    ----------
    topology
        Such as ``Atoms.of(universe)``.
    kinds
        Names of the residues that become beads; all of them by default.
    weights
        ``"mass"`` or ``"geometric"``.

    Raises
    ------
    InputError
        When there is no such residue, or residues of one name differ.
    """
    templates = []
    for kind in kinds or dict.fromkeys(topology.residues.tolist()):
        atoms = instances(topology, kind)
        row = share(topology.masses[atoms[0]], weights, kind)
        templates.append(topology.template(kind, atoms, (kind,), row[None]))
    return BeadMap(tuple(templates), len(topology.names))


def c_alpha(topology: Atoms) -> BeadMap:
    """A bead on the C-alpha of every amino acid, named after its residue.

    Caps lend their forces.

    Raises
    ------
    InputError
        When there is no residue with N, CA and C.
    """

    def beads(run: list[dict[str, int]]) -> Iterator[Bead]:
        for residue in run:
            if "CA" in residue:
                yield str(topology.residues[residue["CA"]]), residue["CA"]

    return _peptides(topology, beads)


def backbone(topology: Atoms) -> BeadMap:
    """Beads on N, CA and C of every amino acid and on C and N of the caps beside them.

    Of alanine dipeptide these are the five beads C N CA C N of Wang et al. 2019
    (doi:10.1021/acscentsci.8b00913).

    Raises
    ------
    InputError
        When there is no residue with N, CA and C.
    """

    def beads(run: list[dict[str, int]]) -> Iterator[Bead]:
        for k, residue in enumerate(run):
            inner = ("N", "CA", "C") if "CA" in residue else ("N",) if k else ("C",)
            yield from ((name, residue[name]) for name in inner)

    return _peptides(topology, beads)


def _peptides(topology: Atoms, beads) -> BeadMap:
    """Beads, one atom each, of chains of amino acids; equal chains share a template."""
    kinds: dict[tuple, list[np.ndarray]] = {}
    for run in _runs(topology):
        numbers = [topology.residue[next(iter(r.values()))] for r in run]
        atoms = np.flatnonzero(np.isin(topology.residue, numbers))
        names = (*topology.names[atoms], *topology.residues[atoms])
        chosen = tuple((s, int(np.searchsorted(atoms, a))) for s, a in beads(run))
        kinds.setdefault((names, chosen), []).append(atoms)
    if not kinds:
        raise InputError("amino acids", wanted="residues with N, CA and C", got="none")
    templates = []
    for (names, chosen), found in kinds.items():
        species, where = zip(*chosen, strict=True)
        block = np.eye(len(names) // 2)[list(where)]
        templates.append(topology.template("peptide", np.array(found), species, block))
    return BeadMap(tuple(templates), len(topology.names))


def _runs(topology: Atoms) -> Iterator[list[dict[str, int]]]:
    """Amino acids that follow each other in a chain, with the caps before and after.

    Each residue is given as the numbers of its atoms by name.
    """
    start = np.flatnonzero(np.diff(topology.residue, prepend=-1))
    parts = np.split(np.arange(len(topology.names)), start[1:])
    residues = [{str(topology.names[i]): int(i) for i in part} for part in parts]
    whole = [{"N", "CA", "C"} <= r.keys() for r in residues]
    chain = topology.chain[start]
    k = 0
    while k < len(parts):
        end = k
        while end < len(parts) and whole[end] and chain[end] == chain[k]:
            end += 1
        if end > k:
            before = k and chain[k - 1] == chain[k] and "C" in residues[k - 1]
            after = end < len(parts) and chain[end] == chain[k] and "N" in residues[end]
            yield residues[k - bool(before) : end + bool(after)]
        k = max(end, k + 1)
