"""Self-diffusion and conductivity from velocities: Green-Kubo integrals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import cumulative_trapezoid

from ...core.errors import InputError
from ...core.stats import bootstrap_weights, half_width95
from ...core.units import ELEMENTARY_CHARGE
from .collective import charges_of, energy_volume, in_frame, refuse_noise
from .lags import blocks_of, enough
from .paths import Paths, alike
from .settings import whole_steps

#: Below this share of the autocorrelation left after one frame, frames are too far apart.
RESOLVED = 0.5
#: Growth of the integral over the second half of its range that still is a plateau.
PLATEAU = 0.05


@dataclass(frozen=True)
class GreenKubo:
    """Integrals of velocity and current autocorrelation up to each time.

    Attributes
    ----------
    species
        Names.
    times
        Shape (K,), s, upper limits from 0 to the cutoff.
    running_D
        Shape (R + 1, K, S), m2/s.
    running_conductivity
        Shape (R + 1, K), S/m.
    resolved
        Shape (S + 1,): whether the autocorrelation of each species and, last, of the
        current keeps half of its start after one frame; else the integral is coarse.
    n_units
        Blocks that were resampled.
    """

    species: list[str]
    times: np.ndarray
    running_D: np.ndarray
    running_conductivity: np.ndarray
    resolved: np.ndarray
    n_units: int

    @property
    def D(self) -> np.ndarray:
        """Self-diffusion at the cutoff, m2/s, shape (R + 1, S)."""
        return self.running_D[:, -1]

    @property
    def conductivity(self) -> np.ndarray:
        """Conductivity at the cutoff, S/m, shape (R + 1,)."""
        return self.running_conductivity[:, -1]

    @property
    def flags(self) -> dict[str, str]:
        """``good``, ``coarse`` (frames too far apart) or ``no_plateau``.

        There is no plateau when the integral changes from half the cutoff to the cutoff
        by more than 5 % and by more than its 95 % half width.
        """
        running = np.concatenate(
            [self.running_D, self.running_conductivity[:, :, None]], axis=2
        )
        change = running[:, -1] - running[:, len(self.times) // 2]
        margin = half_width95(change, self.n_units)
        margin = np.maximum(margin, PLATEAU * np.abs(running[0, -1]))
        flags = np.where(np.abs(change[0]) > margin, "no_plateau", "good")
        flags = np.where(self.resolved, flags, "coarse")
        return dict(zip([*self.species, "current"], flags.tolist(), strict=True))


def green_kubo(
    paths: Sequence[Paths],
    *,
    charge_number: Mapping[str, float],
    temperature: float,
    block: float,
    replicates: int,
    seed: int,
    cutoff: float | None = None,
) -> GreenKubo:
    """Time integrals of autocorrelations, in the barycentric frame.

    D_i = 1/3 int <v(0) . v(t)> dt and sigma = 1 / (3 V kT) int <J(0) . J(t)> dt with
    J = sum_i q_i v_i (Kubo 1957, doi:10.1143/JPSJ.12.570), by the trapezoidal rule;
    origins overlap inside a block.

    Parameters
    ----------
    paths
        Each replica with its box and velocities, frames closer than velocities decay.
    charge_number, temperature
        As in `collective_transport`.
    block
        Unit of the bootstrap, s.
    replicates, seed
        Of the bootstrap, at least 50.
    cutoff
        Upper limit of the integrals, s; a fifth of a block when ``None``. Beyond the
        decay it adds noise only: look at the running integrals.

    Raises
    ------
    InputError
        When velocities or the box are missing, the cutoff does not fit the block, blocks
        are too few, or the ions are not neutral.
    """
    paths = alike(paths)
    spacing = paths[0].spacing
    z = charges_of(paths[0], charge_number)
    size = whole_steps(block, spacing, "a block")
    n_lags = size // 5 if cutoff is None else whole_steps(cutoff, spacing, "the cutoff")
    if not 2 <= n_lags < size:
        raise InputError(
            "cutoff of the Green-Kubo integrals",
            wanted=f"two frames or more ({2 * spacing:g} s), below a block ({block:g} s)",
            got=f"{n_lags * spacing:g} s",
        )
    per_block = np.concatenate([_correlations(p, z, size, n_lags) for p in paths])
    enough(len(per_block), replicates)
    weights = bootstrap_weights(len(per_block), replicates, seed) / len(per_block)
    mean = np.einsum("ru,uks->rks", weights, per_block)
    if not (mean[0, 0] > 0).all():
        raise InputError("velocities that are all zero", wanted="particles that move")
    running = cumulative_trapezoid(mean, dx=spacing, axis=1, initial=0) / 3
    current = running[..., -1] * ELEMENTARY_CHARGE**2
    found = GreenKubo(
        species=paths[0].names,
        times=np.arange(n_lags + 1) * spacing,
        running_D=running[..., :-1],
        running_conductivity=current / energy_volume(paths, temperature),
        resolved=mean[0, 1] > RESOLVED * mean[0, 0],
        n_units=len(per_block),
    )
    refuse_noise(found.conductivity, found.n_units)
    return found


def _correlations(paths: Paths, z: np.ndarray, size: int, n_lags: int) -> np.ndarray:
    """Per block: <v.v> of each species and <J.J> / e2, shape (U, n_lags + 1, S + 1)."""
    if paths.velocities is None:
        raise InputError(
            "Green-Kubo integrals without velocities",
            wanted="Paths(..., velocities=) in m/s",
            mend="save velocities, or use collective_transport",
        )
    v = in_frame(paths.velocities, paths, "barycentric", None)
    members = paths.members()
    J = np.einsum("fax,a->fx", v, members @ z)
    out = []
    for block in blocks_of(len(v), size, paths.spacing):
        own = _power(v[block]).sum(-1) @ (members / members.sum(axis=0))
        both = np.concatenate([own, _power(J[block]).sum(-1)[:, None]], axis=1)
        origins = size + 1 - np.arange(n_lags + 1)
        out.append(np.fft.irfft(both, axis=0)[: n_lags + 1] / origins[:, None])
    return np.array(out)


def _power(x: np.ndarray) -> np.ndarray:
    """Power spectrum along frames, padded so that ends do not meet."""
    return np.abs(np.fft.rfft(x, 2 * len(x), axis=0)) ** 2
