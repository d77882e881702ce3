"""Gradients of quantities by the profiles of a medium, by one transposed solve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError, StageError
from .electrode import Electrode
from .held import Held
from .holding import rows_held
from .medium import Conditions, Medium
from .model import NernstPlanckPoisson
from .newton import NotConverged
from .quantities import Current, Quantity
from .response import check_steady, restore
from .states import Solution
from .steady import check_held


@dataclass(frozen=True, eq=False)
class Gradient:
    """Derivatives of a quantity by the nodal values of a medium's profiles.

    They are derivatives by numbers, not densities: a mesh twice as fine has half of them
    at each node. Names are those of `Medium.load`.

    Attributes
    ----------
    value
        The quantity, in scaled units.
    mu_ex, ln_diffusivity
        Shape (n_species, n_nodes): by mu_ex_i (kT), by ln D_i.
    ln_permittivity, fixed_charge
        Shape (n_nodes,): by ln eps, by the fixed charge (e c0).
    ln_diffusivity_par
        By ln D_par,i of an anisotropic model, shape (n_species, n_nodes).
    """

    value: float
    mu_ex: np.ndarray
    ln_diffusivity: np.ndarray
    ln_permittivity: np.ndarray
    fixed_charge: np.ndarray
    ln_diffusivity_par: np.ndarray | None = None


def gradient(
    model: NernstPlanckPoisson, solution: Solution, quantity: Quantity
) -> Gradient:
    """Gradient of a quantity of a steady state.

    What conditions give stays: a given concentration, and a given current, whose
    potential moves. Of discrete equations this is the derivative to rounding.

    Parameters
    ----------
    model
        The equations; its state is overwritten.
    solution
        A steady state.
    quantity
        Such as `quantities.Inflow`, `Charge`, `Current`, `Potential` or `Integral`.

    Returns
    -------
    Gradient
        On the nodes of the model; under MPI, on those of this process.

    Raises
    ------
    InputError
        When the quantity is none of this solution, or the solution is not steady.
    StageError
        When the linear equations cannot be solved.
    """
    check_held(model, solution.conditions)
    value = quantity(model, solution)
    held = restore(model, solution)
    check_steady(model, solution, held)
    model.newton.assemble(held)
    place = next(iter(solution.conditions.current), None)
    if place is None:
        by = _Adjoint(model, solution, held, quantity).slopes
    else:
        by = _at_current(model, solution, quantity, place)
    load, mobility, wall = by["load"], by["ln_mobility"], by.get("wall")
    along = None if wall is None else wall[:-1]
    return Gradient(value, load[:-1], mobility[:-1], mobility[-1], load[-1], along)


def linear_change(
    model: NernstPlanckPoisson, slope: Gradient, before: Medium, after: Medium
) -> float:
    """First-order change of a quantity from one medium to another.

    Parameters
    ----------
    model
        On whose nodes the media are.
    slope
        Of the quantity, in `before`.
    before, after
        They may differ in the profiles that `Gradient` names.

    Raises
    ------
    InputError
        When they differ in anything else.
    """
    mine = model.order < model.newton.n_owned // (model.n_species + 1)
    old, new = before.load(), after.load()
    known = {name for name, value in vars(slope).items() if value is not None}
    _check_same(model, old, new, known)
    total = 0.0
    for name in set(old) & known:
        total += float((getattr(slope, name) * (new[name] - old[name]))[..., mine].sum())
    return model.domain.comm.allreduce(total)


def _check_same(model, old: dict, new: dict, known: set[str]) -> None:
    others = (old.keys() | new.keys()) - known
    differ = {
        name
        for name in others
        if not np.array_equal(old.get(name, ()), new.get(name, ()))
    }
    every = set().union(*model.domain.comm.allgather(differ))
    if every:
        raise InputError(
            "media that differ in more than a gradient knows",
            wanted=f"other values of {', '.join(sorted(known & old.keys()))} alone",
            got=f"others of {', '.join(sorted(every))}",
            mend="solve both and take the difference",
        )


class _Adjoint:
    """A quantity with multipliers of the equations, at held potentials.

    Attributes
    ----------
    multipliers
        Change of the quantity per change of each equation, shape (n_unknowns,).
    slopes
        Its derivatives, name -> (n_species + 1, n_nodes).
    """

    def __init__(self, model, solution: Solution, held: Held, quantity: Quantity):
        conditions, newton = solution.conditions, model.newton
        right = quantity.slope(model, conditions, "state")[: newton.n_owned]
        try:
            self.multipliers = newton.linear(right, transposed=True)
        except NotConverged as exc:
            raise StageError(
                "no gradient",
                wanted="linear equations that can be solved",
                got=str(exc),
                mend="look whether the state is one that the equations determine",
            ) from exc
        equations = -self.multipliers
        ties, rows = model.ties, held.rows
        equations[rows if ties is None else ties.united(rows)] = 0.0
        flat = {
            name: quantity.slope(model, conditions, name, equations)
            for name in model.coefficients
        }
        flat["load"] += _by_mu_ex(model, conditions, held, self.multipliers)
        blocks = len(model.points), -1
        self.slopes = {
            name: values.reshape(blocks)[model.order].T for name, values in flat.items()
        }


def _by_mu_ex(model, conditions: Conditions, held: Held, multipliers) -> np.ndarray:
    """What mu_ex has to do where concentrations are held: it is taken from psi there."""
    given = rows_held(model, conditions).items()
    rows = [rows for (kind, *_), rows in given if kind == "concentration"]
    mine = np.isin(held.rows, np.concatenate([held.rows[:0], *rows]))
    out, size = np.zeros_like(multipliers), model.n_species + 1
    out[held.rows[mine]] = multipliers[held.rows[mine]]
    which, others, slopes = held.entries(model.newton.u.x.array)
    ions = mine[which] & (others % size < size - 1)
    np.add.at(out, others[ions], (slopes * multipliers[held.rows[which]])[ions])
    return out


def _at_current(model, solution: Solution, quantity: Quantity, place) -> dict:
    """Derivatives when the potential of an electrode moves to keep its current."""
    electrode = Electrode(model, solution, place)
    both = [quantity, Current(place)]
    adjoints = [_Adjoint(model, solution, electrode.held, one) for one in both]
    n = model.newton.n_owned
    wanted, current = (
        model.domain.comm.allreduce(float(adjoint.multipliers[:n] @ electrode.push))
        + one.direct(model, solution.conditions, place, electrode.enters)
        for adjoint, one in zip(adjoints, both, strict=True)
    )
    return {
        name: slope - wanted / current * adjoints[1].slopes[name]
        for name, slope in adjoints[0].slopes.items()
    }
