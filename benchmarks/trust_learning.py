"""Labels that active learning needs over those of random selection, at equal errors.

Both arms have the same pool: 19 of 20 frames are of calm runs of the truth, ethanol
(GFN2-xTB) at 300 K or 64 ions of molten NaCl (Fumi-Tosi) at 1200 K; one is of the
moments after a surprise that production must survive, sudden heating or an atom pushed
along the line to its nearest. Both begin with the same frames, drawn at random, and the
potential of these; take as many new labels in each round, hold a quarter of them out, and
train as many steps from the weights of the round before. The choice alone differs: random
selection draws uniformly from the pool. The other arm is the project's learner, for which
the pool stands in the place of walks: of frames that follow each other it sees the least
sure, of these all beyond the bound of the trigger, and takes those whose unsure atoms are
farthest from what is known; it is calibrated anew in each round.

Errors are of other runs: with calm and struck frames counted alike, as a run must come
through both, and as often as in the pool. The target is what active learning ends with,
in each seed; random selection goes on to three times its labels, with more rounds and so
more steps. Where it has not got there, the ratio is that of all its labels, which is too
high. What labels of the calm run alone come to is told beside it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from figures import command, figure
from trust_coverage import of_seeds
from trust_domains import AFTER, RARE, Case, Domain, domain_of, ethanol, melt

from mesobridge.atomistic.active import ActiveSettings, Trigger
from mesobridge.atomistic.active.learning import FLAGGED, HELD_OUT
from mesobridge.atomistic.active.selection import farthest
from mesobridge.atomistic.potential import Potential, train
from mesobridge.atomistic.potential.data import load_frames
from mesobridge.atomistic.potential.train import TrainingResult, build_model
from mesobridge.atomistic.uncertainty import calibrate
from mesobridge.atomistic.uncertainty.responses import features_of
from mesobridge.core.units import ANGSTROM, EV

SEEDS = (0, 1, 2)
#: Labels after each round: of both arms, and of random selection alone.
SIZES, MORE = (32, 48, 72, 108), (180, 330)
#: What errors are counted by: name, and column of `errors`.
COUNTS = (("calm and struck frames alike", 1), ("frames as in the pool", 0))


def evaluated(potential: Potential, ds: xr.Dataset, spread: bool = False) -> list:
    """What a potential says of all frames."""
    x, box = (ds[name].values / ANGSTROM for name in ("positions", "box"))
    pbc = [p == "T" for p in ds.attrs["pbc"]]
    numbers, found = potential.numbers(ds["species"].values), []
    for k in range(0, len(x), 32):
        part = slice(k, k + 32)
        found += potential.evaluate_many(
            x[part], list(numbers), box[part] if any(pbc) else None, pbc, stress=False,
            spread=spread,
        )  # fmt: skip
    return found


def errors(potential: Potential, domain: Domain) -> np.ndarray:
    """Force RMSE, eV/A: frames counted as in the pool, alike, calm, struck."""
    squares = []
    for ds in domain.tests:
        forces = np.array([e.forces for e in evaluated(potential, ds)])
        labels = ds["forces"].values / (EV / ANGSTROM)
        squares.append(np.mean((forces - labels) ** 2))
    weights = [[1 - RARE, RARE], [0.5, 0.5], [1, 0], [0, 1]]
    return np.sqrt(weights @ np.array(squares))


@dataclass(frozen=True)
class Learned:
    """Frames of the pool that were labelled, in their order, and what came of them."""

    chosen: tuple[int, ...]
    result: TrainingResult
    potential: Potential


def parts(pool: xr.Dataset, chosen: Sequence[int]) -> tuple[list, list]:
    """What is trained on and what held out: every so many, as the learner does."""
    held = np.arange(1, len(chosen) + 1) % HELD_OUT == 0
    known, other = (pool.isel(frame=np.array(chosen)[m]) for m in (~held, held))
    return [known], [other]


def learned(pool, chosen, settings, before: TrainingResult | None = None) -> Learned:
    """A training on some frames of the pool, from the weights of the one before."""
    if before is not None:
        settings = replace(settings, learning_rate=ActiveSettings.warm_rate)
    result = train(parts(pool, chosen)[0], [], settings, initial=before)
    tensors = {k: torch.from_numpy(v) for k, v in result.tensors.items()}
    model = build_model(settings, tensors)
    return Learned(tuple(chosen), result, Potential(model, settings.species, {}))


def drawn(most: int) -> Callable:
    """Choice: uniformly from the first of the pool."""

    def choose(last: Learned, pool: xr.Dataset, n: int, rng) -> list[int]:
        left = np.setdiff1d(np.arange(most), last.chosen)
        return list(rng.choice(left, n, replace=False))

    return choose


def unsure(last: Learned, pool: xr.Dataset, n: int, rng) -> list[int]:
    """Choice: as `atomistic.active` does where walks passed the frames of the pool."""
    known, held = parts(pool, last.chosen)
    u = calibrate(last.potential, known, held)
    potential = replace(last.potential, uncertainty=u)
    std = np.array([e.force_std for e in evaluated(potential, pool, spread=True)])
    most = std.max(1)
    most[list(last.chosen)] = 0
    stretches = np.array_split(np.arange(len(most)), len(most) // AFTER)
    peaks = np.array([part[most[part].argmax()] for part in stretches])
    peaks = peaks[np.argsort(-most[peaks])]
    beyond = int((most[peaks] > Trigger().force).sum())
    seen = peaks[: max(beyond, n)]
    model, species = potential.model, potential.species
    frames = load_frames([pool.isel(frame=seen)], species, model.cutoff)
    features = features_of(model, frames)[0].numpy().reshape(len(seen), std.shape[1], -1)
    others = features_of(model, load_frames(known, species, model.cutoff))
    order = farthest(
        u, list(features), potential.numbers(pool["species"].values),
        [s >= FLAGGED * s.max() for s in std[seen]],
        (others[0].numpy(), others[1].numpy()), n,
    )  # fmt: skip
    return [int(seen[k]) for k in order]


def rounds(
    first: Learned, domain: Domain, sizes: Sequence[int], settings, choose, seed: int
) -> np.ndarray:
    """Errors after each size, shape (rounds, 4)."""
    rng, last, found = np.random.default_rng([seed, 2]), first, []
    for size in sizes:
        chosen = [*last.chosen, *choose(last, domain.pool, size - len(last.chosen), rng)]
        last = learned(domain.pool, chosen, settings, last.result)
        found.append(errors(last.potential, domain))
    return np.array(found)


def labels_at(target: float, sizes: Sequence[int], errors: np.ndarray) -> float:
    """Labels for an error, between rounds by logarithms; all where it is not reached."""
    below = np.flatnonzero(errors <= target)
    if not len(below):
        return float(sizes[-1])
    k = below[0]
    if not k:
        return float(sizes[0])
    x, y = np.log(sizes[k - 1 : k + 1]), np.log(errors[k - 1 : k + 1])
    return float(np.exp(np.interp(-np.log(target), -y, x)))


def arms(domain: Domain, sizes, more, settings, steps: int) -> list[np.ndarray]:
    """Errors of active and random selection, and of the calm run, round by round."""
    pool, seed = domain.pool, settings.seed
    start = np.random.default_rng(seed).permutation(pool.sizes["frame"])[: sizes[0]]
    first = learned(pool, start.tolist(), replace(settings, steps=2 * steps))
    begun, settings = errors(first.potential, domain), replace(settings, steps=steps)
    ways = [(unsure, sizes[1:]), (drawn(pool.sizes["frame"]), (*sizes[1:], *more))]
    if seed == SEEDS[0]:
        ways.append((drawn(domain.calm), sizes[1:]))
    return [np.vstack([begun, rounds(first, domain, n, settings, choose, seed)])
            for choose, n in ways]  # fmt: skip


def compared(name: str, case: Case, quick: bool) -> list[dict]:
    """Labels of active over those of random selection, for what the first ends with."""
    steps, n, judged = (100, 400, 80) if quick else (500, 2000, 300)
    sizes, more = (SIZES[:2], (144,)) if quick else (SIZES, MORE)
    domain, found = domain_of(case, n, judged), []
    for seed in SEEDS[: 1 if quick else None]:
        found.append(arms(domain, sizes, more, replace(case.settings, seed=seed), steps))
    return [row(f"{name}, labels of active over random selection, {counted}", sizes, more,
                [[e[:, k] for e in each] for each in found])
            for counted, k in COUNTS]  # fmt: skip


def row(name: str, sizes, more, found: Sequence) -> dict:
    """Ratio of labels at what active learning ends with; earlier ones in the note."""
    all_sizes, last = (*sizes, *more), len(sizes) - 1
    ratios = np.array([
        [n / labels_at(e, all_sizes, random) for n, e in zip(sizes, active, strict=True)]
        for active, random, *_ in found
    ])  # fmt: skip
    missed = sum(random.min() > active[-1] for active, random, *_ in found)
    active, random, most = (
        of_seeds([1e3 * each[arm][at] for each in found], "meV/A")
        for arm, at in ((0, last), (1, last), (1, -1))
    )
    before = ", ".join(f"{r:.2f} with {n}" for r, n in
                       zip(ratios.mean(0)[1:-1], sizes[1:-1], strict=True))  # fmt: skip
    return figure(
        name, float(ratios[:, -1].mean()), "1", "<=", 1 / 3,
        f"{of_seeds(ratios[:, -1], '')}, not reached by random selection in {missed}; "
        f"{active} with {sizes[-1]} labels; random {random}, with {more[-1]} {most}; "
        f"calm run alone {1e3 * found[0][2][last]:.0f}; for what active has before: "
        f"{before}",
    )  # fmt: skip


def figures(*, quick: bool) -> list[dict]:
    """Both systems; none of ethanol where tblite is not."""
    torch.set_num_threads(1)
    rows = compared("molten NaCl", melt(), quick)
    if importlib.util.find_spec("tblite") is None:
        return rows
    return compared("ethanol", ethanol(), quick) + rows


if __name__ == "__main__":
    command((sys.modules[__name__],), __doc__.splitlines()[0])
