"""Configuration of `mesobridge learn`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from ..atomistic.active import ActiveSettings, Motion, Trigger
from ..atomistic.named_oracle import NamedOracle
from ..atomistic.potential import TrainingSettings
from ..core.config import (
    Length,
    PositiveFloat,
    PositiveInt,
    Rate,
    Section,
    Temperature,
    Time,
    checked,
    read_toml,
)
from ..core.units import ANGSTROM, FS
from .training_config import Model, Run

EXAMPLE = "examples/ethanol/learn.toml"
#: Of a batch, about, and its most frames. Labels cost more than steps: on 191 labels of
#: ethanol batches of 4, 8 and 16 frames came to 50, 41 and 35 meV/A in as many steps.
ATOMS, FRAMES = 150, 16
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]


class SystemSection(Section):
    """What moves: a file of one configuration, or of several to start from."""

    structure: str
    starts: PositiveInt = 1


class TrainingSection(Section):
    """Of the network; the first training, and those that begin with its weights.

    Without a batch its frames have about `ATOMS` atoms.
    """

    steps: PositiveInt = 2000
    warm_steps: PositiveInt = 1000
    batch: PositiveInt | None = None
    learning_rate: PositiveFloat = 0.01
    warm_rate: PositiveFloat = 0.004
    energy_weight: PositiveFloat = 1.0
    heads: int = Field(default=4, gt=0, le=64, strict=True)


class WalkSection(Section):
    """Where dynamics is to go, and for how long it must be trusted."""

    temperature: Temperature
    horizon: Time = 2e-12
    timestep: Time = 0.5e-15
    friction: Rate = 1e13
    replicas: int = Field(default=8, gt=0, le=512, strict=True)
    every: PositiveInt = 10


class TriggerSection(Section):
    """Bounds: of a force (eV/A), of the energy (kT per atom); see `Trigger`."""

    force: PositiveFloat = 0.3
    energy: PositiveFloat = 0.1
    memory: Time = 5e-15

    def bounds(self) -> Trigger:
        """In the units of walkers."""
        return Trigger(self.force, self.energy, self.memory / FS)


class LabelSection(Section):
    """Of the oracle: how many, and how."""

    first: int = Field(default=32, ge=32, strict=True)
    displacement: tuple[Length, ...] = (0.02e-10, 0.05e-10, 0.1e-10)
    per_round: PositiveInt = 8
    most: PositiveInt = 500
    rounds: PositiveInt = 50
    processes: PositiveInt = 1
    timeout: Time | None = None
    retries: int = Field(default=1, ge=0, strict=True)

    @model_validator(mode="after")
    def _first_of_all(self):
        if self.first > self.most:
            raise ValueError("wanted most labels above the first ones")
        return self


class ActiveConfig(Section):
    """All of it."""

    run: Run = Run(name="learning")
    system: SystemSection
    oracle: NamedOracle | None = None
    model: Model = Model(channels=16)
    training: TrainingSection = TrainingSection()
    walk: WalkSection
    trigger: TriggerSection = TriggerSection()
    labels: LabelSection = LabelSection()
    seed: Seed = 0


def motion(walk, temperature: float, seed: int) -> Motion:
    """Of a section [walk], at a temperature in K."""
    return Motion(temperature, walk.timestep / FS, walk.friction * FS, seed)


def load_active(path: Path) -> ActiveConfig:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        Names the key, what was wanted and what was found.
    """
    return checked(ActiveConfig, read_toml(path), str(path), f"see {EXAMPLE}")


def active_settings(
    c: ActiveConfig, species: tuple[str, ...], n_atoms: int
) -> ActiveSettings:
    """What a configuration says, for a system of so many atoms of these species."""
    m, t, w, n = c.model, c.training, c.walk, c.labels
    training = TrainingSettings(
        species, m.cutoff, channels=m.channels, radial=m.radial, hidden=m.hidden,
        layers=m.layers, batch=t.batch or max(1, min(FRAMES, round(ATOMS / n_atoms))),
        steps=t.steps, learning_rate=t.learning_rate,
        energy_weight=t.energy_weight, points=3, seed=c.seed,
        charges=None if m.charges is None else tuple(m.charges[s] for s in species),
    )  # fmt: skip
    return ActiveSettings(
        training,
        motion(w, w.temperature, c.seed),
        c.trigger.bounds(),
        horizon=w.horizon / FS, replicas=w.replicas, every=w.every, first=n.first,
        displacement=tuple(d / ANGSTROM for d in n.displacement),
        labels_per_round=n.per_round, most_labels=n.most, most_rounds=n.rounds,
        warm_steps=t.warm_steps, warm_rate=t.warm_rate, heads=t.heads,
    )  # fmt: skip
