"""Whether the mesh holds the double layers."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..closures import Closure

if TYPE_CHECKING:
    from .cell import Cell
    from .results import State

#: Cells that are this many times the screening length at a wall err by about a percent.
COARSE = 2.5
#: mol/m3; water's own concentration is 55 mol/L, and ions are larger.
DENSEST = 60e3


def check_mesh(cell: Cell) -> None:
    """Warn of cells at charged borders that are large beside the bulk's Debye length."""
    if cell.electroneutral:
        return
    debye = cell.debye_length / cell.scales.length
    for name, pieces in cell.pieces().items():
        if pieces.charges(len(cell.ions)) and cell.domain.size_at(name) > 0.5 * debye:
            _warn(cell, name, 0.2 * debye, f"Debye length {_nm(cell, debye)}")


def check_layers(state: State) -> None:
    """Warn of point ions that no mesh, or no solution, can hold.

    That is where they crowd at a border more than its cells resolve, and where there are
    more of them than in any solution. Ions that take room fill layers of even density.
    """
    cell, model = state.cell, state.cell.model
    if cell.electroneutral or type(model.closure) is not Closure:
        return
    z, solution = model.charge_numbers, state.solution
    strength = (z[:, None] ** 2 * solution.concentration).sum(axis=0)
    eps = np.broadcast_to(solution.medium.permittivity, strength.shape)
    length = np.full(len(strength), np.inf)
    length[model.order] = np.sqrt(eps * solution.medium.poisson / (strength + 1e-300))
    for name, pieces in cell.pieces().items():
        if pieces.charges(len(cell.ions)):
            nodes = model.unknowns(0, name) // (model.n_species + 1)
            shortest = 1 / model.newton.largest(1 / length[nodes])
            if cell.domain.size_at(name) > COARSE * shortest:
                _warn(cell, name, shortest, f"screening length {_nm(cell, shortest)}")
    _warn_of_density(state)


def _warn_of_density(state: State) -> None:
    for ion, c in state.concentration.items():
        highest = state.cell.model.newton.largest(c)
        if highest > DENSEST:
            warnings.warn(
                f"{ion} crowds to {highest / 1e3:.3g} mol/L, more than any solution "
                "holds: give ions diameters and the cell sterics, or the electrode a "
                "Stern layer",
                stacklevel=4,
            )


def _warn(cell: Cell, name: str, needed: float, why: str) -> None:
    size = _nm(cell, cell.domain.size_at(name))
    warnings.warn(
        f"cells at {name!r} are {size} high; the double layer there needs "
        f"{_nm(cell, needed)} or less ({why})",
        stacklevel=4,
    )


def _nm(cell: Cell, length: float) -> str:
    return f"{length * cell.scales.length * 1e9:.2g} nm"
