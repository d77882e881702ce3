"""Self-diffusion, its finite-size correction and collective transport in bulk."""

from pathlib import Path

import numpy as np
import pytest
from brownian import frames_of
from walkers import BOX, KT, TEMPERATURE, VOLUME, brownian, onsager

import mesobridge
from mesobridge.atomistic.profiles import (
    BulkDiffusion,
    Paths,
    bulk_diffusion,
    centres_of_mass,
    collective_transport,
    even_spacing,
    infinite_box,
    unwrap,
    yeh_hummer,
)
from mesobridge.core.errors import InputError
from mesobridge.core.stats import half_width95, interval95
from mesobridge.core.units import (
    ANGSTROM,
    BOLTZMANN,
    DALTON,
    ELEMENTARY_CHARGE,
    NM,
    PS,
)

#: Number, D (m2/s), shared step (m), mass (Da): cations driven against the anions.
DRIVEN = {
    "Li": (8, 1e-9, 4e-12, 7.0),
    "X": (8, 2e-9, -3e-12, 50.0),
    "W": (16, 3e-9, 2e-12, 18.0),
}
FREE = {"Li": (12, 1e-9, 0.0, 7.0), "X": (12, 3e-9, 0.0, 50.0)}
CHARGE = {"Li": 1.0, "X": -1.0}
Z = np.array([1.0, -1.0, 0.0])
E2 = ELEMENTARY_CHARGE**2


def collective(paths, **changes):
    how = {
        "charge_number": CHARGE, "temperature": TEMPERATURE, "block": 20 * PS,
        "replicates": 200, "seed": 1, "frame": "lab",
    }  # fmt: skip
    return collective_transport(paths, **{**how, **changes})


@pytest.fixture(scope="module")
def driven():
    return [brownian(DRIVEN, 1001, seed) for seed in (1, 2)]


# self-diffusion -----------------------------------------------------------------------


def test_arrays_and_frames_share_one_answer():
    rng = np.random.default_rng(3)
    x = np.cumsum(0.05 * rng.standard_normal((200, 20, 3)), axis=0)
    ds = frames_of(x, 0.1, box=(3.0, 3.0, 3.0))
    arrays = Paths(x * NM, ds["mass"].values, ds["species"].values, 0.1 * PS)
    how = {"block": 2 * PS, "replicates": 60, "seed": 4}
    one, other = bulk_diffusion([ds], **how), bulk_diffusion([arrays], **how)
    assert one.species == other.species == ["Na", "Cl"]
    np.testing.assert_allclose(one.D, other.D, rtol=1e-9)
    assert one.regime == ["diffusive", "diffusive"]


def test_self_diffusion_of_free_walkers():
    """D of each species less its share in the centre of mass, within the error.

    Var(r_i - R) per time is 2 [D_i (1 - 2 m_i / M) + sum_j m_j^2 D_j / M^2].
    """
    found = bulk_diffusion(
        [brownian(FREE, 801, seed) for seed in (5, 6)],
        block=20 * PS, replicates=200, seed=0,
    )  # fmt: skip
    number, D, _, m = (np.array(x) for x in zip(*FREE.values(), strict=True))
    total = number @ m
    truth = D * (1 - 2 * m / total) + number @ (m**2 * D) / total**2
    half = half_width95(found.D, found.n_units)
    assert (np.abs(found.D[0] - truth) < 2 * half).all()
    assert (half < 0.1 * truth).all()


def test_coverage_of_self_diffusion():
    """95 % intervals of D from ten blocks hold the truth, over 150 sets."""
    inside = []
    for seed in range(150):
        paths = brownian({"A": (32, 1e-9, 0.0, 1.0)}, 200, 300 + seed)
        found = bulk_diffusion([paths], block=20 * PS, replicates=100, seed=seed)
        low, high = interval95(found.D[:, 0], found.n_units)
        inside.append(low <= 1e-9 * 31 / 32 <= high)
    assert 0.86 <= np.mean(inside) <= 1.0


def test_confined_motion_is_called_subdiffusive():
    """Particles on springs: the MSD saturates, its log-log slope falls to zero."""
    rng = np.random.default_rng(8)
    noise = rng.standard_normal((400, 64, 3))
    x = np.zeros_like(noise)
    for k in range(1, 400):
        x[k] = 0.9 * x[k - 1] + noise[k] * 1e-11
    paths = Paths(x, np.ones(64), ["A"] * 32 + ["B"] * 32, PS, BOX)
    found = bulk_diffusion(
        [paths], block=40 * PS, replicates=60, seed=0, lags=(2 * PS, 12 * PS)
    )
    assert found.regime == ["subdiffusive"] * 2
    assert (found.exponent[0] < 0.8).all()


def test_blocks_add_up_to_all_displacements():
    """One loop over blocks or one difference of all frames: the same slope."""
    path = brownian(FREE, 106, 4)
    found = bulk_diffusion(
        [path], block=20 * PS, replicates=60, seed=0, lags=(3 * PS, 13 * PS)
    )
    share = (path.mass / path.mass.sum())[:, None]
    x = (path.positions - (path.positions * share).sum(axis=1, keepdims=True))[:100]
    msd = [((x[lag : 87 + lag] - x[:87]) ** 2).sum(-1).mean(0) for lag in (3, 13)]
    D = (msd[1] - msd[0]) @ path.members() / 12 / (6 * 10 * PS)
    assert found.D[0] == pytest.approx(D, rel=1e-12)


def test_one_particle_is_refused_with_the_reason():
    with pytest.raises(InputError, match="own centre of mass"):
        bulk_diffusion(
            [brownian({"Li": (1, 1e-9, 0.0, 7.0)}, 101, 1)],
            block=20 * PS, replicates=60, seed=0,
        )  # fmt: skip


def test_ballistic_motion_is_called_superdiffusive():
    rng = np.random.default_rng(9)
    v = 100.0 * rng.standard_normal((1, 64, 3))
    x = v * PS * np.arange(200)[:, None, None]
    paths = Paths(x, np.ones(64), ["A"] * 64, PS)
    found = bulk_diffusion([paths], block=20 * PS, replicates=60, seed=0)
    assert found.regime == ["superdiffusive"]
    assert found.exponent[0, 0] == pytest.approx(2.0, abs=1e-9)


# finite size --------------------------------------------------------------------------

ETA = 0.85e-3  # Pa s


def missing(edge, eta=ETA):
    """xi kT / (6 pi eta L), Yeh & Hummer 2004, doi:10.1021/jp0477147."""
    return 2.837297 * BOLTZMANN * TEMPERATURE / (6 * np.pi * eta * edge)


def run_in(edge, D, noise, seed, n=100):
    rng = np.random.default_rng(seed)
    value = (np.array(D) - missing(edge)) * (1 + noise * rng.standard_normal((1, len(D))))
    spread = 1 + noise * rng.standard_normal((n, len(D)))
    return BulkDiffusion(
        ["a", "b"], np.vstack([value, value * spread]), 20, np.ones((n + 1, len(D)))
    )


def test_yeh_hummer_of_water():
    """In water, 2 nm: 2.84 * 4.14e-21 J / (6 pi * 0.85e-3 Pa s * 2e-9 m) = 3.7e-10."""
    D = np.array([[2.0e-9], [2.1e-9]])
    found = yeh_hummer(D, box=[2 * NM] * 3, temperature=TEMPERATURE, viscosity=ETA)
    np.testing.assert_allclose(found - D, missing(2 * NM), rtol=1e-12)
    assert missing(2 * NM) == pytest.approx(3.67e-10, rel=5e-3)
    spread = yeh_hummer(
        D, box=np.eye(3) * 2 * NM, temperature=TEMPERATURE, viscosity=[ETA, 2 * ETA]
    )
    np.testing.assert_allclose(spread[1] - D[1], missing(2 * NM) / 2, rtol=1e-12)


def test_boxes_give_viscosity_and_infinite_size():
    D, edges = (2.3e-9, 1.1e-9), (1.5 * NM, 2 * NM, 4 * NM)
    exact = [run_in(edge, D, 0.0, 0) for edge in edges]
    found = infinite_box(exact, [[edge] * 3 for edge in edges], TEMPERATURE)
    np.testing.assert_allclose(found.D, np.tile(D, (101, 1)), rtol=1e-9)
    assert found.viscosity == pytest.approx(ETA, rel=1e-9)


def test_coverage_of_the_infinite_box():
    D, edges = (2.3e-9, 1.1e-9), (1.5 * NM, 3 * NM)
    inside = []
    for seed in range(0, 400, 2):
        runs = [run_in(edge, D, 0.01, seed + k) for k, edge in enumerate(edges)]
        found = infinite_box(runs, [[edge] * 3 for edge in edges], TEMPERATURE)
        for replicates, truth in ((found.D[:, 0], D[0]), (found.fluidity, 1 / ETA)):
            low, high = interval95(replicates)
            inside.append(low <= truth <= high)
    assert 0.90 <= np.mean(inside) <= 0.99


def test_boxes_that_tell_nothing_are_refused():
    D, cube = (2e-9, 1e-9), [2 * NM] * 3
    run = run_in(2 * NM, D, 0.0, 0)
    upside_down = [run_in(4 * NM, D, 0.0, 0), run]
    for boxes, words in (
        ([[2 * NM] * 3, [4 * NM] * 3], "does not grow"),
        ([cube, cube], "boxes for the extrapolation"),
        ([[2 * NM, 2 * NM, 4 * NM], cube], "no cube"),
    ):
        with pytest.raises(InputError, match=words):
            infinite_box(upside_down, boxes, TEMPERATURE)
    with pytest.raises(InputError, match="do not belong"):
        infinite_box(
            [run, run_in(4 * NM, D, 0.0, 0, n=60)], [cube, [4 * NM] * 3], TEMPERATURE
        )
    with pytest.raises(InputError, match="no cube"):
        yeh_hummer(run.D, box=[2e-9, 2e-9, 6e-9], temperature=300.0, viscosity=ETA)
    for D, temperature, eta, words in (
        (run.D, 300.0, 0.0, "above zero"),
        (run.D, -300.0, ETA, "above 0 K"),
        (run.D[:, 0], 300.0, np.full(len(run.D), ETA), "R . 1, S"),
        (run.D, 300.0, np.full(7, ETA), "R . 1 of them"),
    ):
        with pytest.raises(InputError, match=words):
            yeh_hummer(D, box=cube, temperature=temperature, viscosity=eta)
    with pytest.raises(InputError, match="above 0 K"):
        infinite_box([run, run], [[4 * NM] * 3, cube], -TEMPERATURE)


# collective ---------------------------------------------------------------------------


def test_independent_ions_conduct_by_nernst_einstein():
    """Without correlations: L_ij = N_i D_i delta_ij / (V kT), t+ = D+ / (D+ + D-)."""
    found = collective([brownian(FREE, 2001, seed) for seed in (1, 2)])
    half = half_width95(found.conductivity - found.nernst_einstein, found.n_units)
    gap = found.conductivity[0] - found.nernst_einstein[0]
    assert abs(gap) < 2 * half < 0.5 * found.nernst_einstein[0]
    truth = E2 * 12 * (1e-9 + 3e-9) / (VOLUME * KT)
    assert found.nernst_einstein[0] == pytest.approx(truth, rel=0.1)
    cross = found.L[:, 0, 1]
    assert abs(cross[0]) < 2 * half_width95(cross, found.n_units)
    for replicates, truth in (
        (found.transference[:, 0], 0.25),
        (found.transport_nernst_einstein[:, 0], 0.25),
        (found.haven, 1.0),
    ):
        error = abs(replicates[0] - truth)
        assert error < 2 * half_width95(replicates, found.n_units)


def test_driven_ions_have_the_known_cross_term(driven):
    """L_12 V kT = N_1 a_1 N_2 a_2 / (2 dt) for steps a_i of a noise that all share."""
    found = collective(driven)
    truth = onsager(DRIVEN) / (VOLUME * KT)
    half = half_width95(found.L, found.n_units)
    assert (np.abs(found.L[0] - truth) < 2 * half).all()
    scale = np.sqrt(np.outer(np.diag(truth), np.diag(truth)))
    assert (half < 0.3 * scale).all()
    number, D, shared, _ = (np.array(x) for x in zip(*DRIVEN.values(), strict=True))
    own = D + shared**2 / (2 * PS)
    np.testing.assert_allclose(found.D[0], own, rtol=0.1)
    np.testing.assert_allclose(found.L_self[0] * VOLUME * KT, number * own, rtol=0.1)
    diagonal = np.einsum("rii->ri", found.distinct)
    np.testing.assert_allclose(diagonal, np.einsum("rii->ri", found.L) - found.L_self)


def test_identities_of_the_coefficients(driven):
    """L is symmetric; t adds up to one in every replicate; sigma = e2 z L z."""
    found = collective(driven, frame="barycentric")
    np.testing.assert_allclose(found.L, np.swapaxes(found.L, 1, 2), rtol=1e-9)
    np.testing.assert_allclose(found.transference.sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_allclose(found.conductivity, E2 * Z @ found.L @ Z, rtol=1e-9)
    ratio = found.nernst_einstein[0] / found.conductivity[0]
    assert found.haven[0] == pytest.approx(ratio)


def test_frames_of_reference_transform_exactly(driven):
    """L' = A L A^T with R_i' = R_i - N_i r_0: one trajectory, to rounding.

    Barycentric: A_ij = delta_ij - N_i m_j / M; solvent: A_ij = delta_ij - N_i / N_0 for
    j the solvent. The conductivity is the same in all, transference is not.
    """
    number, _, _, m = (np.array(x) for x in zip(*DRIVEN.values(), strict=True))
    lab = collective(driven)
    reference = {
        "barycentric": m / (number @ m),
        "solvent": np.array([0, 0, 1 / number[2]]),
    }
    for frame, weight in reference.items():
        A = np.eye(3) - np.outer(number, weight)
        found = collective(driven, frame=frame, solvent="W")
        scale = np.abs(lab.L).max()
        np.testing.assert_allclose(found.L, A @ lab.L @ A.T, atol=1e-9 * scale)
        np.testing.assert_allclose(found.conductivity, lab.conductivity, rtol=1e-9)
        assert abs(found.transference[0, 0] - lab.transference[0, 0]) > 1e-4


def test_one_solvent_particle_rests_in_its_own_frame():
    """A single polymer, say: its row of L is zero, that of the ions stays."""
    path = [brownian({**FREE, "W": (1, 1e-12, 0.0, 5e3)}, 201, 3)]
    lab, own = (
        collective(path, frame=frame, solvent="W") for frame in ("lab", "solvent")
    )
    assert not own.L[:, 2].any()
    assert not own.D[:, 2].any()
    assert own.L[0, :2, :2] == pytest.approx(lab.L[0, :2, :2], rel=0.2)


def test_coverage_of_collective_intervals():
    """95 % intervals from ten blocks hold the truth: 100 sets, several quantities."""
    truth = onsager(DRIVEN) / (VOLUME * KT)
    current = E2 * Z * (truth @ Z)
    inside = {"L12": [], "L11": [], "conductivity": [], "t": []}
    alarms = []
    for seed in range(100):
        found = collective([brownian(DRIVEN, 201, 1000 + seed)], seed=seed)
        for name, replicates, value in (
            ("L12", found.L[:, 0, 1], truth[0, 1]),
            ("L11", found.L[:, 0, 0], truth[0, 0]),
            ("conductivity", found.conductivity, current.sum()),
            ("t", found.transference[:, 0], current[0] / current.sum()),
        ):
            low, high = interval95(replicates, found.n_units)
            inside[name].append(low <= value <= high)
        alarms.append(found.regime["dipole"] != "diffusive")
    for name, hits in inside.items():
        assert 0.85 <= np.mean(hits) <= 1.0, name
    assert 0.88 <= np.mean(list(inside.values())) <= 0.99
    assert np.mean(alarms) < 0.15


def test_errors_shrink_with_the_run_and_not_with_the_number_of_ions():
    """Collective errors know the time alone; self-diffusion gains from particles too."""
    widths = []
    for count, frames in ((8, 401), (8, 1601), (32, 401)):
        species = {k: (count, *v[1:]) for k, v in FREE.items()}
        ratio = []
        for seed in range(6):
            found = collective([brownian(species, frames, 50 + seed)], seed=seed)
            ratio.append(
                [
                    half_width95(x, found.n_units) / x[0]
                    for x in (found.conductivity, found.D[:, 0])
                ]
            )
        widths.append(np.mean(ratio, axis=0))
    short, long, many = widths
    assert long[0] < 0.7 * short[0]
    assert many[0] > 0.7 * short[0]
    assert many[1] < 0.7 * short[1]


# molecules ----------------------------------------------------------------------------


def test_molecules_move_by_their_centres_of_mass():
    """Dumb-bells that tumble, one split across the boundary at the start."""
    rng = np.random.default_rng(2)
    centre = np.cumsum(rng.standard_normal((50, 4, 3)) * 3e-11, axis=0) + 1 * NM
    arm = rng.standard_normal((50, 4, 3)) * 1e-10
    mass = np.tile([12.0, 1.0], 4) * DALTON
    atoms = np.empty((50, 8, 3))
    atoms[:, 0::2], atoms[:, 1::2] = centre + arm / 13, centre - 12 * arm / 13
    atoms[:, 1] += BOX
    found, total, labels = centres_of_mass(atoms, mass, np.repeat([7, 3, 5, 9], 2), BOX)
    assert labels.tolist() == [3, 5, 7, 9]
    np.testing.assert_allclose(total, 13 * DALTON)
    moved, truth = found - found[0], (centre - centre[0])[:, [1, 2, 0, 3]]
    np.testing.assert_allclose(moved, truth, atol=1e-18)


def test_unwrapping_undoes_wrapping():
    """In a triclinic box too: steps below half a box come back exactly."""
    box = np.array([[3.0, 0, 0], [0.5, 3.0, 0], [0.3, -0.4, 3.0]]) * NM
    x = brownian(FREE, 300, 7).positions
    fraction = x @ np.linalg.inv(box)
    wrapped = (fraction % 1.0) @ box
    back = unwrap(wrapped, box)
    np.testing.assert_allclose(back - back[0], x - x[0], atol=1e-18)


# bad input ----------------------------------------------------------------------------


def test_wrapped_paths_are_refused_and_unwrapped_ones_are_not():
    fast = {"Li": (40, 2e-8, 0.0, 7.0), "X": (40, 2e-8, 0.0, 7.0)}
    good = brownian(fast, 1000, 3)
    wrapped = good.positions % BOX
    with pytest.raises(InputError, match="unwrap"):
        Paths(wrapped, good.mass, good.species, PS, BOX)
    with pytest.raises(InputError, match="unwrap"):
        centres_of_mass(wrapped, good.mass, np.arange(80) // 2, BOX)
    # Rare frames: steps of half a box, but paths that leave it.
    rare = good.positions[::4]
    longest = np.abs(np.diff(rare, axis=0)).max() / BOX[0]
    assert 1 / 3 < longest < 2 / 3
    assert Paths(rare, good.mass, good.species, 4 * PS, BOX).volume() == pytest.approx(
        VOLUME
    )


def test_bad_collective_input_is_refused_with_a_reason(driven):
    one = driven[:1]
    for changes, words in (
        ({"charge_number": {"Li": 1.0, "X": -2.0}}, "not neutral"),
        ({"charge_number": {"Li": 0.0, "X": 0.0}}, "no charged species"),
        ({"charge_number": {"Na": 1.0}}, "unknown species"),
        ({"charge_number": {"Li": np.nan, "X": -1.0}}, "charges of species"),
        ({"block": np.nan}, "a block of nan"),
        ({"block": np.inf}, "a block of inf"),
        ({"lags": (4 * PS, 20 * PS)}, "lags of the fit"),
        ({"lags": (1.5 * PS, 7 * PS)}, "multiple"),
        ({"block": 2000 * PS}, "too short"),
        ({"block": 1000 * PS}, "too few blocks"),
        ({"replicates": 10}, "at least 50"),
        ({"temperature": -300.0}, "temperature"),
        ({"frame": "solvent"}, "frame of reference"),
        ({"frame": "moving"}, "frame of reference"),
    ):
        with pytest.raises(InputError, match=words):
            collective(one, **changes)
    with pytest.raises(InputError, match="not equally spaced"):
        even_spacing(np.array([0.0, 1.0, 3.0]))
    with pytest.raises(InputError, match="replicas that differ"):
        collective([driven[0], brownian(FREE, 100, 1)])
    with pytest.raises(InputError, match="at least one"):
        collective([])


def test_bad_arrays_are_refused_with_a_reason():
    x = np.zeros((9, 4, 3))
    mass, names = np.ones(4), ["A"] * 4
    for arguments, words in (
        ((x[..., :2], mass, names, PS), "shape of the positions"),
        ((x, mass[:3], names, PS), "shape of the masses"),
        ((x, mass, names[:2], PS), "shape of the species"),
        ((x, mass, names, 0.0), "positive spacing"),
        ((x, 0 * mass, names, PS), "positive masses"),
        ((x + np.nan, mass, names, PS), "not finite"),
        ((x, mass, names, PS, [1.0, 2.0]), "box"),
        ((x, mass, names, PS, BOX, x[:2]), "shape of the velocities"),
    ):
        with pytest.raises(InputError, match=words):
            Paths(*arguments)
    still = Paths(x, mass, ["A", "A", "B", "B"], PS, BOX)
    with pytest.raises(InputError, match="do not move"):
        collective([still], charge_number={"A": 1, "B": -1}, block=4 * PS)
    with pytest.raises(InputError, match="without a box"):
        Paths(x, mass, names, PS).volume()


def test_a_negative_conductivity_is_refused():
    """Neutral pairs that oscillate: the dipole's MSD 1 - cos(w t) falls past pi / w."""
    rng = np.random.default_rng(4)
    pair = np.cumsum(rng.standard_normal((101, 10, 3)) * 4e-11, axis=0)
    swing = 1e-11 * np.sin(2 * np.pi * np.arange(101) / 16)[:, None, None]
    x = np.concatenate([pair + swing, pair - swing], axis=1)
    paths = Paths(x, np.ones(20), ["Li"] * 10 + ["X"] * 10, PS, BOX)
    with pytest.raises(InputError, match="lost in noise"):
        collective([paths], lags=(8 * PS, 14 * PS))


# real data ----------------------------------------------------------------------------

SHARED = next(
    (
        folder / "shared" / "data" / "mg_tfsi_dme"
        for folder in Path(mesobridge.__file__).resolve().parents[:2]
        if (folder / "shared" / "data" / "mg_tfsi_dme").is_dir()
    ),
    None,
)


@pytest.mark.skipif(SHARED is None, reason="shared/data/mg_tfsi_dme is not there")
def test_magnesium_electrolyte():
    """33 Mg(TFSI)2 in 591 DME: ions diffuse together, far below Nernst-Einstein."""
    XTCReader = pytest.importorskip("MDAnalysis.coordinates.XTC").XTCReader
    data = np.load(SHARED / "topology.npz")
    reader = XTCReader(str(SHARED / "traj_unwrapped.xtc"))
    x = np.stack([frame.positions.copy() for frame in reader]) * ANGSTROM
    box = reader[0].dimensions[:3] * ANGSTROM
    centres, mass, molecules = centres_of_mass(x, data["mass"] * DALTON, data["mol"], box)
    atoms = np.unique(data["mol"], return_counts=True)[1]
    names = np.array(["Mg", "TFSI", "DME"])[np.searchsorted([1, 15, 16], atoms)]
    paths = Paths(centres, mass, names, reader.dt * PS, box)
    found = collective([paths], charge_number={"Mg": 2, "TFSI": -1}, block=1000 * PS)
    D = dict(zip(found.species, found.D[0] * 1e9, strict=True))
    assert 0.1 < D["Mg"] < D["TFSI"] < 0.4 < 1.0 < D["DME"] < 1.8
    assert found.n_units == 5
    half = half_width95(found.conductivity, 5)
    assert half > 0.4 * found.conductivity[0]  # five blocks cannot tell better
    assert found.conductivity[0] + half < found.nernst_einstein[0]
    assert half_width95(found.transference, 5)[2] > 1.0
