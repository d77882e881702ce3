"""The configuration of the interface job."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ...core.config import (
    Density,
    Energy,
    Length,
    PositiveFloat,
    PositiveInt,
    Rate,
    Section,
    SurfaceCharge,
    Temperature,
    Time,
    checked,
    read_toml,
)


class Run(Section):
    """Name, seed, workers, bootstrap replicates."""

    name: str = Field(
        default="nacl_interface", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
    )
    seed: int = Field(default=2026, ge=0, lt=2**31, strict=True)
    workers: int = Field(default=2, ge=1, le=256, strict=True)
    replicates: int = Field(default=100, ge=50, le=2000, strict=True)


class System(Section):
    """What is simulated."""

    salt: Literal["NaCl"] = "NaCl"
    ions: int = Field(default=256, ge=16, multiple_of=2, strict=True)
    temperature: Temperature = 1200.0
    density: Density = 1488.0


class Slab(Section):
    """The interface: lateral box, walls, charge of the left wall (right: opposite)."""

    width: Length = 1.66e-9
    surface_charge: SurfaceCharge = -0.08
    vacuum: float = Field(default=3.0, ge=3.0, le=10.0)
    wall_epsilon: Energy = 1.660539e-21
    wall_sigma: Length = 0.25e-9


class Oracle(Section):
    """Where reference forces come from."""

    kind: Literal["fumi-tosi"] = "fumi-tosi"
    cutoff: Length = 0.8e-9


class Sampling(Section):
    """Frames to learn from (half bulk, half slab) and to be judged by."""

    temperatures: tuple[Temperature, ...] = Field(
        default=(1200.0, 1800.0, 2800.0), min_length=1, max_length=20
    )
    frames: PositiveInt = 180
    held_out: PositiveInt = 48
    spacing: Time = 0.1e-12


class PotentialSection(Section):
    """The learned potential and its training.

    ``formal``: Coulomb of formal charges is subtracted, and added by the MD engine;
    ``predicted``: the potential predicts charges and holds all of Coulomb itself.
    """

    electrostatics: Literal["formal", "predicted"] = "formal"
    cutoff: Length = 0.52e-9
    channels: int = Field(default=16, gt=0, le=512, strict=True)
    radial: int = Field(default=6, gt=0, le=64, strict=True)
    layers: int = Field(default=1, gt=0, le=8, strict=True)
    steps: PositiveInt = 600
    batch: PositiveInt = 2
    learning_rate: PositiveFloat = 0.01


class MD(Section):
    """Molecular dynamics with the learned potential."""

    timestep: Time = 5e-15
    friction: Rate = 1e11
    melt: Time = 8e-12
    melt_temperature: Temperature = 2800.0
    equilibrate: Time = 6e-12
    slab: Time = 35e-12
    bulk: Time = 25e-12
    replicas: int = Field(default=2, ge=1, le=64, strict=True)
    save: Time = 0.1e-12
    segment: Time = 2e-12
    nve: Time = 5e-12


class Profiles(Section):
    """Profiles across the slab."""

    bin: Length = 0.025e-9
    lag: Time = 1e-12
    block: Time = 5e-12


class Coarse(Section):
    """Force matching of beads and the run with them."""

    cutoff: Length = 0.8e-9
    spacing: Length = 0.03e-9
    run: Time = 6e-12


class Transport(Section):
    """The Nernst-Planck side: which wall, what is bulk, how small a bias (kT)."""

    side: Literal["left", "right"] = "left"
    bulk_width: Length = 0.4e-9
    bias: float = Field(default=1e-3, gt=0, le=0.1)


class Config(Section):
    """All of it."""

    run: Run = Run()
    system: System = System()
    slab: Slab = Slab()
    oracle: Oracle = Oracle()
    sampling: Sampling = Sampling()
    potential: PotentialSection = PotentialSection()
    md: MD = MD()
    profiles: Profiles = Profiles()
    coarse: Coarse = Coarse()
    transport: Transport = Transport()


def load_config(path: Path | str) -> Config:
    """Read and check a configuration file.

    Raises
    ------
    InputError
        When there is no such file.
    ConfigError
        Names the key, what was wanted and what was found.
    """
    return parse_config(read_toml(path), str(path))


def parse_config(data: dict[str, Any], source: str = "configuration") -> Config:
    """Check a configuration given as nested dictionaries.

    Raises
    ------
    ConfigError
        Names the key, what was wanted and what was found.
    """
    from .limits import check_limits

    mend = "see the commented file of `mesobridge init`"
    config = checked(Config, data, source, mend)
    check_limits(config, source)
    return config
