"""Electrochemical cells in SI: what writers of scripts use."""

from .cell import Cell
from .electrodes import Electrode, Redox
from .parts import Fixed, Inlet, Ion, Outlet, Reservoir, Symmetry, Wall
from .protocols import (
    constant_current,
    cyclic_voltammetry,
    follow,
    voltage_step,
)
from .results import Series, State, load_state

__all__ = [
    "Cell",
    "Electrode",
    "Fixed",
    "Inlet",
    "Ion",
    "Outlet",
    "Redox",
    "Reservoir",
    "Series",
    "State",
    "Symmetry",
    "Wall",
    "constant_current",
    "cyclic_voltammetry",
    "follow",
    "load_state",
    "voltage_step",
]
