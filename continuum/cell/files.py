"""Results that write themselves as NetCDF, and what their totals are per."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from ...core.artefact import write_dataset
from ..collective import on_root

if TYPE_CHECKING:
    from .cell import Cell


def total_unit(cell: Cell) -> tuple[float, str]:
    """SI value of a total over a border, per unit density, and what it is per."""
    extra = {"none": 0, "axial": 1, "spherical": 2}[cell.domain.symmetry]
    power = cell.domain.dim - 1 + extra
    return cell.scales.length**power, {0: "m-2", 1: "m-1", 2: ""}[power]


class Saved:
    """A result of a cell with a contract.

    Attributes
    ----------
    cell
        Whose result it is.
    """

    cell: Cell

    def dataset(self) -> xr.Dataset:
        """Under its contract, the attribute `schema`."""
        raise NotImplementedError

    def save(self, path: Path | str) -> None:
        """Write `dataset` as NetCDF, whole or not at all; by the first process."""
        ds = self.dataset()
        comm = self.cell.domain.comm
        on_root(comm, lambda: write_dataset(ds, path, ds.attrs["schema"]))


def attributes(result) -> dict[str, str | float]:
    """Attributes of what was found at a `border`: which, and what totals are per."""
    return {
        "temperature": result.cell.scales.temperature,
        "per": total_unit(result.cell)[1],
        "border": result.border,
    }
