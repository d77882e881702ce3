"""An electrochemical cell: domain, ions, borders; in SI, solved in scaled units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.progress import Show, shown
from ..closed import solve_closed
from ..closures import Closure
from ..distance import wall_distance
from ..domain import Domain
from ..medium import Conditions, Medium, Scales
from ..model import NernstPlanckPoisson
from ..profiles import Profiles
from ..states import Solution
from ..steady import solve_steady
from .build import make_closure, make_medium, make_reactions, warn_of_bulk
from .checks import Quantity, all_of, check_kind, check_name, si, whole
from .conditions import (
    check_amounts,
    check_borders,
    check_changes,
    check_same_terms,
    gathered,
    named,
)
from .given import solution_in
from .parts import Condition, Ion, Pieces, Setting
from .regions import Region
from .resolution import check_layers, check_mesh
from .results import State
from .words import words_of


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
        C/m3, a number or a function of points (n, 3) in m that returns (n,).
    regions
        Name -> part of the cell with coefficients of its own, instead of tabulated ones.
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
    profiles, distance
        Tabulated profiles, and the distance of the nodes from the walls (scaled); None
        without.

    Raises
    ------
    InputError
        Names the border, the species and the mend.

    Warns
    -----
    UserWarning
        When cells at a charged border are larger than half the Debye length, or an ion
        diffuses otherwise in the bulk of the coefficients.
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
        fixed_charge: Quantity | Callable[[np.ndarray], np.ndarray] = 0.0,
        regions: Mapping[str, Region] | None = None,
        velocity: Callable[[np.ndarray], np.ndarray] | None = None,
        reactions: Sequence[tuple[str, Mapping[str, float]]] = (),
        parameters: Mapping[str, float] | None = None,
        electroneutral: bool = False,
        degree: int = 2,
        linear: str = "auto",
        progress: bool | None = None,
    ):
        check_kind(domain, Domain, "domain of a cell", "a domain, as of domain.interval")
        self.ions = named(ions)
        check_borders(list(domain.borders), borders)
        self.domain, self.borders = domain, dict(borders)
        self.electroneutral, self.progress = electroneutral, progress
        self.scales = Scales(
            si(unit, "m", "unit of a cell", sign="positive"),
            max(ion.density for ion in self.ions),
            max(si(ion.diffusivity, "m**2/s") for ion in self.ions),
            si(temperature, "K", "temperature of a cell", sign="positive"),
        )
        what = "permittivity of a cell"
        self.permittivity = si(permittivity, "", what, sign="positive")
        closure = make_closure(self.ions, self.scales, sterics, activity)
        self._setting = self._make_setting(closure)
        rates = make_reactions(reactions, parameters, self._setting)
        conditions = self.conditions()
        with shown("equations", progress):
            self.model = NernstPlanckPoisson(
                domain,
                [ion.charge for ion in self.ions],
                degree=whole(degree, "degree of the elements", 1),
                closure=closure,
                borders=conditions.borders,
                periodic=conditions.periodic,
                reactions=rates,
                anisotropic=coefficients is not None and domain.dim > 1,
                advection=velocity is not None,
                linear=linear,
                words=words_of(self),
            )
        self.profiles: Profiles | None = None
        self.distance: np.ndarray | None = None
        if coefficients is not None:
            self._tabulate(coefficients, walls)
        self._fixed, self._velocity = fixed_charge, velocity
        self.replicate = whole(replicate, "replicate of a cell", 0)
        given = {} if regions is None else regions
        check_kind(given, Mapping, "regions of a cell", "{name: Region(...)}")
        self.regions = dict(given)
        self.medium = self.make_medium(self.replicate)
        check_mesh(self)

    # ------------------------------------------------------------------------- set-up

    def _tabulate(self, coefficients: xr.Dataset, walls: Sequence[str]) -> None:
        what, names = "walls of a cell", self.domain.borders
        contract = "transport-coefficients/1"
        check_kind(coefficients, xr.Dataset, "coefficients of a cell", contract)
        for wall in all_of(walls, str, what, "names of borders"):
            check_name(wall, names, what)
        charges = {ion.name: ion.charge for ion in self.ions}
        self.profiles = Profiles(coefficients, charges, self.scales)
        warn_of_bulk(self.ions, self.profiles)
        self.permittivity = self.profiles.bulk_permittivity
        self.distance = wall_distance(self.domain, walls, self.model.points)

    def _make_setting(self, closure: Closure) -> Setting:
        reference = closure.ln_activities(self.bulk)

        def ln_activity(c: np.ndarray) -> np.ndarray:
            return closure.ln_activities(c) - reference

        return Setting(self.ions, self.scales, self.electroneutral, ln_activity)

    @property
    def bulk(self) -> np.ndarray:
        """Scaled bulk concentrations, shape (n_species,)."""
        return np.array([ion.density for ion in self.ions]) / self.scales.density

    def index(self, species: str) -> int:
        """Index of an ion by its name."""
        return self._setting.index(species)

    def make_medium(self, replicate: int = 0) -> Medium:
        """Coefficients on the nodes, of a replicate of the profiles."""
        return make_medium(self, self._fixed, self._velocity, replicate)

    @property
    def debye_length(self) -> float:
        """Of the bulk, m."""
        z = np.array([ion.charge for ion in self.ions])
        strength = float((z**2 * self.bulk).sum())
        if strength == 0.0:
            return np.inf
        scaled = self.permittivity * self.scales.poisson / strength
        return float(np.sqrt(scaled)) * self.scales.length

    # --------------------------------------------------------------------- conditions

    def pieces(self, drive: Mapping[str, Mapping] | None = None) -> dict[str, Pieces]:
        """What the condition of each border means to the solver."""
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
            When a border is unknown or has no such field, or becomes one of another kind.
        """
        check_changes(self.borders, {} if drive is None else drive)
        found = gathered(self.pieces(drive), self.domain.area)
        if drive:
            check_same_terms(self.model.borders, found.borders)
        return found

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
        check_amounts(conditions, self.ions, self.borders)
        with shown("steady state", self.shows(progress)) as tell:
            solution = solve_steady(
                self.model,
                self.medium,
                conditions,
                start=None if start is None else solution_in(self, start),
                progress=tell,
            )
        state = State(self, solution)
        check_layers(state)
        return state

    def settled(
        self,
        mean: Mapping[str, Quantity] | None = None,
        drive: Mapping[str, Mapping] | None = None,
        *,
        progress: Show = None,
    ) -> State:
        """State that a closed cell settles to: no reservoir, but given amounts.

        Parameters
        ----------
        mean
            Species -> concentration averaged over the cell, mol/m3; that of the bulk for
            those that are left out.
        drive, progress
            As for `steady`.

        Raises
        ------
        InputError
            When a mean is not positive, or a cell without electrodes is not neutral.
        StageError
            When the way in time stops.
        """
        conditions = self.conditions(drive)
        if conditions.psi or conditions.concentration:
            raise InputError(
                "amounts of a cell that is open",
                wanted="no border that holds a species",
                got=", ".join(sorted({place for _, place in conditions.psi}))
                or "held concentrations",
                mend="Cell.steady finds the state that its borders determine",
            )
        given = self._setting.concentrations({} if mean is None else mean, "on average")
        amounts = [given.get(i, c) for i, c in enumerate(self.bulk)]
        with shown("settling", self.shows(progress)) as tell:
            solution = solve_closed(
                self.model, self.medium, conditions, amounts, progress=tell
            )
        return State(self, solution)

    def at_rest(self) -> State:
        """Activities of the bulk everywhere and no potential: a start of transients.

        Where mu_ex is not zero concentrations are ``c_bulk exp(-mu_ex)``, and fixed
        charges are not screened yet: an electroneutral cell with such charges cannot
        begin so, but from a steady state.
        """
        return State(self, Solution.at_rest(self.model, self.medium, self.conditions()))

    def shows(self, progress: Show) -> Show:
        """The choice of a call, or else of the cell."""
        return self.progress if progress is None else progress
