"""Dielectric profiles of cylindrical pores, along the axis and across it.

The polarisation is that of `dipoles`: charges moved out from their molecule's centre
along straight lines. Its part along the axis is spread over the shells that a line
crosses; its radial part follows from the charge enclosed by each radius, whatever the
lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.units import VACUUM_PERMITTIVITY
from .dielectric import energy_of, frames_of
from .dipoles import Sums, checked_arms


class PoreSums(Sums):
    """Sums over frames of the polarisation of a pore, kept per block of time.

    Parameters
    ----------
    n_units
        Units U.
    faces
        Radii of the shells, shape (n + 1,), m, growing from 0.

    Attributes
    ----------
    frames
        Frames seen, shape (U,).
    axial, axial_product
        Sums of m_z(r), C/m2, and of m_z(r) M_z, C2/m, shape (U, n).
    dipole
        Sum of M_z, shape (U,), C m.
    radial, radial_product
        Sums of r P_r(r), averaged over each shell, C/m, and of that times K, C2/m, shape
        (U, n).
    logarithm
        Sum of K = sum of q ln r, which a line charge on the axis couples to, shape (U,),
        C.
    """

    def __init__(self, n_units: int, faces: np.ndarray):
        self.faces = np.asarray(faces, dtype=float)
        grow = self.faces.ndim == 1 and (np.diff(self.faces) > 0).all()
        if n_units < 1 or not grow or len(self.faces) < 2 or self.faces[0] != 0:
            raise InputError(
                "shells of a pore",
                wanted="a unit at least; two radii or more that grow from 0",
                got=f"{n_units} units; {self.faces}",
            )
        self.frames, self.dipole, self.logarithm = (np.zeros(n_units) for _ in range(3))
        shape = (n_units, len(self.faces) - 1)
        self.axial, self.axial_product, self.radial, self.radial_product = (
            np.zeros(shape) for _ in range(4)
        )

    def add(
        self,
        unit: int,
        positions: np.ndarray,
        charges: np.ndarray,
        molecule: np.ndarray,
        box: np.ndarray,
        axis: np.ndarray,
    ) -> None:
        """Count one frame.

        Parameters
        ----------
        unit, positions, charges, molecule, box
            As in `DipoleSums.add`; the pore is along z, all atoms are in its shells.
        axis
            Where its axis is, shape (2,), m.

        Raises
        ------
        InputError
            When arrays do not fit, charges are missing, a molecule is charged or not
            whole, or atoms are outside of the shells.
        """
        box = np.asarray(box, float)
        charges, molecule, centre, arm = checked_arms(
            unit, len(self.frames), positions, charges, molecule, box
        )
        centre = centre[:2, molecule] - np.asarray(axis)[:, None]
        x = centre + arm[:2]
        r = np.hypot(x[0], x[1])
        if not r.max() <= self.faces[-1]:  # nor NaN, from an axis that nobody is around
            raise InputError(
                "atoms outside of the shells",
                wanted=f"radii up to {self.faces[-1]:g} m",
                got=f"{r.max():g} m",
                mend="shells up to the wall; give the solvent inside of the pore only",
            )
        moment = charges * arm[2]
        volume = np.pi * np.diff(self.faces**2) * box[2]
        axial = np.diff(moment @ _inside(centre, arm[:2], self.faces)) / volume
        radial = -_enclosed(r, charges, self.faces) / (2 * np.pi * box[2])
        K = charges @ np.log(np.maximum(r, 1e-9 * self.faces[-1]))
        self.frames[unit] += 1
        self.dipole[unit] += moment.sum()
        self.logarithm[unit] += K
        self.axial[unit] += axial
        self.axial_product[unit] += axial * moment.sum()
        self.radial[unit] += radial
        self.radial_product[unit] += radial * K


@dataclass(frozen=True)
class PoreProfile:
    """Response of a pore to fields along and across its axis.

    Attributes
    ----------
    r
        Middle of the shells, shape (n,), m.
    axial
        eps_z, shape (R + 1, n).
    inverse_radial
        1 / eps_r, shape (R + 1, n).
    """

    r: np.ndarray
    axial: np.ndarray
    inverse_radial: np.ndarray


def pore_profile(
    sums: PoreSums, weights: np.ndarray, temperature: float, *, zero_mean: bool = True
) -> PoreProfile:
    """Dielectric profiles of a pore from the covariance of polarisation and dipole.

    With b = 1 / (eps0 kT)::

        eps_z = 1 + b cov(m_z, M_z)
        1 / eps_r = 1 - b cov(r P_r, K),    K = sum of q ln r

    The first is the response to a field along a pore that is periodic and conducting at
    infinity; the second that to a line charge on the axis, which leaves neutral molecules
    without a field outside of the pore, so that images play no part: the linear
    response of Ballenegger & Hansen 2005 (doi:10.1063/1.1845431), for a cylinder.

    Parameters
    ----------
    sums
        Of neutral molecules.
    weights
        Bootstrap weights of the units, shape (R + 1, U).
    temperature
        K.
    zero_mean
        Whether the mean dipole along the axis is zero by symmetry.

    Raises
    ------
    InputError
        When weights do not fit or a unit is empty.
    """
    frames = frames_of(sums, weights)[:, None]
    beta = 1 / (VACUUM_PERMITTIVITY * energy_of(temperature))
    axial, radial = (
        weights @ x / frames for x in (sums.axial_product, sums.radial_product)
    )
    if not zero_mean:
        mean = weights @ sums.dipole[:, None] / frames
        axial = axial - (weights @ sums.axial / frames) * mean
    mean = weights @ sums.logarithm[:, None] / frames
    radial = radial - (weights @ sums.radial / frames) * mean
    middle = 0.5 * (sums.faces[1:] + sums.faces[:-1])
    return PoreProfile(middle, 1 + beta * axial, 1 - beta * radial)


def _inside(begin: np.ndarray, path: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Fraction of straight paths (2, N) inside of each radius, shape (N, n + 1)."""
    square = np.maximum((path**2).sum(axis=0), 1e-18 * radii[-1] ** 2)[:, None]
    half = (begin * path).sum(axis=0)[:, None]
    root = half**2 - square * ((begin**2).sum(axis=0)[:, None] - radii**2)
    reach = np.sqrt(np.maximum(root, 0.0))
    enter, leave = ((sign * reach - half) / square for sign in (-1, 1))
    return np.where(root > 0, np.clip(leave, 0, 1) - np.clip(enter, 0, 1), 0.0)


def _enclosed(r: np.ndarray, charges: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Charge inside of a radius, averaged over the radii of each shell, shape (n,)."""
    n = len(faces) - 1
    cell = np.minimum(np.searchsorted(faces, r, side="right") - 1, n - 1)
    part = (faces[cell + 1] - r) / np.diff(faces)[cell]
    own = np.bincount(cell, charges * part, minlength=n)
    within = np.cumsum(np.bincount(cell, charges, minlength=n))
    return own + np.concatenate([[0.0], within[:-1]])
