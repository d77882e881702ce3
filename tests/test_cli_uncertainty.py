"""`mesobridge train` and `validate`: uncertainty in the file, in reports, refused."""

import json
import tomllib

import numpy as np
import pytest
import torch
from ase.io import read, write
from molecules import SMALL, ions, springs

from mesobridge.atomistic.calculators import ZBL
from mesobridge.atomistic.potential import load_potential
from mesobridge.atomistic.potential.reading import read_labelled
from mesobridge.atomistic.uncertainty import coverage
from mesobridge.atomistic.uncertainty.conformal import BEYOND

HALF = SMALL.replace("hold_out = 0.2", "hold_out = 0.5")
RUN = "runs/potential"


def made(folder, mesobridge, text=HALF + "steps = 60\n", n=120, *given):
    rng = np.random.default_rng(4)
    frames = [springs(rng) for _ in range(n)]
    write(folder / "frames.xyz", frames, format="extxyz")
    (folder / "train.toml").write_text(text)
    return mesobridge("train", "train.toml", "--quiet", *given)


def test_a_training_says_how_sure_it_is_and_a_validation_looks(tmp_path, mesobridge):
    code, _, err = made(tmp_path, mesobridge)
    assert code == 0, err
    path = tmp_path / RUN / "potential.safetensors"
    potential = load_potential(path)
    assert potential.uncertainty.heads.shape == (4, 8)
    curve = json.loads((tmp_path / RUN / "curve.json").read_text())
    (row,) = curve["uncertainty"]["coverage"]
    assert row["frames"] == 60
    assert row["found"][4] == pytest.approx(0.95, abs=0.06)
    assert "exchange of halves" in curve["uncertainty"]["text"]
    assert all(curve["cpu_s"][name] > 0 for name in ("training", "calibration"))
    page = (tmp_path / RUN / "report.html").read_text()
    for words in ("Uncertainty of forces", "exchange of halves", "reliability"):
        assert words in page
    rng = np.random.default_rng(8)
    frames = [springs(rng) for _ in range(40)]
    frames += [springs(rng, noise=0.15, group="hot") for _ in range(30)]
    write(tmp_path / "test.xyz", frames, format="extxyz")
    mesobridge("validate", path, "--data", "test.xyz", "--quiet")
    found = json.loads((tmp_path / "validation/validation.json").read_text())
    part = found["parts"]["uncertainty"]
    assert [c["name"].rpartition(" ")[2] for c in part["checks"]] == ["gas", "hot"]
    rows = part["figures"]["rows"]
    whole = coverage(potential, read_labelled(tmp_path / "test.xyz"))
    assert rows[0]["found"] == pytest.approx(whole.found.tolist(), abs=2e-3)
    page = (tmp_path / "validation/report.html").read_text()
    for words in (
        "Uncertainty of forces",
        "AUROC",
        "hot",
        "a group that was not trained",
    ):
        assert words in page


def test_other_heads_or_none(tmp_path, mesobridge):
    text = HALF + "steps = 5\n[uncertainty]\n"
    assert made(tmp_path, mesobridge, text + "heads = 6\n")[0] == 0
    path = tmp_path / RUN / "potential.safetensors"
    assert load_potential(path).uncertainty.heads.shape == (6, 8)
    assert made(tmp_path, mesobridge, text + "calibrate = false\n")[0] == 0
    assert load_potential(path).uncertainty is None
    page = (tmp_path / RUN / "report.html").read_text()
    assert "calibrate = false" in page
    mesobridge("validate", path, "--data", "frames.xyz", "--quiet")
    found = json.loads((tmp_path / "validation/validation.json").read_text())
    assert set(found["parts"]) == {"errors", "derivatives"}


def test_too_few_frames_are_told_and_where_asked_for_refused(tmp_path, mesobridge):
    text = SMALL + "steps = 5\n"
    assert made(tmp_path, mesobridge, text, 30)[0] == 0
    path = tmp_path / RUN / "potential.safetensors"
    assert load_potential(path).uncertainty is None
    page = (tmp_path / RUN / "report.html").read_text()
    assert "There is none: frames to calibrate on: 8 or more wanted, 6 there." in page
    asked = text + "[uncertainty]\ncalibrate = true\n"
    code, _, err = made(tmp_path, mesobridge, asked, 30, "--out", "other")
    assert code == 2
    assert "uncertainty.calibrate: too few frames are held out" in err
    assert not (tmp_path / "other").exists()  # before the training
    assert made(tmp_path, mesobridge, asked, 50, "--out", "other")[0] == 0
    u = load_potential(tmp_path / "other/potential/potential.safetensors").uncertainty
    one, first = torch.ones(1), torch.zeros(1, dtype=torch.long)
    assert u.half_width(one, first, 0.9) < 100
    assert u.half_width(one, first, 0.99) >= BEYOND  # too few to promise that much


def test_a_potential_over_a_baseline_knows_its_errors(tmp_path, mesobridge):
    text = HALF + 'steps = 60\n[baseline]\nkind = "zbl"\n'
    assert made(tmp_path, mesobridge, text)[0] == 0
    assert tomllib.loads(text)["baseline"]["kind"] == "zbl"
    potential = load_potential(tmp_path / RUN / "potential.safetensors")
    assert isinstance(potential.baseline.calculator, ZBL)
    rng = np.random.default_rng(9)
    write(tmp_path / "test.xyz", [springs(rng) for _ in range(60)], format="extxyz")
    found = coverage(potential, read_labelled(tmp_path / "test.xyz"))
    assert found.found[4] == pytest.approx(0.95, abs=0.06)
    a = read(tmp_path / "test.xyz", 0)
    said = potential.evaluate(a.positions, a.symbols)
    wanted = np.linalg.norm(said.forces - a.get_forces(), axis=1)
    np.testing.assert_allclose(found.error[:3], wanted, rtol=1e-4)


def test_a_potential_with_charges_knows_its_errors(tmp_path, mesobridge):
    rng = np.random.default_rng(6)
    write(tmp_path / "frames.xyz", [ions(rng) for _ in range(200)], format="extxyz")
    write(tmp_path / "test.xyz", [ions(rng) for _ in range(80)], format="extxyz")
    text = HALF.replace("[training]", "charges = {Na = 0.8, Cl = -0.8}\n[training]")
    (tmp_path / "train.toml").write_text(text + "steps = 100\n")
    code, _, err = mesobridge("train", "train.toml", "--quiet")
    assert code == 0, err
    potential = load_potential(tmp_path / RUN / "potential.safetensors")
    found = coverage(potential, read_labelled(tmp_path / "test.xyz"))
    assert found.found[4] == pytest.approx(0.95, abs=0.06)
    (row,) = json.loads((tmp_path / RUN / "curve.json").read_text())["uncertainty"][
        "coverage"
    ]
    assert row["found"][4] == pytest.approx(0.95, abs=0.06)
