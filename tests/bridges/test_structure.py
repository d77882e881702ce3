"""Radial distribution functions: ideal gas, lattice, and what peaks say."""

import numpy as np
import pytest

from mesobridge.bridges.structure import (
    RDF,
    first_peaks,
    peak_differences,
    rdf,
    rms_difference,
)
from mesobridge.core.errors import InputError
from mesobridge.core.schema import dataset
from mesobridge.core.units import DALTON, NM, PS

BOX = 2.0


def frames_of(positions, species):
    n = len(positions)
    return dataset(
        "frames/1",
        {
            "positions": positions * NM,
            "forces": np.zeros_like(positions),
            "box": np.tile(np.eye(3) * BOX * NM, (n, 1, 1)),
            "species": species,
            "mass": np.full(positions.shape[1], 29.0) * DALTON,
            "time": np.arange(n) * PS,
        },
        {"source": "synthetic"},
    )


def test_an_ideal_gas_is_one_everywhere():
    """Also for like pairs, whose count is N (N - 1)/2, and for unwrapped positions."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 5, (200, 60, 3))
    found = rdf([frames_of(x, ["Na"] * 30 + ["Cl"] * 30)], reach=NM, bins=20, block=25)
    assert found.pairs == ("Na-Na", "Na-Cl", "Cl-Cl")
    assert len(found.blocks) == 8
    far = found.r > 0.3 * NM
    assert found.mean[:, far].mean(axis=1) == pytest.approx(np.ones(3), abs=0.02)
    inside = np.abs(found.mean - 1)[:, far] <= found.error[:, far]
    assert inside.mean() > 0.85


def test_a_lattice_has_its_distances():
    side = 4
    grid = (np.indices((side,) * 3).reshape(3, -1).T + 0.5) * BOX / side
    even = np.indices((side,) * 3).reshape(3, -1).sum(0) % 2 == 0
    x = np.concatenate([grid[even], grid[~even]])
    rng = np.random.default_rng(1)
    frames = x + 0.02 * rng.standard_normal((40, *x.shape))
    found = rdf([frames_of(frames, ["Na"] * 32 + ["Cl"] * 32)], reach=NM, block=10)
    peaks = first_peaks(found)
    assert peaks["Na-Cl"][0] == pytest.approx(0.5 * NM, rel=0.01)
    assert peaks["Na-Na"][0] == pytest.approx(0.5 * np.sqrt(2) * NM, rel=0.01)


def synthetic(shift, height):
    r = (np.arange(100) + 0.5) * 0.01 * NM
    g = height * np.exp(-0.5 * ((r / NM - 0.27 * shift) / 0.03) ** 2)
    rng = np.random.default_rng(3)
    blocks = g + 0.01 * rng.standard_normal((8, 1, 100))
    return RDF(r, ("Na-Cl",), blocks)


def test_a_shift_of_a_peak_is_seen():
    moved, base = synthetic(1.02, 3.3), synthetic(1.0, 3.0)
    shift = peak_differences(moved, base)["Na-Cl"]
    assert shift["position"] == pytest.approx(0.02, abs=0.002)
    assert shift["height"] == pytest.approx(0.10, abs=0.01)
    assert rms_difference(base, base) == 0
    assert rms_difference(moved, base) > 0.05


def test_refusals():
    x = np.zeros((4, 4, 3)) + np.arange(4)[:, None] * 0.3
    ds = frames_of(x, ["Na", "Na", "Cl", "Cl"])
    with pytest.raises(InputError, match="half the box"):
        rdf([ds], reach=1.2 * NM, block=2)
    with pytest.raises(InputError, match="too few frames"):
        rdf([ds], reach=NM, block=4)
