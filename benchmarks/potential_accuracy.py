"""What a potential learns of DFT labels in a given CPU time: water and acetylacetone.

Training takes four CPU-minutes a system, a fifth of what the targets allow.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import xarray as xr
from figures import figure

from mesobridge.atomistic.potential import TrainingSettings, train
from mesobridge.atomistic.potential.data import load_frames
from mesobridge.atomistic.potential.predictions import error_table, predict
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


def learned(species, sets, settings: dict, minutes: float) -> tuple[dict, float]:
    """Errors on held-out frames, and CPU-minutes spent."""
    first, last = sets
    how = TrainingSettings(
        species, CUTOFF, channels=32, layers=2, cpu_minutes=minutes, points=1, **settings
    )
    result = train(first, [], how)
    tensors = {k: torch.from_numpy(v) for k, v in result.tensors.items()}
    frames = load_frames(last, species, CUTOFF / ANGSTROM)
    table = error_table(predict(build_model(how, tensors), frames), species)["all"]
    return table, minutes


def figures(*, quick: bool) -> list[dict]:
    """Errors beside the targets; nothing where the data are not there."""
    if not DATA.is_dir():
        return []
    minutes = 0.1 if quick else 4.0
    cases = (
        ("water PBE0+TS", ("O", "H"), water, {"batch": 1, "energy_weight": 2.0}, 45, 0.5),
        ("acetylacetone 300 K", ("C", "O", "H"), acetylacetone,
         {"batch": 5, "energy_weight": 1.5}, 25, None),
    )  # fmt: skip
    found = []
    for name, species, sets, settings, force, energy in cases:
        table, spent = learned(species, sets(), settings, minutes)
        for what, unit, target in (
            ("force", "meV/A", force), ("energy", "meV/atom", energy)
        ):  # fmt: skip
            if target is None:
                continue
            one = table[what]["rmse"]
            low, high = one["ci95"]
            found.append(
                figure(f"{name}: {what} RMSE", one["value"], unit, "<=", target,
                       f"[{low:.3g}, {high:.3g}] of {table['frames']} frames as if "
                       f"independent, {spent:g} CPU-minutes of training")
            )  # fmt: skip
    return found
