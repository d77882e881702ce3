"""Configurations: TOML, checked key by key, quantities with units turned into SI."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .artefact import existing
from .errors import ConfigError, UnitError
from .units import quantity

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


class Section(BaseModel):
    """A section of a configuration: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Section)


def read_toml(path: Path | str) -> dict[str, Any]:
    """The tables of a configuration file.

    Raises
    ------
    InputError
        When there is no such file.
    ConfigError
        When it is no TOML, or far too large.
    """
    path = existing(path)
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path} is too large for a configuration",
                          wanted=f"<= {MAX_CONFIG_BYTES} bytes")  # fmt: skip
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(
            f"{path} is no TOML", wanted="key = value lines in [sections]", got=str(exc),
            mend="start from an example",
        ) from exc  # fmt: skip


def checked(model: type[Model], data: dict[str, Any], source: str, mend: str) -> Model:
    """Nested dictionaries as a configuration.

    Parameters
    ----------
    model
        The configuration's class.
    data
        As `read_toml` gives it.
    source, mend
        For the message: where the data are from, and where to look for what is allowed.

    Raises
    ------
    ConfigError
        Names the key, what was wanted and what was found.
    """
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        raise _explain(exc, model, source, mend) from exc


def _explain(
    exc: ValidationError, model: type[Section], source: str, mend: str
) -> ConfigError:
    """The first error of pydantic as one of ours."""
    error = exc.errors()[0]
    place = [str(part) for part in error["loc"]]
    key = ".".join(place)
    if error["type"] == "extra_forbidden":
        known = _keys(model, place[:-1])
        close = difflib.get_close_matches(place[-1], known, n=1)
        mend = f"did you mean {close[0]}?" if close else "remove it"
        return ConfigError(f"{source}: unknown key {key}", wanted=", ".join(known),
                           got=place[-1], mend=mend)  # fmt: skip
    if error["type"] == "missing":
        return ConfigError(f"{source}: no {key}", wanted=key, got="none", mend=mend)
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("wanted ")
    return ConfigError(
        f"{source}: {key}", wanted=message, got=repr(error["input"])[:200], mend=mend
    )


def _keys(model: Any, place: list[str]) -> list[str]:
    for part in place:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        options = get_args(field.annotation)  # of a section that may be left out
        model = next((o for o in options if hasattr(o, "model_fields")), field.annotation)
    return sorted(getattr(model, "model_fields", {}))
