"""From trajectories of MDAnalysis to bulk transport and dielectric profiles."""

from pathlib import Path

import numpy as np
import pytest
from universes import free, universe

import mesobridge
from mesobridge.atomistic.profiles import (
    Species,
    bulk_diffusion,
    collective_transport,
    dielectric_response,
    even_spacing,
)
from mesobridge.atomistic.profiles.readers import read_paths
from mesobridge.core.errors import InputError
from mesobridge.core.stats import half_width95
from mesobridge.core.units import NM, PS

IONS = {"Na": "name Na", "Cl": "name Cl"}


def water():
    """510 SPC/E waters in the folder of shared data, or skip."""
    for folder in Path(mesobridge.__file__).resolve().parents[:2]:
        data = folder / "shared" / "data" / "spce510"
        if data.is_dir():
            mda = pytest.importorskip("MDAnalysis")
            return mda.Universe(
                str(data / "spce510.tpr"), str(data / "spce510_300K_0.1ps.trr")
            )
    pytest.skip("shared/data/spce510 is not there")


@pytest.mark.parametrize(("spacing", "length"), [(0.1, 3000.0), (0.004, 500.0)])
def test_times_in_single_precision_are_equally_spaced(spacing, length):
    """Rounded to 0.1 to 1 % of the spacing; a lost frame is told all the same."""
    times = (spacing * np.arange(round(length / spacing))).astype(np.float32) * PS
    assert np.ptp(np.diff(times.astype(float))) > 2e-3 * spacing * PS
    assert even_spacing(times) == pytest.approx(spacing * PS, rel=1e-6)
    with pytest.raises(InputError, match="not equally spaced"):
        even_spacing(np.delete(times, -10))


@pytest.mark.parametrize("wrap", [True, False])
def test_paths_of_free_particles(wrap):
    x = free(200, 600, 3.0, 9)
    paths, z = read_paths(universe(x, 0.1, (3.0,) * 3, wrap=wrap), IONS)
    assert z == {"Na": 1.0, "Cl": -1.0}
    moved = paths.positions - paths.positions[0]
    assert moved / NM == pytest.approx(x - x[0], abs=1e-4)
    found = bulk_diffusion([paths], block=10 * PS, replicates=100, seed=1)
    half = half_width95(found.D, found.n_units)
    assert np.abs(found.D[0] - 2e-8) == pytest.approx(0.0, abs=2.5 * half.max())
    # Independent ions: sigma = sum n z^2 e^2 D / kT.
    collective = collective_transport(
        [paths], charge_number=z, temperature=300.0, block=10 * PS, replicates=100, seed=1
    )
    exact = 200 / 27e-27 * 1.602176634e-19**2 * 2e-8 / (1.380649e-23 * 300)
    assert collective.nernst_einstein[0] == pytest.approx(exact, rel=0.1)


def test_water_diffuses_as_SPCE_does():
    """Near 2.4e-9 m2/s in this box (its limit is 2.5-2.9, doi:10.1021/jp0477147)."""
    paths, _ = read_paths(water(), {"water": Species("all", "residues")})
    found = bulk_diffusion([paths], block=5 * PS, replicates=100, seed=1)
    assert 2.2e-9 < found.D[0, 0] < 3.0e-9


def test_water_is_a_good_dielectric():
    ds = dielectric_response(
        water(), bin=1.25 * NM, block=6 * PS, temperature=300.0, boundary="periodic"
    )
    assert ds.attrs["n_units"] == 5
    assert ds["parallel"].shape == (201, 2)
    assert 10 < ds["parallel"].values[0].mean() < 150  # 30 ps tell no better
    assert np.abs(ds["inverse_perpendicular"].values[0]).max() < 0.3
    assert ds.attrs["bulk_low"] < 71 < ds.attrs["bulk_high"]  # SPC/E
    assert ds.attrs["blocks_too_short"]  # its dipole relaxes in 10 ps


def test_what_cannot_be_read():
    x = free(20, 3, 3.0, 9)
    with pytest.raises(InputError, match="two or more"):
        read_paths(universe(x, 0.1, (3.0,) * 3), IONS, start=2)
