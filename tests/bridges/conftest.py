"""A synthetic interface whose W, D and phi are known and obey Poisson's equation."""

from dataclasses import dataclass

import numpy as np
import pytest

from mesobridge.core.schema import dataset
from mesobridge.core.stats import bootstrap_weights
from mesobridge.core.units import (
    ELEMENTARY_CHARGE,
    NM,
    VACUUM_PERMITTIVITY,
    thermal_energy,
)

TEMPERATURE = 1200.0
WIDTH = 3.0  # nm, wall to wall
AREA = 4.1  # nm2
BULK = 15.0  # of each ion, nm-3
DIFFUSIVITY = {"Na": 9e-9, "Cl": 8e-9}
KT = thermal_energy(TEMPERATURE)


def layers(distance, plane, amplitude):
    """W / kT of a species: a steep wall, then layers that fade."""
    wall = np.exp(-(distance - plane + 0.11) / 0.025)
    shift = distance - plane
    return wall - amplitude * np.exp(-shift / 0.25) * np.cos(2 * np.pi * shift / 0.28)


@dataclass(frozen=True)
class Truth:
    """The melt between two walls, as functions of z (nm)."""

    charged: bool = False

    def work(self, species, z):
        # The right wall is its own wall when the walls are charged.
        planes = {"Na": (0.36, 0.36), "Cl": (0.42, 0.42)}[species]
        amplitude = {"Na": (0.9, 0.9), "Cl": (0.7, 0.7)}[species]
        if self.charged:
            planes = {"Na": (0.36, 0.45), "Cl": (0.46, 0.36)}[species]
        sides = (z, WIDTH - z)
        return sum(
            layers(d, p, a) for d, p, a in zip(sides, planes, amplitude, strict=True)
        )

    def D(self, species, z):
        d = np.minimum(z, WIDTH - z)
        return DIFFUSIVITY[species] * (1 - 0.6 * np.exp(-d / 0.25))


def make_profiles(truth, *, cell=0.025, samples=0, blocks=16, replicates=24, seed=1):
    """`interface-profiles/1`; `samples` counts per ion and block, 0 for no noise."""
    n = round(WIDTH / cell)
    face = np.linspace(0, WIDTH, n + 1)
    z = 0.5 * (face[1:] + face[:-1])
    species, charges = ["Na", "Cl"], np.array([1.0, -1.0])
    fine = face[:-1, None] + np.diff(face)[:, None] * (np.arange(20) + 0.5) / 20
    mean = np.array([BULK * np.exp(-truth.work(s, fine)).mean(axis=1) for s in species])
    density = _sampled(mean, samples, blocks, replicates, seed)
    charge = ELEMENTARY_CHARGE * np.einsum("s,rsz->rz", charges, density) / NM**3
    h = np.diff(face) * NM
    # Each wall holds the opposite of the ions on its half: no field in the middle.
    left = -float((charge[0] * h)[: n // 2].sum())
    right = -float((charge[0] * h).sum()) - left
    field = np.zeros((len(density), n + 1))
    field[:, 0] = left
    field[:, 1:] = left + np.cumsum(charge * h, axis=1)
    field /= VACUUM_PERMITTIVITY
    step = 0.5 * (field[:, 1:] + field[:, :-1]) * h
    phi = np.zeros_like(field)
    phi[:, 1:] = -np.cumsum(step, axis=1)
    phi += 0.7  # any zero: the bridge must not care
    visited = density > 0
    work = np.full(density.shape, 30.0)
    work[visited] = -np.log(density[visited] / density[..., n // 2].mean())
    D_face = np.array([truth.D(s, face) for s in species])
    D_cell = np.array([truth.D(s, z) for s in species])
    copies = (len(density), 1, 1)
    counts = mean * AREA * cell * max(samples, 1000) * blocks
    values = {
        "z": (z + 5.0) * NM,
        "z_face": (face + 5.0) * NM,
        "species": species,
        "charge_number": charges,
        "number_density": density / NM**3,
        "charge_density": charge,
        "electric_field": field,
        "potential": phi,
        "pmf": work * KT,
        "D_par": np.tile(D_cell, copies),
        "D_perp": np.tile(D_face, copies),
        "n_eff": counts,
        "quality_flag": np.where(visited[0], 0, 4),
    }
    attrs = {
        "temperature": TEMPERATURE,
        "area": AREA * NM**2,
        "surface_charge_left": left,
        "surface_charge_right": right,
        "phi_kind": "model_charge",
        "charge_model": "formal",
        "lag": 1e-12,
        "block_length": 2.5e-12,
        "seed": seed,
        "n_units": blocks,
    }
    return dataset("interface-profiles/1", values, attrs)


def _sampled(mean, samples, blocks, replicates, seed):
    if not samples:
        return np.repeat(mean[None], 3, axis=0)
    rng = np.random.default_rng(seed)
    weights = bootstrap_weights(blocks, replicates, seed + 1)
    density = np.empty((replicates + 1, *mean.shape))
    for s, row in enumerate(mean):
        # A fixed number of ions: every block is as neutral as the truth.
        n_ions = row.sum()
        drawn = rng.multinomial(int(samples * n_ions), row / n_ions, size=blocks)
        density[:, s] = weights @ drawn * n_ions / (blocks * int(samples * n_ions))
    return density


@pytest.fixture(scope="session")
def make():
    return make_profiles


@pytest.fixture(scope="session")
def truth():
    return Truth()


@pytest.fixture(scope="session")
def charged_truth():
    return Truth(charged=True)
