"""The potential as an OpenMM force."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openmm

from ...core.artefact import sha256
from ...core.units import EV, KJ_MOL
from .data import species_numbers
from .potential import cached_potential, load_potential

_ENERGY = EV / KJ_MOL  # kJ/mol per eV
_LENGTH = 10.0  # A per nm


def to_openmm(
    path: Path | str, species: Sequence[str], *, pbc: str = "TTT", charge: float = 0.0
) -> openmm.PythonForce:
    """OpenMM force of a `potential/1` file.

    The force serialises to XML by the name of a function and the path of the file; the
    file's hash is kept, so that a file that changed is refused.

    Parameters
    ----------
    path
        Of the potential.
    species
        Symbol of every particle of the system.
    pbc
        ``"TTF"`` leaves the third box vector out.
    charge
        Total, e; of a potential that predicts charges.

    Raises
    ------
    SchemaError
        When the file is broken or a species is unknown.
    """
    path = Path(path).resolve()
    numbers = species_numbers(species, load_potential(path).species)
    compute = functools.partial(
        _compute,
        str(path),
        sha256(path),
        numbers.tolist(),
        [f == "T" for f in pbc],
        charge,
    )
    force = openmm.PythonForce(compute)
    force.setUsesPeriodicBoundaryConditions("T" in pbc)
    return force


def _compute(path: str, digest: str, numbers: list[int], pbc: list[bool], charge, state):
    """Energy (kJ/mol) and forces (kJ/mol/nm) of an OpenMM state.

    A module-level function, because OpenMM serialises it by name.
    """
    box = np.eye(3)  # OpenMM gives none where nothing repeats
    if any(pbc):
        box = state.getPeriodicBoxVectors(asNumpy=True)._value * _LENGTH
    found = cached_potential(path, digest).evaluate(
        state.getPositions(asNumpy=True)._value * _LENGTH,
        np.array(numbers),
        box,
        pbc,
        charge,
    )
    if not np.isfinite(found.forces).all():
        raise ValueError("the potential gave a force that is not finite")
    return found.energy * _ENERGY, found.forces.astype(float) * (_ENERGY * _LENGTH)
