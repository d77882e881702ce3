"""Closures: concentrations from activities when ions take room or interact.

An ion's chemical potential is ``ln c_i + r_i m`` (kT): m is one function M of one
weighted density ``rho = sum_i w_i c_i``, r_i says how much of it the ion feels. With
activities a_i the concentrations follow from one scalar equation, whatever the number of
species::

    c_i = a_i exp(-r_i M(x)),       ln rho(x) = ln sum_i w_i a_i exp(-r_i M(x))

where x is a coordinate in which Newton's method solves it within a few steps. The same
lines serve NumPy and UFL: `fn` brings ``exp``, ``ln``, ``tanh`` and ``maximum``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from ..core.errors import InputError
from .words import Words

NUMPY = SimpleNamespace(exp=np.exp, ln=np.log, tanh=np.tanh, maximum=np.maximum)
#: Iterations that solve the scalar equation wherever they start from.
ENOUGH = 30


class Closure:
    """Point ions: ``c_i = a_i``."""

    @property
    def iterations(self) -> int:
        """Newton iterations that solve the scalar equation; 0 when it is explicit."""
        return 0

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Numbers that a compiled form reads at run time."""
        return {}

    def signature(self) -> tuple:
        """What a compiled form depends on."""
        return (type(self).__name__, self.iterations)

    def ln_concentrations(self, fn, k, ln_a: Sequence, frozen: Sequence) -> list:
        """Logarithm of the concentration of each species.

        Parameters
        ----------
        fn
            Functions.
        k
            `parameters`, as arrays or as constants of a form.
        ln_a
            Logarithm of the activity of each species.
        frozen
            The same values, seen as constants by differentiation.
        """
        return list(ln_a)

    def ln_activities(self, c: np.ndarray) -> np.ndarray:
        """Inverse of `ln_concentrations`, shape (n_species, ...)."""
        return np.log(c)

    def excess(self, c: np.ndarray, ln_a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What ions feel of each other where only some concentrations are given.

        Parameters
        ----------
        c
            Concentrations, NaN where the activity is given instead, shape
            (n_species, n).
        ln_a
            Logarithm of the activity; read where c is NaN, shape (n_species, n).

        Returns
        -------
        excess
            ``ln a_i - ln c_i``, shape (n_species, n).
        slopes
            Its derivative by ln a_j, zero where c_j is given, shape
            (n_species, n_species, n).
        """
        return np.zeros_like(c), np.zeros((len(c), *np.shape(c)))

    def check(self, c: np.ndarray, words: Words | None = None) -> None:
        """Refuse concentrations (n_species, ...) outside the closure's range."""


class Coupled(Closure):
    """Closures that solve the scalar equation."""

    def _excess(self, fn, k, x):
        """Excess potential M and its slope in x."""
        raise NotImplementedError

    def _ln_density(self, fn, x):
        """Ln rho and its slope in x."""
        raise NotImplementedError

    def _coordinate(self, rho: np.ndarray) -> np.ndarray:
        """The x of a weighted density."""
        raise NotImplementedError

    def _first(self, fn, k, total):
        """Where the iterations start, from the weighted sum of the activities."""
        raise NotImplementedError

    def _check_count(self, n_species: int) -> None:
        given = len(self.parameters["weights"])
        if given != n_species:
            raise InputError(
                f"{type(self).__name__} for another number of species",
                wanted=str(n_species),
                got=str(given),
            )

    def _equation(self, fn, k, ln_a, x):
        """Mismatch of the scalar equation and its slope in x."""
        m, m_slope = self._excess(fn, k, x)
        rho, rho_slope = self._ln_density(fn, x)
        n = range(len(ln_a))
        parts = [k["weights"][i] * fn.exp(ln_a[i] - k["exponents"][i] * m) for i in n]
        total = sum(parts)
        felt = sum(k["exponents"][i] * parts[i] for i in n) / total
        return rho - fn.ln(total), rho_slope + felt * m_slope

    def ln_concentrations(self, fn, k, ln_a, frozen):
        """Logarithm of the concentration of each species."""
        self._check_count(len(ln_a))
        weights = k["weights"]
        seen = frozen if self.iterations else ln_a
        terms = [weights[i] * fn.exp(a) for i, a in enumerate(seen)]
        x = self._first(fn, k, sum(terms))
        for _ in range(self.iterations):
            mismatch, slope = self._equation(fn, k, frozen, x)
            x = x - mismatch / slope
        if self.iterations:
            # x solves the equation already: this step adds nothing but its derivative.
            mismatch, _ = self._equation(fn, k, ln_a, x)
            _, slope = self._equation(fn, k, frozen, x)
            x = x - mismatch / slope
        m, _ = self._excess(fn, k, x)
        return [a - k["exponents"][i] * m for i, a in enumerate(ln_a)]

    def ln_activities(self, c):
        """Logarithm of the activity of each species."""
        self._check_count(len(c))
        k = self.parameters
        rho = np.tensordot(k["weights"], c, axes=1)
        m, _ = self._excess(NUMPY, k, self._coordinate(rho))
        exponents = k["exponents"].reshape(-1, *[1] * (np.ndim(c) - 1))
        return np.log(c) + exponents * m

    def excess(self, c, ln_a):
        """What ions feel of each other where only some concentrations are given."""
        self._check_count(len(c))
        k, given = self.parameters, np.isfinite(c)
        weights, exponents = k["weights"][:, None], k["exponents"][:, None]
        # A given concentration is an activity that feels nothing.
        seen = k | {"exponents": np.where(given, 0.0, exponents)}
        ln = np.where(given, np.log(c), ln_a)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            known = self._coordinate((weights * np.where(given, c, 0.0)).sum(axis=0))
            total = (weights * np.exp(ln)).sum(axis=0)
            x = np.maximum(known, self._first(NUMPY, seen, total))
            for _ in range(ENOUGH):
                mismatch, slope = self._equation(NUMPY, seen, ln, x)
                x = x - mismatch / slope
            m, m_slope = self._excess(NUMPY, k, x)
            parts = weights * np.exp(ln - seen["exponents"] * m)
        share = np.where(given, 0.0, parts) / parts.sum(axis=0)
        return exponents * m, exponents[:, None] * share * m_slope / slope


@dataclass(frozen=True)
class _Sterics(Coupled):
    """Ions of given volumes; rho is the packing fraction eta, ``x = M``.

    In M the equation is convex and the iterations come from its left: they cannot fail.

    Attributes
    ----------
    volume
        Of each ion in units of 1/c0, shape (n_species,).
    solvent_volume
        Of what an ion displaces, one piece at a time; the largest ion's by default.
    """

    volume: np.ndarray
    solvent_volume: float | None = None

    def __post_init__(self):
        volume = np.atleast_1d(np.asarray(self.volume, dtype=float))
        object.__setattr__(self, "volume", volume)
        piece = self.solvent_volume
        good = np.isfinite(volume).all() and (volume >= 0).all() and volume.any()
        if not good or (piece is not None and not 0 < piece < np.inf):
            raise InputError(
                "volumes of ions",
                wanted="finite volumes, none negative, not all of them zero",
                got=f"{volume.tolist()}, solvent {piece}",
            )

    @property
    def parameters(self):
        """Weights and exponents of the species."""
        exponents = self.volume / (self.solvent_volume or self.volume.max())
        return {
            "weights": self.volume,
            "exponents": exponents,
            "largest": np.array(max(1.0, exponents.max())),
        }

    def _excess(self, fn, k, x):
        return x, 1.0

    def _first(self, fn, k, total):
        return total / (1 + k["largest"] * total)


class Bikerman(_Sterics):
    """Lattice gas, ``M = -ln(1 - eta)`` (doi:10.1103/PhysRevE.75.021502).

    Ions of one size have the closed form ``c_i = a_i / (1 + sum_j v_j a_j)``. Ions of
    different sizes feel ``v_i / v_solvent`` times M, which comes from a free energy (its
    matrix of second derivatives is symmetric); the closed form with different volumes
    does not.
    """

    @property
    def iterations(self):
        """None for ions of one size."""
        return 0 if (self.parameters["exponents"] == 1).all() else 8

    def _first(self, fn, k, total):
        if self.iterations == 0:
            return fn.ln(1 + total)
        return super()._first(fn, k, total)

    def _ln_density(self, fn, x):
        half = fn.tanh(x / 2)  # 1 - exp(-x) without cancellation
        return fn.ln(2 * half / (1 + half)), (1 - half) / (2 * half)

    def _coordinate(self, rho):
        return -np.log1p(-_below_one(rho))


class CarnahanStarling(_Sterics):
    """Hard spheres, ``M = (8 eta - 9 eta^2 + 3 eta^3) / (1 - eta)^3``.

    doi:10.1063/1.1672048; with different sizes M acts in proportion to the volume.
    """

    @property
    def iterations(self):
        """Enough for twelve digits from dilute to packed."""
        return 9

    def _ln_density(self, fn, x):
        # s = eta / (1 - eta) solves 2 s^3 + 7 s^2 + 8 s = M: Cardano's root, without
        # its cancellation where s is small.
        half = 161 / 216 + x / 4
        root = fn.exp(fn.ln(half + fn.exp(0.5 * fn.ln(half**2 - 1 / 46656))) / 3)
        rough = root + 1 / (36 * root) - 7 / 6
        s = x / (8 + rough * (7 + 2 * rough))
        return fn.ln(s / (1 + s)), 1 / (s * (1 + s) * (8 + s * (14 + 6 * s)))

    def _coordinate(self, rho):
        s = _below_one(rho) / (1 - rho)
        return s * (8 + s * (7 + 2 * s))


def _below_one(rho: np.ndarray) -> np.ndarray:
    if not np.all(rho < 1):
        raise InputError(
            "ions larger than their space",
            wanted="sum(volume c) < 1",
            got=f"{np.max(rho):.4g}",
        )
    return rho
