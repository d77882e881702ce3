"""States that a cell is given: of another call, or of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.artefact import read_dataset
from ...core.errors import InputError
from ..collective import on_root, together
from ..fields import Gather
from ..response import restore
from ..states import Solution, solution_of
from .checks import check_kind
from .results import State

if TYPE_CHECKING:
    from .cell import Cell


def solution_in(cell: Cell, state: State) -> Solution:
    """The solution of a state that has the mesh and the ions of a cell.

    Raises
    ------
    InputError
        When the nodes or the ions are others.
    """
    check_kind(state, State, "a state", "a State, as of Cell.steady")
    if state.cell is not cell:
        here, there = cell.model.points * cell.scales.length, state.points
        with together(cell.domain.comm):
            _check_same("the state", cell, here, there, _ions(state.cell))
    return state.solution


def _ions(cell: Cell) -> list[str]:
    return [ion.name for ion in cell.ions]


def _check_same(what: str, cell: Cell, here, there, ions: list[str]) -> None:
    """Refuse other nodes (m) or ions than those of a cell."""
    same = here.shape == there.shape and np.allclose(here, there, rtol=1e-9, atol=0)
    if not same or ions != _ions(cell):
        raise InputError(
            f"{what} is of another cell",
            wanted=f"the same {len(here)} nodes, ions {', '.join(_ions(cell))}",
            got=f"{'the same' if same else 'other'} {len(there)} nodes, "
            f"ions {', '.join(ions)}",
        )


def load_state(cell: Cell, path: Path | str, drive: Mapping | None = None) -> State:
    """A state that `State.save` wrote, to go on from.

    Parameters
    ----------
    cell
        Of the same mesh and ions.
    path
        The file.
    drive
        Changes of conditions that the state was found with.

    Raises
    ------
    InputError
        When the nodes or the ions are others.
    SchemaError
        When the file breaks its contract.
    """
    from .cell import Cell

    check_kind(cell, Cell, "the cell", "a Cell")
    check_kind(path, str | PathLike, "path of a state", "the path of a file")
    flat = cell.domain.dim == 1
    schema = "transport-solution/1" if flat else "transport-fields/1"
    ds = on_root(cell.domain.comm, lambda: read_dataset(path, schema))
    gather, scales = Gather(cell.model.nodes), cell.scales
    places = ds["distance"].values[:, None] if flat else ds["position"].values
    nodes = gather.points[:, : places.shape[1]] * scales.length
    ions = [str(name) for name in ds["species"].values]
    _check_same(f"{path}", cell, nodes, places, ions)
    c, phi = ds["concentration"].values, ds["potential"].values
    c, phi = (c[0], phi[0]) if flat else (c, phi)
    # A species that is driven out may be zero on disk, where its psi does not matter.
    c = np.maximum(gather.spread(c) / scales.density, 1e-300)
    phi = gather.spread(phi) / scales.potential
    medium, conditions = cell.medium, cell.conditions(drive)
    shift = medium.closure.ln_activities(c) - medium.ln_activity[:, None]
    psi = shift + cell.model.charge_numbers[:, None] * phi + medium.mu_ex
    potential = ds.attrs.get("electrode_potential") if conditions.current else None
    if potential is not None:
        potential = float(potential) / scales.potential
    rest = Solution.at_rest(cell.model, medium, conditions)
    restore(cell.model, replace(rest, psi=psi, phi=phi, potential=potential))
    found = solution_of(cell.model, medium, conditions, rest.report, potential)
    return State(cell, found, ds.attrs.get("time"))
