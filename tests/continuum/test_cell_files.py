"""Files that cells write for ParaView."""

import h5py
import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum import _dolfinx as fx  # noqa: E402
from mesobridge.continuum.cell import Cell, Ion, Reservoir, Symmetry, Wall  # noqa: E402
from mesobridge.continuum.domain import rectangle  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem


@pytest.fixture(scope="module")
def state():
    domain = rectangle(np.linspace(0, 2, 4), graded(6.0, 0.2, growth=1.3))
    ions = [Ion("K", 1, 2e-9, "0.1 mol/L"), Ion("Cl", -1, 2e-9, "0.1 mol/L")]
    sides = {"left": Symmetry(), "right": Symmetry()}
    ends = {"bottom": Wall(charge="-0.01 C/m**2"), "top": Reservoir()}
    return Cell(domain, ions, sides | ends).steady()


def test_fields_for_paraview(state, tmp_path):
    """Each vertex has the value of the node there, in the units of the names."""
    state.save_xdmf(tmp_path / "new" / "double_layer.xdmf")
    written = sorted(file.name for file in (tmp_path / "new").iterdir())
    assert written == ["double_layer.h5", "double_layer.xdmf"]
    text = (tmp_path / "new" / "double_layer.xdmf").read_text()
    assert "double_layer.h5:" in text
    assert "c_K (mol/m3)" in text
    with h5py.File(tmp_path / "new" / "double_layer.h5") as file:
        points = file["Mesh/mesh/geometry"][:]
        found = file["Function/potential (V)/0"][:, 0]
    nodes = state.solution.points[:, :2]
    at = [np.linalg.norm(nodes - point, axis=1).argmin() for point in points[:, :2]]
    assert found == pytest.approx(state.potential[at], rel=1e-12)
    assert np.ptp(found) > 0.01


def test_a_write_that_fails_leaves_the_former_file(state, tmp_path, monkeypatch):
    path = tmp_path / "fields.xdmf"
    path.write_text("former")

    def broken(*given):
        raise RuntimeError("disk full")

    monkeypatch.setattr(fx, "write_xdmf", broken)
    with pytest.raises(RuntimeError):
        state.save_xdmf(path)
    assert path.read_text() == "former"
    assert [file.name for file in tmp_path.iterdir()] == ["fields.xdmf"]


def test_places_that_cannot_be_written_to(state, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        state.save_xdmf(tmp_path / "file" / "fields.xdmf")
    with pytest.raises(InputError, match="NAME.xdmf"):
        state.save_xdmf(tmp_path / "fields.vtu")
