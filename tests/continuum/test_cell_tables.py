"""Tabulated coefficients that users make from arrays."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Ion,
    Reservoir,
    Wall,
    coefficients_from_arrays,
    replicates,
)
from mesobridge.continuum.cell.observables import Amount  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.core.artefact import read_dataset, write_dataset  # noqa: E402
from mesobridge.core.errors import InputError, SchemaError  # noqa: E402

KT = 1.380649e-23 * 298.15
E = 1.602176634e-19
X = np.linspace(0, 3e-9, 31)
FADE = np.exp(-((X / 0.8e-9) ** 2))
D = {"Na": 1.33e-9 * (1 - 0.5 * FADE)}


def salt():
    return [Ion("Na", 1, "1.33e-9 m**2/s", 100.0), Ion("Cl", -1, "2.03e-9 m**2/s", 100.0)]


def test_units_and_what_is_left_out(tmp_path):
    """kT become J, the mean field is taken out once, constants fill what is not given."""
    phi = 0.05 * FADE
    table = coefficients_from_arrays(
        salt(), X, D, {"Na": 2 * FADE}, potential=phi, permittivity=60.0
    )
    write_dataset(table, tmp_path / "table.nc", "transport-coefficients/1")
    again = read_dataset(tmp_path / "table.nc", "transport-coefficients/1")
    assert again.equals(table)
    sodium, chloride = (again["mu_ex"].values[0, i] for i in (0, 1))
    assert sodium == pytest.approx(2 * FADE * KT - E * phi, rel=1e-12)
    assert chloride == pytest.approx(E * phi, rel=1e-12)
    assert again["D_perp"].values[0, 0] == pytest.approx(D["Na"])
    assert (again["D_perp"].values[0, 1] == 2.03e-9).all()
    assert again["D_par"].equals(again["D_perp"].rename("D_par"))
    assert (again["relative_permittivity"].values == 60.0).all()
    assert again["bulk_density"].values[0] == pytest.approx([6.02214076e25] * 2)
    assert again["reaction_plane"].values == pytest.approx([3e-9, 1e-10])


@pytest.mark.fem
def test_a_cell_and_its_error_bars():
    """Excess of an ion that makes no field: ``c int (exp(-W) - 1) dz``, by replicate."""
    heights = np.array([-1.0, -1.2, -0.8, -1.1, -0.9])
    ions = [Ion("A", 0, 2e-9, 100.0)]
    table = coefficients_from_arrays(
        ions, X, {}, {"A": heights[:, None] * FADE}, n_units=10
    )
    domain = interval(np.linspace(0, 6, 121), names=("wall", "bulk"))
    borders = {"wall": Wall(), "bulk": Reservoir()}
    cell = Cell(domain, ions, borders, coefficients=table, walls=["wall"])
    spread = replicates(cell, {"amount": Amount("A")})
    fine = np.linspace(0, 6e-9, 60_001)
    profile = np.exp(-((np.minimum(fine, 3e-9) / 0.8e-9) ** 2))
    exact = [100 * np.mean(np.exp(-h * profile)) * 6e-9 for h in heights]
    assert spread.values[:, 0] == pytest.approx(exact, rel=1e-4)
    assert spread.n_units == 10


def make(**changes):
    given = {"distance": X, "diffusivity": D, "pmf": None} | changes
    return coefficients_from_arrays(salt(), **given)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"pmf": {"K": FADE}}, InputError, "unknown species"),
        ({"pmf": {"Na": FADE[:-1]}}, InputError, "shape of pmf of Na"),
        (
            {"pmf": {"Na": np.ones((3, 31)), "Cl": np.ones((2, 31))}},
            InputError,
            "shape of pmf of Cl",
        ),
        ({"distance": 1e-9}, InputError, "shape of"),
        ({"distance": X[::-1]}, SchemaError, "distance is not increasing"),
        ({"diffusivity": {"Na": 0 * X}}, SchemaError, "D_par out of range"),
        ({"diffusivity": {"Na": np.nan * X}}, SchemaError, "is not finite"),
        ({"diffusivity": {"Na": 1e-9}}, InputError, "does not end at that of the ion"),
        ({"permittivity": 0.0}, SchemaError, "relative_permittivity out of range"),
    ],
)
def test_arrays_that_make_no_table(changes, error, match):
    with pytest.raises(error, match=match):
        make(**changes)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"ions": "Na"}, "ions of a cell"),
        ({"distance": ["0 nm", "1 nm"]}, "distance\n  wanted: numbers in SI"),
        ({"diffusivity": [1e-9]}, "diffusivity of coefficients"),
        ({"diffusivity": {"Na": "1e-9 m**2/s"}}, "wanted: numbers in SI"),
        ({"diffusivity": {"Na": [1e-9, [1e-9]]}}, "wanted: numbers in SI"),
        ({"pmf": "flat"}, "pmf of coefficients"),
        ({"temperature": "-5 K"}, "temperature of coefficients"),
        ({"n_units": 0}, "n_units of coefficients"),
        ({"n_units": 2.7}, "n_units of coefficients"),
    ],
)
def test_tables_of_wrong_things(changed, match):
    ions = [Ion("Na", 1, 1e-9, 100.0), Ion("Cl", -1, 1e-9, 100.0)]
    given = {"ions": ions, "distance": [0.0, 1e-9, 2e-9], "diffusivity": {}}
    with pytest.raises(InputError, match=match):
        coefficients_from_arrays(**(given | changed))
