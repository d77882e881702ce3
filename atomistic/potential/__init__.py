"""Machine-learned short-range potential: Cartesian ACE on dense neighbour lists."""

from .ase_calculator import MesobridgeCalculator
from .baseline import without_baseline
from .evaluation import CalculatorPotential, Evaluation
from .files import load_potential, save_potential
from .named import NamedBaseline
from .openmm_force import to_openmm
from .potential import Potential
from .predictions import errors
from .train import TrainingResult, TrainingSettings, train
from .verlet import VerletList

__all__ = [
    "CalculatorPotential",
    "Evaluation",
    "MesobridgeCalculator",
    "NamedBaseline",
    "Potential",
    "TrainingResult",
    "TrainingSettings",
    "errors",
    "load_potential",
    "save_potential",
    "VerletList",
    "to_openmm",
    "train",
    "without_baseline",
]
