"""`interface-profiles/1` from trajectories: one bootstrap for everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from scipy.interpolate import PchipInterpolator

from ...core.errors import InputError
from ...core.schema import QUALITY_FLAGS, dataset
from ...core.stats import bootstrap_weights
from ...core.units import ELEMENTARY_CHARGE, NM, PS, thermal_energy
from .electrostatics import field_and_potential
from .parallel import Survivors, count_survivors, estimate_parallel, lay_windows
from .perpendicular import estimate_perpendicular
from .pmf import density_pmf
from .settings import Geometry, ProfileSettings, charge_numbers, steps_of
from .statistics import (
    Track,
    count_cells,
    count_transitions,
    count_units,
    load_tracks,
)

Progress = Callable[[float, float, str], None]

#: Independent visits below which a cell is flagged.
FEW_VISITS = 10.0
#: Width of the slabs for D_par, nm: wide beside sqrt(2 D lag), narrow beside layers.
WINDOW = 0.30
#: Relative change of D_perp between the lag and twice the lag that is no plateau.
PLATEAU = 0.15
_NM2_PS = NM**2 / PS


def extract_profiles(
    frames: Sequence[xr.Dataset],
    geometry: Geometry,
    settings: ProfileSettings,
    D_bulk: np.ndarray | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Density, charge, field, potential, PMF, D_par and D_perp across a slab.

    Parameters
    ----------
    frames
        ``frames/1`` of each replica, unwrapped along z, without frames of equilibration.
    geometry
        The walls.
    settings
        Cells, lag, blocks, bootstrap.
    D_bulk
        Bulk diffusion coefficients with replicates, shape (R + 1, S), m2/s.
    progress
        Called with (done, total, text).

    Returns
    -------
    Dataset
        ``interface-profiles/1``. D_perp: Fokker-Planck maximum likelihood; D_par: slab
        mean-square displacement with survival (Liu, Harder & Berne 2004,
        doi:10.1021/jp0375057); W = -kT ln(rho / rho_mid), at most 30 kT; ``n_eff`` the
        squared ratio of a cell's mean count and its block error. ``D_sys`` is half the
        spread of D_perp over twice the lag and twice the cell. Beyond the cells that ions
        visit D keeps its last value, and ``quality_flag`` says so.

    Raises
    ------
    InputError
        When replicas, times and walls do not fit together.
    """
    tracks, names, kind = load_tracks(frames, geometry, settings)
    width = (geometry.right - geometry.left) / NM
    n = 2 * round(width * NM / settings.bin / 2)  # even: twice the cell fits as well
    lag = steps_of(settings.lag, frames[0], "the lag")
    if lag < 2:
        raise InputError(
            "the lag is one saved frame",
            wanted="at least two: D_par is a slope between half the lag and the lag",
            got=f"{settings.lag:g} s",
            mend="a longer lag, or frames that are saved more often",
        )
    weights = bootstrap_weights(count_units(tracks), settings.replicates, settings.seed)
    counts = count_cells(tracks, kind, len(names), width, n)
    faces = np.linspace(geometry.left, geometry.right, n + 1)
    z = charge_numbers(geometry, names)
    cell_volume = geometry.area * (faces[1] - faces[0])
    density = np.einsum("ru,usz->rsz", weights, counts) / weights.sum(1)[:, None, None]
    density /= cell_volume
    charge = ELEMENTARY_CHARGE * np.einsum("s,rsz->rz", z, density)
    field, potential = field_and_potential(charge, faces, geometry.surface_charge)
    n_eff = _effective_visits(counts)
    flags = np.where(n_eff < FEW_VISITS, QUALITY_FLAGS["few_visits"], 0)
    flags = flags | np.where(density[0] == 0, QUALITY_FLAGS["unvisited"], 0)
    D_perp, D_sys, moving = _perpendicular(
        tracks, kind, names, counts, weights, width, lag, progress
    )
    flags = flags | np.where(moving, QUALITY_FLAGS["no_plateau"], 0)
    D_par = _parallel(tracks, kind, names, counts, weights, width, lag)
    values = {
        "z": 0.5 * (faces[1:] + faces[:-1]),
        "z_face": faces,
        "species": names,
        "charge_number": z,
        "number_density": density,
        "charge_density": charge,
        "electric_field": field,
        "potential": potential,
        "pmf": density_pmf(density) * thermal_energy(geometry.temperature),
        "D_par": D_par,
        "D_perp": D_perp,
        "D_sys": D_sys,
        "n_eff": n_eff,
        "quality_flag": flags,
    }
    if D_bulk is not None:
        values["D_bulk"] = D_bulk
    attrs = {
        "temperature": geometry.temperature,
        "area": geometry.area,
        "surface_charge_left": geometry.surface_charge,
        "surface_charge_right": -geometry.surface_charge,
        "phi_kind": "model_charge",
        "charge_model": "formal charges",
        "lag": settings.lag,
        "block_length": settings.block,
        "seed": settings.seed,
        "n_units": count_units(tracks),
    }
    return dataset("interface-profiles/1", values, attrs)


def _effective_visits(counts: np.ndarray) -> np.ndarray:
    """(mean / standard error)^2 of each cell over the blocks, shape (S, n)."""
    mean = counts.mean(axis=0)
    variance = counts.var(axis=0, ddof=1) / len(counts)
    # A variance from few blocks is itself noisy: its mean over neighbours is less so.
    kernel = np.ones(5) / 5
    smooth = [
        np.convolve(np.pad(row, 2, mode="edge"), kernel, "valid") for row in variance
    ]
    level = np.array(smooth)
    return np.divide(mean**2, level, out=np.zeros_like(mean), where=level > 0)


def _perpendicular(tracks, kind, names, counts, weights, width, lag, progress):
    """D_perp (R + 1, S, n + 1), D_sys (S, n + 1) and where there is no plateau (S, n)."""
    n = counts.shape[-1]
    D = np.empty((len(weights), len(names), n + 1))
    spread = np.empty((len(names), n + 1))
    moving = np.empty((len(names), n), dtype=bool)
    point = weights[:1]
    for s, name in enumerate(names):
        members = np.flatnonzero(kind == s)
        if progress is not None:
            progress(s, len(names), f"D perpendicular of {name}")
        D[:, s], later, coarser = (
            _fit(tracks, members, counts[:, s], rows, width, steps, cells)
            for steps, cells, rows in (
                (lag, n, weights), (2 * lag, n, point), (2 * lag, n // 2, point)
            )
        )  # fmt: skip
        points = np.array([D[0, s], later[0], coarser[0]])
        spread[s] = 0.5 * (points.max(axis=0) - points.min(axis=0))
        change = np.abs(np.log(later[0] / D[0, s]))
        noise = np.log(D[1:, s]).std(axis=0)
        drifting = change > np.maximum(PLATEAU, 2 * noise)
        moving[s] = drifting[1:] & drifting[:-1]
    return D * _NM2_PS, spread * _NM2_PS, moving


def _fit(
    tracks: Sequence[Track], members, counts, weights, width, lag: int, n: int
) -> np.ndarray:
    """D_perp on all faces of `n` cells' finest grid, extended beyond the visited ones."""
    transitions = count_transitions(tracks, members, width, n, lag)
    merged = counts.reshape(len(counts), n, -1).sum(axis=-1)
    h = width / n
    found = estimate_perpendicular(
        transitions, merged, weights, h, lag * tracks[0].spacing, lag
    )
    faces = np.linspace(0, width, counts.shape[1] + 1)
    inside = np.clip(faces, h * found.faces[0], h * found.faces[-1])
    return np.exp(PchipInterpolator(h * found.faces, np.log(found.D), axis=-1)(inside))


def _parallel(tracks, kind, names, counts, weights, width, lag) -> np.ndarray:
    """D_par in each cell, shape (R + 1, S, n), m2/s."""
    n = counts.shape[-1]
    windows = lay_windows(0.0, width, WINDOW)
    # An ion on the wall itself belongs to the last window.
    windows[-1, 1] += 1e-9 * width
    z = (np.arange(n) + 0.5) * width / n
    rows = []
    for s in range(len(names)):
        members = np.flatnonzero(kind == s)
        sums = [
            count_survivors(part_z, part_xy, windows, lag, track.spacing)
            for track in tracks
            for part_z, part_xy in _blocks(track, members, lag)
        ]
        survivors = Survivors(
            *(np.concatenate([getattr(x, field) for x in sums])
              for field in ("number", "growth", "time"))
        )  # fmt: skip
        rows.append(estimate_parallel(survivors, windows, weights, z, lag).D)
    return np.stack(rows, axis=1) * _NM2_PS


def _blocks(track: Track, members: np.ndarray, lag: int):
    """Positions in each block and, where there are any, in the frames of a lag after."""
    starts = np.flatnonzero(np.diff(track.block, prepend=-1))
    ends = np.append(starts[1:], len(track.block))
    for start, end in zip(starts, ends, strict=True):
        rows = slice(start, min(end + lag, len(track.block)))
        yield track.z[rows, members], track.xy[rows, members]
