"""Second-order backward differences with variable steps, on concentrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from . import _dolfinx as fx
from ._dolfinx import ufl
from .held import Floating, Held
from .medium import Medium
from .model import NernstPlanckPoisson
from .observables import concentrations

#: Smallest part of the last concentration that the history may predict.
LEAST = 0.2
#: Where Newton's method starts is no further from the last state (kT): where ions are
#: driven out psi bends, and concentrations follow its exponential.
FARTHEST = 1.0
#: Newton iterations of a step: after a jump kinetics of 20 kT and more are climbed down
#: by 1 kT in each, and no shorter step would need fewer. A reduction at -1 V, of an ion
#: that the field also draws to the electrode, takes a hundred.
MOST = 120


@dataclass(frozen=True, eq=False)
class Past:
    """A state that was accepted.

    Attributes
    ----------
    time
        When.
    unknowns
        Of this process.
    concentration
        Shape (n_species, n_nodes).
    amount
        Integral of each concentration, shape (n_species,).
    charge
        Place -> surface charge.
    """

    time: float
    unknowns: np.ndarray
    concentration: np.ndarray
    amount: np.ndarray
    charge: Mapping


class Bdf2:
    """Steps of ``w0 c(u) + w1 c(u1) + w2 c(u2) = -div J``.

    The amount of every species changes by what enters, to rounding. Where ions leave
    fast, ``-w1 c1 - w2 c2`` may be negative, which no potential can give: there it is
    limited to ``LEAST w0 c1``, and the amounts are restored by scaling.

    Parameters
    ----------
    model, medium
        The equations and what fills the domain.

    Attributes
    ----------
    past
        Accepted states, the last three at most, latest last.
    """

    def __init__(self, model: NernstPlanckPoisson, medium: Medium):
        self.model, self.medium = model, medium
        mesh = model.domain.mesh
        self._w0 = w0 = fx.constant(mesh, 1.0)
        self._history = fx.constant(mesh, np.zeros(2))
        self._last = [fx.function(model.space) for _ in range(2)]
        residual = model.residual + self._w0 * model.storage
        self.newton = model.compile(residual, lambda: float(w0.value))
        # The error after such a step is its square, or a small part of it when linear
        # systems are solved by iterations: amounts are kept to 1e-12.
        self.newton.damped = True
        self.newton.max_iterations = MOST
        # Neutral ions tell phi by their difference, which short steps drown in rounding.
        self.newton.stalled = 1e-6 if medium.poisson else 1e-4
        self.newton.tolerance = 1e-7 if self.newton.direct else 1e-9
        self._storage = fx.form(model.storage)
        self._predicted = fx.form(self._history_form())
        self._vector = fx.petsc_vector(model.newton.u).duplicate()
        self._load = self.newton.load = self._vector.duplicate()
        self.past: list[Past] = []
        self._usual = np.array(medium.c_ref, dtype=float)
        for border in model.borders:
            reacting = border.reacting()
            self._usual[reacting] = self._usual[reacting].max(initial=0.0)

    def _history_form(self):
        model = self.model
        v = ufl.TestFunction(model.space)
        one, two = (model.local(u, u).c for u in self._last)
        a, b = self._history[0], self._history[1]
        total = sum(
            ufl.max_value(a * one[i] + b * two[i], LEAST * one[i]) * v[i]
            for i in range(model.n_species)
        )
        return model.nodal(total)

    def remember(self, time: float, charge: Mapping) -> None:
        """Accept the model's present state; the next step starts from it."""
        unknowns = self.model.newton.u.x.array.copy()
        c = concentrations(self.model, self.medium, self.model.state)
        self.model.freeze()
        fx.assemble_vector(self._vector, self._storage)
        amount = self.model.totals(self._vector.array)[:-1]
        self.past = [*self.past[-2:], Past(time, unknowns, c, amount, charge)]

    def restart(self) -> None:
        """Forget all but the last state: after a jump the next step is of first order."""
        self.past = self.past[-1:]

    @property
    def order(self) -> int:
        """Of the next step."""
        return 1 if len(self.past) < 2 else 2

    def weights(self, step: float) -> np.ndarray:
        """Weights w0, w1, w2 of the next step."""
        if self.order == 1:
            return np.array([1.0, -1.0, 0.0]) / step
        ratio = step / (self.past[-1].time - self.past[-2].time)
        first = (1 + 2 * ratio) / (1 + ratio)
        return np.array([first, -1 - ratio, ratio**2 / (1 + ratio)]) / step

    def rate(self, step: float, name, now: float) -> float:
        """Time derivative of the charge of a place, with the weights of a step."""
        w = self.weights(step)
        back = [past.charge.get(name, 0.0) for past in self.past[-1:-3:-1]]
        return float(w[0] * now + sum(w[1 + j] * q for j, q in enumerate(back)))

    def currents(self, step: float, inflow: Mapping, charge: Mapping) -> dict:
        """Electric current into the domain at each place: of ions, and to charge it."""
        found = {place: self.rate(step, place, now) for place, now in charge.items()}
        for (i, place), flux in inflow.items():
            carried = self.model.charge_numbers[i] * flux
            found[place] = found.get(place, 0.0) + float(carried)
        return found

    def attempt(
        self,
        step: float,
        held: Held,
        floating: Floating | None = None,
        *,
        guess: np.ndarray | None = None,
    ) -> int:
        """Newton iterations to the state after a step.

        Parameters
        ----------
        step
            Its length.
        held, floating
            As in `Newton.solve`.
        guess
            Unknowns to start from; extrapolated ones by default.

        Raises
        ------
        NotConverged
            The state is again the last one.
        """
        w = self.weights(step)
        self._w0.value[...] = w[0]
        self._put_history(w)
        unknowns = self.model.newton.u.x.array
        unknowns[:] = self._extrapolated(step) if guess is None else guess
        value = 0.0 if floating is None else floating.value
        try:
            return self.newton.solve(held, floating)
        except Exception:
            unknowns[:] = self.past[-1].unknowns
            if floating is not None:
                floating.value = value
            raise

    def _extrapolated(self, step: float) -> np.ndarray:
        last = self.past[-1]
        if len(self.past) < 3:  # the oldest may be from before a jump
            return last.unknowns
        weights = _extrapolation(self.past, step)
        change = (
            sum(w * past.unknowns for w, past in zip(weights, self.past, strict=True))
            - last.unknowns
        )
        return last.unknowns + np.clip(change, -FARTHEST, FARTHEST)

    def _put_history(self, w: np.ndarray) -> None:
        recent = [self.past[-1], self.past[-2] if self.order == 2 else self.past[-1]]
        for function, past in zip(self._last, recent, strict=True):
            function.x.array[:] = past.unknowns
        self._history.value[:] = -w[1:] / w[0]
        fx.assemble_vector(self._vector, self._predicted)
        blocks = self._vector.array.reshape(-1, self.model.n_species + 1)
        wanted = -(w[1] * recent[0].amount + w[2] * recent[1].amount)
        scale = wanted / self.model.totals(self._vector.array)[:-1]
        self._load.array[:] = -(blocks * np.append(scale, 0.0)).ravel()

    def error(self, step: float) -> float:
        """Estimated error of the step that was just made.

        Root mean square over nodes of ``dc / (c + c_ref)``, of the worst species. Its
        c_ref is the highest of those that react with each other at an electrode: a
        product that was a trace grows as high.
        """
        c = concentrations(self.model, self.medium, self.model.state)
        known = min(len(self.past), self.order + 1)
        recent = self.past[-known:]
        times = np.array([past.time for past in recent])
        weights = _extrapolation(recent, step)
        predicted = sum(
            w * past.concentration for w, past in zip(weights, recent, strict=True)
        )
        part = _local_part(step, times, self.order)
        scale = c + self._usual[:, None]
        # Nodes shared with other processes count once.
        mine = self.model.order < self.newton.n_owned // (self.model.n_species + 1)
        squares = ((part * (c - predicted) / scale)[:, mine] ** 2).sum(axis=1)
        comm = self.model.domain.comm
        total, nodes = comm.allreduce(squares), comm.allreduce(int(mine.sum()))
        return float(np.sqrt(np.max(total) / nodes))


def _extrapolation(past: Sequence[Past], step: float) -> list[float]:
    """Weights of states in the polynomial through them, a step after the last."""
    now, times = past[-1].time + step, [one.time for one in past]
    return [
        float(np.prod([(now - t) / (one - t) for t in times if t != one]))
        for one in times
    ]


def _local_part(step: float, times: np.ndarray, order: int) -> float:
    """Error of a step as a part of the distance from the extrapolating polynomial."""
    spans = step + times[-1] - times[::-1]  # to the last state, the one before, ...
    if order == 1:
        return 0.5 if len(times) == 1 else step / (step + spans[1])
    ratio = step / (spans[1] - step)
    formula = step * spans[1] * (1 + ratio) / (1 + 2 * ratio)
    if len(times) == 2:  # a linear prediction: it is the worse of the two
        return formula / (formula + spans[0] * spans[1])
    return formula / (formula + spans[1] * spans[2])
