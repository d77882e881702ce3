"""Parts of a cell with coefficients of their own: membranes, gels, coatings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import InputError
from ..collective import together
from .checks import Quantity, check_kind, on_nodes, several, si

if TYPE_CHECKING:
    from .cell import Cell

#: Positions that are this near, as a part of the cell's extent, are one.
SAME = 1e-11


@dataclass(frozen=True)
class Region:
    """A part of the cell that is filled with something else.

    What is left out is that of the cell. Coefficients live on the nodes of the mesh, with
    ln D and ln permittivity interpolated: a jump is spread over the elements at it. With
    elements of size h there the resistance of a layer of thickness L errs by up to
    ``0.1 h / L |ln(D1 / D2)|``, which is 0.5 % at ``h = L / 50`` and a tenth. A thin cell
    laid into the jump (`mesh.layered`) makes h its width. Charged regions have double
    layers at their faces, which need cells below the Debye length there.

    Attributes
    ----------
    where
        Two positions (m) of an interval, or a function of points (n, 3) in m that tells
        which are inside; numbers from 0 to 1 blend. A node at a position inside the cell
        belongs half to either side.
    diffusivity
        Species -> m2/s.
    permittivity
        Relative.
    fixed_charge
        C/m3, of groups that do not move.
    mu_ex
        Species -> excess chemical potential, kT, above that in the bulk: at equilibrium
        ``c = c_bulk exp(-mu_ex)`` of an ion without charge, whose partition coefficient
        is ``exp(-mu_ex)``.
    """

    where: tuple[Quantity, Quantity] | Callable[[np.ndarray], np.ndarray]
    diffusivity: Mapping[str, Quantity] = field(default_factory=dict)
    permittivity: float | None = None
    fixed_charge: Quantity | None = None
    mu_ex: Mapping[str, float] = field(default_factory=dict)

    def share(self, points: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
        """How much of each point is inside, shape (n,).

        Parameters
        ----------
        points
            Shape (n, 3), m.
        ends
            Of the cell along the first coordinate, m.
        """
        if callable(self.where):
            shape, what = (len(points),), "positions of a region"
            return on_nodes(self.where, points, shape, "share", what)
        low, high = (si(value, "m") for value in self.where)
        x, near = points[:, 0], SAME * (ends[1] - ends[0])
        inside = ((x > low - near) & (x < high + near)).astype(float)
        for edge in (low, high):
            if ends[0] + near < edge < ends[1] - near:
                inside[np.abs(x - edge) <= near] = 0.5
        return inside


def shares(cell: Cell, regions: Mapping[str, Region]) -> dict[str, np.ndarray]:
    """Name -> how much of each node is inside, shape (n_nodes,).

    Raises
    ------
    InputError
        When a region holds no node, two overlap, or a pair of positions is none.
    """
    points, comm = cell.model.points * cell.scales.length, cell.domain.comm
    x = points[:, 0]
    ends = (
        -max(comm.allgather(-x.min(initial=np.inf))),
        max(comm.allgather(x.max(initial=-np.inf))),
    )
    found: dict[str, np.ndarray] = {}
    total = np.zeros(len(points))
    for name, region in regions.items():
        _check(name, region, cell)
        with together(comm):
            found[name] = share = region.share(points, ends)
        total += share
        if not max(comm.allgather(share.max(initial=0.0))) > 0.5:
            raise InputError(
                f"nothing is in the region {name!r}",
                wanted="nodes of the cell inside it",
                got=f"none; the cell reaches from {ends[0]:.4g} to {ends[1]:.4g} m",
                mend="positions are in m, or text with a unit",
            )
        low, high = share.min(initial=0.0), total.max(initial=0.0)
        if any(comm.allgather(not (low >= 0 and high < 1 + 1e-9))):
            raise InputError(
                f"the region {name!r}",
                wanted="each point inside one region, shares from 0 to 1",
                got=f"shares from {low:.3g}, together up to {high:.3g}",
            )
    return found


def _check(name: str, region: Region, cell: Cell) -> None:
    what = f"the region {name!r}"
    check_kind(region, Region, what, "a Region", "regions are {name: Region(...)}")
    for key in ("diffusivity", "mu_ex"):
        given = getattr(region, key)
        check_kind(given, Mapping, f"{key} in {what}", "{species: value}")
    if callable(region.where):
        return
    found = several(region.where, "m", f"positions of {what}")
    if cell.domain.dim > 1 or len(found) != 2 or not found[0] < found[1]:
        listed = ", ".join(f"{x:.4g}" for x in found)
        raise InputError(
            f"positions of {what}",
            wanted="two that increase, on an interval",
            got=f"{listed} m in {cell.domain.dim} dimensions",
            mend="give a function of points in m",
        )


def filled(cell: Cell, values: Mapping, regions: Mapping[str, Region]) -> dict:
    """Coefficients of the medium with those of the regions in place.

    Parameters
    ----------
    cell
        Whose model and scales are made.
    values
        ``mu_ex``, ``diffusivity``, ``permittivity`` and ``fixed_charge`` as `Medium` has
        them.
    regions
        Name -> region.

    Raises
    ------
    InputError
        When a species is unknown, a coefficient is not positive, the cell has tabulated
        profiles, or as `shares`.
    """
    if not regions:
        return dict(values)
    if cell.profiles is not None:
        raise InputError(
            "regions and tabulated coefficients together",
            wanted="one of them",
            got=", ".join(regions),
            mend="tables hold against the distance from walls: write the regions there",
        )
    inside = shares(cell, regions)
    charge = cell.scales.surface_charge / cell.scales.length

    def blended(base, given: Mapping[str, float]) -> np.ndarray:
        base = np.broadcast_to(np.asarray(base, dtype=float), len(cell.model.points))
        return base + sum(inside[name] * (one - base) for name, one in given.items())

    ln_D, mu_ex = np.log(values["diffusivity"]), np.array(values["mu_ex"], dtype=float)
    for i, each in _by_species(cell, regions, "diffusivity").items():
        scaled = {
            name: si(D, "m**2/s", f"diffusivity in the region {name!r}", sign="positive")
            / cell.scales.diffusivity
            for name, D in each
        }
        ln_D[i] = blended(ln_D[i], {k: np.log(D) for k, D in scaled.items()})
    for i, each in _by_species(cell, regions, "mu_ex").items():
        given = {k: si(mu, "", f"mu_ex in the region {k!r}") for k, mu in each}
        mu_ex[i] = blended(mu_ex[i], given)
    ln_eps = {
        k: np.log(
            si(r.permittivity, "", f"permittivity in the region {k!r}", sign="positive")
        )
        for k, r in regions.items()
        if r.permittivity is not None
    }
    fixed = {
        name: si(one.fixed_charge, "C/m**3", f"fixed charge in the region {name!r}")
        / charge
        for name, one in regions.items()
        if one.fixed_charge is not None
    }
    return {
        **values,
        "diffusivity": np.exp(ln_D),
        "mu_ex": mu_ex,
        "permittivity": np.exp(blended(np.log(values["permittivity"]), ln_eps)),
        "fixed_charge": blended(values["fixed_charge"], fixed),
    }


def _by_species(cell: Cell, regions: Mapping[str, Region], name: str) -> dict:
    """Index of a species -> (region, what it gives) pairs."""
    found: dict[int, list] = {}
    for where, region in regions.items():
        for species, value in getattr(region, name).items():
            found.setdefault(cell.index(species), []).append((where, value))
    return found
