"""What active learning is told, and what its rounds come to."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..potential import TrainingSettings
from .trigger import Trigger
from .walkers import Motion

#: Part of the bounds below which a walk did not test them.
FAR = 0.1


@dataclass(frozen=True)
class ActiveSettings:
    """How it learns.

    Attributes
    ----------
    training
        Network, and length of the first training.
    motion, trigger
        How replicas move, and when they stop.
    horizon
        Time that every replica must pass without a trigger in the end, fs.
    replicas
        How many move at once.
    every
        Steps between two looks at standard deviations.
    first
        Frames of the rudimentary potential: the start with random displacements.
    displacement
        Their standard deviations, A: frames take them in turn.
    labels_per_round, most_labels, most_rounds
        Of labels and rounds, at most.
    warm_steps, warm_rate
        Steps and learning rate of a training that begins with the last one's weights.
    heads
        Of the uncertainty.
    """

    training: TrainingSettings
    motion: Motion
    trigger: Trigger = field(default_factory=Trigger)
    horizon: float = 2000.0
    replicas: int = 8
    every: int = 10
    first: int = 32
    displacement: tuple[float, ...] = (0.02, 0.05, 0.1)
    labels_per_round: int = 8
    most_labels: int = 500
    most_rounds: int = 50
    warm_steps: int = 400
    warm_rate: float = 0.003
    heads: int = 4


@dataclass(frozen=True)
class Round:
    """What a round came to; numbers for tables and plots.

    Attributes
    ----------
    number, labels, failed
        Which round; labels so far, and configurations without one.
    force_rmse
        On frames held out, eV/A.
    surprise
        Of the frames that were new in this round, as the potential before saw them: part
        of the components inside 95 % intervals, and force error, eV/A; ``None`` in the
        first.
    triggers
        Reasons of the triggers that fired.
    passed
        Trusted time of all replicas together, fs.
    force, energy
        Largest shares of the bounds in trusted frames.
    done
        Whether the whole horizon passed without a trigger.
    cpu_s
        CPU seconds of training, calibration and walks, without labels; also of processes
        that were killed in its training, without walks that were walked again.
    """

    number: int
    labels: int
    failed: int
    force_rmse: float
    surprise: tuple[float, float] | None
    triggers: tuple[str, ...]
    passed: float
    force: float
    energy: float
    done: bool
    cpu_s: float = field(default=0.0, compare=False)

    @property
    def doubt(self) -> str | None:
        """What is to be doubted of the bounds if it ends here; ``None`` for nothing."""
        most = max(self.force, self.energy)
        if self.done and most < FAR:
            return (f"walks never came near the bounds, {100 * most:.0f} % at most: "
                    "tighter ones, hotter or longer walks may find more")  # fmt: skip
        if self.done:
            return None
        if not self.passed:
            return "every replica stopped at once: wider bounds, or longer trainings"
        return (f"walks are still unsure by {most:.1f} times the bounds: more labels, "
                "longer trainings, or wider bounds")  # fmt: skip
