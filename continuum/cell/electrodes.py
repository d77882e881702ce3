"""Electrodes: blocking metals, Stern layers, electrode reactions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.units import AVOGADRO
from ..borders import Border, ChargeTransfer, Stern
from .checks import Quantity, all_of, check_name, si
from .parts import Condition, Pieces, Setting

BRANCHES = "both", "anodic", "cathodic"


@dataclass(frozen=True)
class Redox:
    """An electrode reaction ``reduced -> oxidized + n e-`` with Butler-Volmer kinetics.

    Attributes
    ----------
    reduced, oxidized
        Species -> stoichiometric number; what is not dissolved (a metal, water) is left
        out.
    potential
        V: the formal potential with `rate`, the equilibrium potential of the bulk
        composition with `exchange_current`.
    rate
        Standard rate constant, m/s, for concentrations measured from 1 mol/L.
    exchange_current
        A/m2 at the bulk composition; instead of `rate`.
    alpha
        Transfer coefficient of the oxidation.
    branch
        ``"both"``, or ``"anodic"`` or ``"cathodic"`` alone (Tafel).
    electrons
        Number of electrons; the charges of the species tell it by default.
    """

    reduced: Mapping[str, float]
    oxidized: Mapping[str, float]
    potential: Quantity = 0.0
    rate: Quantity | None = None
    exchange_current: Quantity | None = None
    alpha: float = 0.5
    branch: str = "both"
    electrons: float | None = None

    def term(self, place: str, cell: Setting, electrode: float) -> ChargeTransfer:
        """The term of the equations, for an electrode potential (scaled).

        Raises
        ------
        InputError
            When not just one of `rate` and `exchange_current` is given, the charges do
            not balance, or a number is out of range.
        """
        where = f"of the couple at {place!r}"
        nu = self._numbers(cell, where)
        n = self._electrons(nu, cell)
        alpha = si(self.alpha, "", f"alpha {where}")
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha {where}", wanted="0 to 1", got=f"{alpha:g}")
        check_name(self.branch, BRANCHES, f"branch {where}")
        if (self.rate is None) == (self.exchange_current is None):
            raise InputError(
                "kinetics of a redox couple",
                wanted="either rate (m/s) or exchange_current (A/m2)",
                got="both" if self.rate is not None else "none",
            )
        rate, shift = self._rate(nu, n, cell, where)
        equilibrium = cell.potential(self.potential, where) + shift
        return ChargeTransfer(
            place, tuple(nu), rate, electrode, equilibrium, self.alpha, n, self.branch
        )

    def _numbers(self, cell: Setting, where: str) -> list[float]:
        """Stoichiometric number of each ion, of the oxidation."""
        nu = [0.0] * len(cell.ions)
        for name, sign in (("reduced", -1.0), ("oxidized", 1.0)):
            for i, what, number in cell.of_species(getattr(self, name), name, where):
                nu[i] += sign * si(number, "", what, sign="non-negative")
        return nu

    def _electrons(self, nu: list[float], cell: Setting) -> float:
        carried = sum(v * ion.charge for v, ion in zip(nu, cell.ions, strict=True))
        n = carried
        if self.electrons is not None:
            n = si(self.electrons, "", "electrons of a redox couple")
        if not n > 0 or abs(n - carried) > 1e-9:
            raise InputError(
                "charges of a redox couple",
                wanted="reduced -> oxidized + n electrons with n > 0",
                got=f"species that carry {carried:+g}, electrons {self.electrons}",
                mend="exchange reduced and oxidized, or mend the numbers",
            )
        return n

    def _rate(
        self, nu: list[float], n: float, cell: Setting, where: str
    ) -> tuple[float, float]:
        """Scaled rate for activities measured from the bulk, and shift of potential."""
        if self.exchange_current is not None:
            what = f"exchange_current {where}"
            i0 = si(self.exchange_current, "A/m**2", what, sign="non-negative")
            return i0 / cell.scales.current_density / n, 0.0
        molar = 1e3 * AVOGADRO
        sides = {-1.0: molar, 1.0: molar}
        for number, ion in zip(nu, cell.ions, strict=True):
            if number:
                sides[np.sign(number)] *= (ion.density / molar) ** abs(number)
        constant = si(self.rate, "m/s", f"rate {where}", sign="non-negative")
        constant /= cell.scales.flux
        anodic, cathodic = constant * sides[-1.0], constant * sides[1.0]
        rate = anodic ** (1 - self.alpha) * cathodic**self.alpha
        return rate, float(np.log(sides[1.0] / sides[-1.0])) / n


@dataclass(frozen=True)
class Electrode(Condition):
    """A metal: blocking, behind a Stern layer, or with electrode reactions.

    Attributes
    ----------
    potential
        V; where the search starts when `current` is given.
    current
        Mean current density into the electrolyte, A/m2; then the potential is found.
    stern
        Capacitance of the compact layer, F/m2; none holds phi at the metal's potential.
    reactions
        Of `Redox` couples.
    """

    potential: Quantity = 0.0
    current: Quantity | None = None
    stern: Quantity | None = None
    reactions: tuple[Redox, ...] = ()

    def pieces(self, place, cell):
        """Stern layer or held potential, and reactions."""
        if cell.neutral and not self.reactions:
            raise InputError(
                f"a blocking electrode at {place!r} of an electroneutral cell",
                wanted="reactions: nothing else passes on its potential",
                mend="leave electroneutral=False, or make it a Wall()",
            )
        where = f"of the electrode at {place!r}"
        phi = cell.potential(self.potential, where)
        couples = all_of(self.reactions, Redox, f"reactions {where}", "Redox couples")
        terms: tuple[Border, ...] = tuple(r.term(place, cell, phi) for r in couples)
        if self.stern is not None:
            layer = f"Stern layer {where}"
            capacitance = si(self.stern, "F/m**2", layer, sign="positive")
            capacitance /= cell.scales.capacitance
            if cell.neutral:
                warnings.warn(
                    f"the Stern layer at {place!r} is left out: an electroneutral cell "
                    "has no charge at its electrodes",
                    stacklevel=2,
                )
            else:
                terms = (Stern(place, capacitance, phi), *terms)
        current = None
        if self.current is not None:
            current = si(self.current, "A/m**2", f"current {where}")
            current /= cell.scales.current_density
        held = None if self.stern is not None or cell.neutral else phi
        return Pieces(phi=held, terms=terms, current=current)
