"""A molecule in implicit solvent with a bias on two dihedrals.

The bias has a force group of its own, so that stored forces and energies lack it (see
`core.md`). Being a function of few positions, it leaves mean forces on these as they are:
at fixed positions the other atoms are distributed as without it. Units: nm, rad, kJ/mol.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openmm
import xarray as xr
from MDAnalysis.lib.distances import calc_dihedrals
from openmm import app, unit

from ..core.errors import InputError
from ..core.md import MDSettings, MDState, Progress, make_context, run_segments

#: Group of the bias, which `core.md` leaves out of forces and energies.
BIAS_GROUP = 31
#: Edge of the box that is written with the frames of a molecule without one, nm.
EDGE = 10.0
#: Steps of the minimiser, and kJ/mol of a restraint k (1 - cos(q - q0)), in relaxation.
RELAXATION, RESTRAINT = 60, 1000.0

Dihedral = tuple[int, int, int, int]


@dataclass(frozen=True)
class Molecule:
    """Atoms, bonds and forces of one molecule.

    Attributes
    ----------
    names, residues
        Of the atoms, and of their residues.
    residue
        Number of the residue of each atom.
    bonds
        Pairs of atoms.
    system
        Without a bias.
    x
        Shape (N, 3), nm.
    """

    names: tuple[str, ...]
    residues: tuple[str, ...]
    residue: tuple[int, ...]
    bonds: tuple[tuple[int, int], ...]
    system: openmm.System = field(repr=False)
    x: np.ndarray = field(repr=False)

    @property
    def masses(self) -> np.ndarray:
        """Shape (N,), Da."""
        n = self.system.getNumParticles()
        return np.array([self.system.getParticleMass(i)._value for i in range(n)])

    @property
    def rigid(self) -> list[tuple[int, int]]:
        """Bonds that constraints keep: force maps are to know them."""
        count = self.system.getNumConstraints()
        return [tuple(self.system.getConstraintParameters(i)[:2]) for i in range(count)]

    def turned(self, dihedrals: Sequence[Dihedral], angles: Sequence[float]):
        """Positions (N, 3) with these dihedrals, rad: parts turn about bonds, rigidly.

        Raises
        ------
        InputError
            When there is no such bond, or it is in a ring.
        """
        x = self.x.copy()
        for atoms, angle in zip(dihedrals, angles, strict=True):
            far = self._beyond(atoms[1], atoms[2])
            off = angle - float(calc_dihedrals(*x[list(atoms)].astype(np.float32)))
            axis = x[atoms[2]] - x[atoms[1]]
            x[far] = _rotated(x[far] - x[atoms[2]], axis, off) + x[atoms[2]]
        return x

    def _beyond(self, first: int, second: int) -> list[int]:
        """Atoms that hang on the second one, seen from the first."""
        near: dict[int, list[int]] = {k: [] for k in range(len(self.names))}
        for a, b in self.bonds:
            near[a].append(b)
            near[b].append(a)
        found, todo = {second}, [b for b in near[second] if b != first]
        while todo:
            atom = todo.pop()
            if atom not in found:
                found.add(atom)
                todo += near[atom]
        if first in found or first not in near[second]:
            raise InputError(
                f"turning about {self.names[first]}-{self.names[second]}",
                wanted="a bond that is in no ring",
                got="a ring" if first in near[second] else "no bond",
            )
        return sorted(found)


def _rotated(x: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    """Vectors (n, 3) turned about an axis by the formula of Rodrigues."""
    n = axis / np.linalg.norm(axis)
    along = np.outer(x @ n, n)
    return along + np.cos(angle) * (x - along) + np.sin(angle) * np.cross(n, x)


def read_molecule(
    pdb: str,
    force_field: Sequence[str] = ("amber14-all.xml", "implicit/obc2.xml"),
    *,
    rigid: bool = True,
) -> Molecule:
    """A molecule of standard residues with all hydrogens.

    Parameters
    ----------
    pdb
        Text of a PDB file.
    force_field
        XML files that OpenMM knows.
    rigid
        Whether bonds of hydrogen keep their length.

    Raises
    ------
    InputError
        When the force field does not know it.
    """
    try:
        found = app.PDBFile(io.StringIO(pdb))
        system = app.ForceField(*force_field).createSystem(
            found.topology, constraints=app.HBonds if rigid else None
        )
    except (ValueError, OSError, IndexError) as exc:  # no atoms: IndexError
        raise InputError(
            f"molecule in {' and '.join(force_field)}",
            wanted="residues with all their atoms that it knows",
            got=str(exc).splitlines()[0],
        ) from exc  # fmt: skip
    x = np.array(found.positions.value_in_unit(unit.nanometer))
    bonds = tuple((a.index, b.index) for a, b in found.topology.bonds())
    atoms = list(found.topology.atoms())
    return Molecule(
        tuple(a.name for a in atoms), tuple(a.residue.name for a in atoms),
        tuple(a.residue.index for a in atoms), bonds, system, x,
    )  # fmt: skip


def relaxed_surface(
    molecule: Molecule,
    dihedrals: tuple[Dihedral, Dihedral],
    points: int,
    progress: Progress | None = None,
) -> np.ndarray:
    """Energies of the molecule minimised at fixed dihedrals: a guess of a free energy.

    Parameters
    ----------
    molecule, dihedrals
        What is turned.
    points
        Of each dihedral, n: at -pi + i 2 pi / n.
    progress
        Called with (done, total, text).

    Returns
    -------
    ndarray, shape (n, n)
        kJ/mol; the first index is of the first dihedral.
    """
    hold = openmm.CustomTorsionForce(f"{RESTRAINT}*(1 - cos(theta - centre))")
    hold.addPerTorsionParameter("centre")
    for atoms in dihedrals:
        hold.addTorsion(*atoms, [0.0])
    context = make_context(_biased(molecule, hold), MDSettings(300.0, 1e-15, 1e12, 0))
    line = -np.pi + np.arange(points) * 2 * np.pi / points
    out = np.empty((points, points))
    for where in np.ndindex(*out.shape):
        angles = line[list(where)].tolist()
        for k, (atoms, angle) in enumerate(zip(dihedrals, angles, strict=True)):
            hold.setTorsionParameters(k, *atoms, [angle])
        hold.updateParametersInContext(context)
        _relax(context, molecule.turned(dihedrals, angles))
        state = context.getState(getEnergy=True, groups=~(1 << BIAS_GROUP) & 0xFFFFFFFF)
        out[where] = state.getPotentialEnergy()._value
        if progress is not None:
            progress(where[0] * points + where[1] + 1, points**2, "relaxed surface")
    return out


def _biased(molecule: Molecule, bias: openmm.Force) -> openmm.System:
    system = openmm.XmlSerializer.clone(molecule.system)
    bias.setForceGroup(BIAS_GROUP)
    system.addForce(bias)
    return system


def _relax(context: openmm.Context, x: np.ndarray) -> np.ndarray:
    """Minimise; positions (N, 3)."""
    context.setPositions(x)
    context.applyConstraints(1e-6)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=RELAXATION)
    return context.getState(getPositions=True).getPositions(asNumpy=True)._value


def sample_biased(
    molecule: Molecule,
    bias: openmm.Force,
    start: np.ndarray,
    settings: MDSettings,
    *,
    settle: int,
    length: int,
    stride: int,
    segment: int,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Run one replica on one thread, with a bias that is not in what is stored.

    Parameters
    ----------
    molecule, bias
        What is simulated; the bias gets a force group of its own.
    start
        Shape (N, 3), nm; it is relaxed first.
    settings
        Temperature, step, friction, seed.
    settle, length
        Steps that are left out, and that follow.
    stride, segment
        Steps between frames, and between what a killed run goes on from; the others are
        multiples of `stride`.
    scratch
        Folder of finished segments.
    progress
        Called with (steps done, steps in all, text).

    Returns
    -------
    Dataset
        ``frames/1``, forces and energies without the bias.

    Raises
    ------
    InputError
        When steps are no multiples of the stride.
    StageError
        When the run becomes unstable.
    """
    if any(n % stride for n in (settle, length, segment)):
        raise InputError(
            "steps of a biased run", wanted=f"multiples of the stride, {stride}",
            got=f"{settle} and {length} in segments of {segment}",
        )  # fmt: skip
    system = _biased(molecule, bias)
    x = _relax(make_context(system, settings), start)
    run = run_segments(
        system, molecule.names, MDState(x, EDGE * np.eye(3)), settings,
        n_steps=settle + length, stride=stride, segment_steps=segment,
        source="atomistic", scratch=scratch, progress=progress,
    )  # fmt: skip
    kept = run.frames.isel(frame=slice(settle // stride, None))
    return kept.assign_attrs(pbc="FFF", bias="not in forces and energies")
