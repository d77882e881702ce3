"""Figures: what they show, on which axes, in which units."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Ion,
    Reservoir,
    Symmetry,
    Wall,
    capacitance,
    cyclic_voltammetry,
    impedance,
    voltage_step,
)
from mesobridge.continuum.cell.plot import typeset  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402

pytestmark = pytest.mark.fem


def salt():
    return [Ion(n, z, "2e-9 m**2/s", "0.1 mol/L") for n, z in (("K", 1), ("Cl", -1))]


def half_cell(length=30.0):
    vertices = graded(length, 0.05, growth=1.2)
    domain = interval(vertices, names=("electrode", "bulk"))
    return Cell(domain, salt(), {"electrode": Electrode(0.05), "bulk": Reservoir()})


def labels(figure):
    return [(axis.get_xlabel(), axis.get_ylabel()) for axis in figure.axes]


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("F m-2", r"$\mathrm{F\;m^{-2}}$"),
        ("ohm m2", r"$\mathrm{\Omega\;m^{2}}$"),
        ("µohm m", r"$\mathrm{µ\Omega\;m}$"),
        ("A ", r"$\mathrm{A}$"),
    ],
)
def test_units_are_typeset(unit, text):
    assert typeset(unit) == text


def test_a_short_cell_is_drawn_as_it_is():
    figure = half_cell().steady().plot()
    assert figure.axes[1].get_xlabel() == "position / nm"
    assert figure.axes[1].get_xscale() == "linear"
    x, phi = figure.axes[0].lines[0].get_data()
    assert (x[0], x[-1]) == (0.0, pytest.approx(30.0))
    assert phi[0] == pytest.approx(50.0)


def test_a_double_layer_beside_a_diffusion_layer_is_seen():
    """Distance from the electrode spans six decades, without a kink."""
    figure = half_cell(1e5).steady().plot()
    bottom = figure.axes[1]
    assert bottom.get_xlabel() == "distance from electrode / nm"
    assert bottom.get_xscale() == "log"
    assert [line.get_label() for line in bottom.lines] == ["K", "Cl"]


def test_two_double_layers_have_a_panel_each():
    domain = interval(graded(1e5, 0.05, growth=1.3, both=True), names=("a", "b"))
    cell = Cell(domain, salt(), {"a": Electrode(0.02), "b": Electrode(-0.02)})
    figure = cell.settled().plot()
    first, second, below, beside = figure.axes
    assert below.get_xlabel() == "distance from a / nm"
    assert beside.get_xlabel() == "distance from b / nm"
    assert beside.xaxis_inverted()
    left, right = (axis.lines[0].get_ydata() for axis in (first, second))
    assert left[0] == pytest.approx(20.0, rel=0.05)
    assert right[-1] == pytest.approx(-20.0, rel=0.05)
    assert left[-1] == pytest.approx(right[0])


def test_more_species_than_colours_are_all_drawn():
    ions = [Ion(f"N{k}", 0, 1e-9, 1.0 + k) for k in range(9)]
    domain = interval(np.linspace(0, 10, 5), names=("wall", "bulk"))
    cell = Cell(domain, ions, {"wall": Wall(), "bulk": Reservoir()})
    lines = cell.steady().plot().axes[1].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9


def test_maps_share_axes_and_name_their_fields():
    domain = rectangle(np.linspace(0, 20, 5), np.linspace(0, 4, 25))
    sides = dict.fromkeys(("left", "right"), Symmetry())
    borders = sides | {"bottom": Wall("-1 mC/m**2"), "top": Reservoir()}
    figure = Cell(domain, salt(), borders).steady().plot()
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[0] == "potential / mV"
    assert titles[1].startswith("log$_{10}$ c(K) / $")
    assert ("x / nm", "y / nm") in labels(figure)


def test_time_is_even_in_sweeps_and_logarithmic_after_jumps(tmp_path):
    cell = half_cell()
    scan = cyclic_voltammetry(cell, "electrode", [0.0, 0.01], 1e5, points=10)
    assert scan.series[0].plot().axes[-1].get_xscale() == "linear"
    assert scan.plot(tmp_path / "cv.png").axes[0].get_ylabel().endswith("m^{-2}}$")
    jump = voltage_step(cell, "electrode", 0.0, "1 us", tolerance=1e-2)
    current, charge = jump.plot(tmp_path / "jump.png").axes
    assert charge.get_xscale() == "log"
    assert current.get_yscale() == "log"
    assert current.get_ylabel().startswith("|current|")
    styles = {line.get_linestyle() for line in charge.lines}
    assert len(styles) == len(charge.lines)
    assert all((tmp_path / f"{n}.png").stat().st_size > 10_000 for n in ("cv", "jump"))


def test_responses_have_readable_units():
    cell = half_cell()
    spectrum = impedance(cell, "electrode", np.geomspace(1e4, 1e9, 9))
    nyquist, bode, phase = spectrum.plot().axes
    assert nyquist.get_xlabel() == r"Re Z / $\mathrm{µ\Omega\;m^{2}}$"
    assert nyquist.lines[0].get_ydata().max() == pytest.approx(
        1e6 * -spectrum.impedance.imag.min()
    )
    assert nyquist.get_aspect() == 1.0
    assert bode.get_ylabel() == r"|Z| / $\mathrm{\Omega\;m^{2}}$"
    assert phase.get_ylabel() == "phase / degrees"
    axis = capacitance(cell, "electrode", [0.0, 0.05]).plot().axes[0]
    assert axis.get_ylabel().endswith(r"$\mathrm{F\;m^{-2}}$")
