"""From sums over a trajectory to `interface-profiles/1`, with one bootstrap for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.schema import QUALITY_FLAGS, dataset
from ...core.stats import bootstrap_weights
from ...core.units import DALTON, ELEMENTARY_CHARGE, NM, PS, thermal_energy
from .coordinates import Coordinate
from .electrostatics import planar_potential, radial_potential
from .particles import Particles
from .perpendicular import estimate_perpendicular
from .slabs import parallel_diffusion
from .sums import Plan, Sums

#: Where no particle goes W is this many kT.
CAP = 30.0
#: Independent visits below which a cell is flagged.
FEW_VISITS = 10.0
#: Relative change of D_perp between the lag and twice the lag that is no plateau.
PLATEAU = 0.15
_NM2_PS = NM**2 / PS


@dataclass(frozen=True)
class Electrics:
    """What closes the cell, and where phi is zero (`electrostatics`).

    Attributes
    ----------
    boundary
        ``"closed"``, ``"periodic"`` or ``"slab"``, for planes.
    left, right
        Charges of the walls that are not atoms, C/m2; those of shells are at the right.
    smearing
        Standard deviation of Gaussian charges, m.
    reference
        Where the potential is zero.
    phi_kind
        Where the charges come from, a key of `electrostatics.PHI_KINDS`.
    charge_model
        A name for them.
    """

    boundary: str = "closed"
    left: float = 0.0
    right: float = 0.0
    smearing: float = 0.0
    reference: str = "middle"
    phi_kind: str = "model_charge"
    charge_model: str = "charges of the topology"


def profiles_of(
    sums: Sums,
    plan: Plan,
    particles: Particles,
    coordinate: Coordinate,
    *,
    temperature: float,
    replicates: int,
    seed: int,
    electrics: Electrics,
    D_bulk: np.ndarray | None = None,
    progress=None,
) -> xr.Dataset:
    """Profiles from sums.

    Parameters
    ----------
    sums, plan, particles, coordinate
        What was summed.
    temperature
        K.
    replicates, seed
        Of the bootstrap.
    electrics
        What closes the cell.
    D_bulk
        Shape (R + 1, S), m2/s.
    progress
        Called with (done, of, what).

    Returns
    -------
    Dataset
        ``interface-profiles/1``. D_perp: Fokker-Planck maximum likelihood
        (`perpendicular`); D_par: `slabs`; W = -kT ln(rho / rho_mid), at most 30 kT;
        ``n_eff`` the squared ratio of a cell's mean count and its block error. ``D_sys``
        is half the spread of D_perp over twice the lag and twice the cell. Beyond the
        cells that particles visit D keeps its last value, and ``quality_flag`` says so.
    """
    weights, values, attrs = _densities(
        sums, plan, particles, coordinate, temperature, replicates, seed, electrics
    )
    extent = float(values["z_face"][-1]) / NM
    D_perp, D_sys, moving = _perpendicular(
        sums, plan, particles, weights, extent, progress
    )
    values |= {
        "D_par": _parallel(sums, plan, coordinate, particles, weights, D_perp),
        "D_perp": D_perp,
        "D_sys": D_sys,
        "quality_flag": values["quality_flag"]
        | np.where(moving, QUALITY_FLAGS["no_plateau"], 0),
    }
    if D_bulk is not None:
        values["D_bulk"] = D_bulk
    attrs["lag"] = plan.lag * plan.spacing * PS
    return dataset("interface-profiles/1", values, attrs)


def densities_of(
    sums: Sums,
    plan: Plan,
    particles: Particles,
    coordinate: Coordinate,
    *,
    temperature: float,
    replicates: int,
    seed: int,
    electrics: Electrics,
) -> xr.Dataset:
    """What does not move, ``density-profiles/1``: parameters as for `profiles_of`."""
    _, values, attrs = _densities(
        sums, plan, particles, coordinate, temperature, replicates, seed, electrics
    )
    return dataset("density-profiles/1", values, attrs)


def _densities(
    sums, plan, particles, coordinate, temperature, replicates, seed, electrics
) -> tuple[np.ndarray, dict, dict]:
    """Bootstrap weights, variables and attributes."""
    if not temperature > 0:
        raise InputError(
            "temperature", wanted="a positive number", got=f"{temperature:g}"
        )
    weights = bootstrap_weights(len(sums.frames), replicates, seed)
    faces = np.linspace(0, sums.extent.sum() / sums.frames.sum(), plan.n + 1) * NM
    volume = np.maximum(weights @ sums.volume, 1e-300) * NM**3
    density = np.einsum("ru,usz->rsz", weights, sums.counts) / volume[:, None]
    charge = ELEMENTARY_CHARGE * (weights @ sums.charge) / volume
    electric = _electric(charge, faces, coordinate, electrics)
    n_eff = _effective_visits(sums)
    flags = np.where(n_eff < FEW_VISITS, QUALITY_FLAGS["few_visits"], 0)
    values = {
        "z": 0.5 * (faces[1:] + faces[:-1]),
        "z_face": faces,
        "species": particles.names,
        "charge_number": particles.charge_number,
        "number_density": density,
        "mass_density": DALTON * (weights @ sums.mass) / volume,
        "charge_density": charge,
        "electric_field": electric.field,
        "potential": electric.potential,
        "pmf": _pmf(density, coordinate) * thermal_energy(temperature),
        "n_eff": n_eff,
        "quality_flag": flags | np.where(density[0] == 0, QUALITY_FLAGS["unvisited"], 0),
    }
    last = float(sums.volume.sum(axis=0)[-1] / sums.frames.sum()) * NM**3
    attrs = {
        "geometry": coordinate.kind,
        "temperature": temperature,
        "area": last / float(faces[-1] - faces[-2]),
        "surface_charge_left": electrics.left,
        "surface_charge_right": electrics.right,
        "boundary": electric.boundary,
        "residual_dipole": float(electric.dipole[0]),
        "residual_field": float(electric.residual_field[0]),
        "phi_kind": electrics.phi_kind,
        "phi_reference": electrics.reference,
        "charge_model": electrics.charge_model,
        "smearing_width": electrics.smearing,
        "block_length": plan.block * plan.pool * plan.spacing * PS,
        "seed": seed,
        "n_units": len(sums.frames),
    }
    return weights, values, attrs


def _electric(charge, faces, coordinate: Coordinate, how: Electrics):
    if coordinate.kind != "planar":
        shape = {"cylindrical": "cylinder", "spherical": "sphere"}[coordinate.kind]
        return radial_potential(charge, faces, geometry=shape, wall_charge=how.right,
                                reference=how.reference)  # fmt: skip
    return planar_potential(
        charge,
        faces,
        boundary=how.boundary,
        wall_charge=how.left,
        far_charge=how.right,
        smearing=how.smearing,
        reference=how.reference,
    )


def _effective_visits(sums: Sums) -> np.ndarray:
    """(mean / standard error)^2 of each cell over the units, shape (S, n)."""
    counts = sums.counts / sums.frames[:, None, None]
    mean = counts.mean(axis=0)
    variance = counts.var(axis=0, ddof=1) / len(counts)
    # A variance from few blocks is itself noisy: its mean over neighbours is less so.
    kernel = np.ones(5) / 5
    smooth = [
        np.convolve(np.pad(row, 2, mode="edge"), kernel, "valid") for row in variance
    ]
    level = np.array(smooth)
    return np.divide(mean**2, level, out=np.zeros_like(mean), where=level > 0)


def _pmf(density: np.ndarray, coordinate: Coordinate) -> np.ndarray:
    """W in kT, zero in the middle fifth of a slab, or the inner half of a shell."""
    n = density.shape[-1]
    low, high = (0.4, 0.6) if coordinate.kind == "planar" else (0.0, 0.5)
    middle = density[..., int(low * n) : int(np.ceil(high * n))]
    level = np.maximum(middle.mean(-1, keepdims=True), 1e-300)
    return -np.log(np.maximum(density / level, np.exp(-CAP)))


def _perpendicular(
    sums: Sums, plan: Plan, particles: Particles, weights, extent, progress
):
    """D_perp (R + 1, S, n + 1), D_sys (S, n + 1) and where there is no plateau (S, n)."""
    n, names = plan.n, particles.names
    D = np.empty((len(weights), len(names), n + 1))
    spread = np.empty((len(names), n + 1))
    moving = np.zeros((len(names), n), dtype=bool)
    for s, name in enumerate(names):
        if progress is not None:
            progress(s, len(names), f"D perpendicular of {name}")
        D[:, s], later, coarser = (
            _fit(sums, plan, s, rows, extent, lag, merge)
            for lag, merge, rows in (
                (plan.lag, 1, weights),
                (2 * plan.lag, 1, weights[:1]),
                (2 * plan.lag, 2, weights[:1]),
            )
        )
        points = np.array([D[0, s], later[0], coarser[0]])
        spread[s] = 0.5 * (points.max(axis=0) - points.min(axis=0))
        change = np.abs(np.log(later[0] / D[0, s]))
        noise = np.log(D[1:, s]).std(axis=0)
        drifting = change > np.maximum(PLATEAU, 2 * noise)
        moving[s] = drifting[1:] & drifting[:-1]
    return D * _NM2_PS, spread * _NM2_PS, moving


def _fit(sums: Sums, plan: Plan, s: int, weights, extent, lag: int, merge: int):
    """D_perp on all faces, from cells of which `merge` are taken together."""
    n = plan.n // merge
    pairs = sums.transitions[lag][s].reshape(-1, n, merge, n, merge).sum(axis=(2, 4))
    visits = sums.counts[:, s].reshape(-1, n, merge).sum(axis=2)
    h = extent / n
    found = estimate_perpendicular(
        pairs, visits, weights, h, lag * plan.spacing, overlap=lag
    )
    faces = np.linspace(0, n, plan.n + 1)
    inside = np.clip(faces, found.faces[0], found.faces[-1])
    return np.exp([np.interp(inside, found.faces, row) for row in np.log(found.D)])


def _parallel(sums, plan, coordinate, particles, weights, D_perp) -> np.ndarray:
    """D_par in each cell, shape (R + 1, S, n), m2/s."""
    directions = len(coordinate.along)
    if directions == 0:  # no direction stays parallel on a sphere
        return 0.5 * (D_perp[..., 1:] + D_perp[..., :-1])
    time = 2 * directions * (plan.lag - plan.lag // 2) * plan.spacing
    z = (np.arange(plan.n) + 0.5) * plan.extent / plan.n
    found = [
        parallel_diffusion(
            sums.stayed[:, s],
            sums.place[:, s],
            (sums.long - sums.short)[:, s],
            weights,
            z,
            time,
        )
        for s in range(len(particles.names))
    ]
    return np.stack(found, axis=1) * _NM2_PS
