"""Molecular dynamics in OpenMM, in segments that can be killed and taken up again.

A run is a chain of segments. Each starts from the stored positions and velocities of the
last one with a fresh context and a seed of its own, so it is a function of its start
alone: a run that was killed ends bit-equal to an undisturbed one (one thread, CPU
platform). Both scales that move particles use this file; it knows no physics.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
import xarray as xr
from openmm import unit

from .artefact import replacing
from .errors import StageError
from .schema import dataset
from .units import AVOGADRO, BOLTZMANN, DALTON, KJ_MOL, NM, PS

Progress = Callable[[float, float, str], None]

#: Kinetic energy over that of the thermostat at which a run has exploded; melting from a
#: lattice with vacancies reaches about 4.
MAX_HEAT = 12.0


@dataclass(frozen=True)
class MDState:
    """Where a run starts or ended.

    Attributes
    ----------
    positions
        Shape (n, 3), nm, unwrapped.
    box
        Shape (3, 3), nm; rows are box vectors.
    velocities
        Shape (n, 3), nm/ps; ``None`` draws them at the temperature of the run.
    time
        ps.
    """

    positions: np.ndarray
    box: np.ndarray
    velocities: np.ndarray | None = None
    time: float = 0.0


@dataclass(frozen=True)
class MDSettings:
    """How a run moves.

    Attributes
    ----------
    temperature
        K.
    timestep
        s.
    friction
        1/s; 0 gives NVE (velocity Verlet). Friction above about 0.2/ps biases D.
    seed
        Of the velocities and the Langevin noise.
    """

    temperature: float
    timestep: float
    friction: float
    seed: int


@dataclass(frozen=True)
class Trajectory:
    """A finished run.

    Attributes
    ----------
    frames
        `frames/1`.
    final
        Last state.
    total_energy
        Potential and kinetic, J, per frame.
    wall_s
        Time spent moving, summed over segments, whenever they ran.
    """

    frames: xr.Dataset
    final: MDState
    total_energy: np.ndarray
    wall_s: float


def make_context(
    system: openmm.System, settings: MDSettings, segment: int = 0
) -> openmm.Context:
    """Context on one thread of the CPU platform, with the seed of its segment."""
    timestep = settings.timestep / PS
    if settings.friction > 0:
        integrator = openmm.LangevinMiddleIntegrator(
            settings.temperature, settings.friction * PS, timestep
        )
        integrator.setRandomNumberSeed(segment_seed(settings.seed, segment))
    else:
        integrator = openmm.VerletIntegrator(timestep)
    platform = openmm.Platform.getPlatformByName("CPU")
    options = {"Threads": "1", "DeterministicForces": "true"}
    return openmm.Context(system, integrator, platform, options)


def segment_seed(seed: int, segment: int) -> int:
    """Seed in 1 .. 2**31 - 1 for OpenMM (0 would mean 'draw one')."""
    word = np.random.SeedSequence([seed, segment]).generate_state(1)[0]
    return int(word) % (2**31 - 1) + 1


def run_segments(
    system: openmm.System,
    species: Sequence[str],
    start: MDState,
    settings: MDSettings,
    *,
    n_steps: int,
    stride: int,
    segment_steps: int,
    source: str,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> Trajectory:
    """Run `n_steps`, keeping a frame every `stride` steps.

    Parameters
    ----------
    system
        OpenMM system; force group 31 is left out of the stored forces and energies
        (biases).
    species
        Name of each particle, length n.
    start
        First state.
    settings
        Temperature, time step, friction, seed.
    n_steps, stride, segment_steps
        `n_steps` and `segment_steps` are whole multiples of `stride`.
    source
        What moved the particles; kept in the data set.
    scratch
        Folder for finished segments; a later call with the same arguments takes them up.
    progress
        Called with (steps done, steps in all, text).

    Raises
    ------
    StageError
        When the run becomes unstable.
    """
    if n_steps % stride or segment_steps % stride:
        raise ValueError(f"{n_steps} and {segment_steps} steps: no multiples of {stride}")
    parts: list[dict[str, np.ndarray]] = []
    state, done = start, 0
    while done < n_steps:
        steps = min(segment_steps, n_steps - done)
        path = scratch / f"segment-{len(parts):05d}.npz" if scratch else None
        part = stored(path)
        if part is None:
            part = _segment(system, state, settings, len(parts), steps, stride)
            if path is not None:
                store(path, part)
        parts.append(part)
        state = MDState(
            part["last_positions"], part["last_box"], part["last_velocities"],
            float(part["last_time"]),
        )  # fmt: skip
        done += steps
        if progress is not None:
            progress(done, n_steps, source)
    return Trajectory(
        frames=_frames(system, species, parts, source, settings),
        final=state,
        total_energy=np.concatenate([p["total"] for p in parts]) * KJ_MOL,
        wall_s=float(sum(p["wall"] for p in parts)),
    )


def stored(path: Path | None) -> dict[str, np.ndarray] | None:
    """Arrays of a segment that is there and whole; a damaged one is run again."""
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            return dict(data)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def store(path: Path, part: dict[str, np.ndarray]) -> None:
    """Arrays for `stored`, written whole."""
    with replacing(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **part)


def _segment(system, state, settings, index, steps, stride) -> dict[str, np.ndarray]:
    """Run one segment; arrays in OpenMM's units."""
    begin = time.perf_counter()
    context = make_context(system, settings, index)
    context.setPeriodicBoxVectors(*state.box)
    context.setPositions(state.positions)
    context.setTime(state.time)
    if state.velocities is None:
        seed = segment_seed(settings.seed, -1 % 2**32)
        context.setVelocitiesToTemperature(settings.temperature, seed)
    else:
        context.setVelocities(state.velocities)
    rows: dict[str, list] = {k: [] for k in ("x", "f", "box", "t", "u", "total")}
    try:
        for _ in range(steps // stride):
            context.getIntegrator().step(stride)
            for key, value in _observe(context).items():
                rows[key].append(value)
    except openmm.OpenMMException as exc:
        raise _unstable(exc, settings) from exc
    if not all(np.isfinite(rows[k]).all() for k in ("x", "f", "u")):
        raise _unstable("a coordinate, force or energy is not finite", settings)
    _check_heat(system, rows, settings)
    last = context.getState(getPositions=True, getVelocities=True)
    part = {k: np.array(v) for k, v in rows.items()}
    part["f"] = part["f"].astype(np.float32)
    part["last_positions"] = last.getPositions(asNumpy=True)._value
    part["last_velocities"] = last.getVelocities(asNumpy=True)._value
    part["last_box"] = last.getPeriodicBoxVectors(asNumpy=True)._value
    part["last_time"] = np.array(last.getTime()._value)
    part["wall"] = np.array(time.perf_counter() - begin)
    return part


def _check_heat(system: openmm.System, rows: dict[str, list], settings) -> None:
    """Refuse a run that lost its energy conservation and went on as hot gas."""
    moving = sum(system.getParticleMass(i)._value > 0 for i in range(len(rows["x"][0])))
    thermal = 1.5 * moving * BOLTZMANN * settings.temperature / KJ_MOL
    heat = (np.array(rows["total"]) - np.array(rows["u"])).max() / thermal
    if heat > MAX_HEAT:
        raise _unstable(f"kinetic energy {heat:.3g} times the thermostat's", settings)


def _observe(context: openmm.Context) -> dict:
    physical = context.getState(
        getPositions=True, getForces=True, getEnergy=True, groups=0x7FFFFFFF
    )
    kinetic = physical.getKineticEnergy()._value
    potential = physical.getPotentialEnergy()._value
    return {
        "x": physical.getPositions(asNumpy=True)._value,
        "f": physical.getForces(asNumpy=True)._value,
        "box": physical.getPeriodicBoxVectors(asNumpy=True)._value,
        "t": physical.getTime()._value,
        "u": potential,
        "total": potential + kinetic,
    }


def _unstable(why: object, settings: MDSettings) -> StageError:
    return StageError(
        "the molecular dynamics became unstable",
        wanted="finite coordinates and forces",
        got=str(why).splitlines()[0],
        mend=f"shorten the step of {settings.timestep / PS * 1e3:g} fs, start softer, "
        "or train the potential on such configurations",
    )


def _frames(system, species, parts, source, settings) -> xr.Dataset:
    def joined(key: str) -> np.ndarray:
        return np.concatenate([p[key] for p in parts])

    mass = [
        system.getParticleMass(i).value_in_unit(unit.dalton)
        for i in range(system.getNumParticles())
    ]
    return dataset(
        "frames/1",
        {
            "positions": joined("x") * NM,
            "forces": joined("f") * np.float32(1e3 / AVOGADRO / NM),
            "box": joined("box") * NM,
            "species": np.array(species, dtype=str),
            "mass": np.array(mass) * DALTON,
            "time": joined("t") * PS,
            "energy": joined("u") * KJ_MOL,
        },
        {
            "source": source,
            "temperature": settings.temperature,
            "timestep": settings.timestep,
            "thermostat": "Langevin (middle scheme)" if settings.friction else "none",
            "friction": settings.friction,
            "seed": settings.seed,
        },
    )
