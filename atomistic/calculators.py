"""ASE calculators beside those of ASE: an OpenMM system, cores, GFN-xTB, MACE.

Each is an `Oracle`, and may be a baseline or a potential.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import openmm
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import kJ, mol, nm

from ..core.artefact import existing, sha256
from ..core.errors import InputError
from .cells import reduced, upright
from .potential.core_repulsion import screened_repulsion
from .potential.verlet import VerletList

#: An OpenMM system that is larger is refused before it is read.
MAX_XML_BYTES = 1024**3


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
        given: Atoms = self.atoms if atoms is None else atoms  # type: ignore[assignment]
        atoms, turn = upright(given)
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
        if self._system.usesPeriodicBoundaryConditions() and atoms.cell.rank < 3:
            raise InputError(
                "atoms without a cell for a periodic OpenMM system",
                wanted="three box vectors", got=f"{atoms.cell.rank}",
                mend="atoms.set_cell(...)",
            )  # fmt: skip
        if self._context is None:
            self._context = cpu_context(self._system)
        return self._context


def read_system(path: Path | str) -> openmm.System:
    """OpenMM system of an XML file that holds no code.

    OpenMM writes a `PythonForce` as a pickle, and runs it when it reads the file. What it
    gets to read here is the text as written again after it was looked at, so that nothing
    hides in an entity or in a way of writing that two parsers take differently.

    Raises
    ------
    InputError
        When there is no such file, it is no system, or it holds Python or what OpenMM
        does not know by itself.
    """
    path = existing(path)
    mend = "write the system with openmm.XmlSerializer, without forces in Python"
    try:
        if path.stat().st_size > MAX_XML_BYTES:
            raise ValueError(f"more than {MAX_XML_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text:  # entities may grow without bounds
            raise ValueError("a document type")
        root = ElementTree.fromstring(text)  # noqa: S314
        known = {name for name in dir(openmm) if "Python" not in name}
        strange = {e.get("type") for e in root.iter()} - known - {None}
        if strange:
            raise ValueError(f"a part of type {sorted(map(str, strange))[0]}")
        system = openmm.XmlSerializer.deserialize(ElementTree.tostring(root, "unicode"))
        if not isinstance(system, openmm.System):
            raise ValueError(type(system).__name__)
    except (ElementTree.ParseError, ValueError, openmm.OpenMMException) as exc:
        raise InputError(
            f"{path} cannot be used as an OpenMM system", got=str(exc), mend=mend,
            wanted="XML of openmm.System with OpenMM's own forces",
        ) from exc  # fmt: skip
    return system


def cpu_context(system: openmm.System) -> openmm.Context:
    """Context that only evaluates, on one thread and reproducibly."""
    platform = openmm.Platform.getPlatformByName("CPU")
    options = {"Threads": "1", "DeterministicForces": "true"}
    return openmm.Context(system, openmm.VerletIntegrator(0.001), platform, options)


def _stress(
    context: openmm.Context, positions: np.ndarray, cell: np.ndarray, strain: float = 1e-3
) -> np.ndarray:
    """Stress (kJ/mol/nm^3) by central differences of the energy under strain.

    Shears are rotated symmetric strains, so that the box stays lower triangular; the
    energy does not feel the rotation.
    """
    stress = np.zeros((3, 3))
    for i in range(3):
        for j in range(i + 1):
            energy = []
            for sign in (1, -1):
                deform = np.eye(3)
                deform[i, j] += sign * strain
                context.setPeriodicBoxVectors(*reduced(cell @ deform))
                context.setPositions(positions @ deform)
                energy.append(
                    context.getState(getEnergy=True).getPotentialEnergy()._value
                )
            stress[i, j] = stress[j, i] = (energy[0] - energy[1]) / (2 * strain)
    context.setPeriodicBoxVectors(*cell)
    return stress / np.linalg.det(cell)


class ZBL(Calculator):
    """Screened repulsion of nuclei (Ziegler, Biersack & Littmark), for any cell.

    It fades to zero, with two continuous derivatives, where atoms are as far apart as
    their covalent radii (Cordero et al. 2008, doi:10.1039/b801115j) say, so that bonds
    hardly feel it.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Fill ``results``; see `ase.calculators.calculator.Calculator`.

        Raises
        ------
        InputError
            When positions are not finite or two atoms are at the same place.
        """
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms if atoms is None else atoms
        n, z, radii = len(atoms), atoms.numbers, covalent_radii[atoms.numbers]
        near = VerletList(2 * radii.max(initial=0.1))
        rows, index = near.rows(atoms.positions, atoms.cell.array, atoms.pbc)
        distance, reach = np.linalg.norm(rows, axis=-1), radii[:, None] + radii[index]
        i, slot = np.nonzero(distance < reach)
        j, between, r = index[i, slot], rows[i, slot], distance[i, slot]
        tensor = torch.from_numpy(r).requires_grad_()
        za, zb, ends = (
            torch.from_numpy(a.astype(float)) for a in (z[i], z[j], reach[i, slot])
        )
        pairs = screened_repulsion(tensor, za, zb, ends)
        (slope,) = torch.autograd.grad(pairs.sum(), tensor)
        pull = (slope.numpy() / r)[:, None] * between  # on i; every pair is there twice
        energies = np.bincount(i, 0.5 * pairs.detach().numpy(), n)
        self.results = {
            "energy": float(energies.sum()),
            "free_energy": float(energies.sum()),
            "energies": energies,
            "forces": np.stack([np.bincount(i, x, n) for x in pull.T], axis=1),
        }
        if atoms.cell.rank == 3:
            stress = 0.5 * between.T @ pull / atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)


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


def from_module(text: str) -> Calculator:
    """The ASE calculator that a function makes which is named ``module:factory``.

    The module may lie in the working directory. It is code: the text must be the user's
    own, never that of a file.

    Raises
    ------
    InputError
        When there is none.
    """
    module, _, factory = text.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        calculator = getattr(importlib.import_module(module), factory)()
        if not isinstance(calculator, Calculator):
            raise TypeError(f"it makes a {type(calculator).__name__}")
    except Exception as exc:  # the user's code raises what it likes
        raise InputError(
            f"{text} gives no ASE calculator", got=f"{type(exc).__name__}: {exc}",
            wanted="module:factory, a function that makes one",
            mend="try it in Python: from MODULE import FACTORY; FACTORY()",
        ) from exc  # fmt: skip
    finally:
        sys.path.remove(here)
    return calculator
