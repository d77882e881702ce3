"""The instantaneous surface of a slab: planted waves, conservation, diffusion."""

from dataclasses import replace

import numpy as np
import pytest
from MDAnalysis.lib.mdamath import triclinic_vectors
from scipy.special import erfinv
from universes import free, universe

from mesobridge.atomistic.profiles import Surface
from mesobridge.atomistic.profiles.estimates import Electrics
from mesobridge.atomistic.profiles.interface import (
    Resolution,
    View,
    density_profiles,
    interface_profiles,
)
from mesobridge.atomistic.profiles.plot import plot_profiles
from mesobridge.core.errors import InputError
from mesobridge.core.schema import QUALITY_FLAGS
from mesobridge.core.units import ELEMENTARY_CHARGE, NM, PS, VACUUM_PERMITTIVITY

BOX = (4.0, 6.0, 8.0)
#: A cell of the same area whose second vector leans over to half of its height.
LEANING = (4.0, 12 / np.sqrt(3), 8.0, 90.0, 90.0, 60.0)
BOTTOM, TOP = 2.5, 5.5
AMPLITUDE, WAVE = 0.3, 2 * np.pi / 6.0
WIDTH, PITCH = 0.24, 0.25
#: Part of a wave's height that its Gaussians leave.
SEEN = np.exp(-0.5 * (WAVE * WIDTH) ** 2)
SURFACE = Surface("name L", 1.5 * NM, 1.0 * NM)
HOW = Resolution(0.05 * NM, 0.0, 1 * PS, 50, 1)
SOLUTE = {"S": "name S"}
IONS = {"P": "name S and prop charge > 0", "M": "name S and not prop charge > 0"}


def liquid(box=BOX, bottom=BOTTOM, top=TOP):
    """Atoms that fill a flat slab evenly, (n, 3)."""
    lengths = [box[0], box[1], top - bottom]
    axes = [(np.arange(round(n / PITCH)) + 0.5) * PITCH for n in lengths]
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3) + [0, 0, bottom]


def wave(y, phase, amplitude=AMPLITUDE, length=6.0):
    return amplitude * np.sin(2 * np.pi / length * y + phase)


def slab(solute, amplitude=AMPLITUDE, charges=None, box=BOX, drift=(0.0, 0.0, 0.0)):
    """A liquid and its solute (F, n, 3), flat, both sheared by a wave that runs."""
    frames = len(solute)
    still = liquid()
    x = np.concatenate([np.broadcast_to(still, (frames, *still.shape)), solute], axis=1)
    x[..., 2] += wave(x[..., 1], phases(frames)[:, None], amplitude)
    x += np.arange(frames)[:, None, None] * np.array(drift)
    names = ["L"] * len(still) + ["S"] * solute.shape[1]
    charges = [0.0] * len(names) if charges is None else [0.0] * len(still) + charges
    return universe(x, 0.1, box, names, charges, wrap=True)


def phases(frames):
    return 1.9 * np.arange(frames)


def evenly(frames, n, seed=1, bottom=BOTTOM):
    rng = np.random.default_rng(seed)
    return rng.uniform([0, 0, bottom], [4.0, 6.0, TOP], (frames, n, 3))


@pytest.mark.parametrize("box", [BOX, LEANING])
@pytest.mark.parametrize(("side", "edge"), [("upper", TOP), ("lower", BOTTOM)])
def test_the_heights_are_the_planted_ones(box, side, edge):
    """To the part that the Gaussians smooth away; wherever the slab is in the box."""
    vectors = triclinic_vectors((*box, 90, 90, 90)[:6], float)
    rng = np.random.default_rng(0)
    for phase, up in ((0.3, 0.0), (2.0, 3.1), (4.0, -5.0)):
        x = liquid()
        x[:, 2] += wave(x[:, 1], phase) + up
        at = rng.uniform(-9, 9, (500, 3))
        inside = (x @ np.linalg.inv(vectors)) % 1.0 @ vectors
        found = replace(SURFACE, side=side).heights(inside, vectors, 0).over(at)
        off = found - edge - up - SEEN * wave(at[:, 1], phase)
        assert np.abs(off - 8.0 * np.round(off / 8.0)).max() < 0.012


def test_a_flat_surface_gives_what_planes_give():
    """Layers at their depths, on both sides, none of the solute lost."""
    x = evenly(40, 200)
    x[..., 2] = TOP - 0.6 - 0.1 * np.abs(np.random.default_rng(2).normal(size=(40, 200)))
    u = slab(x, amplitude=0.0)
    planar = density_profiles(
        u, SOLUTE, HOW, View(300.0, electrics=Electrics("periodic"))
    )["number_density"].values[0, 0]
    height = (np.arange(160) + 0.5) * 0.05
    for side, edge, sign in (("upper", TOP, -1), ("lower", BOTTOM, 1)):
        coordinate = replace(SURFACE, side=side, depth=2.9 * NM)
        ds = density_profiles(u, SOLUTE, HOW, View(300.0, coordinate))
        s, found = ds["z"].values / NM, ds["number_density"].values[0, 0]
        assert found.sum() * 0.05 * 24 * NM**3 == pytest.approx(200)
        # Half of a cell either way, where the surface is off by a thousandth.
        wanted = np.interp(edge + sign * s, height, planar)
        assert np.abs(found - wanted).max() < 0.1 * wanted.max()
    assert ds.attrs["geometry"] == "surface"
    assert ds.attrs["origin"].startswith("instantaneous lower surface of name L")
    assert ds.attrs["area"] == pytest.approx(24 * NM**2, rel=1e-6)


@pytest.mark.parametrize("box", [BOX, LEANING])
def test_a_wave_blurs_planes_and_not_the_surface(box):
    """Planes see 1/2 - arcsin(z / A) / pi of a sinusoid; the surface sees a step."""
    u = slab(evenly(60, 900), box=box)
    view = View(300.0, electrics=Electrics("periodic"))
    planar = density_profiles(u, SOLUTE, HOW, view)
    z = planar["z"].values / NM
    level = 900 / 72.0
    off = np.clip((z - TOP) / AMPLITUDE, -1, 1)
    upper = z > 4.0
    found = planar["number_density"].values[0, 0] * NM**3 / level
    assert np.abs(found - 0.5 + np.arcsin(off) / np.pi)[upper].max() < 0.12
    ds = density_profiles(u, SOLUTE, HOW, View(300.0, SURFACE))
    s, found = ds["z"].values / NM, ds["number_density"].values[0, 0] * NM**3 / level
    assert found[s < -0.05].max() < 0.01
    assert np.abs(found[s > 0.05] - 1).max() < 0.12
    assert found[s > 0.05].mean() == pytest.approx(1, abs=0.02)
    # What is in the cells is what was within the depth of the planted surface.
    assert found.sum() * 0.05 == pytest.approx(1.5, abs=0.03)


def test_a_slab_that_drifts_and_two_processes():
    """Through all borders of the box, read in parts."""
    x = evenly(60, 200)
    view = View(300.0, SURFACE)
    still = density_profiles(slab(x, box=LEANING), SOLUTE, HOW, view)
    moving = slab(x, box=LEANING, drift=(0.31, 0.0, 0.43))
    ds = density_profiles(moving, SOLUTE, HOW, replace(view, processes=2))
    got, wanted = (one["number_density"].values[0, 0] for one in (ds, still))
    assert got.sum() == pytest.approx(wanted.sum(), rel=2e-3)
    assert np.abs(got - wanted).max() < 0.08 * wanted.max()


def test_diffusion_from_a_surface():
    """Free particles: D along, and across more by the mean square slope of the surface.

    Those whose distance from the surface walks by itself have D across, too.
    """
    frames, D, k = 1000, 0.02, 2 * np.pi / 3.0
    seen = 0.15 * np.exp(-0.5 * (k * WIDTH) ** 2)
    still = liquid((3.0, 3.0), 1.5, 3.5)
    moved = np.broadcast_to(still, (frames, *still.shape)).copy()
    loose, bound = (free(120, frames, 5.0, seed, D) for seed in (3, 7))
    phase = 0.01 * np.arange(frames)[:, None]
    moved[..., 2] += wave(moved[..., 1], phase, 0.15, 3.0)
    depth = 2.0 * np.abs((bound[..., 2] / 2.0 + 1) % 2 - 1)  # between mirrors
    bound[..., 2] = 3.5 + wave(bound[..., 1], phase, seen, 3.0) - depth
    x = np.concatenate([moved, loose, bound], axis=1)
    names = ["L"] * len(still) + ["S"] * 120 + ["T"] * 120
    u = universe(x, 0.1, (3.0, 3.0, 5.0), names, [0.0] * len(names), wrap=True)
    how = Resolution(0.05 * NM, 0.4 * PS, 16 * PS, 50, 1)
    species = {**SOLUTE, "T": "name T"}
    ds = interface_profiles(u, species, how, View(300.0, SURFACE))
    s = ds["z"].values / NM
    along, across = (
        ds[name].values[0, :, -len(s) :] * PS / NM**2 / D for name in ("D_par", "D_perp")
    )
    for one, low, slope in ((0, -0.5, 0.5 * (k * seen) ** 2), (1, 0.05, 0.0)):
        middle = (s > low) & (s < 1.0)
        assert np.abs(along[one, middle] - 1).max() < 0.12
        assert along[one, middle].mean() == pytest.approx(1, abs=0.05)
        assert across[one, middle].mean() == pytest.approx(1 + slope, abs=0.05)
    vapour = s < -0.05
    assert (ds["quality_flag"].values[1, vapour] & QUALITY_FLAGS["unvisited"]).all()
    assert not ds["number_density"].values[0, 1, vapour].any()
    assert "steady" not in ds.attrs


def test_the_potential_of_a_layer_that_waves():
    """A double layer's step of phi, sharp; charge that is left over is told."""
    x = evenly(40, 48)
    x[:, :24, 2], x[:, 24:, 2] = TOP - 0.275, TOP - 0.575
    view = View(300.0, SURFACE)
    ds = density_profiles(slab(x, charges=[0.5] * 24 + [-0.5] * 24), IONS, HOW, view)
    sheet = 0.5 * ELEMENTARY_CHARGE / NM**2
    phi = ds["potential"].values[0]
    assert phi[0] == 0
    step = -sheet * 0.3 * NM / VACUUM_PERMITTIVITY
    assert phi[-1] == pytest.approx(step, rel=0.02)
    assert ds["electric_field"].values[0, [0, -1]] == pytest.approx(0, abs=1e-3)
    assert (ds.attrs["boundary"], ds.attrs["phi_reference"]) == ("vapour", "left")
    plot_profiles(ds)
    left = density_profiles(slab(x, charges=[0.5] * 24 + [0.0] * 24), IONS, HOW, view)
    assert left.attrs["residual_field"] == pytest.approx(sheet / VACUUM_PERMITTIVITY)
    closing = replace(view, electrics=Electrics("periodic"))
    with pytest.raises(InputError, match="electrostatics of a surface"):
        density_profiles(slab(x), SOLUTE, HOW, closing)


def test_a_density_that_is_given():
    """A level of 0.3 is further out, where an error function is."""
    x = triclinic_vectors((*BOX, 90, 90, 90), float)
    own = SURFACE.heights(liquid(), x, 0).values.mean()
    given = replace(SURFACE, density=0.6 * 64 / NM**3).heights(liquid(), x, 0)
    off = np.sqrt(2) * WIDTH * erfinv(1 - 2 * 0.3)
    assert given.values.mean() - own == pytest.approx(off, rel=0.03)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"depth": 3.01 * NM}, "depth of a surface that reaches"),
        ({"vapour": 5.01 * NM}, "vapour of a surface that reaches"),
        ({"selection": "name S"}, "selection of a surface, frame 0"),
        ({"selection": "name L and not (prop y > 20 and prop y < 30)"}, "no surface"),
        ({"selection": "name L or name V"}, "no surface"),
        ({"selection": "name Q"}, "one atom or more"),
        ({"density": 200 / NM**3}, "no surface"),
        ({"density": 1 / NM**3}, "selection of a surface"),
    ],
)
def test_surfaces_that_are_not_there(change, text):
    x = np.concatenate([liquid(), liquid(bottom=5.75, top=10.5), evenly(1, 20)[0]])
    names = ["L"] * len(liquid()) + ["V"] * (len(x) - len(liquid()) - 20) + ["S"] * 20
    x = np.broadcast_to(x, (40, *x.shape)).copy()
    x[20:, : len(liquid()), 2] += wave(x[20:, : len(liquid()), 1], 0.0, 0.05)
    u = universe(x, 0.1, BOX, names, [0.0] * len(names), wrap=True)
    with pytest.raises(InputError, match=text):
        density_profiles(u, SOLUTE, HOW, View(300.0, replace(SURFACE, **change)))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"side": "left"}, "upper or lower"),
        ({"depth": 0.0}, "depth of a surface"),
        ({"width": -1.0}, "width of a surface"),
        ({"axis": "w"}, "x, y or z"),
    ],
)
def test_surfaces_that_cannot_be(given, text):
    with pytest.raises(InputError, match=text):
        replace(SURFACE, **given)


def test_boxes_and_origins_that_do_not_suit():
    u = universe(np.zeros((40, 2, 3)), 0.1, (8.0, 8.0, 8.0, 60.0, 60.0, 90.0), ["L", "S"])
    with pytest.raises(InputError, match="tilted"):
        density_profiles(u, SOLUTE, HOW, View(300.0, SURFACE))
    with pytest.raises(InputError, match="two moving origins"):
        View(300.0, SURFACE, moving="name L")
