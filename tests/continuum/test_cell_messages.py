"""What errors of cells say: in SI, with the names of species and borders."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Inlet,
    Ion,
    Periodic,
    Redox,
    Reservoir,
    Wall,
    capacitance,
    constant_current,
    cyclic_voltammetry,
    follow,
    impedance,
    load_state,
    open_circuit,
    replicates,
    sensitivity,
    voltage_step,
)
from mesobridge.continuum.cell.observables import Charge  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem


DOMAIN = interval(graded(20.0, 0.05, growth=1.2))
IONS = [Ion("Na", 1, 2e-9, 100.0), Ion("Cl", -1, 2e-9, 100.0)]
ENDS = {"left": Electrode(), "right": Reservoir()}


def cell(left=None, right=None, **options):
    borders = {"left": left or Electrode(), "right": right or Reservoir()}
    return Cell(DOMAIN, IONS, borders, **options)


@pytest.fixture(scope="module")
def half():
    return cell()


@pytest.fixture(scope="module")
def state(half):
    return half.steady()


@pytest.mark.parametrize("method", ["save", "plot", "save_xdmf"])
def test_paths_that_cannot_be_written(state, tmp_path, method):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file/a.xdmf", 5):
        with pytest.raises(InputError, match="cannot be written"):
            getattr(state, method)(path)
    if method != "save_xdmf":
        with pytest.raises(InputError, match=r"cannot be written[\s\S]*is a folder"):
            getattr(state, method)(tmp_path)
    if method == "plot":
        with pytest.raises(InputError, match="the format of .*a.xdmf"):
            state.plot(tmp_path / "a.xdmf")


def test_a_checkpoint_that_cannot_be_written_is_found_before_the_run(half, tmp_path):
    (tmp_path / "file").touch()
    steps = []
    with pytest.raises(InputError, match="cannot be written"):
        voltage_step(
            half,
            "left",
            0.01,
            "1 ns",
            checkpoint=tmp_path / "file/kept",
            start=half.at_rest(),
            progress=lambda done, total, what: steps.append(what),
        )
    assert len(steps) == 1


def with_couple(**options):
    couple = Redox({}, {"Na": 1}, **({"rate": 1e-5} | options))
    return ENDS | {"left": Electrode(reactions=(couple,))}


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"domain": None}, "domain of a cell"),
        ({"ions": IONS[0]}, "ions of a cell"),
        ({"ions": ["Na", "Cl"]}, "ions of a cell"),
        ({"borders": None}, "borders of a cell"),
        ({"borders": ENDS | {"left": Wall}}, "condition of 'left'[\\s\\S]*class Wall"),
        ({"borders": ENDS | {"left": 0.1}}, "condition of 'left'"),
        ({"borders": ENDS | {"left": "wall"}}, "condition of 'left'"),
        ({"borders": ENDS | {"left": Wall(np.nan)}}, "charge of the wall at 'left'"),
        ({"borders": ENDS | {"left": Wall("1 m")}}, "charge of the wall at 'left'"),
        ({"borders": ENDS | {"left": Electrode(None)}}, "potential of the electrode"),
        ({"borders": ENDS | {"left": Electrode(reactions=1)}}, "reactions of the elec"),
        ({"borders": ENDS | {"left": Electrode(reactions=("a",))}}, "reactions of the"),
        ({"borders": ENDS | {"right": Reservoir(np.nan)}}, "potential at 'right'"),
        ({"borders": ENDS | {"right": Reservoir(0, 5.0)}}, "concentration at 'right'"),
        ({"borders": ENDS | {"right": Inlet({"Na": None})}}, "flux of Na at 'right'"),
        ({"borders": ENDS | {"right": Periodic(["left"])}}, "twin of 'right'"),
        ({"borders": with_couple(alpha=1.5)}, "alpha of the couple at 'left'"),
        ({"borders": with_couple(alpha=np.nan)}, "alpha of the couple at 'left'"),
        ({"borders": with_couple(branch="up")}, "branch of the couple at 'left'"),
        ({"borders": with_couple(rate=-1.0)}, "rate of the couple at 'left'"),
        ({"borders": with_couple(electrons="1")}, "electrons of a redox couple"),
        ({"unit": None}, "unit of a cell"),
        ({"temperature": "25 m"}, "temperature of a cell: wrong unit"),
        ({"temperature": np.nan}, "temperature of a cell"),
        ({"permittivity": "80"}, "permittivity of a cell"),
        ({"degree": 0}, "degree of the elements"),
        ({"degree": 1.5}, "degree of the elements"),
        ({"replicate": "1"}, "replicate of a cell"),
        ({"sterics": "hard"}, "unknown sterics"),
        ({"sterics": "bikerman"}, "ions without diameters"),
        ({"activity": 3}, "activity of a cell"),
        ({"coefficients": 3}, "coefficients of a cell"),
        ({"velocity": 1e-3}, "velocity of a cell"),
        ({"velocity": lambda x: np.zeros(3)}, "velocity of a cell[\\s\\S]*shape \\(1,"),
        ({"velocity": lambda x: [[1.0], [1.0, 2.0]]}, "velocity of a cell"),
        ({"fixed_charge": lambda x: np.full(len(x), np.nan)}, "fixed_charge of a cell"),
        ({"fixed_charge": "1 m"}, "fixed_charge of a cell"),
        ({"reactions": ("Na", {"Na": 1})}, "reactions of a cell"),
        ({"reactions": [("Na", "Na")]}, "reactions of a cell"),
        ({"reactions": [("k * Na", {})]}, "the name k[\\s\\S]*as a parameter"),
        ({"reactions": [("Na", {"Na": "1"})]}, "number of Na in the reaction"),
        ({"reactions": [("k", {})], "parameters": {"k": "1"}}, "parameter k"),
    ],
)
def test_cells_of_wrong_things(changed, match):
    given = {"domain": DOMAIN, "ions": IONS, "borders": ENDS} | changed
    with pytest.raises(InputError, match=match):
        Cell(given.pop("domain"), given.pop("ions"), given.pop("borders"), **given)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"name": 5}, "name of an ion"),
        ({"charge": "1"}, "charge of Na"),
        ({"charge": np.nan}, "charge of Na"),
        ({"diffusivity": "2e-9 m"}, "diffusivity of Na: wrong unit"),
        ({"diffusivity": np.nan}, "diffusivity of Na"),
        ({"bulk": None}, "bulk of Na"),
        ({"diameter": -1e-10}, "diameter of Na"),
    ],
)
def test_ions_of_wrong_things(changed, match):
    given = {"name": "Na", "charge": 1, "diffusivity": 2e-9, "bulk": 100.0} | changed
    with pytest.raises(InputError, match=match):
        Ion(**given)


def other_ions():
    return Cell(DOMAIN, [Ion("K", 1, 2e-9, 100.0), IONS[1]], ENDS)


def other_mesh():
    return Cell(interval(graded(20.0, 0.05, growth=1.1)), IONS, ENDS)


@pytest.mark.parametrize("other", [other_ions, other_mesh])
def test_a_state_of_another_cell(half, other):
    there = other().at_rest()
    for use in (
        lambda: half.steady(start=there),
        lambda: follow(half, "1 ns", start=there),
        lambda: impedance(half, "left", 1.0, there),
    ):
        with pytest.raises(InputError, match="the state is of another cell"):
            use()
    with pytest.raises(InputError, match="a state"):
        half.steady(start="rest")


@pytest.mark.parametrize("drive", [0.1, {"left": 0.1}, {"left": {"potential": None}}])
def test_drives_that_make_no_sense(half, drive):
    with pytest.raises(InputError, match="a drive|potential of the electrode at 'left'"):
        half.steady(drive)


def test_times_and_frequencies_with_units(half, state):
    run = follow(half, "1 ns", start=state, at=["0.1 ns", 5e-10], tolerance=1.0)
    assert [one.time for one in run.states] == pytest.approx([0, 1e-10, 5e-10, 1e-9])
    one = impedance(half, "left", "1 kHz", state)
    assert one.frequency == pytest.approx([1e3])
    many = impedance(half, "left", ["1 kHz", 2e3], state)
    assert many.frequency == pytest.approx([1e3, 2e3])
    assert many.impedance[0] == one.impedance[0]


@pytest.mark.parametrize(
    "frequency", [[[1, 2]], [], -1.0, [1.0, 0.0], "1 m", "1 rad/s", None]
)
def test_frequencies_that_make_no_sense(half, state, frequency):
    with pytest.raises(InputError, match="frequency"):
        impedance(half, "left", frequency, state)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"until": None}, "until"),
        ({"until": "1 m"}, "until: wrong unit"),
        ({"at": [[1e-10]]}, "times of at"),
        ({"at": "0.1 V"}, "times of at"),
        ({"tolerance": "small"}, "tolerance"),
        ({"tolerance": 1e-16}, "tolerance\n  wanted: 1e-12 or more"),
        ({"longest_step": np.nan}, "longest step"),
        ({"begin": np.nan}, "begin"),
    ],
)
def test_times_that_make_no_sense(half, state, options, match):
    with pytest.raises(InputError, match=match):
        follow(half, **({"until": "1 ns", "start": state} | options))


def test_every_border_has_a_current_and_a_charge(tmp_path):
    closed = cell(Wall("0.01 C/m**2"), Wall())
    run = follow(closed, "1 ns", tolerance=1.0)
    for one in (run.last, run):
        assert list(one.current) == list(one.charge) == ["left", "right"]
        assert np.all(one.charge["right"] == 0)
        assert np.all(one.current["right"] == 0)
        assert np.all(np.abs(one.charge["left"]) > 0.009) or one is run
    assert list(run.dataset()["border"].values) == ["left", "right"]
    assert "current / A m-2: 0" in repr(run.last)
    run.plot(tmp_path / "run.png")


def test_a_capacitance_of_no_charge(half):
    with pytest.raises(InputError, match="charge of 'right'[\\s\\S]*Reservoir"):
        capacitance(half, "right", [0.0])
    with pytest.raises(InputError, match="potential of 'right'"):
        capacitance(cell(right=Wall()), "right", [0.0])
    with pytest.raises(InputError, match="unknown border"):
        capacitance(half, "top", [0.0])
    with pytest.raises(InputError, match="potentials of a capacitance"):
        capacitance(half, "left", [])


@pytest.mark.parametrize("right", [Reservoir(), Wall(), Electrode(current=0.0)])
def test_protocols_at_what_is_no_electrode(right):
    one = cell(right=right)
    with pytest.raises(InputError, match="'right'"):
        cyclic_voltammetry(one, "right", [0, 0.1], "1 V/s", start=one.at_rest())
    if not isinstance(right, Reservoir):
        with pytest.raises(InputError, match="potential of 'right'"):
            voltage_step(one, "right", 0.1, "1 ns")
    if not isinstance(right, Electrode):
        with pytest.raises(InputError, match="the electrode 'right'"):
            constant_current(one, "right", 1.0, "1 ns")


@pytest.mark.parametrize(
    ("potentials", "rate", "points"),
    [(0.1, 1.0, 9), ([0.1, 0.1], 1.0, 9), ([0, 0.1], 0.0, 9), ([0, 0.1], 1.0, 0.5)],
)
def test_voltammograms_that_make_no_sense(half, state, potentials, rate, points):
    with pytest.raises(InputError, match="of a voltammogram"):
        cyclic_voltammetry(half, "left", potentials, rate, points=points, start=state)


def test_numbers_of_replicates_and_sensitivities(half, state):
    with pytest.raises(InputError, match="cell of replicates"):
        replicates(3, {})
    with pytest.raises(InputError, match="observables of replicates"):
        replicates(half, {"charge": 3})
    with pytest.raises(InputError, match="an observable"):
        sensitivity(state, "current")
    with pytest.raises(InputError, match="a state"):
        sensitivity(half, Charge("left"))


@pytest.mark.parametrize(
    "use",
    [
        lambda other: follow(other, 1.0),
        lambda other: voltage_step(other, "left", 0.1, 1.0),
        lambda other: constant_current(other, "left", 0.1, 1.0),
        lambda other: cyclic_voltammetry(other, "left", [0, 0.1], 1.0),
        lambda other: impedance(other, "left", 1.0),
        lambda other: capacitance(other, "left", [0.0]),
        lambda other: open_circuit(other, "left"),
        lambda other: load_state(other, "state.nc"),
    ],
)
def test_what_is_no_cell(use):
    with pytest.raises(InputError, match="the cell\n  wanted: a Cell"):
        use("cell")


def test_states_and_borders_that_are_none(half, state):
    with pytest.raises(InputError, match="path of a state"):
        load_state(half, 5)
    with pytest.raises(InputError, match="a state"):
        Charge("left")(half)
    with pytest.raises(InputError, match="unknown border"):
        Charge(["left"])(state)
    for drive in ([], np.zeros(3), {"left": {1: 2}}):
        with pytest.raises(InputError, match="a drive|1 of 'left'"):
            half.steady(drive)
