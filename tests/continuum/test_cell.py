"""Cells in SI: against formulas in SI; what users get wrong."""

import numpy as np
import profiled_cell as film
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Fixed,
    Inlet,
    Ion,
    Redox,
    Reservoir,
    Symmetry,
    Wall,
    constant_current,
    cyclic_voltammetry,
    load_state,
    voltage_step,
)
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.artefact import read_dataset  # noqa: E402
from mesobridge.core.errors import InputError, SchemaError  # noqa: E402

pytestmark = pytest.mark.fem
E, KT = 1.602176634e-19, 1.380649e-23 * 298.15
VT = KT / E
FARADAY = 96485.33212


def near_wall(length=30.0, first=0.02, **options):
    vertices = graded(length, first, growth=1.1)
    return interval(vertices, names=("electrode", "bulk"), **options)


def salt(bulk="0.1 mol/L", **options):
    return [
        Ion("Na", 1, "1.33e-9 m**2/s", bulk, **options),
        Ion("Cl", -1, "2.03e-9 m**2/s", bulk, **options),
    ]


def iron(red="1 mmol/L", ox="1 mmol/L", chloride="1.005 mol/L"):
    return [
        Ion("Fe2", 2, "0.7e-9 m**2/s", red),
        Ion("Fe3", 3, "0.7e-9 m**2/s", ox),
        Ion("K", 1, "1.96e-9 m**2/s", "1 mol/L"),
        Ion("Cl", -1, "2.03e-9 m**2/s", chloride),
    ]


def test_grahame_charge_in_si():
    """``sqrt(8 eps eps0 c kT) sinh(e V / 2 kT)``, doi:10.1021/cr60130a002."""
    cell = Cell(near_wall(), salt(), {"electrode": Electrode(0.1), "bulk": Reservoir()})
    density = 100 * 6.02214076e23
    exact = np.sqrt(8 * 78.49 * 8.8541878128e-12 * density * KT) * np.sinh(0.05 / VT)
    state = cell.steady()
    assert state.charge["electrode"] == pytest.approx(exact, rel=1e-6)
    assert cell.debye_length == pytest.approx(0.96192e-9, rel=1e-5)
    wall = state.concentration["Cl"][0]
    assert wall == pytest.approx(100 * np.exp(0.1 / VT), rel=1e-9)
    assert state.potential[0] == pytest.approx(0.1, rel=1e-12)
    assert state.audit().worst < 1e-12
    assert state.audit().field_energy > 0


def test_no_current_at_the_nernst_potential():
    """``E = E0 + kT/e ln(c_ox / c_red)``, whatever the double layer does."""
    couple = Redox({"Fe2": 1}, {"Fe3": 1}, "0.1 V", rate="1e-5 m/s", alpha=0.3)
    electrode = Electrode(stern="20 uF/cm**2", reactions=(couple,))
    ions = iron("1 mmol/L", "5 mmol/L", "1.017 mol/L")
    cell = Cell(
        near_wall(first=0.05), ions, {"electrode": electrode, "bulk": Reservoir()}
    )
    nernst = 0.1 + VT * np.log(5)
    there = cell.steady({"electrode": {"potential": nernst}})
    above = cell.steady({"electrode": {"potential": nernst + 1e-3}})
    assert abs(there.current["electrode"]) < 1e-12 * above.current["electrode"] + 1e-12
    assert above.current["electrode"] > 0
    assert np.ptp(there.solution.psi, axis=1).max() < 1e-10


def test_charge_transfer_resistance_of_an_exchange_current():
    """``R = kT / (n e i0)`` at small overpotential: electroneutral, short cell."""
    couple = Redox({"Fe2": 1}, {"Fe3": 1}, "0 V", exchange_current="1 mA/m**2")
    cell = Cell(
        near_wall(),
        iron(),
        {"electrode": Electrode(reactions=(couple,)), "bulk": Reservoir()},
        electroneutral=True,
    )
    current = cell.steady({"electrode": {"potential": "0.1 mV"}}).current["electrode"]
    assert 1e-4 / current == pytest.approx(VT / 1e-3, rel=1e-4)


def test_peak_of_a_reversible_voltammogram():
    """Randles and Sevcik: ``0.4463 n F c sqrt(n F v D / R T)``, peak at 28.5 mV."""
    couple = Redox({"Fe2": 1}, {"Fe3": 1}, "0 V", rate="1 m/s")
    ions = iron("1 mmol/L", "1e-6 mmol/L", "1.002 mol/L")
    domain = interval(graded(200e3, 50.0, growth=1.15), names=("electrode", "bulk"))
    cell = Cell(
        domain,
        ions,
        {"electrode": Electrode(reactions=(couple,)), "bulk": Reservoir()},
        electroneutral=True,
    )
    scan = cyclic_voltammetry(cell, "electrode", [-0.25, 0.25], "0.1 V/s", points=400)
    exact = 0.4463 * FARADAY * np.sqrt(0.1 / VT * 0.7e-9)
    assert scan.current.max() == pytest.approx(exact, rel=0.01)
    peak = scan.potential[scan.current.argmax()]
    assert peak == pytest.approx(0.0285, abs=2e-3)


def test_stern_layer_charges_at_constant_current():
    """The charge grows with the current; its potential is found on the way."""
    cell = Cell(
        near_wall(),
        salt(),
        {"electrode": Electrode(stern="10 uF/cm**2"), "bulk": Reservoir()},
    )
    run = constant_current(cell, "electrode", "1e4 A/m**2", "1 us", tolerance=1e-2)
    gained = run.charge["electrode"] - run.charge["electrode"][0]
    assert gained[1:] == pytest.approx(1e4 * run.time[1:], rel=1e-7)
    assert run.current["electrode"][1:] == pytest.approx(1e4, rel=1e-7)
    assert (np.diff(run.electrode_potential) > 0).all()
    drop = run.last.electrode_potential - run.last.potential[0]
    assert drop == pytest.approx(run.charge["electrode"][-1] / 0.1, rel=1e-7)


def test_given_current_finds_the_potential_that_gives_it():
    couple = Redox({"Fe2": 1}, {"Fe3": 1}, "0 V", rate="1e-5 m/s")
    electrode = Electrode(stern="20 uF/cm**2", reactions=(couple,))
    domain = near_wall(1000.0, 0.05)
    cell = Cell(domain, iron(), {"electrode": electrode, "bulk": Reservoir()})
    volts = cell.steady({"electrode": {"potential": 0.08}})
    amps = cell.steady({"electrode": {"current": volts.current["electrode"]}})
    assert amps.electrode_potential == pytest.approx(0.08, abs=1e-9)


def test_files_and_plots(tmp_path):
    cell = Cell(near_wall(), salt(), {"electrode": Electrode(), "bulk": Reservoir()})
    run = voltage_step(cell, "electrode", 0.05, "10 ns")
    run.save(tmp_path / "run.nc")
    run.last.save(tmp_path / "state.nc")
    run.last.save_xdmf(tmp_path / "state.xdmf")
    series = read_dataset(tmp_path / "run.nc", "transport-series/1")
    assert series["charge"].sel(border="electrode").values == pytest.approx(
        run.charge["electrode"]
    )
    state = read_dataset(tmp_path / "state.nc", "transport-solution/1")
    assert state["potential"].values[0, 0] == pytest.approx(0.05)
    assert (tmp_path / "state.h5").exists()
    for name, one in (("run", run), ("state", run.last)):
        one.plot(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000


@pytest.mark.parametrize("dim", [1, 2])
def test_a_saved_state_is_taken_up(tmp_path, dim):
    if dim == 1:
        domain, borders = near_wall(), BORDERS
    else:
        domain = rectangle(graded(10.0, 0.05, growth=1.3), np.linspace(0, 4, 4))
        borders = {"left": Electrode(), "right": Reservoir()}
        borders |= {"top": Symmetry(), "bottom": Symmetry()}
    place = next(iter(borders))
    ions = salt(diameter="0.5 nm")
    cell = Cell(domain, ions, borders, sterics="bikerman")
    drive = {place: {"potential": 0.3}}
    state = cell.steady(drive)
    state.save(tmp_path / "state.nc")
    again = load_state(cell, tmp_path / "state.nc", drive)
    assert again.charge[place] == pytest.approx(state.charge[place], rel=1e-9)
    near = cell.steady({place: {"potential": 0.31}}, start=again)
    assert near.report.steps == 1
    other = Cell(domain, ions[::-1], borders, sterics="bikerman")
    with pytest.raises(InputError, match="another cell"):
        load_state(other, tmp_path / "state.nc")


def test_a_saved_state_at_a_given_current_is_taken_up(tmp_path):
    """Its potential is in the file, so that totals are those of the state."""
    couple = Redox({"Fe2": 1}, {"Fe3": 1}, "0 V", rate="1e-5 m/s")
    electrode = Electrode(stern="20 uF/cm**2", reactions=(couple,))
    borders = {"electrode": electrode, "bulk": Reservoir()}
    cell = Cell(near_wall(1000.0, 0.05), iron(), borders)
    drive = {"electrode": {"current": 50.0}}
    state = cell.steady(drive)
    state.save(tmp_path / "state.nc")
    again = load_state(cell, tmp_path / "state.nc", drive)
    assert again.electrode_potential == pytest.approx(state.electrode_potential)
    assert again.current["electrode"] == pytest.approx(50.0, rel=1e-6)
    assert again.charge["electrode"] == pytest.approx(state.charge["electrode"])


def test_totals_of_a_cylinder_are_per_length():
    """Charge of a wire in the Debye-Hueckel limit: ``2 pi a eps k K1(ka)/K0(ka) V``."""
    from scipy.special import k0, k1

    domain = interval(
        1 + graded(30.0, 0.02, growth=1.1), symmetry="axial", names=("wire", "bulk")
    )
    cell = Cell(domain, salt(), {"wire": Electrode("0.1 mV"), "bulk": Reservoir()})
    ratio = 1e-9 / cell.debye_length
    field = 1e-4 / cell.debye_length * k1(ratio) / k0(ratio)
    exact = 2 * np.pi * 1e-9 * 78.49 * 8.8541878128e-12 * field
    assert cell.steady().charge["wire"] == pytest.approx(exact, rel=1e-4)


def profiles(distance, mu_ex, d_ratio):
    """``transport-coefficients/1`` of Na and Cl, two replicates."""
    both = np.array([1.0, 1.5])[:, None, None] * np.array([mu_ex, mu_ex])
    return film.profiles(both, np.tile(d_ratio, (2, 2, 1)), distance=distance)


DISTANCE = np.linspace(0, 3e-9, 61)
FADE = np.exp(-((DISTANCE / 0.8e-9) ** 2))


def equal_ions():
    return [Ion("Na", 1, "2e-9 m**2/s", 100.0), Ion("Cl", -1, "2e-9 m**2/s", 100.0)]


def test_tabulated_profiles_act_as_a_barrier():
    """Equal ions make no field: ``J = (c0 e^W0 - cL) / int e^W / D dz`` for both."""
    table = profiles(DISTANCE, 3 * FADE, 1 - 0.7 * FADE)
    domain = interval(np.linspace(0, 10, 201), names=("wall", "bulk"))
    held = dict.fromkeys(("Na", "Cl"), 120 * np.exp(-3))
    borders = {"wall": Fixed(held, 0.0), "bulk": Reservoir()}
    cell = Cell(domain, equal_ions(), borders, coefficients=table, walls=["wall"])
    x = np.linspace(0, 10e-9, 20_001)
    fade = np.exp(-((np.minimum(x, 3e-9) / 0.8e-9) ** 2))
    resistance = np.mean(np.exp(3 * fade) / (2e-9 * (1 - 0.7 * fade))) * 10e-9
    inflow = cell.steady().inflow
    assert inflow["Na", "wall"] == pytest.approx(20.0 / resistance, rel=1e-3)
    assert inflow["Cl", "wall"] == pytest.approx(inflow["Na", "wall"], rel=1e-9)
    other = cell.make_medium(1)
    assert other.mu_ex[0, 0] == pytest.approx(4.5, rel=1e-9)
    with pytest.raises(InputError, match="no such replicate"):
        cell.make_medium(2)


def test_tabulated_tensor_in_the_plane():
    """Flux along a wall feels D_par, flux across it D_perp."""
    table = profiles(DISTANCE, 0 * FADE, 1 - 0.4 * FADE)
    wide = rectangle(np.linspace(0, 4, 5), np.linspace(0, 3, 31))

    def flux(first, second):
        rich = Reservoir(concentration={"Na": 101.0, "Cl": 101.0})
        borders = {name: Symmetry() for name in wide.borders}
        borders |= {first: rich, second: Reservoir()}
        cell = Cell(wide, equal_ions(), borders, coefficients=table, walls=["bottom"])
        return cell.steady().inflow["Na", first]

    z = np.linspace(0, 3e-9, 3001)
    ratio = 1 - 0.4 * np.exp(-((z / 0.8e-9) ** 2))
    along = 2e-9 * np.mean(np.sqrt(ratio)) * 3e-9 / 4e-9
    across = 2e-9 / np.mean(1 / ratio) * 4e-9 / 3e-9
    assert flux("left", "right") == pytest.approx(along, rel=1e-3)
    assert flux("bottom", "top") == pytest.approx(across, rel=1e-3)


def test_profiles_that_cannot_be_used():
    domain = interval(np.linspace(0, 10, 21), names=("wall", "bulk"))
    borders = {"wall": Wall(), "bulk": Reservoir()}

    def cell(table):
        return Cell(domain, salt(), borders, coefficients=table, walls=["wall"])

    with pytest.raises(InputError, match="mu_ex of Na does not reach bulk"):
        cell(profiles(DISTANCE, 3 * FADE + 0.2, 1 + 0 * FADE))
    with pytest.raises(InputError, match="D_perp of Na does not reach bulk") as caught:
        cell(profiles(DISTANCE[:20], 0 * FADE[:20], 1 - 0.7 * FADE[:20]))
    assert "0.95 nm" in str(caught.value)
    with pytest.raises(SchemaError, match="mu_ex is not finite"):
        cell(profiles(DISTANCE, FADE * np.nan, 1 + 0 * FADE))
    with pytest.raises(SchemaError, match="D_par out of range"):
        cell(profiles(DISTANCE, FADE, 0 * FADE))
    with pytest.raises(SchemaError, match="distance is not increasing"):
        cell(profiles(DISTANCE[::-1], FADE, 1 + 0 * FADE))
    three = [*salt(), Ion("K", 0, "1e-9 m**2/s", "1 mmol/L")]
    table = profiles(DISTANCE, FADE, 1 + 0 * FADE)
    with pytest.raises(InputError, match="species without profiles"):
        Cell(domain, three, borders, coefficients=table, walls=["wall"])


BORDERS = {"electrode": Electrode(), "bulk": Reservoir()}


@pytest.mark.parametrize(
    ("ions", "borders", "match"),
    [
        (salt(), {"electrode": Wall()}, r"none for \['bulk'\]"),
        (salt(), BORDERS | {"top": Wall()}, r"one for \['top'\]"),
        (salt() + salt(), BORDERS, "each name once"),
        (
            salt()[:1] + [Ion("Cl", -1, "2e-9 m**2/s", "90 mol/m**3")],
            BORDERS,
            "reservoir at 'bulk' is not neutral",
        ),
        (
            salt(),
            BORDERS | {"bulk": Reservoir(concentration={"K": 1.0})},
            "unknown species",
        ),
        (
            salt(),
            BORDERS | {"bulk": Reservoir(concentration={"Na": 0.0})},
            "concentration of Na",
        ),
        (
            salt(),
            BORDERS
            | {"electrode": Electrode(reactions=(Redox({"Na": 1}, {}, rate=1e-5),))},
            "charges of a redox couple",
        ),
        (
            salt(),
            BORDERS | {"electrode": Electrode(reactions=(Redox({}, {"Na": 1}),))},
            "either rate",
        ),
        (salt(), BORDERS | {"electrode": Electrode(stern=-1.0)}, "Stern layer"),
    ],
)
def test_cells_that_make_no_sense(ions, borders, match):
    with pytest.raises(InputError, match=match) as caught:
        Cell(near_wall(), ions, borders)
    assert caught.value.exit_code == 2


def test_what_ions_must_be():
    with pytest.raises(InputError, match="diffusivity of Na"):
        Ion("Na", 1, -1e-9, 100.0)
    with pytest.raises(InputError, match="a trace"):
        Ion("Na", 1, 1e-9, 0.0)
    with pytest.raises(InputError, match="wrong unit"):
        Ion("Na", 1, "1 nm", 100.0)


def test_a_closed_cell_has_no_steady_state_of_its_own():
    cell = Cell(near_wall(), salt(), {"electrode": Electrode(), "bulk": Electrode()})
    with pytest.raises(InputError, match="amount of Na is not determined"):
        cell.steady()
    run = voltage_step(cell, "electrode", 0.05, "100 ns")
    assert run.charge["electrode"][-1] > 0


def test_coarse_cells_at_a_charged_wall_are_told_of():
    borders = {"electrode": Wall("1 uC/cm**2"), "bulk": Reservoir()}
    with pytest.warns(UserWarning, match="needs 0.19 nm or less"):
        Cell(near_wall(first=3.0), salt(), borders)


def test_conditions_that_cells_do_not_have():
    cell = Cell(near_wall(), salt(), BORDERS)
    for drive, match in (
        ({"top": {"potential": 1.0}}, "unknown border"),
        ({"electrode": {"voltage": 1.0}}, "voltage of 'electrode'"),
    ):
        with pytest.raises(InputError, match=match):
            cell.steady(drive)
    with pytest.raises(InputError, match="charged wall"):
        Cell(
            near_wall(),
            salt(),
            {"electrode": Wall("1 C/m**2"), "bulk": Reservoir()},
            electroneutral=True,
        )
    with pytest.raises(InputError, match="makes charge"):
        Cell(near_wall(), salt(), BORDERS, reactions=[("Na", {"Na": -1})])


def test_inlet_gives_the_flux_it_names():
    cell = Cell(
        near_wall(),
        salt(),
        {"electrode": Inlet({"Na": 1e-4, "Cl": 1e-4}), "bulk": Reservoir()},
    )
    state = cell.steady()
    assert state.inflow["Na", "electrode"] == pytest.approx(1e-4, rel=1e-9)
    assert state.inflow["Na", "bulk"] == pytest.approx(-1e-4, rel=1e-9)


@pytest.mark.parametrize("electroneutral", [True, False])
@pytest.mark.parametrize("trace", [1e-6, 1.0])
@pytest.mark.parametrize("kinetics", [("1e-5 m/s", 0.3), ("1 m/s", 0.5), ("1 m/s", 1.0)])
def test_a_step_where_the_product_is_a_trace(trace, kinetics, electroneutral):
    """Cottrell: ``F c sqrt(D / pi t)`` after a second, doi:10.1149/1.2426467.

    A consistent mass matrix would ask for negative concentrations beside the electrode;
    fast kinetics take Newton's method many iterations at first.
    """
    rate, potential = kinetics
    couple = Redox({"Fe2": 1}, {"Fe3": 1}, "0 V", rate=rate)
    layer = {} if electroneutral else {"stern": "20 uF/cm**2"}
    ions = iron("1 mmol/L", trace, 1002.0 + 3 * trace)
    first = 5.0 if electroneutral else 0.05
    domain = interval(graded(200e3, first, growth=1.15), names=("electrode", "bulk"))
    borders = {"electrode": Electrode(reactions=(couple,), **layer), "bulk": Reservoir()}
    cell = Cell(domain, ions, borders, electroneutral=electroneutral)
    run = voltage_step(cell, "electrode", potential, "1 s", start=cell.at_rest())
    exact = FARADAY * np.sqrt(0.7e-9 / np.pi)
    assert run.current["electrode"][-1] == pytest.approx(exact, rel=0.01)
    assert min(run.last.concentration["Fe2"]) > 0
