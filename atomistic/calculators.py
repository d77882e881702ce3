"""ASE calculators beside those of ASE: an OpenMM system, cores, GFN-xTB, MACE.

Each is an `Oracle`, and may be a baseline or a potential.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openmm
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import kJ, mol, nm

from ..core.artefact import existing, sha256
from ..core.errors import InputError


class OpenMMCalculator(Calculator):
    """ASE calculator of an OpenMM system, on one thread of the CPU platform.

    OpenMM gives no virial: stress is taken from energies of strained boxes.

    Parameters
    ----------
    system
        With as many particles as the atoms that are given, in their order.
    """

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, system: openmm.System):
        super().__init__()
        self._system: openmm.System = system
        self._context: openmm.Context | None = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Fill ``results``; see `ase.calculators.calculator.Calculator`."""
        super().calculate(atoms, properties, system_changes)
        atoms, turn = upright(self.atoms if atoms is None else atoms)
        unit = kJ / mol
        try:
            context = self.context(atoms)
            positions, cell = atoms.positions / 10, atoms.cell.array / 10
            if atoms.cell.rank == 3:
                context.setPeriodicBoxVectors(*cell)
            context.setPositions(positions)
            state = context.getState(getEnergy=True, getForces=True)
            self.results = {
                "energy": state.getPotentialEnergy()._value * unit,
                "forces": state.getForces(asNumpy=True)._value @ turn * unit / nm,
            }
            if "stress" in properties:
                if not atoms.pbc.all():
                    raise NotImplementedError("a slab in vacuum has no bulk stress")
                stress = turn.T @ _stress(context, positions, cell) @ turn
                self.results["stress"] = full_3x3_to_voigt_6_stress(stress * unit / nm**3)
        except openmm.OpenMMException as exc:
            lengths = np.round(atoms.cell.lengths(), 2).tolist()
            raise InputError(
                "OpenMM cannot evaluate these atoms",
                wanted="a box at least twice as wide as the cut-off of its forces",
                got=f"box lengths {lengths} A; {exc}", mend="repeat the cell",
            ) from exc  # fmt: skip

    def context(self, atoms: Atoms) -> openmm.Context:
        """Context for these atoms, kept."""
        if self._system.getNumParticles() != len(atoms):
            raise InputError(
                "atoms and OpenMM system do not fit",
                wanted=f"{self._system.getNumParticles()} atoms", got=str(len(atoms)),
                mend="build the system from these atoms",
            )  # fmt: skip
        if self._context is None:
            self._context = cpu_context(self._system)
        return self._context


def upright(atoms: Atoms) -> tuple[Atoms, np.ndarray]:
    """A copy turned so that its cell is lower triangular and reduced, as OpenMM asks.

    Returns
    -------
    Atoms
        Turned.
    numpy.ndarray
        Q, shape (3, 3): turned vectors are ``vectors @ Q.T``.
    """
    turned = atoms.copy()
    if turned.cell.rank < 3:
        return turned, np.eye(3)
    cell, turn = turned.cell.standard_form()
    if np.allclose(turn, np.eye(3), atol=1e-12):  # no rounding where nothing turns
        cell, turn = turned.cell, np.eye(3)
    a, b, c = cell.array
    b = b - a * np.round(b[0] / a[0])
    c = c - b * np.round(c[1] / b[1])
    c = c - a * np.round(c[0] / a[0])
    turned.set_cell([a, b, c])
    turned.set_positions(atoms.positions @ turn.T)
    return turned, turn


def cpu_context(system: openmm.System) -> openmm.Context:
    """Context that only evaluates, on one thread and reproducibly."""
    platform = openmm.Platform.getPlatformByName("CPU")
    options = {"Threads": "1", "DeterministicForces": "true"}
    return openmm.Context(system, openmm.VerletIntegrator(0.001), platform, options)


def _stress(
    context: openmm.Context, positions: np.ndarray, cell: np.ndarray, strain: float = 1e-3
) -> np.ndarray:
    """Stress (kJ/mol/nm^3) by central differences of the energy under strain.

    Shears are upper-triangular rotations of symmetric strain, so that the box stays in
    OpenMM's reduced form; the energy does not feel the rotation.
    """
    stress = np.zeros((3, 3))
    for i in range(3):
        for j in range(i + 1):
            energy = []
            for sign in (1, -1):
                deform = np.eye(3)
                deform[i, j] += sign * strain
                context.setPeriodicBoxVectors(*(cell @ deform))
                context.setPositions(positions @ deform)
                energy.append(
                    context.getState(getEnergy=True).getPotentialEnergy()._value
                )
            stress[i, j] = stress[j, i] = (energy[0] - energy[1]) / (2 * strain)
    context.setPeriodicBoxVectors(*cell)
    return stress / np.linalg.det(cell)


def xtb(method: str = "GFN2-xTB", **settings) -> Calculator:
    """GFN-xTB by tblite (extra ``xtb``).

    Parameters
    ----------
    method
        ``"GFN2-xTB"`` (doi:10.1021/acs.jctc.8b01176) or ``"GFN1-xTB"``.
    settings
        Of ``tblite.ase.TBLite``, such as ``charge``.

    Raises
    ------
    InputError
        When tblite is not installed.
    """
    try:
        from tblite.ase import TBLite
    except ImportError as exc:
        raise _not_installed("tblite", "xtb", exc) from exc
    return TBLite(method=method, verbosity=0, **settings)


def mace(path: Path | str, *, trust: str, device: str = "cpu", dtype: str = "float64"):
    """ASE calculator of a MACE model (extra ``mace``).

    MACE models are pickled programs: they run whatever their author wrote, so the file is
    opened only when its hash is the one that you trust.

    Parameters
    ----------
    path
        Of the model.
    trust
        ``"sha256:"`` and the hash of the file.
    device, dtype
        Of ``mace.calculators.MACECalculator``.

    Raises
    ------
    InputError
        When the file is another one than trusted, or MACE is not installed.
    """
    found = "sha256:" + sha256(existing(path))
    if trust != found:
        raise InputError(
            f"{path} is not the model you trust", wanted=trust, got=found,
            mend="take the file from its author, and trust the hash that is told there",
        )  # fmt: skip
    with _pickled_constants():
        try:
            from mace.calculators import MACECalculator
        except ImportError as exc:
            raise _not_installed("mace-torch", "mace", exc) from exc
        return MACECalculator(model_paths=str(path), device=device, default_dtype=dtype)


@contextmanager
def _pickled_constants() -> Iterator[None]:
    """MACE pins e3nn 0.4.4, whose import loads constants that torch now refuses."""
    name = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _not_installed(package: str, extra: str, exc: ImportError) -> InputError:
    return InputError(
        f"{package} cannot be imported", wanted=package, got=str(exc),
        mend=f'pip install "mesobridge[{extra}]"',
    )  # fmt: skip
