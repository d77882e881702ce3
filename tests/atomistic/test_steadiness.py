"""Verdicts on the one pass: a half-frozen slab is told, a good run is not accused."""

import numpy as np
import pytest
from brownian import D0, EDGE, WIDTH, walk
from universes import universe

from mesobridge.atomistic.profiles import Planar, Resolution, View
from mesobridge.atomistic.profiles.interface import _summed
from mesobridge.atomistic.profiles.stationarity import (
    correlation_of,
    drift_of,
    steadiness,
)
from mesobridge.core.units import NM, PS

VIEW = View(1200.0, Planar("z", 5.0 * NM, (5.0 + WIDTH) * NM))
IONS = {"Na": "name Na", "Cl": "name Cl"}


def verdict(n, duration, seed, *, block=None, ratio=1.0):
    """Of independent ions that are slower along the left half of the slab."""
    x = walk(n, duration, seed, dt=0.02)["positions"].values / NM
    D = D0 * np.where(x[..., 2] < 5.0 + WIDTH / 2, ratio, 1.0)
    steps = np.random.default_rng(seed).standard_normal((*D.shape, 2))
    along = np.cumsum(np.sqrt(2 * D * 0.02)[..., None] * steps, axis=0)
    u = universe(np.concatenate([along, x[..., 2:]], axis=2), 0.02, (EDGE, EDGE, 13.0))
    how = Resolution(0.05 * NM, 0.2 * PS, block, 50)
    sums, plan, case, units = _summed(u, IONS, how, VIEW, None)
    return steadiness(sums, plan, case.names, 1 if units is None else units.groups)


@pytest.mark.parametrize("block", [None, 4 * PS])
def test_a_half_that_is_slower_is_told(block):
    """D_par of a molten salt across a half-frozen slab was 6.9 and 10.8e-9 m2/s."""
    found = verdict(128, 16.0, 3, block=block, ratio=6.9 / 10.8)
    assert not found["ok"]
    assert "mobility of Na" in found["verdict"]
    assert "mobility of Cl" in found["verdict"]


def test_few_ions_cannot_tell():
    """A frozen half of a slab of four ions is no more than noise."""
    found = verdict(4, 8.0, 1, block=2 * PS)
    assert found["checks"][-1]["ok"] is None
    assert "too short to judge" in found["verdict"]


def test_drift_and_correlation_of_known_blocks():
    """Independent blocks drift by one error; a step of their size is seen."""
    rng = np.random.default_rng(4)
    still = [rng.poisson(50.0, (16, 2, 10)).astype(float) for _ in range(40)]
    assert np.mean([drift_of([one]) for one in still]) == pytest.approx(1, abs=0.1)
    assert np.mean([correlation_of([one]) for one in still]) == pytest.approx(0, abs=0.02)
    moved = still[0] + 10.0 * (np.arange(16) >= 8)[:, None, None]
    assert drift_of([moved]) > 2
    assert correlation_of([moved]) > 0.25


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ions", "duration", "block"), [(96, 16.0, None), (32, 120.0, 30 * PS)]
)
def test_good_runs_are_seldom_accused(ions, duration, block):
    """Shorter than the memory, where groups are the units, and of long blocks."""
    found = [verdict(ions, duration, 5000 + s, block=block) for s in range(40)]
    assert sum(not one["ok"] for one in found) <= 4
