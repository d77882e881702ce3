"""Whether 95 % intervals of forces hold what they promise, and what asking costs.

Acetylacetone labelled with GFN2-xTB. Frames of 300 K are at the positions of the
published sets: the first is trained on, the beginning of the other calibrated on and its
end judged. Frames of 600 K, seen by nobody before, come from runs of the truth. An error
is large above three times the median of all frames judged. CPU times are medians, all
kinds of evaluation in turns.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from figures import command, figure, in_turns
from scipy.stats import t as student

from mesobridge.atomistic.calculators import xtb
from mesobridge.atomistic.labels import (
    Labeller,
    LabelStore,
    labelled_frames,
)
from mesobridge.atomistic.named_oracle import NamedOracle, OracleSpec
from mesobridge.atomistic.potential import (
    Potential,
    TrainingSettings,
    load_potential,
    save_potential,
    train,
)
from mesobridge.atomistic.potential.reading import read_labelled, read_structures
from mesobridge.atomistic.potential.verlet import VerletList
from mesobridge.atomistic.uncertainty import (
    Coverage,
    auroc,
    calibrate,
    coverage,
)
from mesobridge.atomistic.uncertainty.coverage import together
from mesobridge.atomistic.uncertainty.summary import LARGE
from mesobridge.core.units import ANGSTROM

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEEDS = (0, 1, 2)
SETTINGS = TrainingSettings(
    ("H", "C", "O"), 5e-10, channels=32, layers=2, batch=4, energy_weight=0.5, points=1
)
#: Frames of the second set that are calibrated on, and where those judged begin.
CALIBRATED, JUDGED = 200, 350
#: Runs at 600 K from frames of 300 K, K and fs: velocities of 900 K give half of their
#: heat to the bonds. Longer than torsions take; then a frame every 50 fs.
HOT, KICK, SETTLE, APART = 600.0, 900.0, 200, 50
#: Steps between evaluations with heads.
EVERY = 5


def labelled(frames: Sequence[Atoms], oracle: OracleSpec) -> list[xr.Dataset]:
    """Labels of frames, in their order."""
    with tempfile.TemporaryDirectory() as name:
        labels = Labeller(oracle, LabelStore(Path(name))).label(frames)
    return labelled_frames(frames, labels, oracle.name)


def bare(frames: Sequence[Atoms]) -> list[Atoms]:
    """Without the labels that they came with."""
    return [Atoms(a.numbers, a.positions) for a in frames]


def hot_frames(starts: Sequence[Atoms], each: int) -> list[Atoms]:
    """So many frames of 600 K from each start, by the truth's own dynamics."""
    rng, calculator, kept = np.random.default_rng(0), xtb("GFN2-xTB"), []
    for start in starts:
        atoms = start.copy()
        atoms.calc = calculator
        thermalize_momenta(atoms, temperature_K=KICK, rng=rng)
        motion = Langevin(atoms, units.fs, temperature_K=HOT, friction=0.02 / units.fs,
                          fixcm=False, rng=rng)  # fmt: skip
        motion.run(SETTLE)
        for _ in range(each):
            motion.run(APART)
            kept.append(Atoms(atoms.numbers, atoms.positions))
    return kept


def calibrated(known, held, settings: TrainingSettings) -> Potential:
    """Trained on the first, calibrated on the others."""
    result = train(known, [], settings)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "p.safetensors"
        save_potential(path, result, {})
        potential = load_potential(path)
    return replace(potential, uncertainty=calibrate(potential, known, held))


def of_seeds(values: Sequence[float], unit: str) -> str:
    """Mean with the half width of its 95 % interval, and what it is the mean of."""
    n, each = len(values), ", ".join(f"{v:.3g}" for v in values)
    if n == 1:
        return f"one seed: {each} {unit}"
    half = student.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5
    return f"{np.mean(values):.4g} +- {half:.2g} {unit} of {n} seeds ({each})"


def rmse(c: Coverage) -> float:
    """Of force components, eV/A."""
    return float(np.sqrt(np.mean(c.error**2) / 3))


def inside(found: Sequence[Coverage]) -> tuple[float, str]:
    """Percentage of components inside 95 % intervals, of all seeds; and a note."""
    level = list(found[0].levels).index(0.95)
    both = together(found)  # the frames are the same: all seeds are drawn with each
    low, high = 100 * both.interval[level]
    note = of_seeds([100 * c.found[level] for c in found], "%")
    return 100 * float(both.found[level]), (
        f"{note}; [{low:.1f}, {high:.1f}] of {found[0].frames} frames; "
        f"RMSE {1e3 * np.mean([rmse(c) for c in found]):.1f} meV/A"
    )


def told_apart(pairs: Sequence[tuple[Coverage, ...]]) -> list[float]:
    """Area under the curve of large errors by standard deviations, for each seed."""
    found = []
    for parts in pairs:
        error, std = (np.concatenate([getattr(c, n) for c in parts])
                      for n in ("error", "std"))  # fmt: skip
        found.append(auroc(std, error > LARGE * np.median(error)))
    return found


def covered(quick: bool) -> tuple[list[dict], Potential, np.ndarray, list[str]]:
    """Figures of intervals; a potential, with a frame to time it on."""
    oracle = NamedOracle(kind="xtb", method="GFN2-xTB")
    known, other = (bare(read_structures(DATA / f"acac_{name}_300K.xyz"))
                    for name in ("train", "test"))  # fmt: skip
    thin = 5 if quick else 1
    starts = other[CALIBRATED : CALIBRATED + 96 : 12 if quick else 2]
    hot = labelled(hot_frames(starts, 5), oracle)
    (known, held, cold) = (
        labelled(some[::thin], oracle)
        for some in (known, other[:CALIBRATED], other[JUDGED:])
    )
    steps, seeds = (400, SEEDS[:1]) if quick else (5000, SEEDS)
    potentials = [calibrated(known, held, replace(SETTINGS, steps=steps, seed=seed))
                  for seed in seeds]  # fmt: skip
    at_300, at_600 = ([coverage(p, ds) for p in potentials] for ds in (cold, hot))
    usual, note = inside(at_300)
    beyond, hotter = inside(at_600)
    areas = told_apart(list(zip(at_300, at_600, strict=True)))
    note += f"; {steps} steps"
    rows = [
        figure("95 % intervals at 300 K, found inside", usual, "%", ">=", 93, note),
        figure("95 % intervals at 300 K, found inside (not too wide)", usual, "%", "<=",
               97, note),
        figure("95 % intervals of 300 K at 600 K, found inside", beyond, "%", ">=", 90,
               hotter),
        figure("large errors told from others, area under the curve",
               float(np.mean(areas)), "1", ">=", 0.85,
               of_seeds(areas, "") + "; frames of 300 K and 600 K together"),
    ]  # fmt: skip
    x = cold[0]["positions"].values[0] / ANGSTROM
    return rows, potentials[0], x, list(cold[0]["species"].values)


def water(path: Path) -> tuple[Potential, np.ndarray, list[str], np.ndarray]:
    """A potential of 192 atoms that is as large, trained for a moment."""
    (frames,) = read_labelled(path)
    known, held = ([frames.isel(frame=slice(n, n + 8))] for n in (0, 8))
    species = list(frames["species"].values)
    settings = replace(SETTINGS, species=("H", "O"), steps=10, batch=1)
    x, box = (frames[name].values[0] / ANGSTROM for name in ("positions", "box"))
    return calibrated(known, held, settings), x, species, box


def costs(name: str, potential: Potential, x, species, box, rounds: int) -> list[dict]:
    """CPU time of distances and of heads, over an evaluation without them."""
    numbers, pbc = potential.numbers(species), (box is not None,) * 3
    plain = replace(potential, uncertainty=None)

    path = x + np.random.default_rng(0).normal(0, 0.01, (rounds, *x.shape))

    def job(of: Potential, spread: bool) -> Callable[[], object]:
        verlet, here = VerletList(of.model.cutoff), iter(path)
        return lambda: of.evaluate(next(here), numbers, box, pbc, stress=False,
                                   spread=spread, verlet=verlet)  # fmt: skip

    jobs = [job(plain, False), job(potential, False), job(potential, True)]
    times = in_turns(jobs, rounds)[rounds // 10 :]
    each = np.median(times, axis=0)
    # Of differences round by round: load comes and goes slower than that.
    gate, heads = 100 * np.median(np.diff(times, axis=1), axis=0) / each[:2]
    note = "CPU-ms of an evaluation: {:.2f}, {:.2f} with distances, {:.2f} with heads; "
    note = note.format(*1e3 * each) + f"{len(numbers)} atoms, {len(times)} of each"
    return [
        figure(f"{name}, distances at every step, over steps without", float(gate), "%",
               "<=", 5, note),
        figure(f"{name}, heads every {EVERY} steps, over steps with distances",
               float(heads) / EVERY, "%", "<=", 25, note),
    ]  # fmt: skip


def figures(*, quick: bool) -> list[dict]:
    """Coverage and costs; nothing without the data or tblite."""
    if not DATA.is_dir() or importlib.util.find_spec("tblite") is None:
        return []
    torch.set_num_threads(1)
    rows, potential, x, species = covered(quick)
    rows += costs("acetylacetone", potential, x, species, None, 200 if quick else 1000)
    potential, x, species, box = water(DATA / "water_pbe0ts_320frames.npz")
    return rows + costs("water", potential, x, species, box, 20 if quick else 100)


if __name__ == "__main__":
    command((sys.modules[__name__],), __doc__.splitlines()[0])
