"""Time steps that shrink where they must, and are the same in both directions of time.

The step between two states is a function of both, h = 2 h_max / (u(x_0) + u(x_1)), with a
density u >= 1 that depends on positions alone: seen from the end, with velocities turned
round, it is the same step, and the dynamics stays reversible (Hut, Makino & McMillan
1995, doi:10.1086/187844). Where both densities are one this costs nothing; elsewhere the
step is found by iteration, one evaluation of the potential each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..active.walkers import ACCELERATION, System, Walker
from ..potential.evaluation import Evaluation

#: Shortest step, over the longest; and how far an acceleration may take an atom in the
#: longest, A.
SHRINK, STRIDE = 1 / 16, 0.02
#: Of the step, over the longest, and how many trials may be needed: in single precision
#: densities do not tell more.
TOLERANCE, TRIALS = 1e-5, 12

#: Where a step of a length leads; ``None`` when an atom goes too far.
Move = Callable[[float], tuple[Walker, Evaluation] | None]


def density(found: Evaluation, system: System, longest: float, reach: float) -> float:
    """How many steps are to be taken in the place of one.

    Parameters
    ----------
    found
        What the potential says of a configuration.
    system
        With masses.
    longest
        Step, fs.
    reach
        Distance from the training set up to which forces are taken as smooth.
    """
    forces = np.linalg.norm(found.forces, axis=1)
    hardest = float((forces * ACCELERATION / system.masses).max())
    wanted = max(found.farthest / reach, (hardest * longest**2 / STRIDE) ** 0.5)
    return min(max(wanted, 1.0), 1 / SHRINK)


def symmetric_step(
    move: Move, here: float, there: Callable[[Evaluation], float], longest: float
) -> tuple[Walker, Evaluation, float] | None:
    """A step of the length that both of its ends agree on; ``None`` when none is found.

    Parameters
    ----------
    move
        Takes a step from where we are.
    here
        Density where we are.
    there
        Density of where a step led.
    longest
        fs.
    """
    h, before, found = longest / here, None, None
    for _ in range(TRIALS):
        moved = move(h)
        if moved is None:  # too far: a shorter one, unless there is none
            if h <= SHRINK * longest:
                return None
            h, before = max(0.5 * h, SHRINK * longest), None
            continue
        found = (*moved, h)
        off = 2 * longest / (here + there(moved[1])) - h
        if abs(off) <= TOLERANCE * longest:
            break
        # Secant: the step that is wanted hardly depends on the one that was taken.
        slope = -1.0 if before is None else (off - before[1]) / (h - before[0])
        before = h, off
        h = min(max(h - off / min(max(slope, -2.0), -0.5), SHRINK * longest), longest)
    return found
