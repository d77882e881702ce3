"""Errors from below a cell speak of its ions, and in SI."""

import re

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.bdf import Bdf2  # noqa: E402
from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Ion,
    Reservoir,
    Symmetry,
    Wall,
    follow,
    impedance,
    sensitivity,
    voltage_step,
)
from mesobridge.continuum.cell.observables import Charge  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.newton import NotConverged  # noqa: E402
from mesobridge.core.errors import InputError, StageError  # noqa: E402
from mesobridge.core.schema import dataset  # noqa: E402

pytestmark = pytest.mark.fem
IONS = [Ion("Na", 1, 2e-9, 100.0), Ion("Cl", -1, 2e-9, 100.0)]
DOMAIN = interval(graded(20.0, 0.05, growth=1.2))


def cell(left=None, right=None, **options):
    borders = {"left": left or Electrode(), "right": right or Reservoir()}
    return Cell(DOMAIN, IONS, borders, **options)


@pytest.fixture(scope="module")
def half():
    return cell()


def told(error, use) -> str:
    with pytest.raises(error) as caught:
        use()
    return str(caught.value)


def test_times(half):
    rest = half.at_rest()
    text = told(InputError, lambda: follow(half, "-1 ns", start=rest, at="2 ns"))
    assert "begin 0 s" in text
    assert "until -1e-09 s, at [2e-09 s]" in text

    def late(time):
        return {"left": {"current": 1.0 if time > 5e-10 else None}}

    text = told(InputError, lambda: follow(half, "1 ns", late, start=rest))
    assert "at 'left'" in text
    assert " s\n" in text


def test_where_a_transient_stops(half, monkeypatch):
    def fails(*_, **__):
        raise NotConverged("no convergence")

    monkeypatch.setattr(Bdf2, "attempt", fails)
    start = half.at_rest()
    text = told(
        StageError, lambda: follow(half, "2 ns", start=start, begin="1 ns", at="1.5 ns")
    )
    assert "at time 1e-09 s: no convergence" in text


def test_where_a_steady_state_is_not_found(half):
    text = told(StageError, lambda: half.steady({"left": {"potential": 60.0}}))
    assert " mol/m3, of Na at (2.119e-11) m" in text


def test_states_that_are_not_steady(half):
    run = voltage_step(half, "left", 0.1, "1 ps", start=half.at_rest(), tolerance=1.0)
    text = told(InputError, lambda: impedance(half, "left", 1.0, run.last))
    assert "of Na, " in text
    closed = cell(right=Electrode())
    text = told(InputError, lambda: sensitivity(closed.settled(), Charge("left")))
    assert "the amount of Na is not determined" in text


def test_the_charge_of_a_closed_cell():
    closed = cell(Wall(), Wall())
    text = told(InputError, lambda: closed.settled({"Na": 101.0}))
    assert "C m-2 too much" in text


def test_a_reservoir_at_an_axis():
    domain = rectangle([0.0, 1.0], [0.0, 1.0], symmetry="axial")
    borders = dict.fromkeys(domain.borders, Symmetry()) | {"left": Reservoir()}
    text = told(InputError, lambda: Cell(domain, IONS, borders).steady())
    assert re.search(r"'left' at the radius \S+ m", text)


def test_a_concentration_above_the_activity_table():
    values = {
        "concentration": np.array([1.0, 100.0, 200.0]) * 6.02214076e23,
        "ln_gamma": [[-0.03, -0.1, -0.3]],
        "dln_gamma_dln_c": [[-0.015, -0.05, -0.05]],
    }
    attrs = {"temperature": 298.15, "salt": "NaCl", "n_units": 10}
    salty = cell(activity=dataset("activity/1", values, attrs))
    drive = {"left": {"potential": 0.1}}
    assert "at most 200 mol/m3" in told(InputError, lambda: salty.steady(drive))


def test_drives_that_make_other_borders(half):
    text = told(InputError, lambda: half.steady({"left": {"stern": 0.2}}))
    assert "another kind of border of 'left'" in text
    assert "got:    Stern" in text


def test_the_energy_of_an_audit_is_in_joules(half):
    """Of a plate capacitor without ions' field: eps E^2 / 2 times its thickness."""
    traces = [Ion("Na", 1, 2e-9, 1e-9), Ion("Cl", -1, 2e-9, 1e-9)]
    ends = {"left": Electrode("10 mV"), "right": Reservoir()}
    found = Cell(DOMAIN, traces, ends).steady().audit().field_energy
    wanted = 78.49 * 8.8541878128e-12 * (0.01 / 20e-9) ** 2 / 2 * 20e-9
    assert found == pytest.approx(wanted, rel=1e-3)
