"""Numbers of a state that derivatives and error bars are wanted of."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.units import AVOGADRO
from .. import quantities
from .cell import Cell
from .checks import check_kind, check_name
from .files import total_unit
from .results import State


@dataclass(frozen=True)
class Observable:
    """A number of a state, in SI."""

    def scaled(self, cell: Cell) -> quantities.Quantity:
        """The same in scaled units."""
        raise NotImplementedError

    def unit(self, cell: Cell) -> tuple[float, str]:
        """SI value of a scaled unit, and its name."""
        raise NotImplementedError

    def __call__(self, state: State) -> float:
        """Its value.

        Raises
        ------
        InputError
            When the state has no such number.
        """
        check_kind(state, State, "a state", "a State, as of Cell.steady")
        cell = state.cell
        return self.scaled(cell)(cell.model, state.solution) * self.unit(cell)[0]


@dataclass(frozen=True)
class OfBorder(Observable):
    """One that belongs to a border.

    Attributes
    ----------
    border
        Its name.
    """

    border: str

    def _total(self, cell: Cell, density: float, name: str) -> tuple[float, str]:
        size, per = total_unit(cell)
        return density * size, f"{name} {per}".strip()

    def _place(self, cell: Cell) -> str:
        check_name(self.border, cell.borders, "unknown border")
        return self.border


@dataclass(frozen=True)
class Current(OfBorder):
    """Electric current into the cell at a border; A, A/m or A/m2 as `State.current`."""

    def scaled(self, cell):
        """Sum over the ions."""
        return quantities.Current(self._place(cell))

    def unit(self, cell):
        """A, per m or m2."""
        return self._total(cell, cell.scales.current_density, "A")


@dataclass(frozen=True)
class Charge(OfBorder):
    """Charge of a border; C, C/m or C/m2 as `State.charge`."""

    def scaled(self, cell):
        """Where phi is held or a term brings charge."""
        return quantities.Charge(self._place(cell))

    def unit(self, cell):
        """C, per m or m2."""
        return self._total(cell, cell.scales.surface_charge, "C")


@dataclass(frozen=True)
class Inflow(OfBorder):
    """What enters of a species at a border; mol/s, per m or m2 as `State.inflow`.

    Attributes
    ----------
    border
        Its name.
    species
        Name of the ion.
    """

    species: str

    def scaled(self, cell):
        """Flux of the species."""
        return quantities.Inflow(cell.index(self.species), self._place(cell))

    def unit(self, cell):
        """Mol/s, per m or m2."""
        return self._total(cell, cell.scales.flux / AVOGADRO, "mol s-1")


@dataclass(frozen=True)
class Amount(Observable):
    """Amount of a species in the cell; mol, per m or m2.

    Attributes
    ----------
    species
        Name of the ion.
    """

    species: str

    def scaled(self, cell):
        """Integral of the concentration."""
        return quantities.Amount(cell.index(self.species))

    def unit(self, cell):
        """Mol, per m or m2."""
        size, per = total_unit(cell)
        density = cell.scales.density * cell.scales.length / AVOGADRO
        return density * size, f"mol {per}".strip()


@dataclass(frozen=True)
class Potential(Observable):
    """Potential of the electrode whose current is given, V."""

    def scaled(self, cell):
        """That which was found."""
        return quantities.Potential()

    def unit(self, cell):
        """V."""
        return cell.scales.potential, "V"
