"""Stages: a molecule sampled with a bias, and its beads matched, refined and run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...atomistic.biased_sampling import (
    Molecule,
    read_molecule,
    relaxed_surface,
    sample_biased,
)
from ...coarse import (
    ArrayFrames,
    BeadMap,
    ForceCovariance,
    ForceMap,
    backbone,
    basic_force_map,
    fit,
    match,
    optimal_force_map,
)
from ...coarse.flattening import bias_model, flattening
from ...coarse.force_checks import check_forces, check_unbiased
from ...coarse.langevin import GAS_CONSTANT
from ...coarse.linear_forces import LinearForces
from ...coarse.linear_model import LinearModel, load_linear
from ...coarse.molecules import molecular_terms
from ...coarse.normal_equations import load_equations
from ...coarse.openmm_forces import linear_forces_openmm
from ...coarse.rounds import (
    Sampling,
    energies,
    independent_frames,
    information,
    refine_in_rounds,
    sample,
)
from ...coarse.solving import Fit
from ...coarse.templates import Atoms
from ...coarse.terms import Torsions
from ...coarse.umbrella import mbar
from ...core.artefact import (
    read_dataset,
    read_json,
    sha256,
    write_dataset,
    write_json,
)
from ...core.md import MDSettings
from ...core.units import AVOGADRO, NM, PS

BIAS, MODEL, FRAMES = "bias.safetensors", "model.safetensors", "frames.nc"
#: kJ/mol/nm of a newton.
FORCE = NM * AVOGADRO / 1e3
#: Replica that the model is made from, and the one that it is judged by.
TRAINING, HELD_OUT = "sample_0", "sample_1"


@dataclass(frozen=True)
class Subject:
    """The molecule of settings, its beads, and two dihedrals of these."""

    molecule: Molecule
    beads: BeadMap
    dihedrals: tuple[tuple[int, ...], tuple[int, ...]]

    @classmethod
    def of(cls, s: dict) -> Subject:
        """From settings: ``pdb`` (text), ``force_field``, ``rigid``, ``dihedrals``."""
        m = read_molecule(s["pdb"], s["force_field"], rigid=s["rigid"])
        names, residues, residue = (np.array(v) for v in (m.names, m.residues, m.residue))
        atoms = Atoms(names, residues, residue, 0 * residue, m.masses)
        first, second = (tuple(d) for d in s["dihedrals"])
        return cls(m, backbone(atoms), (first, second))

    @property
    def atoms(self):
        """The dihedrals, as atoms."""
        atom = self.beads.matrix.indices
        return tuple(tuple(int(atom[b]) for b in d) for d in self.dihedrals)


def scan(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """A bias that flattens the energies of the molecule relaxed at each phi and psi."""
    s, subject = settings, Subject.of(settings)
    first, second = subject.atoms
    surface = relaxed_surface(
        subject.molecule, (first, second), s["points"], context.progress
    )
    term = Torsions("bias", ((first, second),), s["order"])
    found = flattening(term, surface, s["ceiling"])
    model = bias_model(term, found, subject.molecule.names, subject.molecule.masses)
    model.save(out / BIAS)
    return {}


def sample_atoms(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """One replica: ``frames/1`` without the forces of the bias."""
    s, subject = settings, Subject.of(settings)
    molecule = subject.molecule
    (bias,) = linear_forces_openmm(load_linear(inputs["scan"] / BIAS))
    start = molecule.turned(subject.atoms, s["starts"][s["replica"]])
    seed = s["seed"] + 1000 * s["replica"]
    frames = sample_biased(
        molecule, bias, start,
        MDSettings(s["temperature"], s["timestep"] * PS, s["friction"] / PS, seed),
        settle=s["settle"], length=s["length"], stride=s["stride"],
        segment=s["segment"], scratch=context.scratch, progress=context.progress,
    )  # fmt: skip
    write_dataset(frames, out / FRAMES, "frames/1")
    time = s["length"] * s["timestep"]
    return {"summary": {"atomistic": {f"replica_{s['replica']}_ps": time}}}


def match_beads(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Check forces, find the force map, match forces of the training replica."""
    s, subject = settings, Subject.of(settings)
    beads, rigid = subject.beads, subject.molecule.rigid
    (bias,) = load_linear(inputs["scan"] / BIAS).parts()
    read = {k: _read(inputs[k] / FRAMES) for k in (TRAINING, HELD_OUT)}
    x, f = read[TRAINING]
    covariance = ForceCovariance.of(beads, f)
    maps = {
        "basic": basic_force_map(beads, rigid),
        "optimal": optimal_force_map(beads, covariance, rigid),
    }
    summary: dict = {"checks": {}, "force_map": {}}
    for k, (atoms, forces) in read.items():
        own = f"replica {k[-1]}"
        summary["checks"][own] = _check(s, subject, maps["optimal"], bias, atoms, forces)
        _keep(out / f"{k}.npz", s, subject, bias, atoms)
    chosen = beads.positions(x)
    terms = molecular_terms(
        chosen, s["bonds"], beads.species, maps=[subject.dihedrals], order=s["order"]
    )
    for turn, (name, w) in enumerate(maps.items()):
        frames = [ArrayFrames(chosen, w.forces(f))]
        equations = match(terms, frames, block=s["block"])
        # The last map is the one that is used.
        matched = fit(equations, terms, s["replicates"] * turn, s["seed"])
        summary["force_map"][name] = {
            "rms": w.rms(covariance), "held_out": w.rms(ForceCovariance.of(
                beads, read[HELD_OUT][1])), "residual": matched.held_out,
        }  # fmt: skip
        context.progress(turn + 1, len(maps), "forces matched")
    equations.save(out / "equations.safetensors", {})
    masses = beads.masses(subject.molecule.masses)
    validity = {"temperature_K": s["temperature"], "force_field": s["force_field"],
                "trained_on_sha256": [sha256(inputs[TRAINING] / FRAMES)]}  # fmt: skip
    LinearModel(beads.species, masses, terms, matched.coefficients, matched.n_units,
                validity, matched.ranges).save(out / MODEL)  # fmt: skip
    write_json(out / "fit.json", {k: getattr(matched, k) for k in (
        "strength", "residual", "held_out", "explained")})  # fmt: skip
    return {"summary": {"matching": summary}}


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Positions, nm, and forces, kJ/mol/nm, of atoms (F, N, 3)."""
    data = read_dataset(path, "frames/1")
    return data["positions"].values / NM, data["forces"].values.astype(float) * FORCE


def _check(s, subject: Subject, w: ForceMap, bias, x, f) -> dict:
    """Refuse wrong units, a forgotten constraint, a bias that is still in the forces."""
    found, error = check_forces(w, x, f, s["temperature"])
    n = len(subject.beads.species)
    potential = LinearForces([_bias_term(s, subject)], [bias], n, dtype=torch.float64)
    part, unsure = check_unbiased(
        potential.forces, subject.beads.positions(x), w.forces(f), s["temperature"]
    )
    return {"virial_K": found, "virial_error_K": error, "unbiased": part,
            "unbiased_error": unsure}  # fmt: skip


def _keep(path: Path, s: dict, subject: Subject, bias, x: np.ndarray) -> None:
    """Beads of a replica, and the energy of the bias (kJ/mol) in each frame."""
    beads = subject.beads.positions(x)
    energy = energies([_bias_term(s, subject)], torch.from_numpy(beads)) @ bias.numpy()
    with open(path, "wb") as handle:
        np.savez(handle, x=beads, bias=energy)


def unbiased(bias: np.ndarray, temperature: float) -> np.ndarray:
    """Weights of frames of one biased state (F,), by MBAR."""
    reduced = torch.from_numpy(bias / (GAS_CONSTANT * temperature)).unsqueeze(1)
    return mbar(reduced, torch.zeros(len(bias), dtype=torch.long)).weights().numpy()


def _bias_term(s: dict, subject: Subject) -> Torsions:
    """The map of the bias, of beads."""
    return Torsions("bias", (subject.dihedrals,), s["order"])


def flat(model: LinearModel, inputs: dict[str, Path]) -> np.ndarray:
    """The bias as an addition to all coefficients of a model, shape (K,)."""
    (bias,) = load_linear(inputs["scan"] / BIAS).parts()
    parts = [
        bias.numpy() if isinstance(term, Torsions) else np.zeros(term.size)
        for term in model.terms
    ]
    return np.concatenate(parts)


def _sampling(s: dict, bias: np.ndarray, replica: int = 0) -> Sampling:
    return Sampling(
        s["temperature"], settle=s["settle"], frames=s["frames"], every=s["every"],
        seed=s["seed"] + 100 * replica, bias=bias,
    )  # fmt: skip


def _start(x: np.ndarray, n: int, seed: int) -> torch.Tensor:
    """Beads of so many frames, which were drawn with the bias."""
    chosen = np.random.default_rng(seed).choice(len(x), n, replace=n > len(x))
    return torch.from_numpy(x[chosen])


def refine_beads(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Move the model to the configurations, with weights, and forces together."""
    s, place = settings, inputs["match"]
    model = load_linear(place / MODEL)
    with np.load(place / f"{TRAINING}.npz") as data:
        x, weights = data["x"], unbiased(data["bias"], s["temperature"])
    equations, _ = load_equations(place / "equations.safetensors")
    told = read_json(place / "fit.json")
    matched = Fit(model.coefficients, n_units=model.n_units, ranges=model.ranges, **told)
    functions = energies(model.terms, torch.from_numpy(x))
    independent = independent_frames(functions, s["block"], weights)
    known = information(model.terms, equations, matched, x, independent, weights)
    found, history = refine_in_rounds(
        model.terms, model.coefficients[0], known, _start(x, s["copies"], s["seed"]),
        torch.from_numpy(model.masses), _sampling(s, flat(model, inputs)),
        doubtful=True, ranges=model.ranges, progress=context.progress,
    )  # fmt: skip
    replace(model, coefficients=found[None]).save(out / MODEL)
    rounds = [{"doubt": r.doubt, "left": r.n_eff} for r in history]
    return {"summary": {"refinement": {"rounds": rounds, "independent": independent}}}


def run_beads(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Replicas of a model with the flattening bias: beads, and weights without it."""
    s = settings
    model = load_linear(inputs[s["model"]] / MODEL)
    with np.load(inputs["match"] / f"{TRAINING}.npz") as data:
        x = data["x"]
    how = _sampling(s, flat(model, inputs), s["replica"])
    frames, _ = sample(
        model.terms, model.coefficients[0], _start(x, s["copies"], how.seed),
        torch.from_numpy(model.masses), how, ranges=model.ranges,
        progress=context.progress,
    )  # fmt: skip
    # Frames of one replica follow each other.
    frames = frames.transpose(0, 1).flatten(0, 1).double()
    with open(out / "beads.npz", "wb") as handle:
        np.savez(handle, x=frames.numpy().astype(np.float32),
                 weights=how.weights(energies(model.terms, frames)))  # fmt: skip
    return {}
