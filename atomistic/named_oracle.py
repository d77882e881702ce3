"""Oracles by what they are made of, so that a label can say whence it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import Field

from ..core.config import PositiveFloat, PositiveInt
from .oracle import TOTAL_CHARGE, checked_charge, total_charge
from .potential.named import KEYS, NamedCalculator


class OracleSpec(Protocol):
    """What labelling asks of an oracle: settings that tell all, and a calculator."""

    @property
    def name(self) -> str:
        """For reports and messages."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions whose versions are kept with labels."""

    def settings(self) -> dict:
        """All that labels depend on but the atoms, JSON-able."""

    def charge_of(self, atoms: Atoms) -> float:
        """Total charge (e) that atoms are labelled with."""

    def __call__(self) -> Calculator:
        """A new ASE calculator."""


def canonical(settings: dict) -> str:
    """Settings as the one text that is hashed."""
    return json.dumps(settings, sort_keys=True, allow_nan=False, separators=(",", ":"))


class NamedOracle(NamedCalculator):
    """An oracle that a file can name.

    Attributes
    ----------
    kind
        ``"xtb"``, ``"potential"`` or ``"openmm"`` (see `NamedCalculator`), ``"pyscf"``
        (molecules, `PySCF`), or ``"cp2k"`` (`path`: an input, `CP2K`).
    xc, basis, density_fit, conv_tol, max_cycle, grid_level
        Of ``pyscf``; see `PySCF`.

    Examples
    --------
    >>> NamedOracle(kind="pyscf", xc="pbe", basis="def2-svp").settings()["xc"]
    'pbe'
    """

    keys = {
        **KEYS,
        "pyscf": ("xc", "basis", "charge", "multiplicity", "density_fit", "conv_tol",
                  "max_cycle", "grid_level"),
        "cp2k": ("path", "sha256", "charge", "multiplicity"),
    }  # fmt: skip
    called = "the oracle"

    kind: Literal["xtb", "pyscf", "potential", "openmm", "cp2k"]
    xc: str = "pbe"
    basis: str = "def2-svp"
    density_fit: bool = True
    conv_tol: PositiveFloat = 1e-9
    max_cycle: PositiveInt = 50
    grid_level: int = Field(default=3, ge=0, le=9, strict=True)

    @property
    def name(self) -> str:
        """For reports and messages."""
        return f"{self.xc}/{self.basis}" if self.kind == "pyscf" else super().name

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions whose versions are kept with labels."""
        own = {
            "xtb": "tblite",
            "pyscf": "pyscf",
            "potential": "torch",
            "openmm": "openmm",
        }
        return ("ase", own[self.kind]) if self.kind in own else ("ase",)

    def settings(self) -> dict:
        """All that labels depend on but the atoms; a file is told by its hash.

        Raises
        ------
        InputError
            When its file is not there.
        """
        values = self.located(".").values()
        values.pop("path", None)
        return values

    def charge_of(self, atoms: Atoms) -> float:
        """Total charge (e) that atoms are labelled with.

        Raises
        ------
        InputError
            When the atoms say another than the oracle was made for.
        """
        if "charge" not in self.keys[self.kind]:
            return total_charge(atoms.info)
        checked_charge(atoms, self.charge, self.name)
        return float(self.charge)

    def __call__(self) -> Calculator:
        """A new ASE calculator; raises as `NamedCalculator`."""
        if self.kind == "pyscf":
            from .dft import PySCF

            return PySCF(**{key: getattr(self, key) for key in self.keys["pyscf"]})
        if self.kind == "cp2k":
            from .cp2k import CP2K

            return CP2K(str(self.path), self.charge, self.multiplicity)
        return super().__call__()


@dataclass(frozen=True)
class CodeOracle:
    """Any ASE calculator, from code only.

    Attributes
    ----------
    make
        Makes the calculator: ``"module:function"``, or a function, which other processes
        must be able to import.
    name, version
        Stand for its settings in the hash of labels: change `version` whenever the
        numbers may change.
    packages
        Distributions whose versions are kept with labels.
    """

    make: str | Callable[[], Calculator]
    name: str
    version: str
    packages: tuple[str, ...] = ("ase",)

    def settings(self) -> dict:
        """All that labels depend on but the atoms."""
        return {"kind": "code", "name": self.name, "version": self.version}

    def charge_of(self, atoms: Atoms) -> float:
        """Total charge (e) that the atoms say."""
        return total_charge(atoms.info)

    def __call__(self) -> Calculator:
        """A new ASE calculator; raises as `from_module`."""
        from .calculators import from_module

        return from_module(self.make) if isinstance(self.make, str) else self.make()


def charged(atoms: Atoms, charge: float) -> Atoms:
    """A bare copy of atoms that says its total charge (e)."""
    return Atoms(
        atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc,
        info={TOTAL_CHARGE[0]: charge},
    )  # fmt: skip
