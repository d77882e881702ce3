"""What is validated: a `potential/1` file or any ASE calculator, and what moves it."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, replace
from pathlib import Path

from ase import Atoms
from ase.calculators.calculator import Calculator

from ...core.artefact import sha256
from ...core.errors import InputError
from ..calculators import from_module
from ..oracle import total_charge
from ..potential import MesobridgeCalculator, load_potential, to_openmm
from ..potential.potential import Potential
from .dynamics import Engine, ase_engine, openmm_engine


@dataclass(frozen=True)
class Subject:
    """A potential under test.

    Attributes
    ----------
    name, digest
        For reports, and what its results belong to.
    used
        Calculator of the precision that is used.
    exact
        In double precision where it can be had: for derivatives by differences.
    engine
        Of molecular dynamics.
    potential
        Where it is a file.
    """

    name: str
    digest: str
    used: Calculator
    exact: Calculator
    engine: Engine
    potential: Potential | None = None


def of_calculator(calculator: Calculator, name: str) -> Subject:
    """A calculator as a subject."""
    return Subject(name, name, calculator, calculator, ase_engine(calculator))


def find_subject(text: str, baseline: str | None = None) -> Subject:
    """A ``potential/1`` file, or ``module:factory`` of an ASE calculator.

    Parameters
    ----------
    text
        Which of them.
    baseline
        ``module:factory`` of the baseline of a file that does not name it.

    Raises
    ------
    InputError
        When it is neither, or the baseline is not that of the file.
    """
    path = Path(text)
    if path.is_file():
        added = from_module(baseline) if baseline else None
        potential = load_potential(path, baseline=added)
        double = replace(potential, model=copy.deepcopy(potential.model).double())
        return Subject(
            path.name, sha256(path), MesobridgeCalculator(potential),
            MesobridgeCalculator(double),
            openmm_engine(functools.partial(_forces, path, added)), potential,
        )  # fmt: skip
    if baseline:
        raise InputError(
            f"{text} is no file that could lack a baseline", got="--baseline",
            wanted="a potential.safetensors", mend="check the path, or leave it out",
        )  # fmt: skip
    try:
        return of_calculator(from_module(text), text)
    except InputError as exc:
        raise InputError(
            f"{text} cannot be validated", got=exc.got,
            wanted="a potential.safetensors, or module:factory of an ASE calculator",
        ) from exc  # fmt: skip


def _forces(path: Path, baseline: Calculator | None, atoms: Atoms) -> list:
    pbc = "".join("T" if p else "F" for p in atoms.pbc)
    charge, symbols = total_charge(atoms.info), atoms.get_chemical_symbols()
    return [to_openmm(path, symbols, pbc=pbc, charge=charge, baseline=baseline)]
