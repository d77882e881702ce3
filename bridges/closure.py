"""The solver at the MD's own state beside the MD: what went in must come out."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.interpolate import PchipInterpolator

from ..core.errors import InputError
from ..core.stats import half_width95
from ..core.units import ELEMENTARY_CHARGE, NM, thermal_energy
from .sides import side_view

#: Cells with fewer independent visits than this say nothing about the closure.
MIN_VISITS = 10.0


def compare(
    x: np.ndarray,
    concentration: np.ndarray,
    phi: np.ndarray,
    coefficients: xr.Dataset,
    profiles: xr.Dataset,
) -> xr.Dataset:
    """Equilibrium of the solver beside the profiles.

    Parameters
    ----------
    x
        Distances of the solver's nodes, shape (n_nodes,), m.
    concentration, phi
        Of the solver for replicate 0, shapes (n_species, n_nodes) and (n_nodes,), SI.
    coefficients
        ``transport-coefficients/1`` that were solved with.
    profiles
        ``interface-profiles/1`` that they come from.

    Returns
    -------
    Dataset
        On the cells up to the bulk plane, SI: ``solver``, ``concentration`` (MD), ``low``
        and ``high`` (its 95 % band), ``counted`` (1 where the cell counts: below the
        taper and with `MIN_VISITS` independent visits), each (species, distance);
        ``potential`` and ``potential_solver`` (distance). Attributes:
        ``closure_max_rel``, the largest ``|c_PNP - c_MD| / c_bulk`` over counted cells;
        ``closure_band``, half the MD's band in the same unit at that cell;
        ``closure_inside``, the fraction of counted cells inside the band;
        ``closure_rms``; and ``closure_max_rel_taper``, the largest deviation where the
        taper has replaced the MD's structure by bulk.

    Raises
    ------
    InputError
        When no cell counts.
    """
    attrs = coefficients.attrs
    view = side_view(profiles, attrs.get("side", "left"))
    end = attrs["bulk_plane"] / NM
    n = int((view.face[1:] <= end * (1 + 1e-9)).sum())
    face, md = view.face[: n + 1], view.density[..., :n]
    volt = thermal_energy(attrs["temperature"]) / ELEMENTARY_CHARGE
    units = attrs["n_units"]
    half = half_width95(md, units)
    early = view.distance[:n] <= attrs["taper_start"] / NM
    trusted = view.n_eff[:, :n] >= MIN_VISITS
    if not (trusted & early).any():
        raise InputError(
            "no cell for the closure test",
            wanted=f"{MIN_VISITS:g} independent visits in a cell before the taper",
            got=f"at most {view.n_eff.max():.3g}",
            mend="run longer or take wider cells",
        )
    phi_md = view.potential[0] - np.interp(end, view.face, view.potential[0])
    values = {
        "solver": _cell_means(x / NM, concentration, face),
        "concentration": md[0],
        "low": np.maximum(md[0] - half, 0.0),
        "high": md[0] + half,
        "counted": (trusted & early).astype(int),
        "potential": 0.5 * (phi_md[:n] + phi_md[1 : n + 1]) * volt,
        "potential_solver": _cell_means(x / NM, phi, face),
    }
    bulk = coefficients["bulk_density"].values[0][:, None]
    numbers = _numbers(values, bulk, trusted, early)
    dims = {1: ("distance",), 2: ("species", "distance")}
    coords = {
        "distance": view.distance[:n] * NM,
        "species": coefficients["species"].values,
    }
    arrays = {k: (dims[np.ndim(v)], v) for k, v in values.items()}
    return xr.Dataset(arrays, coords, numbers)


def _cell_means(x: np.ndarray, values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Mean of nodal values over cells, as a histogram sees them."""
    integral = PchipInterpolator(x, values, axis=-1).antiderivative()(faces)
    return np.diff(integral, axis=-1) / np.diff(faces)


def _numbers(
    values: dict[str, np.ndarray],
    bulk: np.ndarray,
    trusted: np.ndarray,
    early: np.ndarray,
) -> dict[str, float]:
    counted = trusted & early
    error = np.abs(values["solver"] - values["concentration"]) / bulk
    half = 0.5 * (values["high"] - values["low"]) / bulk
    worst = np.unravel_index(np.argmax(np.where(counted, error, -1.0)), error.shape)
    inside = (values["low"] <= values["solver"]) & (values["solver"] <= values["high"])
    late = np.where(trusted & ~early, error, 0.0)
    return {
        "closure_max_rel": float(error[worst]),
        "closure_band": float(half[worst]),
        "closure_inside": float(inside[counted].mean()),
        "closure_rms": float(np.sqrt(np.mean(error[counted] ** 2))),
        "closure_max_rel_taper": float(late.max(initial=0.0)),
    }
