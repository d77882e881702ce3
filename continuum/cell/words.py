"""Words of a cell's errors: names of its ions, and SI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.units import AVOGADRO
from ..words import Words
from .results import total_unit

if TYPE_CHECKING:
    from .cell import Cell


def words_of(cell: Cell) -> Words:
    """Of the errors of a cell's model."""
    scales, (size, per) = cell.scales, total_unit(cell)
    units = {
        "time": (scales.time, "s"),
        "length": (scales.length, "m"),
        "concentration": (scales.density / AVOGADRO, "mol/m3"),
        "charge": (scales.surface_charge * size, f"C {per}".strip()),
        "frequency": (1 / (2 * np.pi * scales.time), "Hz"),
    }
    return Words(tuple(ion.name for ion in cell.ions), units)
