"""Two ions in explicit water: umbrella windows along their distance.

The box is made by OpenMM's `Modeller` and a force field with ions, settled at constant
pressure and then kept. Each window is a chain of segments as in `core.md`: a run that was
killed goes on where it stopped and ends bit-equal. Hydrogens are heavy, which changes no
average in equilibrium but allows longer steps. Units here: nm, ps, kJ/mol, K.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

from ..core.errors import InputError, StageError
from ..core.md import MDSettings, MDState, make_context, store, stored
from ..core.units import BOLTZMANN, KJ_MOL, PS

#: Group of the bias, so that forces and energies can be asked for without it.
BIAS_GROUP = 31
#: Of a water molecule at ambient conditions, nm3.
VOLUME = 0.0299
#: Of the settling, bar.
PRESSURE = 1.01325


@dataclass(frozen=True)
class IonPair:
    """What is simulated.

    Attributes
    ----------
    ions
        Names of the two residues in the force field, such as ``("NA", "CL")``.
    centres
        Of the windows, nm, rising; neighbours are started from each other.
    stiffness
        Of the bias k/2 (r - centre)^2, kJ/mol/nm2.
    waters
        Molecules in the box; half its edge must lie above the last window.
    force_field
        XML files that OpenMM knows; Joung and Cheatham's ions in SPC/E
        (doi:10.1021/jp8001614) by default.
    temperature, timestep, friction
        K, ps, 1/ps.
    cutoff
        Of Lennard-Jones and of the direct sum of particle-mesh Ewald, nm.
    sample, segment, settle
        Between kept distances, of a segment, and left out at the start of a window (ten
        times as long at constant pressure before); ps.
    seed
        Of everything random.
    """

    ions: tuple[str, str]
    centres: tuple[float, ...]
    stiffness: float = 2000.0
    waters: int = 216
    force_field: tuple[str, ...] = ("amber14/spce.xml",)
    temperature: float = 298.15
    timestep: float = 0.004
    friction: float = 1.0
    cutoff: float = 0.9
    sample: float = 0.1
    segment: float = 25.0
    settle: float = 10.0
    seed: int = 1

    def __post_init__(self):
        width = (BOLTZMANN / KJ_MOL * self.temperature / self.stiffness) ** 0.5
        last, half = self.centres[-1] + 3 * width, (self.waters * VOLUME) ** (1 / 3) / 2
        if not (np.diff(self.centres) > 0).all() or last > half:
            raise InputError(
                f"windows of {' and '.join(self.ions)}",
                wanted=f"rising centres, the last within {half - 3 * width:.3f} nm: "
                "three widths below half the box",
                got=f"{self.centres[0]:g} to {self.centres[-1]:g} nm",
                mend="more waters, or fewer windows",
            )

    def settings(self, *where: int) -> MDSettings:
        """How segments of a window move."""
        word = np.random.SeedSequence([self.seed, *where]).generate_state(1)[0]
        return MDSettings(
            self.temperature, self.timestep * PS, self.friction / PS, int(word)
        )

    def steps(self, time: float) -> int:
        """Steps of `time`, ps."""
        return max(1, round(time / self.timestep))


@dataclass(frozen=True)
class PairBox:
    """The two ions in their box of water, with a bias on their distance.

    Attributes
    ----------
    system
        Its global parameter ``centre`` (nm) moves the bias.
    start
        Settled at constant pressure, with the box of the mean volume.
    charges
        Of the two ions, e.
    """

    system: openmm.System = field(repr=False)
    start: MDState = field(repr=False)
    charges: tuple[float, float]

    @property
    def edge(self) -> float:
        """Of the cubic box, nm."""
        return float(self.start.box[0, 0])


def pair_box(pair: IonPair) -> PairBox:
    """Build, settle at constant pressure for ten times `settle`, keep the mean box.

    Raises
    ------
    InputError
        When the force field does not know the ions.
    StageError
        When the run becomes unstable.
    """
    modeller = _modeller(pair)
    system = _system(pair, modeller.topology)
    (nonbonded,) = (f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    charges = tuple(nonbonded.getParticleParameters(k)[0]._value for k in (0, 1))
    x = np.array(modeller.positions.value_in_unit(unit.nanometer))
    box = np.array(
        modeller.topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer)
    )
    with _stable(f"the box of {'-'.join(pair.ions)}"):
        start = _settled(pair, system, MDState(x, box))
    return PairBox(system, start, charges)


def _modeller(pair: IonPair) -> app.Modeller:
    """Two ions at the distance of the first window, and water around."""
    topology, edge = app.Topology(), (pair.waters * VOLUME) ** (1 / 3)
    chain = topology.addChain()
    middle = np.full(3, edge / 2)
    away = np.array([pair.centres[0], 0, 0])
    x = [openmm.Vec3(*middle), openmm.Vec3(*(middle + away))]
    try:
        for name in pair.ions:
            element = app.Element.getBySymbol(name)
            topology.addAtom(name, element, topology.addResidue(name, chain))
        forces = app.ForceField(*pair.force_field)
        modeller = app.Modeller(topology, x * unit.nanometer)
        modeller.addSolvent(forces, model="spce", numAdded=pair.waters, neutralize=False)
    except (KeyError, ValueError, OSError) as exc:
        raise InputError(
            f"ions {' and '.join(pair.ions)} in {' '.join(pair.force_field)}",
            wanted="residues and files that OpenMM's force fields have", got=str(exc),
        ) from exc  # fmt: skip
    return modeller


def _system(pair: IonPair, topology: app.Topology) -> openmm.System:
    system = app.ForceField(*pair.force_field).createSystem(
        topology, nonbondedMethod=app.PME, nonbondedCutoff=pair.cutoff,
        rigidWater=True, hydrogenMass=4.0, ewaldErrorTolerance=5e-4,
    )  # fmt: skip
    bias = openmm.CustomBondForce("0.5*stiffness*(r - centre)^2")
    bias.addGlobalParameter("stiffness", pair.stiffness)
    bias.addGlobalParameter("centre", pair.centres[0])
    bias.addBond(0, 1)
    bias.setUsesPeriodicBoundaryConditions(True)
    bias.setForceGroup(BIAS_GROUP)
    system.addForce(bias)
    return system


def _settled(pair: IonPair, system: openmm.System, start: MDState) -> MDState:
    """Constant pressure; then the box has the mean volume of the second half."""
    copy = openmm.XmlSerializer.clone(system)
    barostat = openmm.MonteCarloBarostat(PRESSURE, pair.temperature, 10)
    barostat.setRandomNumberSeed(pair.seed)
    copy.addForce(barostat)
    context = make_context(copy, pair.settings(0))
    context.setPeriodicBoxVectors(*start.box)
    context.setPositions(start.positions)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=200)
    context.setVelocitiesToTemperature(pair.temperature, pair.seed)
    edges = []
    for _ in range(100):
        context.getIntegrator().step(pair.steps(pair.settle / 10))
        edges.append(context.getState().getPeriodicBoxVectors(asNumpy=True)._value[0, 0])
    state = context.getState(getPositions=True)
    edge = float(np.mean(np.array(edges[50:]) ** 3) ** (1 / 3))
    x = _scaled(state.getPositions(asNumpy=True)._value, edge / edges[-1])
    return MDState(x, np.eye(3) * edge)


def _scaled(x: np.ndarray, factor: float) -> np.ndarray:
    """Ions and centres of the three-site waters moved with the box, waters kept rigid."""
    out = x.copy()
    out[:2] *= factor
    waters = x[2:].reshape(-1, 3, 3)
    shift = (factor - 1) * waters[:, :1]
    out[2:] = (waters + shift).reshape(-1, 3)
    return out


def windows(pair: IonPair, folder: Path, segments: Sequence[int]) -> Iterator[np.ndarray]:
    """Run every window to its number of segments, in turns; distances as they come.

    Parameters
    ----------
    pair
        What to simulate; it is written to the folder, which refuses another one.
    folder
        Of segments; those that are there and whole are not run again.
    segments
        Of each window, one at least; more may be asked for later.

    Yields
    ------
    ndarray, shape (n,)
        Distances of the segment that was run or read, nm.

    Raises
    ------
    InputError
        When `segments` does not name one or more for each window.
    StageError
        When a run becomes unstable.
    """
    if len(segments) != len(pair.centres) or min(segments) < 1:
        raise InputError("segments of windows", got=str(list(segments)),
                         wanted=f"{len(pair.centres)} numbers from 1 on")  # fmt: skip
    box = _kept_box(pair, folder)
    ends: list[MDState | None] = [None] * len(pair.centres)
    for turn in range(max(segments)):
        for k in (k for k, count in enumerate(segments) if turn < count):
            path = folder / f"window-{k:03d}-{turn:05d}.npz"
            before = ends[k] or (ends[k - 1] if k else box.start)
            part = stored(path)
            if part is None:
                assert before is not None  # noqa: S101 - the window below ran
                with _stable(f"window {k} of {'-'.join(pair.ions)}"):
                    part = _segment(pair, box, before, k, turn)
                store(path, part)
            ends[k] = MDState(part["x"], box.start.box, part["v"])
            yield part["r"]


def _segment(pair, box: PairBox, start: MDState, k: int, turn: int) -> dict:
    context = make_context(box.system, pair.settings(1, k), turn)
    context.setPeriodicBoxVectors(*box.start.box)
    context.setPositions(start.positions)
    context.setParameter("centre", pair.centres[k])
    if turn == 0:
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=20)
        context.setVelocitiesToTemperature(pair.temperature, pair.seed + k)
        context.getIntegrator().step(pair.steps(pair.settle))
    else:
        context.setVelocities(start.velocities)
    distances = []
    for _ in range(round(pair.segment / pair.sample)):
        context.getIntegrator().step(pair.steps(pair.sample))
        # r from the energy of the bias would lose its sign: take it from positions.
        x = context.getState(getPositions=True).getPositions(asNumpy=True)._value[:2]
        apart = x[1] - x[0]
        distances.append(np.linalg.norm(apart - box.edge * np.round(apart / box.edge)))
    last = context.getState(getPositions=True, getVelocities=True)
    return {
        "r": np.array(distances),
        "x": last.getPositions(asNumpy=True)._value,
        "v": last.getVelocities(asNumpy=True)._value,
    }


@contextmanager
def _stable(what: str):
    """OpenMM stops at positions that are not finite."""
    try:
        yield
    except openmm.OpenMMException as exc:
        raise StageError(f"{what}: the run became unstable", got=str(exc).split("  ")[0],
                         mend="a shorter time step") from exc  # fmt: skip


def read_box(pair: IonPair, folder: Path) -> PairBox:
    """The box that windows in a folder are of.

    Raises
    ------
    InputError
        When there is none, or one of another set-up.
    """
    path, key = folder / "box.npz", repr(pair)
    held = stored(path)
    if held is None:
        raise InputError(f"{path} is not there, or damaged", wanted="a settled box",
                         mend="run the windows")  # fmt: skip
    if str(held["pair"]) != key:
        raise InputError(f"{folder}: windows of another set-up", wanted=key,
                         got=str(held["pair"]), mend="another folder")  # fmt: skip
    system = _system(pair, _modeller(pair).topology)
    return PairBox(
        system, MDState(held["x"], held["box"]), tuple(held["charges"].tolist())
    )


def _kept_box(pair: IonPair, folder: Path) -> PairBox:
    """The settled box, from the folder when it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "box.npz"
    if stored(path) is not None:
        return read_box(pair, folder)
    box = pair_box(pair)
    start, charges = box.start, np.array(box.charges)
    store(path, {"x": start.positions, "box": start.box, "charges": charges,
                  "pair": np.array(repr(pair))})  # fmt: skip
    return box


def read_windows(pair: IonPair, folder: Path) -> list[np.ndarray]:
    """Distances of each window, nm, in the order of time."""
    found: list[np.ndarray] = []
    for k in range(len(pair.centres)):
        parts = [stored(p) for p in sorted(folder.glob(f"window-{k:03d}-*.npz"))]
        held: Sequence[np.ndarray] = [p["r"] for p in parts if p is not None]
        found.append(np.concatenate(held) if held else np.empty(0))
    return found
