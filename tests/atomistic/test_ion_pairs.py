"""Windows of two ions in explicit water: the box, resuming, refusals."""

import dataclasses

import numpy as np
import pytest

from mesobridge.atomistic.ion_pairs import IonPair, pair_box, read_windows, windows
from mesobridge.core.errors import InputError, StageError

PAIR = IonPair(("NA", "CL"), (0.28, 0.31), waters=60, cutoff=0.5, sample=0.02,
               segment=0.2, settle=0.2, timestep=0.002)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    list(windows(PAIR, folder, (3, 2)))
    return folder


def test_box_has_two_ions_in_water():
    box = pair_box(PAIR)
    assert box.charges == (1.0, -1.0)
    assert box.system.getNumParticles() == 2 + 3 * PAIR.waters
    assert 55 < box.edge**3 / 0.0299 < 85
    x = box.start.positions[2:].reshape(-1, 3, 3)
    np.testing.assert_allclose(np.linalg.norm(x[:, 1] - x[:, 0], axis=1), 0.1, atol=1e-4)


def test_distances_stay_near_their_windows(finished):
    found = read_windows(PAIR, finished)
    assert [len(d) for d in found] == [30, 20]
    for centre, distances in zip(PAIR.centres, found, strict=True):
        assert np.abs(distances - centre).max() < 0.15
        assert distances.std() > 0


def test_killed_and_taken_up_it_ends_equal(finished, tmp_path):
    run = windows(PAIR, tmp_path, (3, 2))
    for _ in range(3):
        next(run)
    run.close()
    damaged = tmp_path / "window-001-00000.npz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    list(windows(PAIR, tmp_path, (3, 2)))
    for ours, theirs in zip(
        read_windows(PAIR, tmp_path), read_windows(PAIR, finished), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_folder_of_another_set_up_is_refused(finished):
    other = IonPair(("NA", "CL"), (0.28, 0.31), waters=60, cutoff=0.5, seed=9)
    with pytest.raises(InputError, match="another set-up"):
        next(windows(other, finished, (1, 1)))


def test_every_window_needs_its_number_of_segments(tmp_path):
    for wrong in ((2,), (2, 0), (1, 1, 1)):
        with pytest.raises(InputError, match="2 numbers from 1 on"):
            next(windows(PAIR, tmp_path, wrong))
    assert not list(tmp_path.iterdir())


def test_a_run_that_becomes_unstable_is_told(tmp_path):
    wild = dataclasses.replace(PAIR, timestep=0.03, sample=0.3, segment=30, settle=3)
    with pytest.raises(StageError, match="the box of NA-CL: the run became unstable"):
        pair_box(wild)
    kept = pair_box(PAIR).start
    np.savez(tmp_path / "box.npz", x=kept.positions, box=kept.box, charges=[1.0, -1.0],
             pair=repr(wild))  # fmt: skip
    with pytest.raises(StageError, match="window 0 of NA-CL") as told:
        list(windows(wild, tmp_path, (1, 1)))
    assert "NaN" in told.value.got


def test_windows_beyond_half_the_box_and_unknown_ions_are_refused():
    with pytest.raises(InputError, match="three widths below half the box"):
        IonPair(("NA", "CL"), (0.28, 0.9), waters=100)
    with pytest.raises(InputError, match="UNK"):
        pair_box(IonPair(("NA", "UNK"), (0.28, 0.31), waters=60))
