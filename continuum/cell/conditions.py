"""Conditions of the solver from what holds at each border of a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...core.errors import InputError
from ..borders import Border
from ..medium import Conditions
from ..periodic import Periodic
from ..steady import undetermined
from .checks import all_of, check_kind, check_name
from .electrodes import Electrode
from .parts import Condition, Ion, Pieces


def named(ions: Sequence[Ion]) -> tuple[Ion, ...]:
    """Ions of a cell, each name once.

    Raises
    ------
    InputError
    """
    found = all_of(ions, Ion, "ions of a cell", "Ion(...)")
    names = [ion.name for ion in found]
    if not names or len(set(names)) < len(names):
        raise InputError(
            "ions of a cell", wanted="one or more, each name once", got=str(names)
        )
    return found


def check_borders(known: Sequence[str], given: Mapping[str, Condition]) -> None:
    """Refuse borders without a condition, and conditions of no border.

    Raises
    ------
    InputError
    """
    check_kind(given, Mapping, "borders of a cell", "{border: condition}")
    missing = [name for name in known if name not in given]
    unknown = [name for name in given if name not in known]
    if missing or unknown:
        raise InputError(
            "borders of a cell",
            wanted=f"one condition for each of {', '.join(known)}",
            got=f"none for {missing}" if missing else f"one for {unknown}",
            mend="Wall() lets nothing pass, Symmetry() is a plane of symmetry",
        )
    for name, one in given.items():
        what = f"condition of {name!r}"
        check_kind(one, Condition, what, "a condition", "write Wall(), not Wall")


def check_changes(borders: Mapping[str, Condition], drive: Mapping[str, Mapping]) -> None:
    """Refuse changes of fields that conditions do not have.

    Raises
    ------
    InputError
    """
    wanted = 'changes such as {"anode": {"potential": 0.1}}'
    check_kind(drive, Mapping, "a drive", wanted)
    for name, changes in drive.items():
        check_kind(changes, Mapping, f"a drive of {name!r}", wanted)
        for key in changes:
            check_field(borders, name, key)


def check_field(borders: Mapping[str, Condition], name: str, key: str) -> None:
    """Refuse a border whose condition has no such field.

    Raises
    ------
    InputError
    """
    check_name(name, borders, "unknown border")
    fields = getattr(borders[name], "__dataclass_fields__", {})
    if key not in fields:
        raise InputError(
            f"{key} of {name!r}",
            wanted=f"a border whose condition has one: {_having(key, borders)}",
            got=f"{type(borders[name]).__name__}({', '.join(fields)})",
        )


def _having(key: str, borders: Mapping[str, Condition]) -> str:
    having = (name for name, one in borders.items() if hasattr(one, str(key)))
    return ", ".join(having) or "none has"


def check_potential(borders: Mapping[str, Condition], name: str) -> None:
    """Refuse a border whose potential is not given: that of a current is found.

    Raises
    ------
    InputError
    """
    check_field(borders, name, "potential")
    if getattr(borders[name], "current", None) is not None:
        raise InputError(
            f"potential of {name!r}",
            wanted="an electrode without a given current",
            got=str(borders[name]),
            mend="leave Electrode(current=) out",
        )


def check_same_terms(made: Sequence[Border], driven: Sequence[Border]) -> None:
    """Refuse terms of borders that a cell was not made with.

    Raises
    ------
    InputError
    """
    for place in dict.fromkeys(one.place for one in (*made, *driven)):
        wanted, got = (
            [one for one in terms if one.place == place] for terms in (made, driven)
        )
        if [one.signature() for one in wanted] != [one.signature() for one in got]:
            raise InputError(
                f"a drive that makes another kind of border of {place!r}",
                wanted=_kinds(wanted),
                got=_kinds(got),
                mend="make the cell with a charge or a Stern layer there, however small, "
                "or another cell with what you want",
            )


def _kinds(terms: Sequence[Border]) -> str:
    return ", ".join(type(one).__name__ for one in terms) or "a plain border"


def check_electrode(borders: Mapping[str, Condition], name: str) -> None:
    """Refuse a border that is no electrode.

    Raises
    ------
    InputError
    """
    check_name(name, borders, "unknown border")
    what = f"the electrode {name!r}"
    check_kind(borders[name], Electrode, what, "a border whose condition is an Electrode")


def check_double_layer(
    borders: Mapping[str, Condition],
    pieces: Mapping[str, Pieces],
    name: str,
    n_species: int,
) -> None:
    """Refuse a border that holds no charge at its potential.

    Raises
    ------
    InputError
    """
    check_field(borders, name, "potential")
    if not pieces[name].charges(n_species):
        raise InputError(
            f"charge of {name!r}",
            wanted="an Electrode, or Fixed with a potential, of a cell that is not "
            "electroneutral",
            got=f"{type(borders[name]).__name__}, which holds none",
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
