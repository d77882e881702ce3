"""Frames of a run, as the data set that others read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ...core.schema import dataset
from ...core.units import ANGSTROM, DALTON, EV
from ..active.walkers import Motion, System
from .state import State

#: Arrays of rows of frames in files, in A, eV and fs.
ROWS = ("time", "positions", "forces", "energy", "force_std", "distance")


def row(state: State) -> tuple:
    """One frame, in the order of `ROWS`."""
    found = state.found
    return (state.time, state.walker.x, found.forces, found.energy, state.std,
            np.asarray(found.distances))  # fmt: skip


def joined(rows: Sequence[tuple]) -> dict[str, np.ndarray]:
    """Rows as arrays, for a file."""
    columns = zip(*rows, strict=True) if rows else [()] * len(ROWS)
    return {f"row_{k}": np.array(c) for k, c in zip(ROWS, columns, strict=True)}


def trajectory(parts: Sequence[dict], system: System, motion: Motion) -> xr.Dataset:
    """`frames/1` with ``force_std`` and ``distance``, of parts that were `joined`."""
    filled = [p for p in parts if len(p["row_time"])]
    of = {k: np.concatenate([p[f"row_{k}"] for p in filled]) for k in ROWS}
    unit = {"time": 1e-15, "positions": ANGSTROM, "forces": EV / ANGSTROM, "energy": EV,
            "force_std": EV / ANGSTROM, "distance": 1.0}  # fmt: skip
    values = {k: of[k] * unit[k] for k in ROWS} | {
        "box": np.repeat(system.box[None], len(of["time"]), axis=0) * ANGSTROM,
        "species": np.array(system.species),
        "mass": system.masses * DALTON,
    }
    return dataset("frames/1", values, {
        "source": "production run of a learned potential",
        "pbc": "".join("FT"[p] for p in system.pbc), "charge_number": system.charge,
        "temperature": motion.temperature, "timestep": motion.timestep * 1e-15,
        "thermostat": "Langevin (BAOAB)" if motion.friction else "none",
        "friction": motion.friction * 1e15, "seed": motion.seed,
    })  # fmt: skip
