"""Errors of one process that all learn of: ``parallel_errors.py FOLDER``.

The first process prints a line for each case: on how many processes it was which error.
"""

import sys
from collections import Counter
from pathlib import Path

import h5py  # noqa: F401 - before dolfinx, whose HDF5 is another one
import numpy as np

from mesobridge.continuum import _dolfinx as fx
from mesobridge.continuum.cell import (
    Cell,
    Electrode,
    Ion,
    Region,
    Reservoir,
    Symmetry,
    follow,
)
from mesobridge.continuum.collective import on_root, together
from mesobridge.continuum.domain import rectangle
from mesobridge.core.errors import InputError

COMM = fx.MPI.COMM_WORLD


class Foreign(Exception):
    """Of a package whose errors cannot be sent."""

    def __reduce__(self):
        raise TypeError("cannot be pickled")


def cell_of(ions, **options):
    domain = rectangle(np.linspace(0, 9, 10), np.linspace(0, 2, 3), comm=COMM)
    sides = {"bottom": Symmetry(), "top": Symmetry()}
    return Cell(
        domain, ions, {"left": Electrode(), "right": Reservoir()} | sides, **options
    )


def last_alone():
    with together(COMM):
        if COMM.rank == COMM.size - 1:
            raise InputError("here alone")


def foreign():
    def work():
        raise Foreign("of another package")

    on_root(COMM, work)


def outside_the_closure(cell):
    """Where the electrode is there are too many."""

    def check(c, words):
        if c.max() > 1.5:
            raise InputError("too many")

    cell.model.closure.check = check
    cell.steady({"left": {"potential": 0.1}})


def at_one_end(points):
    """No numbers where the last process is."""
    return np.where(points[:, 0] == 9e-9, np.nan, 0.0)


def main(folder: Path) -> None:
    ions = [Ion("Na", 1, 1e-9, 100.0), Ion("Cl", -1, 1e-9, 100.0)]
    cell, file = cell_of(ions), folder / "file"
    if COMM.rank == 0:
        file.write_bytes(b"")
    state = cell.steady()
    run = follow(cell, "1 ns", start=state, tolerance=1.0)
    cases = {
        "alone": last_alone,
        "foreign": foreign,
        "state": lambda: state.save(file / "state.nc"),
        "series": lambda: run.save(file / "run.nc"),
        "fields": lambda: state.save_xdmf(file / "state.xdmf"),
        "checkpoint": lambda: follow(cell, "1 ns", checkpoint=file),
        "no folder": lambda: follow(
            cell, "1 ns", checkpoint=file / "run.npz", forget=False, tolerance=1.0
        ),
        "not finite": lambda: cell.steady({"left": {"potential": np.nan}}),
        "charge": lambda: cell_of(ions, fixed_charge=at_one_end),
        "region": lambda: cell_of(ions, regions={"end": Region(at_one_end)}),
        "closure": lambda: outside_the_closure(cell),
    }
    for name, case in cases.items():
        try:
            case()
            found = "nothing"
        except Exception as exc:
            found = type(exc).__name__
        counted = Counter(COMM.allgather(found))
        if COMM.rank == 0:
            print(name, *(f"{key}={n}" for key, n in sorted(counted.items())), sep=": ")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
