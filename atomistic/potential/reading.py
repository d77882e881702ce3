"""Labelled configurations from files: extxyz, all that ASE reads, npz, `frames/1`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from ase import Atoms

from ...core.artefact import existing, read_dataset
from ...core.errors import InputError
from ...core.schema import dataset
from ...core.units import ANGSTROM, DALTON, ELEMENTARY_CHARGE, EV
from ..oracle import frame_atoms
from .labelled_frame import Keys, LabelledFrame, labelled_frame, lacking

#: Of files with `labels/1`.
LABELS = ".safetensors"
#: SI units of labels that need not be there.
UNITS = {
    "stress": EV / ANGSTROM**3, "charge": ELEMENTARY_CHARGE,
    "dipole": ELEMENTARY_CHARGE * ANGSTROM, "born_charge": ELEMENTARY_CHARGE,
}  # fmt: skip


def read_labelled(
    path: Path | str, keys: Keys | None = None, *, stress: bool = False
) -> list[xr.Dataset]:
    """Labelled frames of a file, grouped by composition, periodicity, charge and labels.

    Parameters
    ----------
    path
        extxyz or any file that ASE reads (also its databases), npz with the keys Z,
        positions, forces, energy and, optionally, cell, pbc, stress, the group and
        labels of charges; `labels/1` (safetensors); or NetCDF with `frames/1`. eV, A and
        e but for the last.
    keys
        What labels are called in extxyz and npz.
    stress
        Whether every frame that is periodic in all directions must have it.

    Returns
    -------
    list of xarray.Dataset
        `frames/1`, SI; ``group`` says what each frame was made for. Single atoms in
        vacuum need no forces.

    Raises
    ------
    InputError
        When the file cannot be read, or a label is missing, not finite or of another
        shape; names it.
    """
    path, keys = existing(path), keys or Keys()
    if path.suffix == ".nc":
        sets = [read_dataset(path, "frames/1")]
        if "energy" not in sets[0]:
            raise lacking(path, 0, "energy", "a variable energy", "none")
        sets = [_named(ds) for ds in sets]
    else:
        keys = Keys() if path.suffix == LABELS else keys
        frames = enumerate(_reader(path)(path))
        rows = [labelled_frame(path, i, *each, keys) for i, each in frames]
        named = keys.total_charge != Keys.total_charge
        if named and all(row.total_charge is None for row in rows):
            raise lacking(path, 0, keys.total_charge, "a total charge", "none anywhere")
        sets = grouped(rows, path.name)
    for ds in sets:
        wanted = stress and ds.attrs.get("pbc", "TTT") == "TTT"
        if wanted and "stress" not in ds:
            raise InputError(
                f"{path} has frames without stress", wanted="stress of periodic frames",
                got=f"none for {ds.sizes['frame']} frames of {ds.sizes['atom']} atoms",
                mend=f"label them, name the key ({keys.stress} or {keys.virial} was "
                "looked for), or do not ask for stress",
            )  # fmt: skip
    return sets


def read_structures(path: Path | str) -> list[Atoms]:
    """Configurations of a file, with or without labels.

    Parameters
    ----------
    path
        As of `read_labelled`; npz needs only Z and positions.

    Raises
    ------
    InputError
        When the file cannot be read or holds none.
    """
    path = existing(path)
    if path.suffix == ".nc":
        frames = read_dataset(path, "frames/1")
        found = [frame_atoms(frames, i) for i in range(frames.sizes["frame"])]
    else:
        found = [atoms for atoms, _ in _reader(path)(path)]
    if not found:
        raise InputError(f"{path} holds no frames", wanted="configurations")
    return found


def _reader(path: Path) -> Callable[[Path], Iterator[tuple[Atoms, Mapping[str, Any]]]]:
    return {".npz": _npz, LABELS: _labels}.get(path.suffix, _ase)


def _labels(path: Path) -> Iterator[tuple[Atoms, Mapping[str, Any]]]:
    from ..labels.sets import read_labels  # which groups its frames as here

    for label in read_labels(path):
        yield label.atoms(), {
            Keys.energy: label.energy, Keys.forces: label.forces,
            Keys.stress: label.stress, Keys.total_charge: label.charge,
        }  # fmt: skip


def _ase(path: Path) -> Iterator[tuple[Atoms, Mapping[str, Any]]]:
    done = 0
    try:
        for atoms, named in _ase_frames(path):
            done += 1
            results = atoms.calc.results if atoms.calc else {}
            yield atoms, named | atoms.info | atoms.arrays | results
    except InputError:
        raise
    except Exception as exc:  # ASE's readers raise many kinds
        raise InputError(
            f"{path} cannot be read after {done} frames" if done
            else f"{path} cannot be read",
            wanted="extxyz, or another file that ASE reads; npz; NetCDF (frames/1)",
            got=f"{type(exc).__name__}: {exc}".splitlines()[0],
        ) from exc  # fmt: skip


def _ase_frames(path: Path) -> Iterator[tuple[Atoms, dict]]:
    from ase.db import connect
    from ase.io import iread

    if path.suffix == ".db":
        with connect(path) as db:
            yield from ((row.toatoms(), row.key_value_pairs) for row in db.select())
    else:
        yield from ((atoms, {}) for atoms in iread(path, index=":"))


def _npz(path: Path) -> Iterator[tuple[Atoms, Mapping[str, Any]]]:
    try:
        with np.load(path, allow_pickle=False) as handle:
            data = {key: handle[key] for key in handle.files}
        numbers, positions = data.pop("Z"), data.pop("positions")
        n = len(positions)
        cell = data.pop("cell", None)
        pbc = data.pop("pbc", cell is not None)
        for i in range(n):
            atoms = Atoms(
                numbers[i] if numbers.ndim == 2 else numbers,
                positions[i].astype(float),
                cell=None if cell is None else (cell[i] if cell.ndim == 3 else cell),
                pbc=pbc[i] if np.ndim(pbc) == 2 else pbc,
            )
            yield atoms, {k: v[i] for k, v in data.items() if len(np.shape(v)) and
                          len(v) == n}  # fmt: skip
    except (OSError, ValueError, KeyError, IndexError, TypeError) as exc:
        raise InputError(
            f"{path} cannot be read", got=f"{type(exc).__name__}: {exc}".splitlines()[0],
            wanted="npz with Z, positions, energy, forces; also cell, pbc, stress",
        ) from exc  # fmt: skip


def grouped(rows: list[LabelledFrame], source: str) -> list[xr.Dataset]:
    """Frames as `frames/1`, by composition, periodicity, charge and labels."""
    kinds: dict[tuple, list[LabelledFrame]] = {}
    for row in rows:
        symbols = tuple(row.atoms.get_chemical_symbols())
        pbc = "".join("FT"[int(p)] for p in row.atoms.pbc)
        kind = symbols, pbc, row.total_charge or 0.0, tuple(row.labels)
        kinds.setdefault(kind, []).append(row)
    if not kinds:
        raise InputError(f"{source} holds no frames", wanted="labelled frames")
    sets = []
    for (symbols, pbc, total, labels), members in kinds.items():
        values = {
            "positions": np.array([r.atoms.positions for r in members]) * ANGSTROM,
            "forces": np.array([r.forces for r in members]) * (EV / ANGSTROM),
            "box": np.array([np.array(r.atoms.cell) for r in members]) * ANGSTROM,
            "species": np.array(symbols),
            "mass": members[0].atoms.get_masses() * DALTON,
            "time": np.zeros(len(members)),
            "energy": np.array([r.energy for r in members]) * EV,
            "group": np.array([r.group for r in members]),
        }
        for name in labels:
            values[name] = np.array([r.labels[name] for r in members]) * UNITS[name]
        attrs = {"source": source, "pbc": pbc}
        if total:
            attrs["charge_number"] = total
        sets.append(dataset("frames/1", values, attrs))
    return sets


def _named(ds: xr.Dataset) -> xr.Dataset:
    """With a group for every frame."""
    if "group" in ds:
        return ds
    return ds.assign(group=("frame", np.full(ds.sizes["frame"], "all")))


def is_isolated(ds: xr.Dataset) -> bool:
    """Whether a set holds single atoms in vacuum, whose energies are references."""
    return ds.sizes["atom"] == 1 and ds.attrs.get("pbc", "TTT") == "FFF"


def split(
    sets: list[xr.Dataset], fraction: float, *, seed: int | None = None
) -> tuple[list[xr.Dataset], list[xr.Dataset]]:
    """Training and validation frames; single atoms in vacuum all go to training.

    Parameters
    ----------
    sets
        As `read_labelled` gives them.
    fraction
        Of every group that is held out, rounded up; its sets share what is owed, and the
        first frame of a group always stays.
    seed
        Hold out frames drawn at random; ``None`` for the last ones, which are the most
        independent part of a trajectory.

    Raises
    ------
    InputError
        When the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise InputError("fraction of frames to hold out", wanted="between 0 and 1",
                         got=str(fraction))  # fmt: skip
    rng = None if seed is None else np.random.default_rng(seed)
    training, validation = [], []
    owed: dict[str, float] = {}  # frames of each group that are yet to be held out
    for ds in sets:
        out = np.zeros(ds.sizes["frame"], dtype=bool)
        if not is_isolated(ds):
            for group in dict.fromkeys(ds["group"].values):
                members = np.nonzero(ds["group"].values == group)[0]
                most = len(members) - (group not in owed)
                due = owed.get(group, 0.0) + fraction * len(members)
                n = min(max(0, int(np.ceil(due - 1e-9))), most)
                owed[group] = due - n
                chosen = members if rng is None else rng.permutation(members)
                out[chosen[len(members) - n :]] = True
        training.append(ds.isel(frame=~out))
        validation.append(ds.isel(frame=out))
    return _filled(training), _filled(validation)


def _filled(sets: list[xr.Dataset]) -> list[xr.Dataset]:
    return [ds for ds in sets if ds.sizes["frame"]]
