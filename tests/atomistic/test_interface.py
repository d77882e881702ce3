"""Profiles in one pass over a trajectory: synthetic truth, invariances, bad input."""

from dataclasses import replace

import MDAnalysis as mda
import numpy as np
import pytest
from brownian import EDGE, WIDTH, diffusivity, geometry, settings, walk, work
from universes import free, universe

from mesobridge.atomistic.profiles import Resolution, extract_profiles
from mesobridge.atomistic.profiles.coordinates import Cylindrical, Planar, Spherical
from mesobridge.atomistic.profiles.estimates import Electrics
from mesobridge.atomistic.profiles.interface import (
    View,
    density_profiles,
    interface_profiles,
)
from mesobridge.atomistic.profiles.particles import Species
from mesobridge.core.errors import InputError
from mesobridge.core.units import ELEMENTARY_CHARGE, NM, PS

IONS = {"Na": "name Na", "Cl": "name Cl"}
WALLS = Planar("z", 5.0 * NM, (5.0 + WIDTH) * NM)
HOW = Resolution(0.0267 * NM, 0.2 * PS, 10 * PS, replicates=60, seed=3)
UNIT = NM**2 / PS


def run(universe, species, resolution, **view):
    return interface_profiles(universe, species, resolution, View(**view))


@pytest.fixture(scope="module")
def frames():
    return walk(256, 80.0, 11)


@pytest.fixture(scope="module")
def slab(frames):
    return universe(frames["positions"].values / NM, 0.02, (EDGE, EDGE, 13.0), wrap=True)


@pytest.fixture(scope="module")
def profiles(slab):
    return run(slab, IONS, HOW, temperature=1200.0, coordinate=WALLS)


def test_the_truth(profiles):
    z = profiles["z"].values / NM - 5.0
    well = (z > 0.15) & (z < WIDTH - 0.15)
    W = profiles["pmf"].values[0] / (1.380649e-23 * 1200.0)
    shift = W[:, well].mean(axis=1, keepdims=True) - work(z)[well].mean()
    assert np.abs(W - shift - work(z))[:, well].max() < 0.35
    D = profiles["D_perp"].values[0, :, 1:] / UNIT
    assert np.sqrt(np.mean((D / diffusivity(z) - 1)[:, well] ** 2)) < 0.08
    along = profiles["D_par"].values[0] / UNIT
    assert np.sqrt(np.mean((along / diffusivity(z) - 1)[:, well] ** 2)) < 0.08


def test_a_wrapped_trajectory_gives_what_the_unwrapped_gives(frames, profiles):
    u = universe(frames["positions"].values / NM, 0.02, (EDGE, EDGE, 13.0))
    same = run(u, IONS, HOW, temperature=1200.0, coordinate=WALLS)
    for name in ("number_density", "D_perp", "D_par", "potential"):
        # Positions are single precision.
        assert np.allclose(same[name], profiles[name], rtol=2e-3, atol=1e-3)


def test_two_processes_give_what_one_gives(slab, profiles):
    same = run(slab, IONS, HOW, temperature=1200.0, coordinate=WALLS, processes=2)
    told = [
        {k: v for k, v in one.attrs.items() if k not in ("settings", "created")}
        for one in (same, profiles)
    ]
    assert str(told[0]) == str(told[1])
    for name in profiles.data_vars:
        if profiles[name].dtype.kind == "f":
            assert np.allclose(same[name], profiles[name], rtol=1e-9)


def test_sums_of_frames_in_memory_agree(frames, profiles):
    """The path of the pipeline, which holds all frames: density and potential."""
    other = extract_profiles([frames], geometry(), settings())
    for name in ("z", "number_density", "potential", "charge_density", "D_perp"):
        got, wanted = (one[name].values for one in (profiles, other))
        got, wanted = (x if x.ndim == 1 else x[0] for x in (got, wanted))
        assert np.abs(got - wanted).max() < 2e-3 * np.abs(wanted).max()


def test_densities_alone_are_the_same(slab, profiles):
    ds = density_profiles(slab, IONS, HOW, View(1200.0, WALLS))
    assert ds.attrs["schema"] == "density-profiles/1"
    for name in ds.variables:
        if name != "quality_flag":  # which tells of plateaus of D too
            assert (ds[name] == profiles[name]).all()


def test_a_moving_origin_follows(frames, profiles):
    """Everything, walls too, drifts through the border of the box."""
    x = frames["positions"].values / NM
    wall = np.zeros((len(x), 2, 3)) + [[0.1, 0.1, 4.0], [0.9, 0.9, 4.0]]
    drift = np.linspace(0, 30.0, len(x))[:, None, None] * [0.0, 0.0, 1.0]
    names = ["Na"] * 128 + ["Cl"] * 128 + ["X"] * 2
    u = universe(
        np.concatenate([x, wall], axis=1) + drift, 0.02, (EDGE, EDGE, 13.0), names,
        wrap=True,
    )  # fmt: skip
    moved = run(
        u, IONS, HOW, temperature=1200.0, moving="name X",
        coordinate=Planar("z", 1.0 * NM, (1.0 + WIDTH) * NM),
    )  # fmt: skip
    got, wanted = (one["number_density"].values[0] for one in (moved, profiles))
    assert np.abs(got - wanted).max() < 5e-3 * wanted.max()


def test_the_axes_are_alike(frames, profiles):
    x = np.roll(frames["positions"].values / NM, 1, axis=2)
    u = universe(x, 0.02, (13.0, EDGE, EDGE))
    turned = run(
        u, IONS, HOW, temperature=1200.0, coordinate=Planar("x", WALLS.left, WALLS.right)
    )
    for name in ("number_density", "D_par"):
        assert np.allclose(turned[name], profiles[name], rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize(("shape", "inner"), [(Cylindrical, 0.3), (Spherical, 0.5)])
def test_shells_of_free_particles(shape, inner):
    """Uniform density, W = 0 and the D they have, across and along."""
    u = universe(free(400, 4000, 3.0, 5), 0.1, (3.0,) * 3, wrap=True)
    how = Resolution(0.05 * NM, 0.4 * PS, 20 * PS, 60, 1)
    ds = run(
        u, IONS, how, temperature=300.0, coordinate=shape(1.4 * NM),
        electrics=Electrics(reference="right"),
    )  # fmt: skip
    assert ds.attrs["geometry"] in ("cylindrical", "spherical")
    z = ds["z"].values / NM
    far = z > inner
    density = ds["number_density"].values[0] * NM**3
    assert np.abs(density[:, far] / (200 / 27.0) - 1).max() < 0.1
    across = ds["D_perp"].values[0, :, 1:] / UNIT
    assert np.abs(across[:, far & (z < 1.0)] / 0.02 - 1).max() < 0.12
    along = ds["D_par"].values[0] / UNIT
    assert np.abs(along[:, far & (z < 1.0)] / 0.02 - 1).max() < 0.12


def test_residues_are_whole_across_the_border():
    """Centres of mass of dumbbells that straddle the border of the box."""
    centre = free(60, 400, 2.0, 3)
    arm = np.array([0.0, 0.0, 0.08])
    x = np.stack([centre - arm, centre + arm], axis=2).reshape(400, 120, 3)
    u = universe(
        x, 0.1, (2.0,) * 3, ["A", "B"] * 60, [0.5, -0.5] * 60,
        residues=np.repeat(np.arange(60), 2), wrap=True,
    )  # fmt: skip
    whole = universe(centre, 0.1, (2.0,) * 3, ["C"] * 60, [0.0] * 60, wrap=True)
    how = Resolution(0.1 * NM, 0.4 * PS, 8 * PS, 50, 1)
    got, wanted = (
        run(one, species, how, temperature=300.0, electrics=Electrics("periodic"))
        for one, species in (
            (u, {"dumbbell": Species("all", "residues")}),
            (whole, {"C": "name C"}),
        )
    )
    assert got["number_density"].values == pytest.approx(wanted["number_density"].values)
    assert got["D_par"].values[0] == pytest.approx(wanted["D_par"].values[0], rel=1e-3)


def test_a_box_that_varies_is_scaled():
    """Uniform at every size: no cell is denser because the box was small."""
    box = np.stack([np.full(800, 2.0)] * 2 + [2.0 + 0.3 * np.sin(np.arange(800) / 9)], 1)
    inside = np.mod(free(300, 800, 1.0, 4, D=0.005), 1.0)
    u = universe(inside * box[:, None], 0.1, box)
    how = Resolution(0.1 * NM, 0.4 * PS, 8 * PS, 50, 1)
    ds = run(u, IONS, how, temperature=300.0, electrics=Electrics("periodic"))
    mean = (150 / box.prod(axis=1)).mean()
    got = ds["number_density"].values[0] * NM**3
    assert np.sqrt(np.mean((got / mean - 1) ** 2)) < 0.07
    assert ds["z_face"].values[-1] / NM == pytest.approx(box[:, 2].mean(), rel=1e-3)


def test_charges_of_many_kinds_are_added_atom_by_atom():
    x = free(200, 200, 2.0, 6)
    q = np.random.default_rng(1).normal(size=200)
    q[:100] = 0.0
    q[100:] -= q[100:].mean()
    u = universe(x, 0.1, (2.0,) * 3, ["A"] * 100 + ["B"] * 100, q, wrap=True)
    how = Resolution(0.1 * NM, 0.2 * PS, 4 * PS, 50, 1)
    with pytest.raises(InputError, match="particles of one charge"):
        run(u, {"B": "name B"}, how, temperature=300.0)
    ds = run(u, {"A": "name A"}, how, temperature=300.0, electrics=Electrics("periodic"))
    z = np.mod(x[..., 2].astype(np.float32), 2.0)
    cell = np.minimum((z * 10).astype(int), 19)
    wanted = np.bincount(cell.ravel(), np.tile(q, 200), minlength=20) / 200
    got = ds["charge_density"].values[0] * NM**3 * (4 * 0.1) / ELEMENTARY_CHARGE
    assert got == pytest.approx(wanted, abs=2e-2)


def test_long_trajectories_pool_blocks():
    u = universe(free(20, 3000, 2.0, 7), 0.1, (2.0,) * 3, wrap=True)
    how = Resolution(0.2 * NM, 0.2 * PS, 1.0 * PS, 50, 1)
    ds = run(u, IONS, how, temperature=300.0, electrics=Electrics("periodic"))
    assert ds.attrs["n_units"] == 60
    assert ds.attrs["block_length"] == pytest.approx(5e-12)


def test_a_half_that_is_frozen_is_told(profiles):
    """What the trap of the molten-salt slab was: half of it stayed solid."""
    assert profiles.attrs["steady"] == 1
    assert "steady and mobile" in profiles.attrs["steady_verdict"]
    rng = np.random.default_rng(8)
    z = 5.0 + rng.uniform(0.05, WIDTH - 0.05, 200)
    mobile = np.where(z < 5.0 + WIDTH / 2, 1.0, 0.1)[:, None]
    steps = 0.02 * rng.standard_normal((1600, 200, 3)) * mobile * [1.0, 1.0, 0.0]
    start = np.column_stack([rng.uniform(0, EDGE, (200, 2)), z])
    x = start + np.cumsum(steps, axis=0) + [0, 0, 0.01] * rng.normal(size=(1600, 200, 1))
    u = universe(x, 0.02, (EDGE, EDGE, 13.0))
    how = Resolution(0.1 * NM, 0.08 * PS, 4 * PS, 50, 1)
    found = run(u, IONS, how, temperature=1200.0, coordinate=WALLS)
    assert found.attrs["steady"] == 0
    assert "mobility of Na" in found.attrs["steady_verdict"]


def test_blocks_are_chosen_by_the_memory_of_the_density(slab, profiles):
    """Positions without memory need no merging; the slab remembers most of its run."""
    x = np.random.default_rng(5).uniform(0, 2.0, (640, 100, 3))
    how = Resolution(0.1 * NM, 0.0, None, 50, 1)
    view = View(300.0, electrics=Electrics("periodic"))
    ds = density_profiles(universe(x, 0.1, (2.0,) * 3), IONS, how, view)
    assert ds.attrs["n_units"] == 64
    assert ds.attrs["block_length"] == pytest.approx(1 * PS)
    assert "64 time blocks" in ds.attrs["units"]
    ds = run(slab, IONS, replace(HOW, block=None), temperature=1200.0, coordinate=WALLS)
    assert ds.attrs["n_units"] == 24
    assert "24 groups of particles" in ds.attrs["units"]
    assert ds.attrs["block_length"] == pytest.approx(80 * PS)
    for name in ("number_density", "charge_density", "D_perp", "D_par", "potential"):
        scale = np.abs(profiles[name][0]).max()
        assert np.abs(ds[name][0] - profiles[name][0]).max() < 0.02 * scale
    spread = [one["D_perp"].values[1:].std(axis=0).mean() for one in (ds, profiles)]
    assert spread[0] == pytest.approx(spread[1], rel=0.5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"charges": []}, "charges are missing"),
        ({"species": {"Na": "name Na", "K": "name K"}}, "one atom or more"),
        ({"species": {"Na": "nme Na"}}, "selection language"),
        ({"coordinate": Planar("z", 5.5 * NM, 7.0 * NM)}, "outside the walls"),
        ({"how": (0.05 * NM, 0.2 * PS, 60 * PS)}, "too few frames"),
        ({"how": (0.05 * NM, 8 * PS, 10 * PS)}, "lag <= block / 2"),
        ({"how": (0.05 * NM, 0.02 * PS, 10 * PS)}, "the lag"),
        ({"how": (0.05 * NM, 0.25e-13, 10 * PS)}, "does not fit"),
        ({"moving": "name Q"}, "the selection 'name Q'"),
        ({"coordinate": Planar("z", 0.0, 14 * NM)}, "beyond the box"),
        ({"coordinate": Cylindrical(1 * NM)}, "beyond the box"),
        ({"how": (0.0, 0.2 * PS, 5 * PS)}, "bin > 0"),
        ({"how": (0.05 * NM, 0.2 * PS, 10 * PS, 20)}, "at least 50"),
        ({"processes": 0}, "processes of profiles"),
        ({"stop": 3}, "too few frames"),
        ({"temperature": 0.0}, "temperature"),
        ({"jump": True}, "jump between frames"),
    ],
)
def test_bad_input(frames, change, text):
    x = frames["positions"].values[:2000] / NM
    if change.pop("jump", False):
        x = x[np.random.default_rng(0).permutation(len(x))]
    how, species = change.pop("how", None), change.pop("species", IONS)
    u = universe(x, 0.02, (EDGE, EDGE, 13.0), charges=change.pop("charges", None))
    given = {"temperature": 1200.0, "coordinate": WALLS, **change}
    with pytest.raises(InputError, match=text):
        run(u, species, Resolution(*how) if how else HOW, **given)


@pytest.mark.parametrize("name", ["boundary", "reference", "phi_kind"])
def test_names_of_the_potential(name):
    with pytest.raises(InputError, match=name):
        Electrics(**{name: "other"})


def test_a_box_that_varies_in_a_file(tmp_path):
    """Readers of files give the same array of box lengths in every frame."""
    box = np.stack([np.full(400, 2.0)] * 2 + [np.linspace(2.0, 3.0, 400)], axis=1)
    inside = np.random.default_rng(3).uniform(0, 1, (400, 100, 3))
    u = universe(inside * box[:, None], 0.1, box)
    u.atoms.write(str(tmp_path / "box.xtc"), frames="all")
    u.load_new(str(tmp_path / "box.xtc"))
    how, view = Resolution(0.2 * NM, 0.0, 4 * PS, 50), View(300.0)
    ds = density_profiles(u, IONS, how, replace(view, electrics=Electrics("periodic")))
    assert ds["z_face"].values[-1] / NM == pytest.approx(2.5, rel=1e-3)
    got = ds["number_density"].values[0].mean(axis=1) * NM**3
    assert got == pytest.approx(50 / (4 * 2.5), rel=0.02)


def test_walls_nearer_than_a_step():
    """Between walls particles may cross half of the cells in a lag."""
    rng, width = np.random.default_rng(4), 0.6
    z, path = rng.uniform(0, width, 200), []
    for _ in range(4000):
        path.append(z)
        z = np.abs(z + np.sqrt(2 * 0.05 * 0.02) * rng.standard_normal(200))
        z = np.where(z > width, 2 * width - z, z)
    x = np.zeros((4000, 200, 3))
    x[..., 2] = path
    x[..., :2] = free(200, 4000, 3.0, 5, D=0.05, save=0.02)[..., :2]
    how = Resolution(0.03 * NM, 0.4 * PS, 8 * PS, 50)
    u = universe(x, 0.02, (3.0, 3.0, 3.0))
    ds = run(u, IONS, how, temperature=300.0, coordinate=Planar("z", 0.0, width * NM))
    D = ds["D_perp"].values[0, :, 4:-4] / UNIT
    assert pytest.approx(0.05, rel=0.15) == D


def test_frames_beyond_the_last_are_not_read(frames):
    x = frames["positions"].values / NM
    broken = x.copy()
    broken[2000:] = x[2000:][::-1]
    got, wanted = (
        run(universe(one, 0.02, (EDGE, EDGE, 13.0)), IONS, HOW, temperature=1200.0,
            coordinate=WALLS, stop=2000)
        for one in (broken, x)
    )  # fmt: skip
    assert (got["D_perp"] == wanted["D_perp"]).all()


def test_an_uneven_group_is_where_its_mass_is():
    """Three atoms at one place and one 1 nm off, across the border of the box."""
    x = np.zeros((100, 20, 3)) + [0.5, 0.5, 2.0]
    x[:, 16:19, 2], x[:, 19, 2] = 2.9, 3.9
    u = universe(x, 0.1, (3.0,) * 3, ["A"] * 16 + ["X"] * 4, [0.0] * 20, wrap=True)
    how = Resolution(0.1 * NM, 0.0, 1 * PS, 50)
    coordinate = Planar("z", -1.4 * NM, 1.4 * NM)
    ds = density_profiles(
        u, {"A": "name A"}, how, View(300.0, coordinate, moving="name X")
    )
    peak = ds["z"].values[ds["number_density"].values[0, 0].argmax()] / NM
    assert peak == pytest.approx(2.0 - 3.15, abs=0.06)


def test_sites_without_mass_and_few_blocks():
    x = free(40, 60, 2.0, 3)
    u = universe(x, 0.1, (2.0,) * 3, ["A", "M"] * 20, [1.0, -1.0] * 20, wrap=True)
    u.atoms[1::2].masses = 0.0
    how = Resolution(0.2 * NM, 0.2 * PS, None, 50)
    ds = run(u, {"A": "name A"}, how, temperature=300.0, electrics=Electrics("periodic"))
    assert ds.attrs["n_units"] == 20
    assert ds.attrs["block_length"] == pytest.approx(5.6 * PS)
    with pytest.raises(InputError, match="masses of the species M"):
        run(u, {"M": "name M"}, how, temperature=300.0)


def test_frames_that_were_appended_later(frames, tmp_path):
    u = universe(frames["positions"].values[:2000] / NM, 0.02, (EDGE, EDGE, 13.0))
    with mda.Writer(str(tmp_path / "late.xtc"), u.atoms.n_atoms) as writer:
        for ts in u.trajectory:
            ts.time = 0.02 * ts.frame + (5.0 if ts.frame > 700 else 0.0)
            writer.write(u.atoms)
    u.load_new(str(tmp_path / "late.xtc"))
    with pytest.raises(InputError, match="5.02 ps before frame 701"):
        run(u, IONS, HOW, temperature=1200.0, coordinate=WALLS)


def test_times_late_in_a_long_run(tmp_path):
    """In single precision frames 0.55 ps apart after a microsecond are 0.5 or 0.56."""
    u = universe(free(40, 1000, 2.0, 3), 0.55, (2.0,) * 3, wrap=True)
    with mda.Writer(str(tmp_path / "late.xtc"), u.atoms.n_atoms) as writer:
        for ts in u.trajectory:
            ts.time = 1e6 + 0.55 * ts.frame
            writer.write(u.atoms)
    u.load_new(str(tmp_path / "late.xtc"))
    how = Resolution(0.2 * NM, 1.1 * PS, 55 * PS, 50)
    ds = run(u, IONS, how, temperature=300.0, electrics=Electrics("periodic"))
    assert ds.attrs["lag"] == pytest.approx(1.1 * PS, rel=1e-3)
