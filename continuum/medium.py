"""What fills the domain and what holds at its borders, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..core.errors import InputError
from ..core.units import ELEMENTARY_CHARGE, VACUUM_PERMITTIVITY, thermal_energy


@dataclass(frozen=True)
class Scales:
    """SI value of each scaled unit of this folder.

    Attributes
    ----------
    length, density, diffusivity, temperature
        m, m-3, m2/s, K.
    """

    length: float
    density: float
    diffusivity: float
    temperature: float

    @property
    def energy(self) -> float:
        """J: kT."""
        return thermal_energy(self.temperature)

    @property
    def potential(self) -> float:
        """V: kT/e."""
        return self.energy / ELEMENTARY_CHARGE

    @property
    def flux(self) -> float:
        """Per m2 and s."""
        return self.diffusivity * self.density / self.length

    @property
    def surface_charge(self) -> float:
        """C/m2."""
        return ELEMENTARY_CHARGE * self.density * self.length

    @property
    def poisson(self) -> float:
        """Poisson number p: the squared Debye length is p / sum(z^2 c), scaled."""
        unit_charge = ELEMENTARY_CHARGE * self.density * self.length**2
        return VACUUM_PERMITTIVITY * self.potential / unit_charge


@dataclass(frozen=True)
class Medium:
    """Coefficients on the nodes of a model, in scaled units.

    Attributes
    ----------
    mu_ex
        Excess chemical potential, shape (n_species, n_nodes), kT.
    diffusivity
        Along x, shape (n_species, n_nodes), positive.
    c_ref
        Concentration where psi, phi and mu_ex are zero, shape (n_species,).
    poisson
        Poisson number p (`Scales.poisson`).
    permittivity
        Relative, shape (n_nodes,) or a number.
    fixed_charge
        Of what does not move, shape (n_nodes,) or a number, e c0.
    volume
        Of an ion in units of 1/c0, shape (n_species,) or a number, for Bikerman's steric
        closure (doi:10.1103/PhysRevE.75.021502); 0 is a point ion.
    """

    mu_ex: np.ndarray
    diffusivity: np.ndarray
    c_ref: np.ndarray
    poisson: float
    permittivity: np.ndarray | float = 1.0
    fixed_charge: np.ndarray | float = 0.0
    volume: np.ndarray | float = 0.0

    def __post_init__(self):
        for name in ("diffusivity", "c_ref", "permittivity", "poisson"):
            if not np.all(np.asarray(getattr(self, name)) > 0):
                raise InputError(f"{name} out of range", wanted="positive values")
        if not 0 <= np.sum(self.volume * np.asarray(self.c_ref)) < 1:
            raise InputError(
                "ions larger than their space", wanted="0 <= sum(volume c_ref) < 1"
            )
        for name in self.__dataclass_fields__:
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name} is not finite", wanted="finite numbers")


@dataclass(frozen=True)
class Conditions:
    """What is held, and what is let in, in scaled units; everything else is closed.

    Attributes
    ----------
    psi
        (species index, position) -> electrochemical potential held there. A position
        inside the domain is a source or sink plane.
    phi
        Position -> electric potential held there.
    surface_charge
        On the left and the right border, where phi is not held.
    """

    psi: Mapping[tuple[int, float], float] = field(default_factory=dict)
    phi: Mapping[float, float] = field(default_factory=dict)
    surface_charge: tuple[float, float] = (0.0, 0.0)


def concentrations(exp, c_ref, volume, z, psi, phi, mu_ex) -> list:
    """Concentration of each species from the potentials.

    ``c_i = c_ref_i a_i / (1 + sum_j v_j c_ref_j (a_j - 1))`` with
    ``a_i = exp(psi_i - z_i phi - mu_ex_i)``: positive whatever the potentials are, and
    below 1/v when ions have a volume. The same line serves NumPy and UFL, by `exp`.
    """
    n = range(len(z))
    activity = [exp(psi[i] - z[i] * phi - mu_ex[i]) for i in n]
    free = 1 + sum(volume[i] * c_ref[i] * (activity[i] - 1) for i in n)
    return [c_ref[i] * activity[i] / free for i in n]
