"""A salt in an implicit solvent: runs at given concentrations, osmotic coefficients.

Ions with the short-ranged potentials of a `CGModel` and Coulomb's law in its medium
(McMillan & Mayer 1945, doi:10.1063/1.1724036): their pressure is the osmotic pressure.
Units here: nm, kJ/mol, K; concentrations are in m-3, times in s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr
from openmm import app

from ..core.errors import InputError
from ..core.md import MDSettings, MDState, Progress, run_segments
from ..core.stats import bootstrap_weights
from ..core.units import KJ_MOL, NM
from .engine import make_system
from .langevin import GAS_CONSTANT
from .model import CGModel, temperature_of
from .neighbours import near_pairs
from .pairs import pair_index

#: Width of the bins of distances, nm; potentials are looked up in their middles.
BIN = 0.001
#: Part of the way to a replicate of the model.
NEARER = 0.25
#: Least share of frames that count after reweighting to another replicate.
EFFECTIVE = 0.1
#: Time between frames (s), and frames of a segment.
SAVE = 1e-12
SEGMENT = 200
#: Edge of a box that mesh and memory can bear, nm.
WIDEST = 1000.0
#: Friction (1/s): the solvent that is not there exchanges heat, dynamics is not asked.
FRICTION = 2e12


@dataclass(frozen=True)
class SaltSamples:
    """What frames of a salt say of its pressure, for every replicate of the model.

    Attributes
    ----------
    concentration
        Of the salt, m-3.
    n_ions
        In the box.
    coulomb
        Energy of the charges, shape (F,), kJ/mol.
    counts
        Pairs of ions at each distance, shape (F, P, bins).
    """

    concentration: float
    n_ions: int
    coulomb: np.ndarray = field(repr=False)
    counts: np.ndarray = field(repr=False)


def run_salt(
    model: CGModel,
    concentration: float,
    *,
    n_pairs: int = 64,
    length: float = 2e-9,
    settle: float = 2e-10,
    save: float = SAVE,
    timestep: float = 1e-14,
    seed: int = 0,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Frames of a salt of ions with opposite charges, ``frames/1``.

    Parameters
    ----------
    model
        Ions in an implicit solvent; two species of opposite charge.
    concentration
        Of the salt, m-3.
    n_pairs
        Ions of each species.
    length, settle, save, timestep
        Of the run, left out at its start, between frames, of a step; s.
    seed
        Of the start and the noise.
    scratch
        Folder for finished segments; a later call takes them up.
    progress
        See `core.md.run_segments`.

    Raises
    ------
    InputError
        When the salt is none or not of elements, or the box is too small for the
        potentials or too large.
    """
    if len(model.species) != 2 or sum(model.charges) != 0:
        raise InputError("a salt", wanted="two species of opposite charge",
                         got=f"charges {model.charges}")  # fmt: skip
    edge = (n_pairs / concentration) ** (1 / 3) / NM
    if edge < 2 * model.spline.stop:
        raise InputError(
            "a box of salt", wanted=f"an edge of {2 * model.spline.stop:.3g} nm at least",
            got=f"{edge:.3g} nm for {n_pairs} pairs", mend="more ions",
        )  # fmt: skip
    if not edge < WIDEST:
        raise InputError("concentration of a salt", wanted=f"a box of {n_pairs} pairs "
                         f"below {WIDEST:g} nm", got=f"{concentration:.3g} m-3",
                         mend="convert mol/L: 1 mol/L is 6.022e26 m-3")  # fmt: skip
    beads = [name for name in model.species for _ in range(n_pairs)]
    masses = [_mass(name) for name in beads]
    # So few ions have few pairs: a long direct sum saves most of the mesh.
    system = make_system(
        model, beads, masses, np.eye(3) * edge, coulomb_cutoff=0.49 * edge
    )
    start = MDState(_apart(len(beads), edge, seed), np.eye(3) * edge)
    stride = max(1, round(save / timestep))
    n_steps, before = (max(1, round(t / save)) * stride for t in (length, settle))
    run = run_segments(
        system, beads, start,
        MDSettings(temperature_of(model), timestep, FRICTION, seed),
        n_steps=n_steps + before, stride=stride, segment_steps=SEGMENT * stride,
        source="ions in an implicit solvent", scratch=scratch, progress=progress,
    )  # fmt: skip
    return run.frames.isel(frame=slice(before // stride, None))


def _mass(name: str) -> float:
    """Da."""
    try:
        return app.Element.getBySymbol(name).mass._value
    except KeyError:
        raise InputError("ions", wanted="symbols of elements", got=name) from None


def _apart(n: int, edge: float, seed: int) -> np.ndarray:
    """Sites of a grid, in a random order, shape (n, 3), nm."""
    rng, wide = np.random.default_rng(seed), int(np.ceil(n ** (1 / 3)))
    sites = np.indices((wide,) * 3).reshape(3, -1).T
    return (rng.permutation(sites)[:n] + 0.5) * edge / wide


def salt_samples(model: CGModel, frames: xr.Dataset) -> SaltSamples:
    """Counts of distances and energies of the charges in ``frames/1`` of `run_salt`.

    Parameters
    ----------
    model
        That of the run.
    frames
        F frames.
    """
    kinds = np.array([model.species.index(s) for s in frames["species"].values])
    index, n_bins = pair_index(len(model.species)), round(model.spline.stop / BIN)
    counts = np.zeros((frames.sizes["frame"], len(model.pairs) * n_bins), np.uint16)
    x, box = frames["positions"].values / NM, frames["box"].values / NM
    for f in range(len(counts)):
        near = near_pairs(x[f], box[f], model.spline.stop)
        place = (near.r / BIN).astype(int)
        within = place < n_bins
        column = index[kinds[near.i], kinds[near.j]] * n_bins + place
        counts[f] = np.bincount(column[within], minlength=counts.shape[1])
    short = counts @ _tables(model, 0)[0]
    volume = np.linalg.det(frames["box"].values[0])
    return SaltSamples(
        len(kinds) / 2 / volume, len(kinds),
        frames["energy"].values / KJ_MOL - short,
        counts.reshape(len(counts), len(model.pairs), n_bins),
    )  # fmt: skip


def _tables(model: CGModel, replicate: int) -> tuple[np.ndarray, np.ndarray]:
    """Energy and -r u'(r) of each pair in each bin, shape (P * bins,)."""
    r, h = (np.arange(round(model.spline.stop / BIN)) + 0.5) * BIN, 0.1 * BIN
    low, mid, high = (model.potential(r + d, replicate) for d in (-h, 0.0, h))
    return mid.ravel(), (-r * (high - low) / (2 * h)).ravel()


def osmotic_coefficient(
    model: CGModel, samples: SaltSamples, *, blocks: int = 20, seed: int = 0
) -> np.ndarray:
    """Osmotic pressure over that of ideal ions, from the virial.

    Replicates carry both the noise of the run, by its blocks, and that of the model:
    frames are reweighted to `NEARER` of the way to a replicate and the change stretched,
    since few would count for the whole way.

    Parameters
    ----------
    model
        That of the run.
    samples
        See `salt_samples`.
    blocks
        Of consecutive frames, that are resampled.
    seed
        Of the bootstrap.

    Returns
    -------
    ndarray, shape (R + 1,)

    Raises
    ------
    InputError
        When there are fewer frames than blocks, or a replicate is too far from the model
        that was run.
    """
    if len(samples.counts) < blocks:
        raise InputError("frames of a salt", wanted=f"{blocks} or more",
                         got=str(len(samples.counts)), mend="a longer run")  # fmt: skip
    thermal = GAS_CONSTANT * temperature_of(model)
    counts = samples.counts.reshape(len(samples.counts), -1)
    used = np.flatnonzero(counts.any(0))
    counts = counts[:, used].astype(float)
    if len(counts) < blocks:
        raise InputError("frames of a salt", wanted=f"{blocks} blocks at least",
                         got=str(len(counts)), mend="a longer run")  # fmt: skip
    block = np.arange(len(counts)) * blocks // len(counts)
    n = len(model.coefficients)
    rows = bootstrap_weights(blocks, n - 1, seed)[:, block]
    first = [counts @ t[used] for t in _tables(model, 0)]
    out = np.empty(n)
    for k in range(n):
        energy, virial = (
            NEARER * (counts @ t[used] - known)
            for t, known in zip(_tables(model, k), first, strict=True)
        )
        weight = rows[k] * np.exp((energy.min() - energy) / thermal)
        share = weight.sum() ** 2 / (weight**2).sum() / len(weight)
        if share < EFFECTIVE:
            raise InputError(
                f"replicate {k} of the ions' potentials",
                wanted=f"{EFFECTIVE:.0%} of the frames to count for it",
                got=f"{share:.1%}", mend="longer umbrella windows, or fewer ions",
            )  # fmt: skip
        pressure = samples.coulomb + first[1]
        here = rows[k] @ pressure / rows[k].sum()
        there = weight @ (pressure + virial) / weight.sum()
        mean = here + (there - here) / NEARER
        out[k] = 1 + mean / (3 * samples.n_ions * thermal)
    return out
