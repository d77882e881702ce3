"""The Nernst-Planck-Poisson equations on a domain, compiled once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from . import _dolfinx as fx
from ._dolfinx import ufl
from .blocks import Ions
from .borders import Border, numbers_of
from .closures import Closure
from .coefficients import CoefficientFields
from .domain import Domain
from .equations import Equations
from .fields import NodalField
from .linear import Method
from .neutral import neutral_rule
from .newton import Newton
from .periodic import Periodic, Ties
from .reactions import Reaction
from .words import Words


class NernstPlanckPoisson(Equations):
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
    words
        How errors name species and write numbers.

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
        words: Words | None = None,
    ):
        super().__init__()
        self.words = words or Words()
        self.domain, self.degree, self.linear = domain, degree, linear
        self.charge_numbers = np.asarray(charge_numbers, dtype=float)
        self.closure = closure or Closure()
        self.borders, self.reactions = tuple(borders), tuple(reactions)
        self.periodic = tuple(periodic)
        self.anisotropic, self.advection = anisotropic, advection
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
        nodes = self.once(("nodes", place), lambda: self.domain.nodes(self.space, place))
        return self.once((component, place), lambda: nodes * size + component)

    @property
    def anchor(self) -> np.ndarray:
        """Unknown phi of the first node by coordinates; empty on other processes."""
        slaves = () if self.ties is None else self.ties.slaves
        size = self.n_species + 1
        own = np.flatnonzero(self.order < self.newton.n_owned // size)
        own = own[~np.isin(self.order[own] * size, slaves)]
        # Rounding keeps copies of a coordinate on different processes equal.
        points = np.round(self.points[own] / self.domain.extent, 9)
        best = np.lexsort(points.T[::-1])[:1]
        comm = self.domain.comm
        found = [(*point, comm.rank) for point in points[best].tolist()]
        *_, rank = min(itertools.chain(*comm.allgather(found)))
        chosen = own[best] if rank == comm.rank else own[:0]
        return self.order[chosen] * size + size - 1

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
