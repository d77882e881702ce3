"""Near pairs and pair terms beside sums over all pairs and images."""

import itertools

import numpy as np
import pytest
import torch

from mesobridge.coarse import neighbours
from mesobridge.coarse.bases import CELLS, Spline
from mesobridge.coarse.neighbours import near_pairs
from mesobridge.coarse.pairs import Pairs, pair_names
from mesobridge.core.errors import InputError

BOXES = {
    "cube": np.eye(3) * 2.0,
    "slab": np.diag([1.5, 2.5, 4.0]),
    "triclinic": np.array([[2.0, 0, 0], [0.7, 1.9, 0], [-0.5, 0.8, 2.1]]),
    "turned": np.array([[1.2, 1.3, 0.4], [-1.5, 1.2, 0.3], [0.1, -0.6, 2.0]]),
    "open": None,
}
CUTOFF = 0.7


def scattered(n, seed=0, box=None):
    """Beads within and beyond the box."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.6, 1.7, (n, 3)) @ (np.eye(3) * 2 if box is None else box)


def all_pairs(x, box, cutoff):
    """{(i, j): way}, from all images within two boxes."""
    cells = itertools.product(range(-2, 3), repeat=3) if box is not None else [(0, 0, 0)]
    shifts = np.array(list(cells)) @ (np.zeros((3, 3)) if box is None else box)
    if box is not None:
        x = x - np.floor(x @ np.linalg.inv(box)) @ box
    found = {}
    for i, j in itertools.combinations(range(len(x)), 2):
        ways = x[j] - x[i] + shifts
        best = ways[np.argmin((ways**2).sum(1))]
        if (best**2).sum() < cutoff**2:
            found[i, j] = best
    return found


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize("name", BOXES)
def test_near_pairs_are_all_pairs_and_each_once(name, few, monkeypatch):
    """By comparing all beads, in several blocks, and by cells."""
    monkeypatch.setattr(neighbours, "FEW", few)
    box = BOXES[name]
    x = scattered(150, box=box)
    wanted = all_pairs(x, box, CUTOFF)
    found = near_pairs(x, box, CUTOFF)
    found = found.take(found.r < CUTOFF)
    pairs = [tuple(sorted(p)) for p in zip(found.i, found.j, strict=True)]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == set(wanted)
    sign = np.where(found.i < found.j, 1, -1)
    assert np.abs(found.way.T * sign[:, None] - [wanted[p] for p in pairs]).max() < 1e-12
    assert np.abs(np.linalg.norm(found.way, axis=0) - found.r).max() < 1e-12


def test_no_pairs_and_one_bead():
    far = near_pairs(np.array([[0.0, 0, 0], [1.0, 1, 1]]), BOXES["cube"], 0.5)
    assert (far.r < 0.5).sum() == 0
    assert len(near_pairs(np.zeros((1, 3)), None, 0.5).i) == 0


def test_what_cannot_be_searched_is_refused():
    x = scattered(5)
    with pytest.raises(InputError, match="half the smallest height"):
        near_pairs(x, BOXES["turned"], 1.0)
    x[2, 1] = np.nan
    with pytest.raises(InputError, match="finite"):
        near_pairs(x, BOXES["cube"], 0.5)
    with pytest.raises(InputError, match="ends"):
        Pairs(("A",), Spline(0.1, 0.7, 9, "periodic"))


SPECIES = tuple("ABCAABCBACBA" * 2)
TERMS = {
    "zero": Pairs(SPECIES, Spline(0.2, CUTOFF, 9, "zero")),
    "free": Pairs(SPECIES, Spline(0.0, CUTOFF, 6)),
    "one": Pairs(("A",) * len(SPECIES), Spline(0.1, CUTOFF, 8, "zero")),
    "excluded": Pairs(SPECIES, Spline(0.2, CUTOFF, 9, "zero"),
                      excluded=((0, 1), (5, 2), (7, 8), (20, 3))),
}  # fmt: skip


def naive(term, x, box):
    """Sums of functions (size,), and forces (B, 3, size), pair by pair."""
    energy, force = np.zeros(term.size), np.zeros((len(x), 3, term.size))
    excluded = {tuple(sorted(p)) for p in term.excluded}
    m = term.basis.size
    for (i, j), way in all_pairs(x, box, term.basis.stop).items():
        if (i, j) in excluded:
            continue
        names = f"{term.species[i]}-{term.species[j]}"
        if names not in term.pairs:
            names = f"{term.species[j]}-{term.species[i]}"
        own = slice(term.pairs.index(names) * m, (term.pairs.index(names) + 1) * m)
        r = np.linalg.norm(way)
        value, slope = (
            p.numpy()[0] for p in term.basis.dense(torch.tensor([r]).double())
        )
        energy[own] += value
        force[i, :, own] += way[:, None] / r * slope
        force[j, :, own] -= way[:, None] / r * slope
    return energy, force


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("kind", TERMS)
def test_energies_and_forces_are_sums_over_pairs(kind, name):
    term, box = TERMS[kind], BOXES[name]
    # Close enough to meet, some of them below the start of the basis.
    x = np.stack([0.45 * scattered(len(SPECIES), seed) for seed in (1, 2)])
    boxes = None if box is None else torch.from_numpy(np.stack([box] * 2))
    energies = term.energies(torch.from_numpy(x), boxes).numpy()
    forces = term.forces(torch.from_numpy(x), boxes).numpy()
    for f in range(2):
        energy, force = naive(term, x[f], box)
        assert energies[f] == pytest.approx(energy, abs=1e-11)
        assert np.abs(forces[f] - force).max() < 1e-10 * np.abs(force).max()


def test_forces_are_derivatives_of_energies():
    term, h = TERMS["excluded"], 1e-6
    box = torch.from_numpy(BOXES["triclinic"])[None]
    x = torch.from_numpy(0.45 * scattered(len(SPECIES), 3))[None]
    forces = term.forces(x, box)
    for bead, axis in itertools.product((0, 5, 20), range(3)):
        plus, minus = x.clone(), x.clone()
        plus[0, bead, axis] += h
        minus[0, bead, axis] -= h
        slope = (term.energies(plus, box) - term.energies(minus, box))[0] / (2 * h)
        assert (slope + forces[0, bead, axis]).abs().max() < 1e-6 * forces.abs().max()


def test_symmetries():
    """Forces add up to zero, turn with the beads, and go with their numbers."""
    term = TERMS["zero"]
    x = torch.from_numpy(0.45 * scattered(len(SPECIES), 4))[None]
    force = term.forces(x)
    assert force.sum(1).abs().max() < 1e-10
    turn = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0])
    turned = term.forces(x @ turn.T + 0.3)
    assert (turned - torch.einsum("ab,fnbk->fnak", turn, force)).abs().max() < 1e-8
    order = np.random.default_rng(1).permutation(len(SPECIES))
    # Species that come first keep the order of the pairs.
    order = np.concatenate([[0, 1, 2], order[order > 2]])
    mixed = Pairs(tuple(SPECIES[k] for k in order), term.basis)
    assert (mixed.forces(x[:, order]) - force[:, order]).abs().max() < 1e-10


def test_visits_count_pairs():
    term, box = TERMS["zero"], BOXES["cube"]
    x = 0.45 * scattered(len(SPECIES), 5)
    _, seen = term.design(torch.from_numpy(x)[None], torch.from_numpy(box)[None])
    near = near_pairs(x, box, CUTOFF)
    assert seen.shape == (len(pair_names(SPECIES)), CELLS)
    assert seen.sum() == ((near.r >= 0.2) & (near.r < CUTOFF)).sum()
    counts = np.zeros_like(seen)
    counts[:, 40:] = 5
    width = (CUTOFF - 0.2) / CELLS
    assert term.innermost(counts) == pytest.approx(0.2 + 42 * width)
    counts[2] = 0
    with pytest.raises(InputError, match="A-C"):
        term.innermost(counts)


def test_single_precision_stays_single():
    term = Pairs(("A", "B") * 3, Spline(0.0, 0.7, 7, "zero"))
    x = torch.from_numpy(scattered(12, box=BOXES["cube"]).reshape(2, 6, 3)).float()
    box = torch.from_numpy(BOXES["cube"]).expand(2, 3, 3)
    for single, double in (
        (term.energies(x, box), term.energies(x.double(), box)),
        (term.forces(x, box), term.forces(x.double(), box)),
    ):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)
