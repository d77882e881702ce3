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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import CalculationFailed, Calculator
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from figures import command, figure
from trust_coverage import of_seeds

from mesobridge.atomistic.active import Trigger
from mesobridge.atomistic.active.learning import FLAGGED, HELD_OUT
from mesobridge.atomistic.active.selection import farthest
from mesobridge.atomistic.calculators import xtb
from mesobridge.atomistic.fumi_tosi import IonicCalculator
from mesobridge.atomistic.potential import Potential, TrainingSettings, train
from mesobridge.atomistic.potential.data import load_frames
from mesobridge.atomistic.potential.labelled_frame import labelled_frame
from mesobridge.atomistic.potential.reading import Keys, grouped
from mesobridge.atomistic.potential.train import TrainingResult, build_model
from mesobridge.atomistic.systems import number_density
from mesobridge.atomistic.uncertainty import calibrate
from mesobridge.atomistic.uncertainty.responses import features_of
from mesobridge.core.units import ANGSTROM, EV

SEEDS = (0, 1, 2)
#: Part of the pool, and weight of errors, of frames that follow a surprise.
RARE = 0.05
#: Frames that follow one surprise; of as many the learner takes one at most.
AFTER = 4
#: Labels after each round: of both arms, and of random selection alone.
SIZES, MORE = (32, 48, 72, 108), (180, 330)


@dataclass(frozen=True)
class Case:
    """What is learned.

    Attributes
    ----------
    start, truth
        Configuration, and calculator.
    temperature, timestep, every, settle
        Of the calm run, K and fs; steps between its frames, and before the first.
    push
        How far an atom is pushed from its nearest, least and most, A.
    struck
        Time step, fs, and steps between frames after a surprise.
    settings
        Of every training.
    """

    start: Atoms
    truth: Calculator
    temperature: float
    timestep: float
    every: int
    settle: int
    push: tuple[float, float]
    struck: tuple[float, int]
    settings: TrainingSettings


def ethanol() -> Case:
    """At 300 K, labelled with GFN2-xTB."""
    settings = TrainingSettings(("C", "H", "O"), 4e-10, channels=16, radial=6, hidden=32,
                                layers=2, batch=4, energy_weight=0.5,
                                points=1)  # fmt: skip
    return Case(molecule("CH3CH2OH"), xtb("GFN2-xTB"), 300.0, 1.0, 8, 200, (0.3, 0.6),
                (0.5, 20), settings)  # fmt: skip


def melt() -> Case:
    """64 ions of NaCl at 1200 K, labelled with the force field of Fumi and Tosi."""
    edge = 10 * (64 / number_density(1500.0)) ** (1 / 3)
    start = bulk("NaCl", "rocksalt", a=edge / 2, cubic=True) * (2, 2, 2)
    settings = TrainingSettings(("Na", "Cl"), 6e-10, channels=16, hidden=32, layers=1,
                                batch=1, energy_weight=0.5, points=1)  # fmt: skip
    truth = IonicCalculator(0.6)
    hot = start.copy()
    hot.calc = truth
    last = list(run(hot, 3000.0, 2.0, 1000, 1, np.random.default_rng(0)))[-1]
    return Case(last, truth, 1200.0, 4.0, 10, 500, (-0.6, -0.3), (1.0, 25), settings)


def run(atoms: Atoms, temperature, timestep, every, n, rng, settle=0) -> Iterator[Atoms]:
    """Frames of the truth's dynamics, with labels."""
    thermalize_momenta(atoms, temperature_K=temperature, rng=rng)
    motion = Langevin(atoms, timestep * units.fs, temperature_K=temperature,
                      friction=0.01 / units.fs, fixcm=False, rng=rng)  # fmt: skip
    motion.run(settle)
    for _ in range(n):
        motion.run(every)
        yield kept(atoms)


def kept(atoms: Atoms) -> Atoms:
    """A frame with its labels and velocities."""
    found = atoms.copy()
    found.info = {"energy": atoms.get_potential_energy()}
    found.arrays["labels"] = atoms.get_forces()
    return found


def calm_frames(case: Case, n: int, seed: int) -> list[Atoms]:
    """Of a run at the temperature of use."""
    atoms = case.start.copy()
    atoms.calc = case.truth
    rng = np.random.default_rng(seed)
    return list(run(atoms, case.temperature, case.timestep, case.every, n, rng,
                    case.settle))  # fmt: skip


def struck_frames(case: Case, calm: Sequence[Atoms], n: int, seed: int) -> list[Atoms]:
    """That follow surprises in the calm run; those that the truth cannot follow fail."""
    rng, found = np.random.default_rng([seed, 1]), []
    step, every = case.struck
    while len(found) < n:
        atoms = calm[rng.integers(len(calm))].copy()
        atoms.calc = case.truth
        if rng.random() < 0.5:  # four to eight times the temperature
            atoms.set_momenta(rng.uniform(2.0, 2.8) * atoms.get_momenta())
        else:
            push(atoms, rng.uniform(*case.push), rng)
        motion, after = VelocityVerlet(atoms, step * units.fs), []
        try:
            for _ in range(AFTER):
                motion.run(every)
                after.append(kept(atoms))
        except CalculationFailed:
            case.truth.reset()
            continue
        found += after
    return found[:n]


def push(atoms: Atoms, far: float, rng: np.random.Generator) -> None:
    """Move an atom along the line to its nearest; the lighter of the two."""
    i = int(rng.integers(len(atoms)))
    apart = atoms.get_distances(i, range(len(atoms)), mic=True)
    apart[i] = np.inf
    i, j = sorted((i, int(apart.argmin())), key=lambda k: atoms.get_masses()[k])
    line = atoms.get_distance(i, j, mic=True, vector=True)
    atoms.positions[i] -= far * line / np.linalg.norm(line)


def as_set(frames: Sequence[Atoms], name: str) -> xr.Dataset:
    """`frames/1` of frames with labels."""
    rows = []
    for k, a in enumerate(frames):
        own = Atoms(a.numbers, a.positions, cell=a.cell, pbc=a.pbc)
        labels = {"energy": a.info["energy"], "forces": a.arrays["labels"]}
        rows.append(labelled_frame(Path(name), k, own, labels, Keys()))
    (found,) = grouped(rows, name)
    return found


@dataclass(frozen=True)
class Domain:
    """Frames to choose from, calm ones first; others, calm and struck, to judge by."""

    pool: xr.Dataset
    calm: int
    tests: tuple[xr.Dataset, xr.Dataset]


def domain_of(case: Case, n: int, judged: int, seed: int = 0) -> Domain:
    """A pool of `n` frames, and twice `judged` of other runs."""
    rare = AFTER * round(RARE * n / AFTER)
    calm = calm_frames(case, n - rare, seed)
    pool = calm + struck_frames(case, calm, rare, seed)
    other = calm_frames(case, judged, seed + 100)
    struck = struck_frames(case, other, judged, seed + 100)
    return Domain(as_set(pool, "pool"), n - rare,
                  (as_set(other, "calm"), as_set(struck, "struck")))  # fmt: skip


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

    def part(self, pool: xr.Dataset, held: bool) -> list[xr.Dataset]:
        """Those held out, or the others."""
        return [pool.isel(frame=np.array(_halves(self.chosen)[held]))]


def _halves(chosen: Sequence[int]) -> tuple[list[int], list[int]]:
    """Trained on, and held out: every so many, as the learner does."""
    return ([k for i, k in enumerate(chosen, 1) if i % HELD_OUT],
            [k for i, k in enumerate(chosen, 1) if not i % HELD_OUT])  # fmt: skip


def learned(pool, chosen, settings, before: TrainingResult | None = None) -> Learned:
    """A training on some frames of the pool, from the weights of the one before."""
    known = [pool.isel(frame=np.array(_halves(chosen)[0]))]
    if before is not None:
        settings = replace(settings, learning_rate=0.003)
    result = train(known, [], settings, initial=before)
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
    known, held = (last.part(pool, held) for held in (False, True))
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
    """Errors after each size, shape (rounds, 3)."""
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


#: What errors are counted by: name, and column of `errors`.
COUNTS = (("calm and struck frames alike", 1), ("frames as in the pool", 0))


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
        sys.stderr.write(f"{name}, seed {seed}: {found[-1]}\n")
    rows = []
    for counted, k in COUNTS:
        needed = [labels_at(a[-1, k], (*sizes, *more), r[:, k]) for a, r, *_ in found]
        missed = sum(r[:, k].min() > a[-1, k] for a, r, *_ in found)
        ratios = [sizes[-1] / labels for labels in needed]
        rows.append(
            figure(f"{name}, labels of active over random selection, {counted}",
                   float(np.mean(ratios)), "1", "<=", 1 / 3,
                   f"{of_seeds(ratios, '')}; {told(found, k, sizes, more)}; not reached "
                   f"by random selection in {missed} of {len(found)}")
        )  # fmt: skip
    return rows


def told(found, k: int, sizes, more) -> str:
    """Errors of the arms in words, meV/A, mean of all seeds."""
    last = len(sizes) - 1
    active, random, most = (
        1e3 * np.mean([f[arm][at, k] for f in found])
        for arm, at in ((0, last), (1, last), (1, -1))
    )
    return (f"{active:.0f} meV/A with {sizes[-1]} labels, of random selection "
            f"{random:.0f} and with {more[-1]} {most:.0f}, of the calm run alone "
            f"{1e3 * found[0][2][last, k]:.0f}")  # fmt: skip


def figures(*, quick: bool) -> list[dict]:
    """Both systems; none of ethanol where tblite is not."""
    torch.set_num_threads(1)
    rows = compared("molten NaCl", melt(), quick)
    if importlib.util.find_spec("tblite") is None:
        return rows
    return compared("ethanol", ethanol(), quick) + rows


if __name__ == "__main__":
    command((sys.modules[__name__],), __doc__.splitlines()[0])
