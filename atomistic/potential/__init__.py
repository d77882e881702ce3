"""Machine-learned short-range potential: Cartesian ACE on dense neighbour lists."""

from .openmm_force import to_openmm
from .potential import Evaluation, Potential, errors, load_potential, save_potential
from .train import TrainingResult, TrainingSettings, train

__all__ = [
    "Evaluation",
    "Potential",
    "TrainingResult",
    "TrainingSettings",
    "errors",
    "load_potential",
    "save_potential",
    "to_openmm",
    "train",
]
