"""Stage: configurations of the oracle's own MD, with labels, baseline and residual."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ...atomistic.fumi_tosi import IonicCalculator, short_range_force
from ...atomistic.oracle import label, residual
from ...atomistic.systems import Cell, lattice_start
from ...core.artefact import write_dataset
from ...core.units import NM, PS
from .common import Chain, make_cell

#: Melting from the lattice and settling at each temperature (s).
MELT, SETTLE = 2 * PS, 1 * PS
ROLES = ("train", "held_out")


def sample(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Sample one kind of cell ("bulk" or "slab") and label it.

    Training and held-out frames come from runs of their own, from their own starts.
    Writes ``train.nc``, ``held_out.nc`` (labels) and ``*_residual.nc`` (labels minus
    formal-charge Coulomb), all `frames/1`.
    """
    s = settings
    cell = make_cell(s["kind"], s)
    n_temperatures = len(s["temperatures"])
    counts = {role: max(1, s["frames"][role] // n_temperatures) for role in ROLES}
    time = sum(
        MELT + n_temperatures * (SETTLE + n * s["spacing"]) for n in counts.values()
    )
    forces = [short_range_force(cell.species, s["oracle_cutoff"] / NM)]
    chain = Chain(context, s, cell, forces, f"{s['oracle']} {s['kind']}", time)
    sizes = {}
    for role in ROLES:
        melting = role == "train"  # judged at the given temperatures only
        seed = role_seed(s["seed"], s["kind"], role)
        frames = _frames(chain, cell, s, counts[role], seed, melting)
        labels, left = _label(frames, s, f"{role}", context)
        write_dataset(labels, out / f"{role}.nc", "frames/1")
        write_dataset(left, out / f"{role}_residual.nc", "frames/1")
        sizes[role] = labels.sizes["frame"]
    return {"frames": sizes}


def role_seed(seed: int, kind: str, role: str) -> int:
    """A seed of its own for each kind of cell and role: nothing shares its noise."""
    return seed + 10_000 * (1 + ("bulk", "slab").index(kind)) + 1000 * ROLES.index(role)


def _frames(
    chain: Chain, cell: Cell, s: dict, n: int, seed: int, melting: bool
) -> xr.Dataset:
    """`n` frames at each temperature, from hot to cold; before them the melting."""
    hot_to_cold = sorted(s["temperatures"], reverse=True)
    begin, melt = chain.melt(lattice_start(cell, seed), MELT, hot_to_cold[0], seed)
    state = melt.final
    # ML-MD will melt lattices as well: the potential must have seen it.
    sets = [begin.frames] if melting else []
    for leg, temperature in enumerate(hot_to_cold):
        noise = seed + 10 * (leg + 1)
        state = chain.go(state, SETTLE, temperature, noise).final
        length = n * s["spacing"]
        run = chain.go(state, length, temperature, noise + 1, save=s["spacing"])
        state = run.final
        sets.append(run.frames)
    temperatures = np.concatenate(
        [np.full(ds.sizes["frame"], ds.attrs["temperature"]) for ds in sets]
    )
    joined = xr.concat(sets, "frame", data_vars="minimal", combine_attrs="drop_conflicts")
    joined.attrs["pbc"] = "TTT" if cell.walls is None else "TTF"
    joined.attrs["frame_temperature"] = temperatures
    return joined


def _label(frames: xr.Dataset, s: dict, role: str, context):
    """Labels of the oracle, and what is left of them after formal-charge Coulomb."""
    cutoff = s["oracle_cutoff"] / NM

    def progress(done: float, total: float, text: str) -> None:
        context.progress(done, total, f"label {role}: {text}")

    labels = label(frames, IonicCalculator(cutoff), source=s["oracle"], progress=progress)
    baseline = IonicCalculator(cutoff, short_range=False)
    coulomb = label(frames, baseline, source="formal charges", progress=progress)
    return labels, residual(labels, coulomb)
