"""What an electrochemical cell is made of, in SI units or with units written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.units import AVOGADRO
from ..borders import Border, Flux, Outflow, Stern, SurfaceCharge
from ..medium import Scales
from .checks import Quantity, check_kind, check_name, si

#: What to do about a concentration of zero.
TRACE = "give a species that is absent a trace, such as 1e-6 mol/m**3"


@dataclass(frozen=True)
class Ion:
    """A dissolved species; uncharged ones too.

    Attributes
    ----------
    name
        Such as ``"Na"``.
    charge
        Charge number.
    diffusivity
        m2/s.
    bulk
        Concentration in the reservoirs, mol/m3; psi is measured from there.
    diameter
        m, for closures of ions that take room.
    """

    name: str
    charge: float
    diffusivity: Quantity
    bulk: Quantity
    diameter: Quantity = 0.0

    def __post_init__(self):
        check_kind(self.name, str, "name of an ion", 'text such as "Na"')
        name = self.name
        si(self.charge, "", f"charge of {name}")
        si(self.diffusivity, "m**2/s", f"diffusivity of {name}", sign="positive")
        si(self.bulk, "mol/m**3", f"bulk of {name}", sign="positive", mend=TRACE)
        si(self.diameter, "m", f"diameter of {name}", sign="non-negative")

    @property
    def density(self) -> float:
        """Bulk number density, m-3."""
        return si(self.bulk, "mol/m**3") * AVOGADRO


@dataclass(frozen=True)
class Pieces:
    """What a condition at a border means to the solver, scaled.

    Attributes
    ----------
    psi, concentration
        Species index -> value held.
    phi
        Potential held.
    terms
        Terms of the equations.
    current
        Current through the border, as a density.
    twin
        Border that is one with this one, and the potential here.
    """

    psi: Mapping[int, float] = field(default_factory=dict)
    concentration: Mapping[int, float] = field(default_factory=dict)
    phi: float | None = None
    terms: tuple[Border, ...] = ()
    current: float | None = None
    twin: tuple[str, float] | None = None

    def charges(self, n_species: int) -> bool:
        """Whether a double layer may form here: a reservoir has none."""
        reservoir = len(self.psi) == n_species
        layers = any(isinstance(term, SurfaceCharge | Stern) for term in self.terms)
        return layers or (self.phi is not None and not reservoir)


@dataclass(frozen=True)
class Setting:
    """What conditions need to know of their cell."""

    ions: tuple[Ion, ...]
    scales: Scales
    neutral: bool
    ln_activity: object

    @property
    def charged(self) -> list[tuple[int, Ion]]:
        """Ions with a charge, and their indices."""
        return [(i, ion) for i, ion in enumerate(self.ions) if ion.charge]

    def index(self, name: str) -> int:
        """Index of a species.

        Raises
        ------
        InputError
            When there is none of that name.
        """
        names = [ion.name for ion in self.ions]
        check_name(name, names, "unknown species")
        return names.index(name)

    def potential(self, value: Quantity, where: str) -> float:
        """Scaled potential; `where` it is, for errors."""
        return si(value, "V", f"potential {where}") / self.scales.potential

    def concentrations(
        self, given: Mapping[str, Quantity], where: str
    ) -> dict[int, float]:
        """Scaled concentrations by species index; `where` they are, for errors.

        Raises
        ------
        InputError
            When a species is unknown or a value is not positive.
        """
        found = {}
        for i, what, value in self.of_species(given, "concentration", where):
            molar = si(value, "mol/m**3", what, sign="positive", mend=TRACE)
            found[i] = molar * AVOGADRO / self.scales.density
        return found

    def of_species(
        self, given: Mapping[str, Any], what: str, where: str
    ) -> list[tuple[int, str, Any]]:
        """Index, name in errors, and value of what is given for some species.

        Raises
        ------
        InputError
            When a species is unknown.
        """
        check_kind(given, Mapping, f"{what} {where}", "{species: value}")
        return [
            (self.index(name), f"{what} of {name} {where}", value)
            for name, value in given.items()
        ]


@dataclass(frozen=True)
class Condition:
    """What holds at a border."""

    def changed(self, fields: Mapping) -> Condition:
        """The same with other values of some fields."""
        return replace(self, **fields)

    def pieces(self, place: str, cell: Setting) -> Pieces:
        """What it means to the solver."""
        raise NotImplementedError


@dataclass(frozen=True)
class Reservoir(Condition):
    """A well-stirred solution of given composition and potential.

    Attributes
    ----------
    potential
        V; where the search starts when `current` is given.
    concentration
        Species -> mol/m3, where it differs from the bulk of the ions.
    current
        Mean current density into the cell, A/m2; then the potential is found. Zero is a
        voltmeter: the potential is that of the junction, membrane or pore in between.
    """

    potential: Quantity = 0.0
    concentration: Mapping[str, Quantity] = field(default_factory=dict)
    current: Quantity | None = None

    def pieces(self, place, cell):
        """Psi of every species, and phi."""
        bulk = {i: ion.density / cell.scales.density for i, ion in enumerate(cell.ions)}
        c = bulk | cell.concentrations(self.concentration, f"at {place!r}")
        charge = sum(ion.charge * c[i] for i, ion in enumerate(cell.ions))
        size = sum(abs(ion.charge) * c[i] for i, ion in enumerate(cell.ions))
        if abs(charge) > 1e-6 * size:
            raise InputError(
                f"the reservoir at {place!r} is not neutral",
                wanted="sum of charge times concentration = 0",
                got=f"{charge / size:+.3g} of the ions' charge",
                mend="change the concentration of one ion: "
                + ", ".join(ion.name for ion in cell.ions if ion.charge),
            )
        density = np.array([c[i] for i in range(len(cell.ions))])
        shift = cell.ln_activity(density)
        phi = cell.potential(self.potential, f"at {place!r}")
        psi = {i: shift[i] + ion.charge * phi for i, ion in enumerate(cell.ions)}
        if self.current is None:
            return Pieces(psi, phi=None if cell.neutral else phi)
        current = si(self.current, "A/m**2") / cell.scales.current_density
        return Pieces(psi, phi=phi, current=current)


@dataclass(frozen=True)
class Fixed(Condition):
    """Given concentrations of some species, and a given potential or none.

    Attributes
    ----------
    concentration
        Species -> mol/m3.
    potential
        V.
    """

    concentration: Mapping[str, Quantity] = field(default_factory=dict)
    potential: Quantity | None = None

    def pieces(self, place, cell):
        """Concentrations, and phi when it is given."""
        phi, where = None, f"at {place!r}"
        if self.potential is not None:
            phi = cell.potential(self.potential, where)
        c = cell.concentrations(self.concentration, where)
        carried = [ion.charge * c.get(i, np.nan) for i, ion in cell.charged]
        size = float(np.abs(carried).sum())
        if cell.neutral and abs(sum(carried)) > 1e-6 * size:  # never true of nan
            raise InputError(
                f"what is fixed at {place!r} of an electroneutral cell is not neutral",
                wanted="sum of charge times concentration = 0",
                got=f"{sum(carried) / size:+.3g} of the ions' charge",
                mend="leave one ion out: it follows from the others",
            )
        return Pieces(concentration=c, phi=phi)


@dataclass(frozen=True)
class Wall(Condition):
    """A wall that no ion passes, of given surface charge (C/m2)."""

    charge: Quantity = 0.0

    def pieces(self, place, cell):
        """The charge."""
        charge = si(self.charge, "C/m**2", f"charge of the wall at {place!r}")
        charge /= cell.scales.surface_charge
        if charge and cell.neutral:
            raise InputError(
                f"a charged wall at {place!r} of an electroneutral cell",
                wanted="no surface charge: its double layer is not resolved",
                got=repr(self.charge),
                mend="leave electroneutral=False, or the charge out",
            )
        return Pieces(terms=(SurfaceCharge(place, charge),) if charge else ())


@dataclass(frozen=True)
class Symmetry(Condition):
    """A plane or an axis of symmetry: nothing passes."""

    def pieces(self, place, cell):
        """Nothing."""
        return Pieces()


@dataclass(frozen=True)
class Periodic(Condition):
    """One of two opposite borders that are one: the cell repeats itself without end.

    Attributes
    ----------
    twin
        The other border, whose condition names this one.
    potential
        V; the difference from that of the twin drives a mean field through the cell.
    """

    twin: str
    potential: Quantity = 0.0

    def pieces(self, place, cell):
        """The twin."""
        check_kind(self.twin, str, f"twin of {place!r}", "the name of a border")
        return Pieces(twin=(self.twin, cell.potential(self.potential, f"at {place!r}")))


@dataclass(frozen=True)
class Inlet(Condition):
    """Given fluxes into the cell; species -> mol/(m2 s)."""

    flux: Mapping[str, Quantity] = field(default_factory=dict)

    def pieces(self, place, cell):
        """One term per species."""
        unit = cell.scales.flux / AVOGADRO
        fluxes = cell.of_species(self.flux, "flux", f"at {place!r}")
        return Pieces(
            terms=tuple(
                Flux(place, i, si(value, "mol/(m**2*s)", what) / unit)
                for i, what, value in fluxes
            )
        )


@dataclass(frozen=True)
class Outlet(Condition):
    """Where the moving solvent carries the ions out."""

    def pieces(self, place, cell):
        """The outflow."""
        return Pieces(terms=(Outflow(place),))
