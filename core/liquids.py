"""Contracts of what is measured of liquids: transport, dielectric response, residence."""

from __future__ import annotations

import numpy as np
import xarray as xr

from .contract import Schema, Var, refuse
from .units import ELEMENTARY_CHARGE, thermal_energy

_R, _S = "replicate", "species"
#: Rounding that sums of products may leave.
ROUNDING = 1e-6


def _check_transport(ds: xr.Dataset) -> None:
    """Conductivities follow from coefficients; corrected D comes with its viscosity."""
    if ("D_infinite" in ds) != ("viscosity" in ds):
        raise refuse(
            "bulk-transport/1",
            "correction for the size of the box",
            "D_infinite and viscosity together",
            "one of them",
        )
    z = ELEMENTARY_CHARGE * ds["charge_number"]
    single = (z**2 * ds["number_density"] * ds["D"]).sum(_S)
    sums = {"nernst_einstein": single / thermal_energy(ds.attrs["temperature"])}
    if "onsager" in ds:
        other = z.rename({_S: "other"}).drop_vars("other", errors="ignore")
        sums["conductivity"] = (z * ds["onsager"] * other).sum([_S, "other"])
    if "transference" in ds:
        one = ds["transference"].sum(_S)
        sums["transference"] = xr.where(abs(one - 1) < ROUNDING, ds["transference"], one)
    for key, wanted in sums.items():
        if key in ds and not np.allclose(ds[key], wanted, rtol=ROUNDING, atol=0):
            raise refuse(
                "bulk-transport/1",
                f"{key} does not follow from the coefficients",
                f"{float(wanted.values.flat[0]):.6g}",
                f"{float(ds[key].values.flat[0]):.6g}",
            )


def _check_residence(ds: xr.Dataset) -> None:
    if not np.allclose(ds["survival"].isel(lag=0), 1, rtol=0, atol=ROUNDING):
        raise refuse(
            "residence/1", "survival at lag 0", "1: all are inside", "another number"
        )


LIQUIDS = (
    Schema(
        "bulk-transport/1",
        {
            "species": Var((_S,), kind="str"),
            "charge_number": Var((_S,)),
            "number_density": Var((_S,), "m-3", sign="positive"),
            "D": Var((_R, _S), "m2 s-1", sign="positive", doc="of the periodic box"),
            "D_infinite": Var((_R, _S), "m2 s-1", sign="positive", optional=True),
            "viscosity": Var((_R,), "Pa s", sign="positive", optional=True),
            "regime": Var(
                (_S,),
                kind="str",
                doc="diffusive, subdiffusive, superdiffusive; of Green-Kubo integrals "
                "good, coarse, no_plateau",
            ),
            "exponent": Var((_R, _S), optional=True, doc="of the MSD over the fit"),
            "onsager": Var((_R, _S, "other"), "J-1 m-1 s-1", optional=True),
            "conductivity": Var((_R,), "S m-1", optional=True),
            "nernst_einstein": Var((_R,), "S m-1", optional=True),
            "transference": Var((_R, _S), optional=True),
            "haven": Var((_R,), optional=True),
            "lag": Var(("lag",), "s", sign="increasing"),
            "msd": Var((_R, _S, "lag"), "m2", sign="nonnegative", optional=True),
            "dipole_msd": Var((_R, "lag"), "coulomb2 m2", optional=True),
            "running_D": Var((_R, _S, "lag"), "m2 s-1", optional=True),
            "running_conductivity": Var((_R, "lag"), "S m-1", optional=True),
        },
        attrs=("method", "frame", "temperature", "volume", "lag_first", "lag_last",
               "block_length", "n_units", "seed"),
        check=_check_transport,
    ),
    Schema(
        "dielectric-profile/1",
        {
            "z": Var(("z",), "m", sign="increasing"),
            "number_density": Var((_R, "z"), "m-3", sign="nonnegative"),
            "parallel": Var((_R, "z")),
            "inverse_perpendicular": Var((_R, "z"), doc="zero and below near walls"),
            "bulk_permittivity": Var(
                (_R,), optional=True, doc="where molecules fill a periodic box"
            ),
        },
        attrs=("boundary", "temperature", "relaxation_time", "blocks_too_short",
               "block_length", "n_units", "seed"),
    ),
    Schema(
        "wall-pmf/1",
        {
            "distance": Var(("distance",), "m", sign="increasing"),
            "species": Var((_S,), kind="str"),
            "charge_number": Var((_S,)),
            "pmf": Var((_R, _S, "distance"), "J", doc="of one ion; zero far away"),
            "potential": Var(
                (_R, "distance"), "V", optional=True,
                doc="mean potential of the wall and the solvent without the ion",
            ),
            "valid_from": Var(
                (_S,), "m", sign="nonnegative", doc="below it pmf is an extrapolation"
            ),
        },
        attrs=("temperature", "n_units"),
    ),
    Schema(
        "residence/1",
        {
            "species": Var((_S,), kind="str"),
            "lag": Var(("lag",), "s", sign="increasing"),
            "survival": Var((_R, _S, "lag")),
            "time": Var((_R, _S), "s", sign="positive"),
            "tail": Var((_S,), sign="nonnegative", doc="share of time beyond the lags"),
            "occupancy": Var((_S,), sign="nonnegative", doc="mean number inside"),
        },
        attrs=("kind", "region", "tolerance", "block_length", "n_units", "seed"),
        check=_check_residence,
    ),
)  # fmt: skip
