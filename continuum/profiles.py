"""Coefficients against wall distance, from ``transport-coefficients/1``, on nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from scipy.interpolate import PchipInterpolator

from ..core.errors import InputError
from ..core.schema import validate
from .medium import Scales

#: How far from bulk a profile may end: kT for mu_ex, the logarithm for D.
END = 0.05
#: Difference of temperatures that does not matter, K.
COLDER = 1.0
#: Change of a tabulated value that derivatives are taken with.
NUDGE = 1e-5


class Profiles:
    """Tabulated D_par, D_perp, mu_ex and permittivity of some species.

    Parameters
    ----------
    coefficients
        ``transport-coefficients/1``.
    charges
        Species -> charge number, in the order wanted; all must be there.
    scales
        Of the model.

    Raises
    ------
    InputError
        When a species is missing or has another charge, its profile ends before it is
        bulk, or temperatures differ.
    SchemaError
        When `coefficients` breaks its contract: values that are not finite, D that is
        not positive, distances that do not increase.
    """

    def __init__(
        self, coefficients: xr.Dataset, charges: Mapping[str, float], scales: Scales
    ):
        validate(coefficients, "transport-coefficients/1")
        species = list(charges)
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
        self._check_state(list(charges.values()))
        for index, name in enumerate(species):
            self._check_end(index, name)

    @property
    def n_replicates(self) -> int:
        """Point estimate and replicates."""
        return self._ds.sizes["replicate"]

    @property
    def bulk_permittivity(self) -> float:
        """Relative, far from the walls."""
        return float(self._ds["relative_permittivity"].values[-1])

    @property
    def bulk_diffusivity(self) -> np.ndarray:
        """Of each species far from the walls, the point estimate, m2/s."""
        return self._ds["bulk_D"].values[0]

    @property
    def n_units(self) -> int:
        """Blocks that the replicates were drawn from."""
        return int(self._ds.attrs["n_units"])

    def _check_end(self, index: int, name: str) -> None:
        """A profile whose last value is not bulk would put a step into the domain."""
        one = self._ds.isel(species=index)
        bulk = one["bulk_D"].values
        ends = {"mu_ex": one["mu_ex"].values[:, -1] / self.scales.energy}
        for key in ("D_perp", "D_par"):
            ends[key] = np.log(one[key].values[:, -1] / bulk)
        for key, each in ends.items():
            replicate = int(np.abs(each).argmax())
            off = float(each[replicate])
            if abs(off) > END:
                unit = "kT" if key == "mu_ex" else "in ln D"
                raise InputError(
                    f"{key} of {name} does not reach bulk",
                    wanted=f"its bulk value within {END:g} at the last distance",
                    got=f"{off:+.3g} {unit} in replicate {replicate} at "
                    f"{self.distance[-1] * self.scales.length * 1e9:.4g} nm",
                    mend="extend the profile, or blend it into bulk (bridges)",
                )

    def _check_state(self, charges: Sequence[float]) -> None:
        """Profiles hold for the ions and the temperature that they were found with."""
        known = self._ds["charge_number"].values
        made, here = float(self._ds.attrs["temperature"]), self.scales.temperature
        if not np.array_equal(known, np.asarray(charges, dtype=float)):
            names = [str(name) for name in self._ds["species"].values]
            raise InputError(
                "profiles of ions with other charges",
                wanted=_listed(names, charges),
                got=_listed(names, known),
            )
        if abs(made - here) > COLDER:
            raise InputError(
                "profiles of another temperature",
                wanted=f"{here:g} K, that of the cell",
                got=f"{made:g} K",
                mend=f"give the cell temperature={made:g}, or make others at {here:g} K",
            )

    def _tables(self, replicate: int) -> dict[str, np.ndarray]:
        """What is interpolated, shape ([n_species,] n_distances): kT, and logarithms."""
        if not 0 <= replicate < self.n_replicates:
            raise InputError(
                "no such replicate",
                wanted=f"0 to {self.n_replicates - 1}",
                got=str(replicate),
            )
        one, scales = self._ds.isel(replicate=replicate), self.scales
        return {
            "mu_ex": one["mu_ex"].values / scales.energy,
            "ln_D_perp": np.log(one["D_perp"].values / scales.diffusivity),
            "ln_D_par": np.log(one["D_par"].values / scales.diffusivity),
            "ln_permittivity": np.log(one["relative_permittivity"].values),
        }

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
        tables = self._tables(replicate).items()
        found = {name: self._at(table, distance) for name, table in tables}
        return {
            "mu_ex": found["mu_ex"],
            "diffusivity": np.exp(found["ln_D_perp"]),
            "diffusivity_par": np.exp(found["ln_D_par"]),
            "permittivity": np.exp(found["ln_permittivity"]),
        }

    def pulled_back(
        self, slopes: Mapping[str, np.ndarray], distance: np.ndarray, replicate: int = 0
    ) -> dict[str, np.ndarray]:
        """Derivatives by the tabulated values, from those by the values at points.

        Parameters
        ----------
        slopes
            ``mu_ex``, ``ln_D_perp``, ``ln_D_par`` or ``ln_permittivity`` -> derivative
            of a number by it at the points, shape ([n_species,] n).
        distance, replicate
            As for `on`.

        Returns
        -------
        dict
            The same names, shape ([n_species,] n_distances).
        """
        found, tables = {}, self._tables(replicate)
        for name, slope in slopes.items():
            columns = []
            for k in range(len(self.distance)):
                # Monotone splines are not linear in their values.
                bump = NUDGE * (np.arange(len(self.distance)) == k)
                above, below = (
                    self._at(tables[name] + way * bump, distance) for way in (1, -1)
                )
                columns.append((slope * (above - below)).sum(axis=-1) / (2 * NUDGE))
            found[name] = np.stack(columns, axis=-1)
        return found


def _listed(names: Sequence[str], charges: Sequence[float] | np.ndarray) -> str:
    pairs = zip(names, charges, strict=True)
    return ", ".join(f"{name} ({charge:+g})" for name, charge in pairs)
