"""What files of profiles say of where they come from, and what they warn of."""

import hashlib
import json
import threading
import warnings
from dataclasses import replace

import MDAnalysis as mda
import numpy as np
import pytest
from brownian import geometry, settings, walk
from MDAnalysis.lib.log import ProgressBar
from universes import free, universe

import mesobridge
from mesobridge.atomistic.profiles import extract_profiles
from mesobridge.atomistic.profiles.interface import (
    Resolution,
    View,
    density_profiles,
    interface_profiles,
)
from mesobridge.atomistic.profiles.origin import heavy_hydrogens
from mesobridge.core.artefact import read_dataset, write_dataset
from mesobridge.core.cautions import Caution, cautions
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.schema import validate
from mesobridge.core.units import NM, PS

HOW = Resolution(0.1 * NM, 0.4 * PS, 4 * PS, 50)
IONS = {"Na": "name Na", "Cl": "name Cl"}


def salt(frames=400):
    return universe(free(80, frames, 2.0, 1), 0.1, (2.0,) * 3, wrap=True)


@pytest.fixture(scope="module")
def profiles():
    view = View(300.0, thermostat="Nose-Hoover", friction=0.0)
    return interface_profiles(salt(), IONS, HOW, view)


def water(hydrogen, names=("OW", "HW1", "HW2")):
    """One molecule with that mass of hydrogen; the total does not change."""
    u = mda.Universe.empty(3, atom_resindex=[0] * 3, trajectory=True)
    if names:
        u.add_TopologyAttr("names", list(names))
    u.add_TopologyAttr("masses", [18.016 - 2 * hydrogen, hydrogen, hydrogen])
    return u


@pytest.mark.parametrize(
    ("mass", "heavy"),
    [(1.008, False), (2.014, False), (2.016, True), (3.0, True), (4.0, True)],
)
@pytest.mark.parametrize("names", [("OW", "HW1", "HW2"), ("O", "1H", "2H")])
def test_heavy_hydrogens_are_seen_in_masses_and_deuterium_is_none(mass, heavy, names):
    assert heavy_hydrogens(water(mass, names)) is heavy


def test_what_is_no_hydrogen_is_not_heavy():
    u = mda.Universe.empty(3, atom_resindex=[0, 1, 2], n_residues=3, trajectory=True)
    u.add_TopologyAttr("names", ["HG", "HE", "Na"])
    u.add_TopologyAttr("masses", [200.59, 4.0026, 22.99])
    assert heavy_hydrogens(u) is False
    named = water(3.0, ("X", "Y", "Z"))
    assert heavy_hydrogens(named) is False
    named.add_TopologyAttr("elements", ["O", "H", "H"])
    assert heavy_hydrogens(named) is True
    u.add_TopologyAttr("elements", ["Hg", "He", "Na"])
    assert heavy_hydrogens(u) is False


def test_masses_that_are_guesses_tell_nothing(tmp_path):
    u = water(3.0)
    u.dimensions = [20.0, 20.0, 20.0, 90, 90, 90]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        u.atoms.write(str(tmp_path / "w.gro"))
        guessed = mda.Universe(str(tmp_path / "w.gro"))
    assert heavy_hydrogens(guessed) is None
    assert heavy_hydrogens(water(3.0, names=())) is None
    guessed.add_TopologyAttr("masses", [12.0, 3.0, 3.0])
    assert heavy_hydrogens(guessed) is True


def test_a_file_tells_files_hashes_versions_settings_and_time(tmp_path):
    u, parts = salt(120), [tmp_path / "a.xtc", tmp_path / "b.xtc"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        u.atoms.write(str(tmp_path / "salt.gro"))
        for part, rows in zip(parts, (slice(0, 60), slice(60, 120)), strict=True):
            u.atoms.write(str(part), frames=u.trajectory[rows])
        read = mda.Universe(str(tmp_path / "salt.gro"), [*map(str, parts)])
    charges = {"Na": 1.0, "Cl": -1.0}
    how, view = replace(HOW, block=1 * PS), View(300.0, charges=charges, start=10)
    ds = density_profiles(read, IONS, how, view)
    write_dataset(ds, tmp_path / "p.nc", "density-profiles/1")
    attrs = read_dataset(tmp_path / "p.nc", "density-profiles/1").attrs
    assert (attrs["trajectory"], attrs["topology"]) == ("a.xtc, b.xtc", "salt.gro")
    wanted = [hashlib.sha256(part.read_bytes()).hexdigest() for part in parts]
    assert attrs["trajectory_sha256"] == ", ".join(wanted)
    told = json.loads(attrs["settings"])
    assert told["species"] == IONS
    assert told["view"]["start"] == 10
    assert told["view"]["charges"] == charges
    assert told["resolution"]["bin"] == HOW.bin
    assert json.loads(attrs["versions"])["mesobridge"] in (
        mesobridge.__version__, "absent",
    )  # fmt: skip
    assert json.loads(attrs["versions"])["MDAnalysis"] == mda.__version__
    assert attrs["created"].endswith("+00:00")
    assert np.allclose(attrs["box"], 2 * NM, rtol=1e-6)
    assert attrs["hmr"] == 0
    # A file that changes has another hash, at once.
    with open(parts[0], "ab") as handle:
        handle.write(parts[1].read_bytes())
    changed = mda.Universe(str(tmp_path / "salt.gro"), str(parts[0]))
    other = density_profiles(changed, IONS, how, View(300.0, charges=charges))
    digest = hashlib.sha256(parts[0].read_bytes()).hexdigest()
    assert other.attrs["trajectory_sha256"] == digest


def test_what_is_in_memory_says_so(profiles):
    assert profiles.attrs["trajectory"] == profiles.attrs["topology"] == "in memory"
    assert "trajectory_sha256" not in profiles.attrs
    assert profiles.attrs["thermostat"] == "Nose-Hoover"
    assert profiles.attrs["friction"] == 0.0


def test_locks_of_other_threads_are_not_forked():
    """The monitor of progress bars holds theirs at times; processes waited for ever."""
    held, over, done = (threading.Event() for _ in range(3))

    def hold():
        with ProgressBar.get_lock():
            held.set()
            over.wait(60)

    def work():
        density_profiles(salt(), IONS, HOW, View(300.0, processes=2))
        done.set()

    threading.Thread(target=hold, daemon=True).start()
    assert held.wait(10)
    threading.Thread(target=work, daemon=True).start()
    assert done.wait(50)
    over.set()


def test_the_mean_box_is_that_of_frames_that_count():
    lengths = 2.0 + 0.01 * np.sin(np.arange(400))
    box = np.stack([np.full(400, 2.0), np.full(400, 2.0), lengths], axis=1)
    u = universe(free(80, 400, 2.0, 1) % 2.0, 0.1, box)
    ds = density_profiles(u, IONS, HOW, View(300.0, start=37, processes=2))
    used = ds.attrs["n_units"] * round(ds.attrs["block_length"] / (0.1 * PS))
    assert np.allclose(ds.attrs["box"][2] / NM, lengths[37 : 37 + used].mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("how", "text"),
    [({"hmr": True}, "HMR"), ({"friction": 1e12}, "friction of 1/ps")],
)
def test_what_changes_diffusion_is_warned_of(how, text):
    with pytest.warns(Caution, match=text):
        ds = interface_profiles(salt(), IONS, HOW, View(300.0, **how))
    assert any(text in line for line in cautions(ds))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Caution)  # densities do not feel it
        density_profiles(salt(), IONS, HOW, View(300.0, **how))


def test_bad_friction_and_attributes_are_refused(profiles):
    with pytest.raises(InputError, match="friction"):
        View(300.0, friction=-1.0)
    for attr, value in (("hmr", 2), ("friction", -1.0), ("box", np.zeros(3))):
        with pytest.raises(SchemaError, match=attr):
            validate(profiles.assign_attrs({attr: value}), "interface-profiles/1")


def test_frames_in_memory_pass_their_dynamics_on():
    frames = walk(64, 20.0, 4).assign_attrs(thermostat="Langevin", friction=1e11)
    ds = extract_profiles([frames], geometry(), settings())
    assert ds.attrs["friction"] == 1e11
    assert ds.attrs["thermostat"] == "Langevin"
    assert ds.attrs["hmr"] == 0
    assert json.loads(ds.attrs["settings"])["resolution"]["lag"] == settings().lag
    assert "created" not in ds.attrs  # what is made again is equal, byte by byte
