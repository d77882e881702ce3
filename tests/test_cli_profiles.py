"""`mesobridge profiles`: files in, files out, and messages a user can act on."""

import MDAnalysis as mda
import numpy as np
import pytest
import xarray as xr
from brownian import EDGE, walk
from universes import universe

from mesobridge.core.units import NM

WANTED = [
    "--species", "Na=name Na", "--species", "Cl=name Cl", "--charge", "name Na=1",
    "--charge", "name Cl=-1", "--lag", "0.2 ps", "--block", "5 ps", "--temperature",
    "1200 K", "--bin", "0.05 nm", "--left", "5 nm", "--right", "6.6 nm",
    "--replicates", "50", "--quiet",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trajectory")
    x = 10 * walk(64, 20.0, 4)["positions"].values / NM
    u = mda.Universe.empty(64, n_residues=64, atom_resindex=range(64), trajectory=True)
    u.add_TopologyAttr("names", ["Na"] * 32 + ["Cl"] * 32)
    u.add_TopologyAttr("resnames", ["ION"] * 64)
    u.add_TopologyAttr("resids", list(range(1, 65)))
    u.load_new(x.astype("f4"), dt=0.02, dimensions=[10 * EDGE] * 2 + [130, 90, 90, 90])
    u.atoms.write(str(folder / "salt.gro"))
    u.atoms.write(str(folder / "salt.xtc"), frames="all")
    return folder / "salt.xtc", folder / "salt.gro"


def test_a_trajectory_becomes_profiles_and_a_picture(mesobridge, files, tmp_path):
    trajectory, topology = files
    code, out, err = mesobridge(
        "profiles", trajectory, "--topology", topology, *WANTED, "--out", "p.nc",
        "--plot", "p.png", "--thermostat", "langevin", "--friction", "1/ps",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "p.nc: interface-profiles/1, 32 cells" in out
    assert "units of 5 ps: 4 time blocks" in out
    assert "caution: friction of 1/ps" in out
    ds = xr.open_dataset(tmp_path / "p.nc", engine="h5netcdf")
    assert ds.attrs["schema"] == "interface-profiles/1"
    assert ds.attrs["trajectory"] == "salt.xtc"
    assert len(ds.attrs["topology_sha256"]) == 64
    assert ds.attrs["thermostat"] == "langevin"
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"


def test_profiles_from_the_surface_of_a_liquid(mesobridge, tmp_path):
    places = np.mgrid[0:10, 0:10, 4:12].reshape(3, -1).T * 0.25
    u = universe(np.broadcast_to(places, (8, *places.shape)), 1.0, (2.5, 2.5, 5.0))
    u.add_TopologyAttr("resnames", ["MOL"] * len(places))
    u.add_TopologyAttr("resids", list(range(len(places))))
    u.atoms.write(str(tmp_path / "slab.gro"))
    u.atoms.write(str(tmp_path / "slab.xtc"), frames="all")
    code, _, err = mesobridge(
        "profiles", "slab.xtc", "--topology", "slab.gro", "--species", "all=all",
        "--charge", "all=0", "--temperature", "300 K", "--bin", "0.25 nm", "--block",
        "1 ps", "--geometry", "surface", "--surface", "all", "--depth", "1.75 nm",
        "--vapour", "2 nm", "--side", "lower", "--quiet",
    )  # fmt: skip
    assert (code, err) == (0, "")
    ds = xr.open_dataset(tmp_path / "profiles.nc", engine="h5netcdf")
    assert (
        ds.attrs["origin"] == "instantaneous lower surface of all, Gaussians of 0.24 nm"
    )
    density = ds["number_density"].values[0, 0] * NM**3
    assert density[ds["z"] > 0] == pytest.approx(64.0, rel=0.2)
    assert not density[ds["z"] < 0].any()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (["--species", "Na"], "NAME=SELECTION"),
        (["--charge", "name Na=one"], "charge of name Na"),
        (["--lag", "2 nm"], "2 nm"),
        (["--friction", "0.1 ps"], "0.1 ps"),
        (["--geometry", "conical"], "geometry of profiles"),
        (["--geometry", "spherical"], "with a radius"),
        (["--geometry", "surface"], "selection that makes the surface"),
        (["--boundary", "open"], "boundary"),
        (["--axis", "w"], "x, y or z"),
        (["--out", "nowhere/p.nc"], "cannot be written"),
        (["--topology", "other.gro"], "not there"),
        (["--out", "."], "is a folder"),
        (["--out", "p.png", "--plot", "p.png"], "written over"),
        (["--lag", "0 ps"], "no --lag"),
        (["--radius", "1 nm"], "--radius with --geometry planar"),
        (["--left", "5.5 nm"], "outside the walls"),
    ],
)
def test_bad_input(mesobridge, files, tmp_path, change, text):
    trajectory, topology = files
    code, _, err = mesobridge(
        "profiles", trajectory, "--topology", topology, *WANTED, *change
    )
    assert code == 2
    assert text in err
    assert not list(tmp_path.iterdir())


def test_what_is_read_is_not_written_over(mesobridge, files):
    trajectory, topology = files
    before = trajectory.read_bytes(), topology.read_bytes()
    for change in (["--out", trajectory], ["--plot", topology]):
        code, _, err = mesobridge(
            "profiles", trajectory, "--topology", topology, *WANTED, *change
        )
        assert code == 2
        assert "written over" in err
    assert (trajectory.read_bytes(), topology.read_bytes()) == before
