"""Force matching beside dense least squares, known potentials, other ways to pass."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch

from mesobridge.coarse import force_matching
from mesobridge.coarse.bases import CELLS, TURN, Spline, visited
from mesobridge.coarse.force_matching import match
from mesobridge.coarse.frames import ArrayFrames, TrajectoryFrames
from mesobridge.coarse.normal_equations import accumulate, joined, load_equations
from mesobridge.coarse.pairs import Pairs
from mesobridge.coarse.solving import STRENGTHS, fit, held_out, penalty, solve
from mesobridge.coarse.terms import Bonded, Torsions
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.stats import half_width95

CUTOFF = 0.8
LIQUID = (Pairs(("A",) * 12 + ("B",) * 12, Spline(0.2, CUTOFF, 8, "zero")),)
CHAIN = (
    Bonded("bond", "distance", ((0, 1), (1, 2), (2, 3), (3, 4)), Spline(0.1, 0.9, 6)),
    Bonded("angle", "angle", ((0, 1, 2), (1, 2, 3), (2, 3, 4)), Spline(0.0, 3.2, 6)),
    Bonded("turn", "dihedral", ((0, 1, 2, 3),), Spline(*TURN, 8, "periodic")),
    Torsions("map", (((0, 1, 2, 3), (1, 2, 3, 4)),), 2),
    Bonded("end", "distance", ((0, 4),), Spline(0.2, 1.5, 6, "zero")),
)
TERMS = {"liquid": LIQUID, "chain": CHAIN}
BOX = np.eye(3) * 1.7


def forces_of(terms, coefficients, x, box):
    """Forces of a model, (F, B, 3)."""
    boxes = None if box is None else torch.from_numpy(box)
    parts = [term.forces(torch.from_numpy(x), boxes) for term in terms]
    return (torch.cat(parts, -1) @ torch.from_numpy(coefficients)).numpy()


def beads(kind, frames, seed):
    """Random configurations of beads that do not overlap."""
    rng = np.random.default_rng(seed)
    if kind == "chain":
        steps = rng.normal(size=(frames, 5, 3))
        steps *= rng.uniform(0.3, 0.6, (frames, 5, 1)) / np.linalg.norm(
            steps, axis=-1, keepdims=True
        )
        return np.cumsum(steps, 1), None
    grid = (np.indices((3, 3, 3)).reshape(3, -1).T[:24] + 0.5) * BOX[0, 0] / 3
    x = np.array([rng.permutation(grid) for _ in range(frames)])
    return x + rng.uniform(-0.17, 0.17, x.shape), np.tile(BOX, (frames, 1, 1))


def data(kind, frames=60, seed=0, noise=3.0):
    """Frames with the forces of a known model and noise; its coefficients."""
    terms, rng = TERMS[kind], np.random.default_rng(seed + 100)
    truth = rng.normal(size=sum(term.size for term in terms))
    x, box = beads(kind, frames, seed)
    force = forces_of(terms, truth, x, box) + noise * rng.standard_normal(x.shape)
    return ArrayFrames(x, force, box), truth


def dense(terms, source):
    """Design matrix and forces of all frames."""
    box = None if source.box is None else torch.from_numpy(source.box)
    parts = [term.forces(torch.from_numpy(source.x), box) for term in terms]
    return torch.cat(parts, -1).flatten(0, 2).numpy(), source.force.ravel()


@pytest.mark.parametrize("kind", TERMS)
def test_solution_is_that_of_dense_least_squares(kind):
    """Of the chain with functions that cannot be told apart, such as constants."""
    terms, (source, _) = TERMS[kind], data(kind)
    equations = match(terms, [source], block=20)
    found = solve(equations, penalty(equations, terms), 0.0, np.ones((1, 3)))[0]
    design, force = dense(terms, source)
    wanted = np.linalg.lstsq(design, force, rcond=1e-9)[0]
    size = np.abs(design @ wanted).max()
    assert np.abs(design @ (found - wanted)).max() < 1e-8 * size
    if kind == "liquid":
        assert np.abs(found - wanted).max() < 1e-8 * np.abs(wanted).max()
    left = force - design @ wanted
    assert equations.mean_square(found) == pytest.approx(np.mean(left**2), rel=1e-9)


@pytest.mark.parametrize("kind", TERMS)
def test_a_known_model_comes_back(kind):
    terms, (source, truth) = TERMS[kind], data(kind, frames=200, noise=0.0)
    matched = fit(match(terms, [source], block=10), terms, 2, 0, strength=0.0)
    new, box = beads(kind, 20, 77)
    wanted = forces_of(terms, truth, new, box)
    found = forces_of(terms, matched.coefficients[0], new, box)
    assert np.abs(found - wanted).max() < 1e-6 * np.abs(wanted).max()
    assert matched.explained == pytest.approx(1, abs=1e-9)


def same(a, b):
    for name in ("gram", "moment", "square", "rows"):
        one, two = getattr(a, name).sum(0), getattr(b, name).sum(0)
        assert np.abs(one - two).max() <= 1e-10 * np.abs(one).max()
    assert a.seen.keys() == b.seen.keys()
    assert all((a.seen[name] == b.seen[name]).all() for name in a.seen)


@pytest.mark.parametrize("kind", TERMS)
def test_all_ways_through_the_frames_give_the_same_sums(kind):
    """Blocks, parts, orders, portions and processes."""
    terms, (source, _) = TERMS[kind], data(kind)
    once = match(terms, [source], block=30)
    same(once, match(terms, [source], block=7 + 5))
    cut = [
        ArrayFrames(source.x[k], source.force[k], None if source.box is None
                    else source.box[k]) for k in np.split(np.arange(60), [24])
    ]  # fmt: skip
    same(once, match(terms, cut, block=12))
    order = np.random.default_rng(0).permutation(60)
    box = None if source.box is None else source.box[order]
    mixed = ArrayFrames(source.x[order], source.force[order], box)
    same(
        once,
        joined([accumulate(terms, mixed.chunks(k, k + 10)) for k in range(0, 60, 10)]),
    )
    two = match(terms, [source], block=12, processes=2)
    alone = match(terms, [source], block=12)
    same(once, two)
    assert (two.gram == alone.gram).all()
    assert (two.moment == alone.moment).all()


def test_a_pass_that_was_killed_goes_on(tmp_path, monkeypatch):
    """What it stored is not read again, and the sums are those of one pass."""
    terms, (source, _) = LIQUID, data("liquid")
    monkeypatch.setattr(force_matching, "STORE_EVERY", 0.0)
    asked = []

    class Watched(ArrayFrames):
        def chunks(self, start, stop):
            asked.append((start, stop))
            return super().chunks(start, stop)

    def stop(done, of, what):
        if done == 3:
            raise KeyboardInterrupt

    watched, file = (
        Watched(source.x, source.force, source.box),
        tmp_path / "e.safetensors",
    )
    with pytest.raises(KeyboardInterrupt):
        match(terms, [watched], block=10, store=file, progress=stop)
    asked.clear()
    found = match(terms, [watched], block=10, store=file)
    read = [span for span in asked if span not in ((0, 1), (59, 60))]
    assert read == [(30, 40), (40, 50), (50, 60)]
    plain = match(terms, [source], block=10)
    same(found, plain)
    assert (found.gram == plain.gram).all()
    stored, origin = load_equations(file)
    assert origin["frames"] == [60]
    assert (stored.moment == plain.moment).all()
    for other in (
        {"block": 12},
        {"terms": (dataclasses.replace(LIQUID[0], excluded=((0, 1),)),)},
    ):
        how = {"terms": terms, "block": 10, **other}
        with pytest.raises(InputError, match="another pass"):
            match(how["terms"], [source], block=how["block"], store=file)
    with pytest.raises(InputError, match="another pass"):
        match(terms, [data("liquid", seed=5)[0]], block=10, store=file)
    later = np.where(np.arange(60)[:, None, None] > 0, 2.0, 1.0) * source.force
    with pytest.raises(InputError, match="another pass"):  # the first frame is the same
        match(terms, [dataclasses.replace(source, force=later)], block=10, store=file)


def test_error_bands_cover_the_truth():
    """95 % bands of coefficients over 12 noisy sets."""
    inside = []
    for seed in range(12):
        source, truth = data("liquid", frames=60, seed=seed, noise=20.0)
        matched = fit(match(LIQUID, [source], block=5), LIQUID, 60, seed)
        values = forces_along(matched.coefficients)
        half = half_width95(values, matched.n_units)
        inside.append(np.abs(values[0] - forces_along(truth[None])[0]) <= half)
    assert 0.90 <= np.mean(inside) <= 0.99


def forces_along(coefficients):
    """Pair forces at 0.3 to 0.75 nm of each replicate, (R, P, points)."""
    basis = LIQUID[0].basis
    slope = basis.dense(torch.linspace(0.3, 0.75, 10, dtype=torch.float64))[1].numpy()
    return -coefficients.reshape(len(coefficients), -1, basis.size) @ slope.T


def test_held_out_blocks_choose_the_roughness():
    """Where noise is large and functions many: better than without, not by much worse
    than the best that could be had."""
    basis = Spline(0.2, CUTOFF, 60, "zero")
    terms = (Pairs(("A",) * 24, basis),)
    wave = np.sin(np.linspace(0, 6, 60)) * 30
    x, box = beads("liquid", 40, 3)
    rng = np.random.default_rng(0)
    force = forces_of(terms, wave, x, box) + 60 * rng.standard_normal(x.shape)
    equations = match(terms, [ArrayFrames(x, force, box)], block=4)
    matched = fit(equations, terms, 2, 0)
    new, boxes = beads("liquid", 20, 4)
    wanted = forces_of(terms, wave, new, boxes)

    def error(coefficients):
        return np.mean((forces_of(terms, coefficients, new, boxes) - wanted) ** 2)

    rough = penalty(equations, terms)
    each = [error(solve(equations, rough, s, np.ones((1, 10)))[0]) for s in STRENGTHS]
    assert error(matched.coefficients[0]) < 1.5 * min(each)
    assert error(matched.coefficients[0]) < 0.8 * each[0]
    assert matched.residual < 60 < matched.held_out
    assert matched.held_out == held_out(equations, rough, matched.strength)


def test_what_was_not_seen_goes_on_straight():
    """Nothing nearer than 0.6 nm: the potential there has no curvature, and no NaN."""
    basis = Spline(0.2, 1.5, 26, "zero")
    bond = Bonded("bond", "distance", ((0, 1),), basis)
    rng = np.random.default_rng(0)
    r = rng.uniform(0.6, 1.4, 400)
    x = np.zeros((400, 2, 3))
    x[:, 1, 0] = r
    force = np.zeros_like(x)
    force[:, 1, 0] = 50 * np.sin(4 * r)
    force[:, 0] = -force[:, 1]
    source = ArrayFrames(x, force)
    matched = fit(match([bond], [source], block=40), [bond], 3, 0)
    q = torch.tensor([0.25, 0.35, 0.45, 1.0], dtype=torch.float64)
    slopes = basis.dense(q)[1].numpy() @ matched.coefficients[0]
    assert np.isfinite(matched.coefficients).all()
    assert np.ptp(slopes[:3]) < 0.02 * abs(slopes[0])
    assert slopes[3] == pytest.approx(-50 * np.sin(4.0), abs=0.2)


def test_a_term_that_was_never_visited_is_zero():
    far = Pairs(("A", "A"), Spline(0.1, 0.3, 4, "zero"), name="far")
    bond = Bonded("bond", "distance", ((0, 1),), Spline(0.5, 1.5, 5))
    rng = np.random.default_rng(0)
    x = np.zeros((60, 2, 3))
    x[:, 1] = rng.normal(size=(60, 3))
    x[:, 1] *= rng.uniform(0.6, 1.4, (60, 1)) / np.linalg.norm(x[:, 1], axis=1)[:, None]
    matched = fit(match([far, bond], [ArrayFrames(x, x)], block=20), [far, bond], 2, 0)
    assert (matched.coefficients[:, : far.size] == 0).all()


def test_positions_that_make_no_equations_are_refused():
    """NaN, beads that coincide, and three beads of a dihedral in a line."""
    source, _ = data("chain", frames=20)
    lost, same, line = (source.x.copy() for _ in range(3))
    lost[3, 1, 0] = np.nan
    same[3, 1] = same[3, 0]
    line[3, :3] = np.arange(3)[:, None] * [0.5, 0, 0]
    for x, said in (
        (lost, "frames of beads"),
        (same, "no dihedral"),
        (line, "no dihedral"),
    ):
        with pytest.raises(InputError, match=said):
            accumulate(CHAIN, [(x, source.force, None)])


def test_order_one_refusals(tmp_path):
    source, _ = data("liquid", frames=20)
    with pytest.raises(InputError, match="too few frames"):
        match(LIQUID, [source], block=20)
    with pytest.raises(InputError, match="forces on beads"):
        accumulate(LIQUID, [(source.x, None, source.box)])
    wrong = np.full_like(source.x, np.nan)
    for chunk in ((source.x, wrong, source.box), (wrong, source.force, source.box)):
        with pytest.raises(InputError, match="NaN or infinity"):
            accumulate(LIQUID, [chunk])
    for force in (None, source.force[:-1], source.force[0]):
        with pytest.raises(InputError, match="frames of beads"):
            ArrayFrames(source.x, force, source.box)
    for terms in (LIQUID * 2, ()):
        with pytest.raises(InputError, match="names of terms"):
            accumulate(terms, [])
    for block, processes in ((0, 1), (2.5, 1), (5, 0)):
        with pytest.raises(InputError, match="a block of one frame or more"):
            match(LIQUID, [source], block=block, processes=processes)
    equations = match(LIQUID, [source], block=10)
    for given in ((-1, 0, None), (2, -1, None), (2, 0, -1.0)):
        with pytest.raises(InputError, match="of zero or more"):
            fit(equations, LIQUID, *given[:2], strength=given[2])
    none = match(LIQUID, [ArrayFrames(source.x, 0 * source.x, source.box)], block=10)
    with pytest.raises(InputError, match="only zeros"):
        fit(none, LIQUID, 2, 0)
    with pytest.raises(InputError, match="terms of a fit"):
        fit(equations, CHAIN, 2, 0)
    with pytest.raises(InputError, match="two at least"):
        fit(accumulate(LIQUID, source.chunks(0, 5)), LIQUID, 2, 0)
    with pytest.raises(InputError, match="same terms"):
        joined([equations, accumulate(CHAIN, data("chain")[0].chunks(0, 5))])
    with pytest.raises(InputError, match="name of a term"):
        equations.columns("bond")
    file = tmp_path / "e.safetensors"
    dataclasses.replace(equations, rows=equations.rows[1:]).save(file, {})
    with pytest.raises(SchemaError, match="shapes of sums"):
        load_equations(file)


def test_trajectories_on_disk(tmp_path):
    """Of every second frame, from files that MDAnalysis reads, by two processes too."""
    import MDAnalysis

    source, _ = data("liquid")
    universe = MDAnalysis.Universe.empty(24, trajectory=True, forces=True)
    universe.add_TopologyAttr("name", ["X"] * 24)
    files = (str(tmp_path / "a.gro"), str(tmp_path / "a.trr"))
    with MDAnalysis.Writer(files[1], 24) as writer:
        for x, force in zip(source.x, source.force, strict=True):
            universe.atoms.positions, universe.atoms.forces = 10 * x, force / 10
            universe.dimensions = [17, 17, 17, 90, 90, 90]
            writer.write(universe)
    with warnings.catch_warnings(action="ignore"):  # of what the topology lacks
        universe.atoms.write(files[0])
    frames = TrajectoryFrames(files, lambda x, box: x, lambda f: f, stride=2)
    assert len(frames) == 30
    found = match(LIQUID, [frames], block=10)
    kept = ArrayFrames(source.x[::2], source.force[::2], source.box[::2])
    wanted = match(LIQUID, [kept], block=10)
    assert found.gram == pytest.approx(
        wanted.gram, rel=1e-3, abs=1e-3 * wanted.gram.max()
    )
    two = match(LIQUID, [frames], block=10, processes=2)
    assert (found.gram == two.gram).all()
    bare = TrajectoryFrames((files[0],), lambda x, box: x, lambda f: f)
    with pytest.raises(InputError, match="without forces"):
        accumulate(LIQUID, bare.chunks(0, 1))
    with pytest.raises(InputError, match="stride of frames"):
        len(dataclasses.replace(frames, stride=0))


def test_where_coordinates_were_seen():
    """Of the distance between ends: beyond each limit lie nine visits, or a cell more."""
    source, _ = data("chain", frames=60)
    seen = match(CHAIN, [source], block=10).seen
    assert set(seen) == {"bond", "angle", "turn", "end"}
    assert seen["bond"].sum() == 4 * 60
    low, high = visited(seen["end"], CHAIN[4].basis.span)[0]
    r = np.linalg.norm(source.x[:, 4] - source.x[:, 0], axis=1)
    width = (1.5 - 0.2) / CELLS
    inside = np.sort(r[(r >= 0.2) & (r <= 1.5)])
    assert 0 <= low - inside[9] <= width
    assert 0 <= inside[-10] - high <= width
    assert np.isnan(visited(np.zeros((1, CELLS)), TURN)).all()


def test_a_fit_says_where_it_saw():
    """Of each pair of species, by the names that forces have; none of what never met."""
    source, _ = data("chain", frames=60)
    equations = match(CHAIN, [source], block=10)
    ranges = fit(equations, CHAIN, 2, 0).ranges
    assert set(ranges) == {"bond", "angle", "turn", "end"}
    assert ranges["end"] == tuple(visited(equations.seen["end"], (0.2, 1.5))[0])
    x, box = beads("liquid", 60, 1)
    # Two beads of C that stay apart.
    species = ("A",) * 12 + ("B",) * 10 + ("C",) * 2
    x[:, 22:] = 0.05 * x[:, 22:] + np.array([[0.2], [1.0]])
    terms = (Pairs(species, LIQUID[0].basis),)
    ranges = fit(match(terms, [ArrayFrames(x, x, box)], block=10), terms, 2, 0).ranges
    assert "pairs C-C" not in ranges
    assert {"pairs A-A", "pairs A-B", "pairs B-C"} < set(ranges)
    assert all(0.2 <= low < high <= CUTOFF for low, high in ranges.values())
