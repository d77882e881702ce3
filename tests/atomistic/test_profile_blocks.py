"""Units of the bootstrap: known memories, clones, additive sums."""

import numpy as np
import pytest

from mesobridge.atomistic.profiles.blocks import blocking, choose_units, coupling
from mesobridge.core.errors import InputError


def remembering(phi, frames, cells, seed, mean=10.0):
    """First-order autoregressive series round a mean, shape (frames, cells)."""
    rng = np.random.default_rng(seed)
    x = np.empty((frames, cells))
    x[0] = rng.standard_normal(cells)
    for k in range(1, frames):
        x[k] = phi * x[k - 1] + np.sqrt(1 - phi**2) * rng.standard_normal(cells)
    return mean + x


def labels(replicas, blocks, groups):
    """Replica, block and group of base units in order."""
    grid = np.meshgrid(
        np.arange(replicas), np.arange(blocks), np.arange(groups), indexing="ij"
    )
    return [a.ravel() for a in grid]


def test_inefficiency_of_a_known_memory():
    """First-order memory phi: g = (1 + phi) / (1 - phi), Flyvbjerg & Petersen 1989."""
    for phi in (0.0, 0.5, 0.9):
        curve = blocking([remembering(phi, 8192, 20, s) for s in (1, 2)])
        long = np.flatnonzero(curve.length * (1 - phi) >= 20)[0]
        g = (1 + phi) / (1 - phi)
        assert curve.inefficiency[0] == pytest.approx(1)
        assert curve.correlation[0] == pytest.approx(phi, abs=0.03)
        assert curve.inefficiency[long] == pytest.approx(g, rel=0.15)
        assert abs(curve.correlation[long]) < 0.1


def test_length_follows_the_memory():
    for phi, low, high in ((0.0, 1, 1), (0.8, 8, 64), (0.95, 32, 256)):
        series = [remembering(phi, 2048, 20, s) for s in (3, 4)]
        units = choose_units(np.concatenate(series), *labels(2, 2048, 1))
        assert units.plateau
        assert low <= units.length <= high
        assert units.groups == 1
        assert units.n == 2 * (2048 // units.length)
        assert units.coupling == ()
        assert units.lacking == 1


def test_blocks_have_a_shortest_length():
    series = remembering(0.0, 512, 20, 1)
    units = choose_units(series, *labels(1, 512, 1), shortest=10)
    assert units.length == 16


def grouped(blocks, groups, cells, phi, seed, clones=1):
    """Independent groups with a memory, each present `clones` times."""
    parts = [remembering(phi, blocks, cells, seed + k) for k in range(groups // clones)]
    table = np.stack(parts * clones, axis=1)
    return table.reshape(blocks * groups, cells)


def test_short_runs_resample_particles():
    """A memory as long as the run leaves no independent blocks in time."""
    counts = grouped(32, 24, 10, 0.99, 5)
    units = choose_units(counts, *labels(1, 32, 24))
    assert not units.plateau
    assert (units.groups, units.n) == (24, 24)
    assert (units.index == np.tile(np.arange(24), 32)).all()
    assert units.lacking < 1.25


def test_few_blocks_give_way_to_groups():
    units = choose_units(grouped(8, 12, 10, 0.0, 6), *labels(1, 8, 12), shortest=2)
    assert units.plateau
    assert (units.groups, units.n) == (12, 12)


def test_replicas_have_groups_of_their_own():
    counts = np.concatenate([grouped(8, 12, 10, 0.99, s) for s in (5, 55)])
    units = choose_units(counts, *labels(2, 8, 12))
    assert (units.groups, units.n) == (12, 24)
    assert np.bincount(units.index).tolist() == [8] * 24


def test_charges_that_screen_each_other_are_no_groups():
    """Densities of independent particles whose charge is always balanced."""
    counts, rng = grouped(32, 24, 10, 0.99, 5), np.random.default_rng(3)
    charge = rng.normal(size=(32, 24, 10))
    balanced = charge - charge.mean(axis=1, keepdims=True)
    for q, groups in ((charge, 24), (balanced, 1)):
        units = choose_units(counts, *labels(1, 32, 24), charge=q.reshape(counts.shape))
        assert units.groups == groups
    assert (units.n, units.length) == (8, 4)
    assert "times too small" in units.report()
    assert units.lacking > 1.25


def test_coupling_tells_who_moves_together():
    """Variance of sums: one for independent groups, c for c clones of each."""
    for clones in (1, 2, 4):
        counts = grouped(400, 24, 10, 0.5, 7, clones)
        assert coupling(counts, *labels(1, 400, 24)) == pytest.approx(clones, rel=0.1)
    rng = np.random.default_rng(8)
    total = np.full((400, 10), 240)  # a dense liquid: the sum never changes
    parts = rng.multinomial(total[:, 0], np.full(24, 1 / 24), size=(10, 400))
    counts = np.moveaxis(parts, 0, -1).reshape(-1, 10).astype(float)
    assert coupling(counts, *labels(1, 400, 24)) < 0.01


def test_groups_of_clones_are_reported():
    """Where only groups are left and they move together, the units say so."""
    counts = grouped(8, 24, 10, 0.99, 5, clones=4)
    units = choose_units(counts, *labels(1, 8, 24))
    assert not units.plateau
    assert units.groups == 24
    assert units.lacking == pytest.approx(2, rel=0.1)
    assert "coupled by 3.8" in units.report()


def test_correlated_blocks_are_better_than_clones():
    """Neighbours correlated by 0.5 lack a factor of 3, groups of 8 clones one of 8."""
    counts = grouped(16, 24, 10, 0.95, 5, clones=8)
    units = choose_units(counts, *labels(1, 16, 24))
    assert not units.plateau
    assert (units.n, units.groups) == (8, 1)


def test_units_are_of_equal_size():
    units = choose_units(remembering(0.9, 100, 5, 9), *labels(1, 100, 1))
    size = np.bincount(units.index)
    assert len(size) == units.n
    assert size.max() - size.min() <= 1


def test_one_unit_is_refused():
    with pytest.raises(InputError, match="too short for errors"):
        choose_units(remembering(0.999, 1, 5, 1), *labels(1, 1, 1))
