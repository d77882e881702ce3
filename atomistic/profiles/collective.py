"""Collective transport in bulk: Onsager coefficients, conductivity, transference.

One trajectory holds a single sample of each collective displacement where it holds N of
a single-particle one: collective errors are larger by about sqrt(N) and cannot be made
smaller by more particles, only by longer runs or more replicas. Every error here comes
from whole blocks of time, and `CollectiveTransport.n_units` says how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.stats import bootstrap_weights, half_width95
from ...core.units import ELEMENTARY_CHARGE, thermal_energy
from .lags import Window, blocks_of, enough, fit_window, regimes
from .paths import Paths, alike

FRAMES = ("lab", "barycentric", "solvent")
#: Net charge over the sum of absolute charges that is still rounding.
NEUTRAL = 1e-3


@dataclass(frozen=True)
class CollectiveTransport:
    """Linear response of a bulk mixture; replicate 0 is the point estimate.

    Fluxes follow J_i = -sum_j L_ij grad mu_j (numbers, per particle). Leading dimension
    R + 1; one table of bootstrap weights for all quantities. With few blocks use
    ``half_width95(x, n_units)``, which widens by Student's factor.

    Attributes
    ----------
    species
        Names, S of them.
    charge_number
        Shape (S,).
    frame
        Reference of all displacements: ``lab``, ``barycentric`` or ``solvent``.
    L
        Shape (R + 1, S, S), Onsager coefficients, 1/(J m s).
    L_self
        Shape (R + 1, S), their self part, N_i D_i / (V kT).
    D
        Shape (R + 1, S), self-diffusion in `frame`, m2/s, not corrected for box size.
    exponent
        Shape (R + 1, S + 1), log-log slopes of the species' MSD and, last, of the
        collective dipole's.
    lags
        Shape (L,), s.
    n_units
        Blocks that were resampled.
    """

    species: list[str]
    charge_number: np.ndarray
    frame: str
    L: np.ndarray
    L_self: np.ndarray
    D: np.ndarray
    exponent: np.ndarray
    lags: np.ndarray
    n_units: int

    @property
    def distinct(self) -> np.ndarray:
        """L without its self part: correlations between different particles."""
        return self.L - self.L_self[:, :, None] * np.eye(len(self.species))

    @property
    def conductivity(self) -> np.ndarray:
        """Einstein-Helfand conductivity e2 sum z_i z_j L_ij, S/m, shape (R + 1,)."""
        return self._current.sum(axis=1)

    @property
    def nernst_einstein(self) -> np.ndarray:
        """Conductivity of the same ions without correlations, S/m, shape (R + 1,)."""
        return self._own_current.sum(axis=1)

    @property
    def transference(self) -> np.ndarray:
        """t_i = sum_j z_i z_j L_ij / sum_kl z_k z_l L_kl in `frame`, shape (R + 1, S)."""
        return _ratio(self._current, self.conductivity[:, None])

    @property
    def transport_nernst_einstein(self) -> np.ndarray:
        """t_i from self-diffusion alone, shape (R + 1, S)."""
        return _ratio(self._own_current, self.nernst_einstein[:, None])

    @property
    def haven(self) -> np.ndarray:
        """Haven ratio, Nernst-Einstein over Einstein-Helfand, shape (R + 1,)."""
        return _ratio(self.nernst_einstein, self.conductivity)

    @property
    def regime(self) -> dict[str, str]:
        """``diffusive``, ``subdiffusive`` or ``superdiffusive`` by species and dipole."""
        found = regimes(self.exponent, self.n_units)
        return dict(zip([*self.species, "dipole"], found, strict=True))

    @property
    def _current(self) -> np.ndarray:
        z = ELEMENTARY_CHARGE * self.charge_number
        return z * (self.L @ z)

    @property
    def _own_current(self) -> np.ndarray:
        return (ELEMENTARY_CHARGE * self.charge_number) ** 2 * self.L_self


def collective_transport(
    paths: Sequence[Paths],
    *,
    charge_number: Mapping[str, float],
    temperature: float,
    block: float,
    replicates: int,
    seed: int,
    lags: tuple[float, float] | None = None,
    frame: str = "barycentric",
    solvent: str | None = None,
) -> CollectiveTransport:
    """Onsager coefficients by Einstein's relation, and what follows from them.

    L_ij = 1 / (6 V kT) d/dt <dR_i . dR_j>, with R_i the sum of the positions of species
    i in the chosen frame; origins overlap inside a block and displacements end in it.

    Parameters
    ----------
    paths
        Each replica, with its box: *all* particles, solvent included; ions are centres of
        mass of their molecules.
    charge_number
        Charge of one particle of each species, in elementary charges; 0 when not named.
    temperature
        K.
    block
        Unit of the bootstrap, s: several times as long as motion remembers, so that
        blocks are independent.
    replicates, seed
        Of the bootstrap, at least 50.
    lags
        Shortest and longest lag of the fit, s; 0.2 and 0.6 of a block when ``None``.
    frame
        ``barycentric`` (theory of mixtures), ``solvent`` (Hittorf's transference number)
        or ``lab`` (positions as they are).
    solvent
        Species at rest in the solvent frame.

    Raises
    ------
    InputError
        When the ions are not neutral or carry no charge, a box is missing, lags do not
        fit the blocks, blocks are too few, particles do not move, or the conductivity
        comes out negative.

    References
    ----------
    Fong, Self, McCloskey & Persson, Macromolecules 54, 2575 (2021),
    doi:10.1021/acs.macromol.0c02545.
    """
    paths = alike(paths)
    names = paths[0].names
    z = charges_of(paths[0], charge_number)
    window = fit_window(paths[0].spacing, block, lags)
    sums = [displacement_sums(p, window, frame, solvent) for p in paths]
    weights, n_units = _weights([len(own) for _, own in sums], replicates, seed)
    scale = 6 * energy_volume(paths, temperature)
    together, own = (np.concatenate(part) for part in zip(*sums, strict=True))
    collective = np.einsum("ru,ulij->rlij", weights, together)
    single = np.einsum("ru,uls->rls", weights, own)
    dipole = np.einsum("i,rlij,j->rl", z, collective, z)
    # Neutral particles may rest: a wall, or one polymer that is the solvent.
    if not (single[..., z != 0] > 0).all() or not (dipole > 0).all():
        raise InputError("ions that do not move", wanted="displacements that grow")
    found = CollectiveTransport(
        species=names,
        charge_number=z,
        frame=frame,
        L=window.slope(collective) / scale,
        L_self=window.slope(single) / scale,
        D=window.slope(single) / (6 * paths[0].members().sum(axis=0)),
        exponent=window.exponent(np.concatenate([single, dipole[..., None]], axis=2)),
        lags=window.lags,
        n_units=n_units,
    )
    refuse_noise(found.conductivity, n_units)
    return found


def charges_of(paths: Paths, charge_number: Mapping[str, float]) -> np.ndarray:
    """Charge number of each species, shape (S,).

    Raises
    ------
    InputError
        When a species is unknown, nothing is charged, or the box is not neutral.
    """
    unknown = sorted(set(charge_number) - set(paths.names))
    if unknown:
        raise InputError(
            "charges of unknown species",
            wanted=", ".join(paths.names),
            got=", ".join(unknown),
        )
    z = np.array([float(charge_number.get(name, 0.0)) for name in paths.names])
    number = paths.members().sum(axis=0)
    if not np.isfinite(z).all():
        raise InputError("charges of species", wanted="finite numbers", got=str(z))
    if not z.any():
        raise InputError(
            "no charged species",
            wanted="two or more with a charge",
            got="all are zero",
            mend="bulk_diffusion takes neutral particles",
        )
    if abs(z @ number) > NEUTRAL * (np.abs(z) @ number):
        raise InputError(
            "ions that are not neutral together",
            wanted="total charge zero: else the current depends on the frame",
            got=f"{z @ number:+g} e",
            mend="give all ions of the box, each with the charge of its molecule",
        )
    return z


def energy_volume(paths: Sequence[Paths], temperature: float) -> float:
    """KT V, J m3, with the mean volume: replicas differ by fluctuations at most.

    Raises
    ------
    InputError
        When the temperature is not positive or a box is missing.
    """
    if not temperature > 0:
        raise InputError("temperature", wanted="above 0 K", got=f"{temperature:g} K")
    return thermal_energy(temperature) * float(np.mean([p.volume() for p in paths]))


def refuse_noise(conductivity: np.ndarray, n_units: int) -> None:
    """Refuse a conductivity at or below zero: there is nothing to divide by."""
    if not conductivity[0] > 0:
        half = half_width95(conductivity, n_units)
        raise InputError(
            "conductivity lost in noise",
            wanted="above zero",
            got=f"{conductivity[0]:.3g} +- {half:.2g} S/m from {n_units} blocks",
            mend="longer runs, more replicas, or shorter lags if still diffusive",
        )


def in_frame(values: np.ndarray, paths: Paths, frame: str, solvent: str | None):
    """Positions or velocities (F, N, 3) less those of the frame of reference.

    Raises
    ------
    InputError
        When the frame or the solvent is unknown.
    """
    if frame not in FRAMES or (frame == "solvent" and solvent not in paths.names):
        raise InputError(
            "frame of reference",
            wanted="lab, barycentric, or solvent with solvent= one of "
            + ", ".join(paths.names),
            got=f"{frame}, solvent={solvent}",
        )
    if frame == "lab":
        return values
    mass = paths.mass * (paths.species == solvent if frame == "solvent" else 1.0)
    return values - np.einsum("fax,a->fx", values, mass / mass.sum())[:, None]


def displacement_sums(paths: Paths, window: Window, frame: str, solvent: str | None):
    """Per block: <dR_i . dR_j> (U, L, S, S) and sum over particles of dr2 (U, L, S)."""
    x = in_frame(paths.positions, paths, frame, solvent)
    members = paths.members()
    blocks = blocks_of(len(x), window.size, window.spacing)
    n_species = members.shape[1]
    together = np.zeros((len(blocks), len(window.steps), n_species, n_species))
    own = np.zeros(together.shape[:3])
    for b, block in enumerate(blocks):
        here = x[block]
        R = np.einsum("fax,as->fsx", here, members)
        for k, lag in enumerate(window.steps):
            own[b, k] = ((here[lag:] - here[:-lag]) ** 2).sum(-1).mean(axis=0) @ members
            dR = R[lag:] - R[:-lag]
            together[b, k] = np.einsum("fix,fjx->ij", dR, dR) / len(dR)
    return together, own


def _weights(units: list[int], replicates: int, seed: int) -> tuple[np.ndarray, int]:
    """Bootstrap weights that add up to one, and the number of units."""
    n_units = sum(units)
    enough(n_units, replicates)
    return bootstrap_weights(n_units, replicates, seed) / n_units, n_units


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Ratio with replicates to first order around the point estimate.

    Replicates of a noisy denominator come near zero, where the plain ratio explodes.
    """
    value = above[:1] / below[:1]
    return value + (above - value * below) / below[:1]
