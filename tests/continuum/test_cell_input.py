"""What cells refuse or warn of, rather than compute something else."""

import warnings

import numpy as np
import profiled_cell as film
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Fixed,
    Ion,
    Outlet,
    Redox,
    Reservoir,
    Wall,
    voltage_step,
)
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402
from mesobridge.core.schema import dataset  # noqa: E402

pytestmark = pytest.mark.fem
FLAT = np.zeros((1, 2, len(film.DISTANCE)))
FINE, COARSE = graded(20.0, 0.05, growth=1.2), np.linspace(0, 20, 11)


def salt(charges=(1, -1)):
    return [Ion(n, z, 2e-9, 100.0) for n, z in zip(("Na", "Cl"), charges, strict=True)]


def cell(left, vertices=FINE, right=None, ions=None, **options):
    borders = {"left": left, "right": right or Reservoir()}
    return Cell(interval(vertices), ions or salt(), borders, **options)


def activity(temperature=298.15):
    c = np.array([1.0, 10.0, 1000.0]) * 6.022e23
    values = {
        "concentration": c,
        "ln_gamma": [[-0.03, -0.1, -0.3]],
        "dln_gamma_dln_c": [[-0.015, -0.05, -0.05]],
    }
    attrs = {"temperature": temperature, "salt": "NaCl", "n_units": 10}
    return dataset("activity/1", values, attrs)


def test_an_outlet_of_a_solvent_at_rest():
    with pytest.raises(InputError, match="solvent at rest"):
        cell(Outlet())


def test_a_parameter_with_the_name_of_an_ion():
    reaction = ("k * Na", {"Na": 0})
    with pytest.raises(InputError, match="both for Na"):
        cell(Wall(), reactions=[reaction], parameters={"k": 1.0, "Na": 2.0})


def test_activities_of_another_temperature_or_of_no_salt():
    assert cell(Wall(), activity=activity()).steady().audit().worst < 1e-10
    with pytest.raises(InputError, match="another temperature"):
        cell(Wall(), activity=activity(900.0))
    with pytest.raises(InputError, match="opposite charge"):
        cell(Wall(), ions=[*salt(), Ion("K", 1, 2e-9, 1.0)], activity=activity())
    with pytest.raises(InputError, match=r"Cl \(\+2\), Na \(\+1\)"):
        cell(Wall(), right=Wall(), ions=salt((1, 2)), activity=activity())


@pytest.mark.parametrize(
    ("names", "charges", "bulk", "known"),
    [
        (("Na", "Cl"), (1, -1), (1, 1), "NaCl"),
        (("Cl", "Na"), (-1, 1), (1, 1), "NaCl"),
        (("Ca", "Cl"), (2, -1), (1, 2), "CaCl2"),
        (("Mg", "SO4"), (2, -2), (1, 1), "MgSO4"),
        (("NH4", "SO4"), (1, -2), (2, 1), "(NH4)2SO4"),
    ],
)
def test_activities_of_another_salt(names, charges, bulk, known):
    table = activity()
    ions = [
        Ion(*one, 2e-9, 100.0 * n) for *one, n in zip(names, charges, bulk, strict=True)
    ]
    table.attrs["salt"] = known
    cell(Wall(), ions=ions, activity=table)
    table.attrs["salt"] = "KBr"
    with pytest.raises(InputError, match="of another salt") as caught:
        cell(Wall(), ions=ions, activity=table)
    assert caught.value.got == "KBr"


def test_activities_of_fractions_of_charges():
    ions = [Ion("Na", 0.5, 2e-9, 200.0), Ion("Cl", -1, 2e-9, 100.0)]
    with pytest.raises(InputError, match="in whole numbers"):
        cell(Wall(), ions=ions, activity=activity())


def test_activities_of_a_salt_of_other_charges():
    table, ions = activity(), [Ion("Na", 2, 2e-9, 50.0), Ion("Cl", -1, 2e-9, 100.0)]
    with pytest.raises(InputError, match=r"NaCl2, of Na \(\+2\) and Cl \(-1\)"):
        cell(Wall(), ions=ions, activity=table)


def test_another_diffusivity_than_in_the_bulk_of_the_coefficients():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        film.make_cell(film.profiles(FLAT, 1 + FLAT, (1.7e-9, 2.3e-9)))
    table = film.profiles(FLAT, 1 + FLAT, (1.6e-9, 2e-9))
    with pytest.warns(UserWarning, match="Na is 2e-09 m2/s, but 1.6e-09 m2/s"):
        film.make_cell(table)


def test_electroneutral_cells_have_no_double_layer():
    with pytest.raises(InputError, match="blocking electrode"):
        cell(Electrode(0.5), electroneutral=True)
    plating = Redox({}, {"Na": 1}, exchange_current="1 A/m**2")
    behind = Electrode(stern="20 uF/cm**2", reactions=(plating,))
    with pytest.warns(UserWarning, match="Stern layer at 'left' is left out"):
        cell(behind, electroneutral=True)
    with pytest.raises(InputError, match="is not neutral"):
        cell(Fixed({"Na": 100.0, "Cl": 90.0}), electroneutral=True)
    one = cell(Fixed({"Na": 50.0}), electroneutral=True).steady()
    assert one.concentration["Cl"][0] == pytest.approx(50.0, rel=1e-9)


def test_warnings_of_coarse_meshes_are_where_double_layers_are():
    with pytest.warns(UserWarning, match="cells at 'left'"):
        cell(Electrode(0.0), COARSE)  # which may be driven later
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        cell(Reservoir("0.1 V"), COARSE)
        cell(Wall(), COARSE)
        cell(Electrode(0.0), FINE)


def test_every_replicate_reaches_bulk():
    table = film.sampled()
    table["mu_ex"].values[3, 1, -1] = 0.2 * film.KT
    with pytest.raises(InputError, match="mu_ex of Cl does not reach bulk"):
        film.make_cell(table)


def test_the_permittivity_is_that_of_the_profiles():
    table = film.sampled()
    table["relative_permittivity"].values[:] = 10.0
    assert film.make_cell(table).debye_length == pytest.approx(
        film.make_cell().debye_length * np.sqrt(10.0 / 78.49), rel=1e-12
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("unit", "-1 nm"), ("unit", 0.0), ("temperature", 0.0), ("permittivity", -2.0)],
)
def test_scales_are_positive(name, value):
    with pytest.raises(InputError, match=f"{name} of a cell"):
        cell(Wall(), **{name: value})


def test_amounts_of_an_open_cell():
    with pytest.raises(InputError, match="a cell that is open"):
        cell(Wall()).settled({"Na": 50.0, "Cl": 50.0})


def test_ends_and_steps():
    with pytest.raises(InputError, match="two different names"):
        interval(FINE, names=("a", "a"))
    with pytest.raises(InputError, match="longest step"):
        voltage_step(cell(Electrode()), "left", 0.1, "1 ns", longest_step=-1.0)


def test_states_and_series_tell_what_they_are_in_a_line():
    one = cell(Electrode())
    assert repr(one.steady({"left": {"potential": 0.01}})).startswith(
        "<State steady: Na, Cl"
    )
    run = voltage_step(one, "left", 0.01, "1 ns", tolerance=0.1)
    assert repr(run).startswith("<Series 0 to 1e-09 s: ")
    assert max(len(repr(run)), len(repr(run.last))) < 160


def test_point_ions_that_crowd_between_nodes():
    """0.1 nm cells at 0.3 V: the charge is a quarter wrong."""
    coarse = cell(Electrode(), graded(20.0, 0.1, growth=1.1))
    with pytest.warns(UserWarning, match="screening length 0.00"):
        coarse.steady({"left": {"potential": 0.3}})
    with pytest.warns(UserWarning, match="screening length 0.0"):
        voltage_step(coarse, "left", 0.2, "2 us", tolerance=0.1)
    fine = cell(Electrode(), graded(20.0, 0.003, growth=1.1))
    with pytest.warns(UserWarning, match="Cl crowds to 1.18e") as found:
        fine.steady({"left": {"potential": 0.3}})
    assert len(found) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        coarse.steady({"left": {"potential": 0.05}})
        voltage_step(coarse, "left", 0.05, "20 ns", tolerance=0.1)
