"""The contracts between scales, and the check that a data set keeps them.

Data are xarray data sets in SI. No variable may hold NaN or infinity: where nothing was
measured the producer caps or extends the value and says so in ``quality_flag``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr

from .contract import Schema, Var, check_variable, refuse
from .experiments import EXPERIMENTS
from .liquids import LIQUIDS
from .units import ELEMENTARY_CHARGE

#: Bits of ``quality_flag``: 0 is good.
QUALITY_FLAGS = {"few_visits": 1, "no_plateau": 2, "unvisited": 4}


def validate(ds: xr.Dataset, name: str) -> xr.Dataset:
    """Return `ds` when it keeps the contract `name`; refuse it otherwise.

    Parameters
    ----------
    ds
        The data set, in SI.
    name
        A key of `SCHEMAS`, such as ``"frames/1"``.

    Raises
    ------
    SchemaError
        Names the variable, what was wanted and what was found.
    """
    schema = SCHEMAS.get(name)
    if schema is None:
        raise refuse(name, "unknown contract", ", ".join(SCHEMAS), repr(name))
    found = ds.attrs.get("schema", name)
    if found != name:
        raise refuse(name, "another contract", name, repr(found))
    for attr in schema.attrs:
        if attr not in ds.attrs:
            raise refuse(
                name, f"attribute {attr} is missing", attr, str(sorted(ds.attrs))
            )
        value = ds.attrs[attr]
        if isinstance(value, float) and not np.isfinite(value):
            raise refuse(name, f"attribute {attr} is not finite", "a number", str(value))
    for key, var in schema.variables.items():
        if key in ds.variables:
            check_variable(schema, key, var, ds[key])
        elif not var.optional:
            raise refuse(
                name,
                f"variable {key} is missing",
                f"{key}{var.dims} in {var.unit}",
                ", ".join(map(str, ds.variables)),
                var.doc,
            )
    extra = sorted(set(map(str, ds.variables)) - set(schema.variables))
    if extra:
        raise refuse(
            name, "unknown variables", ", ".join(schema.variables), ", ".join(extra)
        )
    for dim, size in schema.sizes.items():
        if dim in ds.sizes and ds.sizes[dim] != size:
            raise refuse(name, f"size of {dim}", str(size), str(ds.sizes[dim]))
    if schema.check is not None:
        schema.check(ds)
    return ds


def dataset(
    name: str, values: Mapping[str, object], attrs: Mapping[str, object]
) -> xr.Dataset:
    """Build and validate a data set: dimensions and units come from the contract.

    Parameters
    ----------
    name
        Contract, such as ``"interface-profiles/1"``.
    values
        Variable name -> array-like in SI, with the dimensions of the contract.
    attrs
        Attributes; ``schema`` is added. Booleans become integers (NetCDF has none).

    Raises
    ------
    SchemaError
        When the result breaks the contract.
    """
    schema = SCHEMAS[name]
    arrays = {}
    for key, value in values.items():
        var = schema.variables.get(key)
        if var is None:
            raise refuse(name, "unknown variable", ", ".join(schema.variables), key)
        data = np.asarray(value)
        if data.ndim != len(var.dims):
            raise refuse(name, f"shape of {key}", str(var.dims), str(data.shape))
        arrays[key] = (var.dims, data, {"units": var.unit} if var.kind != "str" else {})
    clean = {
        k: int(v) if isinstance(v, (bool, np.bool_)) else v for k, v in attrs.items()
    }
    try:
        ds = xr.Dataset(arrays, attrs={"schema": name, **clean})
    except ValueError as exc:
        raise refuse(
            name,
            "sizes do not fit together",
            "equal sizes per dimension",
            str(exc).splitlines()[0],
        ) from exc
    coords = [k for k in arrays if schema.variables[k].dims == (k,)]
    return validate(ds.set_coords(coords), name)


def _check_profiles(name: str, ds: xr.Dataset) -> None:
    if ds.sizes["z_face"] != ds.sizes["z"] + 1:
        raise refuse(
            name,
            "cells and faces",
            "one face more than cells",
            f"{ds.sizes['z_face']} faces, {ds.sizes['z']} cells",
        )
    faces, cells = ds["z_face"].values, ds["z"].values
    if not ((faces[:-1] < cells) & (cells < faces[1:])).all():
        raise refuse(
            name, "cells and faces", "each cell between its faces", "another order"
        )
    _check_origin(name, ds)
    if ds.attrs.get("geometry", "planar") != "planar":
        return
    charge = (ds["charge_density"] * np.diff(faces)).sum("z").values
    total = charge + ds.attrs["surface_charge_left"] + ds.attrs["surface_charge_right"]
    worst = float(np.abs(total).max())
    # A net charge of a hundredth of an ion per interface area is a counting error.
    if worst > 0.01 * ELEMENTARY_CHARGE / ds.attrs["area"]:
        raise refuse(
            name,
            "the cell is not neutral",
            "wall and ion charge that cancel",
            f"{worst:.3g} C/m2",
            "count every ion inside the faces",
        )


def _check_origin(name: str, ds: xr.Dataset) -> None:
    """Attributes that tell where profiles come from, where they are there."""
    for attr, wanted, fits in (
        ("hmr", "0 or 1", lambda v: v in (0, 1)),
        ("steady", "0 or 1", lambda v: v in (0, 1)),
        ("friction", "0 1/s or more", lambda v: 0 <= v < np.inf),
        ("box", "three positive lengths, m", lambda v: len(v) == 3 and (v > 0).all()),
    ):
        value = ds.attrs.get(attr)
        if value is not None and not fits(value):
            raise refuse(name, f"attribute {attr}", wanted, repr(value))


_R, _S = "replicate", "species"

_DENSITIES = {
    "z": Var(("z",), "m", sign="increasing"),
    "z_face": Var(("z_face",), "m", sign="increasing"),
    "species": Var((_S,), kind="str"),
    "charge_number": Var((_S,)),
    "number_density": Var((_R, _S, "z"), "m-3", sign="nonnegative"),
    "mass_density": Var((_R, "z"), "kg m-3", sign="nonnegative", optional=True),
    "charge_density": Var((_R, "z"), "coulomb m-3"),
    "species_mass_density": Var(
        (_R, _S, "z"),
        "kg m-3",
        sign="nonnegative",
        optional=True,
        doc="of the atoms of a species, where they are",
    ),
    "species_charge_density": Var(
        (_R, _S, "z"),
        "coulomb m-3",
        optional=True,
        doc="of the atoms of a species, where they are",
    ),
    "electric_field": Var((_R, "z_face"), "V m-1"),
    "potential": Var((_R, "z_face"), "V"),
    "pmf": Var((_R, _S, "z"), "J"),
    "n_eff": Var((_S, "z"), sign="nonnegative"),
    "quality_flag": Var((_S, "z"), kind="int"),
}
_PROFILE_ATTRS = (
    "temperature",
    "area",
    "surface_charge_left",
    "surface_charge_right",
    "phi_kind",
    "charge_model",
    "block_length",
    "seed",
    "n_units",
)

SCHEMAS: dict[str, Schema] = {
    s.name: s
    for s in (
        Schema(
            "frames/1",
            {
                "positions": Var(("frame", "atom", "xyz"), "m", doc="unwrapped"),
                "forces": Var(
                    ("frame", "atom", "xyz"),
                    "N",
                    doc="store forces with the trajectory: force matching needs them",
                ),
                "box": Var(("frame", "row", "xyz"), "m", doc="rows are box vectors"),
                "species": Var(("atom",), kind="str"),
                "mass": Var(("atom",), "kg", sign="positive"),
                "time": Var(("frame",), "s"),
                "energy": Var(("frame",), "J", optional=True),
                "stress": Var(
                    ("frame", "row", "xyz"), "Pa", optional=True, doc="tension > 0"
                ),
                "charge": Var(("frame", "atom"), "coulomb", optional=True),
                "dipole": Var(
                    ("frame", "xyz"), "coulomb m", optional=True, doc="of a cluster"
                ),
                "born_charge": Var(
                    ("frame", "atom", "row", "xyz"),
                    "coulomb",
                    optional=True,
                    doc="rows: of the polarisation; columns: of the displacement",
                ),
                "baseline_energy": Var(
                    ("frame",), "J", optional=True, doc="subtracted from the energy"
                ),
                "group": Var(
                    ("frame",), kind="str", optional=True, doc="what a frame was made for"
                ),
                "force_std": Var(
                    ("frame", "atom"), "N", sign="nonnegative", optional=True
                ),
                "distance": Var(
                    ("frame", "atom"),
                    "1",
                    sign="nonnegative",
                    optional=True,
                    doc="from the training set of the potential that gave force_std",
                ),
            },
            attrs=("source",),
            sizes={"xyz": 3, "row": 3},
        ),
        Schema(
            "density-profiles/1",
            _DENSITIES,
            attrs=_PROFILE_ATTRS,
            check=partial(_check_profiles, "density-profiles/1"),
        ),
        Schema(
            "interface-profiles/1",
            {
                **_DENSITIES,
                "D_par": Var((_R, _S, "z"), "m2 s-1", sign="positive"),
                "D_perp": Var((_R, _S, "z_face"), "m2 s-1", sign="positive"),
                "D_bulk": Var((_R, _S), "m2 s-1", sign="positive", optional=True),
                "D_sys": Var((_S, "z_face"), "m2 s-1", sign="nonnegative", optional=True),
            },
            attrs=(*_PROFILE_ATTRS, "lag"),
            check=partial(_check_profiles, "interface-profiles/1"),
        ),
        Schema(
            "transport-coefficients/1",
            {
                "distance": Var(("distance",), "m", sign="increasing"),
                "species": Var((_S,), kind="str"),
                "charge_number": Var((_S,)),
                "D_par": Var((_R, _S, "distance"), "m2 s-1", sign="positive"),
                "D_perp": Var((_R, _S, "distance"), "m2 s-1", sign="positive"),
                "mu_ex": Var((_R, _S, "distance"), "J"),
                "relative_permittivity": Var(("distance",), sign="positive"),
                "bulk_density": Var((_R, _S), "m-3", sign="positive"),
                "bulk_D": Var((_R, _S), "m2 s-1", sign="positive"),
                "reaction_plane": Var((_S,), "m", sign="positive"),
                "valid_from": Var(
                    (_S,),
                    "m",
                    sign="nonnegative",
                    doc="distance below which the ion never went",
                ),
            },
            attrs=(
                "temperature",
                "surface_charge",
                "taper_start",
                "bulk_plane",
                "n_units",
            ),
        ),
        Schema(
            "transport-solution/1",
            {
                "distance": Var(("distance",), "m", sign="increasing"),
                "species": Var((_S,), kind="str"),
                "charge_number": Var((_S,)),
                "concentration": Var((_R, _S, "distance"), "m-3", sign="nonnegative"),
                "potential": Var((_R, "distance"), "V"),
                "resistance": Var((_R, _S), "ohm m2", optional=True),
                "resistance_exact": Var((_R, _S), "ohm m2", optional=True),
                "resistance_bulk": Var((_R, _S), "ohm m2", optional=True),
            },
            attrs=("temperature",),
        ),
        Schema(
            "transport-fields/1",
            {
                "position": Var(("node", "xyz"), "m"),
                "species": Var((_S,), kind="str"),
                "charge_number": Var((_S,)),
                "concentration": Var((_S, "node"), "m-3", sign="nonnegative"),
                "potential": Var(("node",), "V"),
            },
            attrs=("temperature",),
            sizes={"xyz": 3},
        ),
        *EXPERIMENTS,
        *LIQUIDS,
        Schema(
            "pair-pmf/1",
            {
                "r": Var(("r",), "m", sign="increasing"),
                "pair": Var(
                    ("pair",), kind="str", doc="species joined by a hyphen: Na-Cl"
                ),
                "pmf": Var((_R, "pair", "r"), "J"),
                "inner": Var(
                    ("pair",),
                    "m",
                    optional=True,
                    sign="positive",
                    doc="below it pairs were hardly seen and pmf is an extrapolation",
                ),
            },
            attrs=("temperature", "coulomb", "n_units"),
        ),
        Schema(
            "activity/1",
            {
                "concentration": Var(("concentration",), "m-3", sign="increasing"),
                "ln_gamma": Var((_R, "concentration")),
                "dln_gamma_dln_c": Var((_R, "concentration")),
                "osmotic": Var((_R, "concentration"), optional=True),
            },
            attrs=("temperature", "salt", "n_units"),
        ),
    )
}

#: Keys that the JSON header of a model file must have, by contract.
MODEL_KEYS: dict[str, tuple[str, ...]] = {
    "langevin-state/1": ("frames", "every"),
    "potential/1": (
        "architecture",
        "species",
        "units",
        "cutoff",
        "baseline",
        "validity",
        "calibration",
    ),
    "labels/1": ("settings", "versions", "units"),
    "cg-model/1": ("units", "validity", "n_units"),
    "normal-equations/1": ("terms", "units", "origin"),
}
