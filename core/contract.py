"""What a contract on a data set is made of, and the check of one variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from .errors import SchemaError
from .units import UNITS


@dataclass(frozen=True)
class Var:
    """One variable of a contract: dimensions, unit, and what its values may be."""

    dims: tuple[str, ...]
    unit: str = "1"
    kind: str = "float"  # "float", "int" or "str"
    optional: bool = False
    sign: str = "any"  # "any", "nonnegative", "positive" or "increasing"
    doc: str = ""

    def __post_init__(self):
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r} is not on the whitelist")


@dataclass(frozen=True)
class Schema:
    """A named, versioned contract on an xarray data set."""

    name: str
    variables: Mapping[str, Var]
    attrs: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    check: Callable[[xr.Dataset], None] | None = None


def refuse(schema: str, what: str, wanted: str, got: str, mend: str = "") -> SchemaError:
    """Error of a data set that breaks a contract."""
    mend = mend or "write the file with the mesobridge function that makes this contract"
    return SchemaError(f"{schema}: {what}", wanted=wanted, got=got, mend=mend)


def check_variable(schema: Schema, name: str, var: Var, data: xr.DataArray) -> None:
    """Refuse a variable that is not what its contract says.

    Raises
    ------
    SchemaError
    """
    if data.dims != var.dims:
        raise refuse(schema.name, f"dimensions of {name}", str(var.dims), str(data.dims))
    if data.dtype.kind not in {"float": "f", "int": "iu", "str": "UOT"}[var.kind]:
        raise refuse(schema.name, f"type of {name}", var.kind, str(data.dtype))
    if var.kind == "str":
        return
    unit = data.attrs.get("units")
    if unit != var.unit:
        raise refuse(
            schema.name,
            f"unit of {name}",
            repr(var.unit),
            repr(unit),
            "convert to SI; unit strings are matched exactly",
        )
    values = data.values
    if var.kind == "float" and not np.isfinite(values).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise refuse(
            schema.name,
            f"{name} is not finite",
            "finite numbers",
            f"{values[index]} at {dict(zip(var.dims, index, strict=True))}",
            "find out where it came from; nothing was passed on",
        )
    _check_sign(schema, name, var, values)


def _check_sign(schema: Schema, name: str, var: Var, values: np.ndarray) -> None:
    if values.size == 0 or var.sign == "any":
        return
    if var.sign == "increasing":
        if not (np.diff(values) > 0).all():
            raise refuse(
                schema.name,
                f"{name} is not increasing",
                "increasing values",
                f"smallest step {np.diff(values).min():g}",
            )
        return
    low = values.min()
    if low < 0 or (var.sign == "positive" and low == 0):
        raise refuse(
            schema.name, f"{name} out of range", f"{var.sign} values", f"{low:g}"
        )
