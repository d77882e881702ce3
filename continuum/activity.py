"""Closure of tabulated activity coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..core.errors import InputError
from ..core.schema import validate
from .closures import Coupled
from .words import Words


@dataclass(frozen=True)
class Activity(Coupled):
    """Mean activity coefficient ``M = ln gamma(c)`` of a salt, ``x = ln c``.

    Attributes
    ----------
    concentration, ln_gamma, slope
        Table: c in units of c0, ln gamma and d ln gamma / d ln c, shape (n,).
    weights
        Salt concentration from those of the species, shape (n_species,): 1/2 for both
        ions of a 1:1 salt, 0 for what is no part of the salt. Species feel ln gamma in
        proportion to them, as a free energy of the salt's concentration demands.

    Notes
    -----
    Between the points ln gamma is the cubic of ln c with the slopes of the table; below
    the first one it goes to zero with the square root of c (Debye and Hueckel). Above the
    last one `check` refuses the state.
    """

    concentration: np.ndarray
    ln_gamma: np.ndarray
    slope: np.ndarray
    weights: np.ndarray

    def __post_init__(self):
        for name in ("concentration", "ln_gamma", "slope", "weights"):
            value = np.asarray(getattr(self, name), dtype=float)
            if not np.isfinite(value).all():
                raise InputError(f"activity: {name} is not finite")
            object.__setattr__(self, name, value)
        if (
            not (self.concentration > 0).all()
            or not (np.diff(self.concentration) > 0).all()
        ):
            raise InputError(
                "activity: concentrations", wanted="positive and increasing values"
            )
        if not (1 + self.slope > 0).all():
            raise InputError(
                "activity: an unstable solution",
                wanted="d ln gamma / d ln c > -1 everywhere",
                got=f"{self.slope.min():.4g}",
            )

    @classmethod
    def from_dataset(
        cls, ds: xr.Dataset, weights: ArrayLike, density: float, replicate: int = 0
    ) -> Activity:
        """Closure of an ``activity/1`` data set; `density` is c0 in m-3."""
        validate(ds, "activity/1")
        one = ds.isel(replicate=replicate)
        return cls(
            one["concentration"].values / density,
            one["ln_gamma"].values,
            one["dln_gamma_dln_c"].values,
            np.asarray(weights, dtype=float),
        )

    @property
    def iterations(self):
        """Enough for fourteen digits: the equation is almost linear."""
        return 6

    def signature(self):
        """What a compiled form depends on."""
        return (*super().signature(), len(self.concentration))

    @property
    def parameters(self):
        """Weights, and the table as cubics by their jumps at the knots."""
        x, g, s = self._table()
        h = np.diff(x)
        # Coefficients of the cubics, then their jumps at the knots.
        mean = np.diff(g) / h
        second = (3 * mean - 2 * s[:-1] - s[1:]) / h
        third = (s[:-1] + s[1:] - 2 * mean) / h**2
        end_second = second + 3 * third * h
        jump2 = np.append(second, 0.0) - np.append(0.0, end_second)
        jump3 = np.append(third, 0.0) - np.append(0.0, third)
        return {
            "weights": self.weights,
            "exponents": self.weights / self.weights[self.weights > 0].mean(),
            "start": np.array([g[0], s[0]]),
            "knots": x,
            "jump2": jump2,
            "jump3": jump3,
        }

    def _table(self):
        """Knots, values and slopes; four decades are added below the table."""
        low = np.log(self.concentration[0]) - np.log(10) * np.arange(8, 0, -1) / 2
        fade = np.exp(0.5 * (low - np.log(self.concentration[0])))
        below = fade * self.ln_gamma[0]
        return (
            np.append(low, np.log(self.concentration)),
            np.append(below, self.ln_gamma),
            np.append(0.5 * below, self.slope),
        )

    def _excess(self, fn, k, x):
        ahead = [fn.maximum(x - knot, 0.0) for knot in _entries(k["knots"])]
        n = range(len(ahead))
        bend = [k["jump2"][j] + k["jump3"][j] * ahead[j] for j in n]
        value = k["start"][0] + k["start"][1] * (x - k["knots"][0])
        value = value + sum(bend[j] * ahead[j] ** 2 for j in n)
        slope = k["start"][1] + sum(
            (2 * k["jump2"][j] + 3 * k["jump3"][j] * ahead[j]) * ahead[j] for j in n
        )
        return value, slope

    def _ln_density(self, fn, x):
        return x, 1.0

    def _first(self, fn, k, total):
        return fn.ln(total)

    def _coordinate(self, rho):
        return np.log(rho)

    def check(self, c, words=None):
        """Refuse concentrations above the table."""
        highest = float(np.tensordot(self.weights, c, axes=1).max())
        if highest > self.concentration[-1] * (1 + 1e-9):
            told = words or Words()
            raise InputError(
                "a salt concentration above the activity table",
                wanted=f"at most {told.number('concentration', self.concentration[-1])}",
                got=told.number("concentration", highest),
                mend="extend the table, or lower the potential or the reservoir",
            )


def _entries(vector) -> list:
    """Entries of an array or of a constant of a form."""
    n = vector.shape[0] if isinstance(vector, np.ndarray) else vector.ufl_shape[0]
    return [vector[j] for j in range(n)]
