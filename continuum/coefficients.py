"""Coefficients of the equations as fields on the nodes of a model."""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError
from . import _dolfinx as fx
from .domain import Domain
from .fields import NodalField


class CoefficientFields:
    """What `Medium` gives on nodes, as functions that forms use.

    All share the space of the unknowns, species first and the electric quantity last.
    Positive ones are kept as logarithms: positive between the nodes too.

    Parameters
    ----------
    domain, space
        Where, and the space of the unknowns.
    degree
        Of that space.
    anisotropic
        Diffusion along the walls differs from that across.
    advection
        The solvent moves.

    Attributes
    ----------
    load
        mu_ex_i, and the fixed charge.
    frozen_load
        The same, seen as constants by differentiation.
    ln_mobility
        ln D_i, and ln eps.
    wall
        ln D_par_i, and the distance from walls; None when isotropic.
    """

    def __init__(
        self, domain: Domain, space, degree: int, *, anisotropic: bool, advection: bool
    ):
        self.load, self.ln_mobility = NodalField(space), NodalField(space)
        self.frozen_load = fx.function(space)
        self.wall = NodalField(space) if anisotropic else None
        self._moving: NodalField | None = None
        if advection:
            self._moving = NodalField(
                fx.lagrange(domain.mesh, degree, max(2, domain.dim))
            )
        n = self.load.values.shape[0] - 1
        self._places: dict[str, tuple[NodalField | None, slice]] = {
            "mu_ex": (self.load, slice(0, n)),
            "fixed_charge": (self.load, slice(n, n + 1)),
            "ln_diffusivity": (self.ln_mobility, slice(0, n)),
            "ln_permittivity": (self.ln_mobility, slice(n, n + 1)),
            "ln_diffusivity_par": (self.wall, slice(0, n)),
            "distance": (self.wall, slice(n, n + 1)),
            "velocity": (self._moving, slice(0, domain.dim)),
        }

    @property
    def velocity(self):
        """Function of the solvent's velocity; None at rest."""
        return None if self._moving is None else self._moving.function

    @property
    def by_name(self) -> dict[str, NodalField]:
        """Fields that gradients are taken with respect to."""
        wall = {} if self.wall is None else {"wall": self.wall}
        return {"load": self.load, "ln_mobility": self.ln_mobility, **wall}

    def put(self, name: str, value: np.ndarray) -> None:
        """Take over a coefficient.

        Raises
        ------
        InputError
            When there is none of that name, or it does not fit the nodes.
        """
        nodes = len(self.load.points)
        target, rows = self._places.get(name, (None, slice(0)))
        if target is None:
            raise InputError(
                "a number that the model does not have",
                wanted=", ".join(self._places),
                got=name,
                mend="make the model for a medium and conditions of this kind",
            )
        one = name in ("fixed_charge", "ln_permittivity", "distance")
        wanted = [(nodes,), ()] if one else [(rows.stop, nodes)]
        if value.shape not in wanted:
            raise InputError(
                f"{name} does not fit the nodes",
                wanted=f"shape {wanted[0]}",
                got=f"{value.shape}",
            )
        target.put(rows, value)
        if target is self.load:
            self.frozen_load.x.array[:] = target.function.x.array
