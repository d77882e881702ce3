"""Impedance and capacitance of cells in SI, against closed forms."""

import resource
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Ion,
    Redox,
    Reservoir,
    Symmetry,
    capacitance,
    cyclic_voltammetry,
    impedance,
)
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.artefact import read_dataset  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem
VT = 1.380649e-23 * 298.15 / 1.602176634e-19


def salt():
    return [
        Ion(name, z, "2e-9 m**2/s", "0.1 mol/L") for name, z in (("K", 1), ("Cl", -1))
    ]


def gouy_chapman(volts):
    """Differential capacitance, doi:10.1080/14786440408634187, F/m2."""
    return 0.722476 * np.cosh(volts / VT / 2)


def half_cell(electrode):
    vertices = graded(30.0, 0.02, growth=1.1)
    domain = interval(vertices, names=("electrode", "bulk"))
    return Cell(domain, salt(), {"electrode": electrode, "bulk": Reservoir()})


def test_capacitance_of_gouy_and_chapman():
    """``C0 cosh(e V / 2 kT)``: 72.2476 and 258.071 uF/cm2 at 0 and 100 mV."""
    curve = capacitance(half_cell(Electrode()), "electrode", [0.0, "50 mV", "0.1 V"])
    assert curve.unit == "F m-2"
    assert curve.capacitance == pytest.approx(gouy_chapman(curve.potential), rel=1e-5)
    assert curve.capacitance[-1] == pytest.approx(2.58071, rel=1e-5)
    assert curve.charge[0] == pytest.approx(0.0, abs=1e-15)
    assert curve.charge[2] == pytest.approx(
        0.722476 * 2 * VT * np.sinh(0.05 / VT), rel=1e-5
    )


def test_capacitance_behind_a_stern_layer():
    """``1/C = 1/C_GC + 1/C_H``: 18.5615 uF/cm2 for C_H = 20 with 100 mV behind it."""
    cell = half_cell(Electrode(stern="20 uF/cm**2"))
    behind = 0.722476 * 2 * VT * np.sinh(0.05 / VT)
    curve = capacitance(cell, "electrode", [0.1 + behind / 0.2])
    assert curve.charge[0] == pytest.approx(behind, rel=1e-5)
    assert curve.capacitance[0] == pytest.approx(0.185615, rel=1e-5)


def blocking(omega, length):
    """Ions of equal D between blocking plates, doi:10.1103/PhysRev.92.4, ohm m2."""
    eps, debye = 78.49 * 8.8541878128e-12, 78.49 * 8.8541878128e-12 / 0.722476
    wave = 1j * omega * debye**2 / 2e-9
    half = np.sqrt(1 + wave) * length / debye / 2
    return length / (1j * omega * eps) / (1 + wave) * (wave + np.tanh(half) / half)


@pytest.mark.parametrize("dim", [1, 2])
def test_spectrum_of_blocking_electrodes(dim):
    """From two double layers in series to a resistance, and beyond."""
    length, width = 200.0, 3.0
    lines = graded(length, 0.1, growth=1.2, both=True)
    plates = {"left": Electrode(), "right": Electrode()}
    if dim == 1:
        cell = Cell(interval(lines), salt(), plates)
        per, unit = 1.0, "ohm m2"
    else:
        domain = rectangle(lines, np.linspace(0, width, 3))
        sides = {"bottom": Symmetry(), "top": Symmetry()}
        cell = Cell(domain, salt(), plates | sides)
        per, unit = width * 1e-9, "ohm m"
    state = cell.settled()
    assert state.concentration["K"] == pytest.approx(100.0, rel=1e-9)
    spectrum = impedance(cell, "left", np.geomspace(1e3, 1e10, 8), state)
    exact = blocking(2 * np.pi * spectrum.frequency, length * 1e-9) / per
    assert spectrum.unit == unit
    assert spectrum.impedance == pytest.approx(exact, rel=1e-4)


def test_spectrum_in_axial_symmetry_is_that_of_the_whole_turn():
    radius, length = 50.0, 2000.0
    lines = graded(length, 0.1, growth=1.3, both=True)
    domain = rectangle(np.linspace(0, radius, 3), lines, symmetry="axial")
    plates = {"bottom": Electrode(), "top": Electrode()}
    sides = {"left": Symmetry(), "right": Symmetry()}
    cell = Cell(domain, salt(), plates | sides)
    spectrum = impedance(cell, "top", [1e4, 1e7], cell.settled())
    exact = blocking(2 * np.pi * spectrum.frequency, length * 1e-9)
    assert spectrum.unit == "ohm"
    assert spectrum.impedance == pytest.approx(exact / (np.pi * 50e-9**2), rel=1e-4)


def test_impedance_of_charge_transfer():
    """Slow limit is the slope of the polarisation curve, ``R_ct`` and diffusion."""
    ions = [
        Ion("Fe2", 2, "0.7e-9 m**2/s", "1 mmol/L"),
        Ion("Fe3", 3, "0.7e-9 m**2/s", "1 mmol/L"),
        Ion("K", 1, "1.96e-9 m**2/s", "1 mol/L"),
        Ion("Cl", -1, "2.03e-9 m**2/s", "1.005 mol/L"),
    ]
    couple = Redox({"Fe2": 1}, {"Fe3": 1}, "0 V", exchange_current="1 A/m**2")
    metal = Electrode(stern="20 uF/cm**2", reactions=(couple,))
    domain = interval(graded(1e3, 0.05, growth=1.2), names=("electrode", "bulk"))
    cell = Cell(domain, ions, {"electrode": metal, "bulk": Reservoir()})
    spectrum = impedance(cell, "electrode", np.geomspace(1e-2, 1e8, 11))
    low, high = (
        cell.steady({"electrode": {"potential": value}}).current["electrode"]
        for value in (-1e-4, 1e-4)
    )
    slow = spectrum.impedance[0]
    assert slow.real == pytest.approx(2e-4 / (high - low), rel=1e-5)
    assert slow.real > VT  # R_ct = kT / e i0, and diffusion
    assert (spectrum.impedance.real > 0).all()
    assert (spectrum.impedance.imag < 0).all()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_spectra_give_their_memory_back():
    domain = rectangle(np.linspace(0, 10, 20), graded(10.0, 0.1, growth=1.1))
    borders = dict.fromkeys(("left", "right"), Symmetry())
    borders |= {"bottom": Electrode(0.02), "top": Reservoir()}
    cell = Cell(domain, salt(), borders)
    state = cell.steady()

    def pages():
        impedance(cell, "bottom", [1e6], state)
        return int(Path("/proc/self/statm").read_text().split()[1])

    first = pages()
    grown = max(pages() for _ in range(8)) - first
    assert grown * resource.getpagesize() < 50e6  # 8 spectra took 200 MB


def test_impedance_of_a_closed_cell_at_a_given_current():
    """The same as at the potential that gives the current."""
    deposit = Redox({}, {"K": 1}, 0.0, exchange_current=1e5)
    metal = Electrode(0.0, stern=0.2, reactions=(deposit,))
    lines = graded(20.0, 0.1, growth=1.3, both=True)
    cell = Cell(interval(lines, names=("a", "b")), salt(), {"a": metal, "b": metal})
    volts = cell.settled(drive={"a": {"potential": "50 mV"}})
    amps = cell.settled(drive={"a": {"current": volts.current["a"]}})
    assert amps.electrode_potential == pytest.approx(0.05, rel=1e-7)
    held, driven = (impedance(cell, "a", [1e3, 1e6], one) for one in (volts, amps))
    assert driven.impedance == pytest.approx(held.impedance, rel=1e-6)


def test_frequencies_that_make_no_sense():
    cell = half_cell(Electrode())
    with pytest.raises(InputError, match="a positive number"):
        impedance(cell, "electrode", [1.0, 0.0])
    with pytest.raises(InputError, match="nowhere"):
        impedance(cell, "nowhere", [1.0])


def test_files(tmp_path):
    """Written whole, in SI, with the electrode and what totals are per."""
    cell = half_cell(Electrode())
    spectrum = impedance(cell, "electrode", [1e8, 1e5])
    spectrum.save(tmp_path / "z.nc")
    read = read_dataset(tmp_path / "z.nc", "impedance-spectrum/1")
    z = read["impedance_real"].values + 1j * read["impedance_imaginary"].values
    assert (z == spectrum.impedance).all()
    assert (read["frequency"].values == [1e8, 1e5]).all()
    assert read["impedance_real"].attrs["units"] == "ohm"
    curve = capacitance(cell, "electrode", [0.0, "50 mV", 0.0])
    curve.save(tmp_path / "c.nc")
    again = read_dataset(tmp_path / "c.nc", "capacitance-curve/1")
    for name in ("potential", "charge", "capacitance"):
        assert (again[name].values == getattr(curve, name)).all()
    for ds in (read, again):
        assert ds.attrs["border"] == "electrode"
        assert ds.attrs["per"] == "m-2"
        assert ds.attrs["temperature"] == 298.15


def test_voltammogram_in_a_file(tmp_path):
    """A blocking electrode: the current charges it, ``i = C dV/dt``."""
    cell = half_cell(Electrode())
    scan = cyclic_voltammetry(cell, "electrode", [0.0, 1e-3, 0.0], 10.0, points=20)
    scan.save(tmp_path / "cv.nc")
    read = read_dataset(tmp_path / "cv.nc", "voltammogram/1")
    for name in ("time", "potential", "current", "sweep"):
        assert (read[name].values == getattr(scan, name)).all()
    assert read["time"].values[-1] == pytest.approx(2e-4, rel=1e-12)
    back = 1e-3 - np.abs(read["time"].values * 10 - 1e-3)
    assert read["potential"].values == pytest.approx(back, abs=1e-12)
    last = read["current"].values[read["sweep"].values == 1][-1]
    assert last == pytest.approx(-10 * gouy_chapman(0.0), rel=1e-3)
    assert read.attrs["border"] == "electrode"


def test_pictures(tmp_path):
    cell = half_cell(Electrode())
    impedance(cell, "electrode", np.geomspace(1e4, 1e9, 9)).plot(tmp_path / "z.png")
    capacitance(cell, "electrode", [0.0, 0.05]).plot(tmp_path / "c.png")
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("z.png", "c.png"))
