"""From trajectories of MDAnalysis to bulk transport and dielectric profiles."""

from pathlib import Path

import numpy as np
import pytest
from universes import free, universe

import mesobridge
from mesobridge.atomistic.profiles import Species, bulk_diffusion, collective_transport
from mesobridge.atomistic.profiles.readers import read_dielectric, read_paths
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
    profile, sums = read_dielectric(
        water(), bin=1.25 * NM, units=5, temperature=300.0, boundary="periodic"
    )
    assert sums.frames.sum() == 301
    assert profile.parallel.shape == (201, 2)
    assert 10 < profile.parallel[0].mean() < 150  # 30 ps tell no better
    assert np.abs(profile.inverse_perpendicular[0]).max() < 0.3


def test_what_cannot_be_read():
    x = free(20, 3, 3.0, 9)
    with pytest.raises(InputError, match="two or more"):
        read_paths(universe(x, 0.1, (3.0,) * 3), IONS, start=2)
    bound = universe(x, 0.1, (3.0,) * 3, charges=[0.0] * 20)
    with pytest.raises(InputError, match="units of the dielectric profile"):
        read_dielectric(bound, bin=NM, units=9, temperature=300.0, boundary="periodic")
    ions = universe(x[:, :10], 0.1, (3.0,) * 3, charges=[1.0] * 10)
    with pytest.raises(InputError, match="charged"):  # they have no dipole of their own
        read_dielectric(ions, bin=NM, units=2, temperature=300.0, boundary="periodic")
