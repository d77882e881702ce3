"""Functions of one coordinate that potentials are linear in: cubic B-splines, Fourier.

Of a coordinate of shape (...) each basis gives values and slopes of shape (..., size).
Lengths are in nm, angles in radians, coefficients in kJ/mol.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor

from ..core.errors import InputError


@dataclass(frozen=True)
class Spline:
    """Uniform cubic B-splines between `start` and `stop`.

    Attributes
    ----------
    start, stop
        Of the coordinate.
    intervals
        Number of knot intervals, four at least.
    ends
        ``"free"``; ``"periodic"``; or ``"zero"``: value, slope and curvature vanish at
        `stop`, as those of a pair potential at its cut-off.
    """

    start: float
    stop: float
    intervals: int
    ends: Literal["free", "periodic", "zero"] = "free"

    def __post_init__(self):
        if not self.stop > self.start or self.intervals < 4:
            raise InputError(
                "B-splines", wanted="stop > start and four intervals at least",
                got=f"{self.start:g} to {self.stop:g} in {self.intervals} intervals",
            )  # fmt: skip

    @classmethod
    def spaced(cls, start: float, stop: float, spacing: float, ends="free") -> Spline:
        """With intervals of about the wanted width."""
        return cls(start, stop, max(4, round((stop - start) / spacing)), ends)

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return self.intervals + (3 if self.ends == "free" else 0)

    @property
    def width(self) -> float:
        """Of one interval."""
        return (self.stop - self.start) / self.intervals

    def local(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The four functions that are not zero at each coordinate.

        Returns
        -------
        column : Tensor
            Shape (..., 4), their places; with ``"zero"`` ends places of `size` and more
            are of functions that are left out.
        value, slope : Tensor
            Shape (..., 4). Beyond free ends the outermost piece goes on, beyond an end
            at zero there is nothing.
        """
        place = (q - self.start) / self.width
        if self.ends == "periodic":
            place = place.remainder(self.intervals)
        first = place.detach().floor().clamp(0, self.intervals - 1)
        t = (place - first).unsqueeze(-1)
        column = first.long().unsqueeze(-1) + torch.arange(4, device=q.device)
        if self.ends == "periodic":
            column = column % self.intervals
        s = 1 - t
        value = torch.cat(
            [s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3], -1
        )
        slope = torch.cat([-(s**2), 3 * t**2 - 4 * t, 4 * s - 3 * s**2, t**2], -1)
        value, slope = value / 6, slope / (2 * self.width)
        if self.ends == "zero":
            within = (q < self.stop).unsqueeze(-1)
            value, slope = value * within, slope * within
        return column, value, slope

    def dense(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Values and slopes of all functions, shape (..., size)."""
        column, *parts = self.local(q)
        wide = max(self.size, self.intervals + 3)
        value, slope = (
            part.new_zeros(*q.shape, wide).scatter_add(-1, column, part)[..., : self.size]
            for part in parts
        )
        return value, slope

    def roughness(self) -> Tensor:
        """Penalty (size, size) of the second differences of coefficients, float64."""
        n = self.size
        eye = torch.eye(n, dtype=torch.float64)
        if self.ends == "periodic":
            bend = eye.roll(1, 0) - 2 * eye + eye.roll(-1, 0)
        else:
            bend = eye.diff(n=2, dim=0)
        return bend.T @ bend


@dataclass(frozen=True)
class Fourier:
    """cos(k q) and sin(k q), k = 1 .. order, of an angle.

    Attributes
    ----------
    order
        Highest k.
    """

    order: int

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return 2 * self.order

    def dense(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Values and slopes, shape (..., size): first all cosines."""
        k = torch.arange(1, self.order + 1, dtype=q.dtype, device=q.device)
        phase = q.unsqueeze(-1) * k
        sine, cosine = phase.sin(), phase.cos()
        return torch.cat([cosine, sine], -1), torch.cat([-k * sine, k * cosine], -1)

    def roughness(self) -> Tensor:
        """Mean squared second derivative, shape (size, size), float64."""
        k = torch.arange(1, self.order + 1, dtype=torch.float64)
        return torch.diag(0.5 * torch.cat([k, k]) ** 4)


Basis = Spline | Fourier

#: A turn.
TURN = (-math.pi, math.pi)


def as_json(basis: Basis) -> dict:
    """Plain data that `from_json` makes the basis of again."""
    return {"kind": type(basis).__name__.lower(), **asdict(basis)}


def from_json(data: dict) -> Basis:
    """Basis of what `as_json` gave.

    Raises
    ------
    KeyError, TypeError, InputError
        When it is something else.
    """
    kinds = {"spline": Spline, "fourier": Fourier}
    given = dict(data)
    return kinds[given.pop("kind")](**given)
