"""A run that is killed, and goes on when called again: ``parallel_resume.py FILE``.

The first process prints how often progress was shown, the steps and the last charge.
"""

import sys

import h5py  # noqa: F401 - before dolfinx, whose HDF5 is another one
import numpy as np

from mesobridge.continuum import _dolfinx as fx
from mesobridge.continuum.cell import (
    Cell,
    Electrode,
    Ion,
    Reservoir,
    Symmetry,
    voltage_step,
)
from mesobridge.continuum.checkpoint import Checkpoint
from mesobridge.continuum.domain import rectangle
from mesobridge.continuum.mesh import graded

COMM = fx.MPI.COMM_WORLD


class Killed(Exception):
    """After a dozen steps."""


def main(file: str, killed: bool) -> None:
    Checkpoint.__init__.__kwdefaults__["every"] = 0.0
    ions = [Ion("Na", 1, 1.33e-9, 100.0), Ion("Cl", -1, 2.03e-9, 100.0)]
    domain = rectangle(graded(9.0, 0.1, growth=1.3), np.linspace(0, 2, 5), comm=COMM)
    sides = {"bottom": Symmetry(), "top": Symmetry()}
    cell = Cell(domain, ions, {"left": Electrode(), "right": Reservoir()} | sides)
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1
        if killed and calls == 15:
            raise Killed

    try:
        run = voltage_step(
            cell, "left", 0.1, "10 ns", checkpoint=file or None, progress=count
        )
    except Killed:
        return
    if COMM.rank == 0:
        print(calls, run.run.steps, run.charge["left"][-1])


if __name__ == "__main__":
    main(sys.argv[1], len(sys.argv) > 2)
