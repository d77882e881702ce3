"""Replicas of one system that move in a learned potential, and can be set back.

BAOAB (Leimkuhler & Matthews 2013, doi:10.1063/1.4802990) in eV, A, fs and Da. The noise
of a step is a function of seed, replica and age alone: a replica that is set back, or a
run that is taken up again, goes the same way in the same potential.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from ase import Atoms

from ...core.errors import InputError
from ...core.units import BOLTZMANN, DALTON, EV
from ..oracle import TOTAL_CHARGE, total_charge
from ..potential.evaluation import Evaluation
from ..potential.potential import Potential
from ..potential.verlet import VerletList

#: eV/K, and A/fs^2 for 1 eV/A on 1 Da.
KB = BOLTZMANN / EV
ACCELERATION = EV / DALTON * 1e-10
#: Of neighbour lists, and how far an atom may go in one step before it runs away; A.
SKIN, FARTHEST = 1.0, 0.5


@dataclass(frozen=True)
class System:
    """What moves.

    Attributes
    ----------
    species
        Symbols, length N.
    masses
        Shape (N,), Da.
    box, pbc
        Shape (3, 3), A; which rows repeat.
    charge
        Total, e.
    """

    species: tuple[str, ...]
    masses: np.ndarray
    box: np.ndarray
    pbc: tuple[bool, bool, bool]
    charge: float = 0.0

    def kinetic(self, v: np.ndarray) -> float:
        """Energy of velocities (N, 3), A/fs; eV."""
        return 0.5 * float((self.masses[:, None] * v**2).sum()) / ACCELERATION

    def atoms(self, x: np.ndarray) -> Atoms:
        """A configuration, positions (N, 3), A."""
        return Atoms(list(self.species), x, cell=self.box, pbc=self.pbc,
                     info={TOTAL_CHARGE[0]: self.charge})  # fmt: skip


def system_of(starts: Sequence[Atoms]) -> System:
    """What moves, of configurations of the same atoms.

    Raises
    ------
    InputError
        When there is none, they differ in atoms, cell, periodicity or charge, or are not
        finite.
    """
    if not starts:
        raise InputError("structures to start from", wanted="one or more", got="none")
    first = starts[0]
    if not all(np.isfinite([*a.positions, *a.cell.array]).all() for a in starts):
        raise InputError("structures to start from", wanted="numbers", got="NaN or "
                         "infinity", mend="look at positions and cell")  # fmt: skip
    for other in starts[1:]:
        same = (
            list(other.symbols) == list(first.symbols)
            and np.allclose(other.cell.array, first.cell.array)
            and (other.pbc == first.pbc).all()
            and total_charge(other.info) == total_charge(first.info)
        )
        if not same:
            raise InputError(
                "structures to start from", wanted="the same atoms and cell, periodic "
                "directions and charge", got=f"{first.symbols} and {other.symbols}",
            )  # fmt: skip
    a, b, c = map(bool, first.pbc)
    return System(tuple(first.symbols), first.get_masses(), first.cell.array.copy(),
                  (a, b, c), total_charge(first.info))  # fmt: skip


@dataclass(frozen=True)
class Walker:
    """A replica at one moment.

    Attributes
    ----------
    x, v
        Shape (N, 3), A and A/fs.
    age
        Steps behind it.
    heat
        What the thermostat has given it, eV.
    """

    x: np.ndarray
    v: np.ndarray
    age: int = 0
    heat: float = 0.0


@dataclass(frozen=True)
class Motion:
    """How replicas move.

    Attributes
    ----------
    temperature
        K.
    timestep
        fs.
    friction
        1/fs; zero is velocity Verlet.
    seed
        Of velocities and noise.
    """

    temperature: float
    timestep: float = 0.5
    friction: float = 0.01
    seed: int = 0


@dataclass
class Mover:
    """Moves walkers of a system together.

    Attributes
    ----------
    system, potential, motion
        What moves, in what, and how.
    """

    system: System
    potential: Potential
    motion: Motion
    _lists: dict[int, VerletList] = field(default_factory=dict)

    def evaluate(self, walkers: dict[int, Walker], spread: bool) -> dict[int, Evaluation]:
        """Energies and forces, by the number of the walker."""
        s = self.system
        for r in walkers:
            self._lists.setdefault(r, VerletList(self.potential.model.cutoff, SKIN))
        found = self.potential.evaluate_many(
            [w.x for w in walkers.values()], self._numbers, s.box, s.pbc, s.charge,
            stress=False, spread=spread, verlets=[self._lists[r] for r in walkers],
        )  # fmt: skip
        return dict(zip(walkers, found, strict=True))

    @property
    def _numbers(self) -> Sequence:
        return list(self.potential.numbers(self.system.species))

    def step(
        self,
        walkers: dict[int, Walker],
        found: dict[int, Evaluation],
        spread: bool,
        timestep: float | None = None,
    ) -> tuple[dict[int, Walker], dict[int, Evaluation]]:
        """One step of each: walkers, and what the potential says of them.

        Walkers that run away are left out.

        Parameters
        ----------
        walkers
            By their number.
        found
            What the potential says of them now.
        spread
            Whether standard deviations of forces are wanted of the new ones.
        timestep
            fs; that of the motion without.
        """
        dt = timestep or self.motion.timestep
        moved = {r: self._drifted(r, w, found[r].forces, dt) for r, w in walkers.items()}
        moved = {r: w for r, w in moved.items() if _near(w.x, walkers[r].x)}
        if not moved:
            return {}, {}
        found = self.evaluate(moved, spread)
        half = 0.5 * dt * ACCELERATION / self.system.masses[:, None]
        done = {
            r: replace(w, v=w.v + half * found[r].forces, age=w.age + 1)
            for r, w in moved.items()
        }
        return done, found

    def _drifted(self, number: int, w: Walker, forces: np.ndarray, dt: float) -> Walker:
        """All of a step but for the last kick."""
        m, masses, heat = self.motion, self.system.masses[:, None], w.heat
        v = w.v + 0.5 * dt * ACCELERATION / masses * forces
        x = w.x + 0.5 * dt * v
        if m.friction:
            keep = np.exp(-m.friction * dt)
            noise = _normal(m.seed, number, w.age + 1, w.x.shape)
            speed = np.sqrt(KB * m.temperature * ACCELERATION / masses)
            heat -= self.system.kinetic(v)
            v = keep * v + np.sqrt(1 - keep**2) * speed * noise
            heat += self.system.kinetic(v)
        return replace(w, x=x + 0.5 * dt * v, v=v, heat=heat)


def started(system: System, motion: Motion, x: np.ndarray, number: int) -> Walker:
    """A walker with velocities of the temperature, at rest as a whole."""
    masses = system.masses[:, None]
    v = _normal(motion.seed, number, 0, x.shape)
    v *= np.sqrt(KB * motion.temperature * ACCELERATION / masses)
    if len(x) > 1:
        v -= (masses * v).sum(0) / masses.sum()
    return Walker(np.array(x, float), v)


def _near(x: np.ndarray, before: np.ndarray) -> bool:
    """Whether no atom has run away; of NaN this is false as well."""
    return bool(np.abs(x - before).max() <= FARTHEST)


def _normal(seed: int, number: int, age: int, shape: tuple) -> np.ndarray:
    return np.random.default_rng([seed, number, age]).standard_normal(shape)
