"""One label: what an oracle says of one configuration, and where that is from."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from ...core.artefact import existing, replacing
from ...core.errors import SchemaError
from ..named_oracle import canonical
from ..oracle import TOTAL_CHARGE


@dataclass(frozen=True, eq=False)
class Label:
    """Energy and forces of one configuration of n atoms (eV, A, e).

    Attributes
    ----------
    key
        `label_key` of settings and configuration.
    numbers, positions, cell, pbc, charge
        Atomic numbers (n,); A, (n, 3); A, (3, 3), zero for a molecule; (3,); total, e.
    energy, forces, stress
        eV; eV/A, (n, 3); eV/A^3, Voigt order, (6,), tension positive, or ``None``.
    cpu_s, wall_s
        Seconds that it took: of all attempts, and of the last.
    settings, versions
        Of the oracle, and of the software; also the name of the processor.
    made
        Seconds since 1970.
    """

    key: str
    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    charge: float
    energy: float
    forces: np.ndarray
    stress: np.ndarray | None
    cpu_s: float
    wall_s: float
    settings: dict
    versions: dict
    made: int

    def atoms(self) -> Atoms:
        """The configuration."""
        return Atoms(
            self.numbers, self.positions, cell=self.cell, pbc=self.pbc,
            info={TOTAL_CHARGE[0]: self.charge},
        )  # fmt: skip


@dataclass(frozen=True)
class Failed:
    """A configuration that an oracle gave no label for.

    Attributes
    ----------
    key, atoms
        As of `Label`.
    reason, attempts, cpu_s
        What went wrong last, after how many attempts and seconds of all of them.
    """

    key: str
    atoms: Atoms
    reason: str
    attempts: int
    cpu_s: float


def label_key(settings: dict, atoms: Atoms, charge: float) -> str:
    """SHA-256 of canonical settings, species, positions, cell, periodicity and charge.

    The cell of a molecule does not count. Positions count to the last bit: what went
    through other units and back is another configuration.
    """
    cell = atoms.cell.array if atoms.pbc.any() else np.zeros((3, 3))
    found = hashlib.sha256(canonical(settings).encode())
    for values, kind in (
        (atoms.numbers, "<i8"), (atoms.positions, "<f8"), (cell, "<f8"),
        (atoms.pbc, "<i8"), (charge, "<f8"),
    ):  # fmt: skip
        array = np.asarray(values, dtype=kind) + np.zeros((), dtype=kind)  # no -0.0
        found.update(f"\n{array.shape}\n".encode() + array.tobytes())
    return found.hexdigest()


#: Arrays in the file of a label, and values in its header.
ARRAYS = ("numbers", "positions", "cell", "pbc", "energy", "forces", "stress")
HEADER = ("charge", "cpu_s", "wall_s", "settings", "versions", "made")


def write_label(path: Path, label: Label) -> None:
    """Write a label as npz, whole."""
    arrays = {k: getattr(label, k) for k in ARRAYS if getattr(label, k) is not None}
    header = {name: getattr(label, name) for name in HEADER}
    text = json.dumps(header, allow_nan=False, sort_keys=True)
    with replacing(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, header=np.array(text), **arrays)


def read_label(path: Path) -> Label:
    """Label of a file.

    Raises
    ------
    InputError
        When there is no such file.
    SchemaError
        When it is damaged, or is of another configuration than its name says.
    """
    try:
        data = existing(path).read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as handle:
            found = {name: handle[name] for name in handle.files}
        header = json.loads(str(found.pop("header")))
        found = {"stress": None, **found, **header, "key": path.stem}
        label = Label(**found | {"energy": float(found["energy"])})
        key = label_key(label.settings, label.atoms(), label.charge)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError,
            NotImplementedError, zipfile.BadZipFile, zlib.error) as exc:  # fmt: skip
        got = f"{type(exc).__name__}: {exc}".splitlines()[0]
        raise _damaged(path, "npz of one label", got) from exc
    if key != path.stem:
        raise _damaged(path, "the configuration that its name tells", key)
    return label


def _damaged(path: Path, wanted: str, got: str) -> SchemaError:
    return SchemaError(
        f"{path} is damaged", wanted=wanted, got=got, mend="label it again"
    )
