"""Cells as OpenMM takes them: lower triangular, right-handed and reduced."""

from __future__ import annotations

import numpy as np
from ase import Atoms


def upright(atoms: Atoms) -> tuple[Atoms, np.ndarray]:
    """A copy turned so that its cell is lower triangular and reduced, as OpenMM asks.

    Returns
    -------
    Atoms
        Turned.
    numpy.ndarray
        Q, shape (3, 3): turned vectors are ``vectors @ Q.T``.
    """
    turned = atoms.copy()
    if turned.cell.rank < 3:
        return turned, np.eye(3)
    cell, turn = turned.cell.standard_form()
    if np.allclose(turn, np.eye(3), rtol=0, atol=1e-12):  # nothing turns: no rounding
        cell, turn = turned.cell, np.eye(3)
    cell = np.tril(cell.array)
    turned.set_cell(reduced(cell * np.sign(np.diag(cell))[:, None]))
    turned.set_positions(atoms.positions @ turn.T)
    return turned, turn


def reduced(cell: np.ndarray) -> np.ndarray:
    """The same lattice in vectors as short as OpenMM asks, of a lower triangular cell."""
    a, b, c = np.array(cell, float)
    b -= a * np.round(b[0] / a[0])
    c -= b * np.round(c[1] / b[1])
    c -= a * np.round(c[0] / a[0])
    # At half a vector OpenMM does not forgive the last digit.
    for vector, place, most in ((b, 0, a[0]), (c, 0, a[0]), (c, 1, b[1])):
        vector[place] = np.clip(vector[place], -0.5 * most, 0.5 * most)
    return np.array([a, b, c])


def straight(atoms: Atoms) -> Atoms:
    """A copy whose open box vectors, which may be missing, stand upright on all others.

    So `upright` does not take them for vectors that repeat.
    """
    moved = atoms.copy()
    cell = moved.cell.complete().array
    for k in np.flatnonzero(~moved.pbc):
        normal = np.cross(*np.delete(cell, k, 0))
        cell[k] = normal * (cell[k] @ normal) / (normal @ normal)
    moved.set_cell(cell)
    return moved
