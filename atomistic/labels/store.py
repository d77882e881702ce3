"""Labels on disk: one file each, none made twice, failures set apart."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from ...core.artefact import read_json, told, write_json
from ...core.cautions import Caution
from ...core.errors import MesobridgeError
from ..oracle import TOTAL_CHARGE
from .label import Failed, Label, read_label, write_label


@dataclass(frozen=True)
class Claim:
    """The right of this process to make one label; it ends with the process."""

    handle: int
    path: Path

    def release(self) -> None:
        """Give it up."""
        self.path.unlink(missing_ok=True)
        os.close(self.handle)


class LabelStore:
    """Labels in a folder, which processes may share.

    ``ab/ab...npz`` is a label, ``ab/ab....failed.json`` a configuration that failed. Who
    makes a label holds a lock on it meanwhile, which the system takes from a process that
    dies. (Where a shared file system does not know locks, two may make the same label:
    the later one stays, whole.)

    Parameters
    ----------
    folder
        Made when something is put there.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """File of a label."""
        return self.folder / key[:2] / f"{key}.npz"

    def _failure(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.failed.json"

    def find(self, key: str) -> Label | None:
        """Label of a key; a damaged one is told (`Caution`) and taken as not there."""
        if not self.path(key).exists():
            return None
        try:
            return read_label(self.path(key))
        except MesobridgeError as exc:
            warnings.warn(f"a label is made anew: {exc}", Caution, stacklevel=2)
            return None

    def put(self, label: Label) -> None:
        """Keep a label.

        Raises
        ------
        InputError
            When it cannot be written.
        """
        write_label(self.path(label.key), label)
        self.forgive(label.key)

    def failed(self, key: str) -> Failed | None:
        """What is known of a failure."""
        try:
            kept = read_json(self._failure(key))
            atoms = Atoms(
                kept["numbers"], kept["positions"], cell=kept["cell"], pbc=kept["pbc"],
                info={TOTAL_CHARGE[0]: kept["charge"]},
            )  # fmt: skip
            return Failed(key, atoms, *(kept[k] for k in ("reason", "attempts", "cpu_s")))
        except (MesobridgeError, KeyError, ValueError, TypeError):
            return None

    def quarantine(self, failed: Failed, settings: dict) -> None:
        """Keep a failure: it is not tried again until it is forgiven."""
        atoms = failed.atoms
        write_json(
            self._failure(failed.key),
            {
                "reason": failed.reason, "attempts": failed.attempts,
                "cpu_s": failed.cpu_s,
                "settings": settings, "formula": atoms.get_chemical_formula(),
                "numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist(),
                "cell": atoms.cell.array.tolist(), "pbc": atoms.pbc.tolist(),
                "charge": atoms.info[TOTAL_CHARGE[0]],
            },
        )  # fmt: skip

    def forgive(self, key: str) -> None:
        """Forget a failure."""
        self._failure(key).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Label]:
        """All labels, in the order of their keys."""
        for path in sorted(self.folder.glob("??/*.npz")):
            label = self.find(path.stem)
            if label is not None:
                yield label

    def failures(self) -> list[Failed]:
        """All failures."""
        names = sorted(self.folder.glob("??/*.failed.json"))
        found = (self.failed(path.name.partition(".")[0]) for path in names)
        return [failed for failed in found if failed is not None]

    def claim(self, key: str) -> Claim | None:
        """The right to make a label; ``None`` while another holds it."""
        path = self.path(key).with_suffix(".lock")
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino != os.fstat(handle).st_ino:
                raise FileNotFoundError  # released, and made again by another
        except (BlockingIOError, FileNotFoundError):
            os.close(handle)
            return None
        for orphan in path.parent.glob(f".{key}*.tmp"):  # of a writer that was killed
            orphan.unlink(missing_ok=True)
        return Claim(handle, path)
