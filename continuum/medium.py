"""What fills the domain and what holds at its borders, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.units import ELEMENTARY_CHARGE, VACUUM_PERMITTIVITY, thermal_energy
from .borders import Border
from .closures import Closure
from .periodic import Periodic


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
    def time(self) -> float:
        """S: of diffusion over the length."""
        return self.length**2 / self.diffusivity

    @property
    def flux(self) -> float:
        """Per m2 and s."""
        return self.diffusivity * self.density / self.length

    @property
    def current_density(self) -> float:
        """A/m2."""
        return ELEMENTARY_CHARGE * self.flux

    @property
    def surface_charge(self) -> float:
        """C/m2."""
        return ELEMENTARY_CHARGE * self.density * self.length

    @property
    def capacitance(self) -> float:
        """F/m2."""
        return self.surface_charge / self.potential

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
        Shape (n_species, n_nodes), positive; across the walls where `diffusivity_par`
        is given.
    c_ref
        Concentration where psi, phi and mu_ex are zero, shape (n_species,).
    poisson
        Poisson number p (`Scales.poisson`); 0 is the electroneutral limit.
    permittivity
        Relative, shape (n_nodes,) or a number.
    fixed_charge
        Of what does not move, shape (n_nodes,) or a number, e c0.
    closure
        How activities give concentrations.
    diffusivity_par, distance
        Along the walls, shape (n_species, n_nodes), and the distance from them, shape
        (n_nodes,), whose gradient is the walls' normal; for anisotropic models.
    velocity
        Of the solvent, shape (dim, n_nodes), D0 / l; for models with advection.
    """

    mu_ex: np.ndarray
    diffusivity: np.ndarray
    c_ref: np.ndarray
    poisson: float
    permittivity: np.ndarray | float = 1.0
    fixed_charge: np.ndarray | float = 0.0
    closure: Closure = field(default_factory=Closure)
    diffusivity_par: np.ndarray | None = None
    distance: np.ndarray | None = None
    velocity: np.ndarray | None = None

    def __post_init__(self):
        for name, value in self._arrays().items():
            if not np.isfinite(value).all():
                raise InputError(
                    f"{name} is not finite",
                    wanted="finite numbers",
                    got=_where(value, ~np.isfinite(value)),
                )
        for name in ("diffusivity", "diffusivity_par", "c_ref", "permittivity"):
            given = self._arrays().get(name)
            if given is not None and not (given > 0).all():
                raise InputError(
                    f"{name} out of range",
                    wanted="positive values",
                    got=_where(given, ~(given > 0)),
                )
        if self.poisson < 0:
            raise InputError(
                "poisson out of range", wanted="0 or more", got=f"{self.poisson:g}"
            )
        if (self.diffusivity_par is None) != (self.distance is None):
            raise InputError(
                "an incomplete diffusion tensor",
                wanted="diffusivity_par and distance together",
            )
        self.ln_activity  # noqa: B018 - refuses reference states that do not exist

    def _arrays(self) -> dict[str, np.ndarray]:
        names = set(self.__dataclass_fields__) - {"closure"}
        given = {name: getattr(self, name) for name in names}
        return {k: np.asarray(v, dtype=float) for k, v in given.items() if v is not None}

    @property
    def ln_activity(self) -> np.ndarray:
        """Of the reference state, shape (n_species,)."""
        return self.closure.ln_activities(np.asarray(self.c_ref, dtype=float))

    def load(self) -> dict[str, np.ndarray]:
        """Numbers of the model under their names there (`NernstPlanckPoisson.put`)."""
        load = {
            "mu_ex": np.asarray(self.mu_ex, dtype=float),
            "ln_diffusivity": np.log(self.diffusivity),
            "ln_permittivity": np.log(np.asarray(self.permittivity, dtype=float)),
            "fixed_charge": np.asarray(self.fixed_charge, dtype=float),
            "poisson": np.array(float(self.poisson)),
            "ln_activity": self.ln_activity,
        }
        if self.diffusivity_par is not None and self.distance is not None:
            load["ln_diffusivity_par"] = np.log(self.diffusivity_par)
            load["distance"] = np.asarray(self.distance, dtype=float)
        if self.velocity is not None:
            load["velocity"] = np.asarray(self.velocity, dtype=float)
        numbers = self.closure.parameters
        return load | {f"closure.{name}": value for name, value in numbers.items()}


#: Name of a border, or position of a node in one dimension.
Place = str | float


@dataclass(frozen=True)
class Conditions:
    """What is held, and what is let in, in scaled units; everything else is closed.

    Places are names of borders or, on an interval, positions of nodes; a position inside
    is a source or sink plane.

    Attributes
    ----------
    psi
        (species index, place) -> electrochemical potential held there.
    phi
        Place -> electric potential held there.
    concentration
        (species index, place) -> concentration held there, whatever phi is.
    borders
        Terms at borders; the model must have been made for terms like them.
    current
        Border -> electric current into the domain there; its potential is found, and the
        potentials given there are where the search starts. One border at most.
    periodic
        Borders that are one; the model must have been made for them.
    """

    psi: Mapping[tuple[int, Any], float] = field(default_factory=dict)
    phi: Mapping[Any, float] = field(default_factory=dict)
    concentration: Mapping[tuple[int, Any], float] = field(default_factory=dict)
    borders: tuple[Border, ...] = ()
    current: Mapping[str, float] = field(default_factory=dict)
    periodic: tuple[Periodic, ...] = ()


def _where(value: np.ndarray, bad: np.ndarray) -> str:
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    place = f" at index {index}" if index else ""
    return f"{value[index]:g}{place}"
