"""The solvers of benchmarks/peers against closed forms and against each other."""

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
LENGTH = 25.0  # Debye lengths


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture
def fv():
    from peers import finite_volume

    return finite_volume


@pytest.fixture
def collocation():
    from peers import collocation

    return collocation


def salt(fv, n_cells, offset, **given):
    x = fv.graded(LENGTH, n_cells, offset)
    return fv.FiniteVolume(x, [1, -1], poisson=2.0, **given)


@pytest.mark.parametrize("zeta", [0.1, 4.0, 10.0, 20.0, 30.0])
def test_gouy_chapman_charge_at_order_two(fv, zeta):
    errors = []
    for n in (400, 800):
        found = salt(fv, n, 2 * np.exp(-zeta / 2)).solve(phi=(zeta, 0.0))
        errors.append(found.charge / (4 * np.sinh(zeta / 2)) - 1)
        assert found.rejected == 0
        assert np.abs(found.psi).max() < 1e-11  # equilibrium
    assert abs(errors[0]) < 2e-5
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("zeta", [4.0, 20.0, 40.0])
def test_bikerman_charge(fv, zeta):
    """Kilic, Bazant & Ajdari 2007, doi:10.1103/PhysRevE.75.021502."""
    nu = 0.015
    found = salt(fv, 800, 0.6, volume=nu / 2).solve(phi=(zeta, 0.0))
    exact = 2 * np.sqrt(2 / nu * np.log1p(2 * nu * np.sinh(zeta / 2) ** 2))
    assert found.charge == pytest.approx(exact, rel=5e-6)
    assert found.rejected == 0
    assert found.concentration.sum(axis=0).max() < 2 / nu


def test_charge_and_potential_of_the_wall_are_interchangeable(fv):
    model = salt(fv, 300, 0.3)
    wanted = model.solve(phi=(4.0, 0.0))
    found = model.solve(phi=(None, 0.0), surface_charge=wanted.charge)
    assert found.phi == pytest.approx(wanted.phi, abs=1e-10)
    assert found.charge == pytest.approx(wanted.charge, rel=1e-12)


def test_smoluchowski_flux_over_a_barrier(fv):
    """6 kT beside a 3 kT well with D(x): order two, to the quadrature's value."""

    def work(x):
        barrier = 6 * np.exp(-((x - 1) ** 2) / (2 * 0.15**2))
        return barrier - 3 * np.exp(-((x - 2) ** 2) / (2 * 0.15**2))

    def diffusivity(x):
        return 0.1 + 0.9 * (1 - np.exp(-2 * x))

    resistance = quad(
        lambda x: np.exp(work(x)) / diffusivity(x), 0, 3, points=[1, 2], limit=200
    )[0]
    errors = []
    for n in (400, 800):
        x = np.linspace(0, 3, n + 1)
        model = fv.FiniteVolume(
            x, [0], poisson=1.0, mu_ex=work(x)[None], diffusivity=diffusivity(x)[None]
        )
        flux = model.solve(psi_left=0.0, psi_right=np.log(0.1)).flux[0]
        errors.append(flux * resistance / 0.9 - 1)
    assert abs(errors[0]) < 5e-3
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize("volts", [5.0, 10.0])
def test_current_of_a_neutral_layer(fv, volts):
    """For lam -> 0 c+ = c- = exp(phi): I = 2 (1 - exp(-V / 2)), and 2 is the limit."""
    x = fv.graded(1.0, 1000, 3e-6, power=1.0)
    model = fv.FiniteVolume(x, [1, -1], poisson=2e-12)
    found = model.solve(phi=(-volts, 0.0), psi_left=[-volts, np.nan])
    exact = [-2 * (1 - np.exp(-volts / 2)), 0.0]
    assert found.flux == pytest.approx(exact, abs=1e-3)


def test_the_jacobian_is_the_slope_of_the_residual(fv):
    """A steric, asymmetric system away from rest, and the same with point ions."""
    rng = np.random.default_rng(1)
    for volume in (0.0, [0.01, 0.03]):
        model = fv.FiniteVolume(
            fv.graded(1.0, 8, 0.3), [1, -2], poisson=0.1, volume=volume, c_ref=[2.0, 1.0],
            mu_ex=rng.standard_normal((2, 9)), fixed_charge=0.3, permittivity=2.0,
        )  # fmt: skip
        # Any Newton iteration converges, but only the right slope does so in a few.
        found = model.solve(
            phi=(1.0, 0.0), psi_left=[0.5, np.nan], psi_right=[0.0, 0.1], tolerance=1e-12
        )
        assert found.iterations <= 9
        assert found.flux[1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("lam", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("volts", [5.0, 80.0])
def test_finite_volumes_and_collocation_agree(fv, collocation, lam, volts):
    wanted = collocation.CURRENTS[lam, volts]
    assert collocation.rubinstein_shtilman(lam, volts) == pytest.approx(wanted, rel=1e-11)
    current = []
    for n in (1000, 2000):
        model = fv.FiniteVolume(
            fv.graded(1.0, n, 3 * lam, power=1.0), [1, -1], poisson=2 * lam**2
        )
        held = {"phi": (-volts, 0.0), "psi_left": [-volts, np.nan]}
        current.append(-model.solve(**held).flux[0])
    assert current[1] == pytest.approx(wanted, rel=2e-5)
    extrapolated = current[1] + (current[1] - current[0]) / 3
    assert extrapolated == pytest.approx(wanted, rel=1e-7)


def test_what_does_not_converge_says_so(fv, collocation):
    with pytest.raises(fv.NotConverged, match="of the load"):
        salt(fv, 50, 1.0).solve(phi=(4.0, 0.0), max_iterations=1)
    with pytest.raises(RuntimeError, match="maximum number of mesh nodes"):
        collocation.rubinstein_shtilman(1e-3, 5.0, max_nodes=200)
