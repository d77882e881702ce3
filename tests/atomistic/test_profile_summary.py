"""Profiles in a few lines."""

import numpy as np
import pytest
from universes import free, universe

from mesobridge.atomistic.profiles import (
    Resolution,
    View,
    density_profiles,
    interface_profiles,
)
from mesobridge.atomistic.profiles.summary import summary
from mesobridge.core.stats import half_width95
from mesobridge.core.units import NM, PS

HOW = Resolution(0.1 * NM, 0.4 * PS, 4 * PS, 50)
IONS = {"Na": "name Na", "Cl": "name Cl"}


def salt():
    return universe(free(80, 400, 2.0, 1), 0.1, (2.0,) * 3, wrap=True)


@pytest.fixture(scope="module")
def profiles():
    return interface_profiles(salt(), IONS, HOW, View(300.0, friction=1e12))


def test_a_summary_has_the_middle_with_its_interval(profiles):
    found = summary(profiles)
    middle = np.abs(np.linspace(0, 1, profiles.sizes["z"]) - 0.5) <= 0.1
    density = profiles["number_density"].values[:, 0, middle].mean(axis=1) * NM**3
    half = half_width95(density, profiles.attrs["n_units"])
    assert found.rows[0][:2] == ["Na", f"{density[0]:.4g} +- {half:.2g}"]
    assert found.rows[1][0] == "Cl"
    assert len(found.head) == len(found.rows[0]) == 4
    # 40 ions in 8 nm3; D = 0.02 nm2/ps.
    assert float(found.rows[0][1].split()[0]) == pytest.approx(5.0, rel=0.1)
    for cell in found.rows[0][2:]:
        value, _, error, *_ = cell.split()
        assert abs(float(value) - 20.0) < 2 * float(error)
    assert any(line.startswith("caution: friction of 1/ps") for line in found.remarks)
    sys = profiles["D_sys"].values[0, np.abs(np.linspace(0, 1, 21) - 0.5) <= 0.1].mean()
    assert found.rows[0][3].endswith(f"({sys * 1e9:.2g} sys.)")
    page = found._repr_html_()
    assert page.count("<tr>") == 3
    assert "D_par" in page
    named = profiles.assign_coords(species=["<Na>", "Cl"])
    assert "&lt;Na&gt;" in summary(named)._repr_html_()


def test_a_summary_of_densities_is_one_of_densities():
    ds = density_profiles(salt(), IONS, HOW, View(300.0))
    assert summary(ds).head == ["species", "density / nm-3"]
