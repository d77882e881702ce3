"""What a potential says of labelled frames, beside the labels, and its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.stats import bootstrap_weights, estimate, interval95
from ...core.units import ANGSTROM, EV, GPA
from .data import Frame, batch
from .derivatives import derivatives
from .loss import batches
from .model import CartesianACE

REPLICATES = 200


@dataclass(frozen=True)
class Predictions:
    """Labels and predictions; F frames, N atoms of all frames, S frames with stress.

    Attributes
    ----------
    forces
        Labels and predictions, shape (2, N, 3), eV/A.
    species, frame
        Of each atom, shape (N,).
    energy
        Per atom, beyond that of free atoms of the model, shape (2, F), eV.
    group
        Of each frame, shape (F,).
    stress
        Shape (2, S, 3, 3), GPa.
    stressed
        Which frame each stress is of, shape (S,).
    """

    forces: np.ndarray
    species: np.ndarray
    frame: np.ndarray
    energy: np.ndarray
    group: np.ndarray
    stress: np.ndarray
    stressed: np.ndarray


def predict(model: CartesianACE, frames: Sequence[Frame]) -> Predictions:
    """Labels and predictions of frames.

    Parameters
    ----------
    model
        Trained.
    frames
        With neighbours up to the cut-off of the model; at least one.
    """
    forces, energy, stress = [], [], []
    device = model.shift.device.type
    for some in batches(frames):
        b = batch(some, model.cutoff, model.dtype).to(device)
        e, f, v = derivatives(model, b)
        forces.append(f.double().cpu().numpy())
        energy.append(e.cpu().numpy())
        stress.append((v / b.volume[:, None, None]).double().cpu().numpy())
    sizes = np.array([len(f.species) for f in frames])
    shift = model.shift.detach().cpu().numpy()
    free = np.array([shift[f.species].sum() for f in frames])
    labels = np.array([f.energy for f in frames])
    stressed = np.array([i for i, f in enumerate(frames) if f.virial is not None], int)
    wanted = [frames[i].virial / frames[i].volume for i in stressed]
    unit = EV / ANGSTROM**3 / GPA
    return Predictions(
        forces=np.stack([np.concatenate([f.forces for f in frames]), _joined(forces)]),
        species=np.concatenate([f.species for f in frames]),
        frame=np.repeat(np.arange(len(frames)), sizes),
        energy=(np.stack([labels, _joined(energy)]) - free) / sizes,
        group=np.array([f.group for f in frames]),
        stress=unit
        * np.stack([np.reshape(wanted, (-1, 3, 3)), _joined(stress)[stressed]]),
        stressed=stressed,
    )


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts)


def error_table(p: Predictions, species: Sequence[str], seed: int = 0) -> dict:
    """Root mean squared and mean absolute errors, with intervals over frames.

    Returns
    -------
    dict
        Name of a group, of an element (``"element H"``) or ``"all"`` -> ``"frames"`` and,
        where there are labels, ``"force"`` (meV/A), ``"energy"`` (meV/atom),
        ``"stress"`` (GPa), each of ``{"rmse", "mae"}`` of ``{"value", "ci95"}``. Frames
        are drawn as if independent: those of one trajectory are less so, and the
        intervals too narrow.
    """
    n = p.energy.shape[1]
    force = 1e3 * (p.forces[1] - p.forces[0])
    energy = 1e3 * (p.energy[1] - p.energy[0])
    stress = (p.stress[1] - p.stress[0]).reshape(-1, 9)
    table = {}
    every = np.ones(n, bool)
    chosen = {"all": (every, np.ones(len(p.species), bool))}
    for group in dict.fromkeys(p.group):
        inside = p.group == group
        chosen[str(group)] = inside, inside[p.frame]
    for number, name in enumerate(species):
        chosen[f"element {name}"] = every, p.species == number
    for name, (frames, atoms) in chosen.items():
        row: dict = {"frames": int(np.unique(p.frame[atoms]).size)}
        row["force"] = _errors(force[atoms], p.frame[atoms], seed)
        if not name.startswith("element "):
            row["energy"] = _errors(energy[frames, None], np.nonzero(frames)[0], seed)
            rows = frames[p.stressed]
            row["stress"] = _errors(stress[rows], p.stressed[rows], seed)
        table[name] = {k: v for k, v in row.items() if v is not None}
    return table


def _errors(difference: np.ndarray, frame: np.ndarray, seed: int) -> dict | None:
    """RMSE and MAE of rows (M, C), frames resampled."""
    if not len(difference):
        return None
    _, frame = np.unique(frame, return_inverse=True)
    count = np.bincount(frame) * difference.shape[1]
    weights = bootstrap_weights(len(count), REPLICATES, seed)
    square = np.bincount(frame, (difference**2).sum(1))
    absolute = np.bincount(frame, np.abs(difference).sum(1))
    total, n_units = weights @ count, len(count)
    return {
        "rmse": _positive(np.sqrt(weights @ square / total), n_units),
        "mae": _positive(weights @ absolute / total, n_units),
    }


def _positive(replicates: np.ndarray, n_units: int) -> dict:
    """Estimate with an interval that is symmetric in the logarithm, as of a scale."""
    if n_units < 2 or not (replicates > 0).all():
        return estimate(replicates, n_units)
    value = float(replicates[0])
    low, high = np.exp(interval95(np.log(replicates), n_units))
    return {"value": value, "ci95": [float(low), float(high)]}
