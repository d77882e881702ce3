"""Coefficients against wall distance, from ``transport-coefficients/1``, on nodes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.interpolate import PchipInterpolator

from ..core.errors import InputError
from ..core.schema import validate
from .medium import Scales

#: How far from bulk a profile may end: kT for mu_ex, the logarithm for D.
END = 0.05


class Profiles:
    """Tabulated D_par, D_perp, mu_ex and permittivity of some species.

    Parameters
    ----------
    coefficients
        ``transport-coefficients/1``.
    species
        Names, in the order wanted; all must be there.
    scales
        Of the model.

    Raises
    ------
    InputError
        When a species is missing, or its profile ends before it is bulk.
    SchemaError
        When `coefficients` breaks its contract: values that are not finite, D that is
        not positive, distances that do not increase.
    """

    def __init__(self, coefficients: xr.Dataset, species: list[str], scales: Scales):
        validate(coefficients, "transport-coefficients/1")
        known = [str(name) for name in coefficients["species"].values]
        missing = [name for name in species if name not in known]
        if missing:
            raise InputError(
                "species without profiles",
                wanted=", ".join(species),
                got=", ".join(known),
                mend=f"add {', '.join(missing)} to the coefficients",
            )
        order = [known.index(name) for name in species]
        self._ds, self.scales = coefficients.isel(species=order), scales
        self.distance = coefficients["distance"].values / scales.length
        for index, name in enumerate(species):
            self._check_end(index, name)

    @property
    def n_replicates(self) -> int:
        """Point estimate and replicates."""
        return self._ds.sizes["replicate"]

    def _check_end(self, index: int, name: str) -> None:
        """A profile whose last value is not bulk would put a step into the domain."""
        one = self._ds.isel(replicate=0, species=index)
        mu_ex = float(one["mu_ex"].values[-1]) / self.scales.energy
        bulk = float(one["bulk_D"].values)
        ends = {"mu_ex": mu_ex}
        for key in ("D_perp", "D_par"):
            ends[key] = float(np.log(one[key].values[-1] / bulk))
        for key, off in ends.items():
            if abs(off) > END:
                unit = "kT" if key == "mu_ex" else "in ln D"
                raise InputError(
                    f"{key} of {name} does not reach bulk",
                    wanted=f"its bulk value within {END:g} at the last distance",
                    got=f"{off:+.3g} {unit} at "
                    f"{self.distance[-1] * self.scales.length * 1e9:.4g} nm",
                    mend="extend the profile, or blend it into bulk (bridges)",
                )

    def _at(self, values: np.ndarray, distance: np.ndarray) -> np.ndarray:
        inside = np.clip(distance, self.distance[0], self.distance[-1])
        return PchipInterpolator(self.distance, values, axis=-1)(inside)

    def on(self, distance: np.ndarray, replicate: int = 0) -> dict[str, np.ndarray]:
        """Scaled values at wall distances, with the names of `Medium`.

        Parameters
        ----------
        distance
            Shape (n,), scaled; beyond the profile its last values hold, below it the
            first ones.
        replicate
            0 is the point estimate.
        """
        if not 0 <= replicate < self.n_replicates:
            raise InputError(
                "no such replicate",
                wanted=f"0 to {self.n_replicates - 1}",
                got=str(replicate),
            )
        one, scales = self._ds.isel(replicate=replicate), self.scales
        ln_d = {
            key: np.log(one[key].values / scales.diffusivity)
            for key in ("D_perp", "D_par")
        }
        return {
            "mu_ex": self._at(one["mu_ex"].values / scales.energy, distance),
            "diffusivity": np.exp(self._at(ln_d["D_perp"], distance)),
            "diffusivity_par": np.exp(self._at(ln_d["D_par"], distance)),
            "permittivity": self._at(one["relative_permittivity"].values, distance),
        }
