"""Tabulated coefficients from arrays, for `Cell(coefficients=)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ...core.errors import InputError
from ...core.schema import dataset
from ...core.units import ELEMENTARY_CHARGE, thermal_energy
from ..profiles import END
from .checks import Quantity, check_kind, shown, si, whole
from .conditions import named
from .parts import Ion


def coefficients_from_arrays(
    ions: Sequence[Ion],
    distance: ArrayLike,
    diffusivity: Mapping[str, ArrayLike],
    pmf: Mapping[str, ArrayLike] | None = None,
    *,
    potential: ArrayLike = 0.0,
    diffusivity_par: Mapping[str, ArrayLike] | None = None,
    permittivity: ArrayLike = 78.49,
    temperature: Quantity = 298.15,
    n_units: int = 1,
    surface_charge: Quantity = 0.0,
    reaction_plane: Mapping[str, Quantity] | None = None,
) -> xr.Dataset:
    """Tabulated coefficients against the distance from a wall.

    Arrays have shape (n,), or (R + 1, n) with the point estimate first and then R joint
    bootstrap replicates. Tables must end in the bulk: their last values are taken for it.

    Parameters
    ----------
    ions
        Of the cell.
    distance
        From the wall, m, increasing, shape (n,).
    diffusivity
        Species -> D across the wall, m2/s; that of the ion where it is left out.
    pmf
        Species -> potential of mean force W, kT, zero in the bulk; zero where it is left
        out.
    potential
        Mean electric potential phi of the simulation that gave W, V, zero in the bulk:
        ``mu_ex = W - z e phi``, because the cell makes its own. Zero leaves W as it is.
    diffusivity_par
        Along the wall; that across by default.
    permittivity
        Relative, a number or shape (n,).
    temperature
        K.
    n_units
        Independent blocks that replicates were drawn from, for their error bars.
    surface_charge
        Of the simulated wall, C/m2; cells take that of their borders.
    reaction_plane
        Species -> distance, m, for resistances of interfaces (bridges); where W is
        lowest by default.

    Returns
    -------
    Dataset
        ``transport-coefficients/1``.

    Raises
    ------
    InputError
        When a species is unknown, shapes do not fit, or D does not end at that of an ion.
    SchemaError
        When values are not finite, D is not positive or distances do not increase.
    """
    ions = named(ions)
    for name, given in (
        ("diffusivity", diffusivity),
        ("pmf", pmf),
        ("diffusivity_par", diffusivity_par),
        ("reaction_plane", reaction_plane),
    ):
        what = f"{name} of coefficients"
        check_kind({} if given is None else given, Mapping, what, "{species: values}")
    x = _numbers("distance", distance)
    kelvin = si(temperature, "K", "temperature of coefficients", sign="positive")
    across = {ion.name: si(ion.diffusivity, "m**2/s") for ion in ions} | dict(diffusivity)
    along = across | dict(diffusivity_par or {})
    work = dict.fromkeys((ion.name for ion in ions), 0.0) | dict(pmf or {})
    _check_species(ions, across, along, work, reaction_plane or {})
    rows = _rows([potential, *across.values(), *along.values(), *work.values()])
    D, W = (
        _tables(name, given, ions, rows, x)
        for name, given in (("diffusivity", across), ("pmf", work))
    )
    z = np.array([float(ion.charge) for ion in ions])
    energy = (
        z[:, None] * ELEMENTARY_CHARGE * _table("potential", potential, rows, x)[:, None]
    )
    values = {
        "distance": x,
        "species": [ion.name for ion in ions],
        "charge_number": z,
        "D_par": _tables("diffusivity_par", along, ions, rows, x),
        "D_perp": D,
        "mu_ex": W * thermal_energy(kelvin) - energy,
        "relative_permittivity": _table("permittivity", permittivity, 1, x)[0],
        "bulk_density": np.tile([ion.density for ion in ions], (rows, 1)),
        "bulk_D": D[..., -1],
        "reaction_plane": _planes(ions, reaction_plane or {}, W[0], x),
        "valid_from": np.full(len(ions), x[0]),
    }
    attrs = {
        "temperature": kelvin,
        "surface_charge": si(surface_charge, "C/m**2", "surface charge of coefficients"),
        "taper_start": float(x[-1]),
        "bulk_plane": float(x[-1]),
        "n_units": whole(n_units, "n_units of coefficients", 1),
    }
    table = dataset("transport-coefficients/1", values, attrs)
    _check_bulk(ions, D)
    return table


def _check_species(ions: Sequence[Ion], *given: Mapping) -> None:
    names = [ion.name for ion in ions]
    unknown = sorted({name for one in given for name in one if name not in names})
    if unknown:
        raise InputError(
            "unknown species", wanted=", ".join(names), got=", ".join(unknown)
        )


def _numbers(name: str, value: ArrayLike) -> np.ndarray:
    """An array, of what must be numbers in SI."""
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError) as exc:
        wanted = "numbers in SI, in an array"
        raise InputError(name, wanted=wanted, got=shown(value)) from exc


def _rows(arrays: Sequence[ArrayLike]) -> int:
    """Point estimate and replicates."""
    shapes = [_numbers("values of coefficients", one).shape for one in arrays]
    return max(shape[0] if len(shape) == 2 else 1 for shape in shapes)


def _table(name: str, value: ArrayLike, rows: int, x: np.ndarray) -> np.ndarray:
    """Shape (rows, n): replicates of what has none are equal."""
    given, wanted = _numbers(name, value), (rows, *x.shape)
    fits = x.ndim == 1 and len(x) > 1
    if not fits or given.shape not in [(), x.shape, wanted]:
        raise InputError(
            f"shape of {name}",
            wanted=f"({len(x) if x.ndim else 'n'},) as the distances, or {wanted}",
            got=str(given.shape if fits else f"distances of shape {x.shape}"),
        )
    return np.broadcast_to(given, wanted)


def _tables(name: str, given: Mapping, ions, rows: int, x: np.ndarray) -> np.ndarray:
    """Shape (rows, n_species, n)."""
    each = [_table(f"{name} of {i.name}", given[i.name], rows, x) for i in ions]
    return np.stack(each, axis=1)


def _check_bulk(ions: Sequence[Ion], D: np.ndarray) -> None:
    """The point estimate must end at the diffusivity of the ion."""
    for i, ion in enumerate(ions):
        bulk = si(ion.diffusivity, "m**2/s")
        if not np.exp(-END) < D[0, i, -1] / bulk < np.exp(END):
            raise InputError(
                f"diffusivity of {ion.name} does not end at that of the ion",
                wanted=f"{bulk:.4g} m**2/s within {100 * END:g} %",
                got=f"{D[0, i, -1]:.4g} m**2/s at the last distance",
                mend="give the ion the diffusivity of the table's bulk, or extend it",
            )


def _planes(
    ions: Sequence[Ion], given: Mapping[str, Quantity], work: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Reaction plane of each species, m."""
    lowest = x[np.where(x > 0, work, np.inf).argmin(axis=-1)]
    return np.array(
        [
            si(given.get(ion.name, float(place)), "m", f"reaction plane of {ion.name}")
            for ion, place in zip(ions, lowest, strict=True)
        ]
    )
