"""Whether stress is in the unit and of the sign that forces and lengths say.

The linear potential that is fitted to the forces alone says little of pressure, but much
of how stress differs between directions: that must go along with the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...core.errors import InputError
from .data import Frame
from .linear import columns

#: Atoms of the frames that are strained, about, by how much; fewest frames to tell from.
ATOMS, STRAIN, FRAMES = 500, 1e-3, 4
#: Slopes between these are no reason to complain, nor are those of less correlation.
ALLOWED, CORRELATION = (0.4, 2.5), 0.7
#: How many of them an eV/A^3 is.
UNITS = {
    "GPa": 160.21766, "kbar": 1602.1766, "bar": 1.6021766e6, "Pa": 1.6021766e11,
    "hartree/bohr^3": 0.00544578, "eV/A^3": 1.0,
}  # fmt: skip


def check_stress(
    frames: Sequence[Frame], coefficients: np.ndarray, n_species: int, cutoff: float
) -> None:
    """Refuse stress of another unit or sign than forces and lengths say.

    Parameters
    ----------
    frames
        With neighbours up to the cut-off, some with stress.
    coefficients
        Of `linear.columns`, fitted to the forces.
    n_species, cutoff
        As `linear.columns`.

    Raises
    ------
    InputError
        Names the unit that would explain the data.
    """
    some = [f for f in frames if f.virial is not None]
    some = some[:: max(1, round(sum(len(f.species) for f in some) / ATOMS))]
    if len(some) < FRAMES:
        return
    x = _differences([_stress(f, coefficients, n_species, cutoff) for f in some])
    y = _differences([f.virial / f.volume for f in some if f.virial is not None])
    along = x @ y
    if not along**2 > CORRELATION**2 * (x @ x) * (y @ y):
        return
    slope = float(y @ y / along)
    if ALLOWED[0] < slope < ALLOWED[1]:
        return
    raise InputError(
        f"stress and forces do not belong together: {_named(slope, some)}",
        wanted="stress in eV/A^3, tension positive, that follows from the forces",
        got=f"{slope:.3g} times that, in {len(some)} frames",
        mend="convert the stress, or name a virial (eV) by data.virial "
        "(check_units = false: leave it)",
    )  # fmt: skip


def _differences(stresses: Sequence[np.ndarray]) -> np.ndarray:
    """What of stress is no pressure, shape (5 F,)."""
    s = np.array(stresses)
    s = s - np.trace(s, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    return s[:, (0, 1, 0, 0, 1), (0, 1, 1, 2, 2)].ravel()


def _stress(
    f: Frame, coefficients: np.ndarray, n_species: int, cutoff: float
) -> np.ndarray:
    """Slope of the energy on strain over the volume, shape (3, 3), eV/A^3."""
    found, strains = np.zeros((3, 3)), [(a, b) for a in range(3) for b in range(a, 3)]
    for a, b in strains:
        strain = np.zeros((3, 3))
        strain[a, b] += STRAIN / 2
        strain[b, a] += STRAIN / 2
        both = [
            replace(f, vectors=f.vectors @ (np.eye(3) + way * strain)) for way in (1, -1)
        ]
        up, down = columns(both, n_species, cutoff)[0] @ coefficients
        found[a, b] = found[b, a] = (up - down) / (2 * STRAIN * f.volume)
    return found


def _named(slope: float, frames: Sequence[Frame]) -> str:
    """What may explain a slope, the nearest first."""
    sign = "" if slope > 0 else ", compression positive"
    factors = {f"stress in {unit}{sign}": factor for unit, factor in UNITS.items()}
    if slope < 0:
        volume = float(np.median([f.volume for f in frames]))
        factors["a virial (eV) in place of stress"] = volume
    off = {name: abs(np.log(abs(slope) / factor)) for name, factor in factors.items()}
    near = sorted((name for name in off if off[name] < np.log(2)), key=lambda n: off[n])
    return ", or ".join(near) or f"a factor of {slope:.3g} between them"
