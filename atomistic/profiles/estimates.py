"""From sums over a trajectory to `interface-profiles/1`, with one bootstrap for all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.schema import QUALITY_FLAGS, dataset
from ...core.stats import bootstrap_weights
from ...core.units import DALTON, ELEMENTARY_CHARGE, NM, PS, thermal_energy
from .coordinates import Coordinate
from .electrostatics import (
    BOUNDARIES,
    PHI_KINDS,
    REFERENCES,
    planar_potential,
    radial_potential,
)
from .lagscan import scan_lags
from .parallel import Survivors, estimate_parallel
from .pmf import density_pmf
from .sums import Plan, Sums

#: Independent visits below which a cell is flagged.
FEW_VISITS = 10.0
_NM2_PS = NM**2 / PS


@dataclass(frozen=True)
class Electrics:
    """What closes the cell, and where phi is zero (`electrostatics`).

    Attributes
    ----------
    boundary
        ``"closed"``, ``"periodic"`` or ``"slab"``, for planes.
    left, right
        Charges of the walls that are not atoms, C/m2; right the opposite of left when
        None. Shells have one wall, at the right.
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
    right: float | None = None
    smearing: float = 0.0
    reference: str = "middle"
    phi_kind: str = "model_charge"
    charge_model: str = "charges of the topology"

    def __post_init__(self):
        for what, value, known in (
            ("boundary", self.boundary, BOUNDARIES),
            ("reference", self.reference, REFERENCES),
            ("phi_kind", self.phi_kind, PHI_KINDS),
        ):
            if value not in known:
                raise InputError(
                    f"{what} of the potential", wanted=", ".join(known), got=repr(value)
                )

    @property
    def far(self) -> float:
        """Charge of the right wall, C/m2."""
        return -self.left if self.right is None else self.right


@dataclass(frozen=True)
class Case:
    """Whose profiles they are, and under what conditions.

    Attributes
    ----------
    names, charge_number
        Of S species.
    coordinate
        Across the interface.
    electrics
        What closes the cell.
    temperature
        K.
    replicates, seed
        Of the bootstrap.
    """

    names: list[str]
    charge_number: np.ndarray
    coordinate: Coordinate
    electrics: Electrics
    temperature: float
    replicates: int
    seed: int

    def __post_init__(self):
        if not self.temperature > 0:
            raise InputError(
                "temperature", wanted="a positive number", got=f"{self.temperature:g}"
            )


def profiles_of(
    sums: Sums,
    plan: Plan,
    case: Case,
    D_bulk: np.ndarray | None = None,
    progress=None,
) -> xr.Dataset:
    """Profiles from sums.

    Parameters
    ----------
    sums, plan
        What was summed.
    case
        Whose they are.
    D_bulk
        Shape (R + 1, S), m2/s.
    progress
        Called with (done, of, what).

    Returns
    -------
    Dataset
        ``interface-profiles/1``. D_perp: Fokker-Planck maximum likelihood at the lag from
        which it stays (`lagscan`), with what is left unsure in ``D_sys``; D_par:
        survivors (`parallel`); W = -kT ln(rho / rho_mid), at most 30 kT; ``n_eff`` the
        squared ratio of a cell's mean count and its block error. Beyond the cells that
        particles visit D keeps its last value, and ``quality_flag`` says so.
    """
    weights, values, attrs = _densities(sums, plan, case)
    extent = float(np.ptp(values["z_face"])) / NM
    D_perp, D_sys, flags, lags = _perpendicular(
        sums, plan, case.names, weights, extent, progress
    )
    values |= {
        "D_par": _parallel(sums, plan, case, weights, D_perp),
        "D_perp": D_perp,
        "D_sys": D_sys,
        "quality_flag": values["quality_flag"] | flags,
    }
    if D_bulk is not None:
        values["D_bulk"] = D_bulk
    attrs["lag"] = plan.lag * plan.spacing * PS
    attrs["lag_perpendicular"] = lags * PS
    return dataset("interface-profiles/1", values, attrs)


def densities_of(sums: Sums, plan: Plan, case: Case) -> xr.Dataset:
    """What does not move, ``density-profiles/1``: parameters as for `profiles_of`."""
    _, values, attrs = _densities(sums, plan, case)
    return dataset("density-profiles/1", values, attrs)


def _densities(sums: Sums, plan: Plan, case: Case) -> tuple[np.ndarray, dict, dict]:
    """Bootstrap weights, variables and attributes."""
    coordinate, electrics, n_species = case.coordinate, case.electrics, len(case.names)
    weights = bootstrap_weights(len(sums.frames), case.replicates, case.seed)
    first = getattr(coordinate, "left", None) or 0.0
    extent = sums.extent.sum() / sums.frames.sum()
    faces = first + np.linspace(0, extent, plan.n + 1) * NM
    volume = np.maximum(weights @ sums.volume, 1e-300) * NM**3
    # Groups that were drawn may hold more or less than their share of a species.
    drawn = np.maximum(weights @ sums.share, 1e-300)
    scale = (weights @ sums.frames)[:, None] / drawn
    density, parts_charge, parts_mass = (
        how[..., None] * np.einsum("ru,usz->rsz", weights, one) / volume[:, None]
        for how, one in (
            (scale[:, :n_species], sums.counts),
            (scale[:, n_species:], ELEMENTARY_CHARGE * sums.charge),
            (scale[:, n_species:], DALTON * sums.mass),
        )
    )
    charge = parts_charge.sum(axis=1)
    electric = _electric(charge, faces, coordinate, electrics)
    n_eff = _effective_visits(sums)
    flags = np.where(n_eff < FEW_VISITS, QUALITY_FLAGS["few_visits"], 0)
    values = {
        "z": 0.5 * (faces[1:] + faces[:-1]),
        "z_face": faces,
        "species": case.names,
        "charge_number": case.charge_number,
        "number_density": density,
        "mass_density": parts_mass.sum(axis=1),
        "charge_density": charge,
        "species_mass_density": plan.parts.owner @ parts_mass,
        "species_charge_density": plan.parts.owner @ parts_charge,
        "electric_field": electric.field,
        "potential": electric.potential,
        "pmf": _pmf(density, coordinate) * thermal_energy(case.temperature),
        "n_eff": n_eff,
        "quality_flag": flags | np.where(density[0] == 0, QUALITY_FLAGS["unvisited"], 0),
    }
    last = float(sums.volume.sum(axis=0)[-1] / sums.frames.sum()) * NM**3
    attrs = {
        "geometry": coordinate.kind,
        "temperature": case.temperature,
        "box": sums.box.sum(axis=0) / sums.frames.sum() * NM,
        "area": last / float(faces[-1] - faces[-2]),
        "surface_charge_left": electrics.left,
        "surface_charge_right": electrics.far,
        "boundary": electric.boundary,
        "residual_dipole": float(electric.dipole[0]),
        "residual_field": float(electric.residual_field[0]),
        "phi_kind": electrics.phi_kind,
        "phi_reference": electric.reference,
        "charge_model": electrics.charge_model,
        "smearing_width": electrics.smearing,
        "block_length": sums.frames.mean() * plan.spacing * PS,
        "seed": case.seed,
        "n_units": len(sums.frames),
    }
    return weights, values, attrs


def _electric(charge, faces, coordinate: Coordinate, how: Electrics):
    if coordinate.kind == "surface":
        if how.left or how.far or how.boundary != "closed":
            raise InputError(
                "electrostatics of a surface",
                wanted="no charged walls, boundary closed: the field is 0 in the vapour",
                got=f"{how.left:g} and {how.far:g} C/m2, {how.boundary}",
            )
        reference = "left" if how.reference == "middle" else how.reference
        found = planar_potential(
            charge, faces, smearing=how.smearing, reference=reference
        )
        return replace(found, boundary="vapour")
    if coordinate.kind != "planar":
        if how.left or how.smearing:
            raise InputError(
                "electrostatics of shells",
                wanted="point charges, and a wall at the right alone",
                got=f"left {how.left:g} C/m2, smearing {how.smearing:g} m",
            )
        shape = {"cylindrical": "cylinder", "spherical": "sphere"}[coordinate.kind]
        return radial_potential(charge, faces, geometry=shape, wall_charge=how.far,
                                reference=how.reference)  # fmt: skip
    return planar_potential(
        charge,
        faces,
        boundary=how.boundary,
        wall_charge=how.left,
        far_charge=how.far,
        smearing=how.smearing,
        reference=how.reference,
    )


def _effective_visits(sums: Sums) -> np.ndarray:
    """(mean / standard error)^2 of each cell over the units, shape (S, n)."""
    counts = sums.counts / sums.share[:, : sums.counts.shape[1], None]
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
    """W in kT, zero in the coordinate's bulk.

    Where a species is not seen there, in any replicate, W is zero where it is densest.
    """
    position = (np.arange(density.shape[-1]) + 0.5) / density.shape[-1]
    low, high = coordinate.bulk
    usual = (position > low) & (position < high)
    found = []
    for s in range(density.shape[1]):
        chosen = usual
        if not (density[:, s, usual].mean(axis=-1) > 0).all():
            chosen = density[0, s] == density[0, s].max()
        found.append(density_pmf(density[:, s], chosen))
    return np.stack(found, axis=1)


def _perpendicular(sums: Sums, plan: Plan, names, weights, extent, progress):
    """D_perp (R + 1, S, n + 1), D_sys (S, n + 1), flags (S, n) and lags (S,) in ps."""
    D, spread, flags, lags = [], [], [], []
    for s, name in enumerate(names):
        if progress is not None:
            progress(s, len(names), f"D perpendicular of {name}")
        scan = scan_lags(
            [sums.transitions[lag][s] for lag in plan.lags],
            [lag * plan.spacing for lag in plan.lags],
            plan.lags,
            sums.counts[:, s],
            weights,
            extent / plan.n,
            plan.periodic,
        )
        D.append(scan.best)
        spread.append(scan.systematic)
        flags.append(
            np.where(scan.no_plateau(), QUALITY_FLAGS["no_plateau"], 0)
            | np.where(scan.few_visits(), QUALITY_FLAGS["few_visits"], 0)
        )
        lags.append(scan.lags[scan.chosen])
    perp = np.stack(D, axis=1) * _NM2_PS
    return perp, np.array(spread) * _NM2_PS, np.array(flags), np.array(lags)


def _parallel(sums, plan, case: Case, weights, D_perp) -> np.ndarray:
    """D_par in each cell, shape (R + 1, S, n), m2/s."""
    directions = len(case.coordinate.along)
    if directions == 0:  # no direction stays parallel on a sphere
        return 0.5 * (D_perp[..., 1:] + D_perp[..., :-1])
    z = (np.arange(plan.n) + 0.5) * plan.extent / plan.n
    found = []
    for s in range(len(case.names)):
        survivors = Survivors(sums.stayed[:, s], sums.growth[:, s], sums.spent[:, s])
        fit = estimate_parallel(survivors, plan.windows, weights, z, plan.lag)
        found.append(fit.D * (2 / directions))  # it takes two for granted
    return np.stack(found, axis=1) * _NM2_PS
