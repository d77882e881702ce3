"""A bias that flattens what is known of a free energy along two dihedrals.

Fixed from the start, so that each frame's weight is but exp(bias / kT), and smooth, so
that all engines and `force_checks` can have it. It need not be right: what it leaves is
sampled. Weak umbrellas alone hold no replica on the barriers that a flat map has not.
"""

from __future__ import annotations

import numpy as np
import torch

from ..core.errors import InputError
from .linear_model import LinearModel
from .terms import Torsions


def flattening(term: Torsions, surface: np.ndarray, ceiling: float) -> np.ndarray:
    """Coefficients of a map that takes a surface off, up to a ceiling above its lowest.

    Parameters
    ----------
    term
        Map of one pair of dihedrals.
    surface
        Energies at dihedrals -pi + i 2 pi / n, shape (n, n), kJ/mol; the first index is
        of the first dihedral.
    ceiling
        kJ/mol: barriers above it stay as they are.

    Returns
    -------
    ndarray, shape (term.size,)
        kJ/mol, by least squares.

    Raises
    ------
    InputError
        When the surface has too few points.
    """
    n, waves = len(surface), 2 * term.order + 1
    if surface.shape != (n, n) or n < waves or not np.isfinite(surface).all():
        raise InputError(
            "surface to flatten", wanted=f"finite energies, {waves} x {waves} or more",
            got=str(surface.shape), mend="more points, or a map of lower order",
        )  # fmt: skip
    low = np.minimum(surface - surface.min(), ceiling)
    line = torch.arange(n, dtype=torch.float64) * (2 * torch.pi / n) - torch.pi
    q = torch.cartesian_prod(line, line)
    design = term.of_angles(q[:, :1], q[:, 1:]).numpy()
    design = np.column_stack([np.ones(len(design)), design])
    return np.linalg.lstsq(design, -low.ravel(), rcond=None)[0][1:]


def bias_model(
    term: Torsions, coefficients: np.ndarray, beads: tuple[str, ...], masses: np.ndarray
) -> LinearModel:
    """The bias as a model of its own, which files and engines take.

    Parameters
    ----------
    term, coefficients
        As from `flattening`.
    beads, masses
        Of all particles, atoms or beads, that the numbers of the term count.
    """
    return LinearModel(beads, masses, (term,), coefficients[None], 1, {"use": "bias"})
