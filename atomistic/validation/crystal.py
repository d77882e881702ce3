"""Crystals: what a user writes, and relaxation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from ...core.errors import InputError, StageError
from ..oracle import total_charge

#: Largest force, and stress times volume per atom, of a relaxed crystal, eV/A and eV.
FORCE = 1e-5
STEPS = 500
#: Engines in single precision stop falling below this, eV/A; steps without a fall.
NOISE, STALLED = 1e-3, 15


def parse_crystal(text: str) -> Atoms:
    """Primitive cell of ``"Si diamond 5.43"``, or the first frame of a file.

    Raises
    ------
    InputError
        When it is neither, charged, or does not repeat in all directions.
    """
    if Path(text).is_file():
        from .labels import read_frames

        crystal = read_frames(text)[0]
        if charge := total_charge(crystal.info):
            raise InputError(
                f"{text} is charged", wanted="a neutral crystal", got=f"{charge:+g} e",
                mend="give it as --data: its pressure depends on the background charge",
            )  # fmt: skip
        if not (crystal.pbc.all() and crystal.cell.rank == 3):
            raise InputError(
                f"{text} is no crystal", wanted="a cell that repeats along x, y and z",
                got=f"pbc {crystal.pbc.tolist()}", mend="give it as --data",
            )  # fmt: skip
        return crystal
    try:
        name, structure, a, *c = text.split()
        return bulk(name, structure, a=float(a), c=float(c[0]) if c else None)
    except (ValueError, KeyError, RuntimeError) as exc:
        raise InputError(
            "crystal", wanted='"NAME STRUCTURE a [c]" (A), as "Si diamond 5.43" or '
            '"NaCl rocksalt 5.64", or a file that ASE reads', got=repr(text),
        ) from exc  # fmt: skip


def relaxed(atoms: Atoms, calculator: Calculator, *, cell: bool) -> Atoms:
    """A copy with atoms, and with `cell` also the cell, at rest.

    Raises
    ------
    StageError
        When the forces do not vanish.
    """
    moved = atoms.copy()
    moved.calc = calculator
    what: Any = FrechetCellFilter(moved) if cell else moved
    best, waited = np.inf, 0
    with BFGS(what, logfile=None) as search:
        for at_rest in search.irun(fmax=FORCE, steps=STEPS):
            force = float(np.linalg.norm(what.get_forces(), axis=1).max())
            best, waited = (force, 0) if force < 0.9 * best else (best, waited + 1)
            if at_rest or (force < NOISE and waited >= STALLED):
                return moved
    raise StageError(
        f"{moved.get_chemical_formula()} does not relax",
        wanted=f"forces below {FORCE} eV/A in {STEPS} steps, or below {NOISE} and no "
        "longer falling", got=f"{force:.1e} eV/A",
        mend="start from a structure that the potential knows, or evaluate it in double "
        "precision",
    )  # fmt: skip


def supercell(crystal: Atoms, shortest: float) -> Atoms:
    """Repeated so that opposite faces are `shortest` (A) apart or more."""
    return make_supercell(crystal, np.diag(repeats(crystal, shortest)))


def repeats(crystal: Atoms, shortest: float) -> np.ndarray:
    """How often each cell vector is repeated for that, shape (3,)."""
    heights = 1 / np.linalg.norm(crystal.cell.reciprocal(), axis=1)
    return np.maximum(1, np.ceil(shortest / heights - 1e-9)).astype(int)
