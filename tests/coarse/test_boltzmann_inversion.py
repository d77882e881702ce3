"""Boltzmann inversion: exact limits, a fluid whose potential is known, killed runs."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mesobridge.coarse.bases import Spline
from mesobridge.coarse.boltzmann_inversion import (
    correction,
    invert_bonded,
    invert_pairs,
    iterate,
)
from mesobridge.coarse.distributions import (
    Distribution,
    bonded_distribution,
    radial_distributions,
)
from mesobridge.coarse.langevin import GAS_CONSTANT
from mesobridge.coarse.linear_model import LinearModel
from mesobridge.coarse.openmm_forces import linear_system
from mesobridge.coarse.pairs import Pairs
from mesobridge.coarse.rounds import Sampling
from mesobridge.coarse.terms import Bonded
from mesobridge.core.errors import InputError
from mesobridge.core.md import MDSettings, MDState, run_segments
from mesobridge.core.units import NM

KT = 300.0 * GAS_CONSTANT
BEADS, EDGE, CUTOFF = 64, 1.62, 0.75
PAIRS = Pairs(("A",) * BEADS, Spline(0.2, CUTOFF, 14, "zero"))


def well(r):
    """A soft core and a well of 1.5 kJ/mol, which end smoothly at the cut-off."""
    core = 18 * torch.exp(-2 * ((r - 0.2) / 0.16) ** 2)
    return (core - 3 * torch.exp(-(((r - 0.41) / 0.08) ** 2))) * (
        1 - ((r - 0.2) / 0.55) ** 2
    ) ** 3


def held_by(basis, function):
    q = torch.linspace(*basis.span, 400, dtype=torch.float64)
    return torch.linalg.lstsq(basis.dense(q)[0], function(q).unsqueeze(1)).solution[:, 0]


TRUTH = held_by(PAIRS.basis, well).numpy()
MODEL = LinearModel(PAIRS.species, np.full(BEADS, 20.0), (PAIRS,), TRUTH[None], 0,
                    {"temperature_K": 300.0})  # fmt: skip


def energies(coefficients, r):
    return PAIRS.basis.dense(r)[0].numpy() @ coefficients


def of_gas(counts_per_nm3, c=TRUTH, name="pairs A-A", empty=0.0):
    """Distribution of a dilute gas, g = exp(-U / kT), without noise."""
    edges = np.linspace(0.0, 0.9, 181)
    expected = counts_per_nm3 * 4 / 3 * np.pi * np.diff(edges**3)
    middle = torch.from_numpy(0.5 * (edges[1:] + edges[:-1]))
    g = np.exp(-energies(c, middle) / KT) * (middle.numpy() > empty)
    return Distribution(name, edges, (g * expected)[None], expected[None])


def test_a_dilute_gas_gives_its_potential():
    """At once, and from any other potential in one step."""
    target = of_gas(1e7)
    c, ranges = invert_pairs(PAIRS, [target], 300.0)
    r = torch.linspace(0.26, 0.74, 50, dtype=torch.float64)
    np.testing.assert_allclose(energies(c, r), energies(TRUTH, r), atol=0.02)
    assert 0 <= ranges["pairs A-A"][0] < 0.25
    other = 0.5 * TRUTH
    change = correction(PAIRS, [of_gas(1e5, other)], [target], 300.0)
    np.testing.assert_allclose(energies(other + change, r), energies(TRUTH, r), atol=0.05)


def test_what_only_one_visits_is_mended():
    """A run that gets too near is pushed out, one that stays away is let in."""
    far, near = of_gas(1e5, empty=0.3), of_gas(1e5)
    r = torch.tensor([0.25, 0.28], dtype=torch.float64)
    out, back = (
        correction(PAIRS, [a], [b], 300.0) for a, b in ((near, far), (far, near))
    )
    assert (energies(out, r) > 1).all()
    assert (energies(back, r) < -1).all()
    same = correction(PAIRS, [far], [far], 300.0)
    assert np.abs(same).max() < 1e-9
    # Where nobody was there is no step: it goes on straight.
    c, _ = invert_pairs(PAIRS, [far], 300.0)
    steps = np.diff(energies(c, torch.linspace(0.2, 0.29, 10, dtype=torch.float64)))
    assert np.ptp(steps) < 0.1 * np.abs(steps).max()


@pytest.mark.parametrize(("kind", "middle", "stiff"),
                         [("distance", 0.5, 3e3), ("angle", 2.2, 60.0)])  # fmt: skip
def test_bonds_and_angles_are_inverted_over_their_volume(kind, middle, stiff):
    """Harmonic ones whose samples come by quadrature: potentials within 0.1 kT."""
    basis = Spline(0.2, 0.8, 20) if kind == "distance" else Spline(0.8, math.pi, 20)
    q = np.linspace(*basis.span, 20_001)[1:-1]
    volume = q**2 if kind == "distance" else np.sin(q)
    p = volume * np.exp(-0.5 * stiff * (q - middle) ** 2 / KT)
    rng = np.random.default_rng(0)
    drawn = rng.choice(q, 40_000, p=p / p.sum())
    x = np.zeros((len(drawn), 3, 3))
    x[:, 1, 0] = 1.0
    if kind == "distance":
        x[:, 1, 0] = drawn
    else:
        x[:, 2, 0], x[:, 2, 1] = 1 - np.cos(drawn), np.sin(drawn)
    beads = ((0, 1),) if kind == "distance" else ((0, 1, 2),)
    term = Bonded("q", kind, beads, basis)
    target = bonded_distribution(term, x, bins=120, block=20_000)
    c, (low, high) = invert_bonded(term, target, 300.0)
    r = np.linspace(
        middle - 2 * math.sqrt(KT / stiff), middle + 2 * math.sqrt(KT / stiff)
    )
    assert low < r[0] < r[-1] < high
    found = basis.dense(torch.from_numpy(r))[0].numpy() @ c
    off = found - 0.5 * stiff * (r - middle) ** 2
    assert np.abs(off - off.mean()).max() < 0.1 * KT


def sampling(frames, seed):
    return Sampling(300.0, 0.01, 5.0, 300, frames, 10, seed)


@pytest.fixture(scope="module")
def fluid():
    """g of the known potential, and where its run ended."""
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3) * EDGE / 4
    box = np.eye(3) * EDGE
    run = run_segments(
        linear_system(MODEL, box), MODEL.beads, MDState(grid, box),
        MDSettings(300.0, 1e-14, 5e12, 9), n_steps=6_300, stride=10, segment_steps=6_300,
        source="truth",
    )  # fmt: skip
    kept = run.frames.isel(frame=slice(30, None))
    x, boxes = (kept[name].values / NM for name in ("positions", "box"))
    target = radial_distributions(PAIRS, x, boxes, reach=0.8, bins=80, block=100)
    return target, MDState(run.final.positions, box)


def test_a_fluid_gives_its_potential_back(fluid):
    """To 0.4 kJ/mol, a sixth of kT, from a potential of mean force that is 0.7 off."""
    target, start = fluid
    nothing = replace(MODEL, coefficients=0 * MODEL.coefficients)
    model, history = iterate(nothing, target, start, sampling(300, 1), rounds=4,
                             tolerance=0.0)  # fmt: skip
    r = torch.linspace(0.3, 0.7, 41, dtype=torch.float64)
    wanted = energies(TRUTH, r)
    met = wanted < 6.0
    off = [np.sqrt(np.mean((energies(one.coefficients, r) - wanted)[met] ** 2))
           for one in history]  # fmt: skip
    assert off[0] > 0.5
    assert off[-1] < 0.4
    assert history[0].rms > 0.07
    assert min(one.rms for one in history) < 0.045
    best = min(history, key=lambda one: one.rms)
    np.testing.assert_array_equal(model.coefficients[0], best.coefficients)
    told = model.validity["boltzmann_inversion"]
    assert told == {"rounds": 4, "rms_g": best.rms, "converged": False,
                    "temperature_K": 300.0}  # fmt: skip
    assert model.ranges["pairs A-A"][0] < 0.3


@pytest.mark.slow
def test_a_mixture_gives_its_potentials_back():
    """Three of them, to 0.3 kJ/mol; potentials of mean force are 0.4 to 0.6 off."""
    species, edge = tuple("AAB" * 36), 2.0
    term = Pairs(species, Spline(0.2, 0.9, 20, "zero"))

    def of(size, depth):
        return lambda r: (1 - ((r - 0.2) / 0.7) ** 2) ** 3 * depth * (
            6 * torch.exp(-2 * ((r - 0.2) / (size - 0.2)) ** 2)
            - torch.exp(-(((r - size - 0.05) / 0.08) ** 2))
        )  # fmt: skip

    truth = torch.cat([held_by(term.basis, of(*two)) for two in
                       ((0.38, 2.0), (0.34, 3.0), (0.42, 1.2))]).numpy()  # fmt: skip
    masses = np.full(len(species), 20.0)
    model = LinearModel(species, masses, (term,), truth[None], 0, {})
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), -1).reshape(-1, 3) * edge / 5
    box = np.eye(3) * edge
    start = MDState(np.random.default_rng(0).permutation(grid)[: len(species)], box)
    run = run_segments(
        linear_system(model, box), species, start, MDSettings(300.0, 5e-15, 5e12, 9),
        n_steps=15_500, stride=10, segment_steps=15_500, source="truth",
    )  # fmt: skip
    kept = run.frames.isel(frame=slice(50, None))
    x, boxes = (kept[name].values / NM for name in ("positions", "box"))
    target = radial_distributions(term, x, boxes, reach=0.98, bins=98, block=300)
    how = Sampling(300.0, 0.005, 5.0, 500, 600, 10, 1)
    _, history = iterate(model, target, MDState(run.final.positions, box), how, rounds=7,
                         tolerance=0.0)  # fmt: skip
    r = torch.linspace(0.3, 0.85, 56, dtype=torch.float64)
    value = term.basis.dense(r)[0].numpy()
    wanted = value @ truth.reshape(3, -1).T
    off = []
    for one in (history[0], history[-1]):
        gap = value @ one.coefficients.reshape(3, -1).T - wanted
        off.append([np.sqrt(np.mean(g[u < 6] ** 2)) for g, u in zip(gap.T, wanted.T,
                    strict=True)])  # fmt: skip
    assert min(off[0]) > 0.35
    assert max(off[1]) < 0.3
    assert history[-1].rms < 0.7 * history[0].rms


def written(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_a_killed_inversion_goes_on(fluid, tmp_path):
    """No run is run again; another inversion takes none of them up."""
    target, start = fluid
    how = sampling(20, 1)

    def stop(done, of, what):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        iterate(MODEL, target, start, how, scratch=tmp_path, progress=stop)
    before = written(tmp_path)
    both = [iterate(MODEL, target, start, how, rounds=2, tolerance=0.0, scratch=tmp_path)
            for _ in range(2)]  # fmt: skip
    after = written(tmp_path)
    assert before.items() < after.items()
    assert {p.parent.name for p in after} == {"round-000", "round-001"}
    (model, history), (again, more) = both
    np.testing.assert_array_equal(again.coefficients, model.coefficients)
    assert [one.rms for one in more] == [one.rms for one in history]
    _, (whole,) = iterate(MODEL, target, start, how, rounds=1)
    assert whole.rms == pytest.approx(history[0].rms, rel=1e-3)
    iterate(MODEL, target, start, sampling(20, 2), rounds=1, scratch=tmp_path)
    assert written(tmp_path).items() > after.items()
    assert len(list(tmp_path.iterdir())) == 2


def test_rounds_end_within_the_tolerance(fluid):
    target, start = fluid
    model, history = iterate(MODEL, target, start, sampling(40, 1), tolerance=0.5)
    assert len(history) == 1
    assert model.validity["boltzmann_inversion"]["converged"] is True


def test_other_targets_are_refused():
    bond = Bonded("bond", "distance", ((0, 1),), Spline(0.0, 1.0, 8))
    bonds = replace(MODEL, terms=(bond,), coefficients=np.zeros((1, bond.size)))
    with pytest.raises(InputError, match="a model with Pairs"):
        iterate(bonds, [], MDState(np.zeros((2, 3)), np.eye(3)), sampling(2, 1))
    with pytest.raises(InputError, match="temperature of a run"):
        iterate(MODEL, [of_gas(1e5)], MDState(np.zeros((BEADS, 3)), np.eye(3)),
                replace(sampling(2, 1), temperature=350.0))  # fmt: skip
    with pytest.raises(InputError, match="target of Boltzmann"):
        invert_pairs(PAIRS, [of_gas(1e5, name="pairs B-B")], 300.0)
    with pytest.raises(InputError, match="reach of the target"):
        invert_pairs(replace(PAIRS, basis=Spline(0.2, 1.0, 14, "zero")), [of_gas(1e5)],
                     300.0)  # fmt: skip
    empty = replace(of_gas(1e5), counts=np.zeros((1, 180)))
    with pytest.raises(InputError, match="counts of pairs A-A"):
        invert_pairs(PAIRS, [empty], 300.0)
