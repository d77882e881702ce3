"""Walls: functions of the distance of beads from a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .bases import Spline
from .terms import on_beads


@dataclass(frozen=True)
class Wall:
    """Functions of the distance from a flat wall, of beads that share coefficients.

    Attributes
    ----------
    name
        Such as ``"Na-wall"``.
    beads
        Which feel it.
    basis
        Of the distance, nm; ends at zero where the wall is no longer felt.
    place
        Of the wall, nm along the axis.
    facing
        ``1`` where the beads are above the wall, ``-1`` below it.
    axis
        0, 1 or 2: normal of the wall.
    """

    name: str
    beads: tuple[int, ...]
    basis: Spline
    place: float
    facing: Literal[1, -1] = 1
    axis: Literal[0, 1, 2] = 2

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return self.basis.size

    def distances(self, x: Tensor) -> Tensor:
        """Shape (F, M), nm; of unwrapped beads."""
        return self.facing * (x[:, list(self.beads), self.axis] - self.place)

    def energies(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        return self.basis.dense(self.distances(x))[0].sum(1)

    def forces(self, x: Tensor, box: Tensor | None = None) -> Tensor:
        """See `Term`."""
        slope = self.basis.dense(self.distances(x))[1]
        pull = slope.new_zeros(*slope.shape[:2], 1, 3)
        pull[..., self.axis] = -self.facing
        return on_beads(pull, slope, torch.tensor(self.beads)[:, None], x.shape[1])

    def roughness(self) -> Tensor:
        """See `Term`."""
        return self.basis.roughness()
