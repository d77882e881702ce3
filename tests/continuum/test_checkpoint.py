"""Runs that are killed and go on; drives that a run cannot follow."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Ion,
    Reservoir,
    constant_current,
    cyclic_voltammetry,
    follow,
    voltage_step,
)
from mesobridge.continuum.cell.protocols import start_of  # noqa: E402
from mesobridge.continuum.checkpoint import Checkpoint  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.fields import Gather  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem


def half_cell(electrode=None, permittivity=78.49, diffusivity=2.03e-9):
    ions = [Ion("Na", 1, 1.33e-9, 100.0), Ion("Cl", -1, diffusivity, 100.0)]
    domain = interval(graded(30.0, 0.05, growth=1.2), names=("electrode", "bulk"))
    borders = {"electrode": electrode or Electrode(), "bulk": Reservoir()}
    return Cell(domain, ions, borders, permittivity=permittivity)


@pytest.fixture(scope="module")
def cell():
    return half_cell()


@pytest.fixture(autouse=True)
def _at_every_step(monkeypatch):
    monkeypatch.setattr(Checkpoint.__init__, "__kwdefaults__", {"every": 0.0})


class Kill:
    """Ends a run at a step."""

    def __init__(self, step):
        self.left = step

    def __call__(self, *_):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def kill(step, protocol, *arguments, **options):
    with pytest.raises(KeyboardInterrupt):
        protocol(*arguments, progress=Kill(step), **options)


def wave(time):
    """The same at both ends of a period of 20 ns."""
    return {"electrode": {"potential": 0.1 * np.sin(2 * np.pi * time / 2e-8)}}


@pytest.mark.parametrize(("drive", "rejected"), [(wave, True), (None, False)])
def test_a_killed_run_ends_as_if_it_had_not_been(cell, tmp_path, drive, rejected):
    """Whether or not steps were made again before."""
    drive = drive or {"electrode": {"potential": 0.1}}
    given, kept = {"at": [1e-9, 9e-8]}, tmp_path / "run.npz"
    whole = follow(cell, "100 ns", drive, **given)
    assert (whole.run.rejected > 0) == rejected
    kill(25, follow, cell, "100 ns", drive, checkpoint=kept, **given)
    assert kept.exists()
    again = follow(cell, "100 ns", drive, checkpoint=kept, **given)
    assert not kept.exists()
    assert np.array_equal(again.time, whole.time)
    assert again.run.rejected == whole.run.rejected
    for name in whole.charge:
        assert np.array_equal(again.charge[name], whole.charge[name])
        assert np.array_equal(again.current[name], whole.current[name])
    for one, other in zip(again.states, whole.states, strict=True):
        assert np.array_equal(one.potential, other.potential)


def test_a_killed_run_at_a_given_current(tmp_path):
    cell, kept = half_cell(Electrode(stern="10 uF/cm**2")), tmp_path / "run.npz"
    step = (cell, "electrode", "1e4 A/m**2", "1 us")
    whole = constant_current(*step)
    kill(8, constant_current, *step, checkpoint=kept)
    again = constant_current(*step, checkpoint=kept)
    assert np.array_equal(again.electrode_potential, whole.electrode_potential)


def test_a_checkpoint_belongs_to_one_run(cell, tmp_path):
    kept = {"checkpoint": tmp_path / "run.npz"}
    step = (cell, "100 ns", wave)
    kill(5, follow, *step, **kept)

    def twice(time):
        return {"electrode": {"potential": 2 * wave(time)["electrode"]["potential"]}}

    charged = cell.steady({"electrode": {"potential": 0.01}})
    with pytest.raises(InputError, match="another drive"):
        follow(cell, "100 ns", twice, **kept)
    with pytest.raises(InputError, match="another start"):
        follow(*step, start=charged, **kept)
    with pytest.raises(InputError, match="another ln_permittivity"):
        follow(half_cell(permittivity=40.0), "100 ns", wave, **kept)
    with pytest.raises(InputError, match="another .*ln_diffusivity"):
        follow(half_cell(diffusivity=1e-9), "100 ns", wave, **kept)
    for other in ({"tolerance": 1e-3}, {"at": [1e-8]}):
        with pytest.raises(InputError, match="another times"):
            follow(*step, **other, **kept)
    follow(*step, **kept)


def test_a_checkpoint_knows_small_meshes(tmp_path):
    """Also where coordinates are in metres."""
    for length in (30e-9, 15e-9):
        model = NernstPlanckPoisson(interval(np.linspace(0, length, 5)), [0])
        kept = Checkpoint(tmp_path / "run.npz", Gather(model.nodes), {})
        if length == 30e-9:
            kept.write({}, {})
            assert kept.read() == ({}, {})
    with pytest.raises(InputError, match="another mesh"):
        kept.read()


@pytest.mark.parametrize("kind", ["no file of NumPy", "empty", "cut", "other"])
def test_a_file_that_is_no_checkpoint_is_refused(cell, tmp_path, kind):
    path = tmp_path / "run.npz"
    kill(5, voltage_step, cell, "electrode", 0.1, "1 ns", checkpoint=path)
    whole = path.read_bytes()
    broken = {"no file of NumPy": b"nothing", "empty": b"", "cut": whole[:500]}
    if kind == "other":
        np.savez(path, header=np.array("[]"))
    else:
        path.write_bytes(broken[kind])
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"run\.npz is no checkpoint(.|\n)*remove it"):
        voltage_step(cell, "electrode", 0.1, "1 ns", checkpoint=path)
    assert path.read_bytes() == before


def test_a_voltammogram_that_was_killed(cell, tmp_path):
    """Finished sweeps are not made again, and none of it leaves a trace."""
    cycle = (cell, "electrode", [-0.1, 0.1, -0.1], "1e6 V/s")
    whole = cyclic_voltammetry(*cycle, points=40)
    steps = whole.series[0].run.steps
    files = {"checkpoint": tmp_path / "cv", "points": 40}
    kill(steps + 20, cyclic_voltammetry, *cycle, **files)
    kill(5, cyclic_voltammetry, *cycle, **files)
    assert {one.name for one in tmp_path.iterdir()} == {"cv.sweep1", "cv.sweep2"}
    again = cyclic_voltammetry(*cycle, **files)
    assert np.array_equal(again.potential, whole.potential)
    assert np.array_equal(again.current, whole.current)
    assert np.array_equal(again.sweep, whole.sweep)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("early", [True, False])
def test_a_current_for_a_part_of_the_time_is_refused(early):
    cell = half_cell(Electrode(stern="20 uF/cm**2"))

    def drive(time):
        return {"electrode": {"current": 1e4 if (time > 5e-8) != early else None}}

    with pytest.raises(InputError, match="for a part of the time: at 'electrode'"):
        follow(cell, "100 ns", drive)


def test_what_drives_say_now_and_then_is_known_at_all_times(cell):
    def drive(time):
        return {"electrode": {"potential": 0.01}} if 0 < time < 5e-8 else {}

    run = follow(cell, "100 ns", drive, longest_step="20 ns")
    driven = run.drive["electrode"]["potential"]
    assert driven == pytest.approx(
        np.where((run.time > 0) & (run.time < 5e-8), 0.01, 0.0)
    )


def test_only_open_amounts_start_from_rest(monkeypatch):
    """Other errors on the way to the steady state are the user's to see."""
    cell = half_cell(Electrode(0.01))

    def fails(*_):
        raise InputError("concentrations outside the table")

    monkeypatch.setattr(cell.model.closure, "check", fails)
    with pytest.raises(InputError, match="outside the table"):
        start_of(cell)
    cell.borders["bulk"] = Electrode()
    assert start_of(cell).potential == pytest.approx(0.0)
