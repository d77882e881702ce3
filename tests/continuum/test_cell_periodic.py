"""Periodic and closed cells in SI."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Ion,
    Periodic,
    Reservoir,
    Wall,
)
from mesobridge.continuum.cell.observables import Amount  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem
VT = 1.380649e-23 * 298.15 / 1.602176634e-19
FARADAY = 96485.33212


def salt():
    return [Ion("Na", 1, 1.33e-9, "0.1 mol/L"), Ion("Cl", -1, 2.03e-9, "0.1 mol/L")]


def test_conductivity_of_an_endless_solution():
    """``i = F^2 sum z^2 D c / RT`` times the mean field."""
    sides = {"left": Periodic("right"), "right": Periodic("left", "-10 mV")}
    cell = Cell(interval(np.linspace(0, 20, 11)), salt(), sides)
    kappa = FARADAY * 100 * (1.33e-9 + 2.03e-9) / VT
    state = cell.settled()
    assert -state.current["right"] == pytest.approx(kappa * 10e-3 / 20e-9, rel=1e-7)
    assert state.concentration["Na"] == pytest.approx(100.0, rel=1e-9)


def test_a_mean_field_can_be_driven():
    sides = {"left": Periodic("right"), "right": Periodic("left")}
    cell = Cell(interval(np.linspace(0, 20, 11)), salt(), sides)
    rest = cell.settled()
    there = cell.settled(drive={"right": {"potential": "5 mV"}})
    back = cell.settled(drive={"left": {"potential": "5 mV"}})
    assert abs(rest.current["right"]) < 1e-9 * abs(there.current["right"])
    assert there.current["right"] == pytest.approx(-back.current["right"], rel=1e-9)


def test_amounts_of_a_closed_slit():
    """Counter-ions alone neutralise charged walls: the amount is the walls' charge."""
    sigma, length = -0.02, 4.0
    ions = [Ion("Na", 1, 1.33e-9, "0.1 mol/L")]
    walls = {"left": Wall(charge=sigma), "right": Wall(charge=sigma)}
    cell = Cell(interval(graded(length, 0.02, growth=1.1, both=True)), ions, walls)
    mean = -2 * sigma / FARADAY / (length * 1e-9)
    with pytest.raises(InputError, match="amount of Na is not determined"):
        cell.steady()
    state = cell.settled({"Na": mean})
    c = state.concentration["Na"]
    # Counter-ions only: c = c_mid / cos^2(k x), doi:10.1016/B978-0-12-375182-9.10014-5.
    middle = c[len(c) // 2]
    k = np.sqrt(FARADAY * middle / (2 * 78.49 * 8.8541878128e-12 * VT))
    x = state.x - length * 0.5e-9
    assert c == pytest.approx(middle / np.cos(k * x) ** 2, rel=1e-4)
    assert state.audit().worst < 1e-9


def test_a_closed_cell_keeps_its_salt_at_any_potential():
    domain = interval(graded(20.0, 0.05, growth=1.2, both=True))
    cell = Cell(domain, salt(), {"left": Electrode(0.1), "right": Electrode(-0.1)})
    state = cell.settled()
    for name in ("Na", "Cl"):
        assert Amount(name)(state) == pytest.approx(100 * 20e-9, rel=1e-11)
    assert state.charge["left"] == pytest.approx(-state.charge["right"], rel=1e-9)


def test_a_periodic_pattern_beside_a_reservoir():
    """Both sides of the period hold the same; a uniform one is the interval's."""
    domain = rectangle(np.linspace(0, 3, 7), graded(8.0, 0.1, growth=1.3))
    borders = {
        "left": Periodic("right"),
        "right": Periodic("left"),
        "bottom": Wall(charge="-0.02 C/m**2"),
        "top": Reservoir(),
    }
    state = Cell(domain, salt(), borders).steady()
    flat = interval(graded(8.0, 0.1, growth=1.3), names=("bottom", "top"))
    one = Cell(flat, salt(), {"bottom": borders["bottom"], "top": Reservoir()}).steady()
    at = state.solution.points
    there = np.interp(at[:, 1], one.solution.x, one.concentration["Na"])
    vertices = np.isin(np.round(at[:, 1], 9), np.round(one.solution.x, 9))
    assert state.concentration["Na"][vertices] == pytest.approx(there[vertices], rel=1e-3)
    assert state.audit().worst < 1e-10


def test_twins_that_are_none():
    line = interval(np.linspace(0, 20, 11))
    with pytest.raises(InputError, match="a twin whose condition is Periodic"):
        Cell(line, salt(), {"left": Periodic("right"), "right": Wall()})
    with pytest.raises(InputError, match="a twin whose condition is Periodic"):
        Cell(line, salt(), {"left": Periodic("left"), "right": Wall()})


def test_a_charged_cell_without_electrodes():
    sides = {"left": Periodic("right"), "right": Periodic("left")}
    cell = Cell(interval(np.linspace(0, 20, 11)), salt(), sides)
    with pytest.raises(InputError, match="without electrodes"):
        cell.settled({"Na": "0.2 mol/L"})
