"""Potentials as OpenMM forces."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import openmm

from ...core.artefact import sha256
from ...core.errors import InputError, SchemaError
from ...core.units import EV, KJ_MOL
from ..oracle import Oracle
from .baseline import Baseline
from .data import species_numbers
from .evaluation import CalculatorPotential, Evaluation
from .files import load_potential
from .potential import Potential
from .verlet import VerletList

_ENERGY = EV / KJ_MOL  # kJ/mol per eV
_LENGTH = 10.0  # A per nm

Watch = Callable[[Evaluation], None]


def to_openmm(
    source: Path | str | Oracle | Callable[[], Oracle],
    species: Sequence[str],
    *,
    pbc: str = "TTT",
    charge: float = 0.0,
    force_group: int = 0,
    baseline: Baseline = None,
    compile: bool = False,
    device: str = "cpu",
    skin: float = 1.0,
    watch: Watch | None = None,
    watch_every: int = 1,
) -> openmm.PythonForce:
    """OpenMM force of a `potential/1` file or of an ASE calculator.

    The force of a file serialises to XML by its path and hash: a file that changed is
    refused. Calculators, also as `baseline`, and `watch` serialise where they can be
    pickled; a function that makes one always can, such as ``functools.partial(TBLite,
    method="GFN2-xTB")``. Read no such XML of a stranger: it runs what it names.

    Parameters
    ----------
    source
        Path of the potential, a calculator, or a function that makes one.
    species
        Symbol of every particle of the system.
    pbc
        ``"TTF"`` leaves the third box vector out, ``"FFF"`` all of them.
    charge
        Total, e; of a potential that predicts charges.
    force_group
        Of OpenMM, for multiple time steps.
    baseline, compile, device
        As `load_potential`; of files only.
    skin
        Of the neighbour list, A (`VerletList`).
    watch
        Called with each `Evaluation`, which has distances from the training set where
        uncertainty was calibrated. What it raises stops the run with its message.
    watch_every
        Evaluations between two that also have standard deviations of forces.

    Raises
    ------
    SchemaError
        When the file is broken, of another baseline, or a species is unknown.
    InputError
        When `pbc` is not three of T and F.
    """
    if len(pbc) != 3 or set(pbc) - {"T", "F"}:
        raise InputError("periodic directions", wanted='"TTT", "TTF", ... or "FFF"',
                         got=repr(pbc))  # fmt: skip
    if isinstance(source, (str, Path)):
        path = str(Path(source).resolve())
        known = load_potential(path, baseline=baseline, device=device).species
        species_numbers(species, known)
        options: dict = {"baseline": baseline, "compile": compile, "device": device}
        make: Callable = functools.partial(
            cached_potential, path, sha256(path), **options
        )
    else:
        make = functools.partial(CalculatorPotential, source)
    force = openmm.PythonForce(
        _Force(make, species, [f == "T" for f in pbc], charge, skin, watch, watch_every)
    )
    force.setUsesPeriodicBoundaryConditions("T" in pbc)
    force.setForceGroup(force_group)
    return force


@functools.lru_cache(maxsize=4)
def cached_potential(path: str, digest: str, **options) -> Potential:
    """`load_potential`, once per process and content (`digest` is the file's SHA-256)."""
    if sha256(path) != digest:
        raise SchemaError(
            f"{path} has changed since the force was made", wanted=digest,
            got=sha256(path), mend="make the force again",
        )  # fmt: skip
    return load_potential(path, **options)


class _Force:
    """Energy (kJ/mol) and forces (kJ/mol/nm) of an OpenMM state.

    A class of this module, because OpenMM serialises it by its name.
    """

    def __init__(self, make: Callable, species, pbc, charge, skin, watch, every):
        self.make, self.species, self.pbc = make, list(species), pbc
        self.charge, self.skin = charge, skin
        self.watch, self.every, self.calls = watch, every, 0
        self._kept: tuple | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_kept": None}

    def __call__(self, state) -> tuple[float, np.ndarray]:
        box = np.zeros((3, 3))
        if any(self.pbc):
            box = state.getPeriodicBoxVectors(asNumpy=True)._value * _LENGTH
        found = self._evaluate(state.getPositions(asNumpy=True)._value * _LENGTH, box)
        if not (np.isfinite(found.energy) and np.isfinite(found.forces).all()):
            raise ValueError("the potential gave an energy or force that is not finite")
        if self.watch is not None:
            self.watch(found)
        return found.energy * _ENERGY, found.forces.astype(float) * (_ENERGY * _LENGTH)

    def _evaluate(self, positions: np.ndarray, box: np.ndarray) -> Evaluation:
        if self._kept is None:
            potential = self.make()
            if isinstance(potential, Potential):
                verlet = VerletList(potential.model.cutoff, self.skin)
                self._kept = potential, potential.numbers(self.species), verlet
            else:
                self._kept = potential, self.species, None
        potential, kinds, verlet = self._kept
        more: dict = {} if verlet is None else {"verlet": verlet}
        if self.watch is not None and verlet is not None:
            known = potential.uncertainty is not None
            more["spread"] = known and self.calls % self.every == 0
            self.calls += 1
        where = positions, kinds, box, self.pbc, self.charge
        return potential.evaluate(*where, stress=False, **more)
