"""Stages: MD of bulk and slab with the learned potential, and of bulk with the oracle."""

from __future__ import annotations

from pathlib import Path

from ...atomistic.fumi_tosi import short_range_force
from ...atomistic.systems import lattice_start
from ...core.artefact import read_dataset, write_dataset
from ...core.md import MDState
from ...core.units import NM, PS
from .common import Chain, learned_force, make_cell
from .learning import POTENTIAL
from .sampling import ROLES


def oracle_bulk(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Bulk MD of the oracle itself: what the learned potential is judged by."""
    s = settings
    cell = make_cell("bulk", s)
    forces = [short_range_force(cell.species, s["oracle_cutoff"] / NM)]
    total = s["replicas"] * (s["equilibrate"] + s["length"])
    chain = Chain(context, s, cell, forces, "oracle, bulk", total)
    for replica in range(s["replicas"]):
        # Noise of its own: the two are compared as independent.
        _produce(chain, {**s, "seed": s["seed"] + 50}, inputs, replica,
                 out / f"bulk_{replica}.nc")  # fmt: skip
    return {}


def bulk(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Bulk ML-MD of one replica."""
    s = settings
    cell = make_cell("bulk", s)
    forces = [learned_force(inputs["train"] / POTENTIAL, cell, s)]
    chain = Chain(context, s, cell, forces, "ML-MD, bulk", s["equilibrate"] + s["length"])
    _produce(chain, s, inputs, s["replica"], out / "bulk.nc")
    return {}


def _produce(chain: Chain, s: dict, inputs: dict[str, Path], replica: int, path: Path):
    """Equilibrate from a molten frame of the sampling and record."""
    role = ROLES[replica % len(ROLES)]
    molten = read_dataset(inputs["sample_bulk"] / f"{role}.nc", "frames/1")
    state = MDState(positions=molten["positions"].values[-1] / NM, box=chain.cell.box)
    seed = s["seed"] + 100 * replica
    temperature = s["temperature"]
    state = chain.go(state, s["equilibrate"], temperature, seed).final
    run = chain.go(state, s["length"], temperature, seed + 1, friction=s["friction"])
    write_dataset(run.frames, path, "frames/1")


def slab(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """ML-MD of one replica of the slab: melt, equilibrate, record.

    Without the melt well above the working temperature half of a slab that starts from
    a lattice stays frozen.
    """
    s = settings
    cell = make_cell("slab", s)
    forces = [learned_force(inputs["train"] / POTENTIAL, cell, s)]
    total = s["melt"] + s["equilibrate"] + s["length"]
    chain = Chain(context, s, cell, forces, "ML-MD, slab", total)
    seed = s["seed"] + 1000 * (s["replica"] + 1)
    start = lattice_start(cell, seed)
    _, melt = chain.melt(start, s["melt"], s["melt_temperature"], seed)
    state = chain.go(melt.final, s["equilibrate"], s["temperature"], seed + 2).final
    run = chain.go(state, s["length"], s["temperature"], seed + 3, friction=s["friction"])
    write_dataset(run.frames, out / "slab.nc", "frames/1")
    rate = s["length"] / PS / run.wall_s * 60
    return {"measured": {"md": {f"slab_{s['replica']}_ps_per_minute": rate}}}
