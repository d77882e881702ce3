"""The energy error of a run: what is expected of it, and what the oracle says.

Errors of forces do work at the rate P = (sum_i sigma_i^2 |v_i|^2)^(1/2) and keep their
sign for the memory tau of `active.trigger`. If they forget it exponentially, the variance
of their work grows as

    d var / dt = 2 P(t) q(t),    q(t) = integral of P(s) exp(-(t - s) / tau) ds,

as (P t)^2 at first and in proportion to the time later. (The energy error of a potential
is a function of positions and comes back where atoms do, but where molecules turn or bend
that takes long: in ethanol it went away like this for all of 250 fs.) Where the oracle is
called the error is known, and velocities are scaled so that it vanishes; from there it
grows anew. What was expected of the work is compared with what was found, and scaled to
it. (The integrator has an error of its own, which velocities are rid of as well, but
which calls do not make smaller.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

#: Calls that the first guess of the scale counts for, and over which it is averaged.
FIRST, AVERAGED = 4, 50
#: Part of the kinetic energy that scaling velocities may change at once.
MOST = 0.5


@dataclass(frozen=True)
class Account:
    """Of one run with an oracle, eV.

    Attributes
    ----------
    first
        Energy by the oracle, of motion as well, at the start.
    offset
        Energy of the oracle less that of the potential at the last call.
    calls
        Since the first.
    variance, kept
        Of the work since the last one, eV^2, before it is scaled; and q.
    scale
        Of the variance.
    squares, worst
        Of the errors that were found: sum of the squares, and largest.
    restored
        Sum of the energies that were put right, signs left out.
    """

    first: float
    offset: float
    calls: int = 0
    variance: float = 0.0
    kept: float = 0.0
    scale: float = 1.0
    squares: float = 0.0
    worst: float = 0.0
    restored: float = 0.0

    def later(self, timestep: float, power: float, memory: float) -> Account:
        """After a step (fs) of errors that work at the rate `power`, eV/fs."""
        kept, work = self.kept * np.exp(-timestep / memory), power * timestep
        return replace(self, variance=self.variance + 2 * work * (kept + 0.5 * work),
                       kept=float(kept + work))  # fmt: skip

    @property
    def expected(self) -> float:
        """Standard deviation of the error now."""
        return (self.scale * self.variance) ** 0.5

    def called(self, error: float, offset: float, restored: float) -> Account:
        """After the oracle said what the error is, and some of it was put right."""
        scale = self.scale
        if self.variance > 0:
            # Limited: one wild error is not the rule.
            ratio = (offset - self.offset) ** 2 / self.variance
            ratio = min(max(ratio, 1e-3 * scale), 10 * scale)
            scale += (ratio - scale) / min(FIRST + self.calls + 1, AVERAGED)
        return replace(
            self, offset=offset, calls=self.calls + 1, variance=0.0, kept=0.0,
            scale=scale, squares=self.squares + error**2,
            worst=max(self.worst, abs(error)),
            restored=self.restored + abs(restored),
        )  # fmt: skip


def restoring(error: float, kinetic: float) -> float:
    """Factor of velocities that takes an error out of the energy, or the most of it."""
    return (1 - min(max(error / kinetic, -MOST), MOST)) ** 0.5 if kinetic > 0 else 1.0
