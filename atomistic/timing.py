"""What a step of an oracle and one of a potential cost, in CPU seconds on one thread."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from ase import Atoms

from ..core.errors import InputError, MesobridgeError
from ..core.md import MDSettings
from ..core.process import cpu_seconds, one_thread, reader
from ..core.units import DALTON, EV, FS, PS
from .calculators import from_module
from .cells import straight, upright
from .named_oracle import OracleSpec, charged
from .oracle import total_charge
from .potential import load_potential, to_openmm
from .potential.verlet import VerletList
from .validation.dynamics import Engine, openmm_engine, thermal

#: Steps before anything is timed; blocks of steps of the model, and CPU seconds of one.
SETTLE, BLOCKS, BLOCK_S = 20, 12, 0.3
#: Calculators from these are no first principles: a learned potential gains nothing.
CHEAP = (
    "tblite", "xtb", "dftbplus", "mace", "openmm", "mesobridge.atomistic.calculators",
    "mesobridge.atomistic.potential", "mesobridge.atomistic.fumi_tosi",
    "ase.calculators.dftb", "ase.calculators.emt", "ase.calculators.lj",
    "ase.calculators.morse", "ase.calculators.tip3p", "ase.calculators.mopac",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What is timed.

    Attributes
    ----------
    potential
        `potential/1` file.
    oracle
        As of `Labeller`.
    atoms
        Where the short run starts.
    temperature, timestep
        Of the run: K, s.
    frames
        Of it, that the oracle is timed on after a first one, which starts cold.
    replicas
        One: OpenMM. More: all at once in a batch, the cost of each.
    compile, baseline
        As `load_potential`; the baseline as ``module:factory``.
    anyway
        Also time an oracle that is cheap itself.
    """

    potential: Path
    oracle: OracleSpec
    atoms: Atoms
    temperature: float = 300.0
    timestep: float = 0.5e-15
    frames: int = 5
    replicas: int = 1
    compile: bool = False
    baseline: str | None = None
    anyway: bool = False


@dataclass(frozen=True)
class Timings:
    """What was measured, CPU seconds.

    Attributes
    ----------
    oracle, model
        Of warm steps of the oracle, shape (K,), and of steps of the potential, (B,).
    cold
        Of the oracle's first one.
    cheap
        Class of an oracle that is no first-principles method (`CHEAP`), or ``None``.
    """

    oracle: np.ndarray
    cold: float
    model: np.ndarray
    cheap: str | None


def timings(task: Task) -> Timings:
    """Measure in a process of its own, which has one thread.

    Raises
    ------
    InputError
        When the oracle cannot be made, fails or is cheap, or the potential does not fit.
    StageError
        When the short run is not stable.
    """
    with one_thread():
        pool = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=reader,
            initargs=(os.getpid(),),
        )  # fmt: skip
        with pool:
            return pool.submit(_timings, task).result()


def _timings(task: Task) -> Timings:
    calculator = _made(task.oracle)
    kind = cheap(calculator)
    if kind and not task.anyway:
        raise no_speedup(f"{task.oracle.name} ({kind})")
    step, path = _model(task)
    frames = [path() for _ in range(task.frames + 1)]
    oracle = [_oracle_step(task, calculator, atoms) for atoms in frames]
    model = _steps(step, task.replicas)
    return Timings(np.array(oracle[1:]), oracle[0], model, kind)


def cheap(calculator: object) -> str | None:
    """Where the class of a calculator that is no first-principles method is from."""
    for kind in type(calculator).__mro__:
        for name in CHEAP:
            if kind.__module__ == name or kind.__module__.startswith(name + "."):
                return f"{kind.__module__}.{kind.__name__}"
    return None


def no_speedup(name: str) -> InputError:
    """Why no speed-up is quoted over an oracle."""
    return InputError(
        f"no speed-up is quoted over {name}: semi-empirical methods, force fields and "
        "learned potentials cost about what a learned potential costs, and a ratio to "
        "them says nothing about first-principles dynamics",
        wanted="the first-principles method that the labels stand for",
        got=name, mend="time that oracle, or --anyway, which the output will tell",
    )  # fmt: skip


def _made(oracle: OracleSpec):
    try:
        return oracle()
    except MesobridgeError:
        raise
    except Exception as exc:  # the user's code raises what it likes
        raise InputError(
            f"the oracle {oracle.name} cannot be made", wanted="an ASE calculator",
            got=f"{type(exc).__name__}: {exc}", mend="try it in Python",
        ) from exc  # fmt: skip


def _oracle_step(task: Task, calculator, atoms: Atoms) -> float:
    """CPU seconds of energy and forces."""
    atoms = charged(atoms, task.oracle.charge_of(atoms))
    begun = cpu_seconds()
    try:
        forces = calculator.get_forces(atoms)
        energy = calculator.get_potential_energy(atoms)
        if not (np.isfinite(forces).all() and np.isfinite(energy)):
            raise ValueError("energy or forces are NaN or infinite")
    except Exception as exc:  # calculators raise what they like
        raise InputError(
            f"the oracle {task.oracle.name} fails on a frame of the short run",
            wanted="energy and forces", got=f"{type(exc).__name__}: {exc}",
            mend="try it in Python; a wild structure may be that of a bad potential",
        ) from exc  # fmt: skip
    return cpu_seconds() - begun


def _steps(step: Callable[[int], None], replicas: int) -> np.ndarray:
    """CPU seconds of a step, in blocks that are long enough to be timed."""
    begun = time.process_time()
    step(5)
    one = (time.process_time() - begun) / 5
    n, found = max(5, min(1000, math.ceil(BLOCK_S / max(one, 1e-5)))), []
    for _ in range(BLOCKS):
        begun = time.process_time()
        step(n)
        found.append((time.process_time() - begun) / (n * replicas))
    return np.array(found)


def _model(task: Task) -> tuple[Callable[[int], None], Callable[[], Atoms]]:
    """What goes n steps, and what goes one and returns where that leads."""
    added = from_module(task.baseline) if task.baseline else None
    start = thermal(upright(straight(task.atoms))[0], task.temperature, 0)
    start.info.update(task.atoms.info)
    engine, settings = _engine(task, added), MDSettings(
        task.temperature, task.timestep, 1 / PS, 0
    )  # fmt: skip
    mover = engine(start, settings, 1)
    mover.step(SETTLE)

    def path() -> Atoms:
        mover.step(1)
        atoms = start.copy()
        atoms.set_positions(mover.observe()[2])
        return atoms

    if task.replicas == 1:
        return mover.step, path
    together = _Together(task, start, added)
    together.step(3)
    return together.step, path


def _engine(task: Task, added) -> Engine:
    def forces(atoms: Atoms) -> list:
        pbc = "".join("FT"[int(p)] for p in atoms.pbc)
        return [to_openmm(
            task.potential, atoms.get_chemical_symbols(), pbc=pbc, baseline=added,
            charge=total_charge(atoms.info), compile=task.compile,
        )]  # fmt: skip

    return openmm_engine(forces)


class _Together:
    """Replicas in a batch, by velocity Verlet."""

    def __init__(self, task: Task, start: Atoms, added):
        self.potential = load_potential(
            task.potential, baseline=added, compile=task.compile
        )
        self.start, self.dt = start, task.timestep / FS
        self.numbers = list(self.potential.numbers(start.get_chemical_symbols()))
        self.x = np.repeat(start.positions[None], task.replicas, 0)
        moved = [thermal(start, task.temperature, k) for k in range(task.replicas)]
        speed = math.sqrt(EV / DALTON) * 1e-5  # of ASE, in A/fs
        self.v = np.array([a.get_velocities() for a in moved]) * speed
        cutoff = self.potential.model.cutoff
        self.lists = [VerletList(cutoff, 1.0) for _ in range(task.replicas)]
        self.kick = 0.5 * self.dt * EV / DALTON * 1e-10 / start.get_masses()[:, None]
        self.forces = self._forces()

    def _forces(self) -> np.ndarray:
        a = self.start
        found = self.potential.evaluate_many(
            self.x, self.numbers, a.cell.array, a.pbc, total_charge(a.info),
            stress=False, verlets=self.lists,
        )  # fmt: skip
        return np.array([e.forces for e in found])

    def step(self, n: int) -> None:
        for _ in range(n):
            self.v += self.kick * self.forces
            self.x += self.dt * self.v
            self.forces = self._forces()
            self.v += self.kick * self.forces
