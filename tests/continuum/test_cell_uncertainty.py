"""Derivatives and error bars of cells with tabulated profiles."""

import numpy as np
import profiled_cell as film
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Ion,
    Reservoir,
    Symmetry,
    replicates,
    sensitivity,
)
from mesobridge.continuum.cell.observables import (  # noqa: E402
    Amount,
    Charge,
    Current,
    Inflow,
    Potential,
)
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem
KT = film.KT
NUMBERS = {
    "current": Current("bulk"),
    "charge": Charge("wall"),
    "uptake": Inflow("wall", "Na"),
    "amount": Amount("Cl"),
}


def test_observables_are_those_of_the_state():
    state = film.make_cell().steady()
    assert Current("bulk")(state) == pytest.approx(state.current["bulk"], rel=1e-12)
    assert Charge("wall")(state) == pytest.approx(state.charge["wall"], rel=1e-12)
    inflow = state.inflow["Na", "wall"]
    assert Inflow("wall", "Na")(state) == pytest.approx(inflow, rel=1e-12)
    chloride = np.interp(np.linspace(0, 6e-9, 6001), state.x, state.concentration["Cl"])
    assert Amount("Cl")(state) == pytest.approx(chloride.mean() * 6e-9, rel=1e-3)
    with pytest.raises(InputError, match="unknown border"):
        Current("nowhere")(state)
    with pytest.raises(InputError, match="unknown species"):
        Amount("Li")(state)
    with pytest.raises(InputError, match="not found but given"):
        Potential()(state)


@pytest.mark.parametrize("name", NUMBERS)
def test_derivatives_by_tables_are_those_of_new_solutions(name):
    """Each table value moved by itself, against the adjoint."""
    table, observable = film.sampled(), NUMBERS[name]
    slope = sensitivity(film.make_cell(table).steady(), observable)
    assert slope.attrs["value"] == observable(film.make_cell(table).steady())
    step = 1e-3
    for variable, species, k in (("mu_ex", 0, 4), ("mu_ex", 1, 9), ("D_perp", 0, 6)):
        moved = []
        for way in (step, -step):
            other = table.copy(deep=True)
            values = other[variable].values[0, species]
            values[k] = (
                values[k] + way * KT if variable == "mu_ex" else values[k] * np.exp(way)
            )
            moved.append(observable(film.make_cell(other).steady()))
        by = slope["by_mu_ex" if variable == "mu_ex" else "by_ln_D_perp"].values[
            species, k
        ]
        change = (moved[0] - moved[1]) / (2 * step)
        scale = np.abs(slope["by_mu_ex"].values).max()
        assert by == pytest.approx(change, rel=1e-3, abs=1e-6 * scale)


def test_derivatives_at_nodes_without_tables():
    """Charge of an electrode by fixed charge: what it adds is mirrored."""
    domain = interval(graded(20.0, 0.05, growth=1.2), names=("electrode", "bulk"))
    ions = [Ion("K", 1, 2e-9, "0.1 mol/L"), Ion("Cl", -1, 2e-9, "0.1 mol/L")]
    borders = {"electrode": Electrode(0.02), "bulk": Reservoir()}

    def charge(density):
        return Cell(domain, ions, borders, fixed_charge=density).steady()

    slope = sensitivity(charge(0.0), Charge("electrode"))
    step = 1e3
    change = [Charge("electrode")(charge(way * step)) for way in (1, -1)]
    total = float(slope["by_fixed_charge"].sum())
    assert total == pytest.approx((change[0] - change[1]) / (2 * step), rel=1e-6)
    assert total < 0
    assert slope["by_ln_D"].dims == ("species", "node")
    # At equilibrium it does not matter how fast ions are.
    assert np.abs(slope["by_ln_D"].values).max() < 1e-12 * abs(slope.attrs["value"])
    assert slope["position"].dims == ("node", "xyz")


def test_derivatives_by_the_tensor_in_the_plane():
    """A flux along the wall feels D_par alone; its sum over ln D_par is the flux."""
    table = film.profiles(np.zeros((1, 2, 31)), np.tile(1 - 0.4 * film.FADE, (1, 2, 1)))
    wide = rectangle(np.linspace(0, 4, 5), np.linspace(0, 3, 16))
    ions = [Ion("Na", 1, 2e-9, 100.0), Ion("Cl", -1, 2e-9, 100.0)]
    borders = {name: Symmetry() for name in wide.borders}
    borders |= {"left": Reservoir(concentration={"Na": 101.0, "Cl": 101.0})}
    borders |= {"right": Reservoir()}
    cell = Cell(wide, ions, borders, coefficients=table, walls=["bottom"])
    slope = sensitivity(cell.steady(), Inflow("left", "Na"))
    total = float(slope["by_ln_D_par"].sum())
    assert total == pytest.approx(slope.attrs["value"], rel=1e-6)
    assert abs(float(slope["by_ln_D_perp"].sum())) < 1e-6 * total
    assert (slope["by_ln_D_par"].values[0, 1:-1] > 0).all()
    assert np.abs(slope["by_ln_D_par"].values[1]).max() < 1e-9 * total  # no field


def test_replicates_become_error_bars():
    cell = film.make_cell()
    spread = replicates(cell, NUMBERS)
    assert spread.values.shape == (9, 4)
    assert not spread.failures
    estimates = spread.estimates()
    assert estimates["current"]["unit"] == "A m-2"
    assert estimates["uptake"]["unit"] == "mol s-1 m-2"
    low, high = estimates["current"]["ci95"]
    assert low < estimates["current"]["value"] < high
    alone = Cell(
        cell.domain,
        cell.ions,
        cell.borders,
        coefficients=film.sampled(),
        walls=["wall"],
        replicate=5,
    ).steady()
    found = [observable(alone) for observable in NUMBERS.values()]
    assert spread.values[5] == pytest.approx(found, rel=1e-8)
    assert "current: " in str(spread)
    assert "A m-2" in str(spread)


def test_replicates_by_two_processes():
    one = replicates(film.make_cell, NUMBERS)
    two = replicates(film.make_cell, NUMBERS, workers=2)
    assert two.values == pytest.approx(one.values, rel=1e-10)


def test_cells_without_replicates():
    ions = [Ion("K", 1, 2e-9, "0.1 mol/L"), Ion("Cl", -1, 2e-9, "0.1 mol/L")]
    domain = interval(np.linspace(0, 5, 30))
    cell = Cell(domain, ions, {"left": Reservoir(), "right": Reservoir()})
    with pytest.raises(InputError, match="no coefficients"):
        replicates(cell, {"i": Current("left")})
    with pytest.raises(InputError, match="cannot be sent"):
        replicates(film.make_cell(), {"i": Current("bulk")}, workers=2)


def test_profiles_of_another_temperature_or_ion():
    good = film.sampled()
    with pytest.raises(InputError, match="another temperature"):
        film.make_cell(good.assign_attrs(temperature=1200.0))
    other = good.copy(deep=True)
    other["charge_number"].values[:] = [2.0, -1.0]
    with pytest.raises(InputError, match="other charges"):
        film.make_cell(other)
