"""Force matching against known potentials, dense least squares and finite differences."""

import numpy as np
import openmm
import pytest

from mesobridge.coarse import (
    CGModel,
    DatasetFrames,
    Pairs,
    Spline,
    WithoutCoulomb,
    basic_force_map,
    fit,
    load_model,
    make_system,
    match,
    one_bead_per_atom,
)
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.schema import dataset, validate
from mesobridge.core.units import AVOGADRO, DALTON, KJ_MOL, NM, PS

BOX, CUTOFF = 1.6, 0.7
SPECIES = ("Na",) * 20 + ("Cl",) * 20
PARAMETERS = {"Na-Na": (60.0, 12.0), "Na-Cl": (40.0, 14.0), "Cl-Cl": (90.0, 10.0)}


def truth(pair, r):
    """u = A exp(-b (r - 0.25)) (1 - r/rc)^3, and its derivative."""
    amplitude, decay = PARAMETERS[pair]
    fall = np.exp(-decay * (r - 0.25))
    end = np.maximum(1 - r / CUTOFF, 0)
    value = amplitude * fall * end**3
    slope = -amplitude * fall * (decay * end**3 + 3 * end**2 / CUTOFF)
    return value, slope


def coulomb(x, charges):
    system = openmm.System()
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(openmm.NonbondedForce.PME)
    force.setCutoffDistance(CUTOFF)
    force.setEwaldErrorTolerance(1e-6)
    for q in charges:
        system.addParticle(1.0)
        force.addParticle(q, 1.0, 0.0)
    system.setDefaultPeriodicBoxVectors(*np.eye(3) * BOX)
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(x)
    return context.getState(getForces=True).getForces(asNumpy=True)._value


def make_frames(n_frames, seed, noise=0.0, charges=None):
    """Random configurations with the forces of the known potential (plus noise)."""
    rng = np.random.default_rng(seed)
    positions, forces = [], []
    side = int(np.ceil(len(SPECIES) ** (1 / 3)))
    grid = (np.indices((side,) * 3).reshape(3, -1).T[: len(SPECIES)] + 0.5) * BOX / side
    for _ in range(n_frames):
        x = rng.permutation(grid) + rng.uniform(-0.09, 0.09, (len(SPECIES), 3))
        f = noise * rng.standard_normal(x.shape)
        for i in range(len(x)):
            for j in range(i):
                d = x[j] - x[i]
                d -= BOX * np.round(d / BOX)
                r = np.linalg.norm(d)
                if r < CUTOFF:
                    pair = f"{SPECIES[j]}-{SPECIES[i]}"
                    slope = truth(pair if pair in PARAMETERS else "Na-Cl", r)[1]
                    f[i] += slope * d / r
                    f[j] -= slope * d / r
        if charges is not None:
            f = f + coulomb(x, charges)
        positions.append(x)
        forces.append(f)
    return dataset(
        "frames/1",
        {
            "positions": np.array(positions) * NM,
            "forces": np.array(forces) * 1e3 / AVOGADRO / NM,
            "box": np.tile(np.eye(3) * BOX * NM, (n_frames, 1, 1)),
            "species": list(SPECIES),
            "mass": np.full(len(SPECIES), 29.0) * DALTON,
            "time": np.arange(n_frames) * PS,
        },
        {"source": "synthetic"},
    )


NEUTRAL = np.zeros(len(SPECIES))
IONS = np.array([1.0] * 20 + [-1.0] * 20)


@pytest.fixture(scope="module")
def frames():
    return make_frames(60, 1, charges=IONS)


def pairs(spacing):
    return Pairs(SPECIES, Spline.spaced(0.0, CUTOFF, spacing, "zero"))


def equations(frames, charges=IONS, spacing=0.035, block=10, **how):
    beads = one_bead_per_atom(SPECIES)
    source = DatasetFrames(frames, beads.positions, basic_force_map(beads).forces)
    bare = WithoutCoulomb(source, charges, CUTOFF)
    return match([pairs(spacing)], [bare], block=block, **how)


def model_of(eq, spacing=0.035, replicates=50):
    term = pairs(spacing)
    matched = fit(eq, [term], replicates, 1)
    shape = replicates + 1, len(term.pairs), term.basis.size
    return CGModel(
        ("Na", "Cl"), (1.0, -1.0), term.pairs, term.basis,
        matched.coefficients.reshape(shape), term.innermost(eq.seen["pairs"]),
        matched.n_units, {"temperature_K": 1200.0},
    )  # fmt: skip


def test_a_known_potential_comes_back(frames):
    """Coulomb is taken off, the rest is recovered to 1 % of kT-sized energies."""
    model = model_of(equations(frames))
    for p, pair in enumerate(model.pairs):
        r = np.linspace(model.inner[p] + 0.01, CUTOFF, 60)
        wanted = truth(pair, r)[0]
        assert np.abs(model.potential(r)[p] - wanted).max() < 0.01 * wanted.max()


def test_error_bars_cover_the_truth():
    """95 % bands of w(r) over 8 noisy sets, where pairs are met often."""
    inside = []
    for seed in range(8):
        frames = make_frames(24, 20 + seed, noise=20.0)
        model = model_of(equations(frames, NEUTRAL, spacing=0.07, block=3), spacing=0.07)
        pmf = model.pair_pmf()
        r = pmf["r"].values / NM
        far = (r > 0.35) & (r < 0.6)
        for p, pair in enumerate(model.pairs):
            values = pmf["pmf"].values[:, p][:, far] / KJ_MOL
            half = 2.36 * values[1:].std(axis=0, ddof=1) * np.sqrt(8 / 7)
            inside.append(np.abs(values[0] - truth(pair, r[far])[0]) <= half)
    assert 0.85 <= np.concatenate(inside).mean() <= 1.0


def test_openmm_moves_beads_with_the_same_potential(frames, tmp_path):
    model = model_of(equations(frames))
    model.save(tmp_path / "m.safetensors")
    model = load_model(tmp_path / "m.safetensors")
    system = make_system(model, SPECIES, [29.0] * len(SPECIES), np.eye(3) * BOX)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    x = frames["positions"].values[0] / NM
    context.setPositions(x)
    found = context.getState(getForces=True).getForces(asNumpy=True)._value
    wanted = coulomb(x, IONS) + short_range(model, x)
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 1e-3 * wanted.std()


def short_range(model, x):
    """Forces of the model's potentials by central differences, pair by pair."""
    i, j = np.triu_indices(len(x), 1)
    d = x[j] - x[i]
    d -= BOX * np.round(d / BOX)
    r = np.linalg.norm(d, axis=1)
    h = 1e-6
    slopes = (model.potential(r + h) - model.potential(r - h)) / (2 * h)
    kind = np.array([model.species.index(s) for s in SPECIES])
    pair = np.array([[0, 1], [1, 2]])[kind[i], kind[j]]
    pull = (slopes[pair, np.arange(len(r))] / r)[:, None] * d
    force = np.zeros_like(x)
    np.add.at(force, i, pull)
    np.add.at(force, j, -pull)
    return force


def test_below_the_closest_pair_the_potential_only_rises(frames):
    model = model_of(equations(frames))
    for p, inner in enumerate(model.inner):
        r = np.linspace(0.02, inner, 50)
        assert (np.diff(model.potential(r)[p]) < 0).all()
        step = model.potential(np.array([inner - 1e-7, inner + 1e-7]))[p]
        assert step[0] == pytest.approx(step[1], abs=1e-3)


def test_pair_pmf_keeps_its_contract(frames):
    pmf = validate(model_of(equations(frames)).pair_pmf(), "pair-pmf/1")
    assert list(pmf["pair"].values) == ["Na-Na", "Na-Cl", "Cl-Cl"]
    assert pmf.sizes["replicate"] == 51


@pytest.mark.parametrize("ends", ["zero", "free"])
def test_a_model_comes_back_whatever_its_splines(tmp_path, ends):
    spline = Spline(0.21, 0.9, 17, ends)
    c = np.random.default_rng(0).normal(size=(2, 1, spline.size))
    model = CGModel(("A",), (0.0,), ("A-A",), spline, c, np.full(1, 0.25), 3,
                    {"temperature_K": 300.0})  # fmt: skip
    model.save(tmp_path / "m.safetensors")
    r = np.linspace(0.1, 1.0, 50)
    found = load_model(tmp_path / "m.safetensors").potential(r, 1)
    np.testing.assert_allclose(found, model.potential(r, 1), rtol=1e-12, atol=1e-9)


def test_refusals(frames, tmp_path):
    with pytest.raises(InputError, match="too few frames"):
        equations(frames, block=60)
    beads = one_bead_per_atom(SPECIES)
    source = DatasetFrames(frames, beads.positions, basic_force_map(beads).forces)
    with pytest.raises(InputError, match="half the smallest height"):
        next(WithoutCoulomb(source, IONS, 0.81).chunks(0, 2))
    model = model_of(equations(frames))
    with pytest.raises(InputError, match="does not know"):
        make_system(model, ["K"], [39.0], np.eye(3) * BOX)
    broken = CGModel(**{**model.__dict__, "coefficients": model.coefficients[:, :, 1:]})
    broken.save(tmp_path / "m.safetensors")
    with pytest.raises(SchemaError, match="shape of coefficients"):
        load_model(tmp_path / "m.safetensors")
