"""One labelled configuration as a file holds it: complete, or an error that names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from ...core.errors import InputError
from ..oracle import TOTAL_CHARGE
from .neighbours import near_pairs, spans

#: Groups that hold single atoms in vacuum, in the spelling of common data sets.
ISOLATED = ("isolated_atom", "isolatedatom")
#: A; atoms that are nearer overlap (or lengths are in nm).
OVERLAP = 0.3
#: Room around a molecule that has no cell, A.
ROOM = 10.0
#: What ASE calls charges of atoms, also a column ``charge`` of extxyz.
ASE_CHARGES = ("charges", "initial_charges")


@dataclass(frozen=True)
class Keys:
    """What labels are called in a file.

    Attributes
    ----------
    energy, forces, stress, virial, group
        eV, eV/A, eV/A^3 (ASE's sign: tension positive), eV (the opposite sign, minus
        stress times volume, as extxyz files have it), and name of the group.
    charge, dipole, born_charge
        Of each atom (e; ``initial_charges`` where no name is given and there are no
        ``charges``), of a neutral cluster (e A), and of each atom (e) as three rows or
        nine columns: rows of the polarisation, columns of the displacement.
    total_charge
        Of the frame, e; also ``charge`` where no other name is given; zero without.
    """

    energy: str = "energy"
    forces: str = "forces"
    stress: str = "stress"
    virial: str = "virial"
    group: str = "config_type"
    charge: str = "charges"
    dipole: str = "dipole"
    born_charge: str = "born_effective_charges"
    total_charge: str = TOTAL_CHARGE[0]


@dataclass(frozen=True)
class LabelledFrame:
    """One frame as read, eV, A and e.

    Attributes
    ----------
    labels
        Those of stress, charge, dipole and born_charge that there are.
    total_charge
        ``None`` where none was given.
    """

    atoms: Atoms
    energy: float
    forces: np.ndarray
    labels: Mapping[str, np.ndarray]
    total_charge: float | None
    group: str


def lacking(
    path: Path, frame: int, what: str, wanted: str, got: str,
    mend: str = "mend the frame, or leave it out",
) -> InputError:  # fmt: skip
    """Error about a label of a frame."""
    return InputError(
        f"{path}: frame {frame} has no usable {what}", wanted=wanted, got=got,
        mend=mend,
    )  # fmt: skip


def labelled_frame(
    path: Path, i: int, atoms: Atoms, found: Mapping, keys: Keys
) -> LabelledFrame:
    """Frame `i` of a file.

    Parameters
    ----------
    found
        All that the file says of it, by name.

    Raises
    ------
    InputError
        When a label is missing, not finite or of another shape, or the atoms are unknown,
        overlap or lack a cell.
    """
    unknown = sorted({s for s in atoms.get_chemical_symbols() if s == "X"})
    if unknown or len(atoms) == 0:
        raise lacking(path, i, "species", "chemical symbols", ", ".join(unknown))
    group = str(found.get(keys.group, found.get("source", "all")))
    alone = len(atoms) == 1 and (
        not atoms.pbc.any() or group.lower().replace(" ", "_") in ISOLATED
    )
    if alone:
        atoms.pbc, group = False, ISOLATED[0]
        found = {keys.forces: np.zeros((1, 3)), **found}
    if not spans(atoms.cell.array, atoms.pbc):
        got = f"{atoms.cell.array.round(3).tolist()} A, pbc {atoms.pbc}"
        wanted = "independent box vectors of the periodic directions"
        raise lacking(path, i, "cell", wanted, got)
    energy = _numbers(path, i, found, keys.energy, ())
    forces = _numbers(path, i, found, keys.forces, (len(atoms), 3))
    total = _total_charge(path, i, found, keys)
    labels = _optional(path, i, found, keys, atoms, neutral=not total)
    _finite(path, i, "positions", atoms.positions)
    atoms = _boxed(atoms)
    _apart(path, i, atoms)
    return LabelledFrame(atoms, float(energy), forces, labels, total, group)


def _optional(
    path, i, found: Mapping, keys: Keys, atoms: Atoms, *, neutral: bool
) -> dict[str, np.ndarray]:
    n = len(atoms)
    labels = {}
    if atoms.pbc.all() and (stress := _stress(path, i, found, atoms, keys)) is not None:
        labels["stress"] = stress
    names = [keys.charge]
    if keys.charge in ("charge", Keys.charge):
        names += ASE_CHARGES
    charge = next((k for k in names if found.get(k) is not None), keys.charge)
    wanted = {"charge": (charge, (n,)), "born_charge": (keys.born_charge, (n, 3, 3))}
    if neutral and not atoms.pbc.any():  # others depend on the origin
        wanted["dipole"] = keys.dipole, (3,)
    for name, (key, shape) in wanted.items():
        if found.get(key) is not None:
            labels[name] = _numbers(path, i, found, key, shape)
    return labels


def _total_charge(path: Path, i: int, found: Mapping, keys: Keys) -> float | None:
    named = keys.total_charge != Keys.total_charge
    for key in (keys.total_charge,) if named else TOTAL_CHARGE:
        # Files have charges of atoms under these names, too.
        if found.get(key) is not None and (named or np.ndim(found[key]) == 0):
            return float(_numbers(path, i, found, key, ()))
    return None


def _apart(path: Path, i: int, atoms: Atoms) -> None:
    """Refuse atoms on top of each other."""
    x = atoms.positions
    a, b, shift = near_pairs(x, atoms.cell.array, atoms.pbc, OVERLAP)
    if len(a):
        d = np.linalg.norm(x[b] + shift - x[a], axis=1)
        n = int(np.argmin(d))
        raise InputError(
            f"{path}: frame {i} has atoms that overlap", wanted=f"at least {OVERLAP} A",
            got=f"{d[n]:.3g} A between atoms {a[n]} and {b[n]}",
            mend="leave the frame out; lengths in nm must become A",
        )  # fmt: skip


def _numbers(path: Path, i: int, found: Mapping, key: str, shape: tuple) -> np.ndarray:
    if found.get(key) is None:
        near = ", ".join(sorted(map(str, found)))
        raise lacking(
            path,
            i,
            key,
            f"a label {key}",
            f"only {near}",
            'say what the file calls it, such as [data] energy = "REF_energy"',
        )
    try:
        value = np.asarray(found[key], dtype=float).reshape(shape)
    except (ValueError, TypeError) as exc:
        got = f"shape {np.shape(found[key])}"
        raise lacking(path, i, key, f"numbers of shape {shape}", got) from exc
    return _finite(path, i, key, value)


def _finite(path: Path, i: int, key: str, value: np.ndarray) -> np.ndarray:
    if not np.isfinite(value).all():
        raise lacking(path, i, key, "finite numbers", "NaN or infinity")
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
