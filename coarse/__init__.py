"""Coarse graining: maps, force matching, models, the engine that runs them."""

from .engine import make_system, pair_forces
from .force_matching import NormalEquations, accumulate, fit, pair_names
from .maps import BeadMap, one_bead_per_atom
from .model import CGModel, load_model
from .splines import PairSpline

__all__ = [
    "BeadMap",
    "CGModel",
    "NormalEquations",
    "PairSpline",
    "accumulate",
    "fit",
    "load_model",
    "make_system",
    "one_bead_per_atom",
    "pair_forces",
    "pair_names",
]
