"""An electrode whose potential follows from a given current."""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError
from .held import Held
from .holding import moving
from .medium import Conditions
from .model import NernstPlanckPoisson
from .newton import Newton
from .observables import totals
from .states import Solution, load_of


class FloatingPotential:
    """The potential of all terms at a border, and of phi where it is held there.

    Psi that is held beside phi moves along with it.

    Parameters
    ----------
    model
        The equations.
    place
        The border.
    conditions
        That give a current there.

    Attributes
    ----------
    value
        The potential, kT/e.
    wanted
        The current.
    """

    def __init__(self, model: NernstPlanckPoisson, place: str, conditions: Conditions):
        self.model, self.place, self._conditions = model, place, conditions
        self._names = [
            f"border.{j}.potential"
            for j, border in enumerate(model.borders)
            if border.place == place and "potential" in border.numbers
        ]
        self._moving = moving(model, conditions, place)
        if not self._names and place not in conditions.phi:
            raise InputError(
                "a current through a border without an electrode",
                wanted="a held potential, a Stern layer or charge transfer there",
                got=f"nothing of that at {place!r}",
            )
        terms = [b for b in conditions.borders if b.place == place]
        given = [getattr(b, "potential", 0.0) for b in terms]
        self.value = float(conditions.phi.get(place, given[0] if given else 0.0))
        self.wanted = float(conditions.current[place])
        self._newton: Newton = model.newton
        self._rate = lambda charge: 0.0

    def aim(self, conditions: Conditions, step: float, bdf) -> None:
        """Take over the current of a time step, with what charges the border."""
        self._conditions, self._newton = conditions, bdf.newton
        self.wanted = float(conditions.current[self.place])
        self._rate = lambda charge: bdf.rate(step, self.place, charge)

    def load(self, value: float) -> dict[str, np.ndarray]:
        """A value under the model's names."""
        return {name: np.array(value) for name in self._names}

    def put(self, value: float, held: Held) -> None:
        """Take over a value, in the equations and in what is held."""
        self.value = value
        self.model.put(self.load(value))
        if not self._moving:
            return
        (metal, _), *ions = self._moving
        mine, nodes = np.isin(held.rows, metal), held.rows // (self.model.n_species + 1)
        change = np.zeros(len(self.model.points))
        change[nodes[mine]] = value - held.values[mine]
        held.values[mine] = value
        for rows, charge in ions:
            mine = np.isin(held.rows, rows)
            held.values[mine] += charge * change[nodes[mine]]

    def mismatch(self) -> float:
        """Current at the present state, less that wanted."""
        z = self.model.charge_numbers
        inflow, charges = totals(self.model, self._conditions, self._newton)
        carried = sum(z[i] * flux for (i, at), flux in inflow.items() if at == self.place)
        charge = charges.get(self.place, 0.0)
        return float(carried + self._rate(charge) - self.wanted)


def floating_of(
    model: NernstPlanckPoisson, conditions: Conditions
) -> FloatingPotential | None:
    """The electrode whose current is given, if there is one.

    Raises
    ------
    InputError
        When there are two, or it is no electrode.
    """
    if not conditions.current:
        return None
    if len(conditions.current) > 1:
        raise InputError(
            "more than one given current",
            wanted="one border with a current, the others with potentials",
            got=", ".join(conditions.current),
        )
    return FloatingPotential(model, next(iter(conditions.current)), conditions)


def load_at(model: NernstPlanckPoisson, solution: Solution) -> dict[str, np.ndarray]:
    """All numbers of a solution, under the model's names: a potential as it was found."""
    load = load_of(model, solution.medium, solution.conditions)
    floating = floating_of(model, solution.conditions)
    if floating is None or solution.potential is None:
        return load
    return load | floating.load(solution.potential)


def check_same_currents(first: Conditions, later: Conditions, time: str) -> None:
    """Refuse a current that comes or goes in time: its electrode is another unknown.

    Raises
    ------
    InputError
    """
    changed = sorted(set(first.current) ^ set(later.current))
    if changed:
        raise InputError(
            "a current that is given for a part of the time: at "
            + ", ".join(map(repr, changed)),
            wanted="a current at the same border from begin to end",
            got=f"none {'at' if changed[0] in first.current else 'before'} {time}",
            mend="follow the parts one by one, each from the end of the last",
        )
