"""Coarse graining: maps, force matching, models, the engine that runs them."""

from .bases import Spline
from .engine import make_system, pair_forces
from .force_checks import check_forces, virial_temperature
from .force_maps import (
    ForceCovariance,
    ForceMap,
    basic_force_map,
    load_force_map,
    optimal_force_map,
)
from .force_matching import match
from .frames import ArrayFrames, DatasetFrames, TrajectoryFrames, WithoutCoulomb
from .maps import BeadMap, Template, load_map
from .model import CGModel, load_model
from .normal_equations import NormalEquations, accumulate, joined, load_equations
from .pairs import Pairs, pair_names
from .presets import backbone, c_alpha, one_bead_per_atom, one_bead_per_molecule
from .rigid_bonds import rigid_pairs
from .solving import Fit, fit
from .templates import Atoms, map_of_residues, map_of_selections

__all__ = [
    "ArrayFrames",
    "Atoms",
    "BeadMap",
    "CGModel",
    "DatasetFrames",
    "Fit",
    "ForceCovariance",
    "ForceMap",
    "NormalEquations",
    "Pairs",
    "Spline",
    "Template",
    "TrajectoryFrames",
    "WithoutCoulomb",
    "accumulate",
    "backbone",
    "basic_force_map",
    "c_alpha",
    "check_forces",
    "fit",
    "joined",
    "load_equations",
    "load_force_map",
    "load_map",
    "load_model",
    "make_system",
    "map_of_residues",
    "map_of_selections",
    "match",
    "one_bead_per_atom",
    "one_bead_per_molecule",
    "optimal_force_map",
    "pair_forces",
    "pair_names",
    "rigid_pairs",
    "virial_temperature",
]
