"""Uncertainty along trajectories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from ...core.schema import dataset
from ...core.units import ANGSTROM, EV
from ..potential.potential import Potential
from ..potential.verlet import VerletList

#: Atoms that are looked at together.
ATOMS = 2000


def with_uncertainty(
    frames: xr.Dataset,
    potential: Potential,
    *,
    progress: Callable[[float, float, str], None] | None = None,
) -> xr.Dataset:
    """Frames with ``force_std`` and ``distance`` of every atom, as a potential sees them.

    Parameters
    ----------
    frames
        `frames/1`, of that potential's dynamics or of any other.
    potential
        Calibrated (`calibrate`).
    progress
        Called with (done, of how much, text).

    Raises
    ------
    InputError
        When it was not calibrated.
    """
    potential.calibrated()
    species = list(potential.numbers(frames["species"].values))
    pbc = [flag == "T" for flag in frames.attrs.get("pbc", "TTT")]
    charge = float(frames.attrs.get("charge_number", 0.0))
    n, each = frames.sizes["frame"], max(1, ATOMS // len(species))
    lists = [VerletList(potential.model.cutoff) for _ in range(each)]
    std, distance = np.empty((n, len(species))), np.empty((n, len(species)))
    for first in range(0, n, each):
        part = frames.isel(frame=slice(first, first + each))
        found = potential.evaluate_many(
            part["positions"].values / ANGSTROM, species, part["box"].values / ANGSTROM,
            pbc, charge, stress=False, spread=True, verlets=lists[: part.sizes["frame"]],
        )  # fmt: skip
        for k, one in enumerate(found, first):
            std[k], distance[k] = one.force_std, one.distances
        if progress is not None:
            progress(min(first + each, n), n, "uncertainty")
    values = {str(k): v.values for k, v in frames.variables.items()}
    values |= {"force_std": std * EV / ANGSTROM, "distance": distance}
    return dataset("frames/1", values, frames.attrs)
