"""Radial and bonded distributions beside another code, ideal gases and quadrature."""

import math

import numpy as np
import pytest
import torch
from MDAnalysis.lib.distances import self_capped_distance

from mesobridge.coarse.bases import Spline
from mesobridge.coarse.distributions import bonded_distribution, radial_distributions
from mesobridge.coarse.pairs import Pairs
from mesobridge.coarse.terms import Bonded
from mesobridge.core.errors import InputError

SPECIES = ("A",) * 30 + ("B",) * 20
SPLINE = Spline(0.0, 0.5, 5, "zero")
PAIRS = Pairs(SPECIES, SPLINE)


def gas(frames=40, seed=0, edge=2.0):
    """Beads anywhere, in boxes that change."""
    rng = np.random.default_rng(seed)
    box = np.eye(3) * (edge + 0.1 * rng.random((frames, 1, 1)))
    return np.einsum("fbi,fij->fbj", rng.random((frames, 50, 3)), box), box


def test_counts_are_those_of_another_code():
    x, box = gas(6)
    pairs = Pairs(SPECIES, SPLINE, ((0, 1), (3, 40)))
    found = radial_distributions(pairs, x, box, reach=0.9, bins=30, block=3)
    assert [one.name for one in found] == ["pairs A-A", "pairs A-B", "pairs B-B"]
    kind = np.array([s == "B" for s in SPECIES], dtype=int)
    counts = np.zeros((3, 30))
    for frame, cell in zip(x, box, strict=True):
        edges = [*cell.diagonal(), 90, 90, 90]
        near, r = self_capped_distance(frame.astype(np.float32), 1.0, box=edges)
        keep = ~np.isin(near[:, 0] * 50 + near[:, 1], (1, 3 * 50 + 40))
        for p in range(3):
            of = keep & (kind[near].sum(1) == p)
            counts[p] += np.histogram(r[of], found[0].edges)[0]
    for one, wanted in zip(found, counts, strict=True):
        # Single precision may move one over an edge.
        assert np.abs(one.counts.sum(0) - wanted).max() <= 1


def test_an_ideal_gas_has_no_structure():
    """Of all species, up to half the box; within what counts allow."""
    found = radial_distributions(PAIRS, *gas(400), reach=0.99, bins=20, block=100)
    for one in found:
        error = 1 / np.sqrt(one.expected.sum(0))
        assert (np.abs(one.values() - 1)[3:] < 5 * error[3:]).all()
        whole = one.counts.sum() / one.expected.sum()
        assert abs(whole - 1) < 4 / math.sqrt(one.expected.sum())
        assert one.values(np.array([1.0, 0, 0, 0])) == pytest.approx(
            one.counts[0] / one.expected[0]
        )


def test_bonds_and_angles_are_histograms_over_their_mean():
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(size=(500, 4, 3)), 1)
    bond = Bonded("bond", "distance", ((0, 1), (1, 2)), Spline(0.0, 2.5, 8))
    found = bonded_distribution(bond, x, bins=40, block=100)
    r = np.linalg.norm(np.diff(x, axis=1), axis=-1)[:, :2]
    assert found.counts.shape == (5, 40)
    np.testing.assert_array_equal(found.counts[2],
                                  np.histogram(r[200:300], found.edges)[0])  # fmt: skip
    assert found.values().mean() == pytest.approx((r < 2.5).mean())
    assert (r < 2.5).mean() < 0.95
    turns = [Bonded("turn", "dihedral", ((0, 1, 2, 3),),
                    Spline(low, low + math.tau, 8, "periodic"))
             for low in (-math.pi, 0.0)]  # fmt: skip
    one, two = (bonded_distribution(t, x, bins=36, block=250).counts for t in turns)
    np.testing.assert_array_equal(np.roll(one, 18, axis=1), two)


def test_what_cannot_be_counted_is_refused():
    x, box = gas(10)
    with pytest.raises(InputError, match="two blocks"):
        radial_distributions(PAIRS, x, box, reach=0.9, block=6)
    with pytest.raises(InputError, match="half the smallest height"):
        radial_distributions(PAIRS, x, box, reach=1.2, block=5)
    with pytest.raises(InputError, match="B-B"):
        radial_distributions(Pairs(("A", "A", "B"), SPLINE), x[:, :3], box, reach=0.9,
                             block=5)  # fmt: skip
    far = Bonded("far", "distance", ((0, 1),), Spline(8.0, 9.0, 4))
    with pytest.raises(InputError, match="values of far"):
        bonded_distribution(far, torch.rand(10, 2, 3).double().numpy(), block=5)
