"""Labelled frames as ASE atoms, whatever they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from ...core.artefact import existing, read_dataset
from ...core.errors import InputError
from ...core.units import ANGSTROM, ELEMENTARY_CHARGE, EV
from ..oracle import frame_atoms
from ..potential.labelled_frame import Keys
from ..potential.reading import LABELS, read_labelled

#: Key of `Atoms.info` that names the group of a frame.
GROUP = "config_type"


def labelled_atoms(ds: xr.Dataset) -> list[Atoms]:
    """Every frame of a `frames/1` data set, its labels in a calculator (eV, A).

    Their groups and total charges are in ``info``.
    """
    n = ds.sizes["frame"]
    groups = ds["group"].values if "group" in ds else np.full(n, "all")
    frames = []
    for i in range(n):
        atoms = frame_atoms(ds, i)
        labels = {"forces": ds["forces"].values[i] * ANGSTROM / EV}
        if "energy" in ds:
            labels["energy"] = float(ds["energy"].values[i]) / EV
        if "charge" in ds:
            labels["charges"] = ds["charge"].values[i] / ELEMENTARY_CHARGE
        if "dipole" in ds:
            labels["dipole"] = ds["dipole"].values[i] / (ELEMENTARY_CHARGE * ANGSTROM)
        if "stress" in ds:
            labels["stress"] = _voigt(ds["stress"].values[i] * ANGSTROM**3 / EV)
        atoms.calc = SinglePointCalculator(atoms, **labels)
        atoms.info[GROUP] = str(groups[i])
        frames.append(atoms)
    return frames


def _voigt(full: np.ndarray) -> np.ndarray:
    return full[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]


def read_frames(path: Path | str, keys: Keys | None = None) -> list[Atoms]:
    """Frames of a file: `frames/1`, npz, `labels/1`, or any that ASE reads (extxyz).

    Parameters
    ----------
    path
        Of the file.
    keys
        What labels are called in it; then every frame must have energy and forces.

    Raises
    ------
    InputError
        When the file cannot be read, or lacks what was named.
    """
    path = existing(path)
    if path.suffix == ".nc":
        return labelled_atoms(read_dataset(path, "frames/1"))
    if path.suffix in (".npz", LABELS) or keys is not None:
        sets = read_labelled(path, keys)
        return [atoms for ds in sets for atoms in labelled_atoms(ds)]
    from ase.io import read

    try:
        found = read(path, index=":")
    except Exception as exc:  # ASE's readers raise many kinds
        raise InputError(
            f"{path} cannot be read", wanted="frames/1, or a file that ASE reads",
            got=str(exc).splitlines()[0] if str(exc) else type(exc).__name__,
        ) from exc  # fmt: skip
    return found if isinstance(found, list) else [found]
