"""Frames a second of MAICoS' DensityPlanar, and of reading alone, in its own venv.

Called by `profiles_speed` with a topology, a trajectory and a width of cells (Angstrom);
writes two numbers of seconds a pass, the best of three.
"""

import json
import sys
import time
import warnings

import MDAnalysis as mda
from maicos import DensityPlanar

warnings.simplefilter("ignore")


def main() -> None:
    """Time both in turns."""
    topology, trajectory, width = sys.argv[1], sys.argv[2], float(sys.argv[3])
    universe = mda.Universe(topology, trajectory, to_guess=())
    universe.add_TopologyAttr("masses", [16.0, 1.0, 1.0] * (len(universe.atoms) // 3))
    read, density = [], []
    for _ in range(3):
        begin = time.perf_counter()
        for _ in universe.trajectory:
            pass
        read.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        DensityPlanar(universe.atoms, dens="number", bin_width=width, unwrap=False).run()
        density.append(time.perf_counter() - begin)
    sys.stdout.write(json.dumps([min(read), min(density)]) + "\n")


if __name__ == "__main__":
    main()
