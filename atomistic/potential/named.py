"""Calculators that a file can name: data alone, from which no code is run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from ase.calculators.calculator import Calculator
from pydantic import Field, model_validator

from ...core.artefact import existing, sha256
from ...core.config import PositiveInt, Section
from ...core.errors import InputError

#: Keys of each kind that baselines and oracles share.
KEYS = {
    "xtb": ("method", "charge", "multiplicity"),
    "potential": ("path", "sha256"),
    "openmm": ("path", "sha256"),
}


class NamedCalculator(Section):
    """What a calculator is made of; called, it makes one.

    Attributes
    ----------
    kind
        ``"xtb"`` (GFN-xTB of tblite), ``"potential"`` (a `potential/1` file),
        ``"openmm"`` (XML of an OpenMM system), or what a derived class adds.
    method, charge, multiplicity
        Of ``xtb``; charge in e.
    path, sha256
        Of a file.
    """

    #: Keys of each kind.
    keys: ClassVar[dict[str, tuple[str, ...]]] = KEYS

    #: In messages.
    called: ClassVar[str] = "the calculator"

    kind: str
    method: Literal["GFN2-xTB", "GFN1-xTB"] = "GFN2-xTB"
    charge: int = Field(default=0, strict=True)
    multiplicity: PositiveInt | None = None
    path: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _keys_of_its_kind(self):
        allowed = self.keys[self.kind]
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
        return f"{self.kind} {Path(str(self.path)).name}"

    def values(self) -> dict:
        """What is written to files: the keys of its kind."""
        return {key: getattr(self, key) for key in ("kind", *self.keys[self.kind])}

    def located(self, folder: Path | str) -> Self:
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
                f"{path} is not the file that {self.called} names", wanted=self.sha256,
                got=found, mend="bring that file back, or train again with this one",
            )  # fmt: skip
        return self.model_copy(update={"path": str(path.resolve()), "sha256": found})

    def relative_to(self, folder: Path | str) -> Self:
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
        if self.kind == "potential":
            return MesobridgeCalculator(str(self.path))
        return calculators.OpenMMCalculator(calculators.read_system(str(self.path)))


class NamedBaseline(NamedCalculator):
    """What a baseline is made of: also ``"zbl"``, the repulsion of cores."""

    keys = {**KEYS, "zbl": ()}
    called = "the baseline"

    kind: Literal["xtb", "zbl", "potential", "openmm"]

    @property
    def name(self) -> str:
        """For reports and messages."""
        return "ZBL" if self.kind == "zbl" else super().name

    def __call__(self) -> Calculator:
        """ASE calculator; raises as `NamedCalculator`."""
        from ..calculators import ZBL

        return ZBL() if self.kind == "zbl" else super().__call__()
