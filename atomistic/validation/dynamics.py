"""Molecular dynamics of any calculator, in segments that can be taken up again.

Kinetic energies are those of the integrator: velocities at full steps in ASE's velocity
Verlet and Langevin, at half steps in OpenMM's LangevinMiddle, moved to full steps by
OpenMM in its Verlet. All are canonical up to the square of the time step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import openmm
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet

from ...core.artefact import replacing
from ...core.errors import StageError
from ...core.md import MDSettings, make_context, segment_seed, stored
from ...core.units import FS, KJ_MOL, PS

Progress = Callable[[float, float, str], None]

#: Steps between two stored states.
SEGMENT = 500
#: Temperature over the thermostat's at which a run has exploded.
MAX_HEAT = 12.0


class Mover(Protocol):
    """Moves atoms; units of ASE (A, eV, amu)."""

    def step(self, n: int) -> None:
        """Go n steps."""

    def observe(self) -> tuple[float, float, np.ndarray, np.ndarray]:
        """Potential and kinetic energy, positions and velocities (of the integrator)."""


#: Makes the mover of a segment from atoms (with velocities), settings and a seed.
Engine = Callable[[Atoms, MDSettings, int], Mover]


@dataclass(frozen=True)
class Run:
    """A finished run; F samples.

    Attributes
    ----------
    time
        ps, shape (F,).
    potential, kinetic
        eV, shape (F,).
    centre
        Kinetic energy of the centre of mass, eV, shape (F,).
    species, by_species
        Symbols, and their kinetic energies about the centre of mass, shape (F, S).
    positions, box
        A, shapes (F, N, 3) and (3, 3).
    final
        Atoms as they ended.
    """

    time: np.ndarray
    potential: np.ndarray
    kinetic: np.ndarray
    centre: np.ndarray
    species: tuple[str, ...]
    by_species: np.ndarray
    positions: np.ndarray
    final: Atoms

    @property
    def total(self) -> np.ndarray:
        """Total energy, eV, shape (F,)."""
        return self.potential + self.kinetic

    def frames(self, n: int) -> list[Atoms]:
        """At most `n` frames, evenly spaced."""
        chosen = np.linspace(0, len(self.positions) - 1, min(n, len(self.positions)))
        found = []
        for x in self.positions[chosen.astype(int)]:
            atoms = self.final.copy()
            atoms.set_positions(x)
            found.append(atoms)
        return found


class _AseMover:
    def __init__(self, atoms: Atoms, integrator):
        self.atoms, self.integrator = atoms, integrator

    def step(self, n: int) -> None:
        self.integrator.run(n)

    def observe(self):
        a = self.atoms
        return (
            a.get_potential_energy(), a.get_kinetic_energy(),
            a.get_positions(), a.get_velocities(),
        )  # fmt: skip


def ase_engine(calculator: Calculator) -> Engine:
    """Velocity Verlet, or Langevin where there is friction, by ASE."""

    def make(start: Atoms, s: MDSettings, seed: int) -> Mover:
        atoms = start.copy()
        atoms.calc = calculator
        step = s.timestep / FS * units.fs
        if s.friction == 0:
            return _AseMover(atoms, VelocityVerlet(atoms, step))
        # Holding the centre of mass is not quite canonical in ASE: it moves here.
        langevin = Langevin(
            atoms, step, temperature_K=s.temperature, fixcm=False,
            friction=s.friction * FS / units.fs, rng=np.random.default_rng(seed),
        )  # fmt: skip
        return _AseMover(atoms, langevin)

    return make


class _OpenMMMover:
    _energy, _speed = KJ_MOL / 1.602176634e-19, 10 / (1e3 * units.fs)

    def __init__(self, context: openmm.Context):
        self.context = context

    def step(self, n: int) -> None:
        self.context.getIntegrator().step(n)

    def observe(self):
        state = self.context.getState(positions=True, velocities=True, energy=True)
        return (
            state.getPotentialEnergy()._value * self._energy,
            state.getKineticEnergy()._value * self._energy,
            state.getPositions(asNumpy=True)._value * 10,
            state.getVelocities(asNumpy=True)._value * self._speed,
        )


def openmm_engine(forces: Callable[[Atoms], Sequence[openmm.Force]]) -> Engine:
    """Verlet or LangevinMiddle by OpenMM, one thread; `forces` makes forces for atoms.

    Cells must be as `upright` leaves them.
    """

    def make(start: Atoms, s: MDSettings, seed: int) -> Mover:
        system = openmm.System()
        for mass in start.get_masses():
            system.addParticle(mass)
        if start.cell.rank == 3:
            system.setDefaultPeriodicBoxVectors(*(start.cell.array / 10))
        for force in forces(start):
            system.addForce(force)
        context = make_context(system, replace(s, seed=seed))
        context.setPositions(start.positions / 10)
        context.setVelocities(start.get_velocities() / _OpenMMMover._speed)
        return _OpenMMMover(context)

    return make


def thermal(atoms: Atoms, temperature: float, seed: int) -> Atoms:
    """A copy with Maxwell's velocities, the centre of mass at rest."""
    moved = atoms.copy()
    rng = np.random.default_rng(seed)
    spread = np.sqrt(units.kB * temperature / moved.get_masses())[:, None]
    moved.set_velocities(spread * rng.standard_normal((len(moved), 3)))
    momenta = moved.get_momenta()
    share = moved.get_masses()[:, None] / moved.get_masses().sum()
    moved.set_momenta(momenta - share * momenta.sum(0))
    return moved


def run(
    engine: Engine,
    start: Atoms,
    settings: MDSettings,
    n_steps: int,
    *,
    stride: int = 1,
    scratch: Path | None = None,
    progress: Progress | None = None,
    text: str = "molecular dynamics",
) -> Run:
    """Run `n_steps` and look every `stride` steps.

    Parameters
    ----------
    engine
        `ase_engine` or `openmm_engine`.
    start
        With velocities.
    settings
        Friction 0 gives NVE.
    n_steps, stride
        Whole segments of about 500 steps are stored.
    scratch
        Folder of finished segments; the same call takes them up.
    progress
        Called with (steps done, steps, text).

    Raises
    ------
    StageError
        When the run becomes unstable.
    """
    length = stride * max(1, SEGMENT // stride)
    parts: list[dict[str, np.ndarray]] = []
    atoms, done = start.copy(), 0
    while done < n_steps:
        steps = min(length, (n_steps - done) // stride * stride) or stride
        path = scratch / f"segment-{len(parts):05d}.npz" if scratch else None
        part = stored(path)
        if part is None:
            mover = engine(atoms, settings, segment_seed(settings.seed, len(parts)))
            part = _segment(mover, atoms, settings, steps, stride)
            if path is not None:
                with replacing(path) as temporary, open(temporary, "wb") as handle:
                    np.savez(handle, **part)
        parts.append(part)
        atoms.set_positions(part["positions"][-1])
        atoms.set_velocities(part["velocities"])
        done += steps
        if progress is not None:
            progress(done, n_steps, text)
    rows = {
        k: np.concatenate([p[k] for p in parts])
        for k in ("potential", "kinetic", "centre", "by_species", "positions")
    }
    time = (1 + np.arange(len(rows["kinetic"]))) * stride * settings.timestep / PS
    species = tuple(sorted(set(start.get_chemical_symbols())))
    return Run(time, species=species, final=atoms, **rows)


def _segment(
    mover: Mover, atoms: Atoms, s: MDSettings, steps: int, stride: int
) -> dict[str, np.ndarray]:
    mass = atoms.get_masses()
    symbols = np.array(atoms.get_chemical_symbols())
    species = sorted(set(symbols))
    hottest = MAX_HEAT * 1.5 * len(atoms) * units.kB * s.temperature
    rows: dict[str, list] = {
        k: [] for k in ("potential", "kinetic", "centre", "by_species", "positions")
    }
    for _ in range(steps // stride):
        try:
            mover.step(stride)
            potential, kinetic, x, v = mover.observe()
        except openmm.OpenMMException as exc:
            raise _unstable(s, str(exc)) from exc
        if not (np.isfinite(potential) and kinetic < hottest and np.isfinite(x).all()):
            raise _unstable(s, f"kinetic energy {kinetic:.3g} eV")
        middle = mass @ v / mass.sum()
        own = 0.5 * mass * ((v - middle) ** 2).sum(1)
        rows["potential"].append(potential)
        rows["kinetic"].append(kinetic)
        rows["centre"].append(0.5 * mass.sum() * (middle @ middle))
        rows["by_species"].append([own[symbols == one].sum() for one in species])
        rows["positions"].append(x)
    found = {k: np.array(v) for k, v in rows.items()}
    found["velocities"] = v
    return found


def _unstable(s: MDSettings, got: str) -> StageError:
    return StageError(
        "the molecular dynamics became unstable",
        wanted="finite coordinates and energies", got=got,
        mend=f"shorten the step of {s.timestep / FS:g} fs, or train the "
        "potential on such configurations",
    )  # fmt: skip
