"""From interface profiles of MD to the coefficients of a transport solver.

The potential of mean force W_i holds everything that acts on an ion, the mean electric
field among it. The solver makes that field itself from the ions and the wall's charge, so
what it gets is ``mu_ex_i = W_i - z_i e phi`` with phi of the same replicate: the field is
counted once.

Lengths are in nm, energies in kT, potentials in kT/e in this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.signal import find_peaks

from ..core.cautions import caution
from ..core.errors import InputError
from ..core.schema import dataset
from ..core.units import NM, thermal_energy
from .sides import SideView, side_view
from .smoothing import SmoothingSpline

#: Where no ion goes W ends at this value, kT.
CAP = 30.0
#: Points of the distance grid per cell of the profiles.
POINTS_PER_CELL = 5


@dataclass(frozen=True)
class _Bulk:
    """The middle of the slab: where the taper starts, and what is there."""

    taper_start: float
    plane: float
    density: np.ndarray  # (R, S), electroneutral, m-3
    offset: np.ndarray  # (R, S): W = pmf + offset, kT
    D: np.ndarray  # (R, S), m2/s


def coefficients_from_profiles(
    profiles: xr.Dataset,
    *,
    side: str = "left",
    bulk_plane: float | None = None,
    taper_start: float | None = None,
    relative_permittivity: float = 1.0,
    penalty: float | None = None,
    reaction_plane: Mapping[str, float] | None = None,
) -> xr.Dataset:
    """Transport coefficients against the distance from a wall.

    Parameters
    ----------
    profiles
        ``interface-profiles/1``; every replicate is carried through by itself. phi is
        integrated from ``electric_field``, W comes from ``pmf``.
    side
        ``"left"``, ``"right"``, or ``"mean"`` of two walls of equal charge.
    bulk_plane
        Distance where the domain ends, m; the middle of the slab when ``None``.
    taper_start
        Distance where mu_ex and D begin to turn into their bulk values, m;
        three quarters of `bulk_plane` when ``None``. The slab between the taper starts of
        both walls is the bulk: its mean sets densities, W = 0 and phi = 0.
    relative_permittivity
        Of what is not explicit in the MD: 1 where every charge is.
    penalty
        Of the smoothing spline of W (`smoothing.SmoothingSpline`); found by generalised
        cross validation on replicate 0 when ``None``.
    reaction_plane
        Species -> distance, m; else the first maximum of its smoothed density in
        replicate 0 that stands out by a tenth of the bulk density.

    Returns
    -------
    Dataset
        ``transport-coefficients/1``. The attributes ``taper_residual_mu_ex`` (kT) and
        ``taper_residual_ln_D`` are the largest values that the taper took away in
        replicate 0, ``penalty`` is that of each species.

    Raises
    ------
    InputError
        When planes are out of order, walls that differ would be averaged, or too few
        cells were visited.
    SchemaError
        When `profiles` breaks its contract.

    Warns
    -----
    Caution
        Of reasons to doubt the profiles (`core.cautions`).
    """
    view = side_view(profiles, side)
    caution(profiles)
    z = profiles["charge_number"].values
    names = [str(s) for s in profiles["species"].values]
    bulk = _bulk(view, profiles, z, bulk_plane, taper_start)
    cell = float(np.diff(view.face).min())
    distance = np.linspace(
        0, bulk.plane, 1 + int(np.ceil(bulk.plane * POINTS_PER_CELL / cell))
    )
    work, penalties = _work(view, bulk, distance, penalty)
    phi = _potential(view, bulk, distance)
    mu_ex = work - z[:, None] * phi[:, None]
    share = _taper(distance, bulk)
    D_perp = _ln_ratio(view.face, view.D_perp, bulk, distance)
    D_par = _ln_ratio(view.distance, view.D_par, bulk, distance)
    inside = distance >= bulk.taper_start
    first_visit = [view.face[:-1][v][0] for v in view.visited]
    planes = _reaction_planes(names, reaction_plane, work[0], distance, bulk) * NM
    kT = thermal_energy(profiles.attrs["temperature"])
    values = {
        "distance": distance * NM,
        "species": names,
        "charge_number": z,
        "D_par": bulk.D[..., None] * np.exp(share * D_par),
        "D_perp": bulk.D[..., None] * np.exp(share * D_perp),
        "mu_ex": share * mu_ex * kT,
        "relative_permittivity": np.full(len(distance), float(relative_permittivity)),
        "bulk_density": bulk.density,
        "bulk_D": bulk.D,
        "reaction_plane": planes,
        "valid_from": np.array(first_visit) * NM,
    }
    attrs = {
        "temperature": profiles.attrs["temperature"],
        "surface_charge": view.surface_charge,
        "taper_start": bulk.taper_start * NM,
        "bulk_plane": bulk.plane * NM,
        "n_units": profiles.attrs["n_units"],
        "side": side,
        "phi_kind": profiles.attrs["phi_kind"],
        "charge_model": profiles.attrs["charge_model"],
        "penalty": penalties,
        "taper_residual_mu_ex": float(np.abs(mu_ex[0][:, inside]).max()),
        "taper_residual_ln_D": float(np.abs(D_perp[0][:, inside]).max()),
    }
    return dataset("transport-coefficients/1", values, attrs)


def _bulk(
    view: SideView,
    profiles: xr.Dataset,
    z: np.ndarray,
    plane: float | None,
    start: float | None,
) -> _Bulk:
    width = view.face[-1]
    plane = width / 2 if plane is None else plane / NM
    start = 0.75 * plane if start is None else start / NM
    middle = (view.distance >= start) & (view.distance <= width - start)
    if not (0 < start < plane <= width / 2 * (1 + 1e-9)) or not middle.any():
        raise InputError(
            "planes out of order",
            wanted=f"0 < taper_start < bulk_plane <= {width / 2:.4g} nm, half the slab",
            got=f"taper_start {start:.4g} nm, bulk_plane {plane:.4g} nm",
        )
    mean = view.density[..., middle].mean(axis=-1)
    # Counting noise leaves a charge; the nearest neutral densities are those that a
    # small shift of the potential would make.
    excess = (z * mean).sum(axis=1) / (z**2 * mean).sum(axis=1)
    density = mean * (1 - z * excess[:, None])
    # So that density * exp(-W) is what MD counted, whatever zero the PMF came with.
    factor = np.exp(-view.pmf[..., middle]).mean(axis=-1)
    offset = np.log(factor) - np.log(mean / density)
    if "D_bulk" in profiles:
        D = profiles["D_bulk"].values
    else:
        faces = (view.face >= start) & (view.face <= width - start)
        D = np.exp(np.log(view.D_perp[..., faces]).mean(axis=-1))
    return _Bulk(start, plane, density, offset, D)


def _work(
    view: SideView, bulk: _Bulk, distance: np.ndarray, penalty: float | None
) -> tuple[np.ndarray, list[float]]:
    """W on the distance grid, shape (R, S, n_distance), and the penalties."""
    work = view.pmf + bulk.offset[..., None]
    reach = view.distance <= view.face[-1] - bulk.taper_start
    curves, penalties = [], []
    for s in range(work.shape[1]):
        # A cell that a resample never visits has no W there; the spline goes past it.
        seen = (view.density[:, s] > 0).all(axis=0) & (view.n_eff[s] >= 1)
        used = seen & view.visited[s] & reach
        if used.sum() < 8:
            raise InputError(
                "too few cells with ions",
                wanted="8 cells that every replicate visits",
                got=f"{used.sum()}",
                mend="run longer or take wider cells",
            )
        x, weight = view.distance[used], view.n_eff[s, used]
        # In ln(distance): what is sharp sits at the wall, what is far off is smooth.
        spline = SmoothingSpline(np.log(x), weight, work[0, s, used], penalty)
        width = np.diff(view.face)[used]
        curves.append(_extended(_fit_cells(spline, work[:, s, used], width), distance))
        penalties.append(spline.penalty)
    return np.stack(curves, axis=1), penalties


def _fit_cells(
    spline: SmoothingSpline, work: np.ndarray, width: np.ndarray
) -> CubicSpline:
    """Spline whose mean of exp(-W) over each cell is the histogram's."""
    fitted = spline.fit(work)
    points, weights = np.polynomial.legendre.leggauss(4)
    inside = np.log(np.exp(spline.x)[:, None] + 0.5 * width[:, None] * points)
    for _ in range(2):
        rise = fitted(inside) - fitted(spline.x)[..., None]
        # Where an ion is hardly seen the rise over a cell is noise.
        bend = np.log(0.5 * np.exp(-np.clip(rise, -2, 2)) @ weights)
        fitted = spline.fit(work + bend)
    return fitted


def _extended(fitted: CubicSpline, distance: np.ndarray) -> np.ndarray:
    """Values on the grid; towards the wall W rises so that it ends at the cap there."""
    edge = np.exp(fitted.x[0])
    start, slope = fitted(fitted.x[0]), -fitted(fitted.x[0], 1) / edge
    slope = np.maximum(slope, (CAP - start) / edge)
    outward = fitted(np.log(np.maximum(distance, edge)))
    inward = start[:, None] + slope[:, None] * (edge - distance)
    return np.minimum(np.where(distance < edge, inward, outward), CAP)


def _potential(view: SideView, bulk: _Bulk, distance: np.ndarray) -> np.ndarray:
    """Phi on the grid, zero in the bulk, shape (R, n_distance)."""
    # The field on a face is the exact integral of the charge in the cells before it; a
    # spline through it spreads each cell's charge smoothly and keeps its amount.
    spline = CubicSpline(view.face, view.slope, axis=-1).antiderivative()
    low, high = bulk.taper_start, view.face[-1] - bulk.taper_start
    zero = spline.integrate(low, high) / (high - low)
    return spline(distance) - np.asarray(zero)[:, None]


def _ln_ratio(
    x: np.ndarray, D: np.ndarray, bulk: _Bulk, distance: np.ndarray
) -> np.ndarray:
    """Ln(D / D_bulk) on the grid."""
    spline = PchipInterpolator(x, np.log(D / bulk.D[..., None]), axis=-1)
    return spline(np.clip(distance, x[0], x[-1]))


def _taper(distance: np.ndarray, bulk: _Bulk) -> np.ndarray:
    """1 up to the start, 0 at the bulk plane, continuous with its derivative."""
    part = (distance - bulk.taper_start) / (bulk.plane - bulk.taper_start)
    return np.cos(0.5 * np.pi * np.clip(part, 0.0, 1.0)) ** 2


def _reaction_planes(
    names: list[str],
    given: Mapping[str, float] | None,
    work: np.ndarray,
    distance: np.ndarray,
    bulk: _Bulk,
) -> np.ndarray:
    """Reaction plane of each species, nm."""
    planes = []
    for name, curve in zip(names, work, strict=True):
        if given is not None and name in given:
            plane = given[name] / NM
        else:
            near = distance < bulk.taper_start
            density = np.exp(-curve[near])
            peaks, _ = find_peaks(density, prominence=0.1)
            plane = distance[peaks[0] if len(peaks) else int(np.argmax(density))]
        if not 0 < plane < bulk.plane:
            raise InputError(
                f"reaction plane of {name}",
                wanted=f"between the wall and the bulk plane at {bulk.plane:.4g} nm",
                got=f"{plane:.4g} nm",
            )
        planes.append(plane)
    return np.array(planes)
