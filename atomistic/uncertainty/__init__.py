"""How sure a potential is of its forces: calibration, and checks of it."""

from .calibration import calibrate
from .coverage import Coverage, auroc, coverage
from .trajectory import with_uncertainty

__all__ = ["Coverage", "auroc", "calibrate", "coverage", "with_uncertainty"]
