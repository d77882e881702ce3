"""Labelled configurations from files: extxyz, all that ASE reads, npz, `frames/1`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import vesin
import xarray as xr
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from ...core.artefact import existing, read_dataset
from ...core.errors import InputError
from ...core.schema import dataset
from ...core.units import ANGSTROM, DALTON, EV

#: Groups that hold single atoms in vacuum, in the spelling of common data sets.
ISOLATED = ("isolated_atom", "isolatedatom")
#: A; atoms that are nearer overlap (or lengths are in nm).
OVERLAP = 0.3
#: Room around a molecule that has no cell, A.
ROOM = 10.0


@dataclass(frozen=True)
class Keys:
    """What labels are called in a file.

    Attributes
    ----------
    energy, forces, stress, virial, group
        eV, eV/A, eV/A^3 (ASE's sign: tension positive), eV (the opposite sign, minus
        stress times volume, as extxyz files have it), and name of the group.
    """

    energy: str = "energy"
    forces: str = "forces"
    stress: str = "stress"
    virial: str = "virial"
    group: str = "config_type"


@dataclass(frozen=True)
class _Row:
    """One frame as read, eV and A."""

    atoms: Atoms
    energy: float
    forces: np.ndarray
    stress: np.ndarray | None
    group: str


def read_labelled(
    path: Path | str, keys: Keys | None = None, *, stress: bool = False
) -> list[xr.Dataset]:
    """Labelled frames of a file, grouped by composition, periodicity and labels.

    Parameters
    ----------
    path
        extxyz or any file that ASE reads (also its databases), npz with the keys Z,
        positions, forces, energy and, optionally, cell, pbc, stress and the group; or
        NetCDF with `frames/1`. eV and A but for the last.
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
        When the file cannot be read, or a label is missing or not finite; names it.
    """
    path, keys = existing(path), keys or Keys()
    if path.suffix == ".nc":
        sets = [read_dataset(path, "frames/1")]
        if "energy" not in sets[0]:
            raise _lacking(path, 0, "energy", "a variable energy", "none")
        sets = [_named(ds) for ds in sets]
    else:
        read = _npz if path.suffix == ".npz" else _ase
        rows = [_row(path, i, *each, keys) for i, each in enumerate(read(path, keys))]
        sets = _grouped(rows, path.name)
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


def _lacking(path: Path, frame: int, what: str, wanted: str, got: str) -> InputError:
    return InputError(
        f"{path}: frame {frame} has no usable {what}", wanted=wanted, got=got,
        mend="name the key under which it is stored, or leave the frame out",
    )  # fmt: skip


def _ase(path: Path, keys: Keys) -> Iterator[tuple[Atoms, Mapping[str, Any]]]:
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


def _npz(path: Path, keys: Keys) -> Iterator[tuple[Atoms, Mapping[str, Any]]]:
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


def _row(path: Path, i: int, atoms: Atoms, found: Mapping, keys: Keys) -> _Row:
    """One frame, complete, or an error that names it."""
    unknown = sorted({s for s in atoms.get_chemical_symbols() if s == "X"})
    if unknown or len(atoms) == 0:
        raise _lacking(path, i, "species", "chemical symbols", ", ".join(unknown))
    group = str(found.get(keys.group, found.get("source", "all")))
    alone = len(atoms) == 1 and (
        not atoms.pbc.any() or group.lower().replace(" ", "_") in ISOLATED
    )
    if alone:
        atoms.pbc, group = False, ISOLATED[0]
        found = {keys.forces: np.zeros((1, 3)), **found}
    lengths = atoms.cell.lengths()
    if (atoms.pbc & (lengths == 0)).any() or (atoms.pbc.all() and atoms.cell.rank < 3):
        raise _lacking(path, i, "cell", "box vectors of the periodic directions",
                       f"lengths {np.round(lengths, 3)} A, pbc {atoms.pbc}")  # fmt: skip
    energy = _numbers(path, i, found, keys.energy, ())
    forces = _numbers(path, i, found, keys.forces, (len(atoms), 3))
    stress = _stress(path, i, found, atoms, keys) if atoms.pbc.all() else None
    _finite(path, i, "positions", atoms.positions)
    atoms = _boxed(atoms)
    _apart(path, i, atoms)
    return _Row(atoms, float(energy), forces, stress, group)


def _apart(path: Path, i: int, atoms: Atoms) -> None:
    """Refuse atoms on top of each other."""
    finder = vesin.NeighborList(cutoff=OVERLAP, full_list=False)
    a, b, d = finder.compute(points=atoms.positions, box=np.array(atoms.cell),
                             periodic=list(atoms.pbc), quantities="ijd")  # fmt: skip
    if len(d):
        n = int(np.argmin(d))
        raise InputError(
            f"{path}: frame {i} has atoms that overlap", wanted=f"at least {OVERLAP} A",
            got=f"{d[n]:.3g} A between atoms {a[n]} and {b[n]}",
            mend="leave the frame out; lengths in nm must become A",
        )  # fmt: skip


def _numbers(path: Path, i: int, found: Mapping, key: str, shape: tuple) -> np.ndarray:
    if found.get(key) is None:
        near = ", ".join(sorted(map(str, found)))
        raise _lacking(path, i, key, f"a label {key}", f"only {near}")
    try:
        value = np.asarray(found[key], dtype=float).reshape(shape)
    except (ValueError, TypeError) as exc:
        got = f"shape {np.shape(found[key])}"
        raise _lacking(path, i, key, f"numbers of shape {shape}", got) from exc
    return _finite(path, i, key, value)


def _finite(path: Path, i: int, key: str, value: np.ndarray) -> np.ndarray:
    if not np.isfinite(value).all():
        raise _lacking(path, i, key, "finite numbers", "NaN or infinity")
    return value


def _stress(path, i, found: Mapping, atoms: Atoms, keys: Keys) -> np.ndarray | None:
    """Stress (3, 3), eV/A^3, tension positive, from either convention."""
    for key, scale in (
        (keys.stress, 1.0),
        (keys.virial, -1 / atoms.get_volume()),
        (f"{keys.virial}s", -1 / atoms.get_volume()),
    ):
        if found.get(key) is not None:
            size = np.size(found[key])
            value = _numbers(path, i, found, key, (6,) if size == 6 else (3, 3))
            full = voigt_6_to_full_3x3_stress(value) if size == 6 else value
            return scale * 0.5 * (full + full.T)
    return None


def _boxed(atoms: Atoms) -> Atoms:
    """With box vectors of some length in directions that do not repeat."""
    missing = atoms.cell.lengths() == 0
    if missing.any():
        extent = float(np.ptp(atoms.positions, axis=0).max()) + ROOM
        cell = np.array(atoms.cell.complete())
        cell[missing] *= extent
        atoms.set_cell(cell)
    return atoms


def _grouped(rows: list[_Row], source: str) -> list[xr.Dataset]:
    kinds: dict[tuple, list[_Row]] = {}
    for row in rows:
        symbols = tuple(row.atoms.get_chemical_symbols())
        pbc = "".join("FT"[int(p)] for p in row.atoms.pbc)
        kinds.setdefault((symbols, pbc, row.stress is not None), []).append(row)
    if not kinds:
        raise InputError(f"{source} holds no frames", wanted="labelled frames")
    sets = []
    for (symbols, pbc, stressed), members in kinds.items():
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
        if stressed:
            stress = np.array([r.stress for r in members])
            values["stress"] = stress * (EV / ANGSTROM**3)
        sets.append(dataset("frames/1", values, {"source": source, "pbc": pbc}))
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
        Of every group in every set that is held out, rounded up; one frame of a group
        always stays.
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
    for ds in sets:
        out = np.zeros(ds.sizes["frame"], dtype=bool)
        if not is_isolated(ds):
            for group in dict.fromkeys(ds["group"].values):
                members = np.nonzero(ds["group"].values == group)[0]
                n = min(int(np.ceil(fraction * len(members))), len(members) - 1)
                chosen = members if rng is None else rng.permutation(members)
                out[chosen[len(members) - n :]] = True
        training.append(ds.isel(frame=~out))
        validation.append(ds.isel(frame=out))
    return _filled(training), _filled(validation)


def _filled(sets: list[xr.Dataset]) -> list[xr.Dataset]:
    return [ds for ds in sets if ds.sizes["frame"]]
