"""`mesobridge train`: files, resuming after a kill, refusals."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from ase.io import read, write
from molecules import SMALL, ions, pair, springs

from mesobridge.atomistic.potential import load_potential
from mesobridge.atomistic.potential.predictions import row_of
from mesobridge.atomistic.potential.train import STATE
from mesobridge.bridges.training import load_training
from mesobridge.core.errors import InputError

EXAMPLE = Path(__file__).resolve().parent.parent / "examples/potential/train.toml"


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(4)
    frames = [springs(rng) for _ in range(30)] + [pair(rng) for _ in range(10)]
    write(tmp_path / "frames.xyz", frames, format="extxyz")
    return tmp_path


def config(folder, text=SMALL, **training):
    lines = "\n".join(f"{k} = {json.dumps(v)}" for k, v in training.items())
    (folder / "train.toml").write_text(text + lines + "\n")
    return folder / "train.toml"


def test_a_training_leaves_a_potential_and_a_report(data, mesobridge):
    code, out, _ = mesobridge("train", config(data, steps=60))
    assert code == 0
    folder = data / "runs/potential"
    assert str(folder.relative_to(data) / "report.html") in out
    potential = load_potential(folder / "potential.safetensors")
    assert potential.species == ("H", "O")
    assert potential.header["validity"]["groups"] == ["gas", "radical"]
    curve = json.loads((folder / "curve.json").read_text())
    assert [point["step"] for point in curve["curve"]] == [12, 24, 36, 48, 60]
    errors = row_of(curve["validation"], "forces")
    assert errors["frames"] == 8
    frames = read(data / "frames.xyz", ":")  # the last of each group were held out
    frames = frames[24:30] + frames[38:]
    difference = np.concatenate(
        [
            potential.evaluate(
                a.positions, a.get_chemical_symbols(), np.eye(3) * 20, (False,) * 3
            ).forces
            - a.get_forces()
            for a in frames
        ]
    )
    rmse = 1e3 * np.sqrt((difference**2).mean())
    assert errors["rmse"]["value"] == pytest.approx(rmse, rel=1e-4)
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == 3
    for words in ("radical", "H2 O1", "with a slope of", "Forces on O"):
        assert words in page


def test_the_report_of_stress_odd_forces_and_many_groups(tmp_path, mesobridge):
    rng, frames = np.random.default_rng(5), []
    for k in range(40):
        atoms = springs(rng, pbc=True, cell=np.eye(3) * 9, group=f"kind {k % 8}")
        atoms.calc.results["stress"] = rng.normal(0, 0.01, 6)
        frames.append(atoms)
    frames[3].calc.results["forces"][0] = [400.0, 0, 0]
    write(tmp_path / "frames.xyz", frames, format="extxyz")
    code, _, err = mesobridge("train", config(tmp_path, steps=10))
    assert code == 0, err
    page = (tmp_path / "runs/potential/report.html").read_text()
    for words in (
        "stress RMSE", "1 frame(s) have forces above", "up to 400 eV/Å (H2 O1)",
        "forces, 8 groups, the worst first", "16 kinds of frames",
    ):  # fmt: skip
        assert words in page


def test_the_example_trains(data, mesobridge):
    text = EXAMPLE.read_text()
    assert load_training(EXAMPLE).training.cpu_minutes == 10.0
    assert len([line for line in text.splitlines() if line]) <= 5
    (data / "train.toml").write_text(text.replace("10.0", "0.01"))
    code, _, _ = mesobridge("train", "train.toml", "--quiet")
    assert code == 0
    curve = json.loads((data / "runs/potential/curve.json").read_text())["curve"]
    assert curve[-1]["cpu_s"] >= 0.6


def test_the_example_of_every_key_holds_the_defaults():
    text = EXAMPLE.with_name("every_key.toml").read_text()
    written = tomllib.loads(text)
    plain = load_training(EXAMPLE).model_dump()
    assert load_training(EXAMPLE.with_name("every_key.toml")).model_dump() == plain
    optional = {"steps", "batch", "last_energy_weight", "charges"}
    for section in ("run", "data", "model", "training", "uncertainty"):
        assert set(plain[section]) - optional == set(written[section])
    for key in (*optional, "[baseline]"):
        assert f"{key} = " in text or f"# {key}" in text


@pytest.mark.parametrize(
    ("cutoff", "said"),
    [
        ("5 A", "write angstrom"),
        ("0.1 nm", None),
        ("5 nm", "1 to 15 angstrom"),
        (5.0, "its unit"),
    ],
)
def test_cutoffs(tmp_path, cutoff, said):
    text = SMALL.replace('"4 angstrom"', json.dumps(cutoff))
    path = config(tmp_path, text, steps=2)
    if said is None:
        assert load_training(path).model.cutoff == pytest.approx(1e-10)
    else:
        with pytest.raises(InputError, match=said):
            load_training(path)


def test_killed_and_taken_up_it_ends_bit_equal(data, mesobridge):
    path = config(data, steps=400)
    folder = data / "runs/potential"
    command = [sys.executable, "-m", "mesobridge.cli", "train", str(path)]
    process = subprocess.Popen(command, cwd=data, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (folder / STATE).is_file():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "potential.safetensors").exists()
    assert mesobridge("train", path)[0] == 0
    assert mesobridge("train", path, "--out", "undisturbed")[0] == 0
    one, two = (
        (data / out / "potential/potential.safetensors").read_bytes()
        for out in ("runs", "undisturbed")
    )
    assert one == two


def test_another_training_is_not_written_over(data, mesobridge):
    assert mesobridge("train", config(data, steps=5))[0] == 0
    first = (data / "runs/potential/potential.safetensors").read_bytes()
    code, _, err = mesobridge("train", config(data, steps=6))
    assert code == 2
    assert "other settings or data" in err
    assert "got:    steps 6 (was 5)" in err
    frames = read(data / "frames.xyz", ":")
    write(data / "frames.xyz", frames[1:], format="extxyz")
    code, _, err = mesobridge("train", config(data, steps=5))
    assert code == 2
    assert "other frames" in err
    assert (data / "runs/potential/potential.safetensors").read_bytes() == first
    assert mesobridge("train", config(data, steps=6), "--fresh")[0] == 0
    curve = json.loads((data / "runs/potential/curve.json").read_text())["curve"]
    assert curve[-1]["step"] == 6


SALT = SMALL.replace("[training]", "charges = {CHARGES}\n[training]")


def salt(folder, **options):
    """Ions of charge 0.8 (a part of them as Na2+ Cl with its share) in frames.xyz."""
    rng = np.random.default_rng(6)
    frames = [ions(rng, **options) for _ in range(40)]
    write(folder / "frames.xyz", frames, format="extxyz")
    return frames


def test_predicted_charges_are_trained_and_reported(tmp_path, mesobridge):
    salt(tmp_path)
    text = SALT.replace("CHARGES", "Na = 0.5, Cl = -0.5")
    given = config(
        tmp_path, text, steps=300, learning_rate=0.02, charge_weight=20.0,
        dipole_weight=1.0,
    )  # fmt: skip
    code, _, err = mesobridge("train", given)
    assert code == 0, err
    folder = tmp_path / "runs/potential"
    potential = load_potential(folder / "potential.safetensors")
    assert potential.model.charges is not None
    table = json.loads((folder / "curve.json").read_text())["validation"]
    held_out = read(tmp_path / "frames.xyz", ":")[32:]
    found = [
        potential.evaluate(a.positions, a.symbols, np.zeros((3, 3)), (False,) * 3)
        for a in held_out
    ]
    error = np.array([e.charges for e in found]) - [0.8, -0.8]
    row = row_of(table, "charge")
    assert row["rmse"]["value"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-3)
    assert row["rms"] == pytest.approx(0.8)
    assert row["rmse"]["value"] < 0.05
    moments = [
        e.charges @ a.positions - a.get_dipole_moment()
        for e, a in zip(found, held_out, strict=True)
    ]
    value = row_of(table, "dipole")["rmse"]["value"]
    assert value == pytest.approx(np.sqrt(np.mean(np.square(moments))), rel=1e-3)
    page = (folder / "report.html").read_text()
    mean = np.mean([e.charges[0] for e in found])
    for words in ("with the Coulomb energy", "+0.500", f"{mean:+.3f}", "Dipoles"):
        assert words in page


def test_total_charges_reach_the_training(tmp_path, mesobridge):
    """Na of +1 beside a neutral Cl: with a total of zero it could not be so."""
    salt(tmp_path, charge=1.0, total=1.0)
    text = SALT.replace("CHARGES", "Na = 0.8, Cl = 0.2")
    assert mesobridge("train", config(tmp_path, text, steps=20))[0] == 0
    potential = load_potential(tmp_path / "runs/potential/potential.safetensors")
    x = np.array([[0.0, 0, 0], [0, 0, 3]])
    found = potential.evaluate(x, ["Na", "Cl"], np.zeros((3, 3)), (False,) * 3, 1.0)
    assert found.charges.sum() == pytest.approx(1.0)
    text = SALT.replace("CHARGES", "Na = 1.0, Cl = -1.0")
    salt(tmp_path, charge=1.0, total=3.0)
    code, _, err = mesobridge("train", config(tmp_path, text, steps=20), "--fresh")
    assert code == 2
    assert "cannot carry the total charge" in err


WRONG = {
    "a species without": ("Na = 1.0", {}, "nothing for Cl"),
    "another species": ("Na = 1.0, Cl = -1.0, K = 1.0", {}, "a charge for K"),
    "no number": ('Na = 1.0, Cl = "minus one"', {}, "model.charges.Cl"),
    "NaN": ("Na = 1.0, Cl = nan", {}, "model.charges.Cl"),
    "zeros": ("Na = 0.0, Cl = 0.0", {}, "not all zero"),
    "no labels": ("Na = 1.0, Cl = -1.0", {"born_weight": 1.0}, "data.born_charge"),
    "no charges": (None, {"charge_weight": 1.0}, "training.charge_weight without"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_charges_are_refused(tmp_path, mesobridge, what):
    charges, training, words = WRONG[what]
    salt(tmp_path)
    text = SALT.replace("CHARGES", charges) if charges else SMALL
    code, out, err = mesobridge("train", config(tmp_path, text, steps=5, **training))
    assert (code, out) == (2, "")
    assert words in err


BAD = {
    "no data": (SMALL.replace("frames.xyz", "none.xyz"), {"steps": 5}, "no file"),
    "a typing error": (SMALL + "step = 3\n", {}, "did you mean steps"),
    "no length": (SMALL, {}, "steps or cpu_minutes"),
    "two lengths": (SMALL, {"steps": 5, "cpu_minutes": 1.0}, "steps or cpu_minutes"),
    "a number": (SMALL.replace('"4 angstrom"', "4"), {"steps": 5}, "with its unit"),
    "a batch too large": (SMALL.replace("= 4\npoi", "= 99\npoi"), {"steps": 5}, "batch"),
    "a group": (SMALL, {"steps": 5, "group_weights.hot": 2.0}, "no frame has"),
    "no stress": (
        SMALL.replace("hold_out", "stress = \"S\"\nneed_stress = true\nhold_out"),
        {"steps": 5}, "without stress",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(data, mesobridge, what):
    text, training, words = BAD[what]
    if what == "no stress":
        rng = np.random.default_rng(0)
        frames = [springs(rng, pbc=True, cell=np.eye(3) * 8) for _ in range(10)]
        write(data / "frames.xyz", frames, format="extxyz")
    code, out, err = mesobridge("train", config(data, text, **training))
    assert (code, out) == (2, "")
    assert words in err


def test_an_element_that_was_not_trained_is_named(data, mesobridge):
    frames = [springs(np.random.default_rng(0)) for _ in range(4)]
    for atoms in frames:
        atoms.symbols[1] = "F"
    write(data / "other.xyz", frames, format="extxyz")
    text = SMALL.replace("hold_out", 'validation = ["other.xyz"]\nhold_out')
    code, _, err = mesobridge("train", config(data, text, steps=5))
    assert code == 2
    assert "does not know this species" in err
    assert "F" in err


def test_units_that_do_not_belong_together_are_named(data, mesobridge):
    frames = read(data / "frames.xyz", ":")
    for atoms in frames:
        atoms.calc.results["energy"] /= 27.211386
    write(data / "frames.xyz", frames, format="extxyz")
    code, _, err = mesobridge("train", config(data, steps=5))
    assert code == 2
    assert "energies in hartree beside forces in eV/A" in err
    assert not (data / "runs").exists()
    text = SMALL.replace("hold_out", "check_units = false\nhold_out")
    assert mesobridge("train", config(data, text, steps=5))[0] == 0
