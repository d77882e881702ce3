"""An electrochemical cell: domain, ions, borders; in SI, solved in scaled units."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ..borders import Border
from ..closures import Closure
from ..distance import wall_distance
from ..domain import Domain
from ..medium import Conditions, Medium, Scales
from ..model import NernstPlanckPoisson
from ..profiles import Profiles
from ..states import Solution
from ..steady import solve_steady
from .build import make_closure, make_reaction
from .parts import Condition, Ion, Pieces, Quantity, Setting, si
from .progress import Show, shown
from .results import State


class Cell:
    """Ions in a domain with conditions at its borders.

    Parameters
    ----------
    domain
        Mesh with named borders, in units of `unit`.
    ions
        Dissolved species.
    borders
        Border -> condition; every border of the domain needs one.
    unit
        Length of a unit of the mesh.
    temperature, permittivity
        K, relative.
    sterics
        ``None`` (point ions), ``"bikerman"`` or ``"carnahan-starling"``; with the
        diameters of the ions.
    activity
        ``activity/1`` of the salt, instead of sterics; the ions with a charge share it.
    coefficients
        ``transport-coefficients/1``: D, mu_ex and permittivity against the distance from
        `walls`, in place of the constants.
    walls
        Borders that distances are measured from; those of the profiles.
    replicate
        Of the profiles; 0 is the point estimate.
    fixed_charge
        C/m3, a number or a function of points (n, 3) in m.
    velocity
        Of the solvent, m/s: function of points (n, 3) in m that returns (dim, n).
    reactions
        (rate in mol/(m3 s) as an expression of concentrations in mol/m3, {species:
        number produced}) pairs.
    parameters
        Name -> number in those expressions.
    electroneutral
        Solve the limit of vanishing Debye length instead of Poisson's equation.
    degree
        Of the elements.
    linear
        ``"auto"``, ``"direct"`` or ``"fieldsplit"``.
    progress
        Show what goes on: ``None`` does so on a terminal only.

    Attributes
    ----------
    model, medium, scales
        What is solved, and the SI value of its units.

    Raises
    ------
    InputError
        Names the border, the species and the mend.

    Warns
    -----
    UserWarning
        When cells at a charged border are larger than half the Debye length.
    """

    def __init__(
        self,
        domain: Domain,
        ions: Sequence[Ion],
        borders: Mapping[str, Condition],
        *,
        unit: Quantity = "1 nm",
        temperature: Quantity = 298.15,
        permittivity: float = 78.49,
        sterics: str | None = None,
        activity: xr.Dataset | None = None,
        coefficients: xr.Dataset | None = None,
        walls: Sequence[str] = (),
        replicate: int = 0,
        fixed_charge: float | Callable[[np.ndarray], np.ndarray] = 0.0,
        velocity: Callable[[np.ndarray], np.ndarray] | None = None,
        reactions: Sequence[tuple[str, Mapping[str, float]]] = (),
        parameters: Mapping[str, float] | None = None,
        electroneutral: bool = False,
        degree: int = 2,
        linear: str = "auto",
        progress: bool | None = None,
    ):
        self.domain, self.ions, self.borders = domain, tuple(ions), dict(borders)
        self.electroneutral, self.progress = electroneutral, progress
        self._check_names()
        self.scales = Scales(
            si(unit, "m"),
            max(ion.density for ion in ions),
            max(si(ion.diffusivity, "m**2/s") for ion in ions),
            si(temperature, "K"),
        )
        self.permittivity = float(permittivity)
        closure = make_closure(self.ions, self.scales, sterics, activity)
        self._setting = self._make_setting(closure)
        rates = [
            make_reaction(rate, numbers, parameters or {}, self._setting)
            for rate, numbers in reactions
        ]
        with shown("equations", progress):
            self.model = NernstPlanckPoisson(
                domain,
                [ion.charge for ion in ions],
                degree=degree,
                closure=closure,
                borders=self.conditions().borders,
                reactions=rates,
                anisotropic=coefficients is not None and domain.dim > 1,
                advection=velocity is not None,
                linear=linear,
            )
        self._profiles = (
            None
            if coefficients is None
            else Profiles(coefficients, [ion.name for ion in ions], self.scales)
        )
        self._walls, self._fixed, self._velocity = tuple(walls), fixed_charge, velocity
        self.medium = self.make_medium(replicate)
        self._check_mesh()

    # ------------------------------------------------------------------------- set-up

    def _check_names(self) -> None:
        names = [ion.name for ion in self.ions]
        if not names or len(set(names)) < len(names):
            raise InputError(
                "ions of a cell", wanted="one or more, each name once", got=str(names)
            )
        missing = [name for name in self.domain.borders if name not in self.borders]
        unknown = [name for name in self.borders if name not in self.domain.borders]
        if missing or unknown:
            raise InputError(
                "borders of a cell",
                wanted=f"one condition for each of {', '.join(self.domain.borders)}",
                got=f"none for {missing}" if missing else f"one for {unknown}",
                mend="Wall() lets nothing pass, Symmetry() is a plane of symmetry",
            )

    def _make_setting(self, closure: Closure) -> Setting:
        reference = closure.ln_activities(self._bulk)

        def ln_activity(c: np.ndarray) -> np.ndarray:
            return closure.ln_activities(c) - reference

        return Setting(self.ions, self.scales, self.electroneutral, ln_activity)

    @property
    def _bulk(self) -> np.ndarray:
        return np.array([ion.density for ion in self.ions]) / self.scales.density

    def make_medium(self, replicate: int = 0) -> Medium:
        """Coefficients on the nodes, of a replicate of the profiles."""
        nodes, n = len(self.model.points), len(self.ions)
        constant = [si(ion.diffusivity, "m**2/s") for ion in self.ions]
        metres = self.model.points * self.scales.length
        values: dict = {
            "mu_ex": np.zeros((n, nodes)),
            "diffusivity": np.outer(constant, np.ones(nodes)) / self.scales.diffusivity,
            "permittivity": self.permittivity,
        }
        if self._profiles is not None:
            distance = wall_distance(self.domain, self._walls, self.model.points)
            values |= self._profiles.on(distance, replicate)
            if self.domain.dim == 1:
                del values["diffusivity_par"]
            else:
                values["distance"] = distance
        unit = self.scales.surface_charge / self.scales.length
        fixed = self._fixed(metres) if callable(self._fixed) else self._fixed
        if self._velocity is not None:
            speed = self.scales.diffusivity / self.scales.length
            values["velocity"] = np.asarray(self._velocity(metres)) / speed
        return Medium(
            c_ref=self._bulk,
            poisson=0.0 if self.electroneutral else self.scales.poisson,
            fixed_charge=np.asarray(fixed, dtype=float) / unit,
            closure=self.model.closure,
            **values,
        )

    def _check_mesh(self) -> None:
        """Warn of cells at charged borders that cannot hold a double layer."""
        if self.electroneutral:
            return
        debye = self.debye_length / self.scales.length
        for name, pieces in self._pieces().items():
            if not (pieces.terms or pieces.phi):
                continue
            size = self.domain.size_at(name)
            if size > 0.5 * debye:
                nm = self.scales.length * 1e9
                warnings.warn(
                    f"cells at {name!r} are {size * nm:.3g} nm high; a double layer "
                    f"there needs {0.2 * debye * nm:.2g} nm or less "
                    f"(Debye length {debye * nm:.3g} nm)",
                    stacklevel=3,
                )

    @property
    def debye_length(self) -> float:
        """Of the bulk, m."""
        z = np.array([ion.charge for ion in self.ions])
        strength = float((z**2 * self._bulk).sum())
        if strength == 0.0:
            return np.inf
        scaled = self.permittivity * self.scales.poisson / strength
        return float(np.sqrt(scaled)) * self.scales.length

    # --------------------------------------------------------------------- conditions

    def _pieces(self, drive: Mapping[str, Mapping] | None = None) -> dict[str, Pieces]:
        found = {}
        for name, condition in self.borders.items():
            one = condition.changed((drive or {}).get(name, {}))
            found[name] = one.pieces(name, self._setting)
        return found

    def conditions(self, drive: Mapping[str, Mapping] | None = None) -> Conditions:
        """Scaled conditions; `drive` changes fields: ``{"anode": {"potential": 0.1}}``.

        Raises
        ------
        InputError
            When a border is unknown or has no such field.
        """
        for name, changes in (drive or {}).items():
            fields = getattr(self.borders.get(name), "__dataclass_fields__", {})
            wrong = [key for key in changes if key not in fields]
            if name not in self.borders or wrong:
                raise InputError(
                    "a change of conditions",
                    wanted=f"borders {', '.join(self.borders)} and their fields",
                    got=f"{name!r}: {dict(changes)}",
                )
        psi: dict = {}
        phi: dict = {}
        concentration: dict = {}
        current: dict = {}
        terms: list[Border] = []
        for name, one in self._pieces(drive).items():
            psi |= {(i, name): value for i, value in one.psi.items()}
            concentration |= {(i, name): c for i, c in one.concentration.items()}
            if one.phi is not None:
                phi[name] = one.phi
            if one.current is not None:
                current[name] = one.current * self.domain.area(name)
            terms += one.terms
        return Conditions(psi, phi, concentration, tuple(terms), current)

    def steady(
        self,
        drive: Mapping[str, Mapping] | None = None,
        *,
        start: State | None = None,
        progress: Show = None,
    ) -> State:
        """Steady state.

        Parameters
        ----------
        drive
            Changes of conditions, as for `conditions`.
        start
            A state of this cell to come from.
        progress
            As for the cell, whose choice holds by default.

        Raises
        ------
        InputError
            When the amount of a species is not determined.
        StageError
            When no path leads to the state.
        """
        conditions = self.conditions(drive)
        self._check_amounts(conditions)
        with shown("steady state", self.shows(progress)) as tell:
            solution = solve_steady(
                self.model,
                self.medium,
                conditions,
                start=None if start is None else start.solution,
                progress=tell,
            )
        return State(self, solution)

    def at_rest(self) -> State:
        """The bulk everywhere and no potential: where transients may start from."""
        return State(self, Solution.at_rest(self.model, self.medium, self.conditions()))

    def shows(self, progress: Show) -> Show:
        """The choice of a call, or else of the cell."""
        return self.progress if progress is None else progress

    def _check_amounts(self, conditions: Conditions) -> None:
        held = {i for i, _ in (*conditions.psi, *conditions.concentration)}
        for i, ion in enumerate(self.ions):
            if i not in held and not any(b.determines(i) for b in conditions.borders):
                raise InputError(
                    f"the amount of {ion.name} is not determined",
                    wanted=f"a border that holds {ion.name}",
                    got=", ".join(
                        f"{name}: {type(one).__name__}"
                        for name, one in self.borders.items()
                    ),
                    mend="put a Reservoir or Fixed at a border, or follow the closed "
                    "cell in time (Cell.follow)",
                )
