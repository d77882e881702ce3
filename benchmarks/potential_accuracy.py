"""What a potential learns of DFT labels in a given CPU time: water and acetylacetone.

Training takes four CPU-minutes a system, a fifth of what the targets allow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from figures import figure

from mesobridge.atomistic.potential import TrainingSettings, train
from mesobridge.atomistic.potential.data import load_frames
from mesobridge.atomistic.potential.predictions import error_table, predict, row_of
from mesobridge.atomistic.potential.reading import read_labelled
from mesobridge.atomistic.potential.train import build_model
from mesobridge.core.units import ANGSTROM

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CUTOFF = 5.0 * ANGSTROM


def water() -> tuple[list[xr.Dataset], list[xr.Dataset]]:
    """Without and with the last 40 frames of each trajectory."""
    path = DATA / "water_pbe0ts_320frames.npz"
    (frames,) = read_labelled(path)
    source = np.array([name.split("/")[0] for name in np.load(path)["source"]])
    held = np.zeros(len(source), dtype=bool)
    for name in np.unique(source):
        held[np.flatnonzero(source == name)[-40:]] = True
    parts = (frames.isel(frame=np.flatnonzero(chosen)) for chosen in (~held, held))
    first, last = parts
    return [first], [last]


def acetylacetone() -> tuple[list[xr.Dataset], list[xr.Dataset]]:
    """500 frames at 300 K, and the 650 of the test."""
    names = ("acac_train_300K.xyz", "acac_test_300K.xyz")
    first, last = (read_labelled(DATA / name) for name in names)
    return first, last


@dataclass(frozen=True)
class Case:
    """What is learned, and how; targets are those of 20 CPU-minutes."""

    species: tuple[str, ...]
    sets: Callable[[], tuple[list[xr.Dataset], list[xr.Dataset]]]
    batch: int
    energy_weight: float
    force_target: float
    energy_target: float | None


CASES = {
    "water PBE0+TS": Case(("O", "H"), water, 1, 2.0, 45, 0.5),
    "acetylacetone 300 K": Case(("C", "O", "H"), acetylacetone, 5, 1.5, 25, None),
}


def learned(case: Case, minutes: float, **settings) -> dict:
    """Errors on held-out frames after so many CPU-minutes."""
    first, last = case.sets()
    how = TrainingSettings(
        case.species, CUTOFF, batch=case.batch, energy_weight=case.energy_weight,
        cpu_minutes=minutes, points=1, **{"channels": 32, "layers": 2} | settings,
    )  # fmt: skip
    result = train(first, [], how)
    tensors = {k: torch.from_numpy(v) for k, v in result.tensors.items()}
    frames = load_frames(last, case.species, CUTOFF / ANGSTROM)
    table = error_table(predict(build_model(how, tensors), frames, case.species))
    return {what: row_of(table, what) for what in ("forces", "energy")}


def figures(*, quick: bool) -> list[dict]:
    """Errors beside the targets; nothing where the data are not there."""
    if not DATA.is_dir():
        return []
    minutes = 0.1 if quick else 4.0
    found = []
    for name, case in CASES.items():
        table = learned(case, minutes)
        for what, unit, target in (
            ("forces", "meV/A", case.force_target),
            ("energy", "meV/atom", case.energy_target),
        ):
            if target is None:
                continue
            one = table[what]["rmse"]
            low, high = one["ci95"]
            found.append(
                figure(f"{name}: {what.removesuffix('s')} RMSE", one["value"], unit,
                       "<=", target,
                       f"[{low:.3g}, {high:.3g}] of {table[what]['frames']} frames as if "
                       f"independent, {minutes:g} CPU-minutes of training")
            )  # fmt: skip
    return found
