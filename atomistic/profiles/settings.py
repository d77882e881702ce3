"""What the profile estimators are told. SI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...core.errors import InputError

#: Called with (done, of, what).
Progress = Callable[[float, float, str], None]
#: Cells of a profile; far more than a trajectory resolves, and memory goes with them.
MOST_CELLS = 20_000


@dataclass(frozen=True)
class Geometry:
    """A slab between two planar walls, normal to z.

    Attributes
    ----------
    left, right
        Positions of the walls, m.
    area
        Of the interface, m2.
    surface_charge
        On the left wall, C/m2; the right wall carries the opposite.
    temperature
        K.
    charge_number
        Species -> charge number.
    """

    left: float
    right: float
    area: float
    surface_charge: float
    temperature: float
    charge_number: dict[str, float]

    def __post_init__(self):
        if not self.right > self.left or not self.area > 0 or not self.temperature > 0:
            raise InputError(
                "geometry of the slab",
                wanted="left < right, area > 0 and temperature > 0",
                got=f"{self.left:g}, {self.right:g}, {self.area:g}, {self.temperature:g}",
            )


@dataclass(frozen=True)
class Resolution:
    """Resolution in space and time.

    Attributes
    ----------
    bin
        Width of a cell, m; adjusted so that cells fill the extent.
    lag
        Of D_perp, and the longer one of D_par, s; 0 where nobody is followed.
    block
        Unit of the block bootstrap, s; chosen by the memory of the density (`blocks`)
        when None.
    replicates
        Bootstrap replicates, at least 50.
    seed
        Of the bootstrap.
    """

    bin: float
    lag: float
    block: float | None = None
    replicates: int = 200
    seed: int = 0

    def __post_init__(self):
        longest = np.inf if self.block is None else self.block / 2
        if not self.bin > 0 or not 0 <= self.lag <= longest * (1 + 1e-9):
            raise InputError(
                "resolution of profiles",
                wanted="bin > 0 and 0 <= lag <= block / 2",
                got=f"bin {self.bin:g} m, lag {self.lag:g} s, block {self.block} s",
            )
        if self.replicates < 50:
            raise InputError(
                "too few bootstrap replicates for an interval",
                wanted="at least 50",
                got=str(self.replicates),
            )


def cells_over(extent: float, bin: float) -> float:
    """How many cells of `bin` fill an extent, not rounded.

    Raises
    ------
    InputError
        When the width is not positive, or there are more than `MOST_CELLS`.
    """
    if not bin > 0 or extent > MOST_CELLS * bin:
        raise InputError(
            "width of a cell",
            wanted=f"above {extent / MOST_CELLS:.2g} m: at most {MOST_CELLS} cells",
            got=f"{bin:g} m",
        )
    return extent / bin


def steps_of(duration: float, frames: xr.Dataset, what: str) -> int:
    """How many saved frames a duration spans.

    Raises
    ------
    InputError
        When the frames are not equally spaced, or the duration is no multiple of it.
    """
    return whole_steps(duration, even_spacing(frames["time"].values), what)


def even_spacing(times: np.ndarray) -> float:
    """Time between frames that are equally spaced.

    Raises
    ------
    InputError
        When there are fewer than two, or they are not equally spaced.
    """
    times = np.asarray(times, dtype=float)
    if len(times) < 2:
        raise InputError("a trajectory of one frame", wanted="at least two frames")
    spacing = np.diff(times)
    mean = float(spacing.mean())
    rounded = rounding(np.abs(times).max())
    if not mean > 0 or not np.allclose(spacing, mean, rtol=1e-3, atol=rounded):
        raise InputError(
            "frames that are not equally spaced",
            wanted=f"{mean:g} s between all frames",
            got=f"{spacing.min():g} to {spacing.max():g} s",
            mend="save at one interval, one trajectory per replica; cut out what was "
            "appended twice",
        )
    return mean


def rounding(time: float) -> float:
    """By how much times in single precision, as XTC and TRR have them, may be off."""
    return 4 * float(np.spacing(np.float32(time)))


def whole_steps(duration: float, spacing: float, what: str) -> int:
    """How many intervals of `spacing` fill a duration.

    Raises
    ------
    InputError
        When the duration is no multiple of the spacing, to a thousandth.
    """
    finite = np.isfinite(duration) and np.isfinite(spacing) and spacing > 0
    steps = round(duration / spacing) if finite else 0
    if steps < 1 or abs(steps * spacing - duration) > 1e-3 * duration:
        raise InputError(
            f"{what} of {duration:g} s does not fit the trajectory",
            wanted=f"a multiple of {spacing:g} s",
            got=f"{duration:g} s",
        )
    return steps


def frames_per(duration: float, frames: xr.Dataset) -> int:
    """Nearest number of saved frames in a duration, at least one."""
    times = frames["time"].values
    return max(1, round(duration / float(np.diff(times).mean())))


def charge_numbers(geometry: Geometry, species: list[str]) -> np.ndarray:
    """Charge number of each species.

    Raises
    ------
    InputError
        When one is not given.
    """
    missing = [s for s in species if s not in geometry.charge_number]
    if missing:
        raise InputError(
            "species without a charge number",
            wanted=", ".join(species),
            got=f"none for {', '.join(missing)}",
        )
    return np.array([geometry.charge_number[s] for s in species], dtype=float)
