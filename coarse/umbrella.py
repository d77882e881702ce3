"""Umbrella windows as replicas, MBAR, free energies along coordinates.

MBAR is that of Shirts & Chodera 2008 (doi:10.1063/1.2978177), with a weight for each
frame, so that a bootstrap of blocks is but other weights. Units: nm, rad, kJ/mol, K.
Shapes: K windows (or states), N frames of all of them, D coordinates of a bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.stats import bootstrap_weights
from .coordinates import KINDS
from .langevin import GAS_CONSTANT
from .linear_forces import BatchedPotential

#: Largest difference of a reduced free energy in the last step of MBAR.
TOLERANCE = 1e-10
#: Steps in which MBAR converges, or does not.
ITERATIONS = 200


@dataclass(frozen=True)
class Umbrellas:
    """Biases of K windows on D coordinates.

    Of distances and angles k/2 (q - centre)^2, of dihedrals k (1 - cos(q - centre)).

    Attributes
    ----------
    coordinates
        D pairs: kind, as in `coordinates.KINDS`, and beads.
    centres
        Shape (K, D), nm or rad.
    stiffness
        Shape (K, D), kJ/mol/nm2 or kJ/mol.
    """

    coordinates: tuple[tuple[str, tuple[int, ...]], ...]
    centres: Tensor
    stiffness: Tensor

    def __post_init__(self):
        shapes = tuple(self.centres.shape), tuple(self.stiffness.shape)
        n = len(self.coordinates)
        if shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][1] != n:
            raise InputError("umbrella windows", wanted=f"centres and stiffness (K, {n})",
                             got=f"{shapes[0]} and {shapes[1]}")  # fmt: skip

    def values(self, x: Tensor) -> Tensor:
        """Coordinates of positions (F, B, 3), shape (F, D)."""
        return torch.cat([q for q, _, _ in self._found(x)], 1)

    def energies(self, x: Tensor) -> Tensor:
        """Bias of every window at each of F frames, shape (F, K), kJ/mol."""
        return self.of_values(self.values(x))

    def of_values(self, q: Tensor) -> Tensor:
        """As `energies`, of coordinates (F, D)."""
        off = q.unsqueeze(1) - self.centres.to(q.dtype)
        turns = torch.tensor([kind == "dihedral" for kind, _ in self.coordinates])
        shape = torch.where(turns, 1 - off.cos(), 0.5 * off.square())
        return (self.stiffness.to(q.dtype) * shape).sum(2)

    def reduced(self, temperature: float):
        """Of all windows at positions, as MBAR and replica exchange take them."""
        return lambda x: self.energies(x).double() / (GAS_CONSTANT * temperature)

    def forces(self, x: Tensor, window: Tensor) -> Tensor:
        """Forces (R, B, 3), kJ/mol/nm, on replicas that are in windows (R,)."""
        out = torch.zeros_like(x)
        sides = self.centres.to(x.dtype)[window], self.stiffness.to(x.dtype)[window]
        parts = zip(self.coordinates, self._found(x), *(s.unbind(1) for s in sides),
                    strict=True)  # fmt: skip
        for (kind, _), (q, gradient, index), centre, k in parts:
            off = q[:, 0] - centre
            slope = k * (off.sin() if kind == "dihedral" else off)
            out.index_add_(1, index, -slope.view(-1, 1, 1) * gradient[:, 0])
        return out

    def _found(self, x: Tensor):
        for kind, beads in self.coordinates:
            index = torch.tensor(beads)
            yield *KINDS[kind][0](x, index.unsqueeze(0)), index


@dataclass(frozen=True)
class Biased:
    """A potential with the bias of the window that each replica is in.

    Attributes
    ----------
    potential
        Without bias.
    umbrellas
        K windows.
    window
        Of each replica, shape (R,).
    """

    potential: BatchedPotential
    umbrellas: Umbrellas
    window: Tensor

    @property
    def validity(self) -> Mapping:
        """That of the model, where the potential has one."""
        return getattr(self.potential, "validity", {})

    def energy(self, x: Tensor) -> Tensor:
        """Shape (R,), kJ/mol, with bias."""
        bias = self.umbrellas.energies(x).gather(1, self.window.unsqueeze(1))
        return self.potential.energy(x) + bias[:, 0]

    def forces(self, x: Tensor) -> Tensor:
        """Shape (R, B, 3), kJ/mol/nm, with bias."""
        return self.potential.forces(x) + self.umbrellas.forces(x, self.window)


@dataclass(frozen=True)
class Mbar:
    """Reduced free energies of states and what weights of frames follow from.

    Attributes
    ----------
    free_energies
        Shape (K,), over kT; the first is zero.
    log_mixture
        Logarithm of the density of all frames over the unbiased one, shape (N,).
    frames
        Weight of each frame, shape (N,).
    """

    free_energies: Tensor
    log_mixture: Tensor = field(repr=False)
    frames: Tensor = field(repr=False)

    def weights(self, reduced: Tensor | float = 0.0) -> Tensor:
        """Of frames in the state with this reduced potential (N,); they sum to one.

        Zero is the unbiased state, when the reduced potentials that MBAR was given are
        biases alone.
        """
        return torch.softmax(self.frames.log() - self.log_mixture - reduced, 0)


def mbar(reduced: Tensor, state: Tensor, frames: Tensor | None = None) -> Mbar:
    """Free energies of K states from N frames: Newton's method on a convex function.

    Parameters
    ----------
    reduced
        Reduced potential of each frame in each state, shape (N, K); what is common to
        all states may be left out.
    state
        From which state each frame is, shape (N,).
    frames
        Weight of each frame, shape (N,); equal ones where absent.

    Raises
    ------
    InputError
        When numbers are not finite, or states do not overlap enough to converge.
    """
    u = reduced.double()
    w = torch.ones(len(u)).double() if frames is None else frames.double()
    if u.ndim != 2 or not (u.shape[0] == len(state) == len(w) and u.isfinite().all()):
        raise InputError("reduced potentials for MBAR", wanted="finite numbers (N, K)",
                         got=f"{tuple(u.shape)} of {len(state)} frames")  # fmt: skip
    count = w.new_zeros(u.shape[1]).index_add(0, state, w)
    log_count = count.log()

    def mixture(f: Tensor) -> Tensor:
        return torch.logsumexp(log_count + f - u, 1)

    def value(f: Tensor) -> Tensor:
        return (w @ mixture(f) - count @ f) / w.sum()

    f = w.new_zeros(u.shape[1])
    for _ in range(10):  # substitution gets near to where Newton's method converges
        f = _free(u, w, mixture(f))
    for _ in range(ITERATIONS):
        part = (log_count + f - u - mixture(f).unsqueeze(1)).exp()
        shared = (part.T * w) @ part
        curve, slope = torch.diag(w @ part) - shared, w @ part - count
        # The inverse but for a constant, and for states that have no frames.
        step = -torch.linalg.pinv(curve, rtol=1e-12, hermitian=True) @ slope
        scale, before = 1.0, value(f)
        while scale > 1e-3 and value(f + scale * step) > before + 1e-13 * before.abs():
            scale *= 0.5
        f = f + scale * step
        if float(step.abs().max()) < TOLERANCE:
            _check_overlap(shared, count)
            f = _free(u, w, mixture(f))
            return Mbar(f - f[0], mixture(f) - f[0], w)
    raise _apart(f"free energies that still move by {float(step.abs().max()):.1e} kT")


def _free(u: Tensor, w: Tensor, log_mixture: Tensor) -> Tensor:
    """Free energies (K,) that follow from a mixture; also of states without frames."""
    return -torch.logsumexp(w.log().unsqueeze(1) - u - log_mixture.unsqueeze(1), 0)


def _check_overlap(shared: Tensor, count: Tensor) -> None:
    """Refuse states that fall into groups with less than a frame between them."""
    held = count > 0
    root = count[held].sqrt()
    values = torch.linalg.eigvalsh(shared[held][:, held] / root.outer(root))
    if len(values) > 1 and (1 - values[-2]) * count.sum() < 1:
        raise _apart(f"groups of states that {1 - values[-2]:.0e} of the frames link")


def _apart(got: str) -> InputError:
    return InputError(
        "free energies by MBAR", wanted="states that overlap", got=got,
        mend="windows closer to each other, softer biases, or longer runs",
    )  # fmt: skip


def pmf(
    q: Tensor,
    reduced: Tensor,
    state: Tensor,
    edges: Tensor,
    temperature: float,
    *,
    blocks: int = 10,
    replicates: int = 50,
    seed: int = 0,
) -> np.ndarray:
    """Free energy along a coordinate, by MBAR, with replicates from blocks.

    Parameters
    ----------
    q
        Coordinate of each frame, shape (N,), in the order of time within each state.
    reduced, state
        As `mbar`: biases over kT (N, K), and where each frame is from (N,).
    edges
        Of bins, shape (n + 1,), rising and evenly spaced.
    temperature
        K.
    blocks
        Of consecutive frames of each state, that are resampled.
    replicates, seed
        Of the bootstrap.

    Returns
    -------
    ndarray, shape (replicates + 1, n)
        kJ/mol; replicate 0 is the point estimate. The zero of each is where the mean of
        exp(-W/kT) over bins is one: noise of one bin does not shift all. NaN or infinity
        where a bin is empty.
    """
    block = _blocks(state, blocks)
    weights = torch.ones(replicates + 1, len(state), dtype=torch.float64)
    for k in state.unique().tolist():
        drawn = torch.from_numpy(bootstrap_weights(blocks, replicates, seed + 7919 * k))
        own = state == k
        weights[:, own] = drawn[:, block[own]]
    bin_of = torch.bucketize(q.double(), edges.double(), right=True) - 1
    inside = (bin_of >= 0) & (bin_of < len(edges) - 1)
    out = []
    for row in weights:
        used = row > 0
        found = mbar(reduced[used], state[used], row[used]).weights()
        inner = inside[used]
        density = found.new_zeros(len(edges) - 1)
        density.index_add_(0, bin_of[used][inner], found[inner])
        out.append(-GAS_CONSTANT * temperature * (density / density.mean()).log())
    return torch.stack(out).numpy()


def _blocks(state: Tensor, blocks: int) -> Tensor:
    """Number of the block of each frame within its state, shape (N,)."""
    out = torch.zeros_like(state)
    for k in state.unique():
        own = (state == k).nonzero()[:, 0]
        if len(own) < blocks:
            raise InputError("frames of a window", wanted=f"{blocks} blocks at least",
                             got=f"{len(own)} frames in window {int(k)}")  # fmt: skip
        out[own] = torch.arange(len(own)) * blocks // len(own)
    return out
