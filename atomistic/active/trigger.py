"""When forces are too unsure to go on with: bounds of physics, not of features.

Two questions are asked of every frame. Is the force on any atom unsure by more than a
bound? And by how much may errors of forces change the energy in the time for which they
keep their sign? An error of standard deviation sigma_i on an atom of velocity v_i does
work at the rate sigma_i |v_i|; errors of different atoms are taken as independent,

    W = tau (sum_i sigma_i^2 |v_i|^2)^(1/2).

Over longer times these works add up, but not without end like the steps of a random walk:
the error of a potential is a function of positions, and its energy comes back where the
atoms do. Slow motions bring it back late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ..potential.evaluation import Evaluation
from .walkers import KB

#: Reason of a trigger where numbers are none.
AWAY = "ran away"


@dataclass(frozen=True)
class Trigger:
    """Bounds.

    Attributes
    ----------
    force
        Largest standard deviation of a component of the force on an atom, eV/A.
    energy
        Largest expected error W of the energy, kT per atom.
    memory
        tau, for which errors of forces keep their sign, fs: a quarter of the period of a
        stiff bond to a heavy atom.
    """

    force: float = 0.3
    energy: float = 0.1
    memory: float = 5.0

    def __post_init__(self):
        if not min(self.force, self.energy, self.memory) > 0:
            got = f"{self.force}, {self.energy}, {self.memory}"
            raise InputError("bounds of a trigger", wanted="numbers above zero", got=got)


@dataclass(frozen=True)
class Verdict:
    """What a trigger says of one frame.

    Attributes
    ----------
    force
        Largest standard deviation of a force component, over its bound.
    energy
        Expected error of the energy, over its bound.
    """

    force: float
    energy: float

    @property
    def largest(self) -> float:
        """Of both."""
        return max(self.force, self.energy)

    @property
    def fires(self) -> bool:
        """Whether a bound is passed, or a number is none."""
        return not self.largest <= 1

    @property
    def reason(self) -> str:
        """The bound that is passed by most."""
        if not np.isfinite([self.force, self.energy]).all():
            return AWAY
        return "force" if self.force >= self.energy else "energy"


def expected_work(memory: float, std: np.ndarray, v: np.ndarray) -> float:
    """W, eV.

    Parameters
    ----------
    memory
        tau, fs.
    std
        Standard deviations of forces, shape (N,), eV/A.
    v
        Velocities, shape (N, 3), A/fs.
    """
    return memory * float((std**2 * (v**2).sum(1)).sum()) ** 0.5


def judge(
    trigger: Trigger, found: Evaluation, v: np.ndarray, temperature: float
) -> Verdict:
    """What a trigger says of a frame.

    Parameters
    ----------
    trigger
        Bounds.
    found
        With standard deviations of forces.
    v
        Velocities, shape (N, 3), A/fs.
    temperature
        K.

    Raises
    ------
    InputError
        When there are no standard deviations.
    """
    std = found.force_std
    if std is None:
        raise InputError("a frame to judge", wanted="standard deviations of its forces",
                         got="none", mend="evaluate(..., spread=True)")  # fmt: skip
    work = expected_work(trigger.memory, std, v)
    bound = trigger.energy * KB * temperature * len(v)
    return Verdict(float(std.max()) / trigger.force, work / bound)
