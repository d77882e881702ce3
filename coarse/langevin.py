"""Langevin dynamics of many replicas at once: BAOAB with guards.

BAOAB is that of Leimkuhler & Matthews 2013 (doi:10.1063/1.4802990): the configurations
of a harmonic oscillator are exact at any stable step. Temperatures are taken between the
two drifts, just after friction and noise, where the velocities of a harmonic oscillator
are exact too; at the end of a step they are colder by (omega step)^2 / 4.
Units: nm, ps, Da, kJ/mol, K. Shapes: R replicas, B beads.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor

from ..core.errors import InputError
from ..core.units import AVOGADRO, BOLTZMANN
from .linear_forces import BatchedPotential
from .linear_model import check_state

#: kJ/mol/K.
GAS_CONSTANT = BOLTZMANN * AVOGADRO * 1e-3
#: Chance that the guards take a healthy bead or replica, at one check, for a sick one.
FALSE_ALARM = 1e-12
#: Steps between checks.
CHECK_EVERY = 10
#: How often in a row a replica may fail to get to its next save.
TRIES = 10


class Langevin:
    """Replicas of a molecule that move independently.

    A bead that is faster, or a replica that is hotter, than `FALSE_ALARM` allows, or one
    that is not finite, goes back to its last good save with new velocities; `restarts`
    counts them. One that never gets to its next save in `TRIES` ends the run.

    Parameters
    ----------
    potential
        Energies and forces; positions are handed over with replicas as the contiguous
        axis of storage.
    x
        Start, shape (R, B, 3), nm; its dtype is that of the run.
    masses
        Shape (B,), Da.
    temperature
        Of all, or of each replica (R,), K.
    friction
        Of all, or of each bead (B,), 1/ps. With none it is velocity Verlet.
    step
        ps. Free diffusion is kT / (m friction) within (friction step)^2 / 12.
    seed
        Of the noise: the same seed gives the same bits on one thread.
    velocities
        Shape (R, B, 3), nm/ps; drawn at the temperature where absent.

    Attributes
    ----------
    x, v
        Positions and velocities now: views that the next step changes.
    temperature, friction
        Shapes (R,), K, and (B,), 1/ps.
    restarts
        Shape (R,).

    Raises
    ------
    InputError
        When shapes do not fit, a number is not what it must be, or no replica is at the
        temperature of the model; other rungs of a ladder may be at any.
    """

    def __init__(
        self,
        potential: BatchedPotential,
        x: Tensor,
        masses: Tensor,
        *,
        temperature: float | Tensor,
        friction: float | Tensor,
        step: float,
        seed: int,
        velocities: Tensor | None = None,
    ):
        x = torch.as_tensor(x)
        check_shape("start positions", x, (None, None, 3))
        n, beads, _ = x.shape
        if not (n and x.is_floating_point() and x.isfinite().all()):
            raise InputError("start positions", wanted="finite numbers of a replica or "
                             "more", got=f"{tuple(x.shape)} of {x.dtype}")  # fmt: skip
        masses = _positive("masses", masses, x, beads).view(1, beads, 1)
        self.friction = _positive("friction", friction, x, beads, least=0.0)
        self.temperature = _positive("temperature", temperature, x, n)
        check_state(getattr(potential, "validity", {}), *self.temperature.tolist())
        if not step > 0:
            raise InputError("time step", wanted="above zero, ps", got=str(step))
        self.potential, self.step, self._seed = potential, step, seed
        self._masses = masses
        self.speed2 = GAS_CONSTANT * self.temperature.view(n, 1, 1) / masses
        self._kick = step / (2 * masses)
        decay = self.friction.view(1, beads, 1) * step
        self._damp = torch.exp(-decay)
        self._spread = (-torch.expm1(-2 * decay) * self.speed2).sqrt()
        self._spread = _replicas_last(self._spread.expand(n, beads, 3))
        self._noise = torch.empty(3, beads, n)
        self._generator = torch.Generator().manual_seed(seed)
        self._limits = [chi2.isf(FALSE_ALARM, 3), chi2.isf(FALSE_ALARM, 3 * beads)]
        self.x = _replicas_last(x.detach())
        if velocities is None:
            velocities = self._draw() * self.speed2.sqrt()
        check_shape("start velocities", velocities, tuple(x.shape))
        self.v = _replicas_last(velocities.detach().to(x.dtype))
        self.restarts = torch.zeros(n, dtype=torch.long)
        self._tries, self._saves = torch.zeros(n, dtype=torch.long), 0
        self._heat = torch.zeros(n, dtype=torch.float64)
        self._good, self._forces = self.x.clone(), self.potential.forces(self.x)

    def advance(self, steps: int) -> None:
        """So many steps, with checks; then positions are kept as a good save.

        Raises
        ------
        InputError
            When a replica fails again and again.
        """
        left = steps
        while left > 0:
            self._steps(min(left, CHECK_EVERY))
            left -= CHECK_EVERY
            self._guard()
        self._tries.zero_()
        self._good.copy_(self.x)
        self._heat += self._kinetic().sum(1).double() / (3 * self.x.shape[1])
        self._saves += 1

    def _steps(self, n: int) -> None:
        x, v, half = self.x, self.v, 0.5 * self.step
        for _ in range(n):
            v.addcmul_(self._forces, self._kick)
            x.add_(v, alpha=half)
            v.mul_(self._damp).addcmul_(self._draw(), self._spread)
            x.add_(v, alpha=half)
            self._forces = self.potential.forces(x)
            v.addcmul_(self._forces, self._kick)

    def _draw(self) -> Tensor:
        """Normal deviates (R, B, 3), single whatever the run is: they cost the most."""
        self._noise.normal_(generator=self._generator)
        return self._noise.permute(2, 1, 0).to(self.x.dtype)

    def _kinetic(self) -> Tensor:
        """Each bead's m v^2 / kT after friction and noise, shape (R, B)."""
        v = self.v - self._kick * self._forces
        return (v.square() / self.speed2).sum(2)

    def _guard(self) -> None:
        each = self._kinetic()
        # Written so that NaN is bad.
        good = (each.amax(1) <= self._limits[0]) & (each.sum(1) <= self._limits[1])
        if good.all():
            return
        bad = ~good
        self.restarts += bad
        self._tries += bad
        if int(self._tries.max()) >= TRIES:
            self._give_up()
        fresh = self._draw() * self.speed2.sqrt()
        self.x[bad], self.v[bad] = self._good[bad], fresh[bad]
        self._forces = self.potential.forces(self.x)

    def _give_up(self) -> None:
        worst = int(self._tries.argmax())
        raise InputError(
            f"replica {worst} blows up, {TRIES} times from the same configuration",
            wanted="beads that stay near the temperature",
            got=f"NaN or beads above {self._limits[0] ** 0.5:.1f} thermal velocities",
            mend=f"take a step shorter than {self.step:g} ps or a relaxed start; a "
            "potential without a floor there needs more data or a prior",
        )

    def kinetic_temperature(self) -> tuple[float, float]:
        """Kinetic temperature over the wanted one, and its standard error.

        The mean over saves; the error is that over replicas, NaN of a single one.
        """
        each = self._heat / max(self._saves, 1)
        error = float(each.std()) / len(each) ** 0.5 if len(each) > 1 else float("nan")
        return float(each.mean()), error

    def forget(self) -> None:
        """Leave what `kinetic_temperature` saw so far out, as before equilibrium."""
        self._heat.zero_()
        self._saves = 0

    def rearrange(self, source: Tensor) -> None:
        """Replica r goes on from where `source[r]` is (R,), at its own temperature."""
        scale = (self.temperature / self.temperature[source]).sqrt().view(-1, 1, 1)
        self.x, self._good = (_replicas_last(t[source]) for t in (self.x, self._good))
        self.v = _replicas_last(self.v[source] * scale)
        self._forces = self.potential.forces(self.x)

    def state(self) -> dict[str, np.ndarray]:
        """All that `restore` needs to go on bit by bit."""
        return {
            "x": self.x.contiguous().numpy().copy(),
            "v": self.v.contiguous().numpy().copy(),
            "noise": self._generator.get_state().numpy(),
            "heat": self._heat.numpy().copy(),
            "restarts": self.restarts.numpy().copy(),
            "saves": np.array([self._saves]),
            "energy": self.potential.energy(self.x).double().numpy(),
            **self._settings(),
        }

    def _settings(self) -> dict[str, np.ndarray]:
        return {
            "step": np.array([self.step]),
            "seed": np.array([self._seed]),
            "temperature": self.temperature.numpy(),
            "masses": self._masses.flatten().numpy(),
            "damping": self._damp.flatten().numpy(),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave.

        Raises
        ------
        InputError
            When it is of another system, other settings or another potential.
        """
        wanted = {"x": self.x.numpy(), **self._settings()}
        for key, ours in wanted.items():
            theirs = state.get(key, np.empty(0))
            same = theirs.shape == ours.shape and theirs.dtype == ours.dtype
            if not same or (key != "x" and not np.array_equal(theirs, ours)):
                raise InputError(
                    "state of another run", wanted=f"the same {key}", got="another",
                    mend="remove the state, or go on with the settings it was made with",
                )  # fmt: skip
        x = _replicas_last(torch.from_numpy(state["x"]))
        energy = self.potential.energy(x).double()
        if not torch.allclose(energy, torch.from_numpy(state["energy"]), 1e-4, 1e-3):
            raise InputError(
                "state of a run with another potential", wanted="the same model",
                got="other energies at the same positions", mend="remove the state",
            )  # fmt: skip
        self.x, self._good = x, x.clone()
        self.v = _replicas_last(torch.from_numpy(state["v"]))
        self._generator.set_state(torch.from_numpy(state["noise"]))
        self._heat = torch.from_numpy(state["heat"]).clone()
        self.restarts = torch.from_numpy(state["restarts"]).clone()
        self._saves = int(state["saves"][0])
        self._forces = self.potential.forces(x)


def _replicas_last(values: Tensor) -> Tensor:
    """A copy (R, B, 3) whose storage is (3, B, R)."""
    out = values.new_empty(3, values.shape[1], len(values)).permute(2, 1, 0)
    return out.copy_(values)


def check_shape(what: str, values, shape: tuple) -> None:
    """Refuse an array of another shape, in which ``None`` stands for any number."""
    found = tuple(values.shape)
    fits = len(found) == len(shape) and all(
        w in (None, f) for w, f in zip(shape, found, strict=True)
    )
    if not fits:
        names = ", ".join("any" if w is None else str(w) for w in shape)
        raise InputError(f"shape of {what}", wanted=f"({names})", got=str(found))


def _positive(what: str, values, like: Tensor, n: int, least: float | None = None):
    """Numbers (n,), in the dtype of a run."""
    given = torch.as_tensor(values, dtype=torch.float64)
    good = given > 0 if least is None else given >= least
    if not (given.shape in ((), (n,)) and given.isfinite().all() and good.all()):
        sign = "above zero" if least is None else "zero or more"
        raise InputError(what, wanted=f"one number or {n}, {sign}",
                         got=str(given.tolist())[:60])  # fmt: skip
    return given.to(like.dtype).expand(n).clone()
