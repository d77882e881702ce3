"""Functions of one coordinate that potentials are linear in: cubic B-splines, Fourier.

Of a coordinate of shape (...) each basis gives values and slopes of shape (..., size).
Lengths are in nm, angles in radians, coefficients in kJ/mol.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError

#: A turn.
TURN = (-math.pi, math.pi)
#: Cells between the ends of a coordinate whose visits are counted.
CELLS = 200
#: Visits from which on a part of a coordinate was seen.
ENOUGH = 10


def visited(counts: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """Where coordinates were seen.

    Parameters
    ----------
    counts
        Visits of cells of one width of K coordinates, shape (K, cells).
    span
        Of the coordinates.

    Returns
    -------
    ndarray, shape (K, 2)
        From where to where, with `ENOUGH` visits beyond each end; NaN where there were
        not as many. Outside a potential is an extrapolation.
    """
    edges = np.linspace(*span, counts.shape[1] + 1)
    below = np.cumsum(counts, axis=1) >= ENOUGH
    above = np.cumsum(counts[:, ::-1], axis=1) >= ENOUGH
    found = np.stack([edges[1:][below.argmax(1)], edges[-2::-1][above.argmax(1)]], 1)
    return np.where(below[:, -1:], found, np.nan)


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
    def span(self) -> tuple[float, float]:
        """Of the coordinate."""
        return self.start, self.stop

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
        first, t = self.place(q)
        s = 1 - t
        value = torch.stack(
            [s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3], -1
        )
        value, slope = self._ended(q, value / 6, torch.stack(self.slopes(t), -1))
        return self._columns(first), value, slope

    def place(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Interval of each coordinate, and the place in it: 0 to 1 between the ends."""
        place = (q - self.start) / self.width
        if self.ends == "periodic":
            place = place.remainder(self.intervals)
        first = place.detach().floor().clamp(0, self.intervals - 1)
        return first.long(), place - first

    def slopes(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the four functions that are not zero at places in an interval."""
        s, h = 1 - t, 0.5 / self.width
        rise, fall = t * h, s * h
        first, last = fall * s, rise * t
        return -first, 3 * last - 4 * rise, 4 * fall - 3 * first, last

    def dense(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Values and slopes of all functions, shape (..., size)."""
        column, value, slope = self.local(q)
        return self._spread(column, value), self._spread(column, slope)

    def slope(self, q: Tensor) -> Tensor:
        """Slopes of all functions, shape (..., size)."""
        first, t = self.place(q)
        (slope,) = self._ended(q, torch.stack(self.slopes(t), -1))
        return self._spread(self._columns(first), slope)

    def _ended(self, q: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """Nothing beyond an end at zero."""
        if self.ends != "zero":
            return parts
        within = (q < self.stop).unsqueeze(-1)
        return tuple(part * within for part in parts)

    def _columns(self, first: Tensor) -> Tensor:
        column = first.unsqueeze(-1) + torch.arange(4, device=first.device)
        return column % self.intervals if self.ends == "periodic" else column

    def _spread(self, column: Tensor, part: Tensor) -> Tensor:
        wide = self.size if self.ends == "periodic" else self.intervals + 3
        found = part.new_zeros(*part.shape[:-1], wide)
        return found.scatter_add(-1, column, part)[..., : self.size]

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

    @property
    def span(self) -> tuple[float, float]:
        """Of the angle."""
        return TURN

    def slope(self, q: Tensor) -> Tensor:
        """Slopes of all functions, shape (..., size)."""
        return self.dense(q)[1]

    def roughness(self) -> Tensor:
        """Mean squared second derivative, shape (size, size), float64."""
        k = torch.arange(1, self.order + 1, dtype=torch.float64)
        return torch.diag(0.5 * torch.cat([k, k]) ** 4)


Basis = Spline | Fourier


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
