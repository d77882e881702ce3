"""Green-Kubo integrals of Ornstein-Uhlenbeck velocities, whose D is known."""

import dataclasses

import numpy as np
import pytest
from walkers import KT, TEMPERATURE, VOLUME, langevin

from mesobridge.atomistic.profiles import (
    bulk_diffusion,
    collective_transport,
    green_kubo,
)
from mesobridge.core.errors import InputError
from mesobridge.core.stats import half_width95, interval95
from mesobridge.core.units import DALTON, ELEMENTARY_CHARGE, PS

FRICTION = 5e12
D = KT / (29 * DALTON * FRICTION)
CHARGE = {"cation": 1.0, "anion": -1.0}
SIGMA = 16 * ELEMENTARY_CHARGE**2 * D / (VOLUME * KT)


def integrals(paths, **changes):
    how = {
        "charge_number": CHARGE, "temperature": TEMPERATURE, "block": 4 * PS,
        "replicates": 100, "seed": 1, "cutoff": 1.6 * PS,
    }  # fmt: skip
    return green_kubo(paths, **{**how, **changes})


@pytest.fixture(scope="module")
def melt():
    return [langevin(16, 6001, seed) for seed in (1, 2)]


def test_integral_of_the_exponential(melt):
    """D(t) = kT / (m g) (1 - e^(-g t)), less 1/N for the centre of mass."""
    found = integrals(melt)
    truth = D * 15 / 16 * (1 - np.exp(-FRICTION * found.times))
    half = half_width95(found.running_D, found.n_units)
    error = np.abs(found.running_D[0] - truth[:, None])
    assert (error <= 2.5 * half + 2e-3 * D).all()
    assert (half[-1] < 0.15 * D).all()
    assert found.resolved.all()


def test_green_kubo_equals_einstein(melt):
    """Two routes over the same paths: D and conductivity agree within their errors."""
    by_velocity = integrals(melt)
    how = {"block": 8 * PS, "replicates": 100, "seed": 2}
    by_path = bulk_diffusion(melt, **how)
    current = collective_transport(
        melt, charge_number=CHARGE, temperature=TEMPERATURE, **how
    )
    for one, other, truth in (
        (by_velocity.D[:, 0], by_path.D[:, 0], D * 15 / 16),
        (by_velocity.D[:, 1], current.D[:, 1], D * 15 / 16),
        (by_velocity.conductivity, current.conductivity, SIGMA),
    ):
        halves = half_width95(one, by_velocity.n_units), half_width95(other, 15)
        assert abs(one[0] - other[0]) < 1.5 * np.hypot(*halves)
        assert abs(one[0] - truth) < 2 * halves[0]
        assert halves[0] < 0.5 * truth


def test_coverage_of_green_kubo():
    """95 % intervals from ten blocks hold the truth, over 60 sets."""
    inside = []
    for seed in range(60):
        found = integrals([langevin(16, 2001, 100 + seed)], seed=seed)
        for replicates, truth in (
            (found.D[:, 0], D * 15 / 16),
            (found.conductivity, SIGMA),
        ):
            low, high = interval95(replicates, found.n_units)
            inside.append(low <= truth <= high)
    assert 0.86 <= np.mean(inside) <= 1.0


def test_frames_too_far_apart_and_integrals_cut_short_are_flagged(melt):
    def thinned(paths):
        return dataclasses.replace(
            paths,
            positions=paths.positions[::10],
            velocities=paths.velocities[::10],
            spacing=paths.spacing * 10,
        )

    coarse = integrals([thinned(p) for p in melt])
    assert set(coarse.flags.values()) == {"coarse"}
    short = integrals(melt, cutoff=0.1 * PS)
    assert short.flags["cation"] == short.flags["anion"] == "no_plateau"


def test_bad_green_kubo_input_is_refused_with_a_reason(melt):
    still = dataclasses.replace(melt[0], velocities=np.zeros_like(melt[0].velocities))
    for paths, changes, words in (
        ([dataclasses.replace(melt[0], velocities=None)], {}, "without velocities"),
        ([dataclasses.replace(melt[0], box=None)], {}, "without a box"),
        ([still], {}, "all zero"),
        (melt, {"cutoff": 4 * PS}, "cutoff"),
        (melt, {"block": 200 * PS}, "too short"),
        (melt[:1], {"block": 100 * PS}, "too few blocks"),
        (melt, {"replicates": 20}, "at least 50"),
        (melt, {"temperature": 0.0}, "temperature"),
        (melt, {"charge_number": {"cation": 1.0}}, "not neutral"),
    ):
        with pytest.raises(InputError, match=words):
            integrals(paths, **changes)
