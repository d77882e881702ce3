"""Coverage that is not in-sample, with baselines, by group; and verdicts on it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator, all_changes
from molecules import spring_energy, springs

from mesobridge.atomistic.potential import TrainingSettings, train
from mesobridge.atomistic.potential.baseline import without_baseline
from mesobridge.atomistic.potential.evaluation import CalculatorPotential
from mesobridge.atomistic.potential.labelled_frame import Keys, labelled_frame
from mesobridge.atomistic.potential.potential import Potential
from mesobridge.atomistic.potential.reading import grouped
from mesobridge.atomistic.potential.settings import build_model
from mesobridge.atomistic.potential.uncertainty import LEVELS
from mesobridge.atomistic.uncertainty import (
    Coverage,
    calibrate,
    calibrate_and_check,
    coverage,
    coverage_of,
)
from mesobridge.atomistic.uncertainty.crossed import halves
from mesobridge.atomistic.uncertainty.summary import curves, summary
from mesobridge.atomistic.validation.labels import labelled_atoms
from mesobridge.atomistic.validation.uncertainty_part import uncertainty_part
from mesobridge.core.errors import InputError, SchemaError

WIDE = LEVELS.index(0.95)


class Springs(Calculator):
    """Nine tenths of the springs."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energy, forces = spring_energy(self.atoms.positions)
        self.results = {"energy": 0.9 * energy, "forces": 0.9 * forces}


def sets(n, noise, seed, group="gas"):
    rng, rows = np.random.default_rng(seed), []
    for i in range(n):
        atoms = springs(rng, noise=noise, group=group)
        found = {**atoms.calc.results, Keys.group: group}
        rows.append(labelled_frame("springs", i, atoms, found, Keys()))
    return grouped(rows, "springs")


def learned(training, held_out):
    """A short training; the network alone."""
    settings = TrainingSettings(
        ("H", "O"), 4e-10, channels=8, radial=6, hidden=16, steps=250, batch=4,
        energy_weight=20.0, points=2,
    )  # fmt: skip
    result = train(training, held_out, settings)
    tensors = {k: torch.from_numpy(v) for k, v in result.tensors.items()}
    header = {"validity": {"groups": ["gas"]}}
    return Potential(build_model(settings, tensors), settings.species, header)


@pytest.fixture(scope="module")
def plain():
    training, held_out = sets(60, 0.05, 0), sets(160, 0.05, 1)
    return learned(training, held_out), training, held_out


def test_halves_exchanged_tell_what_new_frames_show(plain):
    potential, training, held_out = plain
    u, seen = calibrate_and_check(potential, training, held_out)
    assert (u.scale == calibrate(potential, training, held_out).scale).all()
    new = coverage(replace(potential, uncertainty=u), sets(400, 0.05, 2))
    assert seen.frames == 160
    assert len(seen.error) == 480
    for c in (seen, new):
        assert c.found[WIDE] == pytest.approx(0.95, abs=0.035)
    np.testing.assert_allclose(seen.found, new.found, atol=0.07)


def test_too_few_frames_are_not_halved(plain):
    potential, training, held_out = plain
    few = [ds.isel(frame=slice(0, 15)) for ds in held_out]  # a half would have seven
    u, seen = calibrate_and_check(potential, training, few)
    assert u.scale.shape == (2, len(LEVELS))
    assert seen is None


def test_halves_are_earlier_and_later_frames_of_each_group():
    one, other = halves(["a", "a", "b", "a", "b", "a", "c"])
    assert one.tolist() == [0, 1, 2, 6]
    assert other.tolist() == [3, 4, 5]


def test_whole_labels_and_what_a_baseline_left_of_them_tell_the_same():
    whole = [sets(n, 0.05, seed) for n, seed in ((60, 0), (120, 1), (50, 2))]
    left = [[without_baseline(ds, Springs(), source="s") for ds in of] for of in whole]
    network = learned(*left[:2])
    both = replace(network, baseline=CalculatorPotential(Springs()))
    u, same = (calibrate(p, left[0], of[1]) for p, of in ((network, left), (both, whole)))
    torch.testing.assert_close(u.scale, same.scale, rtol=1e-3, atol=1e-3)
    one, two, three = (
        coverage(replace(p, uncertainty=u), of)
        for p, of in ((network, left[2]), (both, whole[2]), (both, left[2]))
    )
    for other in (two, three):
        np.testing.assert_allclose(one.error, other.error, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(one.distance, other.distance)
    wrong = coverage(replace(network, uncertainty=u), whole[2])
    assert wrong.found[WIDE] < 0.5 < one.found[WIDE]
    with pytest.raises(SchemaError, match="different baselines"):
        coverage(replace(both, uncertainty=u), [*left[2], *whole[2]])


def drawn(rng, frames, each=4, common=0.0, group="gas"):
    """Coverage of Gaussian errors of one size, that frames may share a part of."""
    scale = np.exp(common * rng.normal(size=frames).repeat(each))
    error = rng.normal(size=(frames * each, 3)) * scale[:, None]
    from scipy.stats import norm

    half = norm.ppf(0.5 + 0.5 * np.array(LEVELS))
    inside = (np.abs(error)[:, :, None] <= half).sum(1)
    n = len(error)
    return Coverage(
        np.linalg.norm(error, axis=1), np.ones(n), np.ones(n), np.full(n, "H"),
        np.arange(n) // each, np.full(n, group), inside,
    )  # fmt: skip


def test_bands_of_coverage_hold_the_truth_though_atoms_of_a_frame_are_alike():
    rng, held = np.random.default_rng(0), 0
    truth = drawn(rng, 100_000, common=0.5).found[WIDE]
    for _ in range(100):
        c = drawn(rng, 60, common=0.5)
        low, high = c.interval[WIDE]
        assert low < c.found[WIDE] < high
        held += low <= truth <= high
    assert held >= 86
    one = drawn(rng, 1)
    assert np.isnan(one.interval).all()
    assert summary(one)[0]["ci95"] is None


def test_rows_of_groups_are_those_of_their_atoms():
    rng = np.random.default_rng(1)
    cold, hot = drawn(rng, 30), drawn(rng, 20, common=0.7, group="hot")
    names = Coverage.__dataclass_fields__
    hot = replace(hot, frame=hot.frame + 30)
    both = Coverage(
        *(np.concatenate([getattr(c, f) for c in (cold, hot)]) for f in names)
    )
    rows = summary(both)
    assert [(r["group"], r["frames"]) for r in rows] == [
        ("all", 50), ("gas", 30), ("hot", 20)
    ]  # fmt: skip
    assert rows[1]["found"] == pytest.approx(cold.found.tolist())
    assert rows[2]["found"] == pytest.approx(hot.found.tolist())
    assert rows[1]["threshold"] == pytest.approx(3 * np.median(both.error))
    assert rows[2]["rank_correlation"] is None
    assert rows[2]["auroc"] == pytest.approx(0.5)  # one standard deviation for all
    found = curves(both)
    for name, c in (("gas", cold), ("hot", hot)):
        bins = found["bins"][name]
        assert bins["std"] == pytest.approx([1000.0] * len(bins["std"]))
        square = np.mean(np.square(bins["error"]))
        assert np.sqrt(square) == pytest.approx(1e3 * c.calibration, rel=0.02)


def test_hot_frames_stand_beside_cold_ones_and_a_lie_fails(plain):
    potential, training, held_out = plain
    u = calibrate(potential, training, held_out)
    frames = [
        a
        for ds in (*sets(150, 0.05, 5), *sets(80, 0.12, 6, "hot"))
        for a in labelled_atoms(ds)
    ]
    seen = []
    tell = lambda done, total, text: seen.append((done, total))  # noqa: E731
    found = uncertainty_part(replace(potential, uncertainty=u), frames, tell)
    assert seen[-1] == (230, 230)
    cold, hot = found["checks"]
    assert cold["ok"] is not False
    assert cold["wanted"] == "93 to 97"
    assert hot["wanted"] == "90 to 100"
    assert "not trained on" in hot["note"]
    _, gas, warm = found["figures"]["rows"]
    assert warm["distance"] > 2 * gas["distance"]
    assert warm["std"] > 3 * gas["std"]
    assert found["figures"]["rows"][0]["auroc"] > 0.8
    narrow = replace(u, scale=0.3 * u.scale)
    found = uncertainty_part(replace(potential, uncertainty=narrow), frames, tell)
    assert [c["ok"] for c in found["checks"]] == [False, False]
    found = uncertainty_part(
        replace(potential, uncertainty=narrow), frames[:3] + frames[-3:], tell
    )
    assert [c["ok"] for c in found["checks"]] == [None, None]
    assert "3 frames are too few" in found["checks"][0]["note"]


def test_frames_without_forces_are_left_out_or_refused(plain):
    potential, training, held_out = plain
    sure = replace(potential, uncertainty=calibrate(potential, training, held_out))
    frames = labelled_atoms(sets(3, 0.05, 7)[0])
    del frames[1].calc.results["forces"]
    assert coverage_of(frames, sure).frames == 2
    with pytest.raises(InputError, match="labels of forces"):
        coverage_of(frames[1:2], sure)
