import numpy as np
import pytest

from mesobridge.continuum.mesh import (
    boundary_layer,
    graded,
    layered,
    wall_size,
    with_points,
)
from mesobridge.core.errors import InputError


def test_graded_mesh_fills_the_interval_and_keeps_its_ratios():
    vertices = graded(5.0, 0.01, growth=1.2, largest=0.3)
    sizes = np.diff(vertices)
    assert vertices[0] == 0.0
    assert vertices[-1] == 5.0
    assert 0.005 < sizes[0] <= 0.01
    ratio = sizes[1:] / sizes[:-1]
    assert (ratio > 0.999).all()
    assert (ratio < 1.2001).all()
    assert sizes.max() <= 0.3


def test_points_become_vertices_without_slivers():
    vertices = with_points(np.linspace(0, 1, 11), [0.31, 0.55, 0.999])
    assert set(vertices) >= {0.0, 0.31, 0.55, 0.999, 1.0}
    assert 0.3 not in vertices
    assert np.diff(vertices)[:-1].min() > 0.03


@pytest.mark.parametrize("point", [0.0, 1.0, -0.1, 1.5])
def test_points_must_lie_inside(point):
    with pytest.raises(InputError, match="outside the mesh"):
        with_points(np.linspace(0, 1, 11), [point])


def test_layers_meet_in_seams():
    vertices = layered([2.0, 1.0, 3.0], 0.1, growth=1.3, seam=0.01)
    sizes = np.diff(vertices)
    assert vertices[[0, -1]] == pytest.approx([0.0, 6.0])
    for face in (2.0, 3.0):
        assert np.abs(vertices - face + 0.005).min() < 1e-12
        assert np.abs(vertices - face - 0.005).min() < 1e-12
    assert (sizes < 0.011).sum() == 2
    assert sizes.min() > 0.009
    assert len(layered([1.0], 0.1)) == len(graded(1.0, 0.1, both=True))
    with pytest.raises(InputError, match="width of a seam"):
        layered([1.0, 1.0], 0.1, seam=0.1)


@pytest.mark.parametrize("bad", [{"first": 0.0}, {"growth": 0.9}, {"length": -1.0}])
def test_sizes_out_of_range_are_refused(bad):
    with pytest.raises(InputError, match="out of range"):
        graded(**{"length": 1.0, "first": 0.1, **bad})


def test_a_layer_at_both_ends_is_symmetric():
    vertices = boundary_layer(20.0, 1.0, both=True, largest=0.8)
    sizes = np.diff(vertices)
    assert (vertices[0], vertices[-1]) == (0.0, 20.0)
    assert vertices + vertices[::-1] == pytest.approx(20.0)
    assert sizes[0] <= 0.1
    assert sizes.max() <= 0.8
    assert (sizes > 0).all()


def gouy_chapman_error(zeta: float, mesh_zeta: float) -> float:
    """Relative error of the charge (Debye 1) of the exact layer seen on a mesh."""
    vertices = boundary_layer(30.0, 1.0, zeta=mesh_zeta)
    middle = (vertices[1:] + vertices[:-1]) / 2
    ends, centre = (
        np.sinh(4 * np.arctanh(np.tanh(zeta / 4) * np.exp(-x)))
        for x in (vertices, middle)
    )
    simpson = np.diff(vertices) / 6 @ (ends[1:] + ends[:-1] + 4 * centre)
    return abs(simpson / (2 * np.sinh(zeta / 2)) - 1)


def test_the_first_cell_follows_the_layer_of_a_high_charge():
    assert gouy_chapman_error(0.1, 0.1) < 1e-5
    assert gouy_chapman_error(10.0, 10.0) < 1e-4
    assert gouy_chapman_error(20.0, 20.0) < 1e-4
    assert gouy_chapman_error(10.0, 0.0) > 1e-2


def test_the_size_at_a_wall_thins_as_the_gouy_chapman_length():
    assert wall_size(2.0, cells_per_debye=10) == pytest.approx(0.2)
    ratio = wall_size(1.0, zeta=20.0) / wall_size(1.0, zeta=22.0)
    assert ratio == pytest.approx(np.e, rel=1e-6)
    assert wall_size(1.0, zeta=-5.0) == wall_size(1.0, zeta=5.0)


@pytest.mark.parametrize("bad", [{"debye": 0.0}, {"cells_per_debye": -1.0}])
def test_wall_sizes_out_of_range_are_refused(bad):
    with pytest.raises(InputError, match="out of range"):
        wall_size(**{"debye": 1.0, **bad})
