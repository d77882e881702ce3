"""States and series of a cell, in SI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ...core.schema import dataset
from ...core.units import AVOGADRO
from ..audit import Audit, audit
from ..fields import Gather
from ..states import Report, Solution
from ..walk import Run
from .files import Saved, total_unit

if TYPE_CHECKING:
    from .cell import Cell


@dataclass(frozen=True, eq=False)
class State(Saved):
    """Fields and totals of a cell at one time.

    Attributes
    ----------
    cell
        Whose state it is.
    solution
        In scaled units.
    time
        s; ``None`` for a steady state.
    """

    cell: Cell
    solution: Solution
    time: float | None = None

    def __repr__(self) -> str:
        when = "steady" if self.time is None else f"at {self.time:.6g} s"
        names = ", ".join(ion.name for ion in self.cell.ions)
        size = f"{len(self.solution.points)} nodes"
        unit = f"A {total_unit(self.cell)[1]}".strip()
        passing = ((name, i) for name, i in self.current.items() if i)
        currents = ", ".join(f"{name} {i:.4g}" for name, i in passing)
        return f"<State {when}: {names}; {size}; current / {unit}: {currents or 0}>"

    @property
    def points(self) -> np.ndarray:
        """Nodes, shape (n_nodes, 3), m."""
        return self.solution.points * self.cell.scales.length

    @property
    def x(self) -> np.ndarray:
        """First coordinate of the nodes, shape (n_nodes,), m."""
        return self.points[:, 0]

    @cached_property
    def concentration(self) -> dict[str, np.ndarray]:
        """Species -> concentration on the nodes, mol/m3."""
        unit = self.cell.scales.density / AVOGADRO
        c = self.solution.concentration * unit
        return {ion.name: c[i] for i, ion in enumerate(self.cell.ions)}

    @property
    def potential(self) -> np.ndarray:
        """Electric potential on the nodes, V."""
        return self.solution.phi * self.cell.scales.potential

    @property
    def current(self) -> dict[str, float]:
        """Border -> electric current of the ions into the cell; 0 where nothing passes.

        A in axial symmetry and three dimensions, A/m in the plane, A/m2 on an interval.
        """
        unit = self.cell.scales.current_density * total_unit(self.cell)[0]
        found = dict.fromkeys(self.cell.domain.borders, 0.0)
        for (i, place), flux in self.solution.inflow.items():
            found[str(place)] += float(self.cell.ions[i].charge * flux * unit)
        return found

    @property
    def inflow(self) -> dict[tuple[str, str], float]:
        """(Species, border) -> what enters; mol/s, per m or per m2 as `current`."""
        unit = self.cell.scales.flux * total_unit(self.cell)[0] / AVOGADRO
        return {
            (self.cell.ions[i].name, str(place)): flux * unit
            for (i, place), flux in self.solution.inflow.items()
        }

    @property
    def charge(self) -> dict[str, float]:
        """Border -> surface charge, 0 without; C, per m or per m2 as `current`."""
        unit = self.cell.scales.surface_charge * total_unit(self.cell)[0]
        found = self.solution.charge
        return {name: found.get(name, 0.0) * unit for name in self.cell.domain.borders}

    @property
    def electrode_potential(self) -> float | None:
        """Of the border with a given current, V."""
        value = self.solution.potential
        return None if value is None else value * self.cell.scales.potential

    @property
    def report(self) -> Report:
        """What continuation did."""
        return self.solution.report

    def audit(self) -> Audit:
        """Balances of mass, charge and current, and the energy of the field.

        Masses are in the order of the ions; J, per m or per m2 as `current`.
        """
        found, scales = audit(self.cell.model, self.solution), self.cell.scales
        volume = scales.length * total_unit(self.cell)[0]
        energy = found.field_energy * scales.energy * scales.density * volume
        return replace(found, field_energy=energy)

    def dataset(self) -> xr.Dataset:
        """``transport-solution/1`` on an interval, ``transport-fields/1`` elsewhere."""
        gather = Gather(self.cell.model.nodes)
        unit = self.cell.scales
        c = gather(self.solution.concentration) * unit.density
        phi = gather(self.solution.phi) * unit.potential
        ions = self.cell.ions
        values = {
            "species": [ion.name for ion in ions],
            "charge_number": np.array([float(ion.charge) for ion in ions]),
        }
        attrs: dict = {"temperature": unit.temperature}
        if self.time is not None:
            attrs["time"] = self.time
        attrs |= {f"current_{name}": value for name, value in self.current.items()}
        attrs |= {f"charge_{name}": value for name, value in self.charge.items()}
        if self.electrode_potential is not None:
            attrs["electrode_potential"] = self.electrode_potential
        if self.cell.domain.dim > 1:
            position = gather.points * unit.length
            values |= {"position": position, "concentration": c, "potential": phi}
            return dataset("transport-fields/1", values, attrs)
        distance = gather.points[:, 0] * unit.length
        values |= {"distance": distance, "concentration": c[None], "potential": phi[None]}
        return dataset("transport-solution/1", values, attrs)

    def save_xdmf(self, path: Path | str) -> None:
        """Write fields at the vertices for ParaView: ``NAME.xdmf`` and ``NAME.h5``.

        Lengths are in the unit of the cell.
        """
        from .paraview import save_xdmf

        save_xdmf(self, path)

    def plot(self, path: Path | str | None = None):
        """Figure of potential and concentrations; saved when `path` is given."""
        from .plot import plot_state

        return plot_state(self, path)


@dataclass(frozen=True, eq=False)
class Series(Saved):
    """What happened in time.

    Attributes
    ----------
    cell
        Whose series it is.
    run
        In scaled units.
    drive
        Border -> what was driven at each time: ``{"anode": {"potential": array}}``, V.
    """

    cell: Cell
    run: Run
    drive: dict[str, dict[str, np.ndarray]]

    def __repr__(self) -> str:
        span = f"{self.time[0]:.6g} to {self.time[-1]:.6g} s"
        rejected = f"{self.run.rejected} made again"
        return f"<Series {span}: {self.run.steps} steps, {rejected}>"

    @property
    def time(self) -> np.ndarray:
        """s, shape (n,)."""
        return self.run.time * self.cell.scales.time

    @property
    def current(self) -> dict[str, np.ndarray]:
        """Border -> electric current into the cell, with what charges the border.

        Units as `State.current`.
        """
        unit = self.cell.scales.current_density * total_unit(self.cell)[0]
        return self._at_borders(self.run.current, unit)

    @property
    def charge(self) -> dict[str, np.ndarray]:
        """Border -> surface charge; units as `State.charge`."""
        unit = self.cell.scales.surface_charge * total_unit(self.cell)[0]
        return self._at_borders(self.run.charge, unit)

    def _at_borders(self, found: Mapping, unit: float) -> dict[str, np.ndarray]:
        none = np.zeros(len(self.run.time))
        return {name: found.get(name, none) * unit for name in self.cell.domain.borders}

    @property
    def electrode_potential(self) -> np.ndarray:
        """Of the border with a given current, V; empty without one."""
        return self.run.potential * self.cell.scales.potential

    @property
    def states(self) -> list[State]:
        """At the start, the times asked for and the end."""
        unit = self.cell.scales.time
        return [
            State(self.cell, s, t * unit) for t, s in sorted(self.run.snapshots.items())
        ]

    @property
    def last(self) -> State:
        """The last state."""
        return self.states[-1]

    def dataset(self) -> xr.Dataset:
        """``transport-series/1``."""
        current, charge = self.current, self.charge
        values = {
            "time": self.time,
            "border": list(current),
            "current": list(current.values()),
            "charge": list(charge.values()),
        }
        if len(self.electrode_potential) == len(self.time):
            values["potential"] = self.electrode_potential
        return dataset(
            "transport-series/1",
            values,
            {
                "temperature": self.cell.scales.temperature,
                "per": total_unit(self.cell)[1],
            },
        )

    def plot(self, path: Path | str | None = None):
        """Figure of current and charge against time; saved when `path` is given."""
        from .plot import plot_series

        return plot_series(self, path)
