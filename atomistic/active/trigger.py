"""When forces are too unsure to go on with: bounds of physics, not of features.

Two questions are asked of every frame. Is the force on any atom unsure by more than a
bound? And by how much will errors of forces have changed the energy at the end of the
horizon? An error of standard deviation sigma_i does work on a moving atom at the rate
sigma_i |v_i|, with a sign that is kept for as long as the error is: over times longer
than that memory, tau, works add like the steps of a random walk,

    W^2 = 2 tau int sum_i sigma_i^2 |v_i|^2 dt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ..potential.evaluation import Evaluation
from .walkers import KB


@dataclass(frozen=True)
class Trigger:
    """Bounds.

    Attributes
    ----------
    force
        Largest standard deviation of a component of the force on an atom, eV/A.
    energy
        Largest expected error of the energy at the end of the horizon, kT per atom.
    memory
        For how long errors of forces keep their sign, fs.
    """

    force: float = 0.3
    energy: float = 0.1
    memory: float = 10.0

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
        Expected error of the energy at the end of the horizon, over its bound.
    """

    force: float
    energy: float

    @property
    def fires(self) -> bool:
        """Whether a bound is passed, or a number is none."""
        return not max(self.force, self.energy) <= 1

    @property
    def reason(self) -> str:
        """The bound that is passed by most."""
        if not np.isfinite([self.force, self.energy]).all():
            return "not finite"
        return "force" if self.force >= self.energy else "energy"


def power2(found: Evaluation, v: np.ndarray) -> float:
    """Variance of the power of force errors, sum_i sigma_i^2 |v_i|^2, (eV/fs)^2."""
    assert found.force_std is not None  # noqa: S101 - asked for where this is called
    return float((found.force_std**2 * (v**2).sum(1)).sum())


def judge(
    trigger: Trigger, found: Evaluation, v: np.ndarray, behind: float, left: float,
    temperature: float,
) -> Verdict:  # fmt: skip
    """What a trigger says of a frame.

    Parameters
    ----------
    trigger
        Bounds.
    found
        With standard deviations of forces.
    v
        Velocities, shape (N, 3), A/fs.
    behind
        Time integral of `power2` so far, eV^2/fs.
    left
        Until the end of the horizon, fs.
    temperature
        K.
    """
    if not np.isfinite(found.energy):
        return Verdict(np.inf, np.inf)
    work2 = 2 * trigger.memory * (behind + power2(found, v) * left)
    bound = trigger.energy * KB * temperature * len(v)
    assert found.force_std is not None  # noqa: S101 - `power2` has asked for it
    return Verdict(float(found.force_std.max() / trigger.force), work2**0.5 / bound)
