"""Diffusion in an infinite box from that in periodic cubic ones.

A periodic box drags its images along; by hydrodynamics D = D_0 - xi kT / (6 pi eta L)
with xi = 2.837297 in a cube (Yeh & Hummer 2004, doi:10.1021/jp0477147). Collective
quantities (conductivity, Onsager coefficients) are not corrected by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.stats import half_width95
from ...core.units import thermal_energy
from .bulk import BulkDiffusion
from .paths import box_matrix

#: Lattice sum of the Oseen tensor over a cubic lattice.
CUBIC_LATTICE_SUM = 2.837297


@dataclass(frozen=True)
class InfiniteBox:
    """Extrapolation over boxes.

    Attributes
    ----------
    species
        Names.
    D
        Shape (R + 1, S), m2/s, at infinite size.
    fluidity
        Shape (R + 1,), 1 / viscosity, 1/(Pa s): its errors stay finite where those of
        the viscosity do not.
    n_units
        Fewest blocks of any box.
    """

    species: list[str]
    D: np.ndarray
    fluidity: np.ndarray
    n_units: int

    @property
    def viscosity(self) -> float:
        """Pa s."""
        return float(1 / self.fluidity[0])


def yeh_hummer(
    D: np.ndarray, *, box, temperature: float, viscosity: float | np.ndarray
) -> np.ndarray:
    """Self-diffusion without the drag of the periodic images.

    Parameters
    ----------
    D
        Shape (R + 1, S), m2/s, of the periodic box.
    box
        Edges (3,) or box vectors (3, 3), m; a cube.
    temperature
        K.
    viscosity
        Shear viscosity *of the simulated model*, Pa s: a number, or replicates (R + 1,)
        when its error is to be carried.

    Returns
    -------
    ndarray, shape (R + 1, S)
        D + xi kT / (6 pi eta L).

    Raises
    ------
    InputError
        When the box is no cube, temperature or viscosity is not positive, or shapes do
        not fit.

    References
    ----------
    Yeh & Hummer, J. Phys. Chem. B 108, 15873 (2004), doi:10.1021/jp0477147.
    """
    D, eta = np.asarray(D, dtype=float), np.asarray(viscosity, dtype=float)
    if D.ndim != 2 or eta.shape not in ((), (1,), (len(D),)):
        raise InputError(
            "finite-size correction",
            wanted="D of shape (R + 1, S), a viscosity or R + 1 of them",
            got=f"shapes {D.shape} and {eta.shape}",
        )
    if not (eta > 0).all():
        raise InputError(
            "finite-size correction",
            wanted="a viscosity above zero",
            got=f"{eta.min():g} Pa s",
        )
    return D + _drag(box, temperature) / eta.reshape(-1, 1)


def infinite_box(
    runs: Sequence[BulkDiffusion], boxes: Sequence, temperature: float
) -> InfiniteBox:
    """D at infinite size and the viscosity, from two or more cubic boxes.

    One straight line in 1 / L with an intercept per species and a common slope, weighted
    by the bootstrap variances. Replicates of different boxes are paired at random, as
    they should be: boxes are independent runs.

    Parameters
    ----------
    runs
        Result of `bulk_diffusion` for each box, same species and replicates.
    boxes
        Edges or box vectors of each, m; cubes of different size.
    temperature
        K.

    Raises
    ------
    InputError
        When there are fewer than two sizes, a box is no cube, the temperature is not
        positive, or D does not grow with the box (its errors hide the effect).
    """
    drag = np.array([_drag(box, temperature) for box in boxes])
    _refuse_unlike(runs, drag)
    D = np.stack([run.D for run in runs])  # (K, R + 1, S)
    weight = 1 / np.maximum(D[:, 1:].var(axis=1, ddof=1), 1e-12 * D[:, 0] ** 2)
    weight /= weight.sum()
    share = weight / weight.sum(axis=0)
    x = drag[:, None] - (share * drag[:, None]).sum(axis=0)  # (K, S), centred
    fluidity = -np.einsum("ks,krs->r", weight * x, D) / (weight * x**2).sum()
    if not fluidity[0] > 0:
        raise InputError(
            "diffusion that does not grow with the box",
            wanted="D that rises from small to large boxes",
            got=f"1 / viscosity = {fluidity[0]:.3g} +- "
            f"{half_width95(fluidity):.2g} 1/(Pa s)",
            mend="longer runs, boxes that differ more, or yeh_hummer with a viscosity",
        )
    mean = np.einsum("ks,krs->rs", share, D)
    infinite = mean + fluidity[:, None] * (share * drag[:, None]).sum(axis=0)
    n_units = min(run.n_units for run in runs)
    return InfiniteBox(runs[0].species, infinite, fluidity, n_units)


def _drag(box, temperature: float) -> float:
    """Missing D times viscosity, J/m: xi kT / (6 pi L)."""
    if not temperature > 0:
        raise InputError(
            "finite-size correction", wanted="above 0 K", got=f"{temperature:g} K"
        )
    box = box_matrix(box)
    edge = float(abs(np.linalg.det(box)) ** (1 / 3))
    if not np.allclose(box @ box.T, edge**2 * np.eye(3), rtol=0, atol=2e-3 * edge**2):
        raise InputError(
            "finite-size correction of a box that is no cube",
            wanted="three equal edges at right angles",
            got=str(np.array2string(box, precision=4)),
            mend="other shapes have other constants, and D differs along their edges: "
            "run a cubic box, or extrapolate by hand over boxes of one shape",
        )
    return CUBIC_LATTICE_SUM * thermal_energy(temperature) / (6 * np.pi * edge)


def _refuse_unlike(runs: Sequence[BulkDiffusion], drag: np.ndarray) -> None:
    if len(runs) != len(drag) or len(runs) < 2 or np.ptp(drag) < 0.05 * drag.max():
        raise InputError(
            "boxes for the extrapolation",
            wanted="two or more sizes that differ by over 5 %, a run for each",
            got=f"{len(runs)} runs, {len(drag)} boxes",
        )
    for run in runs[1:]:
        if run.species != runs[0].species or run.D.shape != runs[0].D.shape:
            raise InputError(
                "runs that do not belong together",
                wanted=f"{', '.join(runs[0].species)}, {len(runs[0].D) - 1} replicates",
                got=f"{', '.join(run.species)}, {len(run.D) - 1} replicates",
            )
