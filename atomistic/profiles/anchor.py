"""Bulk values of another run for the profiles of an interface."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.schema import SCHEMAS, validate
from ...core.stats import half_width95

#: Difference of temperatures that bulk and interface may have.
SAME_TEMPERATURE = 0.01


def with_bulk(profiles: xr.Dataset, transport: xr.Dataset) -> xr.Dataset:
    """Profiles with the bulk diffusion of another run, `D_bulk`.

    The runs are independent, so that any pairing of their replicates is right but that of
    equal tables of weights: replicates are drawn at random. Deviations are widened by the
    ratio of Student's factors where the bulk had fewer units than the profiles say.

    Parameters
    ----------
    profiles
        ``interface-profiles/1``.
    transport
        ``bulk-transport/1``; ``D_infinite`` is taken where it is there.

    Raises
    ------
    InputError
        As `bulk_columns`.
    """
    names = [str(name) for name in profiles["species"].values]
    columns = bulk_columns(transport, names, float(profiles.attrs["temperature"]))
    D = transport["D_infinite" if "D_infinite" in transport else "D"].values[:, columns]
    n, wanted = len(D) - 1, profiles.sizes["replicate"] - 1
    rng = np.random.default_rng([int(profiles.attrs["seed"]), n])
    drawn = 1 + rng.choice(n, wanted, replace=n < wanted)
    unit = np.arange(3.0)  # any replicates: Student's factors are wanted
    factors = [half_width95(unit, ds.attrs["n_units"]) for ds in (transport, profiles)]
    wider = max(1.0, float(factors[0] / factors[1]))
    found = D[0] * (D[np.append(0, drawn)] / D[0]) ** wider
    units = {"units": SCHEMAS["interface-profiles/1"].variables["D_bulk"].unit}
    joined = profiles.assign(D_bulk=(("replicate", "species"), found, units))
    return validate(joined, "interface-profiles/1")


def bulk_columns(
    transport: xr.Dataset, species: list[str], temperature: float
) -> list[int]:
    """Where species are in ``bulk-transport/1``, when it belongs to them.

    Raises
    ------
    InputError
        When a species is not in the bulk, or temperatures differ by more than 1 %.
    """
    ds = validate(transport, "bulk-transport/1")
    known = [str(name) for name in ds["species"].values]
    if not set(species) <= set(known):
        raise InputError(
            "species that the bulk run does not have",
            wanted=", ".join(species),
            got=", ".join(known),
            mend="name species alike in both runs",
        )
    hot = float(ds.attrs["temperature"])
    if abs(hot - temperature) > SAME_TEMPERATURE * temperature:
        raise InputError(
            "bulk and interface at different temperatures",
            wanted=f"{temperature:g} K within {SAME_TEMPERATURE:.0%}",
            got=f"{hot:g} K",
        )
    return [known.index(name) for name in species]
