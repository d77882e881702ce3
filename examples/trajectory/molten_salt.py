"""From a trajectory on disk to transport, residence and profiles, by the command line.

Makes a small XTC of molten NaCl first; with your own, leave that out.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import MDAnalysis as mda
import numpy as np

from mesobridge.atomistic.fumi_tosi import short_range_force
from mesobridge.atomistic.systems import (
    bulk_cell,
    lattice_start,
    make_system,
    number_density,
)
from mesobridge.core.md import MDSettings, run_segments
from mesobridge.core.script import plain_errors
from mesobridge.core.units import ANGSTROM, FS, PS


@plain_errors()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/trajectory"))
    parser.add_argument("length", type=float, nargs="?", default=100.0, help="ps")
    options = parser.parse_args()
    out, length = options.out, options.length
    out.mkdir(parents=True, exist_ok=True)

    cell = bulk_cell(64, number_density(1500.0))
    system = make_system(cell, short_range_force(cell.species, 0.6), cutoff=0.6)

    def run(state, ps, temperature, friction):
        """`ps` picoseconds, a frame each 0.05 ps."""
        how = MDSettings(temperature, 2 * FS, friction / PS, seed=1)
        steps = round(ps / 0.05) * 25
        return run_segments(
            system, cell.species, state, how,
            n_steps=steps, stride=25, segment_steps=steps, source="Fumi-Tosi",
        )  # fmt: skip

    melted = run(lattice_start(cell, 1), 2, 2800.0, friction=5)
    cooled = run(melted.final, 2, 1200.0, friction=5)
    frames = run(cooled.final, length, 1200.0, friction=0.1).frames  # more would slow D

    n = len(cell.species)
    universe = mda.Universe.empty(n, n, atom_resindex=np.arange(n), trajectory=True)
    for key in ("names", "resnames"):
        universe.add_TopologyAttr(key, cell.species)
    universe.add_TopologyAttr("resids", np.arange(1, n + 1))
    box = [*(10 * np.array(cell.lengths)), 90, 90, 90]
    positions = frames["positions"].values / ANGSTROM
    universe.load_new(positions.astype("f4"), order="fac", dt=0.05, dimensions=box)
    universe.atoms.write(out / "salt.gro")
    universe.atoms.write(out / "salt.xtc", frames="all")

    given = "salt.xtc --topology salt.gro --species 'Na=name Na' --species 'Cl=name Cl'"
    warm = "--charge 'name Na=1' --charge 'name Cl=-1' --temperature '1200 K'"
    for command in (
        f"transport {given} {warm} --viscosity '1 mPa s' --plot transport.png",
        "residence salt.xtc --topology salt.gro --species 'Na=name Na' --around 'name Cl'"
        " --within '0.38 nm' --pairs --kind intermittent --block '5 ps'"
        " --plot residence.png",
        f"profiles {given} {warm} --lag '0.3 ps' --bin '0.05 nm' --boundary periodic"
        " --bulk transport.nc --out profiles.nc --plot profiles.png",
    ):
        print(f"mesobridge {command}", flush=True)
        code = "from mesobridge.cli import main; main()"
        asked = [sys.executable, "-c", code, *shlex.split(command), "--quiet"]
        done = subprocess.run(asked, cwd=out, check=False)  # noqa: S603
        if done.returncode:  # the command has said why
            sys.exit(done.returncode)


if __name__ == "__main__":
    main()
