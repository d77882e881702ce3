"""A learned potential of springs, its truth as an oracle, and a run to be killed."""

import sys

import numpy as np
from ase import Atoms
from molecules import springs
from potentials import frames
from spring_oracle import Springs

from mesobridge.atomistic.active import Motion, Trigger
from mesobridge.atomistic.labels import Labeller, LabelStore
from mesobridge.atomistic.named_oracle import CodeOracle
from mesobridge.atomistic.potential import (
    TrainingSettings,
    load_potential,
    save_potential,
    train,
)
from mesobridge.atomistic.production import ProductionSettings, produce
from mesobridge.atomistic.uncertainty import calibrate

BENT = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])


class Shifted(Springs):
    """The truth, with the energies of the labelled frames."""

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["energy"] -= 500.0


ORACLE = CodeOracle("produced:Shifted", "springs", "1")


def labelled_springs(n, noise, seed):
    """Frames of the molecule."""
    rng = np.random.default_rng(seed)
    made = [springs(rng, noise=noise) for _ in range(n)]
    x = np.array([a.positions for a in made])
    energy = [a.get_potential_energy() for a in made]
    forces = [a.get_forces() for a in made]
    return frames(x, ["O", "H", "H"], np.zeros((3, 3)), "FFF", energy, forces)


def learned_springs(path):
    """File of a potential, calibrated."""
    settings = TrainingSettings(
        ("H", "O"), 4e-10, channels=8, radial=6, hidden=16, steps=300, batch=4,
        energy_weight=20.0, points=2,
    )  # fmt: skip
    known, held_out = (labelled_springs(n, 0.05, s) for n, s in ((60, 0), (200, 1)))
    result = train([known], [held_out], settings)
    save_potential(path, result, {})
    u = calibrate(load_potential(path), [known], [held_out])
    save_potential(path, result, {}, u)
    return path


def water(x=BENT):
    """The molecule."""
    return Atoms("OHH", x)


def run(path, folder, *, start=None, store=None, **given):
    """A short run, by the oracle unless another answer is given."""
    motion = Motion(300.0, given.pop("timestep", 0.5), given.pop("friction", 0.0), seed=2)
    given = {"answer": "correct", "length": 60.0, "segment": 20, "stride": 5.0} | given
    settings = ProductionSettings(motion, **given)
    oracle = Labeller(ORACLE, LabelStore(store or folder / "labels"))
    start = water() if start is None else start
    return produce(start, load_potential(path), settings, folder, oracle)


#: Of the run that is killed: looks, oracle calls, an unsure stretch.
KILLED = {"budget": 0.5, "friction": 0.02, "trigger": Trigger(force=0.02),
          "length": 300.0}  # fmt: skip

if __name__ == "__main__":
    from pathlib import Path

    run(Path(sys.argv[1]), Path(sys.argv[2]), **KILLED)
