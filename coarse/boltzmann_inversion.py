"""Potentials from structure: Boltzmann inversion of bonds, iterative of pairs.

Reith, Puetz & Mueller-Plathe 2003 (doi:10.1002/jcc.10307): pair potentials start as
potentials of mean force, and what a run has too much of at a distance is made dearer
there, U <- U + kT ln(g / g_target). The baseline for force matching: pair structure is
that of the data, pressure and what three beads do is not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..core.artefact import replacing
from ..core.errors import InputError
from ..core.md import MDSettings, MDState, Trajectory, run_segments
from ..core.units import NM, PS
from .bases import Basis, visited
from .distributions import Distribution, radial_distributions
from .langevin import GAS_CONSTANT
from .linear_model import LinearModel, check_state
from .openmm_forces import linear_system
from .pairs import Pairs
from .rounds import Sampling
from .structure_gate import rms_difference
from .tables import Range
from .terms import Bonded

Progress = Callable[[float, float, str], None]

#: Relative error of g, squared, below which a bin is not trusted however often visited:
#: splines do not hold every potential to less.
FLOOR = 0.01**2
#: Roughness over fit: where nothing was counted potentials go on straight.
SMOOTH = 1e-6
#: Blocks that the frames of a round are cut into.
BLOCKS = 5
#: Weight of volume that each kind of coordinate brings along.
VOLUME: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "distance": np.square, "angle": lambda q: np.abs(np.sin(q)),
    "dihedral": np.ones_like,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Round:
    """A model that was run.

    Attributes
    ----------
    coefficients
        Of the pairs, shape (n,), kJ/mol.
    radial
        Distribution functions of its run, one for each pair of species.
    rms
        Root mean square difference of g from the target, the largest of all pairs.
    """

    coefficients: np.ndarray
    radial: Sequence[Distribution]
    rms: float


def invert_bonded(
    term: Bonded, target: Distribution, temperature: float
) -> tuple[np.ndarray, Range]:
    """-kT ln of the distribution of a bond, angle or dihedral over its volume.

    Parameters
    ----------
    term
        Its basis has not ``"zero"`` ends, else no constant is free.
    target
        See `distributions.bonded_distribution`.
    temperature
        K.

    Returns
    -------
    coefficients : ndarray
        Shape (n,), kJ/mol.
    range : tuple of float
        Where values were seen.
    """
    values = _never_zero(target) / VOLUME[term.kind](target.centres)
    energy = -GAS_CONSTANT * temperature * np.log(values / values.max())
    return _projected(term.basis, target, energy, _weights(target)), _seen(target)


def invert_pairs(
    pairs: Pairs, target: Sequence[Distribution], temperature: float
) -> tuple[np.ndarray, dict[str, Range]]:
    """Potentials of mean force, -kT ln g, where iterative inversion starts.

    Parameters
    ----------
    pairs
        With ``"zero"`` ends.
    target
        See `distributions.radial_distributions`; it reaches to the cut-off at least.
    temperature
        K.

    Returns
    -------
    coefficients : ndarray
        Shape (n,), kJ/mol.
    ranges : dict
        As `LinearModel` has them.

    Raises
    ------
    InputError
        When distributions are of other pairs, or end before the cut-off.
    """
    _check(pairs, target)
    kT, parts = GAS_CONSTANT * temperature, []
    for one in target:
        energy = -kT * np.log(_never_zero(one))
        parts.append(_projected(pairs.basis, one, energy, _weights(one)))
    return np.concatenate(parts), {one.name: _seen(one) for one in target}


def correction(
    pairs: Pairs,
    found: Sequence[Distribution],
    target: Sequence[Distribution],
    temperature: float,
) -> np.ndarray:
    """What inversion adds, kT ln(g / g_target), as coefficients (n,), kJ/mol.

    Half a count is added to each bin, so that one which only the run, or only the target,
    visits has its share; what neither visits has none.
    """
    kT, parts = GAS_CONSTANT * temperature, []
    for one, other in zip(found, target, strict=True):
        change = kT * np.log(_never_zero(one) / _never_zero(other))
        parts.append(_projected(pairs.basis, one, change, _weights(one, other)))
    return np.concatenate(parts)


def iterate(
    model: LinearModel,
    target: Sequence[Distribution],
    start: MDState,
    how: Sampling,
    *,
    rounds: int = 10,
    tolerance: float = 0.01,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> tuple[LinearModel, list[Round]]:
    """Iterative Boltzmann inversion of the pairs of a model, at constant volume.

    Parameters
    ----------
    model
        With one term of `Pairs`, whose coefficients are not used; others are kept.
    target
        See `distributions.radial_distributions`; it reaches to the cut-off at least.
    start
        Positions and box of the first run; each other starts where the last one ended.
    how
        Of the runs in OpenMM.
    rounds
        Runs at most.
    tolerance
        Root mean square difference of g at which the rounds end. That of halves of the
        target's frames, see `structure_gate`, is as far as it can tell.
    scratch
        Folder for the segments of all runs; called again, it goes on where it was killed.
    progress
        Called with (round, rounds, text).

    Returns
    -------
    model : LinearModel
        The one of the round with the least difference; its ``validity`` says whether that
        is within the tolerance.
    history : list of Round

    Raises
    ------
    InputError
        When the model has no pairs or is of another temperature, or the target is of
        other pairs.
    StageError
        When a run becomes unstable.
    """
    check_state(model.validity, how.temperature)
    pairs, own = _pairs_of(model)
    change, seen = invert_pairs(pairs, target, how.temperature)
    folder = None if scratch is None else _folder(scratch, model, target, start, how)
    c, history = model.coefficients[:1].copy(), []
    c[0, own] = 0.0
    for k in range(rounds):
        c = c.copy()
        c[0, own] += change
        place = None if folder is None else folder / f"round-{k:03d}"
        c = _kept(place, c)
        model = replace(model, coefficients=c, n_units=0, ranges={**model.ranges, **seen})
        run = _run(model, start, replace(how, seed=how.seed + k), place)
        start = MDState(run.final.positions, run.final.box)
        radial = _radial(pairs, run, how, target[0].edges)
        off = max(rms_difference(*two) for two in zip(radial, target, strict=True))
        history.append(Round(c[0, own], radial, off))
        if progress is not None:
            progress(k + 1, rounds, f"g differs by {off:.4f}")
        if off <= tolerance:
            break
        change = correction(pairs, radial, target, how.temperature)
    best = min(history, key=lambda one: one.rms)
    c = c.copy()
    c[0, own] = best.coefficients
    told = {"rounds": len(history), "rms_g": best.rms, "converged": best.rms <= tolerance}
    told["temperature_K"] = how.temperature
    validity = {**model.validity, "boltzmann_inversion": told}
    return replace(model, coefficients=c, validity=validity), history


def _folder(scratch: Path, model: LinearModel, target, start: MDState, how) -> Path:
    """Its name tells the inversion, so that the runs of no other are taken up."""
    told = repr((model.beads, model.terms, dict(model.ranges), how))
    arrays = [model.coefficients[:1], model.masses, start.positions, start.box]
    arrays += [part for one in target for part in (one.edges, one.counts, one.expected)]
    parts = [told.encode(), *(np.ascontiguousarray(part).tobytes() for part in arrays)]
    return Path(scratch) / hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def _kept(folder: Path | None, c: np.ndarray) -> np.ndarray:
    """Coefficients as a round began with them: solvers may differ in the last bits."""
    if folder is None:
        return c
    path = folder / "coefficients.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, open(temporary, "wb") as handle:
            np.save(handle, c)
    return np.load(path)


def _run(
    model: LinearModel, start: MDState, how: Sampling, scratch: Path | None
) -> Trajectory:
    saves = math.ceil(how.settle / how.every) + how.frames
    settings = MDSettings(how.temperature, how.step * PS, how.friction / PS, how.seed)
    return run_segments(
        linear_system(model, start.box), model.beads, start, settings,
        n_steps=saves * how.every, stride=how.every,
        segment_steps=math.ceil(saves / 10) * how.every,
        source="Boltzmann inversion", scratch=scratch,
    )  # fmt: skip


def _radial(pairs: Pairs, run: Trajectory, how: Sampling, edges) -> list[Distribution]:
    kept = run.frames.isel(frame=slice(-how.frames, None))
    x, box = (kept[name].values.astype(float) / NM for name in ("positions", "box"))
    block = max(1, how.frames // BLOCKS)
    return radial_distributions(pairs, x, box, reach=float(edges[-1]),
                                bins=len(edges) - 1, block=block)  # fmt: skip


def _pairs_of(model: LinearModel) -> tuple[Pairs, slice]:
    """The pairs, and where their coefficients are."""
    first = 0
    for term in model.terms:
        if isinstance(term, Pairs):
            return term, slice(first, first + term.size)
        first += term.size
    raise InputError("iterative Boltzmann inversion", wanted="a model with Pairs",
                     got=", ".join(term.name for term in model.terms))  # fmt: skip


def _check(pairs: Pairs, target: Sequence[Distribution]) -> None:
    names = [f"{pairs.name} {pair}" for pair in pairs.pairs]
    if [one.name for one in target] != names or pairs.basis.ends != "zero":
        raise InputError(
            "target of Boltzmann inversion", wanted=f"{names}, of splines with zero ends",
            got=f"{[one.name for one in target]}, with {pairs.basis.ends} ends",
        )  # fmt: skip
    if target[0].edges[-1] < pairs.basis.stop * (1 - 1e-9):
        raise InputError(
            "reach of the target", wanted=f"the cut-off, {pairs.basis.stop:g} nm",
            got=f"{target[0].edges[-1]:g} nm",
        )  # fmt: skip


def _never_zero(one: Distribution) -> np.ndarray:
    """Values with half a count more in each bin."""
    return (one.counts.sum(0) + 0.5) / one.expected.sum(0)


def _weights(*given: Distribution) -> np.ndarray:
    """One over the variance of ln g; none for bins that nothing visits."""
    counts = np.array([one.counts.sum(0) for one in given])
    return counts.any(0) / ((1 / (counts + 0.5)).sum(0) + FLOOR)


def _seen(one: Distribution) -> Range:
    span = float(one.edges[0]), float(one.edges[-1])
    low, high = visited(one.counts.sum(0, keepdims=True), span)[0]
    if not low < high:
        raise InputError(f"counts of {one.name}", wanted="ten in different bins at least",
                         got=f"{one.counts.sum():g}")  # fmt: skip
    return float(low), float(high)


def _projected(
    basis: Basis, one: Distribution, energy: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Coefficients of the smooth function nearest to energies at the bins."""
    value = basis.dense(torch.from_numpy(one.centres))[0].numpy()
    rough, weighted = basis.roughness().numpy(), value.T * weights
    gram = weighted @ value
    gram += SMOOTH * gram.trace() / rough.trace() * rough
    return np.linalg.lstsq(gram, weighted @ energy, rcond=None)[0]
