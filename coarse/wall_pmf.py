"""What walls do to ions, as it is handed over: ``wall-pmf/1`` of a linear model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr

from ..core.errors import InputError
from ..core.schema import dataset
from ..core.units import KJ_MOL, NM
from .langevin import GAS_CONSTANT
from .linear_model import LinearModel
from .model import temperature_of
from .tables import Pieces, Range
from .walls import Wall

#: Where no ion goes a potential ends at this value, kT.
CAP = 30.0


def wall_pmf(
    model: LinearModel,
    terms: Mapping[str, str],
    charges: Mapping[str, float],
    *,
    seen: Mapping[str, Range] | None = None,
    points: int = 400,
) -> xr.Dataset:
    """Potentials of mean force w_i(d) of ions near a wall, ``wall-pmf/1``.

    Parameters
    ----------
    model
        With a `Wall` for each species; its validity has a ``temperature_K``.
    terms
        Species -> name of its `Wall`; all of one wall, with bases that end at zero at the
        same distance.
    charges
        Of the species, e.
    seen
        By species, where ions were, nm; from the start of the basis on where absent.
        Below, a potential goes on as in the engines, up to 30 kT.
    points
        Distances from the wall to the end of the bases.

    Raises
    ------
    InputError
        When a charge or a term is missing, a term is no wall that ends at zero, or the
        model does not tell its temperature.
    """
    if set(terms) != set(charges) or points < 4:
        raise InputError(
            "species of walls", wanted="a charge of each, four points at least",
            got=f"walls {list(terms)}, charges {list(charges)}, {points} points",
        )  # fmt: skip
    of_name = {term.name: (term, k) for k, term in enumerate(model.terms)}
    walls = []
    for species, name in terms.items():
        term, k = of_name.get(name, (None, -1))
        if not isinstance(term, Wall) or term.basis.ends != "zero":
            raise InputError(f"wall of {species}", wanted="a Wall that ends at zero",
                             got=name)  # fmt: skip
        walls.append((species, term, k))
    ends = {term.basis.stop for _, term, _ in walls}
    if len(ends) != 1:
        raise InputError("ends of walls", wanted="one distance", got=str(sorted(ends)))
    temperature = temperature_of(model)
    d, cap = np.linspace(0, ends.pop(), points), CAP * GAS_CONSTANT * temperature
    starts = [(seen or {}).get(s, term.basis.span)[0] for s, term, _ in walls]
    tables = np.empty((len(model.coefficients), len(walls), points))
    for r in range(len(tables)):
        parts = model.parts(r)
        for s, (species, term, k) in enumerate(walls):
            pieces = Pieces.of(
                term.basis, parts[k], "distance", (seen or {}).get(species)
            )
            value = pieces.values(torch.from_numpy(d)).numpy()
            tables[r, s] = np.minimum(value, cap)
    return dataset(
        "wall-pmf/1",
        {"distance": d * NM, "species": [s for s, _, _ in walls],
         "charge_number": np.array([float(charges[s]) for s, _, _ in walls]),
         "pmf": tables * KJ_MOL, "valid_from": np.maximum(starts, 0.0) * NM},
        {"temperature": temperature, "n_units": model.n_units},
    )  # fmt: skip
