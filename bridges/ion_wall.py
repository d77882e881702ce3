"""From potentials of one ion near a wall to the coefficients of a transport solver.

At infinite dilution w_i(d) holds the wall, the solvent and the mean field of both. The
solver makes the field of the wall's charge itself: it gets ``mu_ex_i = w_i - z_i e phi``.
Sterics and correlations between ions come from its closure.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..core.errors import InputError
from ..core.schema import dataset, validate
from ..core.units import ELEMENTARY_CHARGE


def coefficients_from_wall(
    wall: xr.Dataset,
    *,
    bulk_D: Mapping[str, float],
    bulk_density: Mapping[str, float],
    relative_permittivity: float,
    surface_charge: float = 0.0,
    taper_start: float | None = None,
    reaction_plane: Mapping[str, float] | None = None,
) -> xr.Dataset:
    """Transport coefficients, with D as in the bulk.

    Parameters
    ----------
    wall
        ``wall-pmf/1``; without ``potential`` the wall and its solvent make no field.
    bulk_D, bulk_density
        Of each species, m2/s and m-3; densities are neutral together.
    relative_permittivity
        Of the solvent, which is implicit in w_i.
    surface_charge
        C/m2.
    taper_start
        From where on mu_ex turns into zero, m; three quarters of the last distance where
        absent.
    reaction_plane
        Of species, m; the minimum of mu_ex where absent.

    Returns
    -------
    Dataset
        ``transport-coefficients/1``. The attribute ``taper_residual_mu_ex`` (J) is the
        largest value that the taper took away.

    Raises
    ------
    InputError
        When a species is missing, the bulk is charged, or the taper lies outside.
    SchemaError
        When `wall` breaks its contract.
    """
    validate(wall, "wall-pmf/1")
    names = [str(s) for s in wall["species"].values]
    D, density = (_of(what, names, of) for what, of in
                  ((bulk_D, "bulk_D"), (bulk_density, "bulk_density")))  # fmt: skip
    z, d = wall["charge_number"].values, wall["distance"].values
    if abs(z @ density) > 1e-6 * (np.abs(z) @ density):
        raise InputError("densities of the bulk", wanted="a neutral sum",
                         got=f"{z @ density:.3g} e/m3")  # fmt: skip
    start = 0.75 * d[-1] if taper_start is None else taper_start
    if not d[0] < start < d[-1]:
        raise InputError("start of the taper",
                         wanted=f"between {d[0]:.3g} and {d[-1]:.3g} m",
                         got=f"{start:.3g}")  # fmt: skip
    mu_ex = wall["pmf"].values
    if "potential" in wall:
        phi = wall["potential"].values - wall["potential"].values[:, -1:]
        mu_ex = mu_ex - ELEMENTARY_CHARGE * z[:, None] * phi[:, None]
    mu_ex = mu_ex - mu_ex[..., -1:]
    share = np.cos(0.5 * np.pi * np.clip((d - start) / (d[-1] - start), 0, 1)) ** 2
    lowest = d[np.argmin(mu_ex[0], axis=1)]
    given = reaction_plane or {}
    planes = np.array([given.get(s, x) for s, x in zip(names, lowest, strict=True)])
    n = len(mu_ex)
    everywhere = np.broadcast_to(D[None, :, None], mu_ex.shape)
    values = {
        "distance": d, "species": names, "charge_number": z,
        "D_par": everywhere, "D_perp": everywhere, "mu_ex": share * mu_ex,
        "relative_permittivity": np.full(len(d), float(relative_permittivity)),
        "bulk_density": np.tile(density, (n, 1)), "bulk_D": np.tile(D, (n, 1)),
        "reaction_plane": planes.clip(d[d > 0][0]),
        "valid_from": wall["valid_from"].values,
    }  # fmt: skip
    attrs = {
        "temperature": wall.attrs["temperature"], "surface_charge": surface_charge,
        "taper_start": start, "bulk_plane": float(d[-1]),
        "n_units": wall.attrs["n_units"],
        "taper_residual_mu_ex": float(np.abs(mu_ex[0][:, d > start]).max(initial=0.0)),
    }  # fmt: skip
    return dataset("transport-coefficients/1", values, attrs)


def _of(what: Mapping[str, float], names: list[str], name: str) -> np.ndarray:
    missing = [s for s in names if s not in what]
    if missing:
        raise InputError(f"{name} of {', '.join(missing)}", wanted="a value of each "
                         "species", got=f"those of {', '.join(what)}")  # fmt: skip
    return np.array([float(what[s]) for s in names])
