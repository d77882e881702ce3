"""The configuration: TOML, checked key by key, quantities with units turned into SI."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ...core.artefact import existing
from ...core.errors import ConfigError, UnitError
from ...core.units import quantity

#: A configuration larger than this is not one.
MAX_CONFIG_BYTES = 1_000_000


def _quantity(unit: str, *, positive: bool = True):
    """Text with a unit -> SI float; a default given as a float passes."""

    def parse(value: object) -> float:
        try:
            number = value if isinstance(value, float) else quantity(value, unit)  # type: ignore[arg-type]
        except UnitError as exc:
            raise ValueError(f"{exc.what}: wanted {exc.wanted}, got {exc.got}") from exc
        if positive and not number > 0:
            raise ValueError(f"wanted more than zero, got {value!r}")
        return number

    return BeforeValidator(parse)


def _text_only(value: object) -> object:
    """Refuse bare numbers in a file: nobody knows 10 of what."""
    if isinstance(value, bool | int | float):
        raise ValueError(f"wanted a quantity with its unit, got {value!r}")
    return value


# A validator that is listed later runs first: defaults (floats) are not validated at all.
Length = Annotated[float, _quantity("m"), BeforeValidator(_text_only)]
Time = Annotated[float, _quantity("s"), BeforeValidator(_text_only)]
Temperature = Annotated[float, _quantity("K"), BeforeValidator(_text_only)]
Density = Annotated[float, _quantity("kg/m**3"), BeforeValidator(_text_only)]
Energy = Annotated[float, _quantity("J"), BeforeValidator(_text_only)]
Rate = Annotated[float, _quantity("1/s"), BeforeValidator(_text_only)]
SurfaceCharge = Annotated[
    float, _quantity("C/m**2", positive=False), BeforeValidator(_text_only)
]

PositiveInt = Annotated[int, Field(gt=0, strict=True)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Run(_Section):
    """Name, seed, workers, bootstrap replicates."""

    name: str = Field(
        default="nacl_interface", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
    )
    seed: int = Field(default=2026, ge=0, lt=2**31, strict=True)
    workers: int = Field(default=2, ge=1, le=256, strict=True)
    replicates: int = Field(default=100, ge=50, le=2000, strict=True)


class System(_Section):
    """What is simulated."""

    salt: Literal["NaCl"] = "NaCl"
    ions: int = Field(default=256, ge=16, multiple_of=2, strict=True)
    temperature: Temperature = 1200.0
    density: Density = 1488.0


class Slab(_Section):
    """The interface: lateral box, walls, charge of the left wall (right: opposite)."""

    width: Length = 1.66e-9
    surface_charge: SurfaceCharge = -0.08
    vacuum: float = Field(default=3.0, ge=3.0, le=10.0)
    wall_epsilon: Energy = 1.660539e-21
    wall_sigma: Length = 0.25e-9


class Oracle(_Section):
    """Where reference forces come from."""

    kind: Literal["fumi-tosi"] = "fumi-tosi"
    cutoff: Length = 0.8e-9


class Sampling(_Section):
    """Frames to learn from (half bulk, half slab) and to be judged by."""

    temperatures: tuple[Temperature, ...] = Field(
        default=(1200.0, 1800.0, 2800.0), min_length=1, max_length=20
    )
    frames: PositiveInt = 180
    held_out: PositiveInt = 48
    spacing: Time = 0.1e-12


class PotentialSection(_Section):
    """The learned potential and its training."""

    cutoff: Length = 0.52e-9
    channels: int = Field(default=16, gt=0, le=512, strict=True)
    radial: int = Field(default=6, gt=0, le=64, strict=True)
    steps: PositiveInt = 600
    batch: PositiveInt = 2
    learning_rate: PositiveFloat = 0.01


class MD(_Section):
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


class Profiles(_Section):
    """Profiles across the slab."""

    bin: Length = 0.025e-9
    lag: Time = 1e-12
    block: Time = 5e-12


class Coarse(_Section):
    """Force matching of beads and the run with them."""

    cutoff: Length = 0.8e-9
    spacing: Length = 0.03e-9
    run: Time = 6e-12


class Transport(_Section):
    """The Nernst-Planck side: which wall, what is bulk, how small a bias (kT)."""

    side: Literal["left", "right"] = "left"
    bulk_width: Length = 0.4e-9
    bias: float = Field(default=1e-3, gt=0, le=0.1)


class Config(_Section):
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
    path = existing(path)
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path} is too large for a configuration",
                          wanted=f"<= {MAX_CONFIG_BYTES} bytes")  # fmt: skip
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(
            f"{path} is no TOML", wanted="key = value lines in [sections]", got=str(exc),
            mend="`mesobridge init` writes a file to start from",
        ) from exc  # fmt: skip
    return parse_config(data, str(path))


def parse_config(data: dict[str, Any], source: str = "configuration") -> Config:
    """Check a configuration given as nested dictionaries.

    Raises
    ------
    ConfigError
        Names the key, what was wanted and what was found.
    """
    from .limits import check_limits

    try:
        config = Config.model_validate(data)
    except ValidationError as exc:
        raise _explain(exc, source) from exc
    check_limits(config, source)
    return config


def _explain(exc: ValidationError, source: str) -> ConfigError:
    """The first error of pydantic as one of ours."""
    error = exc.errors()[0]
    place = [str(part) for part in error["loc"]]
    key = ".".join(place)
    if error["type"] == "extra_forbidden":
        known = _keys(place[:-1])
        close = difflib.get_close_matches(place[-1], known, n=1)
        mend = f"did you mean {close[0]}?" if close else "remove it"
        return ConfigError(f"{source}: unknown key {key}", wanted=", ".join(known),
                           got=place[-1], mend=mend)  # fmt: skip
    message = str(error["msg"]).removeprefix("Value error, ")
    return ConfigError(
        f"{source}: {key}", wanted=message, got=repr(error["input"])[:200],
        mend="see the commented file of `mesobridge init`",
    )  # fmt: skip


def _keys(place: list[str]) -> list[str]:
    model: Any = Config
    for part in place:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        model = field.annotation
    return sorted(getattr(model, "model_fields", {}))
