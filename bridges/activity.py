"""From osmotic coefficients of an implicit-solvent salt to activity coefficients.

The osmotic coefficient is fitted with Debye and Hueckel's limit and powers of the
concentration, and integrated by the relation of Gibbs and Duhem in closed form:

    ln gamma = phi - 1 + integral of (phi - 1) / c from 0 to c.

Concentrations of salts of two ions with opposite charge, in m-3.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..core.errors import InputError
from ..core.schema import dataset, validate
from ..core.units import ELEMENTARY_CHARGE, VACUUM_PERMITTIVITY, thermal_energy

#: Ions touch at about this distance (m) in the term of Debye and Hueckel; what it leaves
#: is for the powers to fit.
CONTACT = 4e-10
#: Powers of c in phi - 1 beside it.
POWERS = (1.0, 1.5)


def inverse_screening(
    concentration: ArrayLike, charge: float, permittivity: float, temperature: float
) -> np.ndarray:
    """kappa, 1/m, of ions of charge +-`charge` (e) at a concentration (m-3) of each."""
    bjerrum = (
        (charge * ELEMENTARY_CHARGE) ** 2
        / (4 * np.pi * VACUUM_PERMITTIVITY * permittivity)
        / thermal_energy(temperature)
    )
    return np.sqrt(8 * np.pi * bjerrum * np.asarray(concentration, dtype=float))


def debye_hueckel(
    concentration: ArrayLike,
    charge: float,
    permittivity: float,
    temperature: float,
    contact: float = CONTACT,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ln gamma, its derivative by ln c, and phi - 1 of Debye and Hueckel.

    Parameters
    ----------
    concentration
        Of the salt, m-3, shape (n,).
    charge
        Of the ions, e.
    permittivity, temperature
        Relative; K.
    contact
        Distance of closest approach a, m; zero gives the limiting law.

    Returns
    -------
    tuple of ndarray
        Each of shape (n,). ln gamma = -lB kappa / (2 (1 + kappa a)), lB being the Bjerrum
        length of the ions.
    """
    kappa = inverse_screening(concentration, charge, permittivity, temperature)
    strength = kappa**2 / (16 * np.pi * np.asarray(concentration, dtype=float))  # lB / 2
    x = kappa * contact
    ln_gamma = -strength * kappa / (1 + x)
    slope = 0.5 * ln_gamma / (1 + x)
    # 3 (1 + x - 2 ln(1 + x) - 1/(1 + x)) / x^3, which is 1 - 3x/2 + ... where x is small.
    small = np.where(x < 0.02, x, 0.02)
    series = 1 - 1.5 * small + 1.8 * small**2 - 2 * small**3
    wide = np.maximum(x, 0.02)
    whole = 3 * (1 + wide - 2 * np.log1p(wide) - 1 / (1 + wide)) / wide**3
    osmotic = -strength * kappa / 3 * np.where(x < 0.02, series, whole)
    return ln_gamma, slope, osmotic


def activity_from_osmotic(
    concentration: ArrayLike,
    osmotic: np.ndarray,
    *,
    salt: str,
    charge: float,
    permittivity: float,
    temperature: float,
    n_units: int,
    points: int = 60,
    lowest: float = 6e23,
) -> xr.Dataset:
    """Mean activity coefficient, ``activity/1``, up to the highest concentration.

    Parameters
    ----------
    concentration
        Of the salt, m-3, shape (n,), rising.
    osmotic
        Osmotic coefficients, shape (R + 1, n); replicates are fitted one by one, with
        weights from their spread.
    salt
        Its formula.
    charge
        Of the ions, e.
    permittivity, temperature
        Relative, of the solvent; K.
    n_units
        Units that were resampled.
    points, lowest
        Of the table, evenly spaced in ln c from `lowest` (m-3; 1 mM) on.

    Raises
    ------
    InputError
        When there are too few concentrations or replicates, or the fit is not one: chi^2
        per degree of freedom above 9.
    """
    c, phi = np.asarray(concentration, dtype=float), np.asarray(osmotic, dtype=float)
    if phi.ndim != 2 or phi.shape[1] != len(c) or len(c) <= len(POWERS) or len(phi) < 3:
        raise InputError(
            "osmotic coefficients",
            wanted=f"(R + 1, n) of R > 1 replicates, n > {len(POWERS)} concentrations",
            got=f"{phi.shape} at {len(c)}",
        )  # fmt: skip
    medium = charge, permittivity, temperature
    error = phi[1:].std(0, ddof=1)
    scale = c[-1]
    design = np.stack([(c / scale) ** p for p in POWERS], 1) / error[:, None]
    rest = (phi - 1 - debye_hueckel(c, *medium)[2]) / error
    b = np.linalg.lstsq(design, rest.T, rcond=None)[0]
    chi2 = float(((design @ b[:, 0] - rest[0]) ** 2).sum()) / (len(c) - len(POWERS))
    if chi2 > 9:
        raise InputError(
            "the fit of osmotic coefficients", wanted="chi^2 / dof below 9",
            got=f"{chi2:.3g}", mend="longer runs, or a smaller range",
        )  # fmt: skip
    grid = np.geomspace(lowest, scale, points)
    none = np.zeros((len(phi), 1))
    ln_gamma, slope, excess = (none + part for part in debye_hueckel(grid, *medium))
    for power, row in zip(POWERS, b, strict=True):
        term = row[:, None] * (grid / scale) ** power
        excess = excess + term
        ln_gamma = ln_gamma + (1 + 1 / power) * term
        slope = slope + (power + 1) * term
    return dataset(
        "activity/1",
        {"concentration": grid, "ln_gamma": ln_gamma, "dln_gamma_dln_c": slope,
         "osmotic": 1 + excess},
        {"temperature": temperature, "salt": salt, "charge": charge, "n_units": n_units,
         "relative_permittivity": permittivity, "fit_chi2_per_dof": chi2},
    )  # fmt: skip


def ln_gamma_at(
    activity: xr.Dataset, concentration: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Ln gamma and d ln gamma / d ln c between the points of ``activity/1``.

    Parameters
    ----------
    activity
        See `activity_from_osmotic`.
    concentration
        m-3, shape (n,).

    Returns
    -------
    tuple of ndarray
        Each of shape (R + 1, n): cubics of ln c with the slopes of the table.

    Raises
    ------
    InputError
        Outside the table: it is not extrapolated.
    """
    from scipy.interpolate import CubicHermiteSpline

    validate(activity, "activity/1")
    known, c = activity["concentration"].values, np.asarray(concentration, dtype=float)
    if c.min() < known[0] * (1 - 1e-9) or c.max() > known[-1] * (1 + 1e-9):
        raise InputError(
            f"activity of {activity.attrs['salt']}",
            wanted=f"concentrations from {known[0]:.4g} to {known[-1]:.4g} m-3",
            got=f"{c.min():.4g} to {c.max():.4g}",
            mend="run the salt at higher concentrations",
        )
    spline = CubicHermiteSpline(
        np.log(known), activity["ln_gamma"].values,
        activity["dln_gamma_dln_c"].values, axis=1,
    )  # fmt: skip
    x = np.log(c).clip(np.log(known[0]), np.log(known[-1]))
    return spline(x), spline(x, 1)


def to_molal(
    ln_gamma: ArrayLike, osmotic: ArrayLike, concentration: ArrayLike, volume: float
) -> np.ndarray:
    """Molal activity coefficient at constant pressure, as experiments give it.

    The solvent of an implicit one has a constant chemical potential; to keep it the
    osmotic pressure is put on the solution, which costs V c phi per ion and kT.

    Parameters
    ----------
    ln_gamma, osmotic, concentration
        Of the implicit solvent, shape (n,); mol/L.
    volume
        Partial molar volume V of the salt, L/mol, taken as constant.

    Returns
    -------
    ndarray, shape (n,)
        ln of the molal coefficient. The molality is c / (rho (1 - c V)), rho being the
        density of the pure solvent in kg/L.
    """
    filled = np.asarray(concentration, dtype=float) * volume
    return np.asarray(ln_gamma) - filled * np.asarray(osmotic) + np.log1p(-filled)
