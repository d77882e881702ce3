"""The forms of the equations, in UFL."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from ._dolfinx import ufl
from .borders import Border, check_species
from .closures import Closure
from .coefficients import CoefficientFields
from .domain import Domain
from .fields import NodalField, unit_normal
from .neutral import TRACE
from .periodic import Periodic
from .reactions import Reaction

UFL = SimpleNamespace(exp=ufl.exp, ln=ufl.ln, tanh=ufl.tanh, maximum=ufl.max_value)


class Equations:
    """Integrals over one domain, of one list of ions.

    What they are made of is filled in by `NernstPlanckPoisson`.
    """

    domain: Domain
    degree: int
    charge_numbers: np.ndarray
    closure: Closure
    borders: Sequence[Border]
    periodic: Sequence[Periodic]
    reactions: Sequence[Reaction]
    space: Any
    fields: CoefficientFields
    _state: NodalField
    _frozen: Any
    _constants: dict[str, Any]

    def __init__(self):
        self._kept: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` gave the first time, kept for this model: forms compiled later."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    @property
    def n_species(self) -> int:
        """Number of species."""
        return len(self.charge_numbers)

    def local(self, u, frozen=None) -> SimpleNamespace:
        """UFL values at a point: psi, phi, c, z, and the solvent's velocity."""
        n, k = self.n_species, self._constants
        z, load = k["z"], self.fields.load.function

        def psi(state, i):
            return k["origin"][i] + state[i]

        def ln_a(state, mu):
            return [
                k["ln_activity"][i] + psi(state, i) - z[i] * state[n] - mu[i]
                for i in range(n)
            ]

        numbers = {name: k[f"closure.{name}"] for name in self.closure.parameters}
        known = ln_a(u, load)
        seen = known if frozen is None else ln_a(frozen, self.fields.frozen_load)
        ln_c = self.closure.ln_concentrations(UFL, numbers, known, seen)
        velocity = self.fields.velocity
        c = [ufl.exp(value) for value in ln_c]
        return SimpleNamespace(
            psi=[psi(u, i) for i in range(n)], phi=u[n], c=c, z=z, velocity=velocity
        )

    @property
    def here(self) -> SimpleNamespace:
        """`local` at the model's own state."""
        return self.once("here", lambda: self.local(self._state.function, self._frozen))

    def integral(self, inside):
        """UFL integral over the domain."""
        dx = ufl.dx(metadata={"quadrature_degree": 2 * self.degree + 2})
        return inside * self.domain.measure * dx

    def nodal(self, inside):
        """UFL integral of charges and of what changes in time.

        With electrode reactions it is taken at the nodes. A consistent mass matrix
        spreads what enters at a node to its neighbours with alternating signs: in steps
        too short for diffusion over a cell no positive concentration could answer.
        Lobatto's rule keeps the order, with errors some times larger. Quadratic elements
        of more dimensions have no such rule with positive weights. Charges must follow,
        or neutral solutions would store charge.
        """
        rule = nodal_rule(self.domain.dim, self.degree)
        reacting = any(border.reacting() for border in self.borders)
        if rule is None or not reacting:
            return self.integral(inside)
        return inside * self.domain.measure * ufl.dx(metadata=rule)

    def _residual(self):
        n, u = self.n_species, self._state.function
        v = ufl.TestFunction(self.space)
        here = self.here
        ions = sum(here.z[i] * here.c[i] for i in range(n))
        charge = ions + self.fields.load.function[n]
        field = ufl.inner(self.slope(u, n), ufl.grad(v[n]))
        inside = self.permittivity * field + self._carried(v)
        for j, reaction in enumerate(self.reactions):
            rate = self._constants[f"reaction.{j}"] * reaction.rate(UFL, here.c)
            inside -= sum(nu * rate * v[i] for i, nu in reaction.stoichiometry.items())
        form = self.integral(inside) - self.nodal(charge * v[n])
        for j in range(len(self.borders)):
            form -= self.border_form(j, v)
        return form

    def _carried(self, v):
        """The fluxes of ions inside, tested."""
        here, u, total = self.here, self._state.function, 0
        for i in range(self.n_species):
            # Without a trace of mobility rows of psi vanish where c underflows.
            mobile = here.c[i] + TRACE
            total += mobile * ufl.inner(self._driven(i, u), ufl.grad(v[i]))
            if here.velocity is not None:
                total -= here.c[i] * self._along(here.velocity, ufl.grad(v[i]))
        return total

    @property
    def transport(self):
        """UFL form of ``-J_i . grad v_i`` alone: no terms, no reactions, no charges."""
        return self.integral(self._carried(ufl.TestFunction(self.space)))

    @property
    def permittivity(self):
        """UFL p eps."""
        return self._constants["poisson"] * ufl.exp(
            self.fields.ln_mobility.function[self.n_species]
        )

    def slope(self, u, i: int):
        """Gradient of psi_i, or of phi, with the mean field of periodic borders."""
        if not self.periodic:
            return ufl.grad(u[i])
        charge = self._constants["z"][i] if i < self.n_species else 1.0
        return ufl.grad(u[i]) + charge * self._constants["slope"]

    def _driven(self, i: int, u):
        """D_i grad psi_i."""
        slope = self.slope(u, i)
        perp = ufl.exp(self.fields.ln_mobility.function[i])
        if self.fields.wall is None:
            return perp * slope
        normal = unit_normal(self.fields.wall.function[self.n_species])
        across = ufl.inner(normal, slope) * normal
        return perp * across + ufl.exp(self.fields.wall.function[i]) * (slope - across)

    def _along(self, velocity, slope):
        return sum(velocity[a] * slope[a] for a in range(self.domain.dim))

    def border_form(self, j: int, v, **moved):
        """What the j-th term lets in, tested with v; `moved` is added to its numbers."""
        border = self.borders[j]
        here = self.here
        here.normal = ufl.FacetNormal(self.domain.mesh)
        k = {
            name: self._constants[f"border.{j}.{name}"] + moved.get(name, 0)
            for name in border.numbers
        }
        inflow = border.inflow(UFL, k, here)
        check_species((i for i in inflow if i != -1), self.n_species)
        total = sum(flux * v[i % (self.n_species + 1)] for i, flux in inflow.items())
        ds = self.domain.ds(border.place, 2 * self.degree + 2)
        return self._constants[f"on.{j}"] * total * self.domain.measure * ds

    @contextlib.contextmanager
    def without_border(self, j: int) -> Iterator[None]:
        """The equations without the j-th term, which tells what it lets in."""
        self._constants[f"on.{j}"].value[...] = 0.0
        try:
            yield
        finally:
            self._constants[f"on.{j}"].value[...] = 1.0

    def _storage(self):
        v = ufl.TestFunction(self.space)
        return self.nodal(sum(c * v[i] for i, c in enumerate(self.here.c)))


def nodal_rule(dim: int, degree: int) -> dict | None:
    """Quadrature whose points are the nodes of a Lagrange space; None without a good one.

    On intervals Lobatto's, exact to the degree ``2 degree - 1``; on other simplices that
    of the vertices.
    """
    if degree == 1:
        points = np.vstack([np.zeros(dim), np.eye(dim)])
        weights = np.full(dim + 1, 1.0 / math.factorial(dim + 1))
    elif degree == 2 and dim == 1:
        points, weights = np.array([[0.0], [0.5], [1.0]]), np.array([1.0, 4.0, 1.0]) / 6
    else:
        return None
    return {
        "quadrature_rule": "custom",
        "quadrature_degree": 2 * degree - 1,
        "quadrature_points": tuple(map(tuple, points.tolist())),
        "quadrature_weights": tuple(weights.tolist()),
    }
