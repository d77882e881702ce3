"""The energy error of a run: what is expected of it, and what the oracle says.

Errors of forces do work. The error of a potential is a function U' of positions, so that
the work since a moment is U' now less U' then: it grows with the time while forces keep
their sign and no longer after that. With the amplitude W of `active.trigger` its variance
is taken as

    2 W^2 (1 - exp(-t^2 / 2 tau^2)),

which is (t W / tau)^2 for short times. Where the oracle is called the error is known, and
velocities are scaled so that it vanishes; from there it grows anew. What was expected of
U' is compared with what was found, and scaled to it. (The integrator has an error of its
own, which velocities are rid of as well, but which calls do not make smaller.)
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
        U' at the last call: energy of the oracle less that of the potential.
    calls
        Since the first.
    since
        Time since the last one, fs.
    amplitude
        Largest W since then.
    scale
        Of the variance that is expected.
    squares, worst
        Of the errors that were found: sum of the squares, and largest.
    restored
        Sum of the energies that were put right, signs left out.
    """

    first: float
    offset: float
    calls: int = 0
    since: float = 0.0
    amplitude: float = 0.0
    scale: float = 1.0
    squares: float = 0.0
    worst: float = 0.0
    restored: float = 0.0

    def later(self, timestep: float, work: float) -> Account:
        """After a step; `work` is W."""
        return replace(self, since=self.since + timestep,
                       amplitude=max(self.amplitude, work))  # fmt: skip

    def expected(self, memory: float) -> float:
        """Standard deviation of the error now."""
        return self.scale**0.5 * self._raw(memory)

    def _raw(self, memory: float) -> float:
        grown = -np.expm1(-0.5 * (self.since / memory) ** 2)
        return self.amplitude * float(2 * grown) ** 0.5

    def called(
        self, error: float, offset: float, restored: float, memory: float
    ) -> Account:
        """After the oracle said what the error is, and some of it was put right."""
        raw, scale = self._raw(memory), self.scale
        if raw > 0:
            # Limited: one wild error is not the rule.
            ratio = ((offset - self.offset) / raw) ** 2
            ratio = min(max(ratio, 1e-3 * scale), 10 * scale)
            scale += (ratio - scale) / min(FIRST + self.calls + 1, AVERAGED)
        return replace(
            self, offset=offset, calls=self.calls + 1, since=0.0, amplitude=0.0,
            scale=scale, squares=self.squares + error**2,
            worst=max(self.worst, abs(error)),
            restored=self.restored + abs(restored),
        )  # fmt: skip


def restoring(error: float, kinetic: float) -> float:
    """Factor of velocities that takes an error out of the energy, or the most of it."""
    return (1 - min(max(error / kinetic, -MOST), MOST)) ** 0.5 if kinetic > 0 else 1.0
