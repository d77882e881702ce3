"""Cells and charges of the tests of electrostatics."""

import numpy as np

from mesobridge.core.units import NM

SIGMA = 0.1  # C/m2
L = 4 * NM


def uneven_faces(n=200, length=L, seed=0):
    """Faces of cells whose widths differ: nothing may need equal ones."""
    width = np.random.default_rng(seed).uniform(0.5, 1.5, n)
    return np.concatenate([[0.0], np.cumsum(width)]) * length / width.sum()


def neutral(shape, faces, seed=1):
    """Random charge density whose integral is zero, C/m3."""
    charge = np.random.default_rng(seed).standard_normal(shape) * 1e7
    h = np.diff(faces)
    return charge - (charge @ h)[..., None] / h.sum()
