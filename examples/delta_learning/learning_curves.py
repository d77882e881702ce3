"""How many fewer labels a baseline needs: learning curves with and without one.

    python examples/delta_learning/learning_curves.py OUT                # copper
    python examples/delta_learning/learning_curves.py OUT --acac FOLDER  # xTB to DFT
        [--steps 2000] [--seeds 3] [--sizes 25 50 100]

The first learns embedded-atom forces of copper clusters with and without a Morse
potential (Girifalco & Weizer 1959, doi:10.1103/PhysRev.114.687). The second learns PBE
forces of acetylacetone with and without GFN2-xTB (tblite) from the files
acac_train_300K.xyz and acac_test_300K.xyz of BOTNet-datasets. Every training is of equal
length, so it takes equal time with and without the baseline. `mesobridge train
train.toml` does the same, once, with the configuration beside this file.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import ase.io
import matplotlib
import numpy as np
import xarray as xr
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential
from ase.cluster import Icosahedron

from mesobridge.atomistic.calculators import xtb
from mesobridge.atomistic.oracle import Oracle, label
from mesobridge.atomistic.potential import (
    TrainingSettings,
    errors,
    load_potential,
    save_potential,
    train,
    without_baseline,
)
from mesobridge.core.artefact import write_json
from mesobridge.core.schema import dataset
from mesobridge.core.script import plain_errors
from mesobridge.core.units import ANGSTROM, DALTON, EV

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


@dataclass(frozen=True)
class Task:
    """What is learned: labels, held-out labels, baseline, sizes of training sets."""

    name: str
    training: xr.Dataset
    held_out: xr.Dataset
    baseline: Oracle
    source: str
    settings: TrainingSettings
    sizes: tuple[int, ...]
    seeds: int


def frames(atoms: list[Atoms], source: str, energy=None, forces=None) -> xr.Dataset:
    """`frames/1` of one molecule in vacuum (eV, A), labelled or not."""
    first, n = atoms[0], len(atoms)
    positions = np.array([a.positions for a in atoms])
    values = {
        "positions": positions * ANGSTROM,
        "forces": np.zeros_like(positions) if forces is None else forces * EV / ANGSTROM,
        "box": np.repeat(50 * np.eye(3)[None], n, axis=0) * ANGSTROM,
        "species": np.array(first.symbols),
        "mass": first.get_masses() * DALTON,
        "time": np.arange(n, dtype=float),
    }
    if energy is not None:
        values["energy"] = energy * EV
    return dataset("frames/1", values, {"source": source, "pbc": "FFF"})


def copper(seed: int = 0) -> Task:
    """Clusters of 13 atoms, rattled."""
    rng, cluster, atoms = np.random.default_rng(seed), Icosahedron("Cu", 2), []
    for _ in range(80):
        moved = cluster.copy()
        moved.positions += rng.normal(0, 0.15, moved.positions.shape)
        atoms.append(moved)
    labels = label(frames(atoms, "EMT"), EMT(), source="EMT")
    morse = MorsePotential(
        epsilon=0.3429, r0=2.866, rho0=1.3588 * 2.866, rcut1=4.0, rcut2=5.0
    )
    settings = TrainingSettings(
        ("Cu",),
        5 * ANGSTROM,
        channels=8,
        radial=6,
        hidden=16,
        steps=200,
        learning_rate=0.02,
        energy_weight=0.1,
    )
    training, held_out = (labels.isel(frame=s) for s in (slice(40), slice(40, 80)))
    return Task("Cu13, EMT", training, held_out, morse, "Morse", settings, (5, 10, 40), 1)


def acetylacetone(folder: Path) -> Task:
    """PBE labels at 300 K; every third frame of the test set is held out."""
    sets = []
    for name, which in (("train", ":"), ("test", "::3")):
        atoms = ase.io.read(folder / f"acac_{name}_300K.xyz", which)
        energy = np.array([a.get_potential_energy() for a in atoms])
        forces = np.array([a.get_forces() for a in atoms])
        sets.append(frames(atoms, "PBE", energy, forces))
    settings = TrainingSettings(
        ("H", "C", "O"), 5 * ANGSTROM, channels=32, layers=2, steps=2000, batch=5,
        energy_weight=1.5,
    )  # fmt: skip
    sizes = (25, 50, 100, 200, 450)
    return Task("acetylacetone, PBE", *sets, xtb(), "GFN2-xTB", settings, sizes, 2)


def learning_curve(task: Task, folder: Path, *, delta: bool) -> np.ndarray:
    """Force errors on held-out frames, meV/A, shape (sizes, seeds)."""
    training, held_out = task.training, task.held_out
    if delta:
        training, held_out = (
            without_baseline(ds, task.baseline, source=task.source)
            for ds in (training, held_out)
        )
    found = np.empty((len(task.sizes), task.seeds))
    for seed in range(task.seeds):
        order = np.random.default_rng(seed).permutation(training.sizes["frame"])
        for row, size in enumerate(task.sizes):
            chosen = training.isel(frame=order[:size])
            settings = replace(task.settings, seed=seed)
            result = train([chosen], [held_out.isel(frame=slice(8))], settings)
            path = folder / f"{'delta' if delta else 'direct'}_{size}_{seed}.safetensors"
            save_potential(path, result, {"frames": size})
            potential = load_potential(path, baseline=task.baseline if delta else None)
            found[row, seed] = 1e3 * errors(potential, [task.held_out])["force_rmse"]
            sys.stdout.write(f"{path.stem}: {found[row, seed]:.1f} meV/A\n")
            sys.stdout.flush()
    return found


def fewer_labels(sizes: np.ndarray, direct: np.ndarray, delta: np.ndarray) -> dict:
    """Labels that the direct curve needs for the errors of the other, log-log between."""
    best = np.minimum.accumulate(direct)
    needed = {}
    for size, error in zip(sizes.tolist(), delta, strict=True):
        if error < best[-1]:
            needed[size] = f"more than {sizes[-1]}"
        else:
            logs = np.interp(-np.log(error), -np.log(best), np.log(sizes))
            needed[size] = f"{np.exp(logs):.0f}"
    return needed


def draw(path: Path, task: Task, curves: dict[str, np.ndarray]) -> None:
    """Both curves: means and seeds."""
    fig, ax = plt.subplots(figsize=(4.5, 3.4), constrained_layout=True)
    for (name, values), colour in zip(curves.items(), ("C3", "C0"), strict=True):
        ax.loglog(task.sizes, values.mean(1), "-", color=colour, label=name)
        for column in values.T:
            ax.loglog(task.sizes, column, "o", color=colour, ms=4)
    ax.set_xlabel("training labels")
    ax.set_ylabel("force RMSE (meV/Å)")
    ax.set_xticks(task.sizes, [str(s) for s in task.sizes])
    ax.minorticks_off()
    ticks = [t for t in (5, 10, 20, 50, 100, 200, 500, 1000, 2000) if in_range(t, curves)]
    ax.set_yticks(ticks, [str(t) for t in ticks])
    ax.set_title(task.name)
    ax.legend(frameon=False)
    fig.savefig(path, dpi=150)
    plt.close(fig)


def in_range(tick: float, curves: dict[str, np.ndarray]) -> bool:
    """Whether a tick is near the data."""
    values = np.concatenate([v.ravel() for v in curves.values()])
    return 0.7 * values.min() <= tick <= 1.4 * values.max()


@plain_errors()
def main() -> None:
    """Train all, write ``learning_curves.json`` and ``learning_curves.png``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--acac", type=Path, help="folder of the acetylacetone files")
    parser.add_argument("--steps", type=int, help="of every training")
    parser.add_argument("--seeds", type=int, help="trainings of each size")
    parser.add_argument("--sizes", type=int, nargs="+", help="labels to train on")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    task = acetylacetone(given.acac) if given.acac else copper()
    task = replace(
        task, seeds=given.seeds or task.seeds, sizes=tuple(given.sizes or task.sizes),
        settings=replace(task.settings, steps=given.steps or task.settings.steps),
    )  # fmt: skip
    curves = {
        "labels alone": learning_curve(task, given.out, delta=False),
        f"{task.source} below": learning_curve(task, given.out, delta=True),
    }
    direct, delta = curves.values()
    report = {
        "sizes": list(task.sizes),
        "direct_force_rmse_meV_A": direct.tolist(),
        "delta_force_rmse_meV_A": delta.tolist(),
        "labels_alone_needed": fewer_labels(
            np.array(task.sizes), direct.mean(1), delta.mean(1)
        ),
    }
    write_json(given.out / "learning_curves.json", report)
    draw(given.out / "learning_curves.png", task, curves)


if __name__ == "__main__":
    main()
