"""Linear response of a cell: impedance and differential capacitance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ...core.progress import Show, shown
from ...core.schema import dataset
from ..impedance import differential_capacitance
from ..impedance import impedance as _impedance
from .cell import Cell
from .checks import Quantity, check_kind, check_name, several
from .conditions import check_double_layer
from .files import Saved, attributes, total_unit
from .given import solution_in
from .results import State


@dataclass(frozen=True, eq=False)
class ImpedanceSpectrum(Saved):
    """Impedance of a cell seen from one electrode.

    Attributes
    ----------
    cell, border
        The electrode.
    frequency
        Hz, shape (n,).
    impedance
        Complex, shape (n,), in `unit`.
    """

    cell: Cell
    border: str
    frequency: np.ndarray
    impedance: np.ndarray

    @property
    def unit(self) -> str:
        """``ohm``, ``ohm m`` or ``ohm m2`` as the current is in A, A/m or A/m2."""
        per = total_unit(self.cell)[1]
        return {"": "ohm", "m-1": "ohm m", "m-2": "ohm m2"}[per]

    def dataset(self) -> xr.Dataset:
        """``impedance-spectrum/1``."""
        values = {
            "frequency": self.frequency,
            "impedance_real": self.impedance.real,
            "impedance_imaginary": self.impedance.imag,
        }
        return dataset("impedance-spectrum/1", values, attributes(self))

    def plot(self, path: Path | str | None = None):
        """Nyquist and Bode figures; saved when `path` is given."""
        from .plot import plot_impedance

        return plot_impedance(self, path)


def impedance(
    cell: Cell,
    border: str,
    frequency: Quantity | Sequence[Quantity],
    state: State | None = None,
) -> ImpedanceSpectrum:
    """Impedance at a steady state, by linearisation.

    Parameters
    ----------
    cell, border
        The electrode whose potential is modulated.
    frequency
        Hz, one or a list.
    state
        Steady state; that of the cell's own conditions by default.

    Raises
    ------
    InputError
        When the border is no electrode, the state is another cell's or not steady, or a
        frequency is not positive.
    """
    check_kind(cell, Cell, "the cell", "a Cell")
    hertz = several(frequency, "Hz", "frequency", sign="positive", least=1)
    check_name(border, cell.borders, "unknown border")
    solution = solution_in(cell, cell.steady() if state is None else state)
    omega = 2 * np.pi * hertz * cell.scales.time
    found = _impedance(cell.model, solution, border, omega)
    current = cell.scales.current_density * total_unit(cell)[0]
    z = found.impedance * cell.scales.potential / current
    return ImpedanceSpectrum(cell, border, hertz, z)


@dataclass(frozen=True, eq=False)
class CapacitanceCurve(Saved):
    """Charge and differential capacitance of an electrode.

    Attributes
    ----------
    cell, border
        The electrode.
    potential
        V, shape (n,).
    charge
        As `State.charge`, shape (n,).
    capacitance
        Shape (n,), in `unit`.
    """

    cell: Cell
    border: str
    potential: np.ndarray
    charge: np.ndarray
    capacitance: np.ndarray

    @property
    def unit(self) -> str:
        """``F``, ``F m-1`` or ``F m-2``."""
        return f"F {total_unit(self.cell)[1]}".strip()

    def dataset(self) -> xr.Dataset:
        """``capacitance-curve/1``."""
        values = {
            "potential": self.potential,
            "charge": self.charge,
            "capacitance": self.capacitance,
        }
        return dataset("capacitance-curve/1", values, attributes(self))

    def plot(self, path: Path | str | None = None):
        """Figure of the capacitance; saved when `path` is given."""
        from .plot import plot_capacitance

        return plot_capacitance(self, path)


def capacitance(
    cell: Cell, border: str, potentials: Sequence[Quantity], *, progress: Show = None
) -> CapacitanceCurve:
    """Differential capacitance at a series of steady states, each from the one before."""
    check_kind(cell, Cell, "the cell", "a Cell")
    check_double_layer(cell.borders, cell.pieces(), border, len(cell.ions))
    volts = several(potentials, "V", "potentials of a capacitance", least=1)
    charge, slope, state = [], [], None
    unit = cell.scales.capacitance * total_unit(cell)[0]
    with shown("capacitance", cell.shows(progress)) as tell:
        for done, value in enumerate(volts):
            drive = {border: {"potential": float(value)}}
            state = cell.steady(drive, start=state, progress=False)
            charge.append(state.charge[border])
            linear = differential_capacitance(cell.model, state.solution, border)
            slope.append(linear * unit)
            if tell is not None:
                tell(done + 1, len(volts), "capacitance")
    return CapacitanceCurve(cell, border, volts, np.array(charge), np.array(slope))
