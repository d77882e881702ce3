"""Transport through an interface, from the coefficients that MD gave.

The domain runs from the wall (d = 0), which carries its charge and lets nothing through,
to the bulk plane, where psi_i = 0 and phi = 0. The solver makes phi from the ions and the
wall's charge by Poisson's equation; nothing of the MD's potential enters but through
mu_ex = W - z e phi, and there it is taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from scipy.interpolate import PchipInterpolator

from ..continuum.borders import SurfaceCharge
from ..continuum.domain import interval
from ..continuum.medium import Conditions, Medium, Scales
from ..continuum.mesh import with_points
from ..continuum.model import NernstPlanckPoisson
from ..continuum.states import Solution
from ..continuum.steady import solve_steady
from ..core.errors import InputError
from ..core.schema import dataset, validate
from ..core.units import ELEMENTARY_CHARGE, NM
from .closure import compare

Progress = Callable[[float, float, str], None]

#: Bias of a transport solve, kT: small enough that its square is below 1e-6.
BIAS = 1e-3


@dataclass(frozen=True)
class Resistances:
    """Transport resistances from the reaction planes to the bulk plane, ohm m2.

    Attributes
    ----------
    solved
        Of small-bias steady solves, shape (R + 1, n_species).
    exact
        Linear response: ``kT / (z e)^2`` times the integral of ``dz / (D_perp c_eq)``.
    bulk
        Of the same path filled with bulk.
    """

    solved: np.ndarray
    exact: np.ndarray
    bulk: np.ndarray


class Interface:
    """The solver of one set of coefficients.

    Parameters
    ----------
    coefficients
        ``transport-coefficients/1``.

    Attributes
    ----------
    scales
        From the solver's units to SI; the length is 1 nm.
    planes
        Reaction plane of each species, nm.

    Raises
    ------
    InputError
        When a species has no charge or the distances do not span the domain.
    SchemaError
        When `coefficients` breaks its contract.
    """

    def __init__(self, coefficients: xr.Dataset):
        validate(coefficients, "transport-coefficients/1")
        self.coefficients = coefficients
        self.z = coefficients["charge_number"].values
        self.end = coefficients.attrs["bulk_plane"] / NM
        self.planes = coefficients["reaction_plane"].values / NM
        density = coefficients["bulk_density"].values[0]
        self.scales = Scales(
            NM,
            float(density.mean()),
            float(coefficients["bulk_D"].values[0].max()),
            coefficients.attrs["temperature"],
        )
        self.grid = coefficients["distance"].values / NM
        if not np.all(self.z):
            raise InputError(
                "resistance of a species without charge",
                wanted="charge numbers that are not 0",
                got=str(self.z.tolist()),
            )
        if abs(self.grid[0]) > 1e-9 or abs(self.grid[-1] - self.end) > 1e-9:
            raise InputError(
                "distances do not span the domain",
                wanted=f"from 0 to the bulk plane at {self.end:.4g} nm",
                got=f"{self.grid[0]:.4g} to {self.grid[-1]:.4g} nm",
            )
        wall = SurfaceCharge("wall")
        domain = interval(self._vertices(density), names=("wall", "bulk"))
        self.model = NernstPlanckPoisson(domain, self.z, borders=[wall])

    def _vertices(self, density: np.ndarray) -> np.ndarray:
        eps = float(self.coefficients["relative_permittivity"].values.min())
        screening = (self.z**2 * density).sum() / self.scales.density
        debye = np.sqrt(eps * self.scales.poisson / screening)
        size = min(debye / 3, 2 * float(np.diff(self.grid).max()))
        n = int(np.ceil(self.end / size))
        return with_points(np.linspace(0, self.end, n + 1), self.planes)

    def _nodal(self, values: np.ndarray) -> np.ndarray:
        return PchipInterpolator(self.grid, values, axis=-1)(self.model.x)

    def medium(self, replicate: int) -> Medium:
        """Coefficients of a replicate on the nodes, scaled."""
        one = self.coefficients.isel(replicate=replicate)
        return Medium(
            self._nodal(one["mu_ex"].values / self.scales.energy),
            np.exp(self._nodal(np.log(one["D_perp"].values / self.scales.diffusivity))),
            one["bulk_density"].values / self.scales.density,
            self.scales.poisson,
            self._nodal(one["relative_permittivity"].values),
        )

    def equilibrium(self, replicate: int, start: Solution | None = None) -> Solution:
        """State without flux, psi = 0 everywhere: what the MD sampled."""
        bulk = {(i, "bulk"): 0.0 for i in range(len(self.z))}
        charge = self.coefficients.attrs["surface_charge"] / self.scales.surface_charge
        wall = SurfaceCharge("wall", charge)
        conditions = Conditions(bulk, {"bulk": 0.0}, borders=(wall,))
        return solve_steady(self.model, self.medium(replicate), conditions, start=start)

    def resistance(
        self, rest: Solution, species: int, bias: float = BIAS
    ) -> tuple[float, float]:
        """Resistance of a species from small-bias solves, and by linear response.

        Psi of the species is +-`bias` (kT) at its reaction plane, where it enters; the
        others find no source and stay at rest. The potential is free: it follows the ions
        under the same wall charge. That changes c by the order of the bias and so the
        flux by its square, which the mean over both signs removes.

        Returns
        -------
        tuple of float
            Solved and exact, ohm m2.
        """
        plane = float(self.planes[species])
        unit = self.scales.energy / (self.z[species] * ELEMENTARY_CHARGE) ** 2
        unit /= self.scales.flux
        inflow = []
        for sign in (1, -1):
            held = {**rest.conditions.psi, (species, plane): sign * bias}
            biased = replace(rest.conditions, psi=held)
            flow = solve_steady(self.model, rest.medium, biased, start=rest)
            inflow.append(sign * flow.inflow[species, plane])
        conductance = rest.medium.diffusivity[species] * rest.concentration[species]
        path = rest.x >= plane * (1 - 1e-12)
        integral = _simpson(rest.x[path], 1 / conductance[path])
        return unit * bias / np.mean(inflow), unit * integral

    def bulk_resistances(self) -> np.ndarray:
        """Resistance of the same path filled with bulk, shape (R + 1, n_species)."""
        ds = self.coefficients
        energy = self.scales.energy / (self.z * ELEMENTARY_CHARGE) ** 2
        conductance = ds["bulk_D"].values * ds["bulk_density"].values
        return energy * (self.end - self.planes) * NM / conductance


def _simpson(nodes: np.ndarray, values: np.ndarray) -> float:
    """Integral over P2 cells: vertex, middle, vertex."""
    size = nodes[2::2] - nodes[:-2:2]
    return float((size / 6 * (values[:-2:2] + 4 * values[1::2] + values[2::2])).sum())


def closure(coefficients: xr.Dataset, profiles: xr.Dataset) -> xr.Dataset:
    """The solver at the MD's own state beside the MD.

    Parameters
    ----------
    coefficients
        ``transport-coefficients/1``, made from `profiles`.
    profiles
        ``interface-profiles/1``.

    Returns
    -------
    Dataset
        As `closure.compare` makes it; the numbers are its attributes.

    Raises
    ------
    InputError
        When no cell counts, or the coefficients cannot be solved with (`Interface`).
    """
    interface = Interface(coefficients)
    return _closure(interface, interface.equilibrium(0), profiles)


def _closure(interface: Interface, rest: Solution, profiles: xr.Dataset) -> xr.Dataset:
    scales = interface.scales
    concentration, phi = rest.concentration * scales.density, rest.phi * scales.potential
    return compare(rest.x * NM, concentration, phi, interface.coefficients, profiles)


def resistances(coefficients: xr.Dataset, *, bias: float = BIAS) -> Resistances:
    """Transport resistance of each species and replicate, at its own equilibrium.

    Parameters
    ----------
    coefficients
        ``transport-coefficients/1``.
    bias
        kT.
    """
    interface = Interface(coefficients)
    return _solve(interface, interface.equilibrium(0), bias, None)[1]


def _solve(
    interface: Interface, first: Solution, bias: float, progress: Progress | None
) -> tuple[list[Solution], Resistances]:
    n, species = interface.coefficients.sizes["replicate"], range(len(interface.z))
    states, found = [], np.empty((n, len(species), 2))
    for replicate in range(n):
        rest = interface.equilibrium(replicate, first) if replicate else first
        states.append(rest)
        found[replicate] = [interface.resistance(rest, i, bias) for i in species]
        if progress is not None:
            progress(replicate + 1, n, "replicates")
    bulk = interface.bulk_resistances()
    return states, Resistances(found[..., 0], found[..., 1], bulk)


def solve_transport(
    coefficients: xr.Dataset,
    profiles: xr.Dataset,
    progress: Progress | None = None,
    *,
    bias: float = BIAS,
) -> xr.Dataset:
    """Equilibrium and transport resistances of an interface, for every replicate.

    Parameters
    ----------
    coefficients
        ``transport-coefficients/1``.
    profiles
        ``interface-profiles/1`` that they come from, for the closure test.
    progress
        Called with (done, total, "replicates").
    bias
        Of the transport solves, kT.

    Returns
    -------
    Dataset
        ``transport-solution/1`` with the numbers of `closure` as attributes.

    Raises
    ------
    InputError
        When the coefficients do not span the domain, or no cell counts in the closure.
    StageError
        When a steady state is not found.
    """
    interface = Interface(coefficients)
    first = interface.equilibrium(0)
    compared = _closure(interface, first, profiles)
    states, found = _solve(interface, first, bias, progress)
    x, scales = interface.model.x, interface.scales
    concentration = np.array([state.concentration for state in states])
    phi = np.array([state.phi for state in states])
    ds = interface.coefficients
    values = {
        "distance": x * NM,
        "species": ds["species"].values,
        "charge_number": interface.z,
        "concentration": concentration * scales.density,
        "potential": phi * scales.potential,
        "resistance": found.solved,
        "resistance_exact": found.exact,
        "resistance_bulk": found.bulk,
    }
    attrs = {
        "temperature": ds.attrs["temperature"],
        "surface_charge": ds.attrs["surface_charge"],
        "bulk_plane": ds.attrs["bulk_plane"],
        "n_units": ds.attrs["n_units"],
        "bias": bias,
        "newton_iterations": first.report.iterations,
        "path_steps": first.report.steps,
        "path_rejected": first.report.rejected,
        **compared.attrs,
    }
    return dataset("transport-solution/1", values, attrs)
