"""What conditions hold: which unknowns, for which place, and at what values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import InputError
from . import _dolfinx as fx
from .borders import check_species
from .collective import together
from .held import Held
from .medium import Conditions, Medium, Place
from .model import NernstPlanckPoisson
from .periodic import SAME

#: ``"psi"``, ``"concentration"`` or ``"phi"``; which component; where.
Given = tuple[str, int, Place]


def rows_held(
    model: NernstPlanckPoisson, conditions: Conditions
) -> dict[Given, np.ndarray]:
    """Unknowns of this process that each given value holds, ghosts among them.

    An unknown that two places share, such as that of a corner, belongs to one of them:
    psi comes before a concentration, and of two places the one that is named last.
    Unknowns of periodic slaves are held at their masters.

    Raises
    ------
    InputError
        When there is no such species or place, or the place is an axis or a centre.
    """
    psi, density = list(conditions.psi), list(conditions.concentration)
    check_species((i for i, _ in (*psi, *density)), model.n_species)
    given: list[Given] = [("concentration", *each) for each in density]
    given += [("psi", *each) for each in psi]
    given += [("phi", model.n_species, place) for place in conditions.phi]
    return model.once(("held", *given), lambda: _shared_out(model, given))


def _shared_out(model, given: list[Given]) -> dict[Given, np.ndarray]:
    holder: dict[int, int] = {}
    for number, (_, i, place) in enumerate(given):
        check_place(model, place)
        holder |= dict.fromkeys(model.unknowns(i, place).tolist(), number)
    if model.ties is not None:
        holder = model.ties.carried(holder)
    rows = np.array(list(holder), dtype=int)
    numbers = np.array(list(holder.values()), dtype=int)
    return {each: rows[numbers == number] for number, each in enumerate(given)}


def check_place(model: NernstPlanckPoisson, place: Place) -> None:
    """Refuse an axis or a centre, which has no area that anything could pass.

    Raises
    ------
    InputError
    """
    if model.domain.symmetry == "none":
        return
    nodes = model.unknowns(0, place) // (model.n_species + 1)
    radius = model.newton.largest(fx.node_positions(model.space)[nodes, 0])
    if radius < SAME * model.domain.extent:
        raise InputError(
            "something held where the domain has no area",
            wanted=f"a border off the axis or centre of {model.domain.symmetry} symmetry",
            got=f"{place!r} at the radius {model.words.number('length', radius)}",
            mend="leave it without a condition, or cut a small radius out of the mesh",
        )


@dataclass(frozen=True)
class Crowded(Held):
    """Held unknowns, some of them concentrations among ions that are free.

    Then ``psi_i - z_i phi`` is the value and, on top, what the ions of the node make
    the held one feel: it changes with the free ones.

    Attributes
    ----------
    excess
        Gives it and its derivatives by the unknowns of the node, at a state of all
        unknowns: shapes (n_held,) and (n_held, n_species + 1).
    """

    excess: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def mismatch(self, u):
        """How far the unknowns are from what they must be."""
        return super().mismatch(u) - self.excess(u)[0]

    def entries(self, u):
        """Derivatives of the mismatch by other unknowns than its own."""
        slopes = -self.excess(u)[1]
        own, size = np.arange(len(self.rows)), slopes.shape[1]
        slopes[own, self.partners % size] += self.factors
        which, columns = np.nonzero(slopes)
        first = self.rows[which] - self.rows[which] % size
        return which, first + columns, slopes[which, columns]


def held_unknowns(
    model: NernstPlanckPoisson, medium: Medium, conditions: Conditions
) -> Held:
    """Which unknowns conditions hold, and at what values."""
    size, columns = model.n_species + 1, []
    for (kind, i, place), rows in rows_held(model, conditions).items():
        partners, factor = rows, 0.0
        if kind == "concentration":
            partners, factor = rows - i + size - 1, -float(model.charge_numbers[i])
            c = conditions.concentration[i, place]
            value = _ideal_psi(model, medium, i, c, place)[rows // size]
        else:
            value = conditions.phi[place] if kind == "phi" else conditions.psi[i, place]
        one = np.ones(len(rows))
        columns.append((rows, partners, factor * one, value * one))
    if phi_is_free(model, conditions):
        columns.append((model.anchor, model.anchor, *np.zeros((2, len(model.anchor)))))
    none = np.zeros((4, 0))
    rows, partners, factors, values = np.hstack([none, *map(np.array, columns)])
    with together(model.domain.comm):
        if not np.isfinite(values).all():
            raise InputError("a condition that is not finite", got=str(conditions)[:200])
    held = Held(rows.astype(int), partners.astype(int), factors, values)
    if not conditions.concentration:
        return held
    return _among_others(model, medium, conditions, held)


def moving(
    model: NernstPlanckPoisson, conditions: Conditions, place: Place
) -> list[tuple[np.ndarray, float]]:
    """What is held that moves with the potential of a place, and by how much.

    Phi by one and psi_i by z_i: ions that an electrode or a reservoir gives and takes
    have no work to do when both move. Empty where phi is not held.
    """
    held, size = rows_held(model, conditions), model.n_species + 1
    metal = held.get(("phi", size - 1, place))
    if metal is None:
        return []
    ions = [
        (rows[np.isin(rows // size, metal // size)], float(model.charge_numbers[i]))
        for (kind, i, where), rows in held.items()
        if kind == "psi" and where == place
    ]
    return [(metal, 1.0), *ions]


def phi_is_free(model: NernstPlanckPoisson, conditions: Conditions) -> bool:
    """Whether phi may be counted from anywhere; it is zero at `model.anchor` then."""
    charged = any(model.charge_numbers[i] for i, _ in conditions.psi)
    metal = any("potential" in border.numbers for border in conditions.borders)
    return not (conditions.phi or charged or metal)


def _ideal_psi(model, medium: Medium, i: int, c: float, place: Place) -> np.ndarray:
    """``psi_i - z_i phi`` of a concentration of point ions, by node of functions."""
    if not c > 0:
        raise InputError(
            "a concentration that cannot be held",
            wanted="a positive number",
            got=f"{model.words.number('concentration', c)} of {model.words.name(i)} "
            f"at {place!r}",
        )
    out = np.empty(len(model.points))
    out[model.order] = np.log(c) - medium.ln_activity[i] + medium.mu_ex[i]
    return out


def _among_others(model, medium: Medium, conditions: Conditions, held: Held) -> Held:
    """The same where ions feel each other."""
    size, n_nodes = model.n_species + 1, len(model.points)
    c, shift = np.full((2, model.n_species, n_nodes), np.nan)
    shift[:, model.order] = medium.ln_activity[:, None] - medium.mu_ex
    for (kind, i, place), rows in rows_held(model, conditions).items():
        if kind == "concentration":
            c[i, rows // size] = conditions.concentration[i, place]
    nodes, component = np.divmod(held.rows, size)
    mine = np.isfinite(np.vstack([c, np.full(n_nodes, np.nan)])[component, nodes])
    nodes, component, each = nodes[mine], component[mine], np.arange(mine.sum())

    def excess(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        *psi, phi = u.reshape(-1, size)[nodes].T
        work = np.array(psi) + model.origin[:, None] - np.outer(model.charge_numbers, phi)
        felt, by = medium.closure.excess(c[:, nodes], shift[:, nodes] + work)
        value, slopes = np.zeros(len(mine)), np.zeros((len(mine), size))
        value[mine] = felt[component, each]
        slopes[mine, :-1] = by[component, :, each]
        slopes[:, -1] = -slopes[:, :-1] @ model.charge_numbers
        return value, slopes

    weights = medium.closure.parameters.get("weights", np.zeros(model.n_species))
    if np.isfinite(c[weights > 0][:, nodes]).all():
        known, _ = excess(np.zeros(size * n_nodes))
        return replace(held, values=held.values + known)
    return Crowded(held.rows, held.partners, held.factors, held.values, excess)
