"""The Nernst-Planck-Poisson equations on a domain, compiled once."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from . import _dolfinx as fx
from ._dolfinx import ufl
from .blocks import Ions
from .borders import Border, check_species, numbers_of
from .closures import Closure
from .coefficients import CoefficientFields
from .domain import Domain
from .fields import NodalField, unit_normal
from .linear import Method
from .neutral import TRACE, neutral_rule
from .newton import Newton
from .periodic import Periodic, Ties
from .reactions import Reaction

UFL = SimpleNamespace(exp=ufl.exp, ln=ufl.ln, tanh=ufl.tanh, maximum=ufl.max_value)


class NernstPlanckPoisson:
    """Residual, Jacobian and unknowns of one domain and one list of ions.

    Unknowns are the electrochemical potentials psi_i and the potential phi in one space::

        dc_i/dt + div J_i = R_i,      J_i = -D_i c_i grad psi_i + c_i v
        -div(p eps grad phi) = sum_i z_i c_i + rho_fix

    with c_i from a closure of ``psi_i - z_i phi - mu_ex_i``. Concentrations are positive
    by construction; psi is exactly flat at equilibrium, because mu_ex lies in the space
    of psi. All numbers are read at run time: one compiled kernel serves every medium and
    condition of one kind. With p = 0 the second equation is electroneutrality.

    Parameters
    ----------
    domain
        Where they hold.
    charge_numbers
        Shape (n_species,).
    degree
        Of the elements.
    closure
        Of the kind that media will have.
    borders
        Terms of the kind that conditions will have, in their order.
    periodic
        Pairs of borders that are one, as conditions will have them.
    reactions
        In the domain.
    anisotropic
        Diffusion along the walls differs from that across.
    advection
        The solvent moves.
    linear
        A method of `linear.LinearSolver`.

    Attributes
    ----------
    points
        Nodes, shape (n_nodes, 3). Fields in and out of the model are arrays on them.
    newton
        Solver of the steady equations.
    residual, storage
        UFL forms: of the steady equations, and of the concentrations.
    """

    def __init__(
        self,
        domain: Domain,
        charge_numbers: ArrayLike,
        *,
        degree: int = 2,
        closure: Closure | None = None,
        borders: Sequence[Border] = (),
        periodic: Sequence[Periodic] = (),
        reactions: Sequence[Reaction] = (),
        anisotropic: bool = False,
        advection: bool = False,
        linear: Method = "auto",
    ):
        self.domain, self.degree, self.linear = domain, degree, linear
        self.charge_numbers = np.asarray(charge_numbers, dtype=float)
        self.closure = closure or Closure()
        self.borders, self.reactions = tuple(borders), tuple(reactions)
        self.periodic = tuple(periodic)
        self.anisotropic, self.advection = anisotropic, advection
        self._kept: dict[Hashable, Any] = {}
        self._fields(anisotropic, advection)
        self._constants = {
            name: fx.constant(domain.mesh, value)
            for name, value in self._numbers().items()
        }
        self.residual = self._residual()
        self.storage = self._storage()
        self.newton = self.compile(self.residual)
        self.newton.damped = True

    def _fields(self, anisotropic: bool, advection: bool) -> None:
        mesh, n = self.domain.mesh, len(self.charge_numbers)
        with fx.quiet():
            self.space = fx.lagrange(mesh, self.degree, n + 1)
        # One space for all: species first, the electric quantity last.
        self._state = NodalField(self.space)  # psi_i, phi
        self._frozen = fx.function(self.space)
        self.fields = CoefficientFields(
            self.domain,
            self.space,
            self.degree,
            anisotropic=anisotropic,
            advection=advection,
        )
        self.points = self._state.points
        pairs = self.periodic
        self.ties = Ties(self.domain, self.space, pairs) if pairs else None

    def _numbers(self) -> dict[str, np.ndarray]:
        closure = self.closure.parameters
        return {
            "z": self.charge_numbers,
            "poisson": np.array(1.0),
            "ln_activity": np.zeros(len(self.charge_numbers)),
            "origin": np.zeros(len(self.charge_numbers)),
            **{f"closure.{name}": value for name, value in closure.items()},
            **numbers_of(self.borders),
            **({"slope": np.zeros(self.domain.dim)} if self.periodic else {}),
            **{f"on.{j}": np.array(1.0) for j in range(len(self.borders))},
            **{f"reaction.{j}": np.array(1.0) for j in range(len(self.reactions))},
        }

    def compile(self, residual, rate: Callable[[], float] = lambda: 0.0) -> Newton:
        """Newton's method for a residual form of the state.

        Parameters
        ----------
        residual
            UFL form.
        rate
            Gives the weight of `storage` in it.
        """
        residual = fx.merged(residual)
        jacobian = ufl.derivative(residual, self._state.function)
        with fx.quiet():
            return self.newton_of(fx.form(residual), fx.form(jacobian), rate)

    def newton_of(
        self, residual, jacobian, rate: Callable[[], float] = lambda: 0.0
    ) -> Newton:
        """Newton's method for compiled forms, such as those of another one."""
        return Newton(
            residual,
            jacobian,
            self._state.function,
            linear=self.linear,
            before_assembly=self.freeze,
            ions=Ions(
                self.charge_numbers, self._follow, self._psi, rate, self.domain.extent
            ),
            ties=self.ties,
        )

    def _follow(self) -> np.ndarray:
        """How phi follows psi_i in a neutral medium (`blocks`)."""
        self.freeze()
        return self.once("follow", lambda: neutral_rule(self))()

    def _psi(self) -> np.ndarray:
        """Psi of the species as unknowns, shape (n_nodes, n_species)."""
        unknowns = self._state.function.x.array
        return unknowns.reshape(-1, self.n_species + 1)[:, :-1]

    def freeze(self) -> None:
        """Show closures the state as it is, where they solve their equation."""
        self._frozen.x.array[:] = self._state.function.x.array

    # ------------------------------------------------------------------------ forms

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

    def stored(self, inside):
        """UFL integral over the domain of what changes in time, at the nodes.

        A consistent mass matrix spreads what enters at a node to its neighbours with
        alternating signs: in steps too short for diffusion over a cell no positive
        concentration could answer. Lobatto's rule keeps the order. Quadratic elements of
        more dimensions have no such rule with positive weights.
        """
        rule = fx.nodal_rule(self.domain.mesh, self.degree)
        if rule is None:
            return self.integral(inside)
        return inside * self.domain.measure * ufl.dx(metadata=rule)

    def _residual(self):
        n, u = self.n_species, self._state.function
        v = ufl.TestFunction(self.space)
        here = self.here
        ions = sum(here.z[i] * here.c[i] for i in range(n))
        charge = ions + self.fields.load.function[n]
        field = ufl.inner(self.slope(u, n), ufl.grad(v[n]))
        inside = self.permittivity * field
        for i in range(n):
            # Without a trace of mobility rows of psi vanish where c underflows.
            mobile = here.c[i] + TRACE
            inside += mobile * ufl.inner(self._driven(i, u), ufl.grad(v[i]))
            if here.velocity is not None:
                inside -= here.c[i] * self._along(here.velocity, ufl.grad(v[i]))
        for j, reaction in enumerate(self.reactions):
            rate = self._constants[f"reaction.{j}"] * reaction.rate(UFL, here.c)
            inside -= sum(nu * rate * v[i] for i, nu in reaction.stoichiometry.items())
        form = self.integral(inside) - self.stored(charge * v[n])
        for j in range(len(self.borders)):
            form -= self.border_form(j, v)
        return form

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
        return self.stored(sum(c * v[i] for i, c in enumerate(self.here.c)))

    # ----------------------------------------------------------------------- numbers

    def put(self, load: Mapping[str, np.ndarray]) -> None:
        """Take over numbers: coefficients on the nodes, and constants.

        Raises
        ------
        InputError
            When a field does not fit the nodes or the model has no such number.
        """
        for name, value in load.items():
            if name not in self._constants:
                self.fields.put(name, np.asarray(value))
                continue
            target = self._constants[name].value
            if np.shape(value) != target.shape:
                raise InputError(
                    f"{name} does not fit the model",
                    wanted=f"shape {target.shape}",
                    got=f"{np.shape(value)}",
                )
            target[...] = value

    def unknowns(self, component: int, place: str | float) -> np.ndarray:
        """Indices of the unknowns of a component (-1 for phi) at a place.

        Raises
        ------
        InputError
            When there is no such place.
        """
        size = self.n_species + 1
        component %= size
        nodes = self.once(place, lambda: self.domain.nodes(self.space, place))
        return self.once((component, place), lambda: nodes * size + component)

    @property
    def anchor(self) -> np.ndarray:
        """Unknown phi of the first node by coordinates; empty on other processes."""
        slaves = () if self.ties is None else self.ties.slaves
        size = self.n_species + 1
        own = np.flatnonzero(self.order < self.newton.n_owned // size)
        own = own[~np.isin(self.order[own] * size, slaves)]
        points = np.round(self.points[own], 9)
        best = np.lexsort(points.T[::-1])[:1]
        found = [tuple(point) for point in points[best].tolist()]
        every = self.domain.comm.allgather(found)
        lowest = min(itertools.chain(*every))
        return self.order[own[best]] * size + size - 1 if lowest in found else own[:0]

    def totals(self, owned: np.ndarray) -> np.ndarray:
        """Sum of each component over the nodes of all processes, (n_species + 1,)."""
        blocks = owned.reshape(-1, self.n_species + 1)
        return fx.over_all(self.domain.comm, blocks.sum(axis=0))

    @property
    def x(self) -> np.ndarray:
        """First coordinate of the nodes, shape (n_nodes,)."""
        return self.points[:, 0]

    @property
    def nodes(self) -> NodalField:
        """The state as a field, whose nodes `points` are."""
        return self._state

    @property
    def coefficients(self) -> dict[str, NodalField]:
        """Fields that derivatives are taken with respect to."""
        return self.fields.by_name

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` gave the first time, kept for this model: forms compiled later."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    @property
    def order(self) -> np.ndarray:
        """Index of each node in functions of the space."""
        return self._state.order

    @property
    def state(self) -> np.ndarray:
        """Psi of each species and phi, shape (n_species + 1, n_nodes)."""
        return self._state.values + np.append(self.origin, 0.0)[:, None]

    @state.setter
    def state(self, values: np.ndarray) -> None:
        self._constants["origin"].value[:] = 0.0
        self._state.values = values

    @property
    def origin(self) -> np.ndarray:
        """Psi where the unknowns are zero, shape (n_species,)."""
        return self._constants["origin"].value.copy()

    def move_origin(self, psi: np.ndarray) -> None:
        """Count the unknowns from other values; the state stays.

        A gradient is the difference of rounded numbers: beside walls, where ions are
        crowded, it is exact only when psi is small there.
        """
        values = self._state.values
        values[:-1] -= (psi - self.origin)[:, None]
        self._constants["origin"].value[:] = psi
        self._state.values = values
