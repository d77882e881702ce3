"""Labels as training data, and whole sets of them as one file that can be committed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from ase import Atoms

from ...core.artefact import read_model, write_model
from ...core.errors import InputError, SchemaError
from ..named_oracle import canonical
from ..potential.labelled_frame import Keys, labelled_frame
from ..potential.reading import grouped
from .label import Failed, Label, label_key

#: Tensors of a set: with a row for every atom, and with one for every label.
PER_ATOM, PER_LABEL = (
    ("numbers", "positions", "forces"),
    ("cell", "pbc", "charge", "energy", "cpu_s", "wall_s", "made"),
)


def labelled_frames(
    atoms: Sequence[Atoms], labels: Sequence[Label | Failed], source: str
) -> list[xr.Dataset]:
    """Labels as `frames/1`, for `atomistic.potential.train`.

    Parameters
    ----------
    atoms
        What was labelled; ``info["config_type"]`` names the group of a frame.
    labels
        Theirs, in the same order; failures are left out.
    source
        Name of the reference.

    Returns
    -------
    list of xarray.Dataset
        By composition, periodicity, charge and labels; SI.

    Raises
    ------
    InputError
        When no label is left, atoms overlap, or labels are of other atoms.
    """
    keys, rows = Keys(), []
    for i, (given, label) in enumerate(zip(atoms, labels, strict=True)):
        if isinstance(label, Failed):
            continue
        frame = label.atoms()
        if len(given) != len(frame) or (given.positions != frame.positions).any():
            raise InputError(
                f"label {i} is of other atoms", got=frame.get_chemical_formula(),
                wanted="labels in the order of the atoms",
            )  # fmt: skip
        found = {keys.group: given.info.get(keys.group, "all"),
                 keys.energy: label.energy, keys.forces: label.forces,
                 keys.stress: label.stress, keys.total_charge: label.charge}  # fmt: skip
        rows.append(labelled_frame(Path(source), i, frame, found, keys))
    return grouped(rows, source)


def write_labels(
    path: Path | str, labels: Sequence[Label], *, structures: str = ""
) -> None:
    """Write labels of one oracle as one `labels/1` file (safetensors; eV, A, e).

    Parameters
    ----------
    path
        Is replaced whole.
    labels
        With the same settings and, all or none, stress.
    structures
        Where the structures are from, kept in the header.

    Raises
    ------
    InputError
        When there are none, or they are of several oracles.
    """
    settings = {canonical(label.settings) for label in labels}
    stresses = {label.stress is None for label in labels}
    if len(settings) != 1 or len(stresses) != 1:
        raise InputError(
            "labels that do not belong in one file", wanted="labels of one oracle",
            got=f"{len(labels)} labels of {len(settings)} oracles, "
            f"{sum(label.stress is None for label in labels)} without stress",
        )  # fmt: skip
    versions = list(dict.fromkeys(canonical(label.versions) for label in labels))
    tensors = {
        name: np.concatenate([getattr(label, name) for label in labels])
        for name in PER_ATOM
    } | {name: np.array([getattr(label, name) for label in labels]) for name in PER_LABEL}
    tensors["atoms"] = np.array([len(label.numbers) for label in labels])
    tensors["version"] = np.array([versions.index(canonical(v.versions)) for v in labels])
    if not stresses.pop():
        tensors["stress"] = np.array([label.stress for label in labels])
    header: Mapping[str, object] = {
        "settings": labels[0].settings,
        "versions": [json.loads(text) for text in versions],
        "structures": structures,
        "units": "eV, A, e, s; stress in Voigt order, tension positive",
    }
    write_model(path, "labels/1", header, tensors)


def read_labels(path: Path | str) -> list[Label]:
    """Labels of a `labels/1` file; `LabelStore.put` takes them.

    Raises
    ------
    InputError
        When there is no such file.
    SchemaError
        When it is broken or was altered.
    """
    header, tensors = read_model(path, "labels/1")
    try:
        n, ends = len(tensors["atoms"]), np.cumsum(tensors["atoms"])[:-1]
        rows: dict[str, Any] = {name: np.split(tensors[name], ends) for name in PER_ATOM}
        rows |= {name: tensors[name] for name in ("cell", "pbc")}
        rows |= {name: tensors[name].tolist() for name in PER_LABEL if name not in rows}
        rows["stress"] = tensors.get("stress", [None] * n)
        rows["versions"] = [header["versions"][k] for k in tensors["version"]]
        rows["settings"] = [header["settings"]] * n
        labels = [_keyed({name: rows[name][i] for name in rows}) for i in range(n)]
    except (KeyError, ValueError, IndexError, TypeError) as exc:
        raise SchemaError(f"{path} is broken", wanted="labels/1",
                          got=f"{type(exc).__name__}: {exc}") from exc  # fmt: skip
    return labels


def _keyed(values: dict) -> Label:
    label = Label(key="", **values)
    return replace(label, key=label_key(label.settings, label.atoms(), label.charge))
