"""A trained potential: file, evaluation, errors on labelled frames."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ...core.artefact import read_model, write_model
from ...core.errors import SchemaError
from ...core.units import ANGSTROM, EV, GPA
from .data import System, batch, load_frames, species_numbers, vectors
from .derivatives import derivatives, forces_on_atoms
from .gradient import energy_and_slopes
from .model import CartesianACE
from .neighbours import neighbours
from .train import TrainingResult, TrainingSettings, build_model

UNITS = {"energy": "eV", "length": "angstrom"}


@dataclass(frozen=True)
class Evaluation:
    """Energy (eV), forces (eV/A, shape (N, 3)) and stress (eV/A^3, tension positive).

    `charges` (e, shape (N,)) are those of a potential that predicts them.
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray
    charges: np.ndarray | None = None


@dataclass(frozen=True)
class Potential:
    """A potential ready to use.

    Attributes
    ----------
    model
        The network.
    species
        Symbols it knows.
    header
        Header of its file: architecture, baseline, validity, calibration.
    """

    model: CartesianACE
    species: tuple[str, ...]
    header: Mapping

    def evaluate(
        self,
        positions: np.ndarray,
        species: Sequence[str] | np.ndarray,
        box: np.ndarray,
        pbc: Sequence[bool] = (True, True, True),
        charge: float = 0.0,
    ) -> Evaluation:
        """Energy, forces and stress of one configuration.

        Parameters
        ----------
        positions
            Shape (N, 3), A; unwrapped is fine.
        species
            Symbols, or their numbers in `Potential.species`; length N.
        box
            Shape (3, 3), A; rows are box vectors.
        pbc
            Which box vectors repeat.
        charge
            Total, e; of a potential that predicts charges.

        Raises
        ------
        SchemaError
            When a species is unknown.
        InputError
            When charges cannot be summed: see `ewald.far_energy`.
        """
        numbers = np.asarray(species)
        if numbers.dtype.kind not in "iu":
            numbers = species_numbers(numbers, self.species)
        found = neighbours(positions, box, pbc, self.model.cutoff)
        edges = torch.as_tensor(vectors(positions, found), dtype=self.model.dtype)
        index = torch.from_numpy(found.index)
        system = System(
            np.asarray(positions, float), np.asarray(box, float), tuple(pbc), charge
        )
        kinds = torch.from_numpy(numbers.astype(np.int64))
        energy, slopes, charged = energy_and_slopes(
            self.model, edges, kinds, index, system
        )
        forces = forces_on_atoms(slopes, index, None, len(numbers))
        virial = torch.einsum("nki,nkj->ij", edges, slopes).numpy()
        charges = None
        if charged is not None:
            forces, charges = forces - charged.positions, charged.charges.numpy()
            virial = virial + charged.strain.numpy()
        volume = abs(float(np.linalg.det(box)))
        stress = 0.5 * (virial + virial.T) / volume
        return Evaluation(energy, forces.numpy(), stress, charges)


def save_potential(path: Path | str, result: TrainingResult, validity: Mapping) -> None:
    """Write a `potential/1` file.

    Parameters
    ----------
    path
        Of the safetensors file.
    result
        What `train` returned.
    validity
        Where the potential may be trusted: temperatures, hash of its training set.
    """
    settings = asdict(result.settings)
    header = {
        "architecture": "cartesian-ace/2",
        "settings": settings,
        "species": list(result.settings.species),
        "units": UNITS,
        "cutoff": result.settings.cutoff,
        "baseline": "none; Coulomb of predicted charges is part of the energy"
        if settings["charges"]
        else "formal-charge Coulomb, to be added by the MD engine",
        "validity": dict(validity),
        "calibration": {"held_out": result.curve[-1] if result.curve else None},
    }
    write_model(path, "potential/1", header, result.tensors)


def load_potential(path: Path | str) -> Potential:
    """Read a `potential/1` file.

    Raises
    ------
    SchemaError
        When the file is broken or of another architecture.
    """
    header, arrays = read_model(path, "potential/1")
    if header["architecture"] != "cartesian-ace/2":
        raise SchemaError(
            f"{path}: unknown architecture", wanted="cartesian-ace/2",
            got=str(header["architecture"]), mend="use the version that wrote it",
        )  # fmt: skip
    try:
        settings = TrainingSettings(
            **{**header["settings"], "species": tuple(header["species"])}
        )
        tensors = {k: torch.from_numpy(v) for k, v in arrays.items()}
        model = build_model(settings, tensors)
    except (RuntimeError, TypeError) as exc:
        raise SchemaError(
            f"{path}: weights and settings do not fit", wanted="those of one training",
            got=str(exc).splitlines()[0], mend="train again",
        ) from exc  # fmt: skip
    return Potential(model, settings.species, header)


@functools.lru_cache(maxsize=4)
def cached_potential(path: str, digest: str) -> Potential:
    """`load_potential`, once per process and content (`digest` is the file's SHA-256)."""
    from ...core.artefact import sha256

    if sha256(path) != digest:
        raise SchemaError(
            f"{path} has changed since the force was made", wanted=digest,
            got=sha256(path), mend="make the force again",
        )  # fmt: skip
    return load_potential(path)


def errors(potential: Potential, sets: Sequence[xr.Dataset]) -> dict:
    """Errors on labelled frames.

    Parameters
    ----------
    potential
        What is judged.
    sets
        `frames/1` with the labels the potential was trained on (its residual).

    Returns
    -------
    dict
        ``force_rmse``, ``force_mae`` (eV/A), ``force_rmse_by_species``, ``energy_rmse``
        (meV/atom, about the mean error), ``stress_rmse`` (GPa, ``None`` without labels),
        ``forces_predicted`` (eV/A, all atoms of all frames).
    """
    cutoff = potential.model.cutoff
    energy, stress, predicted, wanted, kinds = [], [], [], [], []
    for f in load_frames(sets, potential.species, cutoff):
        b = batch([f], cutoff, potential.model.dtype)
        e, forces, virial = derivatives(potential.model, b)
        energy.append((float(e[0]) - f.energy) / len(f.species))
        predicted.append(forces.numpy().astype(float))
        wanted.append(f.forces)
        kinds.append(f.species)
        if f.virial is not None:
            stress.append((virial[0].numpy() - f.virial) / f.volume)
    difference = np.concatenate(predicted) - np.concatenate(wanted)
    kind = np.concatenate(kinds)
    unit = EV / ANGSTROM**3 / GPA
    return {
        "force_rmse": float(np.sqrt((difference**2).mean())),
        "force_mae": float(np.abs(difference).mean()),
        "force_rmse_by_species": {
            name: float(np.sqrt((difference[kind == number] ** 2).mean()))
            for number, name in enumerate(potential.species)
        },
        "energy_rmse": float(1e3 * np.std(energy)),
        "stress_rmse": float(np.sqrt(np.mean(np.square(stress))) * unit)
        if stress
        else None,
        "forces_predicted": np.concatenate(predicted),
    }
