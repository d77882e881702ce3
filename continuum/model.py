"""The steady Nernst-Planck-Poisson equations on an interval, compiled once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from . import _dolfinx as fx
from ._dolfinx import ufl
from .medium import Medium, concentrations
from .newton import Newton


class NodalField:
    """A finite-element function seen as an array along x.

    Attributes
    ----------
    function
        What forms use.
    x
        Nodes in increasing order, shape (n_nodes,).
    order
        Index in the function of each of these nodes.
    """

    def __init__(self, space):
        self.function = fx.function(space)
        positions = fx.node_positions(space)
        self.order = np.argsort(positions)
        self.x = positions[self.order]

    @property
    def values(self) -> np.ndarray:
        """Copy of the values, shape (n_components, n_nodes)."""
        return self._blocks()[self.order].T.copy()

    @values.setter
    def values(self, values: np.ndarray) -> None:
        self._blocks()[self.order] = values.T

    def _blocks(self) -> np.ndarray:
        return self.function.x.array.reshape(len(self.x), -1)


class NernstPlanckPoisson:
    """Residual, Jacobian and unknowns of one mesh and one list of ions.

    Unknowns are the electrochemical potentials psi_i and the potential phi in one space::

        div J_i = 0,                    J_i = -D_i c_i grad psi_i
        -div(p eps grad phi) = sum_i z_i c_i + rho_fix

    with c_i from `medium.concentrations`. Concentrations are positive by construction;
    psi is exactly flat at equilibrium, because mu_ex lies in the space of psi. All
    numbers are read at run time: one compiled kernel serves every medium and condition
    with as many species.

    Parameters
    ----------
    vertices
        Shape (n_cells + 1,), increasing.
    charge_numbers
        Shape (n_species,).
    degree
        Of the elements.

    Attributes
    ----------
    x
        Positions of the nodes in increasing order, shape (n_nodes,). Fields in and out of
        the model are arrays on these nodes.
    charge_numbers
        Shape (n_species,).
    """

    def __init__(
        self, vertices: np.ndarray, charge_numbers: ArrayLike, *, degree: int = 2
    ):
        self.charge_numbers = np.asarray(charge_numbers, dtype=float)
        n = len(self.charge_numbers)
        with fx.quiet():
            self._domain = fx.interval(np.asarray(vertices, dtype=float))
            space = fx.vector_space(self._domain, degree, n + 1)
        # One space for all: species first, the electric quantity last.
        self._state = NodalField(space)  # psi_i, phi
        self._load = NodalField(space)  # mu_ex_i, fixed charge
        # Positive fields are kept as logarithms: positive between the nodes too.
        self._ln_mobility = NodalField(space)  # ln D_i, ln eps
        self._border = NodalField(space)  # unused, surface charge
        self.x = self._state.x
        self._constants = {
            "z": fx.constant(self._domain, self.charge_numbers),
            "c_ref": fx.constant(self._domain, np.ones(n)),
            "volume": fx.constant(self._domain, np.zeros(n)),
            "poisson": fx.constant(self._domain, 1.0),
        }
        residual = self._residual(space, degree)
        jacobian = ufl.derivative(residual, self._state.function)
        with fx.quiet():
            forms = fx.form(residual), fx.form(jacobian)
        self.newton = Newton(*forms, self._state.function)

    def _residual(self, space, degree: int):
        n = len(self.charge_numbers)
        k, u, v = self._constants, self._state.function, ufl.TestFunction(space)
        load, ln_mobility = self._load.function, self._ln_mobility.function
        z = k["z"]
        c = concentrations(ufl.exp, k["c_ref"], k["volume"], z, u, u[n], load)
        dx = ufl.dx(metadata={"quadrature_degree": 2 * degree + 2})
        charge = sum(z[i] * c[i] for i in range(n)) + load[n]
        displacement = k["poisson"] * ufl.exp(ln_mobility[n]) * ufl.grad(u[n])
        form = ufl.inner(displacement, ufl.grad(v[n])) * dx - charge * v[n] * dx
        form -= self._border.function[n] * v[n] * ufl.ds
        for i in range(n):
            mobility = ufl.exp(ln_mobility[i]) * c[i]
            form += mobility * ufl.inner(ufl.grad(u[i]), ufl.grad(v[i])) * dx
        return form

    def unknown(self, component: int, position: float) -> int:
        """Index of the unknown of a component (-1 for phi) at a node.

        Raises
        ------
        InputError
            When no node is there.
        """
        node = int(np.abs(self.x - position).argmin())
        if abs(self.x[node] - position) > 1e-9 * (self.x[-1] - self.x[0]):
            raise InputError(
                "a condition between the nodes",
                wanted=f"a node, such as {self.x[node]:.10g}",
                got=f"{position:.10g}",
                mend="put the position among the vertices (mesh.with_points)",
            )
        n = len(self.charge_numbers) + 1
        return int(self._state.order[node]) * n + component % n

    def set_medium(self, medium: Medium) -> None:
        """Take over the coefficients.

        Raises
        ------
        InputError
            When a field does not fit the nodes.
        """
        self._load.values = self._stack(medium.mu_ex, medium.fixed_charge)
        diffusivity, permittivity = (
            np.log(medium.diffusivity),
            np.log(medium.permittivity),
        )
        self._ln_mobility.values = self._stack(diffusivity, permittivity)
        self._constants["poisson"].value = medium.poisson
        for name in ("c_ref", "volume"):
            self._constants[name].value[:] = getattr(medium, name)

    def set_surface_charge(self, left: float, right: float) -> None:
        """Take over the charge of the two borders."""
        values = np.zeros((len(self.charge_numbers) + 1, len(self.x)))
        values[-1, [0, -1]] = left, right
        self._border.values = values

    def _stack(self, species: np.ndarray, electric: np.ndarray | float) -> np.ndarray:
        nodes = len(self.x)
        wanted = len(self.charge_numbers), nodes
        if np.shape(species) != wanted or np.shape(electric) not in ((), (nodes,)):
            raise InputError(
                "a field that does not fit the nodes",
                wanted=f"shape {wanted} by species, else {(nodes,)} or a number",
                got=f"{np.shape(species)} and {np.shape(electric)}",
            )
        return np.vstack([species, np.broadcast_to(electric, nodes)])

    @property
    def state(self) -> np.ndarray:
        """Psi of each species and phi, shape (n_species + 1, n_nodes)."""
        return self._state.values

    @state.setter
    def state(self, values: np.ndarray) -> None:
        self._state.values = values
