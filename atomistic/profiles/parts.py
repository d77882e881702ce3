"""Groups of particles that the bootstrap may resample, and what each of them holds.

Atoms are parted by the species that they belong to; what belongs to none, by charge and
mass of its residues. Every part is dealt out to all groups, residue by residue, so that
molecules stay whole. A resample of groups counts each part by its share of particles:
then it has as many of each as the system, and its charge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .particles import Particles

#: Groups that particles are dealt into, and fewest that are worth it.
MOST_GROUPS, FEWEST_GROUPS = 24, 10


@dataclass(frozen=True)
class Parts:
    """Parts of all atoms, P of them, in G groups.

    Attributes
    ----------
    part, group
        Of each atom, shape (n_atoms,); group G is for what is too rare to be dealt out,
        of which every group has an equal share.
    owner
        Whether a part belongs to a species, shape (S, P).
    followed
        Group of each followed particle, shape (M,).
    share
        Particles of each species and atoms of each part in a group, over all of them,
        shape (G, S + P).
    """

    part: np.ndarray
    group: np.ndarray
    owner: np.ndarray
    followed: np.ndarray
    share: np.ndarray

    @property
    def groups(self) -> int:
        """Number of groups, one where nothing is dealt out."""
        return len(self.share)

    @classmethod
    def whole(cls, kind: np.ndarray, species: int) -> Parts:
        """One group; each particle is an atom of its species."""
        group, owner = np.zeros_like(kind), np.eye(species, dtype=bool)
        return cls(kind, group, owner, group, np.ones((1, 2 * species)))


def parts_of(particles: Particles, residue: np.ndarray, groups: int | None) -> Parts:
    """Deal out particles.

    Parameters
    ----------
    particles
        Of the universe.
    residue
        Of each atom, shape (n_atoms,).
    groups
        Number of groups; as many as the rarest species allows when None.
    """
    if groups is None:
        rarest = int(np.bincount(particles.followed).min())
        groups = min(MOST_GROUPS, rarest) if rarest >= FEWEST_GROUPS else 1
    owner = particles.member[:, particles.kind] > 0
    for s, (atoms, _) in particles.bodies.items():
        owner[s, atoms] = True
    codes = 2.0 ** np.arange(len(owner)) @ owner
    _, first, part = np.unique(codes, return_index=True, return_inverse=True)
    group = np.zeros(len(part), dtype=np.intp)
    if groups > 1:
        for p, atom in enumerate(first):
            atoms = np.flatnonzero(part == p)
            rank = _ranked(residue[atoms], groups)
            if owner[:, atom].any():
                group[atoms] = rank % groups
            else:
                part[atoms], group[atoms] = _dealt(rank, particles, atoms, groups)
        # What belongs to nobody has codes of its own, negative ones.
        _, first, part = np.unique(part, return_index=True, return_inverse=True)
    begins = np.where(particles.atoms < 0, 0, particles.atoms)
    for s, (atoms, begin) in particles.bodies.items():
        begins[particles.followed == s] = atoms[begin]
    followed = group[begins]
    share = np.hstack([
        _shares(particles.followed, followed, len(owner), groups),
        _shares(part, group, len(first), groups),
    ])  # fmt: skip
    if (share == 0).any():  # a resample could lose all of what species share
        return parts_of(particles, residue, 1)
    return Parts(part, group, owner[:, first], followed, share)


def _ranked(residue: np.ndarray, groups: int) -> np.ndarray:
    """Rank of each atom's residue, or of the atom where there are few residues."""
    _, rank = np.unique(residue, return_inverse=True)
    return rank if rank.max() + 1 >= groups else np.arange(len(residue))


def _dealt(rank: np.ndarray, particles: Particles, atoms: np.ndarray, groups: int):
    """Part (negative) and group of atoms that belong to no species."""
    sums = [np.bincount(rank, v[atoms]) for v in (particles.charges, particles.masses)]
    alike = np.unique(np.round(sums, 3), axis=1, return_inverse=True)[1].ravel()
    part, group = np.full(len(alike), -1), np.full(len(alike), groups)
    for k, number in enumerate(np.bincount(alike)):
        if number >= groups:
            mine = alike == k
            part[mine], group[mine] = -2 - k, np.arange(number) % groups
    return part[rank], group[rank]


def _shares(what: np.ndarray, group: np.ndarray, n: int, groups: int) -> np.ndarray:
    """Part of the members of each of n that a group has, shape (G, n)."""
    dealt = group < groups
    flat = group[dealt] * n + what[dealt]
    members = np.bincount(flat, minlength=groups * n).reshape(groups, n).astype(float)
    members[:, members.sum(axis=0) == 0] = 1.0
    return members / members.sum(axis=0)
