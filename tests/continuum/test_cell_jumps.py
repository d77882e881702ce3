"""What starts far from rest: charges that nothing screens yet, and steps of 1 V."""

import numpy as np
import pytest

from mesobridge.continuum.cell import (
    Cell,
    Electrode,
    Ion,
    Redox,
    Region,
    Reservoir,
    Wall,
    follow,
    voltage_step,
)
from mesobridge.continuum.domain import interval
from mesobridge.continuum.mesh import graded, layered

SALT = [
    Ion("Na", 1, "1.33e-9 m**2/s", "0.1 mol/L"),
    Ion("Cl", -1, "2.03e-9 m**2/s", "0.1 mol/L"),
]
IRON = [
    Ion("Fe2", 2, "0.72e-9 m**2/s", "1 mmol/L"),
    Ion("Fe3", 3, "0.60e-9 m**2/s", "1 mmol/L"),
    Ion("K", 1, "1.96e-9 m**2/s", "0.1 mol/L"),
    Ion("Cl", -1, "2.03e-9 m**2/s", "0.105 mol/L"),
]


@pytest.mark.parametrize("length", [1e3, 50e3])
def test_a_wall_is_charged_at_once(length):
    """Before an ion moves phi is sigma L / eps: 28 V, and 1400 V."""
    domain = interval(graded(length, 0.05, growth=1.2), names=("wall", "bulk"))
    cell = Cell(domain, SALT, {"wall": Wall("-0.02 C/m**2"), "bulk": Reservoir()})
    run, steady = follow(cell, "50 ms", start=cell.at_rest()), cell.steady()
    assert run.last.potential == pytest.approx(steady.potential, abs=2e-5)
    entered = np.diff(run.time) @ run.current["bulk"][1:]
    assert entered == pytest.approx(0.02, rel=1e-3)


@pytest.mark.parametrize("potential", [0.05, 0.3, 1.0])
def test_a_blocking_electrode_is_charged_one_way(potential):
    """Charges jump in the first step; differences over the jump gave -5e8 A/m2."""
    domain = interval(graded(1e3, 0.1, growth=1.2), names=("electrode", "bulk"))
    borders = {"electrode": Electrode(stern="20 uF/cm**2"), "bulk": Reservoir()}
    run = voltage_step(Cell(domain, SALT, borders), "electrode", potential, "1 ms")
    current, charge = run.current["electrode"][1:], run.charge["electrode"]
    assert (current[:20] > 0).all()
    assert current[1] == pytest.approx(np.diff(charge)[1] / np.diff(run.time)[1], 1e-3)


def test_a_charged_gel_that_takes_up_one_ion():
    """At rest its charge is that of two times as many ions as there are in the bulk."""
    gel = Region(
        ("20 nm", "60 nm"),
        diffusivity={"Na": "1e-10 m**2/s", "Cl": "1e-10 m**2/s"},
        permittivity=20.0,
        fixed_charge="-1e7 C/m**3",
        mu_ex={"Na": 2.0, "Cl": -1.0},
    )
    domain = interval(layered([20, 40, 20], first=0.05, growth=1.2))
    ends = {"left": Reservoir(), "right": Reservoir()}
    cell = Cell(domain, SALT, ends, regions={"gel": gel})
    run, steady = follow(cell, "100 us", start=cell.at_rest()), cell.steady()
    for name, c in steady.concentration.items():
        assert run.last.concentration[name] == pytest.approx(c, rel=1e-3)


@pytest.mark.parametrize("rate", ["0 m/s", "1e-5 m/s", "1 m/s", "1e4 m/s"])
@pytest.mark.parametrize("potential", [-1.0, 1.0])
def test_a_step_of_one_volt_with_a_couple(potential, rate):
    """After a millisecond currents are 2 to 3 % above those of the steady state."""
    couple = Redox({"Fe2": 1}, {"Fe3": 1}, rate=rate)
    metal = Electrode(stern="20 uF/cm**2", reactions=(couple,))
    domain = interval(graded(1e3, 0.1, growth=1.2), names=("electrode", "bulk"))
    cell = Cell(domain, IRON, {"electrode": metal, "bulk": Reservoir()})
    run = voltage_step(cell, "electrode", potential, "1 ms")
    steady = cell.steady({"electrode": {"potential": potential}})
    assert run.current["electrode"][-1] == pytest.approx(
        steady.current["electrode"], rel=0.04, abs=1.0
    )
    assert run.charge["electrode"][-1] == pytest.approx(
        steady.charge["electrode"], rel=3e-3
    )
