"""A cell with tabulated profiles, for tests whose workers must be able to make it."""

import numpy as np

from mesobridge.continuum.cell import Cell, Fixed, Ion, Reservoir
from mesobridge.continuum.domain import interval
from mesobridge.core.schema import dataset

KT = 1.380649e-23 * 298.15
DISTANCE = np.linspace(0, 3e-9, 31)
FADE = np.exp(-((DISTANCE / 0.8e-9) ** 2))


def profiles(mu_ex, d_ratio, bulk=(2e-9, 2e-9), distance=DISTANCE, **attrs):
    """``transport-coefficients/1`` of Na and Cl.

    `mu_ex` (kT) and `d_ratio` have shape (n_replicates, 2, n_distances).
    """
    n, bulk = len(mu_ex), np.array(bulk)
    values = {
        "distance": distance,
        "species": ["Na", "Cl"],
        "charge_number": [1.0, -1.0],
        "D_par": bulk[:, None] * np.sqrt(d_ratio),
        "D_perp": bulk[:, None] * np.array(d_ratio),
        "mu_ex": np.array(mu_ex) * KT,
        "relative_permittivity": np.full(len(distance), 78.49),
        "bulk_density": np.full((n, 2), 6e25),
        "bulk_D": np.tile(bulk, (n, 1)),
        "reaction_plane": [1e-10, 1e-10],
        "valid_from": [0.0, 0.0],
    }
    given = {
        "temperature": 298.15,
        "surface_charge": 0.0,
        "taper_start": distance[-1] / 2,
        "bulk_plane": distance[-1],
        "n_units": 10,
    }
    return dataset("transport-coefficients/1", values, given | attrs)


def sampled(n_replicates=8):
    """Profiles with a barrier and noise that fades into bulk."""
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(2, n_replicates + 1, 2, 1)) * FADE
    noise[:, 0] = 0.0
    mu_ex = np.array([[2.0], [1.0]]) * FADE + 0.3 * noise[0]
    return profiles(mu_ex, (1 - 0.6 * FADE) * np.exp(0.1 * noise[1]))


def make_cell(coefficients=None):
    """A film between two compositions, at 50 mV."""
    ions = [Ion("Na", 1, "2e-9 m**2/s", 100.0), Ion("Cl", -1, "2e-9 m**2/s", 100.0)]
    borders = {"wall": Fixed({"Na": 30.0, "Cl": 50.0}, "50 mV"), "bulk": Reservoir()}
    domain = interval(np.linspace(0, 6, 61), names=("wall", "bulk"))
    table = sampled() if coefficients is None else coefficients
    return Cell(domain, ions, borders, coefficients=table, walls=["wall"])
