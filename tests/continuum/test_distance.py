"""Distances to walls against plane geometry."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.distance import to_simplices, wall_distance  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem


def scattered(n: int, dim: int, high: float) -> np.ndarray:
    points = np.zeros((n, 3))
    points[:, :dim] = np.random.default_rng(7).uniform(0, high, (n, dim))
    return points


def test_interval():
    line = interval(graded(5.0, 0.1))
    points = scattered(50, 1, 5.0)
    x = points[:, 0]
    assert wall_distance(line, "left", points) == pytest.approx(x)
    both = wall_distance(line, ["left", "right"], points)
    assert both == pytest.approx(np.minimum(x, 5 - x))


def test_corner_of_a_graded_rectangle():
    """Facets of sizes that differ fifty times: the nearest middle is not the nearest."""
    lines = graded(4.0, 0.02, growth=1.5)
    box = rectangle(lines, lines)
    points = scattered(500, 2, 4.0)
    x, y = points[:, 0], points[:, 1]
    corner = wall_distance(box, ("left", "bottom"), points)
    assert corner == pytest.approx(np.minimum(x, y), abs=1e-12)
    assert wall_distance(box, "right", points) == pytest.approx(4 - x, abs=1e-12)
    beyond = wall_distance(box, ["left", "bottom"], points - [5.0, 5.0, 0.0])
    expected = np.hypot(np.maximum(5 - x, 0), np.maximum(5 - y, 0))
    assert beyond == pytest.approx(expected, abs=1e-12)


def test_every_branch_of_the_distance_to_a_triangle():
    triangle = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]])
    points = np.array(
        [[0.5, 0.5, 3], [-3, -4, 0], [1, -2, 0], [2, 2, 0], [5, 0, 4], [0.5, 0.5, 0]]
    )
    expected = [3, 5, 2, np.sqrt(2), 5, 0]
    turned = triangle[[0, 2, 1]]
    for corners in (triangle, turned):
        found = to_simplices(points, np.repeat(corners[None], len(points), axis=0))
        assert found == pytest.approx(expected, abs=1e-12)


def test_no_points_and_no_walls():
    line = interval([0.0, 1.0])
    assert wall_distance(line, "left", np.empty((0, 3))).shape == (0,)
    with pytest.raises(InputError, match="walls to measure"):
        wall_distance(line, [], np.zeros((1, 3)))
    with pytest.raises(InputError, match="unknown border"):
        wall_distance(line, "wall", np.zeros((1, 3)))
    with pytest.raises(InputError, match="points in space"):
        wall_distance(line, "left", np.zeros((4, 2)))
