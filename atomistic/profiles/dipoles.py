"""Polarisation profiles of molecules and their dipoles, summed over frames.

A molecule's charges are moved out from its centre along straight lines. The dipoles of
these paths make up a polarisation that is exact for molecules of any size: its divergence
is minus the charge density, its integral the dipole moment. Across the slab it is minus
the integral of the charge density, whatever the paths. Along the slab it holds all
multipoles about the centre, as the virtual cuts of Bonthuis, Gekle & Netz 2012
(doi:10.1021/la2051564) do, without a grid of cuts and its noise; another centre would
shift it within a molecule's size and change neither its integral nor flat regions.

Lengths are in metres, charges in coulombs.
"""

from __future__ import annotations

from copy import copy
from typing import Self

import numpy as np

from ...core.errors import InputError
from .charges import checked_charges

#: Net charge of a molecule relative to its largest charge above which it is an ion.
NEUTRAL = 1e-3
#: Cells: charges closer to the level of their centre are moved this far from it.
LEVEL = 1e-4


class Sums:
    """Arrays of sums over frames, all public; units first but for `faces`."""

    frames: np.ndarray

    def pooled(self, n_units: int) -> Self:
        """The same frames in fewer units: neighbours are added up."""
        own = len(self.frames)
        unit, found = np.arange(own) * n_units // own, copy(self)
        for name, total in vars(self).items():
            if isinstance(total, np.ndarray) and name != "faces":
                sums = np.zeros((n_units, *total.shape[1:]))
                np.add.at(sums, unit, total)
                setattr(found, name, sums)
        return found


class DipoleSums(Sums):
    """Sums over frames of polarisation profiles and dipoles, kept per unit.

    Dipoles of a frame belong together: units are blocks of time, not of molecules.

    Parameters
    ----------
    n_units, n_cells
        Units U; equal cells n across the box (1 is enough for bulk).
    normal
        Axis normal to the slab: 0, 1 or 2.

    Attributes
    ----------
    frames
        Frames seen, shape (U,).
    volume, height
        Sums of the volume (m3) and of the box along the normal (m), shape (U,).
    dipole, dipole_square
        Sums of M and of its squared components, shape (U, 3), C m and C2 m2.
    polarisation
        Sum of m(z), dipole per volume in each cell, shape (U, 3, n), C/m2.
    product
        Sum of m(z) times M by component, shape (U, 3, n), C2/m.
    number
        Sum of the molecules whose centre is in each cell, shape (U, n).
    """

    def __init__(self, n_units: int, n_cells: int, normal: int = 2):
        if n_units < 1 or n_cells < 1 or normal not in (0, 1, 2):
            raise InputError(
                "sums of dipoles",
                wanted="a unit and a cell at least; normal 0, 1 or 2",
                got=f"{n_units}, {n_cells}; {normal}",
            )
        self.normal = normal
        self.frames, self.volume, self.height = (np.zeros(n_units) for _ in range(3))
        self.dipole, self.dipole_square = (np.zeros((n_units, 3)) for _ in range(2))
        self.polarisation, self.product = (
            np.zeros((n_units, 3, n_cells)) for _ in range(2)
        )
        self.number = np.zeros((n_units, n_cells))

    def add(
        self,
        unit: int,
        positions: np.ndarray,
        charges: np.ndarray,
        molecule: np.ndarray,
        box: np.ndarray,
    ) -> None:
        """Count one frame.

        Parameters
        ----------
        unit
            Which unit it belongs to.
        positions
            Shape (N, 3), m: molecules whole, anywhere with respect to the box.
        charges
            Shape (N,), C.
        molecule
            Index of each atom's molecule from 0, shape (N,).
        box
            Edges of the rectangular box, shape (3,), m.

        Raises
        ------
        InputError
            When arrays do not fit, charges are missing, or a molecule is charged or not
            whole.
        """
        box = np.asarray(box, float)
        charges, molecule, centre, arm = checked_arms(
            unit, len(self.frames), positions, charges, molecule, box
        )
        moment = charges * arm
        n, volume = self.polarisation.shape[-1], box.prod()
        scale = n / box[self.normal]
        begin = centre[self.normal] * scale
        begin -= n * np.floor(begin / n)
        density = _along_paths(begin[molecule], arm[self.normal] * scale, moment, n)
        density *= n / volume
        M = moment.sum(axis=1)
        self.frames[unit] += 1
        self.volume[unit] += volume
        self.height[unit] += box[self.normal]
        self.dipole[unit] += M
        self.dipole_square[unit] += M**2
        self.polarisation[unit] += density
        self.product[unit] += density * M[:, None]
        cell = np.minimum(begin.astype(np.intp), n - 1)
        self.number[unit] += np.bincount(cell, minlength=n)


def _along_paths(
    begin: np.ndarray, length: np.ndarray, moment: np.ndarray, n: int
) -> np.ndarray:
    """Moments (3, N) spread evenly over paths from `begin`, summed in n cells, (3, n).

    `begin` is between 0 and n; paths shorter than n / 2 may leave the box and enter it on
    the other side.
    """
    length = np.where(np.abs(length) < LEVEL, LEVEL, length)
    slope = moment / length
    # A path is one ramp that starts at its begin, less one that starts at its end.
    start = np.concatenate([begin, begin + length])
    slope = np.concatenate([slope, -slope], axis=1)
    copies = int(np.ceil((n / 2 + 2) / n))
    total = (2 * copies + 1) * n
    cell = np.floor(start).astype(np.intp)
    beyond = start - cell
    cell += copies * n
    index = np.concatenate([cell, cell + 1])
    parts = np.concatenate([slope * (1 - beyond), slope * beyond], axis=1)
    steps = [np.bincount(index, part, minlength=total) for part in parts]
    amount = np.cumsum(np.array(steps), axis=1)
    return amount.reshape(3, -1, n).sum(axis=1)


def checked_arms(unit, n_units, positions, charges, molecule, box):
    """Charges and molecules of atoms, centres (3, M), and arms (3, N) from them.

    Rows are quicker to sum than columns.

    Raises
    ------
    InputError
        When arrays do not fit, charges are missing, a molecule is charged or broken.
    """
    positions, molecule = np.asarray(positions, float), np.asarray(molecule)
    charges = checked_charges(charges, len(positions))
    _check_frame(unit, n_units, positions, molecule, box)
    size = np.bincount(molecule)
    _refuse_ions(charges, molecule, len(size))
    x, size = np.ascontiguousarray(positions.T), np.maximum(size, 1)
    centre = np.array([np.bincount(molecule, row) / size for row in x])
    arm = x - centre[:, molecule]
    _refuse_broken(arm, molecule, box)
    return charges, molecule, centre, arm


def _check_frame(unit, n_units, positions, molecule, box) -> None:
    """Refuse a frame whose arrays do not fit."""
    if not 0 <= unit < n_units:
        raise InputError("unit of a frame", wanted=f"0 to {n_units - 1}", got=str(unit))
    if positions.ndim != 2 or positions.shape[1] != 3 or len(molecule) != len(positions):
        raise InputError(
            "positions and molecules of a frame",
            wanted="shapes (N, 3) and (N,)",
            got=f"{positions.shape} and ({len(molecule)},)",
        )
    if not np.issubdtype(molecule.dtype, np.integer) or molecule.min(initial=0) < 0:
        raise InputError("molecule of each atom", wanted="integers from 0", got="others")
    if not np.isfinite(positions).all():
        raise InputError("positions of a frame", wanted="finite numbers", got="NaN")
    if box.shape != (3,) or not (box > 0).all():
        raise InputError("box", wanted="three edges > 0 (rectangular)", got=str(box))


def _refuse_ions(charges: np.ndarray, molecule: np.ndarray, n_molecules: int) -> None:
    """Refuse charged molecules."""
    net = np.bincount(molecule, charges, minlength=n_molecules)
    worst = int(np.argmax(np.abs(net)))
    if abs(net[worst]) > NEUTRAL * np.abs(charges).max():
        raise InputError(
            "charged molecules: their motion is a current, not a polarisation",
            wanted="neutral molecules",
            got=f"{net[worst]:.3g} C on molecule {worst}",
            mend="give the solvent only",
        )


def _refuse_broken(arm: np.ndarray, molecule: np.ndarray, box: np.ndarray) -> None:
    """Refuse molecules whose atoms, `arm` (3, N) from the centre, are in two images.

    The centre alone does not tell: both atoms of a broken pair are within half a box.
    """
    first = np.zeros(molecule.max() + 1, dtype=np.intp)
    first[molecule[::-1]] = np.arange(len(molecule))[::-1]
    apart = arm - arm[:, first[molecule]]
    reach = np.maximum(np.abs(arm).max(axis=1), np.abs(apart).max(axis=1))
    if (reach > 0.5 * box).any():
        raise InputError(
            "molecules are not whole",
            wanted="atoms within half a box of their molecule's centre and first atom",
            got=f"up to {reach.max():.3g} m from it, the box {box.min():.3g} m or more",
            mend="make molecules whole first (MDAnalysis: transformations.unwrap)",
        )
