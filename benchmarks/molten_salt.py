"""Molten NaCl in bulk and between charged walls: trajectories whose profiles are known.

Writes ``bulk``, ``bulk_again``, ``slab`` and ``frozen``, each a ``.pqr`` (names, charges)
and an ``.xtc`` (unwrapped): 256 rigid ions of Fumi and Tosi at 1200 K, walls of
+-0.1 e/nm2. ``frozen`` is a slab at 1000 K, below melting, whose left half is a crystal
that was held while the right half was molten: what stationarity must tell. 4 fs, Langevin
0.1/ps; three to six minutes each on one thread. A run that was killed is taken up again.
"""

from __future__ import annotations

import argparse
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

import MDAnalysis as mda
import numpy as np
import xarray as xr

from mesobridge.atomistic.fumi_tosi import short_range_force
from mesobridge.atomistic.systems import CHARGES, lattice_start
from mesobridge.bridges.stages.common import Chain, make_cell
from mesobridge.core.md import MDState
from mesobridge.core.units import ANGSTROM, ELEMENTARY_CHARGE, NM, PS

TEMPERATURE, HOT, COLD = 1200.0, 2800.0, 1000.0  # K
MELT, SETTLE, SAVE = 8 * PS, 12 * PS, 0.1 * PS
FRICTION = 0.1 / PS
#: Between the layers of the crystal, nm.
HEIGHT = 0.29
#: Of the left wall, C/m2.
WALL = 0.1 * ELEMENTARY_CHARGE / NM**2
SETTINGS = {
    "ions": 256, "density": 1488.0, "temperature": TEMPERATURE, "oracle_cutoff": 0.8 * NM,
    "timestep": 0.004 * PS, "save": SAVE, "segment": 10 * PS, "width": 1.66 * NM,
    "vacuum": 3.0, "wall_epsilon": 1.660539e-21, "wall_sigma": 0.25 * NM,
    "surface_charge": WALL,
}  # fmt: skip
#: Lengths of the runs (s), and seeds.
RUNS = {
    "bulk": (300 * PS, 1), "bulk_again": (300 * PS, 2), "slab": (200 * PS, 1),
    "frozen": (60 * PS, 1),
}  # fmt: skip


def run(kind: str, out: Path) -> None:
    """Melt, settle, run and write one trajectory."""
    length, seed = RUNS[kind]
    cell = make_cell("bulk" if kind.startswith("bulk") else "slab", SETTINGS)
    forces = [short_range_force(cell.species, SETTINGS["oracle_cutoff"] / NM)]
    scratch = out / f".{kind}"
    context = SimpleNamespace(scratch=scratch, progress=lambda *_: None)
    chain = Chain(context, SETTINGS, cell, forces, f"Fumi-Tosi, {kind}", length)
    if kind == "frozen":
        temperature, state = COLD, half_molten(chain, seed)
    else:
        melt = chain.melt(lattice_start(cell, seed), MELT, HOT, seed)[1]
        temperature, state = TEMPERATURE, melt.final
    state = chain.go(state, SETTLE, temperature, seed + 2).final
    done = chain.go(state, length, temperature, seed + 3, friction=FRICTION)
    write(done.frames, out / kind)
    shutil.rmtree(scratch)


def half_molten(chain: Chain, seed: int) -> MDState:
    """Rock salt on the left wall, and a melt made beside it while it is held."""
    cell, system = chain.cell, chain.system
    across = 6
    k, j, i = np.indices((8, across, across)).reshape(3, -1)
    edge = cell.lengths[0] / across
    z = cell.walls.left + cell.walls.sigma + HEIGHT * k
    sites = np.stack([edge * (i + 0.5), edge * (j + 0.5), z], axis=1)
    even = (i + j + k) % 2 == 0
    half = len(cell.species) // 2
    chosen = np.concatenate([np.flatnonzero(m)[:half] for m in (even, ~even)])
    held = np.flatnonzero(k[chosen] < 4)
    mass = {int(n): system.getParticleMass(int(n)) for n in held}
    for n in mass:
        system.setParticleMass(n, 1e9)  # it does not move, and is a mass for frames
    melt = chain.melt(MDState(sites[chosen], cell.box), MELT, HOT, seed)[1]
    cold = chain.go(melt.final, MELT, COLD, seed + 4)  # or its heat melts the crystal
    for n, own in mass.items():
        system.setParticleMass(n, own)
    return cold.final


def write(frames: xr.Dataset, stem: Path) -> None:
    """Topology and trajectory, the latter last."""
    names = frames["species"].values
    u = mda.Universe.empty(len(names), trajectory=True)
    u.add_TopologyAttr("names", names)
    u.add_TopologyAttr("charges", [CHARGES[name] for name in names])
    u.add_TopologyAttr("radii", np.ones(len(names)))
    u.dimensions = [*np.diag(frames["box"].values[0]) / ANGSTROM, 90, 90, 90]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # residues that ions have not
        u.atoms.write(stem.with_suffix(".pqr"))
    half = stem.with_suffix(".part.xtc")
    with mda.Writer(str(half), len(names)) as writer:
        for x, time in zip(
            frames["positions"].values, frames["time"].values, strict=True
        ):
            u.atoms.positions = x / ANGSTROM
            u.trajectory.ts.time = time / PS
            writer.write(u.atoms)
    half.replace(stem.with_suffix(".xtc"))


def main() -> None:
    """Make one trajectory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=RUNS)
    parser.add_argument("--out", type=Path, default=Path("runs/molten_salt"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run(options.kind, options.out)


if __name__ == "__main__":
    main()
