"""Potentials of mean force of two ions in a solvent, from umbrella windows.

What windows in a small periodic box give is brought to infinite dilution, Coulomb's law
in the solvent is taken off, and what is left is a short-ranged pair potential of ions in
an implicit solvent. Units here: nm, kJ/mol, K, e; data sets are in SI.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..core.errors import InputError
from ..core.units import ELEMENTARY_CHARGE, KJ_MOL, NM, VACUUM_PERMITTIVITY
from .bases import Spline
from .langevin import GAS_CONSTANT
from .model import CGModel
from .pairs import pair_names
from .umbrella import pmf

#: Bins of distances and knots of the potential, nm.
BIN, KNOTS = 0.005, 0.02
#: Distances in a bin that every resample of blocks will have seen, per block.
ENOUGH = 5
#: 1 / (4 pi eps0), kJ/mol nm/e2.
COULOMB = ELEMENTARY_CHARGE**2 / (4 * np.pi * VACUUM_PERMITTIVITY * NM) / KJ_MOL


@dataclass(frozen=True)
class PairWindows:
    """Distances of two ions under umbrella biases k/2 (r - centre)^2.

    Attributes
    ----------
    pair
        Species joined by a hyphen.
    charges
        Of the two, e.
    centres
        Of K windows, nm.
    stiffness
        kJ/mol/nm2.
    distances
        Of each window in the order of time, nm.
    edge
        Of the cubic periodic box, nm.
    """

    pair: str
    charges: tuple[float, float]
    centres: Sequence[float]
    stiffness: float
    distances: Sequence[np.ndarray]
    edge: float

    def __post_init__(self):
        names, n = self.pair.split("-"), len(self.centres)
        if not (len(names) == len(self.charges) == 2 and n == len(self.distances)):
            raise InputError(
                f"windows of {self.pair}", wanted="two species and charges, distances of "
                "each window", got=f"{len(self.charges)} charges, {n} centres, distances "
                f"of {len(self.distances)}",
            )  # fmt: skip
        for k, found in enumerate(self.distances):
            if not len(found) or not np.isfinite(found).all():
                raise InputError(f"window {k} of {self.pair}", wanted="finite distances",
                                 got="NaN" if len(found) else "none")  # fmt: skip
        most = max(float(np.max(found)) for found in self.distances)
        if not (self.stiffness > 0 and most < self.edge):
            raise InputError(
                f"windows of {self.pair}", wanted="stiffness above zero and distances "
                "below the edge, nm",
                got=f"{self.stiffness:g} kJ/mol/nm2, {most:.3g} nm in {self.edge:.3g} nm",
            )  # fmt: skip


def implicit_ions(
    runs: Sequence[PairWindows],
    temperature: float,
    permittivity: float,
    *,
    cutoff: float = 0.85,
    tail: float = 0.6,
    blocks: int = 10,
    replicates: int = 50,
    seed: int = 0,
) -> CGModel:
    """Model of ions in an implicit solvent, from w_ij(r) at infinite dilution.

    Of the distribution of distances the volume 4 pi r^2 and the interaction with the
    periodic images are taken off, then charges in a medium. The short-ranged rest is
    zero, on average, from `tail` to the last window: there hydration shells make it
    oscillate about zero. Below the smallest distance that was seen it is an
    extrapolation (``inner``).

    Parameters
    ----------
    runs
        One of each pair of the species.
    temperature
        K.
    permittivity
        Relative, of the solvent of the runs.
    cutoff
        From where on the short-ranged part is zero, nm.
    tail
        From where on its mean is zero, nm.
    blocks
        Of each window, that are resampled.
    replicates, seed
        Of the bootstrap; runs are independent.

    Raises
    ------
    InputError
        When a pair is missing, temperature or permittivity is not above zero, windows do
        not overlap or do not reach from below `tail` to beyond it.

    Notes
    -----
    In a cubic box with tinfoil around, two charges feel the lattice of images and the
    background that neutralises it; averaged over directions their energy is
    q_i q_j (1/r + 2 pi r^2 / (3 L^3)) but for a constant, for r below L/2.
    """
    if not (0 < temperature < np.inf and 0 < permittivity < np.inf and cutoff > tail):
        raise InputError(
            "ions in a solvent", wanted="a temperature and a permittivity above zero, a "
            "cutoff beyond the tail", got=f"{temperature:g} K, {permittivity:g}, cutoff "
            f"{cutoff:g} nm and tail {tail:g} nm",
        )  # fmt: skip
    if replicates < 0 or blocks < 2:
        raise InputError("resampling", wanted="two blocks and no replicate, or more",
                         got=f"{blocks} and {replicates}")  # fmt: skip
    charges = _charges(runs)
    of_pair = {frozenset(run.pair.split("-")): run for run in runs}
    pairs = pair_names(list(charges))
    missing = [p for p in pairs if frozenset(p.split("-")) not in of_pair]
    if missing or len(runs) != len(pairs):
        raise InputError("pairs of ions", wanted=", ".join(pairs),
                         got=", ".join(run.pair for run in runs))  # fmt: skip
    found = []
    for number, pair in enumerate(pairs):
        run = of_pair[frozenset(pair.split("-"))]
        found.append(_dilute(run, temperature, permittivity, tail, blocks, replicates,
                             seed + 104_729 * number))  # fmt: skip
    basis = Spline.spaced(0.0, cutoff, KNOTS, "zero")
    fits = [_smooth(basis, r, w) for r, w in found]
    validity = {"temperature_K": temperature, "dilution": "infinite"}
    return CGModel(
        tuple(charges), tuple(charges.values()), pairs, basis,
        np.array(fits).swapaxes(0, 1), np.array([r[0] for r, _ in found]), blocks,
        validity, permittivity,
    )  # fmt: skip


def _charges(runs: Sequence[PairWindows]) -> dict[str, float]:
    charges: dict[str, float] = {}
    for run in runs:
        for name, charge in zip(run.pair.split("-"), run.charges, strict=True):
            if charges.setdefault(name, charge) != charge:
                raise InputError(f"charge of {name}", wanted=f"{charges[name]:g}, as in "
                                 "another pair", got=f"{charge:g}")  # fmt: skip
    return charges


def _dilute(run: PairWindows, temperature, permittivity, tail, blocks, replicates, seed):
    """Middles of the bins that were seen and w_SR (R + 1, bins), nm and kJ/mol."""
    for k, found in enumerate(run.distances):
        if len(found) < blocks:
            raise InputError(f"window {k} of {run.pair}",
                             wanted=f"{blocks} distances at least",
                             got=str(len(found)))  # fmt: skip
    q = torch.from_numpy(np.concatenate(run.distances))
    state = torch.from_numpy(np.repeat(np.arange(len(run.centres)),
                                       [len(d) for d in run.distances]))  # fmt: skip
    if not q.min() < tail:
        raise InputError(f"windows of {run.pair}", wanted=f"distances below {tail:g} nm",
                         got=f"from {q.min():.3f} nm on")  # fmt: skip
    off = q.unsqueeze(1) - torch.tensor(run.centres, dtype=torch.float64)
    thermal = GAS_CONSTANT * temperature
    reduced = 0.5 * run.stiffness / thermal * off.square()
    edges = _edges(q.numpy(), blocks)
    if edges[-1] < tail + KNOTS:
        raise InputError(f"windows of {run.pair}", wanted=f"distances beyond {tail:g} nm",
                         got=f"up to {edges[-1]:.3f} nm")  # fmt: skip
    w = pmf(q, reduced, state, torch.from_numpy(edges), temperature, blocks=blocks,
            replicates=replicates, seed=seed)  # fmt: skip
    r = 0.5 * (edges[1:] + edges[:-1])
    product = run.charges[0] * run.charges[1] * COULOMB / permittivity
    w = w + 2 * thermal * np.log(r)
    w = w - product * (1 / r + 2 * np.pi * r**2 / (3 * run.edge**3))
    return r, w - w[:, r > tail].mean(1, keepdims=True)


def _edges(q: np.ndarray, blocks: int) -> np.ndarray:
    """Of bins; the first and the last that are filled well enough for every resample."""
    low, high = np.floor(q.min() / BIN), np.ceil(q.max() / BIN)
    edges = BIN * np.arange(low, high + 1)
    count, _ = np.histogram(q, edges)
    good = np.flatnonzero(count >= ENOUGH * blocks)
    if not len(good) or count[good[0] : good[-1] + 1].min() < ENOUGH:
        raise InputError("distances of two ions",
                         wanted=f"{ENOUGH * blocks} in bins of {BIN:g} nm and no gap",
                         got=f"{count.max()} at most, gaps of {count.min()}",
                         mend="windows that overlap, longer runs")  # fmt: skip
    return edges[good[0] : good[-1] + 2]


def _smooth(basis: Spline, r: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Coefficients (R + 1, m) of splines through the bins."""
    design = basis.dense(torch.from_numpy(r))[0]
    # Functions below the bins are held by a roughness too small to matter within.
    matrix = design.T @ design + 1e-6 * basis.roughness()
    return torch.linalg.solve(matrix, design.T @ torch.from_numpy(w.T)).T.numpy()
