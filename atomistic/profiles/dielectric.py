"""Dielectric profiles of slabs and the permittivity of bulk, from fluctuating dipoles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2

from ...core.errors import InputError
from ...core.units import VACUUM_PERMITTIVITY, thermal_energy
from .dipoles import DipoleSums, Sums
from .electrostatics import BOUNDARIES


@dataclass(frozen=True)
class DielectricProfile:
    """Response of a slab to fields along and across it.

    Attributes
    ----------
    z
        Middle of the cells in the mean box, shape (n,), m.
    parallel
        eps_par, shape (R + 1, n).
    inverse_perpendicular
        1 / eps_perp, shape (R + 1, n): the inverse is what is local and finite; it passes
        through zero and may be negative near walls.
    boundary
        ``periodic`` or ``slab``.
    """

    z: np.ndarray
    parallel: np.ndarray
    inverse_perpendicular: np.ndarray
    boundary: str


def dielectric_profile(
    sums: DipoleSums,
    weights: np.ndarray,
    temperature: float,
    *,
    boundary: str,
    zero_mean: bool = True,
) -> DielectricProfile:
    """Dielectric profiles from the covariance of local polarisation and total dipole.

    With b = 1 / (eps0 kT) and cov the covariance (Ballenegger & Hansen 2005,
    doi:10.1063/1.1845431; Bonthuis, Gekle & Netz 2012, doi:10.1021/la2051564; Schlaich,
    Knapp & Netz 2016, doi:10.1103/PhysRevLett.117.048001)::

        eps_par = 1 + b cov(m_par, M_par)
        1 / eps_perp = 1 - b cov(m_perp, M_perp)                              slab
        1 / eps_perp = 1 - b cov(m_perp, M_perp) / (1 + b var(M_perp) / V)    periodic

    ``slab`` is for runs with the dipole correction or two-dimensional Ewald sums, where
    no field acts outside; ``periodic`` for three-dimensional Ewald sums that conduct at
    infinity, with or without vacuum in the box, whose volume V is that of the whole box.

    Replicates are as good as their blocks are long: see `dipole_relaxation`.

    Parameters
    ----------
    sums
        Of neutral molecules.
    weights
        Bootstrap weights of the units, shape (R + 1, U).
    temperature
        K.
    boundary
        ``periodic`` or ``slab``.
    zero_mean
        Whether the mean dipole along the slab is zero by symmetry: then it is not
        estimated, and short runs are not biased. The mean across the slab always is.

    Raises
    ------
    InputError
        When weights do not fit, a unit is empty or the boundary is unknown.
    """
    check_boundary(boundary)
    frames = frames_of(sums, weights)
    beta = 1 / (VACUUM_PERMITTIVITY * energy_of(temperature))
    m, mM = (
        np.einsum("ru,uan->ran", weights, x) / frames[:, None, None]
        for x in (sums.polarisation, sums.product)
    )
    M, M2 = (weights @ x / frames[:, None] for x in (sums.dipole, sums.dipole_square))
    volume = weights @ sums.volume / frames
    height = sums.height.sum() / sums.frames.sum()
    covariance = mM - m * M[..., None]
    across = sums.normal
    along = [axis for axis in range(3) if axis != across]
    in_plane = (mM if zero_mean else covariance)[:, along].mean(axis=1)
    perpendicular = beta * covariance[:, across]
    if boundary == "periodic":
        variance = (M2 - M**2)[:, across]
        perpendicular = perpendicular / (1 + beta * variance / volume)[:, None]
    n = m.shape[-1]
    return DielectricProfile(
        (np.arange(n) + 0.5) * height / n,
        1 + beta * in_plane,
        1 - perpendicular,
        boundary,
    )


def bulk_permittivity(
    sums: DipoleSums, weights: np.ndarray, temperature: float, *, zero_mean: bool = True
) -> np.ndarray:
    """Static permittivity of an isotropic box from the fluctuation of its dipole.

    ``eps = 1 + (<M^2> - <M>^2) / (3 eps0 V kT)`` for Ewald sums that conduct at infinity
    (Neumann 1983, doi:10.1080/00268978300102721).

    Parameters
    ----------
    sums, weights, temperature, zero_mean
        As in `dielectric_profile`.

    Returns
    -------
    ndarray, shape (R + 1,)

    Raises
    ------
    InputError
        When weights do not fit or a unit is empty.
    """
    frames = frames_of(sums, weights)
    square = (weights @ sums.dipole_square).sum(axis=1) / frames
    if not zero_mean:
        square = square - ((weights @ sums.dipole / frames[:, None]) ** 2).sum(axis=1)
    volume = weights @ sums.volume / frames
    return 1 + square / (3 * VACUUM_PERMITTIVITY * volume * energy_of(temperature))


def dipole_relaxation(sums: DipoleSums) -> float:
    """Relaxation time of the total dipole, in blocks.

    From the variance of the blocks' mean dipoles relative to that of the dipole, which an
    exponential (Debye) relaxation with t blocks makes ``2 t - 2 t^2 (1 - exp(-1 / t))``.
    The mean dipole is taken as zero. Above about 0.2 blocks are too short for a bootstrap
    of them: use `permittivity_interval95` then, or longer blocks.

    Parameters
    ----------
    sums
        Of an isotropic box; each unit a block of about equal length.

    Raises
    ------
    InputError
        When a unit is empty.
    """
    frames_of(sums, np.ones((1, len(sums.frames))))  # none of them is empty
    means = (sums.dipole / sums.frames[:, None]) ** 2
    ratio = sums.frames @ means.sum(axis=1) / sums.dipole_square.sum()
    low, high = 1e-3, 20.0
    ratio = np.clip(ratio, _blocked(low), _blocked(high))
    return float(brentq(lambda t: _blocked(t) - ratio, 0.5 * low, 2 * high))


def _blocked(t: float) -> float:
    """Variance of block means relative to all, for a relaxation time of `t` blocks."""
    return 2 * t + 2 * t**2 * np.expm1(-1 / t)


def permittivity_interval95(sums: DipoleSums, temperature: float) -> tuple[float, float]:
    """95 % interval of `bulk_permittivity` that holds for short runs too.

    The dipole of a large box is Gaussian: its mean square over n independent samples
    follows chi-squared, and a run of F frames has ``3 F tanh(s)`` of them, s the frames'
    distance in relaxation times, from `dipole_relaxation`: 3 F where frames are far
    apart, three a relaxation time where they are close (the square relaxes twice as
    fast). A bootstrap of blocks as short as the relaxation itself would claim far too
    much.

    Parameters
    ----------
    sums
        Of an isotropic box without mean dipole.
    temperature
        K.

    Raises
    ------
    InputError
        When a unit is empty.
    """
    eps = bulk_permittivity(sums, np.ones((1, len(sums.frames))), temperature)[0]
    frames, times = sums.frames.sum(), len(sums.frames) / dipole_relaxation(sums)
    samples = 3 * max(1.0, frames * np.tanh(times / frames))
    low, high = (eps - 1) * samples / chi2.ppf([0.975, 0.025], samples)
    return 1 + float(low), 1 + float(high)


def check_boundary(boundary: str) -> None:
    """Refuse a boundary that is neither periodic nor a slab's."""
    if boundary not in ("periodic", "slab"):
        known = "; ".join(f"{name}: {BOUNDARIES[name]}" for name in ("periodic", "slab"))
        raise InputError("boundary of the run", wanted=known, got=repr(boundary))


def energy_of(temperature: float) -> float:
    """KT in J, of a temperature that makes sense."""
    if not temperature > 0:
        raise InputError("temperature", wanted="> 0 K", got=f"{temperature:g}")
    return thermal_energy(temperature)


def frames_of(sums: Sums, weights: np.ndarray) -> np.ndarray:
    """Frames of each replicate, shape (R + 1,)."""
    if np.ndim(weights) != 2 or np.shape(weights)[1] != len(sums.frames):
        raise InputError(
            "bootstrap weights",
            wanted=f"shape (R + 1, {len(sums.frames)})",
            got=str(np.shape(weights)),
        )
    if not (sums.frames > 0).all():
        raise InputError(
            "units without frames",
            wanted="frames in each",
            got=f"{np.count_nonzero(sums.frames == 0)} empty of {len(sums.frames)}",
        )
    return weights @ sums.frames
