"""What errors of cells say: in SI, with the names of species and borders."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Electrode,
    Ion,
    Reservoir,
    voltage_step,
)
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem


def cell(left=None, right=None, **options):
    ions = [Ion("Na", 1, 2e-9, 100.0), Ion("Cl", -1, 2e-9, 100.0)]
    borders = {"left": left or Electrode(), "right": right or Reservoir()}
    return Cell(interval(graded(20.0, 0.05, growth=1.2)), ions, borders, **options)


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
