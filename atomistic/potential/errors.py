"""Errors of a potential on labelled frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ...core.units import ANGSTROM, EV, GPA
from .baseline import without_baseline
from .data import batch, load_frames
from .derivatives import derivatives
from .potential import Potential


def errors(potential: Potential, sets: Sequence[xr.Dataset]) -> dict:
    """Errors on labelled frames.

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
        ``force_rmse``, ``force_mae`` (eV/A), ``force_rmse_by_species``, ``energy_rmse``
        (meV/atom, about the mean error), ``stress_rmse`` (GPa, ``None`` without labels),
        ``forces_predicted`` (eV/A, all atoms of all frames).
    """
    cutoff = potential.model.cutoff
    if potential.baseline is not None:
        oracle = potential.baseline.calculator
        sets = [without_baseline(ds, oracle, source="baseline") for ds in sets]
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
