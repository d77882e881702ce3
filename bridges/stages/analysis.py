"""Stages: what the bulk runs say, and profiles across the slab."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...atomistic.profiles import (
    Geometry,
    Resolution,
    bulk_diffusion,
    extract_profiles,
    stationarity,
)
from ...atomistic.profiles.settings import frames_per, steps_of
from ...atomistic.systems import CHARGES
from ...core.artefact import read_dataset, replacing, write_dataset, write_json
from ...core.cautions import cautions
from ...core.stats import estimate
from ...core.units import NM
from ..structure import peak_differences, rdf
from .common import make_cell

#: Time between frames that count for radial distribution functions (s).
RDF_EVERY = 0.2e-12
#: Bulk and slab are independent: their bootstraps must not share a table of weights.
BULK_SEED = 1_000_003


def bulk_analysis(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """RDF and D of the ML-MD beside the oracle's, in the same box."""
    s = settings
    replicas = range(s["replicas"])
    frames = {
        "ML-MD": [
            read_dataset(inputs[f"bulk_{r}"] / "bulk.nc", "frames/1") for r in replicas
        ],
        "oracle": [
            read_dataset(inputs["oracle_bulk"] / f"bulk_{r}.nc", "frames/1")
            for r in replicas
        ],
    }
    curves, diffusion = {}, {}
    for index, (source, sets) in enumerate(frames.items()):
        context.progress(index, len(frames), source)
        block = steps_of(s["block"], sets[0], "a block")
        stride = frames_per(RDF_EVERY, sets[0])
        reach = 0.5 * float(sets[0]["box"].values[0, 0, 0])
        curves[source] = rdf(sets, reach=reach, block=block, stride=stride)
        diffusion[source] = bulk_diffusion(
            sets,
            block=s["block"],
            replicates=s["replicates"],
            seed=s["seed"] + BULK_SEED,
        )
    write_json(out / "rdf.json", {k: v.as_json() for k, v in curves.items()})
    found = diffusion["ML-MD"]
    with replacing(out / "D_bulk.npy") as temporary, open(temporary, "wb") as handle:
        np.save(handle, found.D)
    bulk: dict = {
        "rdf_peak_difference": peak_differences(curves["ML-MD"], curves["oracle"])
    }
    for prefix, source in (("D_", "ML-MD"), ("oracle_D_", "oracle")):
        item = diffusion[source]
        for k, name in enumerate(item.species):
            bulk[prefix + name] = estimate(item.D[:, k], item.n_units)
    return {"summary": {"bulk": bulk}}


def profiles(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Profiles across the slab from all replicas, with the verdict on stationarity."""
    s = settings
    frames = [
        read_dataset(inputs[name] / "slab.nc", "frames/1")
        for name in sorted(inputs)
        if name.startswith("slab_")
    ]
    walls = make_cell("slab", s).walls
    assert walls is not None  # noqa: S101 - a slab has them
    geometry = Geometry(
        left=walls.left * NM,
        right=walls.right * NM,
        area=s["width"] ** 2,
        surface_charge=s["surface_charge"],
        temperature=s["temperature"],
        charge_number=CHARGES,
    )
    how = Resolution(s["bin"], s["lag"], s["block"], s["replicates"], s["seed"])
    verdict = stationarity(frames, geometry, how)
    D_bulk = np.load(inputs["bulk_analysis"] / "D_bulk.npy", allow_pickle=False)
    found = extract_profiles(frames, geometry, how, D_bulk, context.progress)
    found.attrs["steady"] = int(verdict["ok"])
    found.attrs["steady_verdict"] = verdict["verdict"]
    write_dataset(found, out / "profiles.nc", "interface-profiles/1")
    write_json(out / "stationarity.json", verdict)
    interface = {
        "sigma_C_m2": s["surface_charge"],
        "stationary": verdict["ok"],
        "stationarity": {c["name"]: c["value"] for c in verdict["checks"]},
        "cautions": cautions(found),
    }
    return {"summary": {"interface": interface}}
