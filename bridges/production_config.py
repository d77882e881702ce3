"""Configuration of `mesobridge produce`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from ..atomistic.named_oracle import NamedOracle
from ..atomistic.production import ProductionSettings
from ..core.config import (
    PositiveFloat,
    PositiveInt,
    Rate,
    Section,
    Temperature,
    Time,
    checked,
    read_toml,
)
from ..core.units import FS
from .active_config import Seed, TriggerSection, motion
from .training_config import Run

EXAMPLE = "examples/nacl_heated/produce.toml"


class SystemSection(Section):
    """Where it starts, the first configuration of a file, and in which potential."""

    structure: str
    potential: str | None = None


class WalkSection(Section):
    """How it moves; `heat_to` is where a thermostat takes it, from the temperature."""

    temperature: Temperature
    heat_to: Temperature | None = None
    length: Time
    timestep: Time = 0.5e-15
    friction: Rate = 0.0

    @model_validator(mode="after")
    def _something_heats(self):
        if self.heat_to is not None and not self.friction > 0:
            raise ValueError("wanted a friction above zero with heat_to")
        return self


class AnswerSection(Section):
    """What is done where the potential is unsure; see `ProductionSettings`.

    `timeout` is that of a label.
    """

    kind: Literal["shrink", "correct", "stop"] = "stop"
    budget: PositiveFloat = 2.0
    every: PositiveInt = 5
    reach: PositiveFloat = 2.5
    stride: Time = 50e-15
    segment: PositiveInt = 2000
    timeout: Time | None = None


class ProductionConfig(Section):
    """All of it."""

    run: Run = Run(name="production")
    system: SystemSection
    oracle: NamedOracle | None = None
    walk: WalkSection
    answer: AnswerSection = AnswerSection()
    trigger: TriggerSection = TriggerSection()
    seed: Seed = 0


def load_production(path: Path) -> ProductionConfig:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        Names the key, what was wanted and what was found.
    """
    return checked(ProductionConfig, read_toml(path), str(path), f"see {EXAMPLE}")


def production_settings(c: ProductionConfig) -> ProductionSettings:
    """What a configuration says."""
    w, a = c.walk, c.answer
    return ProductionSettings(
        motion(w, w.heat_to or w.temperature, c.seed),
        w.length / FS, a.kind, c.trigger.bounds(),
        budget=a.budget, every=a.every, stride=a.stride / FS, reach=a.reach,
        segment=a.segment,
    )  # fmt: skip
