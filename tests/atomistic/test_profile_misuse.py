"""What users get wrong, or their files have, is told or put right."""

import subprocess
import sys
import time

import numpy as np
import pytest
from universes import free, universe

from mesobridge.atomistic.profiles import (
    Electrics,
    Resolution,
    Shell,
    Slab,
    Species,
    View,
    bulk_transport,
    density_profiles,
    dielectric_response,
    even_spacing,
    interface_profiles,
    residence_times,
)
from mesobridge.atomistic.profiles.settings import MOST_CELLS
from mesobridge.atomistic.profiles.summary import summary
from mesobridge.core.errors import InputError
from mesobridge.core.units import PS, quantity

BOX = (3.0, 3.0, 3.0)
ALL = {"all": "all"}
NEUTRAL = View(300.0, charges={"all": 0.0}, electrics=Electrics("periodic"))


@pytest.fixture(scope="module")
def walkers():
    return universe(free(40, 200, 3.0, 1, D=0.02), 1.0, BOX, wrap=True)


def densities(u, block=None, view=NEUTRAL, **species):
    return density_profiles(u, species or ALL, Resolution(0.1e-9, 0.0, block), view)


def test_late_times_in_single_precision_are_equally_spaced():
    late = (1e5 + 0.1 * np.arange(300)).astype("f4").astype(float) * PS
    assert np.ptp(np.diff(late)) > 0.05 * 0.1 * PS
    assert even_spacing(late) == pytest.approx(0.1 * PS, rel=1e-3)
    twice = np.concatenate([late[:100], late[99:]])
    with pytest.raises(InputError, match="appended twice"):
        even_spacing(twice)
    with pytest.raises(InputError, match="not equally spaced"):
        even_spacing(late[::-1])


@pytest.mark.parametrize("bin", [0.0, -1e-10, 1e-18, np.nan])
def test_cells_without_number(walkers, bin):
    with pytest.raises(InputError, match=f"at most {MOST_CELLS}"):
        dielectric_response(
            walkers, bin=bin, temperature=300.0, boundary="slab",
            charges={"all": 0.0},
        )  # fmt: skip
    with pytest.raises(InputError, match="bin|at most"):
        density_profiles(walkers, ALL, Resolution(bin, 0.0), NEUTRAL)


def test_frames_are_counted_from_the_first(walkers):
    for start, stop in ((-50, None), (0, -5), (300, None), (20, 20)):
        with pytest.raises(InputError, match="0 <= start < stop <= 200"):
            residence_times(walkers, ALL, Slab(1e-9, 2e-9), start=start, stop=stop)
        with pytest.raises(InputError, match="0 <= start < stop <= 200"):
            bulk_transport(
                walkers, ALL, temperature=300.0, collective=False, start=start, stop=stop
            )


def test_pooled_blocks_and_groups_say_what_they_are(walkers):
    found = densities(walkers, block=1e-12)
    assert found.attrs["block_length"] == pytest.approx(4e-12)
    assert found.attrs["units"] == "50 time blocks 4 times as long as asked for"
    assert "units of 4 ps: 50 time blocks" in str(summary(found))
    grouped = densities(walkers)
    assert grouped.attrs["units"].startswith("24 groups of particles")
    assert "24 groups of particles" in str(summary(grouped))


def test_residues_longer_than_half_of_the_box_are_not_made_whole():
    chain = np.zeros((8, 20, 3))
    chain[..., 2] = 0.1 * np.arange(20)
    u = universe(chain, 1.0, BOX, residues=[0] * 20)
    with pytest.raises(InputError, match="too long to be made whole"):
        densities(u, all=Species("all", "residues"))
    short = universe(0.5 * chain + 2.5, 1.0, BOX, residues=[0] * 20, wrap=True)
    found = densities(short, 1e-12, all=Species("all", "residues"))
    assert found["number_density"].values[0, 0].argmax() == 29  # 2.5 + 0.95 / 2 nm


def test_an_origin_without_mass_and_particles_that_are_all_there_is(walkers):
    u = walkers.copy()
    u.atoms.masses = np.where(np.arange(40) < 20, 0.0, 20.0)
    view = View(300.0, moving="index 0:19", charges={"all": 0.0})
    with pytest.raises(InputError, match="atoms without mass"):
        densities(u, view=view, a="index 20:39")
    one = universe(free(1, 400, 3.0, 1, D=0.02), 1.0, BOX, wrap=True)
    how = Resolution(0.1e-9, 4e-12, 40e-12, 50)
    with pytest.raises(InputError, match="two particles or more"):
        interface_profiles(one, ALL, how, NEUTRAL)
    with pytest.raises(InputError, match="no --lag"):
        interface_profiles(walkers, ALL, Resolution(0.1e-9, 0.0), NEUTRAL)


@pytest.mark.parametrize(
    "option", [{"cutoff": 1e-12}, {"solvent": "all"}, {"lags": (1e-12, 2e-12)}]
)
def test_options_that_do_nothing_are_refused(walkers, option):
    method = "green-kubo" if "lags" in option else "einstein"
    with pytest.raises(InputError, match=f"do nothing here\n.*\n.*{next(iter(option))}"):
        bulk_transport(
            walkers, ALL, temperature=300.0, charges={"all": 0.0}, method=method, **option
        )


def test_angstrom_is_written_with_its_letter():
    assert quantity("0.5 Å", "m") == pytest.approx(0.5e-10)


def test_shells_around_sites_without_mass(walkers):
    u = walkers.copy()
    u.atoms.masses = np.where(np.arange(40) < 20, 0.0, 20.0)
    found = residence_times(u, {"a": "index 20:39"}, Shell("index 0:19", 0.4e-9))
    assert found["time"].values[0, 0] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux'")
def test_readers_do_not_outlive_who_started_them():
    code = (
        "import multiprocessing, os, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from mesobridge.core.process import reader\n"
        "fork = multiprocessing.get_context('fork')\n"
        "pool = ProcessPoolExecutor(1, fork, reader, (os.getpid(),))\n"
        "print(pool.submit(os.getpid).result(), flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    parent.terminate()
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        try:
            with open(f"/proc/{child}/stat") as stat:
                alive = stat.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            alive = False
        if not alive:
            break
        time.sleep(0.05)
    assert not alive
