import numpy as np
import pytest

from mesobridge.continuum.mesh import graded, with_points
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


@pytest.mark.parametrize("bad", [{"first": 0.0}, {"growth": 0.9}, {"length": -1.0}])
def test_sizes_out_of_range_are_refused(bad):
    with pytest.raises(InputError, match="out of range"):
        graded(**{"length": 1.0, "first": 0.1, **bad})
