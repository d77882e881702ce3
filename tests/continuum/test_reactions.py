"""Homogeneous reactions: mass action, kinetics, conservation, and a safe parser."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import Functionals, medium_of, still  # noqa: E402

from mesobridge.continuum.closures import NUMPY  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.reactions import Reaction  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.continuum.transient import solve_transient  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem

SPECIES = ("A", "B", "AB")
FORWARD, BACK = 3.0, 0.5


def association(**given):
    """A + B <-> AB."""
    return Reaction(
        **{
            "expression": "kf * A * B - kb * AB",
            "stoichiometry": {0: -1, 1: -1, 2: 1},
            "species": SPECIES,
            "parameters": {"kf": FORWARD, "kb": BACK},
            **given,
        }
    )


@pytest.fixture(scope="module")
def cell():
    """A+ and B- that form ion pairs between closed walls."""
    return NernstPlanckPoisson(
        interval(np.linspace(0, 1, 21)), [1, -1, 0], reactions=[association()]
    )


def test_closed_kinetics_and_mass_action(cell):
    """A uniform cell follows ``dx/dt = kf (1 - x)^2 - kb x`` in closed form.

    With the roots p < q of the right side ``(x - p)/(x - q) = e^(-kf (q - p) t) p/q``
    (van 't Hoff 1884).
    """
    c_ref = np.array([1.0, 1.0, 1e-9])
    medium = medium_of(cell, c_ref=c_ref)
    start = still(cell, medium)
    held = Conditions(phi={"left": 0.0})
    times = [0.1, 0.5, 2.0, 30.0]
    run = solve_transient(cell, medium, held, 30.0, start=start, at=times, tolerance=1e-5)
    p, q = sorted(np.roots([FORWARD, -2 * FORWARD - BACK, FORWARD]).real)
    for time in times:
        got = run.snapshots[time].concentration
        part = np.exp(-FORWARD * (q - p) * time) * p / q
        exact = (p - q * part) / (1 - part)
        assert got[2] == pytest.approx(exact, rel=3e-4)
    a, b, ab = run.last.concentration
    assert ab / (a * b) == pytest.approx(FORWARD / BACK, rel=1e-6)


def test_elements_and_charge_are_conserved(cell):
    """From a lopsided start: A + AB, B + AB and the charge stay to rounding."""
    medium = medium_of(cell, c_ref=np.array([1.0, 1.0, 0.2]), poisson=0.05)
    wave = 0.5 * np.cos(np.pi * cell.x)
    start = still(cell, medium, np.vstack([wave, -0.3 * wave, 0.0 * wave]))
    total, seen = Functionals(cell, lambda here: here.c), []
    solve_transient(
        cell,
        medium,
        Conditions(phi={"left": 0.0}),
        3.0,
        start=start,
        progress=lambda *_: seen.append(total()),
    )
    cell.state = start.state
    a, b, ab = np.transpose([total(), *seen])
    for element in (a + ab, b + ab):
        assert np.ptp(element) <= 1e-12 * element[0]
    assert np.ptp(a - b) < 1e-12
    assert np.ptp(ab) > 0.1


def test_mass_action_holds_beside_a_reservoir_and_in_a_potential(cell):
    """At equilibrium ``c_AB = K c_A c_B`` wherever the ions are, at any potential."""
    mu = np.vstack([np.sin(3 * cell.x), 0.5 * cell.x, np.sin(3 * cell.x) + 0.5 * cell.x])
    c_ref = np.array([0.5, 0.5, 0.25 * FORWARD / BACK])
    medium = medium_of(cell, mu_ex=mu, c_ref=c_ref, poisson=0.02)
    held = Conditions({(i, "right"): 0.0 for i in range(3)}, {"left": 2.0, "right": 0.0})
    got = solve_steady(cell, medium, held)
    # The wells of the pair are those of its ions here, so K is the same everywhere.
    a, b, ab = got.concentration
    assert ab / (a * b) == pytest.approx(FORWARD / BACK, rel=1e-9)
    assert a.max() > 3 * a.min()


def test_a_reaction_layer():
    """``D c'' = k c``: ``c = cosh(m (1 - x))/cosh(m)``, m^2 = k/D (Thiele 1939,
    doi:10.1021/ie50355a027), inflow ``D m tanh(m)``."""
    loss = Reaction("k * A", {0: -1}, ["A"], {"k": 9.0})
    model = NernstPlanckPoisson(interval(np.linspace(0, 1, 41)), [0], reactions=[loss])
    held = Conditions({(0, "left"): 0.0}, {"left": 0.0})
    got = solve_steady(model, medium_of(model), held)
    exact = np.cosh(3 * (1 - model.x)) / np.cosh(3)
    assert got.concentration[0] == pytest.approx(exact, rel=1e-7)
    assert got.inflow[0, "left"] == pytest.approx(3 * np.tanh(3), rel=1e-8)


def test_units_of_a_rate():
    """Concentrations times `scale` go in, what comes out is divided by the unit."""
    rate = association(scale=(50.0, 4.0)).rate(None, [2.0, 0.5, 1.0])
    assert rate == pytest.approx((FORWARD * 100 * 25 - BACK * 50) / 4)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("A - B - AB", 2 - 3 - 5),
        ("A / B / AB", 2 / 3 / 5),
        ("A ** B ** 2", 2.0**9),
        ("-A ** 2", -4.0),
        ("(-A) ** 2 * 1e-3", 4e-3),
        ("exp(A) * ln(B) + kf", np.exp(2) * np.log(3) + FORWARD),
        ("A / (1 - A)", -2.0),  # not refused for its pole
        ("ln(A - 1)", 0.0),
    ],
)
def test_arithmetic_of_expressions(expression, value):
    reaction = association(expression=expression)
    rate = reaction.rate(NUMPY, [2.0, 3.0, 5.0])
    assert float(rate) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression",
    [
        "A.__class__",
        "A.real",
        "__import__('os').getcwd()",
        "().__class__.__bases__",
        "exp.__call__(A)",
        "open('x')",
        "eval('1')",
        "sqrt(A)",
        "C",
        "kf(A)",
        "exp",
        "exp(A, B)",
        "exp(*A)",
        "exp(x=A)",
        "A[0]",
        "[A for A in B]",
        "lambda: A",
        "A if B else AB",
        "A < B",
        "A and B",
        "(x := A)",
        "A @ B",
        "A // B",
        "~A",
        "'A'",
        "f'{A}'",
        "1j * A",
        "True * A",
        "None",
        "A; B",
        "import os",
        "",
        "A +",
        "A\0B",
        "(" * 300 + "A" + ")" * 300,
        "A-" * 3000 + "A",
        "9 ** 9 ** 9",
        "1e400 * A",
        "exp(1000) * A",
        "A / 0",
        "ln(0) * A",
    ],
)
def test_expressions_that_are_no_arithmetic_are_refused(expression):
    with pytest.raises(InputError, match="a rate that cannot be used"):
        association(expression=expression)
