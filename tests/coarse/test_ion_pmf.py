"""Umbrella windows whose truth is known: the potential comes back, with honest bands."""

from dataclasses import replace

import numpy as np
import pytest

from mesobridge.coarse.ion_pmf import COULOMB, PairWindows, implicit_ions
from mesobridge.coarse.langevin import GAS_CONSTANT
from mesobridge.core.errors import InputError

T, EPS, EDGE, STIFFNESS = 298.15, 71.0, 1.87, 2000.0
THERMAL = GAS_CONSTANT * T


def short_range(r):
    """A contact minimum, a barrier and a second minimum; zero from 0.6 nm on."""
    shells = 4 * np.cos(2 * np.pi * (r - 0.28) / 0.23) * np.clip((0.6 - r) / 0.3, 0, 1)
    return 40 * np.exp(-(r - 0.22) / 0.015) - shells


def windows(rng, product=-1.0, n=2000, pair="Na-Cl", charges=(1.0, -1.0)):
    """Independent distances with the images of a cubic box."""
    grid = np.linspace(0.2, 0.92, 7000)
    lattice = 1 / grid + 2 * np.pi * grid**2 / (3 * EDGE**3)
    w = short_range(grid) + product * COULOMB / EPS * lattice
    centres = np.arange(0.25, 0.82, 0.03)
    drawn = []
    for centre in centres:
        energy = w + 0.5 * STIFFNESS * (grid - centre) ** 2
        p = grid**2 * np.exp(-(energy - energy.min()) / THERMAL)
        drawn.append(np.interp(rng.random(n), np.cumsum(p) / p.sum(), grid))
    return PairWindows(pair, charges, centres, STIFFNESS, drawn, EDGE)


def all_pairs(rng, **more):
    return [
        windows(rng, **more),
        windows(rng, product=1.0, pair="Na-Na", charges=(1.0, 1.0), **more),
        windows(rng, product=1.0, pair="Cl-Cl", charges=(-1.0, -1.0), **more),
    ]


def test_the_short_range_comes_back_without_images_and_volume():
    model = implicit_ions(
        all_pairs(np.random.default_rng(0), n=6000), T, EPS, replicates=2
    )
    r = np.linspace(0.25, 0.78, 107)
    tail = np.linspace(0.6, 0.85, 200)
    wanted = short_range(r) - short_range(tail).mean()
    for found in model.potential(r):
        off = found - wanted
        assert np.abs(off[r > 0.26]).max() < 0.25 * THERMAL
        assert np.sqrt((off[r > 0.26] ** 2).mean()) < 0.08 * THERMAL
    assert model.permittivity == EPS
    assert model.charges == (1.0, -1.0)


def test_error_bars_cover_the_truth():
    """Bands of replicates at four distances, over 12 draws of the windows."""
    rng, r = np.random.default_rng(1), np.array([0.27, 0.32, 0.39, 0.5])
    scores = []
    for _ in range(12):
        run = windows(rng, 1.0, 1000, "Na-Na", (1.0, 1.0))
        model = implicit_ions([run], T, EPS, replicates=20, blocks=20)
        rows = np.array([model.potential(r, k)[0] for k in range(21)])
        tail = np.linspace(0.6, 0.85, 200)
        truth = short_range(r) - short_range(tail).mean()
        scores.append((rows[0] - truth) / rows[1:].std(0, ddof=1))
    within = np.mean(np.abs(scores) < 2)
    assert 0.8 < within <= 1


def test_the_model_hands_over_and_comes_back_from_its_file(tmp_path):
    from mesobridge.coarse.model import load_model

    model = implicit_ions(all_pairs(np.random.default_rng(2)), T, EPS, replicates=3)
    model.save(tmp_path / "ions.safetensors")
    same = load_model(tmp_path / "ions.safetensors")
    np.testing.assert_array_equal(same.coefficients, model.coefficients)
    assert same.permittivity == EPS
    table = model.pair_pmf()
    assert table.attrs["relative_permittivity"] == EPS
    assert "71" in table.attrs["coulomb"]


def test_what_is_missing_is_told():
    rng = np.random.default_rng(3)
    runs = all_pairs(rng, n=300)
    with pytest.raises(InputError, match="pairs of ions"):
        implicit_ions(runs[:2], T, EPS)
    short = windows(rng, n=300)
    kept = slice(0, 10)
    near = PairWindows("Na-Cl", (1.0, -1.0), short.centres[kept], STIFFNESS,
                       short.distances[kept], EDGE)  # fmt: skip
    with pytest.raises(InputError, match="beyond 0.6 nm"):
        implicit_ions([near, *runs[1:]], T, EPS)
    gap = PairWindows("Na-Cl", (1.0, -1.0), short.centres[::9], 20 * STIFFNESS,
                      [0.2 * (d - d.mean()) + c for d, c in
                       zip(short.distances[::9], short.centres[::9], strict=True)],
                      EDGE)  # fmt: skip
    with pytest.raises(InputError, match="overlap"):
        implicit_ions([gap, *runs[1:]], T, EPS)
    wrong = windows(rng, charges=(2.0, -1.0), n=300)
    with pytest.raises(InputError, match="charge of Na"):
        implicit_ions([*runs[1:], wrong], T, EPS)
    for state in ((0.0, EPS), (T, -EPS), (T, float("nan"))):
        with pytest.raises(InputError, match="permittivity above zero"):
            implicit_ions(runs, *state)
    with pytest.raises(InputError, match="a cutoff beyond the tail"):
        implicit_ions(runs, T, EPS, cutoff=0.5)
    with pytest.raises(InputError, match="resampling"):
        implicit_ions(runs, T, EPS, replicates=-1)
    angstrom = [replace(run, centres=10 * run.centres, stiffness=STIFFNESS / 100,
                        distances=[10 * d for d in run.distances], edge=10 * EDGE)
                for run in runs]  # fmt: skip
    with pytest.raises(InputError, match="distances below 0.6 nm"):
        implicit_ions(angstrom, T, EPS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pair": "NaCl"}, "two species"),
        ({"charges": (1.0,)}, "two species"),
        ({"distances": [np.array([0.3])]}, "of each window"),
        ({"distances": [np.array([0.3]), np.array([0.4, np.nan])]}, "window 1 of"),
        ({"distances": [np.array([0.3]), np.array([])]}, "window 1 of"),
        ({"distances": [np.array([3.0]), np.array([4.0])]}, "below the edge, nm"),
        ({"edge": 2.5e-9}, "below the edge, nm"),
        ({"stiffness": 0.0}, "stiffness above zero"),
    ],
)
def test_windows_that_are_none(change, words):
    good = {"pair": "Na-Cl", "charges": (1.0, -1.0), "centres": (0.3, 0.4),
            "stiffness": 1e3, "edge": 2.5,
            "distances": [np.array([0.3]), np.array([0.4])]}  # fmt: skip
    PairWindows(**good)
    with pytest.raises(InputError, match=words):
        PairWindows(**good | change)
