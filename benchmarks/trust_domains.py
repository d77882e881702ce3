"""Calm runs and what follows surprises: frames to choose from, with labels of a truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import CalculationFailed, Calculator
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet

from mesobridge.atomistic.calculators import xtb
from mesobridge.atomistic.fumi_tosi import IonicCalculator
from mesobridge.atomistic.potential import TrainingSettings
from mesobridge.atomistic.potential.labelled_frame import Keys, labelled_frame
from mesobridge.atomistic.potential.reading import grouped
from mesobridge.atomistic.systems import number_density

#: Part of the pool that follows a surprise, and frames that follow one.
RARE, AFTER = 0.05, 4


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
