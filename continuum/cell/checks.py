"""What users write, checked: numbers with units, names, kinds of things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...core.errors import InputError, UnitError
from ...core.units import quantity

#: A number in SI, or text with a number and a unit such as ``"0.1 mol/L"``.
Quantity = float | str


def si(
    value: Any,
    unit: str,
    what: str = "a quantity",
    *,
    sign: str = "finite",
    mend: str = "",
) -> float:
    """A quantity in SI.

    Parameters
    ----------
    value
        A number, or text with a unit.
    unit
        The SI unit in pint's spelling; ``""`` takes pure numbers alone.
    what
        Its name in errors.
    sign
        ``"finite"``, ``"positive"`` or ``"non-negative"``.
    mend
        Of numbers that are refused.

    Raises
    ------
    UnitError
        When text cannot be read or has another dimension.
    InputError
        When it is no number, not finite, or of another sign.
    """
    try:
        if isinstance(value, str) and unit:
            number = quantity(value, unit)
        elif isinstance(value, str | bool) or np.ndim(value):
            raise TypeError("not one number")
        else:
            number = float(value)
    except UnitError as exc:
        raise UnitError(
            f"{what}: {exc.what}", wanted=exc.wanted, got=exc.got, mend=exc.mend
        ) from exc
    except (TypeError, ValueError):
        number = np.nan
    signs = {"positive": number > 0, "non-negative": number >= 0}
    if not np.isfinite(number) or not signs.get(sign, True):
        text = f" ({unit}), or text with a unit" if unit else ""
        raise InputError(
            what, wanted=f"a {sign} number{text}", got=shown(value), mend=mend
        )
    return number


def several(
    values: Any, unit: str, what: str, *, sign: str = "finite", least: int = 0
) -> np.ndarray:
    """Quantities in SI, shape (n,), of one or a list of them; `least` is that of n.

    Raises
    ------
    InputError
        As `si`, or when they are too few.
    """
    listed = isinstance(values, Iterable) and not isinstance(values, str | Mapping)
    each = values if listed and getattr(values, "ndim", 1) != 0 else [values]
    found = [si(value, unit, what, sign=sign) for value in each]
    if len(found) < least:
        raise InputError(what, wanted=f"{least} or more ({unit})", got=f"{len(found)}")
    return np.array(found, dtype=float)


def whole(value: Any, what: str, least: int) -> int:
    """A whole number that is not less than another.

    Raises
    ------
    InputError
    """
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not number or value < least:
        raise InputError(
            what, wanted=f"a whole number, {least} or more", got=shown(value)
        )
    return int(value)


def check_kind(value: Any, kind: Any, what: str, wanted: str, mend: str = "") -> None:
    """Refuse what is not an instance.

    Raises
    ------
    InputError
    """
    if not isinstance(value, kind):
        raise InputError(what, wanted=wanted, got=shown(value), mend=mend)


def all_of(values: Any, kind: Any, what: str, wanted: str, mend: str = "") -> tuple:
    """Instances of a kind, from what must be a list of them.

    Raises
    ------
    InputError
    """
    if not isinstance(values, Iterable) or isinstance(values, str | Mapping):
        raise InputError(what, wanted=f"a list of {wanted}", got=shown(values), mend=mend)
    found = tuple(values)
    for value in found:
        check_kind(value, kind, what, f"a list of {wanted}", mend)
    return found


def check_name(name: Any, known: Iterable[str], what: str) -> None:
    """Refuse a name that is not among others.

    Raises
    ------
    InputError
    """
    names = list(known)
    if not isinstance(name, str) or name not in names:
        raise InputError(what, wanted=", ".join(names), got=shown(name))


def on_nodes(
    given: Any, points: np.ndarray, shape: tuple, unit: str, what: str
) -> np.ndarray:
    """Values on the nodes, of a function of them.

    Parameters
    ----------
    given
        Function.
    points
        Nodes, shape (n, 3), m.
    shape
        Of the values wanted.
    unit, what
        For errors.

    Raises
    ------
    InputError
        When it is no function, or gives something else.
    """
    wanted = f"a function of points (n, 3) in m that returns finite numbers ({unit})"
    if not callable(given):
        raise InputError(what, wanted=wanted, got=shown(given))
    values = given(points)
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as exc:
        raise InputError(what, wanted=wanted, got=str(exc)) from exc
    if found.shape != shape or not np.isfinite(found).all():
        got = f"shape {found.shape}" if found.shape != shape else "values that are not"
        raise InputError(what, wanted=f"{wanted} of shape {shape}", got=got)
    return found


def shown(value: Any) -> str:
    """A value in an error, in a line."""
    return f"the class {value.__name__}" if isinstance(value, type) else repr(value)[:80]
