"""Phonons by finite displacements, through phonopy (optional, BSD-3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from ...core.errors import InputError
from .crystal import relaxed, repeats

Progress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class Phonons:
    """Frequencies in THz; imaginary ones are negative.

    Attributes
    ----------
    path, bands
        Length along the path of wave vectors, shape (Q,), and frequencies (Q, 3 N).
    ticks, labels
        Corners of the path.
    dos_frequency, dos
        Density of states, whose integral is 3 N.
    lowest
        Lowest of the path and of the mesh, interpolated between those of the supercell.
    lowest_fitting
        Lowest of the waves that fit into the supercell: nothing is interpolated.
    supercell
        Repeats of the primitive cell.
    """

    path: np.ndarray
    bands: np.ndarray
    ticks: np.ndarray
    labels: tuple[str, ...]
    dos_frequency: np.ndarray
    dos: np.ndarray
    lowest: float
    lowest_fitting: float
    supercell: tuple[int, ...]


def phonons(
    crystal: Atoms,
    calculator: Calculator,
    *,
    shortest: float = 10.0,
    displacement: float = 0.01,
    points: int = 200,
    progress: Progress | None = None,
) -> Phonons:
    """Band structure and density of states of a relaxed crystal.

    Parameters
    ----------
    crystal
        Best its primitive cell; relaxed here, with its cell.
    calculator
        Any ASE calculator; double precision is advised.
    shortest
        Distance of a displaced atom from its images, A: twice the reach of the forces.
    displacement
        A.
    points
        Of the path (Setyawan & Curtarolo 2010, doi:10.1016/j.commatsci.2010.05.010).

    Raises
    ------
    InputError
        When phonopy is not there.
    StageError
        When the crystal does not relax.
    """
    rest = relaxed(crystal, calculator, cell=True)
    shape = repeats(rest, shortest)
    found = force_constants(rest, calculator, shape, displacement, progress)
    path = rest.cell.bandpath(npoints=points)
    length, ticks, labels = path.get_linear_kpoint_axis()
    found.run_qpoints(path.kpts)
    bands = np.array(found.qpoints.frequencies)
    found.run_qpoints(np.indices(tuple(shape)).reshape(3, -1).T / shape)
    fitting = np.array(found.qpoints.frequencies)
    found.run_mesh(60.0)
    found.run_total_dos()
    mesh = np.array(found.mesh.frequencies)
    return Phonons(
        length, bands, np.asarray(ticks), tuple(labels),
        np.array(found.total_dos.frequency_points), np.array(found.total_dos.dos),
        float(min(bands.min(), mesh.min())), float(fitting.min()),
        tuple(int(n) for n in shape),
    )  # fmt: skip


def force_constants(rest: Atoms, calculator: Calculator, shape, displacement, progress):
    """A `phonopy.Phonopy` with symmetric force constants."""
    try:
        from phonopy import Phonopy
        from phonopy.structure.atoms import PhonopyAtoms
    except ImportError as exc:
        raise InputError(
            "phonons need phonopy", wanted="phonopy", got=str(exc),
            mend="pip install 'mesobridge[validate]'",
        ) from exc  # fmt: skip
    cell = PhonopyAtoms(
        symbols=rest.get_chemical_symbols(), cell=rest.cell.array,
        scaled_positions=rest.get_scaled_positions(), masses=rest.get_masses(),
    )  # fmt: skip
    found = Phonopy(cell, np.diag(shape), primitive_matrix=np.eye(3))
    found.generate_displacements(distance=displacement)
    forces = []
    cells = found.supercells_with_displacements or []
    for i, moved in enumerate(cells):
        atoms = Atoms(
            moved.symbols, cell=moved.cell, scaled_positions=moved.scaled_positions,
            pbc=True,
        )  # fmt: skip
        atoms.calc = calculator
        forces.append(atoms.get_forces())
        if progress is not None:
            progress(i + 1, len(cells), "phonons")
    found.forces = forces
    found.produce_force_constants()
    found.symmetrize_force_constants()
    return found
