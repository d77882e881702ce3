"""Pair potentials of mean force from forces: streaming normal equations per block.

Multiscale coarse graining with splines (Noid et al. 2008, doi:10.1063/1.2938857). What
formal charges do is taken off first, so that the splines hold the short range only.
Lengths are in nm, energies in kJ/mol, in this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import openmm
import vesin
import xarray as xr

from ..core.coulomb import coulomb_force
from ..core.errors import InputError
from ..core.stats import bootstrap_weights
from ..core.units import AVOGADRO, NM
from .force_maps import basic_force_map
from .maps import BeadMap
from .splines import PairSpline

Progress = Callable[[float, float, str], None]

#: Penalty of the second differences of coefficients over the mean diagonal of the normal
#: equations: decides only where no pair was seen.
ROUGHNESS = 1e-7
#: Relative accuracy of the Coulomb forces that are taken off.
EWALD_TOLERANCE = 5e-5
#: Pairs below the innermost cell of this width that was visited are extrapolated.
CELL = 0.005


@dataclass(frozen=True)
class NormalEquations:
    """Additive statistics of force matching; U blocks, P pairs, m coefficients per pair.

    Attributes
    ----------
    pairs
        Names such as ``"Na-Cl"``.
    gram
        Shape (U, P m, P m).
    moment
        Shape (U, P m).
    square
        Sum of squared forces that were matched, shape (U,), (kJ/mol/nm)2.
    rows
        Number of force components, shape (U,).
    seen
        Pairs per cell of `CELL` nm, shape (P, n_cells).
    """

    pairs: tuple[str, ...]
    gram: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    rows: np.ndarray
    seen: np.ndarray

    def solve(self, weights: np.ndarray) -> np.ndarray:
        """Coefficients for each row of bootstrap weights, shape (R, P, m)."""
        size = self.gram.shape[-1]
        m = size // len(self.pairs)
        bend = np.diff(np.eye(m), 2, axis=0)
        penalty = np.kron(np.eye(len(self.pairs)), bend.T @ bend)
        out = []
        for weight in weights:
            gram = np.tensordot(weight, self.gram, 1)
            gram += ROUGHNESS * np.trace(gram) / size * penalty
            gram += 1e-12 * np.trace(gram) / size * np.eye(size)
            out.append(np.linalg.solve(gram, weight @ self.moment))
        return np.array(out).reshape(len(weights), len(self.pairs), m)

    def residual(self, coefficients: np.ndarray) -> float:
        """Root mean square of the force that is left, kJ/mol/nm."""
        c = coefficients.ravel()
        left = self.square.sum() - 2 * c @ self.moment.sum(0) + c @ self.gram.sum(0) @ c
        return float(np.sqrt(max(left, 0.0) / self.rows.sum()))

    def innermost(self) -> np.ndarray:
        """Smallest distance at which each pair was seen ten times, shape (P,), nm."""
        enough = np.cumsum(self.seen, axis=1) >= 10
        if not enough[:, -1].all():
            missing = [p for p, e in zip(self.pairs, enough[:, -1], strict=True) if not e]
            raise InputError(
                "pairs that never meet within the cut-off",
                wanted="ten encounters of each pair",
                got=", ".join(missing),
                mend="a longer cut-off or a longer run",
            )
        return CELL * (enough.argmax(axis=1) + 1)


def pair_names(species: Sequence[str]) -> tuple[str, ...]:
    """Names of all pairs of the species, in the order of their first appearance."""
    names = list(dict.fromkeys(species))
    return tuple(f"{a}-{b}" for a, b in combinations_with_replacement(names, 2))


def pair_index(species: Sequence[str]) -> np.ndarray:
    """Index of the pair of two beads' species, shape (S, S)."""
    n = len(set(species))
    index = np.zeros((n, n), dtype=np.intp)
    for k, (a, b) in enumerate(combinations_with_replacement(range(n), 2)):
        index[a, b] = index[b, a] = k
    return index


def accumulate(
    frames: Sequence[xr.Dataset],
    bead_map: BeadMap,
    charges: np.ndarray,
    spline: PairSpline,
    *,
    block: int,
    stride: int = 1,
    progress: Progress | None = None,
) -> NormalEquations:
    """One pass over trajectories.

    Parameters
    ----------
    frames
        ``frames/1`` of each replica, periodic in all directions, with forces.
    bead_map
        Atoms to beads.
    charges
        Formal charge of each bead, shape (B,), e.
    spline
        Basis of each pair.
    block
        Frames per unit of the bootstrap; an incomplete last block is left out.
    stride
        Every `stride`-th frame is used.
    progress
        Called with (done, total, text).

    Raises
    ------
    InputError
        When there is no complete block, or the cut-off exceeds half the box.
    """
    todo = [ds.sizes["frame"] // block for ds in frames]
    if sum(todo) < 2:
        raise InputError(
            "too few frames for force matching",
            wanted=f"two blocks of {block} frames",
            got=str([ds.sizes["frame"] for ds in frames]),
        )
    match = _Matcher(bead_map, charges, spline, frames[0]["box"].values[0] / NM)
    blocks = []
    for ds, n_blocks in zip(frames, todo, strict=True):
        for b in range(n_blocks):
            blocks.append(match.block(ds, range(b * block, (b + 1) * block, stride)))
            if progress is not None:
                progress(len(blocks), sum(todo), "blocks")
    gram, moment, square, rows = (np.array([x[i] for x in blocks]) for i in range(4))
    return NormalEquations(match.pairs, gram, moment, square, rows, match.seen)


class _Matcher:
    """Adds up the normal equations of frames."""

    def __init__(self, bead_map, charges, spline, box):
        if spline.cutoff > 0.5 * np.diag(box).min():
            raise InputError(
                "cut-off of the force matching",
                wanted=f"at most half the box, {0.5 * np.diag(box).min():.4g} nm",
                got=f"{spline.cutoff:.4g} nm",
            )
        self.map, self.spline = bead_map, spline
        self.force_map = basic_force_map(bead_map)
        names = list(dict.fromkeys(bead_map.species))
        self.kind = np.array([names.index(s) for s in bead_map.species])
        self.pairs = pair_names(bead_map.species)
        self.index = pair_index(bead_map.species)
        self.seen = np.zeros((len(self.pairs), int(spline.cutoff / CELL) + 1))
        self._neighbours = vesin.NeighborList(cutoff=spline.cutoff, full_list=False)
        self._coulomb = _coulomb_context(charges, spline.cutoff, box)

    def block(self, ds: xr.Dataset, frames: range):
        size = len(self.pairs) * self.spline.size
        gram, moment = np.zeros((size, size)), np.zeros(size)
        square, rows = 0.0, 0
        to_kj = NM * AVOGADRO / 1e3
        for k in frames:
            x = self.map.positions(ds["positions"].values[k] / NM)
            box = ds["box"].values[k] / NM
            force = self.force_map.forces(ds["forces"].values[k].astype(float)) * to_kj
            target = (force - self._coulomb_forces(x, box)).ravel()
            design = self._design(x, box)
            gram += design.T @ design
            moment += design.T @ target
            square += target @ target
            rows += target.size
        return gram, moment, square, rows

    def _coulomb_forces(self, x: np.ndarray, box: np.ndarray) -> np.ndarray:
        self._coulomb.setPeriodicBoxVectors(*box)
        self._coulomb.setPositions(x)
        return self._coulomb.getState(getForces=True).getForces(asNumpy=True)._value

    def _design(self, x: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Force of each basis function on each bead component, shape (3 B, P m)."""
        found = self._neighbours.compute(x, box, periodic=True, quantities="ijD")
        i, j, vector = found[0].astype(np.intp), found[1].astype(np.intp), found[2]
        r = np.sqrt((vector**2).sum(axis=1))
        pair = self.index[self.kind[i], self.kind[j]]
        np.add.at(self.seen, (pair, (r / CELL).astype(np.intp)), 1)
        first, _, slope = self.spline.evaluate(r)
        m, wide = self.spline.size, self.spline.intervals + 3
        column = pair[:, None] * wide + first[:, None] + np.arange(4)
        n, columns = 3 * len(x), len(self.pairs) * wide
        total = np.zeros(n * columns)
        unit = vector / r[:, None]
        for axis in range(3):
            # u'(r) pulls i along the vector to j, and j the other way.
            value = (slope * unit[:, axis, None]).ravel()
            for bead, sign in ((i, 1.0), (j, -1.0)):
                flat = (3 * bead[:, None] + axis) * columns + column
                total += sign * np.bincount(flat.ravel(), value, minlength=total.size)
        dense = total.reshape(n, len(self.pairs), wide)[..., :m]
        return dense.reshape(n, -1)


def _coulomb_context(charges: np.ndarray, cutoff: float, box) -> openmm.Context:
    system = openmm.System()
    for _ in charges:
        system.addParticle(1.0)
    system.setDefaultPeriodicBoxVectors(*box)
    system.addForce(coulomb_force(charges, cutoff, EWALD_TOLERANCE))
    platform = openmm.Platform.getPlatformByName("CPU")
    integrator = openmm.VerletIntegrator(1e-3)
    return openmm.Context(system, integrator, platform, {"Threads": "1"})


def fit(
    equations: NormalEquations, replicates: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients with bootstrap replicates.

    Returns
    -------
    coefficients : ndarray, shape (R + 1, P, m)
        kJ/mol; replicate 0 uses every block.
    inner : ndarray, shape (P,)
        Distance below which a pair was hardly seen, nm.
    """
    weights = bootstrap_weights(len(equations.rows), replicates, seed)
    return equations.solve(weights), equations.innermost()
