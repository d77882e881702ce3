"""What a potential says of labelled frames, beside the labels, and its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...core.stats import bootstrap_weights, estimate, interval95
from ...core.units import ANGSTROM, EV, GPA
from .baseline import without_baseline
from .charges import born_charges, charges_of, dipoles
from .data import Frame, batch, load_frames
from .derivatives import derivatives
from .loss import batches
from .model import CartesianACE
from .potential import Potential

REPLICATES = 400
#: Frames below which an interval from resampling them says nothing.
FEWEST = 5
#: Units of values and of errors, and how many of these one of those is.
UNITS = {
    "energy": ("eV/atom", "meV/atom", 1e3), "forces": ("eV/A", "meV/A", 1e3),
    "stress": ("GPa", "GPa", 1.0), "charge": ("e", "e", 1.0),
    "dipole": ("e A", "e A", 1.0), "born_charge": ("e", "e", 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Pairs:
    """Labels and predictions of one quantity: M rows, of atoms or of whole frames.

    Attributes
    ----------
    values
        Labels and predictions, shape (2, M, C), in the first unit of `UNITS`.
    frame
        Of each row, shape (M,).
    element
        Of each row, shape (M,); empty names where rows are frames.
    """

    values: np.ndarray
    frame: np.ndarray
    element: np.ndarray


@dataclass(frozen=True)
class Predictions:
    """Labels and predictions of F frames.

    Attributes
    ----------
    pairs
        By quantity, in the order of `UNITS`; without those that no frame is labelled
        with.
    group
        Of each frame, shape (F,).
    charges
        Predicted charges (e) by element; none without predicted charges.
    """

    pairs: dict[str, Pairs]
    group: np.ndarray
    charges: dict[str, np.ndarray]


class Collected:
    """Labels and predictions, put together frame by frame."""

    def __init__(self):
        self._parts = {}

    def add(self, quantity: str, frame: int, label, predicted, elements=("",)) -> None:
        """One quantity of one frame, a row for each of `elements`; no label, no rows."""
        if label is not None:
            n = len(elements)
            values = np.stack([np.reshape(x, (n, -1)) for x in (label, predicted)])
            part = values.astype(float), np.full(n, frame), np.array(elements)
            self._parts.setdefault(quantity, []).append(part)

    def pairs(self) -> dict[str, Pairs]:
        """All that was added."""
        found = {}
        for name in (name for name in UNITS if name in self._parts):
            values, frame, element = zip(*self._parts[name], strict=True)
            joined = np.concatenate(values, 1), *map(np.concatenate, (frame, element))
            found[name] = Pairs(*joined)
        return found


def predict(
    model: CartesianACE, frames: Sequence[Frame], species: Sequence[str]
) -> Predictions:
    """Labels and predictions of frames; energies beyond the model's of the elements.

    Parameters
    ----------
    model
        Trained.
    frames
        With neighbours up to the cut-off of the model; at least one.
    species
        Symbols the model knows, in its order.
    """
    collected, names = Collected(), np.array(species)
    shift, unit = model.shift.detach().cpu().numpy(), EV / ANGSTROM**3 / GPA
    charges: dict[str, list] = {}
    done = 0
    for some in batches(frames):
        found = _of_batch(model, some)
        for i, f in enumerate(some):
            k, here = done + i, {name: of[i] for name, of in found.items()}
            elements, free = names[f.species], shift[f.species].sum()
            energy = np.array([f.energy, here["energy"]]) - free
            collected.add("energy", k, *energy / len(elements))
            collected.add("forces", k, f.forces, here["forces"], elements)
            if f.virial is not None:
                stress = np.stack([f.virial, here["virial"]]) * (unit / f.volume)
                collected.add("stress", k, *stress)
            if f.system is None or "charge" not in here:
                continue
            s = f.system
            collected.add("charge", k, s.charges, here["charge"], elements)
            collected.add("dipole", k, s.dipole, here["dipole"])
            if s.born is not None:
                collected.add("born_charge", k, s.born, here["born_charge"], elements)
            for name in np.unique(elements):
                charges.setdefault(name, []).append(here["charge"][elements == name])
        done += len(some)
    group = np.array([f.group for f in frames])
    each = {str(name): np.concatenate(charges[name]) for name in sorted(charges)}
    return Predictions(collected.pairs(), group, each)


def _of_batch(model: CartesianACE, some: Sequence[Frame]) -> dict[str, list]:
    """What a model says of some frames: quantity -> one array a frame."""
    b = batch(some, model.cutoff, model.dtype).to(str(model.shift.device))
    energy, forces, virial = derivatives(model, b)
    sizes = [len(f.species) for f in some]
    found = {"energy": energy, "forces": forces.split(sizes), "virial": virial}
    if model.charges is not None:
        charges = charges_of(model, b)
        found["charge"], found["dipole"] = charges.split(sizes), dipoles(charges, b)
        if any(s.born is not None for s in b.systems):
            found["born_charge"] = born_charges(charges, b).split(sizes)
    return {
        name: [x.detach().double().cpu().numpy() for x in of]
        for name, of in found.items()
    }


def errors(potential: Potential, sets: Sequence[xr.Dataset]) -> dict:
    """Errors of a potential on labelled frames, as plain numbers.

    Parameters
    ----------
    potential
        What is judged.
    sets
        `frames/1` with the labels the potential gives: whole with a baseline attached,
        otherwise the residual it was trained on.

    Returns
    -------
    dict
        ``force_rmse`` (eV/A), ``energy_rmse`` (meV/atom, about the mean error),
        ``stress_rmse`` (GPa, ``None`` without labels), ``forces_predicted`` (eV/A, all
        atoms of all frames).
    """
    if potential.baseline is not None:
        oracle = potential.baseline.calculator
        sets = [without_baseline(ds, oracle, source="baseline") for ds in sets]
    model = potential.model
    frames = load_frames(sets, potential.species, model.cutoff)
    pairs = predict(model, frames, potential.species).pairs
    off = {name: np.diff(of.values, axis=0) for name, of in pairs.items()}
    rms = {name: float(np.sqrt(np.mean(x**2))) for name, x in off.items()}
    return {
        "force_rmse": rms["forces"], "energy_rmse": float(1e3 * np.std(off["energy"])),
        "stress_rmse": rms.get("stress"), "forces_predicted": pairs["forces"].values[1],
    }  # fmt: skip


def error_table(p: Predictions, seed: int = 0) -> list[dict]:
    """Root mean squared and mean absolute errors, with intervals over frames.

    Returns
    -------
    list of dict
        ``quantity``, ``unit``, ``group`` (also ``"all"``), ``element`` (``None``: all),
        ``frames``, ``rms`` of the labels, ``rmse``, ``mae`` and, of energies,
        ``rmse_centred`` about the mean error, each of these three ``{"value", "ci95"}``.
        Frames are drawn as if independent: those of one trajectory are less so, and the
        intervals too narrow.
    """
    rows = []
    for quantity, pairs in p.pairs.items():
        group = p.group[pairs.frame]
        groups = sorted(set(group) - {"all"}) if len(set(group)) > 1 else []
        elements = sorted(set(pairs.element)) if len(set(pairs.element)) > 1 else []
        for name in ("all", *groups):
            inside = np.full(len(group), True) if name == "all" else group == name
            for element in (None, *elements):
                chosen = inside & (pairs.element == element) if element else inside
                if chosen.any():
                    row = {"quantity": quantity, "unit": UNITS[quantity][1]}
                    row |= {"group": str(name), "element": element and str(element)}
                    rows.append(row | _errors(quantity, pairs, chosen, seed))
    return rows


def row_of(
    table: Sequence[dict], quantity: str, group: str = "all", element: str | None = None
) -> dict:
    """One row of `error_table`."""
    wanted = quantity, group, element
    return next(r for r in table if (r["quantity"], r["group"], r["element"]) == wanted)


def _errors(quantity: str, pairs: Pairs, chosen: np.ndarray, seed: int) -> dict:
    """Errors of some rows, frames resampled."""
    label, predicted = UNITS[quantity][2] * pairs.values[:, chosen]
    _, place = np.unique(pairs.frame[chosen], return_inverse=True)
    count = np.bincount(place)
    n = len(count)
    weights = bootstrap_weights(n, REPLICATES, seed)

    def mean(x: np.ndarray) -> np.ndarray:
        return weights @ np.bincount(place, x.mean(1)) / (weights @ count)

    error = predicted - label
    square = mean(error**2)
    found = {
        "frames": n, "rms": float(np.sqrt(mean(label**2)[0])),
        "rmse": _estimate(np.sqrt(square), n), "mae": _estimate(mean(np.abs(error)), n),
    }  # fmt: skip
    if quantity == "energy" and n > 1:
        centred = np.sqrt(np.maximum(square - mean(error) ** 2, 0))
        found["rmse_centred"] = _estimate(centred, n)
    return found


def _estimate(replicates: np.ndarray, n: int) -> dict:
    """With an interval that is symmetric in the logarithm, as of a scale."""
    if n < FEWEST:
        return {"value": float(replicates[0]), "ci95": None}
    if not (replicates > 0).all():
        found = estimate(replicates, n)
        found["ci95"][0] = max(0.0, found["ci95"][0])
        return found
    low, high = np.exp(interval95(np.log(replicates), n))
    return {"value": float(replicates[0]), "ci95": [float(low), float(high)]}
