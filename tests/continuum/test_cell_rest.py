"""Open circuit: Nernst's potential, mixed potentials, junctions, membranes."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Ion,
    Redox,
    Region,
    Reservoir,
    cyclic_voltammetry,
    follow,
    impedance,
    open_circuit,
    voltage_step,
)
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem
VT = 1.380649e-23 * 298.15 / 1.602176634e-19
FARADAY = 96485.33212


def half_cell(electrode, **options):
    """An iron couple (1 and 5 mmol/L) in 1 mol/L of potassium chloride, 1 um long."""
    ions = [
        Ion("Fe2", 2, "0.7e-9 m**2/s", "1 mmol/L"),
        Ion("Fe3", 3, "0.7e-9 m**2/s", "5 mmol/L"),
        Ion("K", 1, "1.96e-9 m**2/s", "1 mol/L"),
        Ion("Cl", -1, "2.03e-9 m**2/s", "1.017 mol/L"),
    ]
    domain = interval(graded(1e3, 0.05, growth=1.2), names=("electrode", "bulk"))
    borders = {"electrode": electrode, "bulk": Reservoir()}
    return Cell(domain, ions, borders, **options)


def couple(potential):
    return Redox({"Fe2": 1}, {"Fe3": 1}, potential, rate="1e-5 m/s", alpha=0.3)


@pytest.mark.parametrize(
    ("potential", "stern"), [(0.1, None), *((v, "20 uF/cm**2") for v in (-1.0, 0.1, 0.8))]
)
def test_one_couple_rests_at_its_nernst_potential(potential, stern):
    """``E0 + kT/e ln(c_ox / c_red)`` and nothing flows."""
    electrode = Electrode(stern=stern, reactions=(couple(potential),))
    volts, state = open_circuit(half_cell(electrode), "electrode")
    assert volts == pytest.approx(potential + VT * np.log(5), abs=1e-9)
    assert abs(state.current["electrode"]) < 1e-9
    assert np.ptp(state.solution.psi, axis=1).max() < 1e-9


def test_a_coating_does_not_change_the_potential_of_rest():
    """Partition, fixed charge and slow diffusion do no work at equilibrium."""
    electrode = Electrode(stern="20 uF/cm**2", reactions=(couple(0.1),))
    slow = dict.fromkeys(("Fe2", "Fe3", "K", "Cl"), "1e-11 m**2/s")
    film = Region(
        ("0 nm", "100 nm"), slow, 20.0, -1e7, {"Fe2": 2.0, "Fe3": -1.0, "Cl": 3.0}
    )
    volts, state = open_circuit(half_cell(electrode, regions={"film": film}), "electrode")
    assert volts == pytest.approx(0.1 + VT * np.log(5), abs=1e-9)
    assert np.ptp(state.solution.psi, axis=1).max() < 1e-9


@pytest.mark.parametrize(("metal", "oxidant"), [(0.0, 0.0), (-0.2, 0.3)])
def test_two_tafel_branches_meet_at_the_mixed_potential(metal, oxidant):
    """Wagner and Traud, doi:10.1002/bbpc.19380440702: with
    ``i_a exp(a (E - E_a) / VT) = i_c exp(-b (E - E_c) / VT)`` the metal corrodes at
    ``E = (a E_a + b E_c + VT ln(i_c / i_a)) / (a + b)``, without diffusion."""
    dissolves = Redox(
        {}, {"K": 1}, metal, exchange_current=1e-4, alpha=0.6, branch="anodic"
    )
    reduces = Redox(
        {"Fe2": 1},
        {"Fe3": 1},
        oxidant,
        exchange_current=1e-6,
        alpha=0.7,
        branch="cathodic",
    )
    electrode = Electrode(reactions=(dissolves, reduces))
    cell = half_cell(electrode, electroneutral=True)
    exact = (0.6 * metal + 0.3 * oxidant + VT * np.log(1e-2)) / 0.9
    rate = 1e-4 * np.exp(0.6 * (exact - metal) / VT)
    volts, state = open_circuit(cell, "electrode")
    assert volts == pytest.approx(exact, abs=1e-5)
    corrosion = FARADAY * state.inflow["K", "electrode"]
    assert corrosion == pytest.approx(rate, rel=1e-3)
    assert FARADAY * state.inflow["Fe3", "electrode"] == pytest.approx(-corrosion)


def test_experiments_start_from_open_circuit():
    electrode = Electrode(stern="20 uF/cm**2", reactions=(couple(0.1),))
    cell = half_cell(electrode)
    volts, rest = open_circuit(cell, "electrode")
    step = voltage_step(cell, "electrode", volts + 1e-3, "1 s", start=rest)
    final = cell.steady({"electrode": {"potential": volts + 1e-3}}).current["electrode"]
    assert step.current["electrode"][-1] == pytest.approx(final, rel=1e-3)
    corners = [volts, volts + 1e-3]
    scan = cyclic_voltammetry(cell, "electrode", corners, 1.0, start=rest, points=20)
    assert (scan.current > 0).all()
    slow = impedance(cell, "electrode", [1e-3], rest).impedance[0]
    assert slow.real == pytest.approx(1e-3 / final, rel=0.02)


def test_the_other_conditions_may_change():
    """A richer reservoir shifts Nernst's potential by ``kT/e ln 2``."""
    electrode = Electrode(stern="20 uF/cm**2", reactions=(couple(0.0),))
    cell = half_cell(electrode)
    richer = {"bulk": {"concentration": {"Fe3": 10.0, "Cl": 1032.0}}}
    volts, _ = open_circuit(cell, "electrode", richer)
    assert volts == pytest.approx(VT * np.log(10), abs=1e-9)


def binary(right, **options):
    """A salt whose cation is four times as fast, between 100 and `right` mol/m3."""
    ions = [Ion("K", 1, "2e-9 m**2/s", 100.0), Ion("X", -1, "0.5e-9 m**2/s", 100.0)]
    borders = {"left": Reservoir()}
    borders["right"] = Reservoir(concentration=dict.fromkeys(("K", "X"), right))
    vertices = graded(200.0, 0.05, growth=1.2, both=True)
    return Cell(interval(vertices), ions, borders, **options)


@pytest.mark.parametrize(("neutral", "error"), [(True, 1e-9), (False, 1e-5)])
def test_liquid_junction_of_a_salt(neutral, error):
    """``-U kT/e ln(c2 / c1)``, U = (D+ - D-) / (D+ + D-) (Planck 1890)."""
    cell = binary(200.0, electroneutral=neutral)
    volts, state = open_circuit(cell, "right")
    assert volts == pytest.approx(-0.6 * VT * np.log(2), rel=error)
    assert abs(state.current["left"]) < 1e-6
    assert abs(state.inflow["K", "left"]) > 0.1
    run = follow(cell, "1 us", {"right": {"current": 0.0}}, start=state)
    assert run.electrode_potential == pytest.approx(volts, rel=1e-6)


@pytest.mark.parametrize("fixed", [-50.0, 400.0])
@pytest.mark.parametrize("right", [10.0, 1000.0])
def test_potential_of_a_charged_membrane(fixed, right):
    """Donnan's potentials of both faces and the diffusion potential between them
    (Teorell 1935; Meyer and Sievers 1936)."""
    region = Region(("0 nm", "200 nm"), fixed_charge=fixed * FARADAY)
    volts, _ = open_circuit(
        binary(right, regions={"membrane": region}, electroneutral=True), "right"
    )
    first, last = (np.arcsinh(fixed / 2 / c) for c in (100.0, right))
    a, b = (np.hypot(2 * c, fixed) - 0.6 * fixed for c in (100.0, right))
    exact = VT * (first - last - 0.6 * np.log(b / a))
    assert volts == pytest.approx(exact, abs=3e-6)


def test_what_has_no_open_circuit():
    cell = half_cell(Electrode())
    with pytest.raises(InputError, match="electrode with redox couples") as caught:
        open_circuit(cell, "electrode")
    assert "got:    Electrode" in str(caught.value)
    for border in ("x", 3, ["electrode"]):
        with pytest.raises(InputError, match="unknown border\n  wanted: electrode, bulk"):
            open_circuit(cell, border)
    for drive in (3, {"electrode": 3}):
        with pytest.raises(InputError, match="a drive"):
            open_circuit(cell, "electrode", drive)
