"""Charges of atoms, and what the width of Gaussian ones adds to a profile."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from ...core.errors import InputError
from ...core.units import VACUUM_PERMITTIVITY


def checked_charges(charges: np.ndarray | None, n_atoms: int) -> np.ndarray:
    """Charges of `n_atoms` atoms as an array.

    Raises
    ------
    InputError
        When they are missing, not a number each, or all zero.
    """
    mend = "read a topology with charges, or set them: atoms.charges = ..."
    if charges is None:
        raise InputError("charges", wanted="one for each atom", got="none", mend=mend)
    charges = np.asarray(charges, dtype=float)
    if charges.shape != (n_atoms,) or not np.isfinite(charges).all():
        raise InputError(
            "charges",
            wanted=f"{n_atoms} finite numbers",
            got=f"shape {charges.shape}, {np.count_nonzero(~np.isfinite(charges))} of "
            "them not finite",
            mend=mend,
        )
    if not charges.any():
        raise InputError("charges", wanted="some", got="all of them zero", mend=mend)
    return charges


def smearing_kernels(
    faces: np.ndarray, width: float, periodic: bool
) -> tuple[np.ndarray, np.ndarray]:
    """What Gaussian charges add to field and potential of point charges.

    A cell of Gaussian charges is a difference of two half spaces, whose field and
    potential are the first and second integral of the error function; beyond a few widths
    they are those of point charges.

    Parameters
    ----------
    faces
        Shape (n + 1,), m.
    width
        Standard deviation of the Gaussians, m.
    periodic
        Whether images count.

    Returns
    -------
    field : ndarray, shape (n + 1, n)
        On each face, of each cell's charge density: V/m per C/m3.
    potential : ndarray, shape (n + 1, n)
        V per C/m3.
    """
    x = (faces[:, None] - faces[None, :]) / width
    period = (faces[-1] - faces[0]) / width
    # Distances reach a period, tails nine widths.
    reach = int(np.ceil(9 / period)) + 1 if periodic else 0
    field = np.zeros((len(faces), len(faces) - 1))
    potential = np.zeros_like(field)
    for image in range(-reach, reach + 1):
        shifted = x + image * period
        near = -np.abs(shifted)
        bell = np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi)
        once = bell + near * ndtr(near)
        twice = 0.5 * ((near**2 + 1) * ndtr(near) + near * bell)
        twice = np.where(shifted > 0, 0.5 - twice, twice)
        field -= np.diff(once, axis=1)
        potential += np.diff(twice, axis=1)
    scale = width / VACUUM_PERMITTIVITY
    return field * scale, potential * width * scale
