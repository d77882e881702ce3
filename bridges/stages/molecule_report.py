"""Stages: beads judged by what they were not made from, and the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ...coarse.coordinates import KINDS
from ...coarse.gate import Observable, judge
from ...coarse.linear_model import load_linear
from ...core.artefact import read_json, write_text
from ...core.stats import bootstrap_weights, half_width95
from ...core.units import AVOGADRO, BOLTZMANN
from ..pipeline.summary import merge_results
from ..report.molecule import molecule_page
from .molecule import HELD_OUT, MODEL, TRAINING, unbiased

TURN = (-np.pi, np.pi)
#: Bins of what has one coordinate; bootstrap replicates of its bands.
BINS, REPLICATES = 30, 200


def judge_beads(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Free energies of beads beside the atomistic ones; the model with its verdicts."""
    s = settings
    names = (TRAINING, HELD_OUT)
    x, bias = zip(*(_load(inputs["match"] / f"{k}.npz", "bias") for k in names),
                  strict=True)  # fmt: skip
    atoms = unbiased(np.concatenate(bias), s["temperature"])
    known, new = np.split(atoms, [len(x[0])])
    training, held_out = (_observed(part, s["dihedrals"]) for part in x)
    both = _joined(training, held_out)
    observables = _observables(s, both)
    found: dict[str, list] = {}
    curves: dict[str, np.ndarray] = {}
    models = {k: _beads(inputs, k, s["dihedrals"]) for k in ("refined", "matched")}
    # What the training replica itself would be found to differ by: a model that has its
    # populations cannot be nearer.
    for name, (values, weights) in {**models, "replica": (training, known)}.items():
        verdicts = judge(
            observables, values, training, held_out, s["temperature"],
            weights=(weights, known, new), block=s["block"],
        )  # fmt: skip
        found[name] = [verdict.as_json() for verdict in verdicts]
    for name, (values, weights) in models.items():
        size = _frames(inputs, name)
        curves |= _surfaces(f"{name}.", observables, values, weights, size, s)
    curves |= _surfaces("atoms.", observables, both, atoms, s["block"], s)
    edges = {f"{o.name}.{k}": e for o in observables for k, e in enumerate(o.edges)}
    with open(out / "surfaces.npz", "wb") as handle:
        np.savez(handle, **curves, **{f"edges.{k}": e for k, e in edges.items()})
    passed = all(verdict["ok"] for verdict in found["refined"])
    model = load_linear(inputs["refine"] / MODEL)
    validity = {**model.validity, "gate": found["refined"], "passed": passed}
    replace(model, validity=validity).save(out / MODEL)
    values, weights = models["refined"]
    populations = {
        "atoms": _positive(both["phi"], atoms, s["block"]),
        "beads": _positive(values["phi"], weights, _frames(inputs, "refined")),
    }
    return {"summary": {"gate": found, "passed": passed, "phi > 0": populations}}


def _load(path: Path, weight: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as data:
        return data["x"], data[weight]


def _runs(inputs: dict[str, Path], name: str) -> list[Path]:
    if name == "matched":
        return [inputs["run_matched"]]
    return [inputs[k] for k in sorted(inputs) if k[4:].isdigit()]


def _frames(inputs: dict[str, Path], name: str) -> int:
    """Frames of each replica of a run of beads: the blocks of its bootstrap."""
    return int(read_json(_runs(inputs, name)[0] / "meta.json")["settings"]["frames"])


def _beads(inputs, name: str, dihedrals) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Observables of the runs of a model, and weights."""
    x, w = zip(*(_load(p / "beads.npz", "weights") for p in _runs(inputs, name)),
               strict=True)  # fmt: skip
    return _observed(np.concatenate(x).astype(float), dihedrals), np.concatenate(w)


def _observed(x: np.ndarray, dihedrals) -> dict[str, np.ndarray]:
    """Samples (n, d) of every observable, of beads (n, B, 3)."""
    frames, last = torch.from_numpy(x), x.shape[1] - 1
    turns = KINDS["dihedral"][0](frames, torch.tensor(dihedrals))[0].numpy()
    middle = tuple(dihedrals[0][1:])
    bend = KINDS["angle"][0](frames, torch.tensor([middle]))[0].numpy()
    ends = KINDS["distance"][0](frames, torch.tensor([(0, last)]))[0].numpy()
    return {"phi-psi": turns, "phi": turns[:, :1], "psi": turns[:, 1:],
            "angle": bend, "ends": ends}  # fmt: skip


def _joined(first: dict, second: dict) -> dict[str, np.ndarray]:
    return {k: np.concatenate([first[k], second[k]]) for k in first}


def _observables(s: dict, values: dict[str, np.ndarray]) -> list[Observable]:
    """Bins of turns, or between the ends of the data."""
    turn, deepest = np.linspace(*TURN, s["bins"] + 1), s["deepest"]
    found = [Observable("phi-psi", (turn, turn), deepest)]
    found += [
        Observable(k, (np.linspace(*TURN, BINS + 1),), deepest) for k in ("phi", "psi")
    ]
    for k in ("angle", "ends"):
        edges = np.linspace(values[k].min(), values[k].max(), BINS + 1)
        found.append(Observable(k, (edges,), deepest))
    return found


def _surfaces(prefix, observables, values, weights, block: int, s: dict) -> dict:
    """Free energies, kJ/mol, the lowest zero, and halves of 95 % bands by blocks."""
    n = -(-len(weights) // block)
    drawn = bootstrap_weights(n, REPLICATES, s["seed"])[
        :, np.arange(len(weights)) // block
    ]
    kT, out = BOLTZMANN * AVOGADRO * 1e-3 * s["temperature"], {}
    for of in observables:
        rows = drawn if len(of.edges) == 1 else drawn[:1]
        density = np.stack([of.density(values[of.name], weights * row) for row in rows])
        # Bins that a replicate did not visit would be infinite: they get no band.
        with np.errstate(divide="ignore"):
            free = -kT * np.log(density)
        out[prefix + of.name] = free[0] - free[0].min()
        if len(rows) > 1:
            with np.errstate(invalid="ignore"):
                out[f"{prefix}{of.name}.half"] = half_width95(free, n)
    return out


def _positive(phi: np.ndarray, weights: np.ndarray, block: int) -> list[float]:
    """Part of phi > 0, and half of its 95 % band."""
    n = -(-len(weights) // block)
    drawn = bootstrap_weights(n, REPLICATES, 0)[:, np.arange(len(weights)) // block]
    w = drawn * weights
    each = (w @ (phi[:, 0] > 0)) / w.sum(1)
    return [float(each[0]), float(half_width95(each, n))]


def report(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Write ``report.html``."""
    metas = {name: read_json(folder / "meta.json") for name, folder in inputs.items()}
    summary: dict = {}
    for meta in metas.values():
        merge_results(summary, meta["results"])
    with np.load(inputs["judge"] / "surfaces.npz") as data:
        curves = dict(data)
    write_text(out / "report.html", molecule_page(summary, curves, metas))
    return {}
