"""Data sets of bulk transport, dielectric response and residence, on known truth."""

import numpy as np
import pytest
from universes import free, universe

from mesobridge.atomistic.profiles import (
    Shell,
    Slab,
    Species,
    bulk_transport,
    dielectric_response,
    residence_times,
)
from mesobridge.atomistic.profiles.plot_measures import plot_measures
from mesobridge.core.artefact import read_dataset, write_dataset
from mesobridge.core.errors import InputError
from mesobridge.core.stats import half_width95
from mesobridge.core.units import (
    BOLTZMANN,
    ELEMENTARY_CHARGE,
    NM,
    PS,
    VACUUM_PERMITTIVITY,
)

IONS = {"Na": "name Na", "Cl": "name Cl"}
BOX, D = 3.0, 0.02  # nm, nm2/ps


def survives(ds, tmp_path):
    """The same after its file."""
    write_dataset(ds, tmp_path / "x.nc", ds.attrs["schema"])
    assert read_dataset(tmp_path / "x.nc", ds.attrs["schema"]).equals(ds)
    plot_measures(ds, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def within(values, truth, n_units, times=2.0):
    assert np.abs(values[0] - truth) == pytest.approx(
        0, abs=times * float(np.max(half_width95(values, n_units)))
    )


# bulk transport -----------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [True, False])
def test_free_ions(tmp_path, wrap):
    u = universe(free(60, 801, BOX, 3), 0.1, (BOX,) * 3, wrap=wrap)
    told = []
    ds = bulk_transport(
        u, IONS, temperature=300.0, viscosity=1e-3,
        progress=lambda *done: told.append(done[:2]),
    )  # fmt: skip
    assert ds.attrs["n_units"] == 10
    assert ds.attrs["block_length"] == pytest.approx(8 * PS)
    assert told == [(0, 3), (1, 3), (2, 3)]
    for s in range(2):
        within(ds["D"].values[:, s], D * NM**2 / PS, 10)
    kT = BOLTZMANN * 300
    exact = 60 / (BOX * NM) ** 3 * ELEMENTARY_CHARGE**2 * D * NM**2 / PS / kT
    within(ds["nernst_einstein"].values, exact, 10)
    within(ds["conductivity"].values, exact, 10)
    within(ds["transference"].values[:, 0], 0.5, 10)
    # Each ion alone: MSD = 6 D t at all lags; the dipole moves as all of them.
    lag = ds["lag"].values
    assert ds["msd"].values[0, 0] / lag == pytest.approx(6 * D * NM**2 / PS, rel=0.15)
    dipole = ds["dipole_msd"].values[0] / (6 * lag * (BOX * NM) ** 3 * kT)
    assert dipole[:8] == pytest.approx(exact, rel=0.4)
    image = 2.837297 * kT / (6 * np.pi * 1e-3 * BOX * NM)  # of Yeh & Hummer
    assert (ds["D_infinite"] - ds["D"]).values == pytest.approx(image, rel=1e-6)
    assert set(ds["regime"].values) == {"diffusive"}
    survives(ds, tmp_path)


def test_without_charges(tmp_path):
    u = universe(free(60, 801, BOX, 3), 0.1, (BOX,) * 3, charges=[])
    with pytest.raises(InputError, match="charges are missing"):
        bulk_transport(u, IONS, temperature=300.0)
    ds = bulk_transport(u, IONS, temperature=300.0, collective=False)
    within(ds["D"].values[:, 0], D * NM**2 / PS, 10)
    assert "conductivity" not in ds
    survives(ds, tmp_path)


def kicked(n, n_frames, seed, *, memory=0.5, save=0.05):
    """Velocities that forget (Ornstein & Uhlenbeck) and where they lead; nm, ps."""
    rng = np.random.default_rng(seed)
    keep = np.exp(-save / memory)
    v = rng.standard_normal((n_frames, n, 3)) * np.sqrt(0.04 / memory)  # D = 0.04
    for k in range(1, n_frames):
        v[k] = keep * v[k - 1] + np.sqrt(1 - keep**2) * v[k]
    x = rng.uniform(0, BOX, (1, n, 3)) + np.cumsum(v * save, axis=0)
    return x, v


@pytest.mark.parametrize("of", ["atoms", "residues"])
def test_green_kubo(tmp_path, of):
    """D of atoms that are kicked, and of pairs that tumble, by their centres."""
    (x, v), pairs = kicked(60, 1501, 5), None
    if of == "residues":
        pairs = np.arange(120) // 2
        tumble = np.random.default_rng(1).standard_normal((1501, 60, 3))
        x, v = (
            np.stack([a - size * tumble, a + size * tumble], axis=2).reshape(1501, 120, 3)
            for a, size in ((x, 0.05), (v, 1.0))
        )
    u = universe(x, 0.05, (BOX,) * 3, residues=pairs, wrap=True)
    bare = universe(x, 0.05, (BOX,) * 3)
    u.load_new(
        u.trajectory.get_array(), order="fac", dt=0.05, velocities=10 * v,
        dimensions=u.trajectory.dimensions_array,
    )  # fmt: skip
    species = {n: Species(f"name {n}", of) for n in ("Na", "Cl")}
    ds = bulk_transport(
        u, species, temperature=300.0, method="green-kubo", block=10 * PS, cutoff=3 * PS
    )
    assert ds.attrs["n_units"] == 7
    within(ds["D"].values[:, 0], 0.04 * NM**2 / PS, 7)
    charge = {"atoms": 1.0, "residues": 2.0}[of]
    assert ds["charge_number"].values.tolist() == [charge, -charge]
    within(ds["conductivity"].values, float(ds["nernst_einstein"][0]), 7)
    assert ds["running_D"].values[0, 0, 0] == 0
    survives(ds, tmp_path)
    with pytest.raises(InputError, match="without velocities"):
        bulk_transport(bare, IONS, temperature=300.0, method="green-kubo")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "kubo"}, "method"),
        ({"stop": 40}, "too few frames to choose blocks"),
        ({"species": {"Na": "name Na"}}, "not all of the box"),
        ({"method": "green-kubo", "frame": "lab"}, "frame of Green-Kubo"),
        ({"collective": False, "frame": "lab"}, "without charge"),
        ({"block": 2 * PS, "lags": (1 * PS, 3 * PS)}, "lags of the fit"),
        ({"temperature": -1.0}, "temperature"),
        ({"viscosity": -1.0}, "finite-size"),
        ({"frame": "solvent", "solvent": "water"}, "frame of reference"),
    ],
)
def test_bad_input_to_transport(change, words):
    u = universe(free(20, 200, BOX, 3), 0.1, (BOX,) * 3)
    with pytest.raises(InputError, match=words):
        bulk_transport(u, **{"species": IONS, "temperature": 300.0, **change})


# dielectric ---------------------------------------------------------------------------

ARM, SAVE = 0.04, 0.1  # nm, ps


def rotors(n, n_frames, seed, *, memory, low=0.0, high=BOX):
    """Free dipoles that now and then turn anew, in a slab; two atoms each."""
    rng = np.random.default_rng(seed)
    turns = rng.uniform(size=(n_frames, n)) < 1 - np.exp(-SAVE / memory)
    turns[0] = True
    fresh = rng.standard_normal((n_frames, n, 3))
    fresh /= np.linalg.norm(fresh, axis=-1, keepdims=True)
    index = np.where(turns, np.arange(n_frames)[:, None], 0)
    which = np.maximum.accumulate(index, axis=0)
    arm = 0.5 * ARM * fresh[which, np.arange(n)]
    place = rng.uniform(0, BOX, (n_frames, n, 3))
    place[..., 2] = rng.uniform(low, high, (n_frames, n))
    x = np.stack([place - arm, place + arm], axis=2).reshape(n_frames, 2 * n, 3)
    return x, np.tile([-1.0, 1.0], n), np.arange(2 * n) // 2


def permittivity(n):
    """Of n free dipoles in the box: they do not feel each other."""
    square = n * (ARM * NM * ELEMENTARY_CHARGE) ** 2
    kT = BOLTZMANN * 300
    return 1 + square / (3 * VACUUM_PERMITTIVITY * (BOX * NM) ** 3 * kT)


def response(x, q, residues, wrap=True, **how):
    names = ["N", "P"] * (len(residues) // 2)
    u = universe(x, SAVE, (BOX,) * 3, names, charges=q, residues=residues, wrap=wrap)
    options = {"bin": 0.25 * NM, "temperature": 300.0, "boundary": "periodic"}
    return dielectric_response(u, **{**options, **how})


def test_free_dipoles(tmp_path):
    told, rotor = [], rotors(60, 1000, 1, memory=0.4)
    ds = response(*rotor, progress=lambda *done: told.append(done))
    assert told[-1] == (960, 1000, "frames")
    eps, n = permittivity(60), ds.attrs["n_units"]
    within(ds["bulk_permittivity"].values, eps, n)
    assert ds.attrs["bulk_low"] < eps < ds.attrs["bulk_high"]
    within(ds["parallel"].values.mean(axis=1), eps, n)
    within(ds["inverse_perpendicular"].values.mean(axis=1), 1 / eps, n)
    # Blocks of a sixty-fourth are too short: they were pooled until five times as long.
    assert ds.attrs["relaxation_time"] == pytest.approx(0.4 * PS, rel=0.4)
    assert n in (16, 32)
    assert not ds.attrs["blocks_too_short"]
    density = ds["number_density"].values[0]
    assert density.mean() == pytest.approx(60 / (BOX * NM) ** 3, rel=1e-9)
    assert density == pytest.approx(density.mean(), rel=0.1)
    survives(ds, tmp_path)
    again = response(*rotor, wrap=False)
    for key in ("parallel", "inverse_perpendicular"):
        assert again[key].values == pytest.approx(ds[key].values, abs=1e-3)


def test_a_slab_has_no_bulk_permittivity(tmp_path):
    ds = response(*rotors(60, 400, 2, memory=0.2, low=1.0, high=2.0), boundary="slab")
    assert "bulk_permittivity" not in ds
    inside = np.abs(ds["z"].values - 1.5 * NM) < 0.3 * NM
    n = ds.attrs["n_units"]
    within(ds["parallel"].values[:, inside].mean(axis=1), permittivity(180), n)
    assert ds["parallel"].values[0, :3] == pytest.approx(1.0, abs=1e-9)
    survives(ds, tmp_path)


def test_slow_dipoles_are_told():
    ds = response(*rotors(30, 300, 3, memory=10.0), block=3 * PS)
    assert ds.attrs["n_units"] == 10
    assert ds.attrs["blocks_too_short"] == 1
    assert ds.attrs["relaxation_time"] > 2 * PS


def test_bad_input_to_dielectric():
    x, q, residues = rotors(10, 20, 4, memory=1.0)
    for change, words in (
        ({"block": 2 * PS}, "too few blocks for errors"),
        ({"replicates": 20}, "too few bootstrap"),
        ({"boundary": "closed"}, "boundary of the run"),
        ({"start": 19}, "two or more"),
        ({"temperature": 0.0}, "temperature"),
        ({"axis": "w"}, "x, y or z"),
        ({"block": 0.15 * PS}, "does not fit the trajectory"),
    ):
        with pytest.raises(InputError, match=words):
            response(x, q, residues, **change)
    with pytest.raises(InputError, match="charged molecules"):
        response(x, np.ones(20), residues)
    with pytest.raises(InputError, match="charges are missing"):
        response(x, [], residues)
    given = response(x, [], residues, charges={"name N": -1.0, "name P": 1.0})
    assert given["parallel"].equals(response(x, q, residues)["parallel"])


# residence ----------------------------------------------------------------------------


def telegraph(n, n_frames, seed, *, leave=0.1, enter=0.05):
    """Who is inside: leaves and enters without memory, with these chances a frame."""
    rng = np.random.default_rng(seed)
    inside = np.zeros((n_frames, n), bool)
    inside[0] = rng.uniform(size=n) < enter / (enter + leave)
    for k in range(1, n_frames):
        chance = np.where(inside[k - 1], 1 - leave, enter)
        inside[k] = rng.uniform(size=n) < chance
    return inside


def flickering(inside, near, far):
    """Positions: `near` or `far` along z from a point that wanders."""
    frames, n = inside.shape
    x = np.full((frames, n + 1, 3), 1.0)
    x[:, :n, 2] += np.where(inside, near, far)
    x += np.linspace(0, 5, frames)[:, None, None] * [1.0, 0.0, 0.0]  # through the box
    return universe(x, 0.1, (BOX,) * 3, names=["OW"] * n + ["Mg"], charges=[], wrap=True)


@pytest.mark.parametrize(
    "region",
    [Slab(1.1 * NM, 1.3 * NM), Slab(0.1 * NM, 0.3 * NM, moving="name Mg"),
     Shell("name Mg", 0.3 * NM), Shell("name Mg", 0.3 * NM, pairs=True)],
)  # fmt: skip
def test_residence_of_a_telegraph(tmp_path, region):
    """Survival (1 - leave)^k; its trapezoids 1/leave - 1/2 frames."""
    inside = telegraph(60, 1501, 6)
    u = flickering(inside, 0.2, 1.0)
    ds = residence_times(u, {"water": "name OW"}, region, longest=6 * PS)
    assert ds.attrs["n_units"] == 10
    truth = 0.9 ** np.arange(61)
    half = half_width95(ds["survival"].values[:, 0], 10)
    assert (np.abs(ds["survival"].values[0, 0] - truth) <= 2.5 * half + 1e-12).all()
    within(ds["time"].values[:, 0], 0.95 * PS, 10)
    assert ds["occupancy"].values[0] == pytest.approx(inside.sum(axis=1).mean())
    assert str(region) == ds.attrs["region"]
    survives(ds, tmp_path)


def test_a_margin_forgives_near_escapes():
    u = flickering(telegraph(40, 1001, 7), 0.2, 0.35)
    slab, water = Slab(1.1 * NM, 1.3 * NM), {"water": "name OW"}
    strict = residence_times(u, water, slab, block=10 * PS)
    wide = residence_times(u, water, slab, block=10 * PS, margin=0.02 * NM)
    assert wide["time"].equals(strict["time"])  # the place outside is still outside
    with pytest.raises(InputError, match="water: particles that stay longer"):
        residence_times(u, water, slab, block=10 * PS, margin=0.1 * NM)


def test_bad_input_to_residence():
    u = flickering(telegraph(10, 200, 8), 0.2, 1.0)
    slab, water = Slab(1.1 * NM, 1.3 * NM), {"water": "name OW"}
    for region, change, words in (
        (slab, {"margin": -1.0}, "margin"),
        (slab, {"stop": 30}, "too few frames to choose blocks"),
        (slab, {"block": 5 * PS, "longest": 6 * PS}, "below a block"),
        (slab, {"kind": "forever"}, "kind of residence"),
        (Slab(1.3 * NM, 1.1 * NM), {}, "slab of a residence time"),
        (Slab(1.8 * NM, 1.9 * NM), {}, "nobody is ever inside"),
        (Shell("name OW", 0.3 * NM), {}, "centres of the shell"),
        (Shell("name Xe", 0.3 * NM), {}, "selection"),
        (Shell("name Mg", 2 * NM), {}, "box of a coordination shell"),
    ):
        with pytest.raises(InputError, match=words):
            residence_times(u, water, region, **change)
