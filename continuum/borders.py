"""What happens at borders, as terms of the equations; scaled units.

A border without a term is closed: no ion passes and no charge sits there, which is also
what a plane of symmetry is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.errors import InputError


@dataclass(frozen=True)
class Border:
    """A term at a place.

    Attributes
    ----------
    place
        Name of the border.
    """

    place: str

    #: Parameters that are numbers read at run time.
    numbers: ClassVar[tuple[str, ...]] = ()
    #: Those of them that are zero at rest: continuation brings them in.
    driving: ClassVar[tuple[str, ...]] = ()

    def drives(self) -> tuple[str, ...]:
        """`driving`, of this term."""
        return self.driving

    def signature(self) -> tuple:
        """What a compiled form depends on: all but the numbers."""
        fixed = [
            getattr(self, name)
            for name in self.__dataclass_fields__
            if name not in self.numbers
        ]
        return (type(self).__name__, *fixed)

    def determines(self, species: int) -> bool:
        """Whether the amount of a species is determined by this term."""
        return False

    def reacting(self) -> list[int]:
        """Species that this term turns into each other."""
        return []

    def inflow(self, fn, k, medium) -> dict:
        """What enters, per area.

        Parameters
        ----------
        fn
            ``exp`` of NumPy or UFL.
        k
            Name -> number.
        medium
            `psi`, `c`, `phi`, `z`, `normal` and `velocity` at the border.

        Returns
        -------
        dict
            Species index -> flux, and -1 -> surface charge.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class SurfaceCharge(Border):
    """A given surface charge."""

    charge: float = 0.0
    numbers: ClassVar[tuple[str, ...]] = ("charge",)
    driving: ClassVar[tuple[str, ...]] = ("charge",)

    def inflow(self, fn, k, medium):
        """The charge itself."""
        return {-1: k["charge"]}


@dataclass(frozen=True)
class Flux(Border):
    """A given flux of one species into the domain."""

    species: int = 0
    flux: float = 0.0
    numbers: ClassVar[tuple[str, ...]] = ("flux",)
    driving: ClassVar[tuple[str, ...]] = ("flux",)

    def inflow(self, fn, k, medium):
        """The flux itself."""
        return {self.species: k["flux"]}


@dataclass(frozen=True)
class Stern(Border):
    """A compact layer of given capacitance between an electrode and the electrolyte."""

    capacitance: float = 1.0
    potential: float = 0.0
    numbers: ClassVar[tuple[str, ...]] = ("capacitance", "potential")
    driving: ClassVar[tuple[str, ...]] = ("potential",)

    def inflow(self, fn, k, medium):
        """Surface charge ``C (V - phi)``."""
        return {-1: k["capacitance"] * (k["potential"] - medium.phi)}


@dataclass(frozen=True)
class Outflow(Border):
    """Ions leave with the given velocity; their diffusive flux vanishes."""

    def determines(self, species):
        """What flows out is in proportion to what is there."""
        return True

    def inflow(self, fn, k, medium):
        """What the flow carries out, negative.

        Raises
        ------
        InputError
            When the solvent does not move.
        """
        if medium.velocity is None:
            raise InputError(
                f"an outflow at {self.place!r} of a solvent at rest",
                wanted="a velocity",
                mend="give the cell velocity=, or close the border",
            )
        speed = sum(
            medium.velocity[i] * medium.normal[i] for i in range(len(medium.normal))
        )
        return {i: -speed * c for i, c in enumerate(medium.c)}


@dataclass(frozen=True)
class ChargeTransfer(Border):
    """Butler-Volmer kinetics of one reaction, written as an oxidation.

    The rate is ``k (prod_red a^|nu| e^(alpha n eta) - prod_ox a^nu e^((alpha-1) n eta))``
    with ``eta = potential - phi - equilibrium`` at the border (Frumkin's correction where
    there is a Stern layer) and activities ``a_i = exp(psi_i - z_i phi)``, which are
    c / c_ref for ideal ions: it vanishes exactly where Nernst's equation holds.

    Attributes
    ----------
    stoichiometry
        Of the oxidation, per species of the model: consumed < 0 < produced. What is not
        in the model (a metal, a solvent) is part of `rate`.
    rate
        Rate constant at ``eta = 0`` and unit activities.
    potential, equilibrium
        Of the electrode, and where both directions are equally fast.
    alpha
        Transfer coefficient of the oxidation, 0 to 1.
    branch
        ``"both"``, or ``"anodic"`` or ``"cathodic"`` alone (Tafel).
    """

    stoichiometry: tuple[float, ...] = ()
    rate: float = 0.0
    potential: float = 0.0
    equilibrium: float = 0.0
    alpha: float = 0.5
    electrons: float = 1.0
    branch: str = "both"
    numbers: ClassVar[tuple[str, ...]] = (
        "rate",
        "potential",
        "equilibrium",
        "alpha",
        "electrons",
    )
    driving: ClassVar[tuple[str, ...]] = ("potential", "equilibrium")

    def drives(self):
        """The rate too where one branch alone never rests."""
        return self.driving if self.branch == "both" else (*self.driving, "rate")

    def __post_init__(self):
        if self.branch not in ("both", "anodic", "cathodic"):
            raise InputError(
                "unknown branch of the kinetics",
                wanted="both, anodic or cathodic",
                got=repr(self.branch),
            )
        if not self.rate >= 0 or not 0 <= self.alpha <= 1 or not self.electrons > 0:
            raise InputError(
                "kinetics out of range",
                wanted="rate >= 0, alpha between 0 and 1, electrons > 0",
                got=f"rate {self.rate:g}, alpha {self.alpha:g}, "
                f"electrons {self.electrons:g}",
            )

    def reacting(self):
        """Those with a stoichiometric number."""
        return [i for i, nu in enumerate(self.stoichiometry) if nu]

    def reaction(self, fn, k, medium):
        """Rate of the oxidation per area."""
        if len(self.stoichiometry) > len(medium.c):
            raise InputError(
                "stoichiometry of a charge transfer",
                wanted=f"a number for each of {len(medium.c)} species",
                got=str(self.stoichiometry),
            )
        eta = k["electrons"] * (k["potential"] - medium.phi - k["equilibrium"])
        forward, backward = k["alpha"] * eta, (k["alpha"] - 1) * eta
        for i, nu in enumerate(self.stoichiometry):
            # Products of powers of activities are exponentials of sums.
            work = abs(nu) * (medium.psi[i] - medium.z[i] * medium.phi) if nu else 0.0
            if nu < 0:
                forward = forward + work
            else:
                backward = backward + work
        terms = {"anodic": fn.exp(forward), "cathodic": -fn.exp(backward)}
        wanted = terms if self.branch == "both" else {self.branch}
        return k["rate"] * sum(terms[name] for name in wanted)

    def inflow(self, fn, k, medium):
        """Of each species of the reaction."""
        rate = self.reaction(fn, k, medium)
        return {i: nu * rate for i, nu in enumerate(self.stoichiometry) if nu}


def numbers_of(borders: Sequence[Border]) -> dict[str, np.ndarray]:
    """Numbers of all terms under the names that models use."""
    numbers = {}
    for j, border in enumerate(borders):
        for name in border.numbers:
            value = float(getattr(border, name))
            if not np.isfinite(value):
                raise InputError(
                    f"{name} at a border", wanted="a finite number", got=str(border)
                )
            numbers[f"border.{j}.{name}"] = np.array(value)
    return numbers


def at_rest(borders: Sequence[Border]) -> dict[str, np.ndarray]:
    """The driving numbers of all terms, zero."""
    numbers = {}
    for j, border in enumerate(borders):
        for name in border.drives():
            numbers[f"border.{j}.{name}"] = np.array(0.0)
    return numbers


def check_species(indices: Iterable[int], n_species: int) -> None:
    """Refuse species that a model does not have.

    Raises
    ------
    InputError
    """
    for i in indices:
        if not 0 <= i < n_species:
            raise InputError(
                "a species that the model does not have",
                wanted=f"0 to {n_species - 1}",
                got=str(i),
            )
