"""The flattening map, and whether its forces are still in those of a biased run."""

import numpy as np
import pytest
import torch

from mesobridge.coarse import Spline
from mesobridge.coarse.coordinates import dihedral
from mesobridge.coarse.flattening import bias_model, flattening
from mesobridge.coarse.force_checks import check_unbiased
from mesobridge.coarse.linear_forces import LinearForces
from mesobridge.coarse.rounds import Sampling, sample
from mesobridge.coarse.terms import Bonded, Torsions
from mesobridge.core.errors import InputError

PHI, PSI = (0, 1, 2, 3), (1, 2, 3, 4)
MAP = Torsions("map", ((PHI, PSI),), 2)
#: Beads bound by springs, and a map that biases them.
BONDS = Bonded("bond", "distance", tuple((k, k + 1) for k in range(4)),
               Spline(0.12, 0.18, 4))  # fmt: skip
ANGLES = Bonded("angle", "angle", tuple((k, k + 1, k + 2) for k in range(3)),
                Spline(1.2, 2.8, 4))  # fmt: skip
TERMS = (BONDS, ANGLES, MAP)


def coefficients(basis, potential):
    q = torch.linspace(basis.start, basis.stop, 60, dtype=torch.float64)
    return torch.linalg.lstsq(basis.dense(q)[0], potential(q)[:, None]).solution[:, 0]


def test_a_surface_of_the_map_s_own_is_taken_off():
    rng = np.random.default_rng(0)
    c = rng.normal(size=MAP.size)
    line = -np.pi + np.arange(12) * 2 * np.pi / 12
    first, second = (torch.from_numpy(g.reshape(-1, 1)) for g in np.meshgrid(
        line, line, indexing="ij"))  # fmt: skip
    surface = (MAP.of_angles(first, second).numpy() @ c).reshape(12, 12)
    assert flattening(MAP, surface + 7, 1e3) == pytest.approx(-c, abs=1e-10)
    # Of what lies above the ceiling nothing is taken.
    low = flattening(MAP, surface, 2.0)
    left = MAP.of_angles(first, second).numpy() @ low
    assert np.ptp(left) < 4.0 < np.ptp(surface)
    with pytest.raises(InputError, match="5 x 5 or more"):
        flattening(MAP, surface[:4, :4], 1.0)


def test_the_map_of_angles_is_that_of_beads():
    x = torch.randn(50, 5, 3, dtype=torch.float64)
    angles = dihedral(x, torch.tensor([PHI, PSI]))[0]
    torch.testing.assert_close(MAP.energies(x), MAP.of_angles(angles[:, :1],
                                                              angles[:, 1:]))  # fmt: skip


@pytest.fixture(scope="module")
def biased():
    """Frames of beads with a bias; forces without and with it, noise on both."""
    springs = [coefficients(BONDS.basis, lambda r: 1e4 * (r - 0.15) ** 2),
               coefficients(ANGLES.basis, lambda q: 80 * (q - 1.9) ** 2)]  # fmt: skip
    bias = np.random.default_rng(1).normal(0, 1.2, MAP.size)
    c = np.concatenate([*(s.numpy() for s in springs), np.zeros(MAP.size)])
    added = np.concatenate([np.zeros(BONDS.size + ANGLES.size), bias])
    x = torch.zeros(200, 5, 3)
    x[:, :, 0] = torch.arange(5) * 0.12
    x[:, 1::2, 1], x[:, 2, 2], x[:, 4, 2] = 0.09, 0.03, 0.05
    how = Sampling(300.0, settle=1500, frames=30, every=60, bias=added)
    frames, _ = sample(TERMS, c, x, torch.full((5,), 13.0), how)
    frames = frames.transpose(0, 1).flatten(0, 1).double()
    own = LinearForces(TERMS[:2], springs, 5, dtype=torch.float64).forces(frames)
    model = bias_model(MAP, bias, ("C",) * 5, np.full(5, 13.0))
    noise = 300 * torch.randn(own.shape, generator=torch.Generator().manual_seed(3),
                              dtype=torch.float64)  # fmt: skip
    fast = LinearForces(model.terms, model.parts(), 5, dtype=torch.float64)
    torch.testing.assert_close(fast.forces(frames[:9]), model.forces(frames[:9]))
    return frames, own + noise, fast.forces


def test_forces_without_the_bias_pass(biased):
    frames, own, pull = biased
    part, error = check_unbiased(pull, frames, own, 300.0)
    assert error < 0.07
    assert abs(part - 1) < 5 * error


@pytest.mark.parametrize("share", [1.0, 0.5, 2.0, -1.0])
def test_forces_with_some_of_the_bias_are_refused(biased, share):
    frames, own, pull = biased
    with pytest.raises(InputError, match="of the bias taken off") as caught:
        check_unbiased(pull, frames, own + share * pull(frames), 300.0)
    told = float(caught.value.got.split()[0])
    assert told == pytest.approx(1 - share, abs=0.35)


def test_too_few_frames_to_tell(biased):
    frames, own, pull = biased
    with pytest.raises(InputError, match="frames to tell whether a bias"):
        check_unbiased(pull, frames[:60], own[:60], 300.0)
