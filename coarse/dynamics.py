"""Friction of each species of beads such that they diffuse as their atoms do.

A potential of mean force fixes what is found where, not how fast: its barriers are lower
and what was left out no longer rubs. Times and rates mean something once each species
diffuses, in bulk, as in the all-atom system; that is calibrated here and kept in the
model. Frictions have no memory, so only what is slower than the motion of the atoms that
were left out can be right. Units: nm, ps, Da, K; diffusion coefficients from and for
outside in m2/s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError
from .calibration import SI, Calibration, Target, same, time_factor
from .diffusion import Diffusion, diffusion
from .langevin import GAS_CONSTANT, Langevin
from .linear_forces import BatchedPotential
from .recording import run

#: Least part of the last friction that is tried next.
LEAST = 0.25
#: Part of a target, at most, that the step alone lets beads diffuse in the first round;
#: beads whose potential slows them down get there all the same.
LARGEST = 0.9

Progress = Callable[[float, float, str], None]


class Movable(Protocol):
    """What calibration asks of a system in bulk, such as `BulkRun`; S species."""

    species: tuple[str, ...]
    temperature: float
    step: float

    @property
    def masses_of_species(self) -> np.ndarray:
        """Shape (S,), Da."""

    def diffusion(self, friction: np.ndarray, seed: int) -> Diffusion:
        """Of a run with these frictions (S,), 1/ps."""


@dataclass(frozen=True)
class BulkRun:
    """Runs of one system in bulk, of which frictions are tried.

    Attributes
    ----------
    potential
        Of the model.
    x
        Start near equilibrium, shape (R, B, 3), nm.
    masses
        Shape (B,), Da.
    beads
        Species of each bead, length B; all beads of a molecule may be of one.
    temperature
        K.
    step
        ps; calibrated frictions belong to it.
    settle, frames, every
        Steps left out, saves, and steps between them.
    seed
        Of the noise; each run draws its own.
    """

    potential: BatchedPotential
    x: Tensor
    masses: Tensor
    beads: tuple[str, ...]
    temperature: float
    step: float
    settle: int
    frames: int
    every: int
    seed: int = 0

    @property
    def species(self) -> tuple[str, ...]:
        """Names, length S."""
        return tuple(dict.fromkeys(self.beads))

    @property
    def masses_of_species(self) -> np.ndarray:
        """Mean of each, shape (S,), Da."""
        names, masses = np.array(self.beads), np.asarray(self.masses, dtype=float)
        return np.array([masses[names == name].mean() for name in self.species])

    def diffusion(self, friction: np.ndarray, seed: int) -> Diffusion:
        """See `Movable`.

        Raises
        ------
        InputError
            When replicas blew up, or see `diffusion.diffusion`.
        """
        of = dict(zip(self.species, friction.tolist(), strict=True))
        engine = Langevin(
            self.potential, self.x, self.masses, temperature=self.temperature,
            friction=torch.tensor([of[name] for name in self.beads]), step=self.step,
            seed=self.seed + seed,
        )  # fmt: skip
        engine.advance(self.settle)
        found = np.empty((self.frames, *self.x.shape), np.float32)

        def keep(k: int, x: Tensor) -> None:
            found[k] = x.numpy()

        run(engine, self.frames, self.every, keep)
        check_whole(engine)
        return diffusion(found, self.beads, self.every * self.step)


def check_whole(engine: Langevin) -> None:
    """Refuse a run in which replicas went back to a save: their times are broken."""
    broken = int((engine.restarts > 0).sum())
    if broken:
        raise InputError(
            "dynamics of replicas that blew up", wanted="none", got=str(broken),
            mend="a shorter step, or a potential without holes",
        )  # fmt: skip


def calibrate(
    bulk: Movable,
    target: Target,
    friction: float,
    *,
    rounds: int = 8,
    progress: Progress | None = None,
) -> Calibration:
    """Find the friction of each species with which it diffuses as in all-atom runs.

    Free beads need kT/(m D), which the first round tries. 1/D is a straight line in the
    friction both where collisions add to it and where it rules, with a slope between that
    of free beads and D friction = constant; each round moves along that line, until, from
    the second on, all D are within the 95 % interval of their difference.

    Parameters
    ----------
    bulk
        Runs, of the length that the wanted error needs.
    target
        All-atom values at the same temperature.
    friction
        Of all beads, with which the model would be run: the time factor is that of it.
    rounds
        How many may be tried.
    progress
        Called with (round, rounds, text).

    Raises
    ------
    InputError
        When targets do not fit, or are not reached: friction only slows down.
    """
    same("temperature of the target", bulk.temperature, target.temperature, "K")
    aim = target.of_species(bulk.species)
    thermal = GAS_CONSTANT * bulk.temperature / bulk.masses_of_species
    # Of free beads BAOAB makes D = kT h / (2 m) coth(friction h / 2), exactly.
    least = (thermal * bulk.step / (2 * aim[:, 0])).clip(max=LARGEST)
    gamma = np.arctanh(least) * 2 / bulk.step
    own = bulk.diffusion(np.full(len(aim), float(friction)), 0)
    tried, found = [np.full(len(aim), float(friction))], [own.interval]
    for k in range(1, rounds + 1):
        tried.append(gamma)
        found.append(bulk.diffusion(gamma, k).interval)
        drag, slope = _line(thermal, np.array(tried), np.array(found))
        error = np.hypot(found[-1][:, 1] / found[-1][:, 0], aim[:, 1] / aim[:, 0])
        if progress is not None:
            ratios = ", ".join(f"{r:.3f}" for r in found[-1][:, 0] / aim[:, 0])
            progress(k, rounds, f"D over its target {ratios}")
        off = np.abs(found[-1][:, 0] - aim[:, 0])
        if k > 1 and (off <= np.hypot(found[-1][:, 1], aim[:, 1])).all():
            return Calibration(
                bulk.species, np.stack([gamma, error * drag / slope], 1), found[-1] * SI,
                aim * SI, time_factor(own, target), float(friction), bulk.temperature,
                bulk.step, k,
            )  # fmt: skip
        gamma = np.maximum(gamma + (thermal / aim[:, 0] - drag) / slope, LEAST * gamma)
    raise _not_reached(bulk.species, tried[-1], found[-1], aim, rounds)


def _line(
    thermal: np.ndarray, tried: np.ndarray, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Drag kT/(m D) in the last of k rounds and its slope with friction, shape (S,).

    The slope is that of least squares, held to the line through zero as far as the noise
    of the drag would move it, and within what is possible.
    """
    drag = thermal / found[:, :, 0]
    through_zero = drag[-1] / tried[-1]
    noise = drag[-1] * found[-1, :, 1] / found[-1, :, 0]
    held = (noise / through_zero) ** 2
    off = tried - tried.mean(0)
    slope = (off * drag).sum(0) + held * through_zero
    slope /= (off**2).sum(0) + held
    return drag[-1], slope.clip(np.minimum(1.0, through_zero), through_zero)


def _not_reached(species, gamma, found, aim, rounds: int) -> InputError:
    worst = int(np.abs(np.log(found[:, 0] / aim[:, 0])).argmax())
    D, wanted = found[worst, 0] * SI, aim[worst, 0] * SI
    mend = "more rounds, or a shorter step: free beads have at least kT step / (2 m)"
    if wanted > D:
        mend = "friction only slows down: another potential, if there is hardly any"
    return InputError(
        f"friction of {species[worst]} after {rounds} rounds",
        wanted=f"D = {wanted:.3g} m2/s", got=f"{D:.3g} m2/s at {gamma[worst]:.3g}/ps",
        mend=mend,
    )  # fmt: skip
