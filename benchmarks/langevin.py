"""Synthetic truth: independent ions between walls, with W, D_perp and D_par known.

Overdamped motion is integrated in the coordinate q = int dz / sqrt(D), in which the noise
is uniform, by Heun's method, of second weak order there; underdamped motion by BAOAB with
the friction of D(z). Lengths are in nm, times in ps, W in kT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

#: Entries of the tables that drift and D are looked up in.
TABLE = 1 << 16
Profile = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Shape:
    """What the estimators ought to find.

    Attributes
    ----------
    name
        For reports.
    width
        Of the slab, nm; the walls reflect.
    work, perpendicular, parallel
        W (kT), D_perp and D_par (nm2/ps) against the distance from the left wall (nm).
    """

    name: str
    width: float
    work: Profile
    perpendicular: Profile
    parallel: Profile

    def equilibrium(self, rng: np.random.Generator, walkers: int) -> np.ndarray:
        """Positions drawn from exp(-W), shape (walkers,), nm."""
        grid = np.linspace(0, self.width, TABLE + 1)
        middle = 0.5 * (grid[1:] + grid[:-1])
        cumulative = np.concatenate([[0.0], np.cumsum(np.exp(-self.work(middle)))])
        return np.interp(rng.uniform(0, cumulative[-1], walkers), cumulative, grid)


@dataclass(frozen=True)
class Walk:
    """Saved positions; F frames, N ions.

    Attributes
    ----------
    z
        Shape (F, N), nm.
    xy
        Shape (F, N, 2), nm, unwrapped.
    save
        Between frames, ps.
    """

    z: np.ndarray
    xy: np.ndarray
    save: float


def walk(
    shape: Shape,
    walkers: int,
    frames: int,
    seed: int,
    *,
    save: float,
    dt: float,
    bias: Profile | None = None,
    start: np.ndarray | None = None,
) -> Walk:
    """Overdamped motion; starts from equilibrium unless told where to start.

    `bias` (kT) is added to W, as the harmonic bias of an umbrella window is.
    """
    rng = np.random.default_rng(seed)
    work = shape.work if bias is None else lambda z: shape.work(z) + bias(z)
    fine, q_of, drift, plane = _tables(shape, work, dt)
    top = q_of[-1]
    if start is None:
        start = replace(shape, work=work).equilibrium(rng, walkers)
    q = np.interp(start, fine, q_of)
    stride, spread = round(save / dt), np.zeros(walkers)
    saved, spreads = np.empty((frames, walkers)), np.empty((frames, walkers))

    def place(q):
        return np.minimum((q * (TABLE / top)).astype(np.intp), TABLE - 1)

    def reflected(q):
        return np.where(q > top, 2 * top - q, np.abs(q))

    for frame in range(frames):
        saved[frame], spreads[frame] = q, spread
        spread = np.zeros(walkers)
        for _ in range(stride):
            here = place(q)
            noise = np.sqrt(2 * dt) * rng.standard_normal(walkers)
            there = place(reflected(q + drift[here] + noise))
            q = reflected(q + 0.5 * (drift[here] + drift[there]) + noise)
            spread += plane[here]
    xy = np.sqrt(2 * spreads)[..., None] * rng.standard_normal((frames, walkers, 2))
    return Walk(np.interp(saved, q_of, fine), np.cumsum(xy, axis=0), save)


def _tables(shape: Shape, work: Profile, dt: float):
    """Grid of z and q on it; drift of q and spread in the plane in a step, against q."""
    fine = np.linspace(0, shape.width, TABLE + 1)
    middle = 0.5 * (fine[1:] + fine[:-1])
    steps = np.diff(fine) / np.sqrt(shape.perpendicular(middle))
    q_of = np.concatenate([[0.0], np.cumsum(steps)])
    q = (np.arange(TABLE) + 0.5) * q_of[-1] / TABLE
    z = np.interp(q, q_of, fine)
    energy = work(z) - 0.5 * np.log(shape.perpendicular(z))
    return fine, q_of, -np.gradient(energy, q) * dt, shape.parallel(z) * dt


def walk_underdamped(
    shape: Shape,
    walkers: int,
    frames: int,
    seed: int,
    *,
    save: float,
    dt: float,
    kT_m: float,
) -> Walk:
    """Motion with inertia; `kT_m` is kT / m (nm2/ps2). In the plane it has none."""
    rng = np.random.default_rng(seed)
    table = (np.arange(TABLE) + 0.5) * shape.width / TABLE
    kick = -np.gradient(shape.work(table), table) * kT_m * 0.5 * dt
    # BAOAB diffuses freely with kT_m dt / 2 (1 + keep) / (1 - keep): make that D itself.
    ratio = 2 * shape.perpendicular(table) / (kT_m * dt)
    keep = (ratio - 1) / (ratio + 1)
    noise, plane = np.sqrt(kT_m * (1 - keep**2)), shape.parallel(table) * dt
    z = shape.equilibrium(rng, walkers)
    v = np.sqrt(kT_m) * rng.standard_normal(walkers)
    stride, spread = round(save / dt), np.zeros(walkers)
    saved, spreads = np.empty((frames, walkers)), np.empty((frames, walkers))

    def drifted(z, v):
        z = z + 0.5 * dt * v
        outside = (z < 0) | (z > shape.width)
        z = np.where(z > shape.width, 2 * shape.width - z, np.abs(z))
        place = np.minimum((z * (TABLE / shape.width)).astype(np.intp), TABLE - 1)
        return z, np.where(outside, -v, v), place

    place = np.minimum((z * (TABLE / shape.width)).astype(np.intp), TABLE - 1)
    for frame in range(frames):
        saved[frame], spreads[frame] = z, spread
        spread = np.zeros(walkers)
        for _ in range(stride):
            z, v, place = drifted(z, v + kick[place])
            v = keep[place] * v + noise[place] * rng.standard_normal(walkers)
            z, v, place = drifted(z, v)
            v = v + kick[place]
            spread += plane[place]
    xy = np.sqrt(2 * spreads)[..., None] * rng.standard_normal((frames, walkers, 2))
    return Walk(saved, np.cumsum(xy, axis=0), save)


def _both_walls(width: float, f: Profile) -> Profile:
    return lambda z: f(z) + f(width - z)


def _layers(width: float, height: float, decay: float, period: float) -> Profile:
    return _both_walls(
        width, lambda d: height * np.exp(-d / decay) * np.cos(2 * np.pi * d / period)
    )


def _dip(width: float, D: float, depth: float, decay: float) -> Profile:
    wall = _both_walls(width, lambda d: np.exp(-d / decay))
    return lambda z: D * (1 - depth * wall(z))


#: A slab of 4 nm with D = 2e-3 nm2/ps, an ion in water, in several shapes.
SHAPES = {
    "layers, dip 0.6": Shape(
        "layers, dip 0.6", 4.0, _layers(4.0, 2.0, 0.35, 0.5),
        _dip(4.0, 2e-3, 0.6, 0.4), _dip(4.0, 2.4e-3, 0.5, 0.3),
    ),
    "layers, dip 0.4": Shape(
        "layers, dip 0.4", 4.0, _layers(4.0, -1.2, 0.5, 0.7),
        _dip(4.0, 2e-3, 0.4, 0.3), _dip(4.0, 2e-3, 0.3, 0.5),
    ),
    "barrier": Shape(
        "barrier", 4.0, lambda z: 2.5 * np.exp(-(((z - 2.0) / 0.35) ** 2)),
        lambda z: 2e-3 * (1 - 0.5 * np.exp(-(((z - 2.0) / 0.5) ** 2))),
        lambda z: 2e-3 * (1 - 0.4 * np.exp(-(((z - 2.0) / 0.6) ** 2))),
    ),
    "asymmetric": Shape(
        "asymmetric", 4.0,
        lambda z: -1.5 * np.exp(-z / 0.3) + 0.2 * z
        + np.exp(-z / 0.6) * np.cos(2 * np.pi * z / 0.6),
        lambda z: 2e-3 * (1 - 0.55 * np.exp(-z / 0.5) - 0.1 * z / 4.0),
        lambda z: 2.2e-3 * (1 - 0.45 * np.exp(-z / 0.4)),
    ),
}  # fmt: skip
#: Four times as fast, for motion with inertia: gamma = 54/ps in the bulk.
INERTIAL = Shape(
    "underdamped", 4.0, _layers(4.0, 2.0, 0.35, 0.5),
    _dip(4.0, 8e-3, 0.6, 0.4), _dip(4.0, 8e-3, 0.5, 0.3),
)  # fmt: skip
