"""Umbrella windows, MBAR against what is known, free energies with bands."""

import math

import numpy as np
import pytest
import torch

from mesobridge.coarse.bases import Fourier, Spline
from mesobridge.coarse.exchange import ReplicaExchange
from mesobridge.coarse.langevin import GAS_CONSTANT, Langevin
from mesobridge.coarse.linear_forces import AutogradForces, LinearForces
from mesobridge.coarse.recording import run
from mesobridge.coarse.terms import Bonded
from mesobridge.coarse.umbrella import Biased, Umbrellas, mbar, pmf
from mesobridge.core.errors import InputError

T = 300.0
KT = GAS_CONSTANT * T
DIHEDRAL = ("dihedral", (0, 1, 2, 3))


def oscillators(counts, seed=0):
    """Frames of harmonic states in one dimension: reduced potentials, states, truth."""
    centre = torch.tensor([0.0, 0.6, 1.1, 2.0], dtype=torch.float64)
    k = torch.tensor([1.0, 2.0, 4.0, 3.0], dtype=torch.float64)
    state = torch.arange(4).repeat_interleave(torch.tensor(counts))
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(len(state), generator=generator, dtype=torch.float64)
    q = centre[state] + q / k[state].sqrt()
    return 0.5 * k * (q[:, None] - centre) ** 2, state, 0.5 * (k / k[0]).log(), q


def test_free_energies_of_oscillators():
    u, state, exact, _ = oscillators([4000, 1000, 2000, 3000])
    found = mbar(u, state).free_energies
    assert found[0] == 0
    # Over seeds the deviation of these is 0.016 to 0.04.
    assert found.numpy() == pytest.approx(exact.numpy(), abs=0.12)


def test_free_energies_solve_the_equations_and_do_not_care_for_constants():
    u, state, _, _ = oscillators([300, 0, 200, 100])
    one = mbar(u, state)
    count = torch.bincount(state, minlength=4)
    mixture = torch.logsumexp(count.log() + one.free_energies - u, 1)
    again = -torch.logsumexp(-u - mixture[:, None], 0)
    torch.testing.assert_close(again - again[0], one.free_energies)
    for k in range(4):
        weights = one.weights(u[:, k])
        assert weights.sum() == pytest.approx(1.0)
    shifted = mbar(u + u.new_tensor([0.0, 3.0, -700.0, 40.0]) + u[:, :1] ** 2, state)
    torch.testing.assert_close(
        shifted.free_energies - one.free_energies, u.new_tensor([0.0, 3.0, -700.0, 40.0])
    )


def test_free_energies_are_those_of_pymbar():
    """Its answers for these frames where it is not installed; version 4.0.3."""
    u, state, _, _ = oscillators([300, 150, 200, 100], 3)
    expected = np.array(PYMBAR)
    try:
        from pymbar import MBAR
    except ImportError:
        pass
    else:
        counts = torch.bincount(state).numpy()
        live = MBAR(u.T.numpy(), counts, relative_tolerance=1e-12)
        expected = live.compute_free_energy_differences()["Delta_f"][0]
    found = mbar(u, state).free_energies.numpy()
    assert found == pytest.approx(expected, abs=1e-6)


def test_weights_of_frames_are_copies_of_frames():
    u, state, _, _ = oscillators([60, 30, 20, 40])
    times = torch.arange(len(state)) % 3 + 1
    more = u.repeat_interleave(times, 0)
    copied = mbar(more, state.repeat_interleave(times))
    weighed = mbar(u, state, times.double())
    torch.testing.assert_close(weighed.free_energies, copied.free_energies)
    sums = u.new_zeros(len(state)).index_add(
        0, torch.arange(len(state)).repeat_interleave(times), copied.weights(more[:, 2])
    )
    torch.testing.assert_close(weighed.weights(u[:, 2]), sums)


def test_reweighted_means_are_those_of_the_wanted_state():
    _, _, _, q = oscillators([4000, 1000, 2000, 3000])
    u, state, _, _ = oscillators([4000, 1000, 2000, 3000])
    weights = mbar(u, state).weights(0.5 * 2.5 * (q - 0.8) ** 2)
    mean = weights @ q
    assert float(mean) == pytest.approx(0.8, abs=0.05)
    assert float(weights @ (q - mean) ** 2) == pytest.approx(0.4, abs=0.03)


def test_states_that_do_not_overlap_are_refused():
    centre = torch.tensor([0.0, 100.0], dtype=torch.float64)
    state = torch.arange(2).repeat_interleave(100)
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(200, generator=generator, dtype=torch.float64) + centre[state]
    with pytest.raises(InputError, match="MBAR") as told:
        mbar(0.5 * (q[:, None] - centre) ** 2, state)
    assert "closer" in told.value.mend
    with pytest.raises(InputError, match="finite numbers"):
        mbar(torch.full((3, 2), math.nan), torch.tensor([0, 0, 1]))


@pytest.mark.parametrize(
    "coordinate",
    [("distance", (0, 2)), ("angle", (0, 1, 2)), DIHEDRAL],
    ids=lambda c: c[0],
)
def test_forces_of_a_bias_are_its_slopes(coordinate):
    x = torch.randn(6, 4, 3, dtype=torch.float64, generator=torch.Generator()
                    .manual_seed(0)).requires_grad_()  # fmt: skip
    both = (coordinate, ("distance", (1, 3)))
    centres = torch.tensor([[0.3, 1.0], [2.9, 0.5]])
    umbrellas = Umbrellas(both, centres, torch.tensor([[100.0, 30.0], [50.0, 0.0]]))
    window = torch.tensor([0, 1, 0, 1, 1, 0])
    free = AutogradForces(lambda x: 10 * x.square().sum((1, 2)))
    biased = Biased(free, umbrellas, window)
    (slope,) = torch.autograd.grad(biased.energy(x).sum(), x)
    torch.testing.assert_close(biased.forces(x).detach(), -slope)
    q = umbrellas.values(x).detach()
    torch.testing.assert_close(umbrellas.of_values(q), umbrellas.energies(x).detach())


def test_a_bias_of_a_dihedral_goes_around():
    umbrellas = Umbrellas((DIHEDRAL,), torch.tensor([[math.pi]]), torch.tensor([[20.0]]))
    q = torch.tensor([[math.pi - 0.1], [-math.pi + 0.1], [0.0]])
    found = umbrellas.of_values(q)[:, 0]
    assert found[:2].numpy() == pytest.approx(20 * (1 - math.cos(0.1)), rel=1e-4)
    assert float(found[2]) == pytest.approx(40.0)
    with pytest.raises(InputError, match="umbrella windows"):
        Umbrellas((DIHEDRAL,), torch.zeros(3, 2), torch.ones(3, 2))


def turning(q):
    """The free energy that is put in: barriers of 8 kT."""
    return -10 * torch.cos(2 * q) + 4 * torch.cos(q + 0.5)


def chain():
    """Three stiff bonds and two angles, and a dihedral."""
    basis = Spline(0.05, 0.45, 8)
    q = torch.linspace(0.05, 0.45, 50, dtype=torch.float64)
    terms, given = [], []
    for pairs, at in ((((0, 1), (1, 2), (2, 3)), 0.15), (((0, 2), (1, 3)), 0.23)):
        terms.append(Bonded(f"{at}", "distance", pairs, basis))
        wanted = 5000 * (q - at)[:, None] ** 2
        given.append(torch.linalg.lstsq(basis.dense(q)[0], wanted).solution[:, 0])
    terms.append(Bonded("turn", "dihedral", ((0, 1, 2, 3),), Fourier(2)))
    given.append(torch.tensor([4 * math.cos(0.5), -10.0, -4 * math.sin(0.5), 0.0]))
    return LinearForces(terms, given, 4)


def umbrella_run(exchange, frames):
    """24 windows around the circle, 4 replicas each: coordinate and window of frames."""
    centres = torch.linspace(-math.pi, math.pi, 25)[:-1, None]
    umbrellas = Umbrellas((DIHEDRAL,), centres, torch.full((24, 1), 80.0))
    window = torch.arange(24).repeat(4)
    q = centres[window, 0]
    x = torch.zeros(96, 4, 3)
    x[:, 0, 0], x[:, 2, 2] = 0.14, 0.15
    x[:, 3] = torch.stack([0.14 * q.cos(), 0.14 * q.sin(), 0.15 * torch.ones(96)], 1)
    x[:, [0, 3], 2] += torch.tensor([-0.02, 0.02])
    moving = Langevin(Biased(chain(), umbrellas, window), x, torch.full((4,), 14.0),
                      temperature=T, friction=10.0, step=0.005, seed=3)  # fmt: skip
    engine, found = moving, []
    if exchange:
        engine = ReplicaExchange(moving, umbrellas.reduced(T), 24, every=25, seed=4)
    engine.advance(100)
    run(engine, frames, 25, lambda k, x: found.append(umbrellas.values(x)[:, 0].clone()))
    return torch.cat(found), window.repeat(frames), umbrellas, engine


@pytest.mark.parametrize("exchange", [False, True])
def test_a_free_energy_over_barriers_is_the_one_put_in(exchange):
    q, window, umbrellas, engine = umbrella_run(exchange, 80)
    edges = torch.linspace(-math.pi, math.pi, 37)
    bias = umbrellas.of_values(q[:, None]).double() / KT
    found = pmf(q, bias, window, edges, T, blocks=8, replicates=20, seed=1)
    assert found.shape == (21, 36)
    fine = turning(torch.linspace(-math.pi, math.pi, 3601).double()[:-1] + math.pi / 3600)
    density = (-fine / KT).exp().view(36, 100).mean(1)
    exact = -KT * (density / density.mean()).log().numpy()
    assert np.ptp(exact) > 20
    off, band = (np.sqrt((a**2).mean()) for a in (found[0] - exact, found[1:].std(0)))
    assert 0.05 < band < 0.5
    assert off < 2 * band
    if exchange:
        assert float(engine.acceptance.min()) > 0.1


def test_windows_with_too_few_frames_are_named():
    with pytest.raises(InputError, match="frames of a window"):
        pmf(torch.zeros(4), torch.zeros(4, 2), torch.tensor([0, 0, 0, 1]),
            torch.linspace(-1, 1, 5), T, blocks=2)  # fmt: skip


#: What pymbar finds.
PYMBAR = (0.0, 0.41999223840691524, 0.7783540004162717, 0.6501970751801718)
