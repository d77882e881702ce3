"""Closures: against root finding, thermodynamics, known laws, and their derivatives."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402
from scipy.optimize import brentq  # noqa: E402

from mesobridge.continuum.activity import Activity  # noqa: E402
from mesobridge.continuum.borders import SurfaceCharge  # noqa: E402
from mesobridge.continuum.closures import NUMPY, Bikerman, CarnahanStarling, Closure  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.held import Held  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402
from mesobridge.core.schema import dataset  # noqa: E402
from mesobridge.core.units import AVOGADRO  # noqa: E402

pytestmark = pytest.mark.fem

SIZES = np.array([0.01, 0.04, 0.002])


def debye_hueckel(c):
    """Extended law of Debye and Hueckel, ``-A sqrt(c) / (1 + B sqrt(c))``, and slope."""
    root = np.sqrt(c)
    return -1.17 * root / (1 + 1.4 * root), -1.17 * root / 2 / (1 + 1.4 * root) ** 2


def salt_table(n=13, low=1e-3, high=5.0):
    c = np.geomspace(low, high, n)
    return Activity(c, *debye_hueckel(c), np.array([0.5, 0.5]))


STERICS = {
    "equal": Bikerman([0.0075, 0.0075, 0.0075]),
    "unequal": Bikerman(SIZES),
    "solvent": Bikerman(SIZES, solvent_volume=0.005),
    "spheres": CarnahanStarling(SIZES),
    "one point ion": CarnahanStarling([0.02, 0.0, 0.01]),
}


def concentrations(closure, ln_a):
    rows = list(ln_a)
    return np.exp(closure.ln_concentrations(NUMPY, closure.parameters, rows, rows))


def excess(closure, eta):
    """M of the packing fraction, as the literature has it."""
    if isinstance(closure, Bikerman):
        return -np.log1p(-eta)
    return (8 * eta - 9 * eta**2 + 3 * eta**3) / (1 - eta) ** 3


@pytest.mark.parametrize("name", STERICS)
def test_concentrations_of_random_states(name):
    """``eta = sum v_i a_i exp(-r_i M(eta))`` by `brentq`, from vanishing to packed.

    Bikerman: Kilic, Bazant & Ajdari 2007, doi:10.1103/PhysRevE.75.021502; hard spheres:
    Carnahan & Starling 1969, doi:10.1063/1.1672048.
    """
    closure, rng = STERICS[name], np.random.default_rng(7)
    ln_a = rng.uniform(-30, 40, (3, 2000))
    got = concentrations(closure, ln_a)
    volume, exponents = closure.volume, closure.parameters["exponents"]
    worst, sized = 0.0, volume > 0
    for state, c in zip(ln_a.T, got.T, strict=True):

        def mismatch(m, state=state):
            # In M, not in eta, which is 1 to rounding in packed states.
            ln_parts = (state - exponents * m)[sized] + np.log(volume[sized])
            top = ln_parts.max()
            ln_total = top + np.log(np.exp(ln_parts - top).sum())
            return ln_total - np.log(filling(closure, m))

        m = brentq(mismatch, 1e-17, 3000.0, xtol=1e-22, rtol=1e-14)
        worst = max(worst, np.abs(np.log(c) - (state - exponents * m)).max())
    assert worst < 1e-10
    assert (np.tensordot(volume, got, axes=1) <= 1 + 1e-12).all()


def filling(closure, m):
    """Packing fraction of an excess potential, from the closed form or by `brentq`."""
    if isinstance(closure, Bikerman):
        return -np.expm1(-m)

    def mismatch(eta):
        return excess(closure, eta) - m

    return brentq(mismatch, 0, 1 - 1e-5, xtol=1e-25, rtol=1e-14)


@pytest.mark.parametrize("name", STERICS)
def test_activities_are_the_inverse(name):
    """``ln a_i = ln c_i + r_i M``: there and back, with M as the literature has it."""
    closure, rng = STERICS[name], np.random.default_rng(3)
    c = rng.dirichlet(np.ones(3), 500).T * rng.uniform(0, 0.8, 500)
    c /= np.maximum(closure.volume, 0.002)[:, None]
    ln_a = closure.ln_activities(c)
    eta = np.tensordot(closure.volume, c, axes=1)
    exponents = closure.volume / (closure.solvent_volume or closure.volume.max())
    assert ln_a == pytest.approx(np.log(c) + np.outer(exponents, excess(closure, eta)))
    assert concentrations(closure, ln_a) == pytest.approx(c, rel=1e-10)


def test_equal_ions_have_the_closed_form():
    """``c_i = a_i / (1 + v sum a_j)``; of unequal ions it has no free energy."""
    a = np.array([[3.0, 1e3], [0.2, 1e5], [7.0, 1e-3]])
    got = concentrations(STERICS["equal"], np.log(a))
    assert got == pytest.approx(a / (1 + 0.0075 * a.sum(axis=0)), rel=1e-13)


@pytest.mark.parametrize("name", [*STERICS, "activity"])
def test_maxwell_relation(name):
    """``d mu_i / d c_j`` is symmetric and positive definite: there is a free energy."""
    closure = STERICS[name] if name != "activity" else salt_table()
    rng = np.random.default_rng(5)
    n = len(closure.weights) if name == "activity" else 3
    for _ in range(20):
        c = rng.uniform(0.2, 2.0, n) if n == 2 else rng.uniform(0.3, 9.0, n)
        h = 1e-5 * c
        columns = [
            closure.ln_activities(c + step) - closure.ln_activities(c - step)
            for step in np.diag(h)
        ]
        slope = np.transpose(columns) / (2 * h)
        assert slope == pytest.approx(slope.T, abs=1e-7)
        assert (np.linalg.eigvalsh((slope + slope.T) / 2) > 0).all()


def test_the_activity_table_is_reproduced():
    """At the knots to rounding, between them as the law that the table was made of."""
    closure = salt_table()
    at_knots = closure.ln_activities(np.array([closure.concentration] * 2))
    wanted = np.log(closure.concentration) + closure.ln_gamma
    assert at_knots[0] == pytest.approx(wanted, abs=1e-12)
    c = np.geomspace(1e-3, 5.0, 400)
    got = closure.ln_activities(np.array([c, c]))[1] - np.log(c)
    assert got == pytest.approx(debye_hueckel(c)[0], abs=2e-5)
    back = concentrations(closure, np.array([np.log(c) + got] * 2))
    assert back == pytest.approx(np.array([c, c]), rel=1e-12)


def test_below_the_activity_table_the_limiting_law_holds():
    """``ln gamma ~ -A sqrt(c)`` (Debye & Hueckel 1923)."""
    closure = salt_table(low=1e-4)
    c = np.geomspace(1e-8, 1e-4, 60)
    got = closure.ln_activities(np.array([c, c]))[0] - np.log(c)
    assert got == pytest.approx(-1.17 * np.sqrt(c), abs=5e-4)


def test_activity_of_a_data_set():
    closure = salt_table()
    density = 0.1e3 * AVOGADRO
    ds = dataset(
        "activity/1",
        {
            "concentration": closure.concentration * density,
            "ln_gamma": [closure.ln_gamma, 1.1 * closure.ln_gamma],
            "dln_gamma_dln_c": [closure.slope, 1.1 * closure.slope],
        },
        {"temperature": 298.15, "salt": "NaCl", "n_units": 100},
    )
    same = Activity.from_dataset(ds, [0.5, 0.5], density, replicate=1)
    assert same.concentration == pytest.approx(closure.concentration)
    assert same.ln_gamma == pytest.approx(closure.ln_gamma * 1.1)
    assert same.signature() == closure.signature()


@pytest.fixture(scope="module")
def column():
    """A salt under a force: closed at the left, reservoir at the right."""
    wall = SurfaceCharge("left")  # uncharged, but one kernel serves all tests
    return NernstPlanckPoisson(
        interval(np.linspace(0, 1, 41)), [1, -1], closure=salt_table(), borders=[wall]
    )


def settled(model, closure, depth):
    """Equilibrium of both ions in one well of the given depth at the left."""
    mu = -depth * (1 - model.x) * np.ones((2, 1))
    medium = medium_of(model, mu_ex=mu, closure=closure, c_ref=np.array([0.5, 0.5]))
    held = Conditions(**reservoir(2, "right"), borders=(SurfaceCharge("left"),))
    return solve_steady(model, medium, held)


def test_equilibrium_profile_with_activities(column):
    """``ln c + ln gamma(c) + mu_ex`` is the same everywhere, by `brentq`."""
    closure = salt_table()
    got = settled(column, closure, 1.5)
    level = np.log(0.5) + debye_hueckel(0.5)[0]

    def mismatch(c, depth):
        return np.log(c) + debye_hueckel(c)[0] - level - depth

    exact = [brentq(mismatch, 1e-3, 5.0, (depth,)) for depth in 1.5 * (1 - column.x)]
    assert got.concentration == pytest.approx(np.array([exact] * 2), rel=1e-5)


def test_a_state_above_the_activity_table_is_refused(column):
    with pytest.raises(InputError, match="above the activity table"):
        settled(column, salt_table(high=2.0), 3.0)
    with pytest.raises(InputError, match="above the activity table"):
        salt_table().check(np.array([[5.1], [5.1]]))
    salt_table().check(np.array([[5.0], [5.0]]))


CLOSURES = {
    "points": Closure(),
    "equal": Bikerman([0.05, 0.05]),
    "unequal": Bikerman([0.05, 0.02]),
    "spheres": CarnahanStarling([0.05, 0.02]),
    "activity": salt_table(),
}


@pytest.mark.parametrize("name", CLOSURES)
def test_the_jacobian_is_exact(name):
    """Newton's matrix against central differences of the residual, far from rest."""
    closure, rng = CLOSURES[name], np.random.default_rng(1)
    wall = SurfaceCharge("left", 0.3)
    model = NernstPlanckPoisson(
        interval(graded(3.0, 0.05, growth=1.3)), [1, -1], closure=closure, borders=[wall]
    )
    medium = medium_of(
        model, closure=closure, c_ref=np.array([0.4, 0.4]), mu_ex=rng.normal(size=2)
    )
    model.put(medium.load() | {"border.0.charge": np.array(0.3)})
    model.state = rng.uniform(-2, 1, model.state.shape)
    newton = model.newton
    # Held at one end: enough for a matrix that can be inverted.
    rows = np.concatenate([model.unknowns(i, "right") for i in range(3)])
    held = Held(rows, rows, np.zeros(3), np.zeros(3))
    newton.assemble(held)
    right = rng.normal(size=newton.n_owned)
    right[rows] = 0.0
    step = newton.linear(right)
    unknowns, h = newton.u.x.array, 1e-3 / np.abs(step).max()
    before = unknowns.copy()

    def slope(h):
        sides = []
        for shift in (h, -h):
            unknowns[:] = before + shift * step
            sides.append(newton.reactions())
        return (sides[0] - sides[1]) / (2 * h)

    got = (4 * slope(h) - slope(2 * h)) / 3  # of fourth order
    got[rows] = 0.0
    assert got == pytest.approx(right, abs=1e-5)


def test_bad_closures_are_refused():
    with pytest.raises(InputError, match="volumes of ions"):
        Bikerman([0.1, -0.1])
    with pytest.raises(InputError, match="volumes of ions"):
        Bikerman([0.0, 0.0])
    with pytest.raises(InputError, match="volumes of ions"):
        CarnahanStarling([np.nan, 0.1])
    with pytest.raises(InputError, match="volumes of ions"):
        Bikerman([0.1], solvent_volume=0.0)
    with pytest.raises(InputError, match="larger than their space"):
        CarnahanStarling([0.5, 0.5]).ln_activities(np.ones(2))
    c = np.array([0.1, 1.0])
    good = {"concentration": c, "ln_gamma": -c, "slope": -0.1 * c, "weights": [0.5, 0.5]}
    with pytest.raises(InputError, match="ln_gamma is not finite"):
        Activity(**{**good, "ln_gamma": [0.0, np.nan]})
    with pytest.raises(InputError, match="positive and increasing"):
        Activity(**{**good, "concentration": c[::-1]})
    with pytest.raises(InputError, match="positive and increasing"):
        Activity(**{**good, "concentration": [0.0, 1.0]})
    with pytest.raises(InputError, match="unstable solution"):
        Activity(**{**good, "slope": [-0.1, -1.2]})
