"""Conditions of the solver from what holds at each border of a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...core.errors import InputError
from ..borders import Border
from ..medium import Conditions
from ..periodic import Periodic
from ..steady import undetermined
from .parts import Condition, Ion, Pieces


def check_borders(known: Sequence[str], given: Mapping[str, Condition]) -> None:
    """Refuse borders without a condition, and conditions of no border.

    Raises
    ------
    InputError
    """
    missing = [name for name in known if name not in given]
    unknown = [name for name in given if name not in known]
    if missing or unknown:
        raise InputError(
            "borders of a cell",
            wanted=f"one condition for each of {', '.join(known)}",
            got=f"none for {missing}" if missing else f"one for {unknown}",
            mend="Wall() lets nothing pass, Symmetry() is a plane of symmetry",
        )


def check_changes(borders: Mapping[str, Condition], drive: Mapping[str, Mapping]) -> None:
    """Refuse changes of fields that conditions do not have.

    Raises
    ------
    InputError
    """
    for name, changes in drive.items():
        fields = getattr(borders.get(name), "__dataclass_fields__", {})
        if name not in borders or any(key not in fields for key in changes):
            raise InputError(
                "a change of conditions",
                wanted=f"borders {', '.join(borders)} and their fields",
                got=f"{name!r}: {dict(changes)}",
            )


def gathered(pieces: Mapping[str, Pieces], area: Callable[[str], float]) -> Conditions:
    """All pieces together.

    Parameters
    ----------
    pieces
        By border.
    area
        Of a border: a given current is that of its whole.

    Raises
    ------
    InputError
        When a periodic border is not the twin of its twin.
    """
    psi: dict = {}
    phi: dict = {}
    concentration: dict = {}
    current: dict = {}
    terms: list[Border] = []
    for name, one in pieces.items():
        psi |= {(i, name): value for i, value in one.psi.items()}
        concentration |= {(i, name): c for i, c in one.concentration.items()}
        if one.phi is not None:
            phi[name] = one.phi
        if one.current is not None:
            current[name] = one.current * area(name)
        terms += one.terms
    return Conditions(psi, phi, concentration, tuple(terms), current, _pairs(pieces))


def _pairs(pieces: Mapping[str, Pieces]) -> tuple[Periodic, ...]:
    """Periodic borders; of each two the first is the master."""
    twins = {name: one.twin for name, one in pieces.items() if one.twin is not None}
    pairs: list[Periodic] = []
    for name, (twin, potential) in twins.items():
        back, there = twins.get(twin, ("", 0.0))
        if back != name or twin == name:
            raise InputError(
                f"the periodic border {name!r}",
                wanted=f"a twin whose condition is Periodic({name!r})",
                got=f"{twin!r}, " + (f"the twin of {back!r}" if back else "not periodic"),
            )
        if name not in {pair.slave for pair in pairs}:
            pairs.append(Periodic(name, twin, there - potential))
    return tuple(pairs)


def check_amounts(
    conditions: Conditions, ions: Sequence[Ion], borders: Mapping[str, Condition]
) -> None:
    """Refuse steady conditions that leave the amount of an ion open.

    Raises
    ------
    InputError
    """
    for i in undetermined(conditions, len(ions)):
        shown = (f"{name}: {type(one).__name__}" for name, one in borders.items())
        raise InputError(
            f"the amount of {ions[i].name} is not determined",
            wanted=f"a border that holds {ions[i].name}",
            got=", ".join(shown),
            mend="put a Reservoir or Fixed at a border, give the amounts to "
            "Cell.settled, or follow the closed cell in time",
        )
