"""How sure a potential is of its forces: calibration, and checks of it."""

from .calibration import calibrate
from .coverage import Coverage, auroc, coverage, coverage_of
from .crossed import calibrate_and_check
from .trajectory import with_uncertainty

__all__ = [
    "Coverage",
    "auroc",
    "calibrate",
    "calibrate_and_check",
    "coverage",
    "coverage_of",
    "with_uncertainty",
]
