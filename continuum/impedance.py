"""Impedance of an electrode: the answer to a small alternating potential."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError, StageError
from . import _dolfinx as fx
from . import pairs
from ._dolfinx import ufl
from .electrode import Electrode
from .held import Held
from .medium import Place
from .model import NernstPlanckPoisson
from .newton import NotConverged
from .quantities import Charge, Current
from .response import Response, folded
from .states import Solution
from .steady import check_held


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Answer of an electrode at some frequencies, in scaled units.

    Attributes
    ----------
    omega
        Angular frequencies, D0 / l^2, shape (n,).
    admittance
        Complex current into the domain per potential, for ``exp(i omega t)``: of the ions
        that pass and of what charges the electrode, for all of its area, shape (n,).
    """

    omega: np.ndarray
    admittance: np.ndarray

    @property
    def impedance(self) -> np.ndarray:
        """Inverse of the admittance, shape (n,)."""
        return 1 / self.admittance

    @property
    def capacitance(self) -> np.ndarray:
        """Complex capacitance ``Y / (i omega)``, shape (n,)."""
        return self.admittance / (1j * self.omega)


def impedance(
    model: NernstPlanckPoisson, solution: Solution, place: Place, omega: ArrayLike
) -> Spectrum:
    """Spectrum of a steady state, from the equations linearised there.

    The potential of the electrode at `place` moves: that of its Stern layer and its
    charge transfer, and phi where it is held, with psi_i that is held beside it (a
    reservoir's potential). All else that is held stays.

    Parameters
    ----------
    model
        The equations; its state is overwritten.
    solution
        A steady state.
    place
        Of the electrode.
    omega
        Angular frequencies, positive.

    Returns
    -------
    Spectrum
        As exact as the mesh: nothing is differenced, and the current is the sum of the
        reactions, displacement included.

    Raises
    ------
    InputError
        When there is no electrode at `place`, the state is not steady, or a frequency is
        not positive.
    StageError
        When the equations at a frequency cannot be solved.
    """
    frequencies = np.atleast_1d(np.asarray(omega, dtype=float))
    if not (frequencies > 0).all() or not np.isfinite(frequencies).all():
        raise InputError(
            "frequencies that cannot be used",
            wanted="positive numbers; `differential_capacitance` is the limit of zero",
            got=str(frequencies)[:80],
        )
    system = _Alternating(Electrode(model, solution, place))
    answers = np.array([system.admittance(one) for one in frequencies])
    return Spectrum(frequencies, answers)


def differential_capacitance(
    model: NernstPlanckPoisson, solution: Solution, place: Place
) -> float:
    """Charge of an electrode per potential when all else has settled, scaled units.

    Parameters
    ----------
    model, solution, place
        As for `impedance`.

    Raises
    ------
    InputError
        When there is no electrode at `place`, the state is not steady, or the amount of a
        species is not determined, as in a closed cell: there the capacitance of a
        spectrum tells.
    StageError
        When the equations cannot be solved.
    """
    check_held(model, solution.conditions)
    electrode, newton = Electrode(model, solution, place), model.newton
    newton.assemble(electrode.held)
    try:
        change = newton.linear(electrode.push)[: newton.n_owned]
    except NotConverged as exc:
        raise _unsolved(model.words.number("frequency", 0.0), exc) from exc
    return float(electrode.total(electrode.slopes(Charge(place)), change))


class _Alternating:
    """The equations with ``exp(i omega t)``."""

    def __init__(self, electrode: Electrode):
        self._electrode, model = electrode, electrode.model
        fx.release(model.domain.comm)
        current, newton = Current(electrode.place), model.newton
        self._passing = electrode.slopes(current)
        charge, direct = electrode.slopes(Charge(electrode.place))
        # Ions that stay at unknowns which are held there have come in as well.
        held = current.held(model, electrode.conditions)
        stored = Response.of(model).sum(held, "state", "storage")[: newton.n_owned]
        self._sitting = charge + folded(model, stored), direct
        newton.assemble(electrode.held)
        rate = _storage(model, electrode.held)
        self._systems = pairs.systems(newton, rate, model.domain.dim)
        self._right = electrode.push * newton.scale

    def admittance(self, omega: float) -> complex:
        """Current per potential at one frequency."""
        try:
            change = self._systems.solve(omega, self._right)
        except NotConverged as exc:
            words = self._electrode.model.words
            raise _unsolved(words.number("frequency", omega), exc) from exc
        passing = self._electrode.total(self._passing, change)
        return passing + 1j * omega * self._electrode.total(self._sitting, change)


def _storage(model: NernstPlanckPoisson, held: Held):
    """Matrix of the stored amounts by the unknowns, in the rows of the Jacobian."""

    def compiled():
        return fx.form(ufl.derivative(model.storage, model.newton.u))

    newton, others = model.newton, held.rows[held.rows < model.newton.n_owned]
    matrix = fx.create_matrix(newton.jacobian)  # which has the pattern of the other
    newton.before_assembly()
    fx.assemble_matrix(matrix, model.once("storage", compiled))
    if model.ties is not None:
        matrix = matrix.PtAP(model.ties.matrix)
        others = np.append(others, model.ties.slaves)
    rows = matrix.createVecLeft()
    rows.array[:] = newton.scale
    rows.array[others] = 0.0
    matrix.diagonalScale(rows)
    return matrix


def _unsolved(frequency: str, exc: Exception) -> StageError:
    return StageError(
        "no answer to an alternating potential",
        wanted="linear equations that can be solved",
        got=f"at the frequency {frequency}: {exc}",
        mend="look whether the state is one that the equations determine",
    )
