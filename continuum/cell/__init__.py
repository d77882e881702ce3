"""Electrochemical cells in SI: what writers of scripts use."""

from .cell import Cell
from .electrodes import Electrode, Redox
from .given import load_state
from .parts import Fixed, Inlet, Ion, Outlet, Periodic, Reservoir, Symmetry, Wall
from .protocols import (
    constant_current,
    cyclic_voltammetry,
    follow,
    voltage_step,
)
from .regions import Region
from .response import capacitance, impedance
from .rest import open_circuit
from .results import Series, State
from .tables import coefficients_from_arrays
from .uncertainty import replicates, sensitivity

__all__ = [
    "Cell",
    "Electrode",
    "Fixed",
    "Inlet",
    "Ion",
    "Outlet",
    "Periodic",
    "Redox",
    "Region",
    "Reservoir",
    "Series",
    "State",
    "Symmetry",
    "Wall",
    "capacitance",
    "coefficients_from_arrays",
    "constant_current",
    "cyclic_voltammetry",
    "follow",
    "impedance",
    "load_state",
    "open_circuit",
    "replicates",
    "sensitivity",
    "voltage_step",
]
