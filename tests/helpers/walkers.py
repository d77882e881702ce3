"""Bulk walkers whose transport coefficients are known: truth for the estimators."""

import numpy as np

from mesobridge.atomistic.profiles import Paths
from mesobridge.core.units import BOLTZMANN, DALTON, NM, PS

TEMPERATURE = 300.0
BOX = np.full(3, 3 * NM)
VOLUME = float(np.prod(BOX))
KT = BOLTZMANN * TEMPERATURE


def brownian(species, n_frames, seed, *, spacing=PS, box=BOX):
    """Free walkers in the laboratory frame.

    `species`: name -> (number, D in m2/s, shared step in m, mass in Da). Besides its own
    noise each particle takes, along each axis and in each interval, the shared step times
    a number that all particles of all species have in common.
    """
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n_frames, 1, 3))
    paths, mass, names = [], [], []
    for name, (number, D, shared, dalton) in species.items():
        own = rng.standard_normal((n_frames, number, 3)) * np.sqrt(2 * D * spacing)
        start = rng.uniform(0, 1, (number, 3)) * box
        paths.append(start + np.cumsum(own + shared * common, axis=0))
        mass += [dalton * DALTON] * number
        names += [name] * number
    return Paths(np.concatenate(paths, axis=1), mass, names, spacing, box)


def onsager(species, spacing=PS):
    """Exact L (S, S) of `brownian`, times V kT: N_i D_i on the diagonal and shared steps.

    <dR_i . dR_j> over one interval is 3 (2 N_i D_i dt delta_ij + N_i a_i N_j a_j).
    """
    number, D, shared, _ = (np.array(x) for x in zip(*species.values(), strict=True))
    driven = number * shared
    return np.diag(number * D) + np.outer(driven, driven) / (2 * spacing)


def langevin(number, n_frames, seed, *, friction=5e12, spacing=0.02 * PS, dalton=29.0):
    """Cations and anions, Ornstein-Uhlenbeck velocities: D = kT / (m friction).

    Positions add up velocities by trapezoids.
    """
    rng = np.random.default_rng(seed)
    thermal = np.sqrt(KT / (dalton * DALTON))
    keep = np.exp(-friction * spacing)
    noise = rng.standard_normal((n_frames, number, 3))
    v = noise * thermal
    for k in range(1, n_frames):
        v[k] = keep * v[k - 1] + np.sqrt(1 - keep**2) * v[k]
    x = np.cumsum((v + np.roll(v, 1, axis=0)) / 2 * spacing, axis=0)
    names = ["cation"] * (number // 2) + ["anion"] * (number - number // 2)
    return Paths(x, np.full(number, dalton * DALTON), names, spacing, BOX, v)


def telegraph(n_frames, number, leave, enter, seed):
    """Independent two-state chains, booleans (F, N): probabilities per frame."""
    rng = np.random.default_rng(seed)
    draw = rng.random((n_frames, number))
    state = np.empty((n_frames, number), bool)
    state[0] = draw[0] < enter / (enter + leave)
    for k in range(1, n_frames):
        state[k] = np.where(state[k - 1], draw[k] >= leave, draw[k] < enter)
    return state
