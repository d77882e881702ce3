"""Fields for ParaView."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from ...core.artefact import told
from ...core.errors import InputError
from .. import _dolfinx as fx
from ..collective import on_root

if TYPE_CHECKING:
    from .results import State


def save_xdmf(state: State, path: Path | str) -> None:
    """Write fields at the vertices, ``NAME.xdmf`` and ``NAME.h5``; both or none.

    Raises
    ------
    InputError
        When the file has another ending, or its folder cannot be written to.
    """
    with told(path):
        path = Path(path)
    if path.suffix != ".xdmf":
        raise InputError("a file for ParaView", wanted="NAME.xdmf", got=str(path))
    domain = state.cell.domain
    space = fx.lagrange(domain.mesh, 1, 0)
    # Nodes of degree 1 are among those of the state.
    found = cKDTree(state.solution.points).query(fx.node_positions(space))[1]
    values = {f"c_{name} (mol/m3)": c for name, c in state.concentration.items()}
    fields = {}
    for name, nodal in {**values, "potential (V)": state.potential}.items():
        fields[name] = fx.function(space)
        fields[name].x.array[:] = np.asarray(nodal)[found]
    folder = _folder(path, domain.comm)

    def put_in_place() -> None:
        with told(path):
            for name in (path.with_suffix(".h5").name, path.name):
                os.replace(folder / name, path.with_name(name))

    try:
        fx.write_xdmf(folder / path.name, domain.mesh, fields, state.time)
        domain.comm.barrier()
        on_root(domain.comm, put_in_place)
    finally:
        domain.comm.barrier()
        if domain.comm.rank == 0:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(path: Path, comm) -> Path:
    """A new folder beside the file, the same on all processes."""

    def made() -> str:
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            return tempfile.mkdtemp(
                prefix=f".{path.name}.", suffix=".tmp", dir=path.parent
            )

    return Path(on_root(comm, made))
