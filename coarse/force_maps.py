"""Forces of beads: linear maps of atoms' forces with the mean force, and little noise.

Any W with W C^T = 1 gives forces whose mean at fixed beads is the mean force (Noid et al.
2008, doi:10.1063/1.2938860), if atoms tied by rigid bonds have equal columns. Of these,
the optimal map has the least mean square force: the least noise, as the mean force is the
same (Kraemer et al. 2023, doi:10.1021/acs.jpclett.3c00444). Maps are of molecules: forces
of others are not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import null_space, pinvh
from scipy.sparse import csr_matrix

from ..core.errors import InputError, SchemaError
from .maps import TOLERANCE, BeadMap, Template, apply
from .rigid_bonds import Pairs, constraint_groups

#: Force components that each free weight of an optimal map asks for: the excess noise in
#: other frames is about the inverse.
SAMPLES = 10


@dataclass(frozen=True, eq=False)
class ForceMap:
    """Forces of beads, F = W f.

    Attributes
    ----------
    beads
        The map of positions, C.
    blocks
        W of a molecule of each template, shape (b, n) each.
    """

    beads: BeadMap
    blocks: tuple[np.ndarray, ...]

    def __post_init__(self):
        found = [block.shape for block in self.blocks]
        wanted = [template.weights.shape for template in self.beads.templates]
        if found != wanted:
            raise InputError("shapes of a force map", wanted=str(wanted), got=str(found))
        for block, template in zip(self.blocks, self.beads.templates, strict=True):
            off = np.abs(block @ template.weights.T - np.eye(len(template.beads)))
            if not off.max() < TOLERANCE:
                raise InputError(
                    f"force map of {template.name}",
                    wanted="W C^T = 1, or the forces are biased",
                    got=f"off by {off.max():.3g}",
                    mend="the basic or the optimal force map",
                )

    @cached_property
    def matrix(self) -> csr_matrix:
        """W, shape (B, N)."""
        return self.beads.assemble(self.blocks)

    def forces(self, f: np.ndarray) -> np.ndarray:
        """Forces of beads, shape (..., B, 3), from those of atoms, shape (..., N, 3)."""
        return apply(self.matrix, f)

    def covariance(self, atoms: ForceCovariance) -> tuple[np.ndarray, ...]:
        """Mean products of bead forces per component, shape (b, b) each, (kJ/mol/nm)2."""
        each = zip(self.blocks, atoms.sums, atoms.samples, strict=True)
        return tuple(w @ s @ w.T / (3 * n) for w, s, n in each)

    def rms(self, atoms: ForceCovariance) -> float:
        """Root mean square of the components of all beads' forces, kJ/mol/nm."""
        found = zip(self.covariance(atoms), self.beads.numbers, strict=True)
        square = sum(np.trace(s) * len(n) for s, n in found)
        return float(np.sqrt(square / len(self.beads.species)))

    def tensors(self) -> dict[str, np.ndarray]:
        """What goes into the tensors of a model file, beside those of the bead map."""
        return {f"map.{k}.force_weights": w for k, w in enumerate(self.blocks)}


def load_force_map(beads: BeadMap, tensors: Mapping[str, np.ndarray]) -> ForceMap:
    """The force map of `ForceMap.tensors`.

    Raises
    ------
    SchemaError
        When a part is missing or of another shape.
    """
    try:
        names = [f"map.{k}.force_weights" for k in range(len(beads.templates))]
        return ForceMap(beads, tuple(tensors[name] for name in names))
    except (KeyError, ValueError) as exc:
        raise SchemaError(
            "the force map of a model file", wanted="what `tensors` gives",
            got=f"{type(exc).__name__}: {exc}",
        ) from exc  # fmt: skip


@dataclass(frozen=True, eq=False)
class ForceCovariance:
    """Sums of products of forces within molecules; those of parts of the data add up.

    Attributes
    ----------
    sums
        Of each template, shape (n, n) each, over x, y, z, molecules and frames,
        (kJ/mol/nm)2.
    samples
        Molecules times frames of each template.
    """

    sums: tuple[np.ndarray, ...]
    samples: tuple[int, ...]

    @classmethod
    def of(cls, beads: BeadMap, f: np.ndarray) -> ForceCovariance:
        """From forces of atoms, shape (..., N, 3), kJ/mol/nm.

        Raises
        ------
        InputError
            When forces are missing (none, or all zero), not finite or of other atoms.
        """
        if np.ndim(f) < 2 or np.shape(f)[-2:] != (beads.n_atoms, 3):
            raise InputError(
                "forces of atoms", wanted=f"shape (..., {beads.n_atoms}, 3), as the map",
                got=str(np.shape(f)) if np.ndim(f) else "none",
                mend="a trajectory that holds forces",
            )  # fmt: skip
        if not np.isfinite(f).all() or not np.any(f):
            raise InputError(
                "forces of atoms",
                wanted="finite forces, not all zero",
                got="NaN or infinity" if np.any(f) else "only zeros",
                mend="a trajectory that holds forces",
            )
        sums, samples = [], []
        for template in beads.templates:
            own = f[..., template.atoms, :].reshape(-1, *template.atoms.shape[1:], 3)
            rows = own.swapaxes(0, 1).reshape(own.shape[1], -1).astype(float)
            sums.append(rows @ rows.T)
            samples.append(len(own))
        return cls(tuple(sums), tuple(samples))

    def __add__(self, other: ForceCovariance) -> ForceCovariance:
        sums = zip(self.sums, other.sums, strict=True)
        samples = zip(self.samples, other.samples, strict=True)
        return ForceCovariance(
            tuple(a + b for a, b in sums), tuple(a + b for a, b in samples)
        )


def basic_force_map(beads: BeadMap, constraints: Pairs = ()) -> ForceMap:
    """The sum over a bead's atoms and over the atoms that rigid bonds tie to them.

    Parameters
    ----------
    beads
        The map of positions.
    constraints
        Rigid bonds as numbers of two atoms of the system, shape (M, 2).

    Raises
    ------
    InputError
        When beads share atoms or rigid groups: such a sum is not the force of a bead.
    """
    blocks = []
    groups = constraint_groups(beads, constraints)
    for template, group in zip(beads.templates, groups, strict=True):
        tied = _group_basis(group) > 0
        block = ((template.weights != 0) @ tied @ tied.T).astype(float)
        shared = np.flatnonzero(((block > 0) & (block > 0).any(0)).sum(0) > 1)
        if len(shared):
            _refuse(template, shared, "atoms of one bead each", "the optimal force map")
        blocks.append(block)
    return ForceMap(beads, tuple(blocks))


def optimal_force_map(
    beads: BeadMap, covariance: ForceCovariance, constraints: Pairs = ()
) -> ForceMap:
    """The force map of least noise: min tr(W S W^T) with W C^T = 1, in closed form.

    W = W0 + A N^T, with N the null space of C, solves the constraints for every A; then
    A = -W0 S N (N^T S N)^+ . The pseudo-inverse takes the smallest weights where forces
    leave a choice.

    Parameters
    ----------
    beads
        The map of positions.
    covariance
        Of the forces, from all data or a part.
    constraints
        Rigid bonds as numbers of two atoms of the system, shape (M, 2).

    Raises
    ------
    InputError
        When rigid bonds tie beads to each other, or there are too few frames.
    """
    blocks = []
    groups = constraint_groups(beads, constraints)
    for template, group, total, samples in zip(
        beads.templates, groups, covariance.sums, covariance.samples, strict=True
    ):
        basis = _group_basis(group)
        reduced = template.weights @ basis
        if np.linalg.matrix_rank(reduced, tol=TOLERANCE) < len(reduced):
            shared = np.flatnonzero(((template.weights != 0) @ basis > 0).sum(0) > 1)
            members = np.flatnonzero((basis[:, shared] > 0).any(axis=1))
            _refuse(template, members, "beads that can move apart", "another map")
        free = basis.shape[1] - len(reduced)
        if 3 * samples < SAMPLES * free:
            raise InputError(
                f"too few frames for the optimal force map of {template.name}",
                wanted=f"{-(-SAMPLES * free // 3)} molecules times frames",
                got=str(samples),
                mend="more frames, or the basic force map",
            )
        blocks.append(_least(reduced, basis.T @ total @ basis) @ basis.T)
    return ForceMap(beads, tuple(blocks))


def _least(c: np.ndarray, s: np.ndarray) -> np.ndarray:
    """W of least tr(W S W^T) with W C^T = 1."""
    some, null = np.linalg.pinv(c).T, null_space(c)
    if null.shape[1] == 0:
        return some
    return some - some @ s @ null @ pinvh(null.T @ s @ null) @ null.T


def _group_basis(group: np.ndarray) -> np.ndarray:
    """Normalised indicator of each group, shape (n, g)."""
    member = np.eye(group.max() + 1)[group]
    return member / np.sqrt(member.sum(axis=0))


def _refuse(template: Template, atoms: np.ndarray, wanted: str, mend: str) -> None:
    names = [template.atom_names[i] for i in atoms]
    inside = (template.weights[:, atoms] != 0).any(axis=1)
    beads = [b for b, used in zip(template.beads, inside, strict=True) if used]
    raise InputError(
        f"beads of {template.name} that share atoms or rigid groups",
        wanted=wanted,
        got=f"{', '.join(beads)} share {', '.join(names[:8])}",
        mend=mend,
    )
