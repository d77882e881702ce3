"""Overdamped ions between walls whose W and D are known: truth for the estimators."""

import numpy as np

from mesobridge.atomistic.profiles import Geometry, Resolution
from mesobridge.core.schema import dataset
from mesobridge.core.units import DALTON, ELEMENTARY_CHARGE, NM, PS

# Quick ions in a narrow slab: the whole profile relaxes within a block.
WIDTH, EDGE, D0 = 1.6, 1.66, 5e-2  # nm, nm, nm2/ps
TEMPERATURE = 1200.0


def work(z):
    """W / kT: layers at both walls."""
    d = np.minimum(z, WIDTH - z)
    return -0.8 * np.exp(-d / 0.25) * np.cos(2 * np.pi * (d - 0.05) / 0.4)


def diffusivity(z):
    """D, nm2/ps: slower at the walls."""
    return D0 * (1 - 0.45 * np.exp(-z / 0.3) - 0.45 * np.exp(-(WIDTH - z) / 0.3))


def _drift(z):
    h = 1e-4
    D = diffusivity(z)
    slope = (diffusivity(z + h) - diffusivity(z - h)) / (2 * h)
    force = (work(np.clip(z - h, 0, WIDTH)) - work(np.clip(z + h, 0, WIDTH))) / (2 * h)
    return slope + D * force


def walk(n_ions, duration, seed, *, dt=0.004, save=0.02, z_start=None, mobile=None):
    """`frames/1` of independent ions, Na and Cl in equal numbers; times in ps.

    `mobile` scales the steps of each ion (0 freezes it).
    """
    rng = np.random.default_rng(seed)
    mobile = np.ones(n_ions) if mobile is None else mobile
    if z_start is None:
        grid = np.linspace(0, WIDTH, 4001)
        weight = np.exp(-work(grid))
        z = rng.choice(grid, n_ions, p=weight / weight.sum())
    else:
        z = z_start.copy()
    xy = rng.uniform(0, EDGE, (n_ions, 2))
    stride, frames = round(save / dt), []
    for step in range(round(duration / dt)):
        if step % stride == 0:
            frames.append(np.concatenate([xy, 5.0 + z[:, None]], axis=1))
        size = np.sqrt(2 * diffusivity(z) * dt)
        xy = xy + mobile[:, None] * size[:, None] * rng.standard_normal((n_ions, 2))
        z = z + mobile * (_drift(z) * dt + size * rng.standard_normal(n_ions))
        z = np.abs(z)
        z = np.where(z > WIDTH, 2 * WIDTH - z, z)
    return frames_of(np.array(frames), save)


def frames_of(positions, save, box=(EDGE, EDGE, 13.0)):
    """`frames/1` of positions (nm); Na first, then Cl."""
    n_frames, n = positions.shape[:2]
    return dataset(
        "frames/1",
        {
            "positions": positions * NM,
            "forces": np.zeros_like(positions),
            "box": np.tile(np.diag(box) * NM, (n_frames, 1, 1)),
            "species": ["Na"] * (n // 2) + ["Cl"] * (n - n // 2),
            "mass": np.full(n, 29.0) * DALTON,
            "time": np.arange(n_frames) * save * PS,
        },
        {"source": "synthetic"},
    )


def geometry(surface_charge=0.0):
    return Geometry(
        left=5.0 * NM,
        right=(5.0 + WIDTH) * NM,
        area=EDGE**2 * NM**2,
        surface_charge=surface_charge * ELEMENTARY_CHARGE / NM**2,
        temperature=TEMPERATURE,
        charge_number={"Na": 1.0, "Cl": -1.0},
    )


def settings(**changes):
    base = {
        "bin": 0.0267 * NM, "lag": 0.2 * PS, "block": 10 * PS, "replicates": 60, "seed": 3
    }  # fmt: skip
    return Resolution(**{**base, **changes})
