"""Field and potential of charge profiles: planar cells, cylinders and spheres.

Charge is constant within each cell of a histogram, and field and potential on the faces
of the cells are the exact integrals of that. Nothing is ever tilted or fitted: what the
charge does not close is reported beside the profile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.units import VACUUM_PERMITTIVITY
from .charges import smearing_kernels

#: Where a potential comes from: the value of the attribute ``phi_kind``. Potentials of
#: different kinds differ by volts and must not be compared.
PHI_KINDS = {
    "model_charge": "fixed charges of a model: formal charges of ions, those of a force "
    "field or of a reference water model",
    "latent_rescaled": "charges that a potential learned from energies and forces, "
    "rescaled so that Born effective charges or a DFT dipole come out",
    "dft_hartree": "Hartree potential of electrons and nuclei, averaged over snapshots",
}

#: What closes a planar cell.
BOUNDARIES = {
    "closed": "walls of known charge at both ends; the field at the left wall is given",
    "periodic": "a three-dimensional Ewald sum, conducting at infinity: no mean field",
    "slab": "vacuum at both ends without images: EW3DC, two-dimensional Ewald sums",
}

#: Where the potential is zero.
REFERENCES = {
    "middle": "on average over the middle fifth",
    "left": "at the first face (the axis or centre, if faces start there)",
    "right": "at the last face",
    "vacuum": "on average over the widest stretch without charge, across the ends too",
    "none": "wherever the integration started",
}

#: Net charge relative to all charge above which a cell is not neutral.
NEUTRAL = 1e-6


@dataclass(frozen=True)
class Electrostatics:
    """Field and potential on faces, and what the charge did not close.

    Attributes
    ----------
    field
        Along z or r, shape (..., n + 1), V/m.
    potential
        Shape (..., n + 1), V.
    dipole
        Of the cell, per area: the integral of charge times distance from the cell's
        middle, shape (...), C/m; walls count, zero for cylinders and spheres. Of a
        periodic cell without vacuum it depends on where the cell is cut.
    residual_field
        All charge, walls included, over eps0 and the area of the far wall, shape (...),
        V/m: by how much the field misses what the far wall wants.
    boundary
        One of `BOUNDARIES`, ``cylinder`` or ``sphere``.
    reference
        One of `REFERENCES`.
    smearing
        Standard deviation of the Gaussian charges, m; 0 for points.
    """

    field: np.ndarray
    potential: np.ndarray
    dipole: np.ndarray
    residual_field: np.ndarray
    boundary: str
    reference: str
    smearing: float = 0.0


def planar_potential(
    charge: np.ndarray,
    faces: np.ndarray,
    *,
    boundary: str = "closed",
    wall_charge: float = 0.0,
    far_charge: float | None = None,
    smearing: float = 0.0,
    reference: str = "middle",
) -> Electrostatics:
    """Electric field and potential on the faces of planar cells.

    ``closed``: the field right of the left wall is `wall_charge` / eps0.

    ``periodic``: the k = 0 term of the Ewald sum is dropped, so that the mean field is
    zero and phi is periodic. With vacuum in the cell, this is the field that a run
    without slab correction had: in the vacuum it is ``dipole / (eps0 L)``, not zero.

    ``slab``: the correction of Yeh & Berkowitz 1999 (doi:10.1063/1.479595) adds
    ``-dipole / (eps0 L)`` and thereby cancels that field: phi is integrated from vacuum,
    where the field is zero, and is higher on the right by ``dipole / eps0``. With net
    charge Q per area and the correction of Ballenegger, Arnold & Cerda 2009
    (doi:10.1063/1.3216473) the field in the vacuum is -Q / 2 eps0 left and Q / 2 eps0
    right, as outside of a charged sheet.

    Gaussian charges are the point charges' profile convolved with a Gaussian, exactly for
    cells of constant charge; tails reach across the ends. Charges of several widths: the
    sum of the results, reference ``none``.

    Parameters
    ----------
    charge
        Charge density, shape (..., n), C/m3.
    faces
        Shape (n + 1,), m, growing.
    boundary
        One of `BOUNDARIES`.
    wall_charge, far_charge
        On the left and right wall, C/m2, ``closed`` only; right the opposite of left when
        ``None``.
    smearing
        Standard deviation of Gaussian charges, m. Where a code writes them as
        exp(-r^2 / 2 s^2) it is s, as exp(-eta^2 r^2) it is 1 / (sqrt(2) eta).
    reference
        One of `REFERENCES`.

    Raises
    ------
    InputError
        When arrays do not fit, a name is unknown, a periodic cell is not neutral, or the
        ends of a slab cell are not empty.
    """
    charge, faces = _checked(charge, faces)
    walls = (wall_charge, -wall_charge if far_charge is None else far_charge)
    _check_planar(charge, faces, boundary, walls, smearing)
    h = np.diff(faces)
    total = (charge * h).sum(axis=-1, keepdims=True)
    field = np.zeros((*charge.shape[:-1], len(faces)))
    field[..., 1:] = np.cumsum(charge * h, axis=-1)
    field = (field + wall_charge) / VACUUM_PERMITTIVITY
    if boundary == "periodic":
        mean = 0.5 * (field[..., 1:] + field[..., :-1]) @ h / (faces[-1] - faces[0])
        field = field - mean[..., None]
    elif boundary == "slab":
        field = field - total / (2 * VACUUM_PERMITTIVITY)
    potential = np.zeros_like(field)
    potential[..., 1:] = -np.cumsum(0.5 * (field[..., 1:] + field[..., :-1]) * h, axis=-1)
    if smearing > 0:
        of_field, of_potential = smearing_kernels(faces, smearing, boundary == "periodic")
        field = field + charge @ of_field.T
        potential = potential + charge @ of_potential.T
    middle = 0.5 * (faces[0] + faces[-1])
    dipole = (charge * h) @ (0.5 * (faces[1:] + faces[:-1]) - middle)
    dipole = dipole + (walls[1] - walls[0]) * (faces[-1] - middle)
    return Electrostatics(
        field,
        _referred(potential, charge, faces, reference),
        dipole,
        (total[..., 0] + sum(walls)) / VACUUM_PERMITTIVITY,
        boundary,
        reference,
        smearing,
    )


def radial_potential(
    charge: np.ndarray,
    faces: np.ndarray,
    *,
    geometry: str,
    wall_charge: float = 0.0,
    inner_charge: float = 0.0,
    reference: str = "right",
) -> Electrostatics:
    """Radial field and potential of a long cylinder or a sphere, by Gauss' law.

    Parameters
    ----------
    charge
        Charge density of each shell, shape (..., n), C/m3.
    faces
        Radii, shape (n + 1,), m, growing, from 0 or more.
    geometry
        ``cylinder`` or ``sphere``.
    wall_charge
        On the wall at the outer radius, C/m2; the field is that inside of the wall.
    inner_charge
        On a wall at the first radius, C/m2; that radius is then not 0.
    reference
        One of `REFERENCES`.

    Raises
    ------
    InputError
        When arrays do not fit or a name is unknown.
    """
    charge, faces = _checked(charge, faces)
    _check_walls((inner_charge, wall_charge))
    _known(geometry, ("cylinder", "sphere"), "geometry")
    if faces[0] < 0 or (faces[0] == 0 and inner_charge):
        raise InputError(
            "radii of the cells",
            wanted="radii >= 0, and > 0 where there is an inner wall",
            got=f"a first radius of {faces[0]:g} m",
        )
    power = 1 if geometry == "cylinder" else 2
    inner, outer = faces[:-1], faces[1:]
    # Gauss: E r^p = enclosed / eps0, with the enclosed charge per 2 pi or 4 pi.
    enclosed = np.full((*charge.shape[:-1], len(faces)), inner_charge * faces[0] ** power)
    volume = (outer ** (power + 1) - inner ** (power + 1)) / (power + 1)
    enclosed[..., 1:] += np.cumsum(charge * volume, axis=-1)
    r = np.where(faces > 0, faces, 1.0)  # nothing is enclosed on the axis: E = 0
    field = enclosed / (r**power * VACUUM_PERMITTIVITY)
    # In a cell E = A / r^p + B r; A is zero in a cell that starts on the axis.
    A = enclosed[..., :-1] - charge * inner ** (power + 1) / (power + 1)
    start = np.where(inner > 0, inner, outer)
    decay = np.log(outer / start) if power == 1 else 1 / start - 1 / outer
    step = A * decay + charge * (outer**2 - inner**2) / (2 * (power + 1))
    potential = np.zeros_like(field)
    potential[..., 1:] = -np.cumsum(step, axis=-1) / VACUUM_PERMITTIVITY
    return Electrostatics(
        field,
        _referred(potential, charge, faces, reference),
        np.zeros(charge.shape[:-1]),
        field[..., -1] + wall_charge / VACUUM_PERMITTIVITY,
        geometry,
        reference,
    )


def _referred(
    potential: np.ndarray, charge: np.ndarray, faces: np.ndarray, reference: str
) -> np.ndarray:
    """The potential minus its mean over the faces of the reference."""
    _known(reference, REFERENCES, "reference")
    if reference == "none":
        return potential
    chosen = np.zeros(len(faces), dtype=bool)
    if reference == "middle":
        position = (faces - faces[0]) / (faces[-1] - faces[0])
        chosen = np.abs(position - 0.5) < 0.1 + 1e-9
        if not chosen.any():
            raise InputError(
                "no face in the middle fifth",
                wanted="five cells",
                got=f"{len(faces) - 1}",
            )
    elif reference == "vacuum":
        chosen[_widest_vacuum(charge, faces)] = True
    else:
        chosen[0 if reference == "left" else -1] = True
    return potential - potential[..., chosen].mean(axis=-1, keepdims=True)


def _widest_vacuum(charge: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Indices of the faces of the widest run of cells without charge, cyclically."""
    n = charge.shape[-1]
    filled = np.flatnonzero(charge.reshape(-1, n).any(axis=0))
    if len(filled) == 0:
        return np.arange(n + 1)
    h = np.diff(faces)
    begin = filled + 1
    size = np.diff(np.append(filled, filled[0] + n)) - 1
    runs = [np.arange(b, b + k) % n for b, k in zip(begin, size, strict=True)]
    widest = max(runs, key=lambda cells: h[cells].sum())
    if len(widest) == 0:
        raise InputError(
            "no vacuum to refer the potential to",
            wanted="cells that never hold charge",
            got="charge in every cell",
            mend="another reference: middle, left, right",
        )
    return np.union1d(widest, widest + 1)


def _checked(charge: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    charge, faces = np.asarray(charge, dtype=float), np.asarray(faces, dtype=float)
    if faces.ndim != 1 or len(faces) < 2 or not (np.diff(faces) > 0).all():
        raise InputError("faces of the cells", wanted="two or more numbers that grow")
    if charge.size == 0 or charge.shape[-1:] != (len(faces) - 1,):
        raise InputError(
            "charge profile and faces do not fit",
            wanted=f"{len(faces) - 1} cells in the last dimension",
            got=f"shape {charge.shape}",
        )
    if not np.isfinite(charge).all():
        raise InputError("charge profile", wanted="finite numbers", got="NaN or infinity")
    return charge, faces


def _check_walls(walls) -> None:
    if any(np.ndim(wall) or not np.isfinite(wall) for wall in walls):
        raise InputError(
            "charges of the walls",
            wanted="a finite number for each wall, C/m2",
            got=" and ".join(str(wall) for wall in walls),
        )


def _known(name: str, names, what: str) -> None:
    if name not in names:
        raise InputError(what, wanted=" or ".join(names), got=repr(name))


def _check_planar(charge, faces, boundary, walls, smearing) -> None:
    _known(boundary, BOUNDARIES, "boundary")
    if not 0 <= smearing < np.inf:
        raise InputError("smearing", wanted="a width >= 0 m", got=f"{smearing:g}")
    _check_walls(walls)
    if boundary != "closed" and any(walls):
        raise InputError(
            f"wall charges of a cell that is {boundary}",
            wanted="walls of given charge with boundary 'closed' only",
            got=f"{walls[0]:g} and {walls[1]:g} C/m2",
            mend="count the atoms of the walls in the charge profile",
        )
    if boundary == "slab" and charge[..., [0, -1]].any():
        raise InputError(
            "a slab cell without vacuum at its ends",
            wanted="no charge in the first and last cell",
            got="charge there",
            mend="shift the atoms so that the slab is in the middle of the cell",
        )
    h = np.diff(faces)
    net = (charge * h).sum(axis=-1).ravel()
    excess = np.abs(net) - NEUTRAL * (np.abs(charge) * h).sum(axis=-1).ravel()
    worst = int(np.argmax(excess))
    if boundary == "periodic" and excess[worst] > 0:
        raise InputError(
            "a periodic cell that is not neutral has no potential",
            wanted=f"a net charge below {NEUTRAL:g} of all charge",
            got=f"{net[worst]:.4g} C/m2",
            mend=f"count all ions, resample neutral units only; or, with boundary "
            f"'closed', walls of {-net[worst]:.4g} C/m2 in sum",
        )
