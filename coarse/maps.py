"""From atoms to beads: linear maps, held once for each kind of molecule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from ..core.errors import InputError, SchemaError

#: How far the weights of a bead may be from adding up to one.
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Template:
    """Molecules of one kind: I of them, each n atoms and b beads.

    Attributes
    ----------
    name
        Name of the kind.
    beads
        Species of each bead, length b.
    atom_names
        Names of the atoms, length n.
    weights
        Share of each atom in each bead's position, shape (b, n); rows sum to one. An atom
        may be in several beads, or in none: it then only lends its force.
    atoms
        Numbers of the atoms in the system, shape (I, n).
    """

    name: str
    beads: tuple[str, ...]
    atom_names: tuple[str, ...]
    weights: np.ndarray
    atoms: np.ndarray

    def __post_init__(self):
        wanted = (len(self.beads), len(self.atom_names))
        if self.weights.shape != wanted or self.atoms.shape[1:] != wanted[1:]:
            raise InputError(
                f"shapes of the map of {self.name}",
                wanted=f"weights {wanted}, atoms (molecules, {wanted[1]})",
                got=f"weights {self.weights.shape}, atoms {self.atoms.shape}",
            )
        sums = self.weights.sum(axis=1)
        for bead, row, total in zip(self.beads, self.weights, sums, strict=True):
            if not row.any():
                raise InputError(
                    f"bead {bead} of {self.name} is empty",
                    wanted="an atom with a weight",
                    got="none",
                )
            if not abs(total - 1) < TOLERANCE:
                raise InputError(
                    f"weights of bead {bead} of {self.name}",
                    wanted="weights that sum to one",
                    got=f"{total:.10g}",
                )


@dataclass(frozen=True, eq=False)
class BeadMap:
    """Beads of a system: B beads of N atoms, R = C r.

    Beads are numbered molecule by molecule, in the order of the molecules' first atoms.

    Attributes
    ----------
    templates
        Kinds of molecules; molecules share no atoms.
    n_atoms
        Atoms of the system, N, with those in no molecule.
    """

    templates: tuple[Template, ...]
    n_atoms: int

    def __post_init__(self):
        if not any(len(t.atoms) for t in self.templates):
            raise InputError("a bead map without molecules", wanted="one at least")
        atoms = np.concatenate([t.atoms.ravel() for t in self.templates])
        if atoms.min() < 0 or atoms.max() >= self.n_atoms:
            raise InputError(
                "atoms of a bead map",
                wanted=f"numbers from 0 to {self.n_atoms - 1}",
                got=f"{atoms.min()} to {atoms.max()}",
            )
        times = np.bincount(atoms)
        if times.max() > 1:
            raise InputError(
                "molecules of a bead map",
                wanted="each atom in one molecule at most",
                got=f"atom {times.argmax()} in {times.max()}",
                mend="one template for beads that share atoms",
            )

    @cached_property
    def numbers(self) -> tuple[np.ndarray, ...]:
        """Numbers of the beads of each template, shape (I, b) each."""
        first = np.concatenate([t.atoms.min(axis=1) for t in self.templates])
        counts = [len(t.atoms) for t in self.templates]
        sizes = np.repeat([len(t.beads) for t in self.templates], counts)
        order = np.argsort(first)
        start = np.empty_like(order)
        start[order] = np.cumsum(sizes[order]) - sizes[order]
        parts = np.split(start, np.cumsum(counts)[:-1])
        pairs = zip(parts, self.templates, strict=True)
        return tuple(s[:, None] + np.arange(len(t.beads)) for s, t in pairs)

    @cached_property
    def species(self) -> tuple[str, ...]:
        """Species of each bead, length B."""
        out = np.empty(sum(n.size for n in self.numbers), dtype=object)
        for template, numbers in zip(self.templates, self.numbers, strict=True):
            out[numbers] = template.beads
        return tuple(out)

    @cached_property
    def matrix(self) -> csr_matrix:
        """C, shape (B, N)."""
        return self.assemble([t.weights for t in self.templates])

    def assemble(self, blocks: Sequence[np.ndarray]) -> csr_matrix:
        """Sparse matrix, shape (B, N), of a block (b, n) for each template."""
        rows, columns, values = [], [], []
        for block, template, beads in zip(
            blocks, self.templates, self.numbers, strict=True
        ):
            bead, atom = np.nonzero(block)
            rows.append(beads[:, bead].ravel())
            columns.append(template.atoms[:, atom].ravel())
            values.append(np.tile(block[bead, atom], len(beads)))
        where = np.concatenate(rows), np.concatenate(columns)
        shape = len(self.species), self.n_atoms
        return csr_matrix((np.concatenate(values), where), shape=shape)

    def positions(self, x: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
        """Positions of beads.

        Parameters
        ----------
        x
            Atoms, shape (..., N, 3).
        box
            Rows are box vectors, shape (3, 3) or (..., 3, 3), in the unit of `x`, and
            molecules are made whole first. Without it they must be whole.

        Returns
        -------
        ndarray, shape (..., B, 3)
            In the image of each molecule's first atom.
        """
        return apply(self.matrix, x if box is None else self.whole(x, box))

    def whole(self, x: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Atoms with molecules made whole, shape (..., N, 3).

        Along the atoms in their order: each is put beside the one before, so that those
        two must be nearer than half the smallest height of the box.

        Raises
        ------
        InputError
            When `box` is none.
        """
        out = np.array(x, dtype=float)
        box = np.asarray(box, dtype=float)
        vectors = box.shape[-2:] == (3, 3) and np.isfinite(box).all()
        if not vectors or np.abs(np.linalg.det(box)).min() == 0:
            raise InputError(
                "box", wanted="three box vectors, shape (3, 3) or (..., 3, 3)",
                got="no volume" if vectors else f"shape {box.shape}, or NaN",
                mend="of MDAnalysis take `triclinic_dimensions`; no box: leave it out",
            )  # fmt: skip
        inverse = np.linalg.inv(box)
        for template in self.templates:
            step = np.diff(out[..., template.atoms, :], axis=-2)
            flat = step.reshape(*x.shape[:-2], template.atoms[:, 1:].size, 3)
            shift = (np.round(flat @ inverse) @ box).reshape(step.shape)
            out[..., template.atoms[:, 1:], :] -= np.cumsum(shift, axis=-2)
        return out

    def masses(self, masses: np.ndarray) -> np.ndarray:
        """Masses of beads, shape (B,), from those of atoms, shape (N,).

        1/M = sum of c^2/m over a bead's atoms, with which the momenta are those of the
        mapped atoms where beads share none (Noid et al. 2008, doi:10.1063/1.2938860). Of
        a centre of mass it is the sum of masses, of one atom that atom's mass.
        """
        used = np.unique(self.matrix.indices)
        if np.shape(masses) != (self.n_atoms,):
            raise InputError("masses of atoms", wanted=f"shape ({self.n_atoms},)",
                             got=str(np.shape(masses)))  # fmt: skip
        if not (np.asarray(masses)[used] > 0).all():
            raise InputError(
                "masses of atoms in beads",
                wanted="positive masses",
                got=f"{np.min(np.asarray(masses)[used]):g}",
                mend="leave sites without mass out of beads",
            )
        inverse = np.zeros(self.n_atoms)
        inverse[used] = 1 / np.asarray(masses, dtype=float)[used]
        return 1 / (self.matrix.power(2) @ inverse)

    def as_json(self) -> dict:
        """The part of the map that goes into the header of a model file."""
        kinds = [
            {"name": t.name, "beads": list(t.beads), "atom_names": list(t.atom_names)}
            for t in self.templates
        ]
        return {"n_atoms": self.n_atoms, "templates": kinds}

    def tensors(self) -> dict[str, np.ndarray]:
        """The part of the map that goes into the tensors of a model file."""
        out = {}
        for k, template in enumerate(self.templates):
            out[f"map.{k}.weights"] = template.weights
            out[f"map.{k}.atoms"] = template.atoms
        return out


def load_map(header: Mapping, tensors: Mapping[str, np.ndarray]) -> BeadMap:
    """The map of `BeadMap.as_json` and `BeadMap.tensors`.

    Raises
    ------
    SchemaError
        When a part is missing or of another kind.
    """
    try:
        templates = [
            Template(
                str(t["name"]), tuple(t["beads"]), tuple(t["atom_names"]),
                tensors[f"map.{k}.weights"], tensors[f"map.{k}.atoms"],
            )
            for k, t in enumerate(header["templates"])
        ]  # fmt: skip
        return BeadMap(tuple(templates), int(header["n_atoms"]))
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        raise SchemaError(
            "the map of a model file", wanted="what `as_json` and `tensors` give",
            got=f"{type(exc).__name__}: {exc}",
        ) from exc  # fmt: skip


def apply(matrix: csr_matrix, values: np.ndarray) -> np.ndarray:
    """Beads' vectors, shape (..., B, 3), from atoms', shape (..., N, 3).

    Raises
    ------
    InputError
        When the number of atoms is not the map's.
    """
    values = np.asarray(values)
    if values.ndim < 2 or values.shape[-2:] != (matrix.shape[1], 3):
        raise InputError(
            "atoms of a frame",
            wanted=f"shape (..., {matrix.shape[1]}, 3), as in the map",
            got=str(values.shape),
        )
    flat = np.moveaxis(values, -2, 0).reshape(matrix.shape[1], -1)
    out = (matrix @ flat).reshape(matrix.shape[0], *values.shape[:-2], 3)
    return np.ascontiguousarray(np.moveaxis(out, 0, -2))
