"""SI inside; other units only as named factors and, at the user's edge, through pint.

Every constant below is the SI value of one such unit: ``x_nm * NM`` is in metres,
``x_m / NM`` in nanometres. Values are exact or CODATA 2018.
"""

from __future__ import annotations

import functools
import re

from .errors import UnitError

ELEMENTARY_CHARGE = 1.602176634e-19  # C
BOLTZMANN = 1.380649e-23  # J K-1
AVOGADRO = 6.02214076e23  # mol-1
VACUUM_PERMITTIVITY = 8.8541878128e-12  # F m-1

NM = 1e-9  # m
ANGSTROM = 1e-10  # m
FS = 1e-15  # s
PS = 1e-12  # s
EV = ELEMENTARY_CHARGE  # J
KJ_MOL = 1e3 / AVOGADRO  # J
DALTON = 1.66053906660e-27  # kg
GPA = 1e9  # Pa

#: Unit strings allowed on disk, matched exactly. ``coulomb`` is spelt out because
#: UDUNITS readers take ``C`` for degrees Celsius.
UNITS = frozenset(
    {
        "1",
        "m",
        "m2",
        "m-3",
        "s",
        "K",
        "kg",
        "kg m-3",
        "N",
        "J",
        "Pa",
        "A",
        "V",
        "V m-1",
        "m2 s-1",
        "coulomb",
        "coulomb m",
        "coulomb m-2",
        "coulomb m-3",
        "ohm",
        "ohm m2",
        "F",
        "Hz",
        "m-2 s-1",
        "Pa s",
        "S m-1",
        "J-1 m-1 s-1",
        "coulomb2 m2",
    }
)


_FACTOR = r"[A-Za-zµΩÅ]+(\s*(\*\*|\^)\s*-?\d)?"
#: pint would take "1 200 K" for 200 K, "1,3 nm" for 13 nm, and evaluate 10**10**10.
_QUANTITY = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*/?\s*"
    + _FACTOR + r"(\s*[*/ ]\s*" + _FACTOR + r")*"
)  # fmt: skip


@functools.lru_cache(maxsize=1)
def _registry():
    import pint

    return pint.UnitRegistry()


def quantity(text: str, unit: str) -> float:
    """Value of a quantity written with its unit, in SI.

    Parameters
    ----------
    text
        Number and unit, such as ``"10 nm"`` or ``"1200 K"``.
    unit
        The SI unit wanted, in pint's spelling, such as ``"m"`` or ``"C/m**2"``.

    Returns
    -------
    float
        The value in ``unit``.

    Raises
    ------
    UnitError
        When `text` cannot be read, has no unit, or has another dimension.

    Examples
    --------
    >>> quantity("10 nm", "m")
    1e-08
    """
    import pint

    mend = (
        f'write a number and a unit of the dimension of {unit}, for instance "1 {unit}"'
    )
    if not isinstance(text, str):
        raise UnitError(
            "a quantity without a unit",
            wanted="text with a unit",
            got=repr(text),
            mend=mend,
        )
    if not _QUANTITY.fullmatch(text.strip()):
        raise UnitError(
            "a quantity that cannot be read",
            wanted=f"one plain number, then a unit ({unit})",
            got=repr(text)[:100],
            mend=mend,
        )
    try:
        parsed = _registry().Quantity(text.strip())
        value = float(parsed.to(unit).magnitude)
        turning = [_turns(one.units) for one in (parsed, _registry().Quantity(1, unit))]
    except pint.DimensionalityError as exc:
        got = f"{text!r}, of dimension {exc.dim1 or 'none'}"
        if unit == "m" and str(exc.dim1) == "[current]":
            got += " (A is ampere: write angstrom)"
        raise UnitError(
            "wrong unit", wanted=f"dimension of {unit}", got=got, mend=mend
        ) from exc
    except Exception as exc:  # pint raises many kinds of errors on malformed text
        raise UnitError(
            "a quantity that cannot be read",
            wanted=f"number and unit ({unit})",
            got=repr(text),
            mend=mend,
        ) from exc
    if turning[0] != turning[1]:  # to pint 1 rad/s is 1 Hz
        got = f"{text!r}, {'with' if turning[0] else 'without'} an angle"
        raise UnitError("wrong unit", wanted=f"{unit}", got=got, mend=mend)
    if value != value or abs(value) == float("inf"):
        raise UnitError(
            "a quantity that is not finite",
            wanted="a finite number",
            got=repr(text),
            mend=mend,
        )
    # 1e-9 * 10 leaves 1.0000000000000002e-08; fifteen digits are what a person wrote.
    return float(f"{value:.15g}")


def _turns(units) -> bool:
    """Whether an angle is in units, which pint counts as a number."""
    return "radian" in str(_registry().get_base_units(units)[1])


def thermal_energy(temperature: float) -> float:
    """KT in joules at `temperature` in kelvin."""
    return BOLTZMANN * temperature
