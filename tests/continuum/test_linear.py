"""Linear systems: which solver, how many iterations, and what follows a failure."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402

from mesobridge.continuum import _dolfinx as fx  # noqa: E402
from mesobridge.continuum import linear  # noqa: E402
from mesobridge.continuum.closures import Bikerman  # noqa: E402
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.newton import NotConverged  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.continuum.transient import solve_transient  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem
DEBYE = 0.05


def model_of(method, charges=(1, -1), degree=1, closure=None):
    domain = rectangle(np.linspace(0, 1, 25), graded(1.0, 0.005, growth=1.15))
    return NernstPlanckPoisson(
        domain, charges, degree=degree, closure=closure, linear=method
    )


def film(volts):
    """A bottom that takes up cations: its current saturates with the potential."""
    held = reservoir(2, "top")
    held["psi"][0, "bottom"] = -volts
    held["phi"]["bottom"] = -volts
    return Conditions(**held)


@pytest.fixture
def watched(monkeypatch):
    """Iterations of every system, and a list of what was built."""
    seen, solve = [], linear.LinearSolver.solve

    def watch(self, *args, **options):
        solve(self, *args, **options)
        seen.append(self.iterations)

    monkeypatch.setattr(linear.LinearSolver, "solve", watch)
    return seen


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("volts", [4.0, 20.0])
def test_few_iterations_and_the_same_state_with_a_current(watched, degree, volts):
    states = []
    for method in ("direct", "fieldsplit"):
        model = model_of(method, degree=degree)
        medium = medium_of(model, poisson=2 * DEBYE**2)
        first = solve_steady(model, medium, film(volts / 2))
        watched.clear()
        states.append(solve_steady(model, medium, film(volts), start=first))
    direct, split = states
    assert np.abs(split.state - direct.state).max() < 1e-9
    assert split.inflow == pytest.approx(direct.inflow, rel=1e-9, abs=1e-12)
    assert split.report.steps == direct.report.steps
    assert max(watched) <= 10
    assert model.newton.rescues == 0


@pytest.mark.parametrize("degree", [1, 2])
def test_few_iterations_at_forty_kt(watched, degree):
    """Crowded ions at equilibrium; concentrations differ by 17 decades."""
    closure = Bikerman([0.0075, 0.0075])
    model = model_of("fieldsplit", degree=degree, closure=closure)
    given = Conditions(**reservoir(2, "top"))
    given.phi["bottom"] = 40.0
    medium = medium_of(model, poisson=2 * DEBYE**2, closure=closure)
    found = solve_steady(model, medium, given)
    exact = np.sqrt(4 * DEBYE**4 / DEBYE**2) * np.sqrt(
        2 / 0.015 * np.log1p(0.03 * np.sinh(20.0) ** 2)
    )
    assert found.charge["bottom"] == pytest.approx(exact, rel=0.02)
    assert found.concentration.min() < 1e-16
    assert np.abs(found.psi).max() < 1e-12
    assert max(watched) <= 6
    assert model.newton.rescues == 0


@pytest.mark.parametrize("method", ["direct", "fieldsplit"])
def test_a_leap_far_above_the_limiting_current_is_not_halved(watched, method):
    """Increments of a million kT would overflow if they were not shortened."""
    model = model_of(method)
    found = solve_steady(model, medium_of(model, poisson=2 * DEBYE**2), film(40.0))
    assert found.report.rejected == 0
    assert found.report.iterations <= 16
    assert max(watched) <= 18
    assert np.mean(watched) <= 11


def test_few_iterations_in_time(watched):
    """From the first instant, when only phi moves, to the end, when nothing does."""
    model = model_of("fieldsplit")
    medium = medium_of(model, poisson=2 * DEBYE**2)
    start = solve_steady(model, medium, film(0.0))
    watched.clear()
    run = solve_transient(model, medium, film(4.0), 10.0, start=start, tolerance=0.05)
    end = solve_steady(model, medium, film(4.0))
    assert run.last.inflow == pytest.approx(end.inflow, rel=1e-3, abs=1e-3)
    assert max(watched) <= 16
    assert np.mean(watched) <= 8


@pytest.mark.parametrize("charges", [(1,), (2, -1, 1), (1, -1, 0)])
def test_solutions_and_transposed_solutions_are_accurate(charges):
    answers = []
    n = len(charges)
    for method in ("direct", "fieldsplit", {"ksp_type": "gmres", "pc_type": "lu"}):
        model = model_of(method, charges)
        fixed = np.full(len(model.x), -float(sum(charges)))
        medium = medium_of(model, poisson=2 * DEBYE**2, fixed_charge=fixed)
        held = reservoir(n, "top")
        held["psi"][0, "bottom"] = 2.0
        solve_steady(model, medium, Conditions(**held))
        right = np.sin(np.arange(model.newton.n_owned) ** 2.0)
        both = [model.newton.linear(right, transposed=back) for back in (False, True)]
        answers.append(np.array(both))
        assert model.newton.rescues == 0
    direct, *others = answers
    scale = np.abs(direct).max(axis=1, keepdims=True)
    for other in others:
        assert np.abs((other - direct) / scale).max() < 1e-8


def test_the_choice_follows_size_and_dimension(monkeypatch):
    monkeypatch.setattr(linear, "DIRECT_UP_TO", 100)
    assert not model_of("auto").newton.direct
    line = NernstPlanckPoisson(interval(np.linspace(0, 1, 101)), [1, -1])
    assert line.newton.direct
    with pytest.raises(InputError, match="unknown linear solver"):
        model_of("multigrid")


def test_what_iterations_cannot_solve_is_left_to_the_direct_solver(monkeypatch):
    """Options of the user make the preconditioner useless."""
    options = fx.PETSc.Options("mesobridge_")
    options["ksp_max_it"] = 1
    try:
        model = model_of("fieldsplit")
        medium = medium_of(model, poisson=2 * DEBYE**2)
        found = solve_steady(model, medium, film(1.0))
        assert model.newton.rescues > 0
        exact = solve_steady(model_of("direct"), medium, film(1.0))
        assert np.abs(found.state - exact.state).max() < 1e-9
        monkeypatch.setattr(linear, "RESCUE_UP_TO", 100)
        right = np.ones(model.newton.n_owned)
        with pytest.raises(NotConverged, match="cannot be solved"):
            model.newton.linear(right)
    finally:
        options.delValue("ksp_max_it")
