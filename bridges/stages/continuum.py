"""Stage: from profiles to coefficients, closure test and transport resistance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ...core.artefact import read_dataset, replacing, write_dataset
from ...core.cautions import told_elsewhere
from ...core.stats import estimate
from ..coefficients import coefficients_from_profiles
from ..transport import closure, resistances, solve_transport


def transport(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Steady Nernst-Planck-Poisson with the MD's coefficients, for every replicate."""
    s = settings
    profiles = read_dataset(inputs["profiles"] / "profiles.nc", "interface-profiles/1")
    faces = profiles["z_face"].values
    middle = 0.5 * float(faces[-1] - faces[0])
    with told_elsewhere():
        coefficients = coefficients_from_profiles(
            profiles,
            side=s["side"],
            bulk_plane=middle,
            taper_start=middle - s["bulk_width"],
        )
        systematic = _systematic(profiles, coefficients)
    write_dataset(coefficients, out / "coefficients.nc", "transport-coefficients/1")
    solution = solve_transport(coefficients, profiles, context.progress, bias=s["bias"])
    reference = closure(coefficients, profiles)
    write_dataset(solution, out / "solution.nc", "transport-solution/1")
    with replacing(out / "reference.nc") as temporary:
        reference.to_netcdf(temporary, engine="h5netcdf")
    units = coefficients.attrs["n_units"]
    names = [str(name) for name in solution["species"].values]
    values = {k: solution[k].values for k in ("resistance", "resistance_exact",
                                              "resistance_bulk")}  # fmt: skip

    def point(key: str) -> dict[str, float]:
        return {name: float(values[key][0, i]) for i, name in enumerate(names)}

    ratio = np.abs(values["resistance"] / values["resistance_exact"] - 1)
    interface = {
        **{k: solution.attrs[k] for k in solution.attrs if k.startswith("closure_")},
        "resistance_ohm_m2": {
            name: estimate(values["resistance"][:, i], units)
            for i, name in enumerate(names)
        },
        "resistance_exact_ohm_m2": point("resistance_exact"),
        "resistance_bulk_ohm_m2": point("resistance_bulk"),
        "resistance_systematic_ohm_m2": dict(
            zip(names, systematic.tolist(), strict=True)
        ),
        "resistance_worst_relative_error": float(ratio.max()),
        "reaction_plane_m": dict(
            zip(names, coefficients["reaction_plane"].values.tolist(), strict=True)
        ),
    }
    return {"summary": {"interface": interface}}


def _systematic(profiles: xr.Dataset, coefficients: xr.Dataset) -> np.ndarray:
    """Half of the change of R between D_perp - D_sys and D_perp + D_sys, per species."""
    attrs, found = coefficients.attrs, []
    for sign in (-1, 1):
        D = profiles["D_perp"] + sign * profiles["D_sys"]
        changed = profiles.assign(D_perp=np.maximum(D, 0.1 * profiles["D_perp"]))
        changed["D_perp"].attrs = profiles["D_perp"].attrs
        changed["D_perp"] = changed["D_perp"].transpose(*profiles["D_perp"].dims)
        moved = coefficients_from_profiles(
            changed.isel(replicate=slice(0, 2)),
            side=attrs["side"],
            bulk_plane=attrs["bulk_plane"],
            taper_start=attrs["taper_start"],
        )
        found.append(resistances(moved.isel(replicate=slice(0, 1))).exact[0])
    return 0.5 * np.abs(found[0] - found[1])
