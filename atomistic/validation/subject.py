"""What is validated: a `potential/1` file or any ASE calculator, and what moves it."""

from __future__ import annotations

import copy
import functools
import importlib
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from ase.calculators.calculator import Calculator

from ...core.artefact import sha256
from ...core.errors import InputError
from ..oracle import total_charge
from ..potential import MesobridgeCalculator, Potential, load_potential, to_openmm
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
    """

    name: str
    digest: str
    used: Calculator
    exact: Calculator
    engine: Engine


def of_calculator(calculator: Calculator, name: str) -> Subject:
    """A calculator as a subject."""
    return Subject(name, name, calculator, calculator, ase_engine(calculator))


def find_subject(text: str) -> Subject:
    """A ``potential/1`` file, or ``module:factory`` of an ASE calculator.

    Raises
    ------
    InputError
        When it is neither.
    """
    path = Path(text)
    if path.is_file():
        potential = load_potential(path)
        double = Potential(
            copy.deepcopy(potential.model).double(), potential.species, potential.header
        )
        return Subject(
            path.name, sha256(path), MesobridgeCalculator(potential),
            MesobridgeCalculator(double),
            openmm_engine(functools.partial(_forces, path)),
        )  # fmt: skip
    module, _, factory = text.partition(":")
    try:
        calculator = getattr(importlib.import_module(module), factory)()
        if not isinstance(calculator, Calculator):
            raise TypeError(f"{text} gives no ASE calculator")
    except (ImportError, AttributeError, TypeError, ValueError) as exc:
        raise InputError(
            f"{text} cannot be validated",
            wanted="a potential.safetensors, or module:factory of an ASE calculator",
            got=str(exc),
        ) from exc
    return of_calculator(calculator, text)


def _forces(path: Path, atoms: Atoms) -> list:
    pbc = "".join("T" if p else "F" for p in atoms.pbc)
    charge = total_charge(atoms.info)
    return [to_openmm(path, atoms.get_chemical_symbols(), pbc=pbc, charge=charge)]
