"""Field and potential of a charge profile, integrated from the left wall."""

from __future__ import annotations

import numpy as np

from ...core.units import VACUUM_PERMITTIVITY


def field_and_potential(
    charge: np.ndarray, faces: np.ndarray, surface_charge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Electric field and potential on the faces of cells of constant charge.

    The integrals are exact for such cells. Nothing is tilted or fitted: what the charge
    does not close shows as a field at the right wall.

    Parameters
    ----------
    charge
        Charge density, shape (..., n), C/m3.
    faces
        Shape (n + 1,), m; ``faces[0]`` is the left wall.
    surface_charge
        On the left wall, C/m2: the field just right of it is this over eps0.

    Returns
    -------
    field : ndarray, shape (..., n + 1)
        V/m.
    potential : ndarray, shape (..., n + 1)
        V, zero on average over the middle fifth of the cell.
    """
    h = np.diff(faces)
    displacement = np.zeros((*charge.shape[:-1], len(faces)))
    displacement[..., 1:] = np.cumsum(charge * h, axis=-1)
    field = (displacement + surface_charge) / VACUUM_PERMITTIVITY
    potential = np.zeros_like(field)
    potential[..., 1:] = -np.cumsum(0.5 * (field[..., 1:] + field[..., :-1]) * h, axis=-1)
    position = (faces - faces[0]) / (faces[-1] - faces[0])
    middle = (position >= 0.4) & (position <= 0.6)
    return field, potential - potential[..., middle].mean(axis=-1, keepdims=True)
