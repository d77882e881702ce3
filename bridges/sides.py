"""Interface profiles as one wall sees them.

Lengths are in nm, energies in kT, potentials in kT/e in this file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..core.errors import InputError
from ..core.schema import QUALITY_FLAGS, validate
from ..core.units import ELEMENTARY_CHARGE, NM, thermal_energy


@dataclass(frozen=True)
class SideView:
    """Interface profiles as one wall sees them; R replicates, S species, n cells.

    Attributes
    ----------
    distance, face
        Cells and faces from the wall, shapes (n,) and (n + 1,), nm.
    surface_charge
        Of the wall, C/m2.
    density
        Shape (R, S, n), m-3.
    pmf
        Shape (R, S, n), kT.
    potential, slope
        phi and d phi / d distance on the faces, shape (R, n + 1), kT/e and kT/e/nm.
    D_par, D_perp
        Shapes (R, S, n) and (R, S, n + 1), m2/s.
    n_eff
        Independent visits, shape (S, n).
    visited
        Shape (S, n).
    """

    distance: np.ndarray
    face: np.ndarray
    surface_charge: float
    density: np.ndarray
    pmf: np.ndarray
    potential: np.ndarray
    slope: np.ndarray
    D_par: np.ndarray
    D_perp: np.ndarray
    n_eff: np.ndarray
    visited: np.ndarray


def side_view(profiles: xr.Dataset, side: str) -> SideView:
    """Profiles against the distance from the left wall, the right one, or both averaged.

    Raises
    ------
    InputError
        When `side` is unknown, the mean of walls that differ is asked for, or profiles
        are not those of planes.
    SchemaError
        When `profiles` breaks ``interface-profiles/1``.
    """
    validate(profiles, "interface-profiles/1")
    if side not in ("left", "right", "mean"):
        raise InputError("side", wanted="left, right or mean", got=repr(side))
    geometry = profiles.attrs.get("geometry", "planar")
    if geometry != "planar":
        raise InputError(
            "profiles that are not those of a slab",
            wanted="planes between two walls",
            got=geometry,
            mend="the continuum solves for profiles of planes only",
        )
    if side == "left":
        return _view(profiles, 1)
    if side == "right":
        return _view(profiles, -1)
    left, right = _view(profiles, 1), _view(profiles, -1)
    _check_equal_walls(left, right)
    mean = {
        name: 0.5 * (getattr(left, name) + getattr(right, name))
        for name in ("density", "potential", "slope")
    }
    return SideView(
        left.distance,
        left.face,
        left.surface_charge,
        pmf=-np.log(0.5 * (np.exp(-left.pmf) + np.exp(-right.pmf))),
        D_par=np.sqrt(left.D_par * right.D_par),
        D_perp=np.sqrt(left.D_perp * right.D_perp),
        n_eff=left.n_eff + right.n_eff,
        visited=left.visited | right.visited,
        **mean,
    )


def _view(profiles: xr.Dataset, step: int) -> SideView:
    kT = thermal_energy(profiles.attrs["temperature"])
    face = profiles["z_face"].values
    wall = face[::step][0]

    def field(name: str) -> np.ndarray:
        return profiles[name].values[..., ::step]

    flags = field("quality_flag")
    per_volt = ELEMENTARY_CHARGE / kT
    return SideView(
        distance=step * (profiles["z"].values[::step] - wall) / NM,
        face=step * (face[::step] - wall) / NM,
        surface_charge=float(
            profiles.attrs[f"surface_charge_{'left' if step == 1 else 'right'}"]
        ),
        density=field("number_density"),
        pmf=field("pmf") / kT,
        potential=field("potential") * per_volt,
        # E = -d phi / dz, and the distance from the right wall runs against z.
        slope=-step * field("electric_field") * per_volt * NM,
        D_par=field("D_par"),
        D_perp=field("D_perp"),
        n_eff=field("n_eff").astype(float),
        visited=(flags & QUALITY_FLAGS["unvisited"]) == 0,
    )


def _check_equal_walls(left: SideView, right: SideView) -> None:
    charges = left.surface_charge, right.surface_charge
    if not np.isclose(*charges, rtol=1e-6, atol=1e-6 * ELEMENTARY_CHARGE / NM**2):
        raise InputError(
            "the mean of two walls that differ",
            wanted="equal surface charges",
            got=f"{charges[0]:.4g} and {charges[1]:.4g} C/m2",
            mend='take side = "left" or "right"',
        )
    if not np.allclose(left.face, right.face, rtol=0, atol=1e-6 * left.face[-1]):
        raise InputError(
            "the mean of two walls on cells that differ",
            wanted="cells that are their own mirror image",
            got="other faces seen from the right",
            mend="collect the profiles on equal cells",
        )
