"""Baselines that a file can name: data alone, from which no code is run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from ase.calculators.calculator import Calculator
from pydantic import Field, model_validator

from ...core.artefact import existing, sha256
from ...core.config import PositiveInt, Section
from ...core.errors import InputError

#: Keys of each kind.
KEYS = {
    "xtb": ("method", "charge", "multiplicity"),
    "zbl": (),
    "potential": ("path", "sha256"),
    "openmm": ("path", "sha256"),
}


class NamedBaseline(Section):
    """What a calculator is made of; called, it makes one.

    Attributes
    ----------
    kind
        ``"xtb"`` (GFN-xTB of tblite), ``"zbl"`` (repulsion of cores), ``"potential"``
        (a `potential/1` file) or ``"openmm"`` (XML of an OpenMM system).
    method, charge, multiplicity
        Of ``xtb``; charge in e.
    path, sha256
        Of a file.
    """

    kind: Literal["xtb", "zbl", "potential", "openmm"]
    method: Literal["GFN2-xTB", "GFN1-xTB"] = "GFN2-xTB"
    charge: int = Field(default=0, strict=True)
    multiplicity: PositiveInt | None = None
    path: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _keys_of_its_kind(self):
        allowed = KEYS[self.kind]
        other = sorted(self.model_fields_set - {"kind", *allowed})
        if other:
            wanted = ", ".join(allowed) or "nothing else"
            raise ValueError(f"kind {self.kind} takes {wanted}, not {other[0]}")
        if "path" in allowed and not self.path:
            raise ValueError(f"kind {self.kind} needs a path")
        return self

    @property
    def name(self) -> str:
        """For reports and messages."""
        if self.kind == "xtb":
            return self.method
        return "ZBL" if self.path is None else f"{self.kind} {Path(self.path).name}"

    def values(self) -> dict:
        """What is written to files: the keys of its kind."""
        return {key: getattr(self, key) for key in ("kind", *KEYS[self.kind])}

    def located(self, folder: Path | str) -> NamedBaseline:
        """With the absolute path and the hash of its file, if it has one.

        Parameters
        ----------
        folder
            What the path is relative to. A file of known hash that is not there may also
            lie in the folder itself.

        Raises
        ------
        InputError
            When there is no such file, or it has another hash.
        """
        if self.path is None:
            return self
        path, beside = Path(folder, self.path), Path(folder, Path(self.path).name)
        if self.sha256 and not path.is_file() and beside.is_file():
            path = beside
        found = sha256(existing(path))
        if self.sha256 not in (None, found):
            raise InputError(
                f"{path} is not the file that the baseline names", wanted=self.sha256,
                got=found, mend="bring that file back, or train again with this one",
            )  # fmt: skip
        return self.model_copy(update={"path": str(path.resolve()), "sha256": found})

    def relative_to(self, folder: Path | str) -> NamedBaseline:
        """With the path as seen from a folder."""
        if self.path is None:
            return self
        seen = Path(os.path.relpath(self.path, Path(folder).resolve())).as_posix()
        return self.model_copy(update={"path": seen})

    def __call__(self) -> Calculator:
        """ASE calculator.

        Raises
        ------
        InputError
            When its file cannot be used or a package is missing.
        """
        # Both import this package.
        from .. import calculators
        from .ase_calculator import MesobridgeCalculator

        if self.kind == "xtb":
            return calculators.xtb(
                self.method, charge=self.charge, multiplicity=self.multiplicity
            )
        if self.kind == "zbl":
            return calculators.ZBL()
        if self.kind == "potential":
            return MesobridgeCalculator(str(self.path))
        return calculators.OpenMMCalculator(calculators.read_system(str(self.path)))
