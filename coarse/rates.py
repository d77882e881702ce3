"""Diffusion and rates of runs of a calibrated model; others are refused.

States are cores, well inside of what they stand for: a run belongs to the core that it
was in last, so that what turns back before it gets to the other one does not count
(Buchete & Hummer 2008, doi:10.1021/jp0761665; Schuette et al. 2011,
doi:10.1063/1.3590108).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..core.errors import InputError
from ..core.stats import bootstrap_weights, half_width95
from ..core.units import PS
from .calibration import AnyModel, Calibration, same
from .diffusion import Diffusion, diffusion
from .dynamics import check_whole
from .langevin import Langevin, check_shape
from .umbrella import Biased

#: Transitions below which there is no rate.
ENOUGH = 20
#: Units of the bootstrap at most; stays are pooled into so many.
UNITS = 1000


@dataclass(frozen=True)
class Motion:
    """How beads were moved.

    Attributes
    ----------
    species
        Of each bead, as calibrated, length B.
    friction
        Shape (B,), 1/ps.
    temperatures
        Of the replicas, K.
    step
        ps.
    """

    species: tuple[str, ...]
    friction: np.ndarray
    temperatures: np.ndarray
    step: float

    @classmethod
    def of(cls, engine: Langevin, species: Sequence[str]) -> Motion:
        """Of an engine, after its run.

        Raises
        ------
        InputError
            When it has biases, or replicas blew up.
        """
        check_shape("species of beads", np.array(species), tuple(engine.friction.shape))
        if isinstance(engine.potential, Biased):
            raise InputError("dynamics of umbrella windows", wanted="a run without bias",
                             got="one with")  # fmt: skip
        check_whole(engine)
        return cls(tuple(species), engine.friction.numpy(), engine.temperature.numpy(),
                   engine.step)  # fmt: skip

    @classmethod
    def of_frames(cls, frames: xr.Dataset) -> Motion:
        """Of ``frames/1`` of `core.md.run_segments`, which has one friction."""
        names = tuple(str(name) for name in frames["species"].values)
        friction = np.full(len(names), frames.attrs["friction"] * PS)
        return cls(names, friction, np.array([frames.attrs["temperature"]]),
                   frames.attrs["timestep"] / PS)  # fmt: skip


def check_dynamics(model: AnyModel, motion: Motion) -> Calibration:
    """The calibration of a model, which must be for this motion.

    Raises
    ------
    InputError
        When there is none, or temperature, step or a friction is another.
    """
    found = Calibration.of(model)
    wanted = found.of_beads(motion.species).numpy()
    for temperature in np.unique(motion.temperatures):
        same("temperature of a run", found.temperature, float(temperature), "K")
    same("step of a run", found.step, motion.step, "ps")
    for name, right, used in zip(motion.species, wanted, motion.friction, strict=True):
        same(f"friction of {name}", right, used, "per ps", "run with `of_beads`; one "
             "friction for all, as in OpenMM, serves models of one species")  # fmt: skip
    return found


def diffusion_of_run(
    model: AnyModel, motion: Motion, x: np.ndarray, spacing: float, *, seed: int = 0
) -> Diffusion:
    """Self-diffusion in a run of a calibrated model.

    Parameters
    ----------
    model, motion
        See `check_dynamics`.
    x, spacing, seed
        See `diffusion.diffusion`.

    Raises
    ------
    InputError
        See `check_dynamics` and `diffusion.diffusion`.
    """
    check_dynamics(model, motion)
    return diffusion(x, motion.species, spacing, seed=seed)


@dataclass(frozen=True)
class Rate:
    """Of transitions from one core to another.

    Attributes
    ----------
    rate
        Shape (R + 1,), 1/ps; replicate 0 is the point estimate. Its inverse is the mean
        first-passage time from where the first core is entered.
    transitions
        How many were seen.
    time
        Spent on the side of the first core, ps.
    n_units
        Stays, or pools of them, that were resampled.
    """

    rate: np.ndarray
    transitions: int
    time: float
    n_units: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the rate, 1/ps, from the spread of its logarithm."""
        half = float(half_width95(np.log(self.rate), min(self.transitions, self.n_units)))
        return float(self.rate[0] * np.exp(-half)), float(self.rate[0] * np.exp(half))


def transition_rate(
    model: AnyModel,
    motion: Motion,
    start: np.ndarray,
    end: np.ndarray,
    spacing: float,
    *,
    replicates: int = 200,
    seed: int = 0,
) -> Rate:
    """Transitions from one core to another over the time spent on the side of the first.

    Runs may end anywhere: what is left of a stay counts as time without a transition.
    What comes before the first core is left out. Of runs that are short beside a stay the
    start must be forgotten first: nothing crosses in the time that a crossing takes.

    Parameters
    ----------
    model, motion
        See `check_dynamics`.
    start, end
        Whether each frame of each replica is in the cores, shape (F, R).
    spacing
        Between frames, ps: short against the time that a core is left and entered in.
    replicates, seed
        Of the bootstrap, over stays.

    Raises
    ------
    InputError
        When cores overlap or there are too few transitions; see `check_dynamics`.
    """
    check_dynamics(model, motion)
    check_shape("frames in the second core", end, start.shape)
    if (start & end).any():
        raise InputError("cores of two states", wanted="no frame in both",
                         got=f"{int((start & end).sum())}")  # fmt: skip
    time, moved = _stays(np.asarray(start, bool), np.asarray(end, bool))
    if moved.sum() < ENOUGH:
        raise InputError(
            "too few transitions for a rate", wanted=f"{ENOUGH} at least",
            got=f"{int(moved.sum())} in {time.sum() * spacing:.4g} ps", mend="run longer "
            "or more replicas; free energies by umbrella windows need no transitions",
        )  # fmt: skip
    n = min(len(time), UNITS)
    pool = np.arange(len(time)) % n
    weights = bootstrap_weights(n, replicates, seed)
    events, total = (weights @ np.bincount(pool, v, n) for v in (moved, time))
    return Rate(events / (total * spacing), int(moved.sum()),
                float(time.sum() * spacing), n)  # fmt: skip


def _stays(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Length in frames of each stay in the first state, and whether it was completed."""
    state = np.where(start, 1, np.where(end, 2, 0))
    last = np.maximum.accumulate(np.where(state > 0, np.arange(len(state))[:, None], 0))
    state = np.take_along_axis(state, last, 0).T
    here = state[:, :-1] == 1
    fresh = here.copy()
    fresh[:, 1:] &= ~here[:, :-1]
    stay = np.cumsum(fresh.ravel())[here.ravel()] - 1
    gone = (state[:, 1:] == 2)[here]
    return np.bincount(stay), np.bincount(stay, gone)
