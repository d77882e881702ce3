"""What a production run is told, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from ...core.errors import InputError
from ..active.trigger import Trigger
from ..active.walkers import Motion

Answer = Literal["shrink", "correct", "stop"]


@dataclass(frozen=True)
class ProductionSettings:
    """How long it runs, and what is done where the potential is unsure.

    Attributes
    ----------
    motion
        Temperature, longest time step and friction (zero: NVE).
    length
        Of the run, fs.
    answer
        ``"shrink"``: shorter time steps far from the training set and under strong
        forces. ``"correct"``: forces and energy of the oracle, wherever the expected
        error of the energy comes to `budget` or the bound on forces is passed.
        ``"stop"``: the run ends, with the frame to look at.
    trigger
        Bounds. Of ``"correct"`` the one on forces counts, and the memory.
    budget
        Error of the energy that is asked for, meV per atom: the standard error at which
        the oracle is called.
    every
        Steps between two looks at standard deviations of forces.
    stride
        Time between two frames of the trajectory, fs; they are taken at looks.
    reach
        Largest distance from the training set (about one inside) that is stepped through
        with the longest step.
    segment
        Steps after which the run is kept: what a kill loses at most.
    """

    motion: Motion
    length: float
    answer: Answer = "stop"
    trigger: Trigger = field(default_factory=Trigger)
    budget: float = 2.0
    every: int = 5
    stride: float = 50.0
    reach: float = 2.5
    segment: int = 2000

    def __post_init__(self):
        if self.answer not in get_args(Answer):
            raise InputError("answer to unsure forces", got=str(self.answer),
                             wanted=", ".join(get_args(Answer)))  # fmt: skip
        above = {"length": self.length, "budget": self.budget, "stride": self.stride,
                 "reach": self.reach, "timestep": self.motion.timestep,
                 "temperature": self.motion.temperature}  # fmt: skip
        for name, value in above.items():
            if not 0 < value < float("inf"):
                raise InputError(f"{name} of a production run", wanted="above zero",
                                 got=str(value))  # fmt: skip
        for name in ("every", "segment"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} of a production run", wanted="one or more",
                                 got=str(getattr(self, name)))  # fmt: skip


@dataclass(frozen=True)
class Produced:
    """What a run came to; also in ``summary.json``.

    Attributes
    ----------
    ended
        Whether it ran to its end.
    reason
        Why not; empty if it did.
    time, steps
        fs; steps of the path that was kept.
    evaluations
        Of the potential, with all that were thrown away.
    calls
        Of the oracle; configurations that were in the store before count as well.
    events
        Lines of ``events.jsonl``.
    rewound
        How often it went back to the last trusted moment.
    smallest_step
        fs.
    energy_error, worst_error
        Of the energies that the oracle was asked for, root mean square and largest, meV
        per atom, before they were put right; ``None`` without an oracle.
    restored
        Sum of what velocities were given or lost to put the energy right, signs left
        out, meV per atom.
    drift
        Energy of the potential and of motion, without what thermostat and corrections
        gave, at the end less that at the start, meV per atom: of the integrator alone.
        ``None`` with oracle forces, under which that is not conserved.
    """

    ended: bool
    reason: str
    time: float
    steps: int
    evaluations: int
    calls: int
    events: int
    rewound: int
    smallest_step: float
    energy_error: float | None
    worst_error: float | None
    restored: float
    drift: float | None
