"""Stages: beads by force matching, and a run with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...atomistic.profiles.settings import frames_per, steps_of
from ...atomistic.systems import CHARGES
from ...coarse import (
    CGModel,
    DatasetFrames,
    Pairs,
    Spline,
    WithoutCoulomb,
    basic_force_map,
    fit,
    load_model,
    make_system,
    match,
    one_bead_per_atom,
)
from ...core.artefact import read_dataset, sha256, write_dataset, write_json
from ...core.md import MDSettings, MDState, run_segments
from ...core.units import DALTON, NM
from ..structure import peak_differences, rdf, rms_difference

MODEL = "beads.safetensors"
#: Time between frames that are matched (s): forces of neighbouring frames say the same.
MATCH_EVERY = 0.2e-12


def _bulk_frames(inputs: dict[str, Path]) -> list:
    return [
        read_dataset(inputs[name] / "bulk.nc", "frames/1")
        for name in sorted(inputs)
        if name.startswith("bulk_") and name != "bulk_analysis"
    ]


def force_matching(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Pair potentials of ion beads from the ML-MD's forces: ``cg-model/1``."""
    s = settings
    frames = _bulk_frames(inputs)
    beads = one_bead_per_atom(frames[0]["species"].values)
    charges = np.array([CHARGES[name] for name in beads.species])
    cutoff, stride = s["cutoff"] / NM, frames_per(MATCH_EVERY, frames[0])
    pairs = Pairs(beads.species, Spline.spaced(0.0, cutoff, s["spacing"] / NM, "zero"))
    forces = basic_force_map(beads).forces
    sources = [DatasetFrames(ds, beads.positions, forces, stride) for ds in frames]
    equations = match(
        [pairs],
        [WithoutCoulomb(source, charges, cutoff) for source in sources],
        block=steps_of(s["block"], frames[0], "a block") // stride,
        progress=context.progress,
    )
    matched = fit(equations, [pairs], s["replicates"], s["seed"])
    shape = len(matched.coefficients), len(pairs.pairs), pairs.basis.size
    names = tuple(dict.fromkeys(beads.species))
    volume = float(np.linalg.det(frames[0]["box"].values[0]))
    model = CGModel(
        species=names,
        charges=tuple(CHARGES[name] for name in names),
        pairs=pairs.pairs,
        spline=pairs.basis,
        coefficients=matched.coefficients.reshape(shape),
        inner=pairs.innermost(equations.seen[pairs.name]),
        n_units=matched.n_units,
        validity={
            "temperature_K": s["temperature"],
            "number_density_m-3": len(beads.species) / volume,
            "trained_on_sha256": [sha256(inputs[n] / "bulk.nc") for n in sorted(inputs)],
        },
    )
    model.save(out / MODEL)
    write_dataset(model.pair_pmf(), out / "pair_pmf.nc", "pair-pmf/1")
    total = float(np.sqrt(equations.square.sum() / equations.rows.sum()))
    cg = {"force_residual_share": matched.residual / total}
    return {"summary": {"cg": cg}}


def coarse_run(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """MD of the beads from where the ML-MD ended, and its RDF beside the ML-MD's."""
    s = settings
    reference = _bulk_frames(inputs)
    model = load_model(inputs["force_matching"] / MODEL)
    last = reference[0].isel(frame=-1)
    beads = [str(b) for b in reference[0]["species"].values]
    masses = reference[0]["mass"].values / DALTON
    box = last["box"].values / NM
    system = make_system(model, beads, masses, box)
    stride = round(s["save"] / s["timestep"])
    settle = round(s["equilibrate"] / s["save"]) * stride
    md = MDSettings(s["temperature"], s["timestep"], 1e12, s["seed"])
    n_steps = settle + round(s["length"] / s["save"]) * stride
    run = run_segments(
        system,
        beads,
        MDState(positions=last["positions"].values / NM, box=box),
        md,
        n_steps=n_steps,
        stride=stride,
        segment_steps=round(s["segment"] / s["save"]) * stride,
        source="beads",
        scratch=context.scratch,
        progress=context.progress,
    )
    kept = run.frames.isel(frame=slice(settle // stride, None))
    reach = 0.5 * float(box[0, 0]) * NM
    quarter, block = kept.sizes["frame"] // 4, steps_of(s["block"], kept, "a block")
    stride = frames_per(MATCH_EVERY, kept)
    curves = {
        "beads": rdf([kept], reach=reach, block=min(block, quarter), stride=stride),
        "ML-MD": rdf(reference, reach=reach, block=block, stride=stride),
    }
    write_json(out / "rdf.json", {k: v.as_json() for k, v in curves.items()})
    cg = {
        "rdf_rmse": rms_difference(curves["beads"], curves["ML-MD"]),
        "rdf_peak_difference": peak_differences(curves["beads"], curves["ML-MD"]),
    }
    return {"summary": {"cg": cg}}
