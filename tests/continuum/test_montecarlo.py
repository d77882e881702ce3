"""Replicates of a quantity, one by one and in processes, and the linear short cut."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from film import (  # noqa: E402
    CONDITIONS,
    film_medium,
    film_model,
    film_replicates,
    uptake_and_charge,
)

from mesobridge.continuum.adjoint import gradient, linear_change  # noqa: E402
from mesobridge.continuum.montecarlo import monte_carlo  # noqa: E402
from mesobridge.continuum.nearby import Nearby  # noqa: E402
from mesobridge.continuum.quantities import Inflow, Potential  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.core.errors import InputError, StageError  # noqa: E402

pytestmark = pytest.mark.fem

UPTAKE = Inflow(0, "left")


@pytest.fixture(scope="module")
def model():
    return film_model()


def test_replicates_are_what_they_are_from_rest(model):
    media, shown = film_replicates(model, 4), []
    found = monte_carlo(
        model, media, CONDITIONS, UPTAKE, progress=lambda *done: shown.append(done)
    )
    exact = [UPTAKE(model, solve_steady(model, one, CONDITIONS)) for one in media]
    assert found.values == pytest.approx(exact, rel=1e-9)
    assert found.std == pytest.approx(np.std(exact[1:], ddof=1), rel=1e-7)
    assert shown == [(j, 5, "replicates") for j in range(1, 6)]


def test_linear_propagation_agrees_with_monte_carlo(model):
    """For noise of 0.2 kT in W and 10 % in D: their spread within a few per cent."""
    media = film_replicates(model, 100)
    found = monte_carlo(model, media, CONDITIONS, UPTAKE)
    state = solve_steady(model, media[0], CONDITIONS)
    slope = gradient(model, state, UPTAKE)
    changes = [linear_change(model, slope, media[0], one) for one in media[1:]]
    assert np.std(changes, ddof=1) == pytest.approx(found.std, rel=0.03)
    assert np.corrcoef(changes, found.values[1:])[0, 1] > 0.99
    small = film_replicates(model, 5, work=2e-3, spread=1e-3)
    exact = monte_carlo(model, small, CONDITIONS, UPTAKE).values
    changes = [linear_change(model, slope, small[0], one) for one in small[1:]]
    assert changes == pytest.approx(exact[1:] - exact[0], rel=0.02)


def test_order_does_not_matter(model):
    media = film_replicates(model, 12)
    there = monte_carlo(model, media, CONDITIONS, uptake_and_charge).values
    turned = [media[0], *media[:0:-1]]
    back = monte_carlo(model, turned, CONDITIONS, uptake_and_charge).values
    assert back[1:][::-1] == pytest.approx(there[1:], rel=1e-12)


def test_near_replicates_take_one_jacobian(model, monkeypatch):
    media, count = film_replicates(model, 20), []
    nearby = Nearby(model, solve_steady(model, media[0], CONDITIONS))
    assemble = model.newton.assemble
    monkeypatch.setattr(
        model.newton, "assemble", lambda held: count.append(1) or assemble(held)
    )
    found = [nearby.solve(one) for one in media]
    assert len(count) == len(media)
    exact = [solve_steady(model, one, CONDITIONS) for one in media]
    for one, other in zip(found, exact, strict=True):
        assert one.state == pytest.approx(other.state, abs=2e-9)
        assert one.inflow == pytest.approx(other.inflow, rel=1e-8)


def test_replicates_at_a_given_current(model):
    media = film_replicates(model, 8)
    current = 0.8 * UPTAKE(model, solve_steady(model, media[0], CONDITIONS))
    given = replace(CONDITIONS, current={"left": current})
    found = monte_carlo(model, media, given, Potential()).values
    exact = [solve_steady(model, one, given).potential for one in media]
    assert found == pytest.approx(exact, rel=1e-9)


def test_far_replicates_are_reached_by_continuation(model):
    """Noise of 4 kT: Newton's method fails from the point estimate."""
    media = film_replicates(model, 5, work=4.0, spread=1.0)
    nearby = Nearby(model, solve_steady(model, media[0], CONDITIONS))
    found = [nearby.solve(one) for one in media]
    assert any(one.report.steps > 1 for one in found)
    exact = [solve_steady(model, one, CONDITIONS) for one in media]
    for one, other in zip(found, exact, strict=True):
        assert UPTAKE(model, one) == pytest.approx(UPTAKE(model, other), rel=1e-8)


def test_processes_give_the_same(model):
    media = film_replicates(model, 6)
    one = monte_carlo(film_model, media, CONDITIONS, uptake_and_charge)
    two = monte_carlo(film_model, media, CONDITIONS, uptake_and_charge, workers=2)
    assert one.values.shape == (7, 2)
    assert two.values == pytest.approx(one.values, rel=1e-9)


def test_a_replicate_that_fails_is_reported(model):
    good = film_medium(model)
    bad = replace(good, mu_ex=good.mu_ex - 5000 * np.exp(-model.x))
    found = monte_carlo(model, [good, bad, good], CONDITIONS, UPTAKE)
    assert list(found.failures) == [1]
    assert "steady state was not found" in found.failures[1]
    assert np.isnan(found.values).tolist() == [False, True, False]
    assert found.values[2] == pytest.approx(found.values[0], rel=1e-9)
    with pytest.raises(StageError, match="every replicate failed"):
        monte_carlo(model, [good, bad], CONDITIONS, UPTAKE)


def test_bad_input_is_refused(model):
    media = [film_medium(model)]
    with pytest.raises(InputError, match="one medium or more"):
        monte_carlo(model, [], CONDITIONS, UPTAKE)
    with pytest.raises(InputError, match="a function that makes it"):
        monte_carlo(model, media, CONDITIONS, UPTAKE, workers=2)
    with pytest.raises(InputError, match="functions of a module"):
        monte_carlo(film_model, media, CONDITIONS, lambda *_: 0.0, workers=2)
