"""Stages: train the potential, and say how good and how fast it is."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import openmm
import xarray as xr

from ...atomistic.fumi_tosi import short_range_force
from ...atomistic.potential import (
    TrainingSettings,
    errors,
    load_potential,
    save_potential,
)
from ...atomistic.potential import train as train_potential
from ...atomistic.systems import CHARGES, make_system
from ...core.artefact import read_dataset, replacing, sha256, write_json
from ...core.md import MDSettings, MDState, make_context
from ...core.units import ANGSTROM, EV, GPA, NM, PS
from .common import Chain, learned_force, make_cell

POTENTIAL = "potential.safetensors"
KINDS = ("bulk", "slab")


def _learned(name: str, s: dict) -> str:
    """Frames of `name` with what the potential learns: all, or what Coulomb leaves."""
    return name if s["electrostatics"] == "predicted" else f"{name}_residual"


def _sets(inputs: dict[str, Path], name: str) -> list[xr.Dataset]:
    return [
        read_dataset(inputs[f"sample_{kind}"] / f"{name}.nc", "frames/1")
        for kind in KINDS
    ]


def train(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Train on the residual; writes the potential and its learning curve.

    Where charges are predicted, on all of the labels.
    """
    s, species = settings, ("Na", "Cl")
    predicted = s["electrostatics"] == "predicted"
    learned = _learned("train", s)
    result = train_potential(
        _sets(inputs, learned),
        _sets(inputs, _learned("held_out", s)),
        TrainingSettings(
            species=species,
            cutoff=s["cutoff"],
            channels=s["channels"],
            radial=s["radial"],
            layers=s["layers"],
            steps=s["steps"],
            batch=s["batch"],
            learning_rate=s["learning_rate"],
            seed=s["seed"],
            charges=tuple(CHARGES[k] for k in species) if predicted else None,
        ),
        context.scratch,
        context.progress,
    )
    files = [inputs[f"sample_{kind}"] / f"{learned}.nc" for kind in KINDS]
    validity = {
        "temperatures_K": sorted(s["temperatures"]),
        "training_sha256": [sha256(path) for path in files],
        "oracle": s["oracle"],
    }
    save_potential(out / POTENTIAL, result, validity)
    write_json(out / "curve.json", {"curve": result.curve})
    return {"parameters": int(sum(t.size for t in result.tensors.values()))}


def validate(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Held-out errors, NVE drift, and cost per step beside the oracle's."""
    path = inputs["train"] / POTENTIAL
    formal = settings["electrostatics"] == "formal"
    potential = load_potential(path, baseline="engine" if formal else None)
    labels = _sets(inputs, "held_out")
    left = _sets(inputs, _learned("held_out", settings))
    reports = {k: errors(potential, [r]) for k, r in zip(KINDS, left, strict=True)}
    both = errors(potential, left)
    force_std = float(np.concatenate([d["forces"].values.ravel() for d in labels]).std())
    stress_std = _fluctuation(labels[0])
    _store_parity(out / "parity.npz", labels, left, both)
    drift = _nve(path, labels[0], settings, context)
    cost = _cost(path, labels[0], settings, context)
    return {
        "summary": {
            "potential": {
                "force_rmse_eV_A": both["force_rmse"],
                "force_std_eV_A": force_std / EV * ANGSTROM,
                "force_rmse_bulk_eV_A": reports["bulk"]["force_rmse"],
                "force_rmse_slab_eV_A": reports["slab"]["force_rmse"],
                "energy_rmse_meV_atom": both["energy_rmse"],
                "stress_rmse_GPa": reports["bulk"]["stress_rmse"],
                "stress_std_GPa": stress_std / GPA,
                "nve_drift_meV_atom_ps": drift,
            }
        },
        "measured": {"potential": cost},
    }


def _fluctuation(frames: xr.Dataset) -> float:
    """Standard deviation of the stress components about their mean at each temperature.

    The pressure of different temperatures at one volume differs by more than the stress
    fluctuates: that difference is no measure of what is to be learned.
    """
    temperature, stress = frames.attrs["frame_temperature"], frames["stress"].values
    variance = [
        stress[temperature == T].var(axis=0).mean() for T in np.unique(temperature)
    ]
    return float(np.sqrt(np.mean(variance)))


def _store_parity(path: Path, labels, left, report: dict) -> None:
    """Oracle's and potential's force components, Coulomb included in both (eV/A)."""
    unit = EV / ANGSTROM
    reference = np.concatenate([d["forces"].values.ravel() for d in labels]) / unit
    residual = np.concatenate([d["forces"].values.ravel() for d in left]) / unit
    predicted = reference - residual + report["forces_predicted"].ravel()
    with replacing(path) as temporary, open(temporary, "wb") as handle:
        np.savez(
            handle,
            reference=reference.astype(np.float32),
            predicted=predicted.astype(np.float32),
        )


def _last_state(frames: xr.Dataset) -> MDState:
    return MDState(
        positions=frames["positions"].values[-1] / NM, box=frames["box"].values[-1] / NM
    )


def _nve(path: Path, bulk: xr.Dataset, s: dict, context) -> float:
    """Drift of the total energy of bulk ML-MD without a thermostat, meV/atom/ps."""
    cell = make_cell("bulk", s)
    forces = [learned_force(path, cell, s)]
    chain = Chain(context, s, cell, forces, "ML-MD, NVE", PS + s["nve"])
    start = chain.go(_last_state(bulk), PS, s["temperature"], s["seed"]).final
    run = chain.go(start, s["nve"], s["temperature"], s["seed"], friction=0.0)
    times = run.frames["time"].values / PS
    energy = run.total_energy / EV * 1e3 / len(cell.species)
    return float(abs(np.polyfit(times, energy, 1)[0]))


def _cost(path: Path, bulk: xr.Dataset, s: dict, context) -> dict:
    """Milliseconds per MD step, ML and oracle in turns, median of each (one thread)."""
    cell, cutoff = make_cell("bulk", s), s["oracle_cutoff"] / NM
    md = MDSettings(s["temperature"], s["timestep"], s["friction"], s["seed"])
    formal = s["electrostatics"] == "formal"
    contexts = {
        "ms_per_step": make_system(
            cell, learned_force(path, cell, s), cutoff=cutoff if formal else None
        ),
        "oracle_ms_per_step": make_system(
            cell, short_range_force(cell.species, cutoff), cutoff=cutoff
        ),
    }
    started = {name: make_context(system, md) for name, system in contexts.items()}
    state = _last_state(bulk)
    for md_context in started.values():
        md_context.setPositions(state.positions)
        md_context.setVelocitiesToTemperature(s["temperature"], s["seed"])
        md_context.getIntegrator().step(10)
    samples: dict[str, list[float]] = {name: [] for name in started}
    for turn in range(8):
        for name, md_context in started.items():
            samples[name].append(_milliseconds(md_context, 20))
        context.progress(turn + 1, 8, "cost per step")
    return {name: float(np.median(values)) for name, values in samples.items()}


def _milliseconds(md_context: openmm.Context, steps: int) -> float:
    begin = time.perf_counter()
    md_context.getIntegrator().step(steps)
    return (time.perf_counter() - begin) / steps * 1e3
