"""Replica exchange: temperatures, umbrella windows or Hamiltonians, many ladders at once.

Sugita & Okamoto 1999 (doi:10.1016/S0009-2614(99)01123-9): neighbours swap configurations
with the Metropolis probability, velocities are scaled. Shapes: L ladders of K states,
R = L K replicas; replica l K + k is always in state k, its configurations come and go.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError
from .langevin import GAS_CONSTANT, Langevin

#: Reduced potentials (R, K) of every state, energies over kT, at positions (R, B, 3).
Reduced = Callable[[Tensor], Tensor]


class ReplicaExchange:
    """Langevin dynamics whose replicas swap with their neighbours.

    Parameters
    ----------
    engine
        R replicas with the temperature and potential of their states.
    reduced
        Of all states at all configurations: `tempered`, or that of umbrella windows. What
        all states share may be left out.
    states
        K, two at least.
    every
        Steps between attempts; even and odd pairs take turns.
    seed
        Of the decisions.

    Attributes
    ----------
    attempts, accepted
        Of each pair of neighbours, shape (K - 1,).

    Raises
    ------
    InputError
        When replicas are not whole ladders.
    """

    def __init__(
        self, engine: Langevin, reduced: Reduced, states: int, *, every: int, seed: int
    ):
        if states < 2 or len(engine.x) % states or every < 1:
            raise InputError(
                "ladders of replica exchange",
                wanted="a multiple of two states or more, a step or more between swaps",
                got=f"{len(engine.x)} replicas, {states} states, every {every} steps",
            )
        self.engine, self.reduced = engine, reduced
        self.states, self.every = states, every
        self.attempts = torch.zeros(states - 1, dtype=torch.long)
        self.accepted = torch.zeros(states - 1, dtype=torch.long)
        self._odd = 0
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def x(self) -> Tensor:
        """Positions now, shape (R, B, 3), nm."""
        return self.engine.x

    @property
    def acceptance(self) -> Tensor:
        """Part of attempts that were accepted, of each pair, shape (K - 1,)."""
        return self.accepted / self.attempts

    def advance(self, steps: int) -> None:
        """Move, with attempts every `every` steps and at the end."""
        while steps > 0:
            self.engine.advance(min(steps, self.every))
            steps -= self.every
            self.swap()

    def swap(self) -> None:
        """One attempt of every other pair of neighbours in all ladders."""
        x, first = self.engine.x, self._odd
        self._odd = 1 - first if self.states > 2 else 0
        u = self.reduced(x).double().view(-1, self.states, self.states)
        own = u.diagonal(dim1=1, dim2=2)
        gain = own[:, :-1] + own[:, 1:] - u.diagonal(1, 1, 2) - u.diagonal(-1, 1, 2)
        gain = gain[:, first::2]
        drawn = torch.rand(gain.shape, generator=self._generator, dtype=torch.float64)
        yes = drawn < gain.exp()
        self.attempts[first::2] += len(yes)
        self.accepted[first::2] += yes.sum(0)
        source = torch.arange(len(x)).view(-1, self.states)
        low = source[:, first : first + 2 * yes.shape[1] : 2]
        high = source[:, first + 1 :: 2]
        swapped = torch.where(yes, high, low), torch.where(yes, low, high)
        low.copy_(swapped[0])
        high.copy_(swapped[1])
        if bool(yes.any()):
            self.engine.rearrange(source.flatten())

    def state(self) -> dict[str, np.ndarray]:
        """All that `restore` needs to go on bit by bit."""
        return {
            **self.engine.state(),
            "swap_noise": self._generator.get_state().numpy(),
            "swap_counts": torch.stack([self.attempts, self.accepted]).numpy(),
            "swap_odd": np.array([self._odd]),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave.

        Raises
        ------
        InputError
            When it is of another run.
        """
        counts = state.get("swap_counts")
        if counts is None or counts.shape != (2, self.states - 1):
            raise InputError(
                "state of another run", wanted=f"exchange among {self.states} states",
                got="none" if counts is None else f"{counts.shape[1] + 1} states",
            )  # fmt: skip
        self.engine.restore(state)
        self.attempts, self.accepted = torch.from_numpy(counts.copy()).unbind()
        self._generator.set_state(torch.from_numpy(state["swap_noise"]))
        self._odd = int(state["swap_odd"][0])


def tempered(engine: Langevin, states: int) -> Reduced:
    """Reduced potentials of states that differ in temperature alone."""
    beta = 1 / (GAS_CONSTANT * engine.temperature[:states].double())
    return lambda x: engine.potential.energy(x).double().unsqueeze(1) * beta
