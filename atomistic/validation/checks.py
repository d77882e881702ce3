"""A verdict on one number, as reports and `validation.json` carry it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Check:
    """One number beside what is asked of it.

    Attributes
    ----------
    name, unit
        What was measured; ``"1"`` has no unit.
    value
        The number.
    wanted
        In words, such as ``"<= 0.1"``.
    ok
        ``None`` where the run is too short to judge.
    note
        What a reader should know.
    """

    name: str
    value: float
    unit: str
    wanted: str
    ok: bool | None
    note: str = ""

    def as_json(self) -> dict:
        """As a dictionary; numbers that are not finite become ``None``."""
        found = asdict(self)
        found["value"] = self.value if math.isfinite(self.value) else None
        return found


def at_most(name: str, value: float, unit: str, limit: float, note: str = "") -> Check:
    """A number that must not be above its limit."""
    return Check(name, float(value), unit, f"<= {limit:.3g}", bool(value <= limit), note)


def at_least(name: str, value: float, unit: str, limit: float, note: str = "") -> Check:
    """A number that must not be below its limit."""
    return Check(name, float(value), unit, f">= {limit:.3g}", bool(value >= limit), note)


def between(
    name: str, value: float, unit: str, low: float, high: float, note: str = ""
) -> Check:
    """A number that must lie in an interval."""
    ok = bool(low <= value <= high)
    return Check(name, float(value), unit, f"{low:g} to {high:g}", ok, note)


def probable(name: str, p: float | None, level: float, note: str = "") -> Check:
    """A probability under the hypothesis; ``None`` when it could not be told."""
    if p is None:
        return Check(name, math.nan, "1", f"p >= {level:g}", None, "run too short")
    return Check(name, float(p), "1", f"p >= {level:g}", bool(p >= level), note)
