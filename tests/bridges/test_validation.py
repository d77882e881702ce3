"""`mesobridge validate` as a whole, on argon and on an untrained potential."""

import json
import sys
import types
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from mesobridge.atomistic.potential import (
    MesobridgeCalculator,
    TrainingResult,
    TrainingSettings,
    load_potential,
    save_potential,
)
from mesobridge.atomistic.potential.predictions import row_of
from mesobridge.atomistic.potential.reading import read_labelled
from mesobridge.atomistic.potential.train import new_model
from mesobridge.atomistic.validation.dynamics import thermal
from mesobridge.atomistic.validation.labels import read_frames
from mesobridge.atomistic.validation.subject import find_subject, of_calculator
from mesobridge.bridges.validation import Request, validate
from mesobridge.core.artefact import write_dataset
from mesobridge.core.errors import InputError
from mesobridge.core.md import MDSettings


class Argon(LennardJones):
    def __init__(self, factor=1.0):
        super().__init__(sigma=3.4, epsilon=0.0104, rc=7.5, ro=6.0, smooth=True)
        self.factor = factor

    def calculate(self, *args, **options):
        super().calculate(*args, **options)
        if "stress" in self.results:
            self.results["stress"] = self.factor * self.results["stress"]


@pytest.fixture
def frames(tmp_path):
    cell = bulk("Ar", "fcc", a=5.3, cubic=True)
    frames = []
    for seed, group in enumerate(("cold", "cold", "hot", "hot")):
        atoms = cell.copy()
        atoms.rattle(0.05 if group == "cold" else 0.2, seed=seed)
        atoms.calc = Argon()
        atoms.get_stress()
        atoms.info["config_type"] = group
        frames.append(atoms)
    path = tmp_path / "frames.extxyz"
    write(path, frames)
    return path


def request(out, **given):
    fields = {
        "potential": "argon", "data": None, "crystal": None, "temperature": None,
        "time": "1 ps", "timestep": "5 fs", "reference": None, "out": out, "quiet": True,
    }  # fmt: skip
    return Request(**(fields | given))


def test_argon_is_validated_and_parts_are_kept(tmp_path, frames):
    out = tmp_path / "out"
    asked = request(out, data=frames, temperature="20 K", reference=frames)
    found = validate(asked, of_calculator(Argon(), "argon"))
    assert set(found["parts"]) == {
        "errors", "derivatives", "temperature", "energy", "structure"
    }  # fmt: skip
    rows = found["parts"]["errors"]["figures"]["rows"]
    assert {r["group"] for r in rows} == {"all", "cold", "hot"}
    assert max(r["rmse"]["value"] for r in rows) < 1e-3
    checks = {c["name"]: c for p in found["parts"].values() for c in p["checks"]}
    assert checks["NVE: drift of the energy"]["ok"]
    assert checks["NVT: mean kinetic energy"]["ok"] is None  # too short to judge
    assert found == json.loads((out / "validation.json").read_text())
    assert not (out / "scratch").exists()
    html = (out / "report.html").read_text()
    HTMLParser().feed(html)
    assert html.count("<figure>") == 4
    assert "<script" not in html
    times = {p: p.stat().st_mtime_ns for p in (out / "parts").iterdir()}
    again = validate(asked, of_calculator(Argon(), "argon"))
    assert again == found
    assert {p: p.stat().st_mtime_ns for p in (out / "parts").iterdir()} == times


def test_labels_of_other_names(tmp_path, frames):
    """The same errors, however labels are called; wrong names are refused."""
    renamed = read(frames, ":")
    for atoms in renamed:
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = None
        atoms.info |= {"REF_energy": energy, "kind": atoms.info.pop("config_type")}
        atoms.arrays["REF_forces"] = forces
    write(tmp_path / "renamed.extxyz", renamed)
    argon, rows = of_calculator(Argon(), "argon"), []
    names = ("energy=REF_energy", "forces=REF_forces", "group=kind")
    for name, labels in (("frames", ()), ("renamed", names)):
        asked = request(tmp_path / name, data=tmp_path / f"{name}.extxyz", labels=labels)
        found = validate(asked, argon)["parts"]["errors"]["figures"]["rows"]
        rows.append([r for r in found if r["quantity"] != "stress"])
    assert len(rows[0]) == 6
    for one, other in zip(*rows, strict=True):
        assert one["rms"] == pytest.approx(other["rms"], rel=1e-6)
        assert one["group"] == other["group"]
    for labels, said in (
        ((), "--label energy=REF_energy"),
        (("energy=E", *names[1:]), "a label E"),
        (("enrgy=E",), "NAME one of energy, forces"),
        (("energy",), "NAME=KEY"),
    ):
        asked = request(tmp_path / "out", data=tmp_path / "renamed.extxyz", labels=labels)
        with pytest.raises(InputError) as error:
            validate(asked, argon)
        assert said in str(error.value)


def test_parts_of_another_calculator_of_that_name_are_not_kept(tmp_path, frames):
    """As of a module that was edited."""
    found = []
    for epsilon in (0.0104, 0.0105):
        argon = Argon()
        argon.parameters["epsilon"] = epsilon
        done = validate(
            request(tmp_path / "out", data=frames), of_calculator(argon, "my")
        )
        rows = done["parts"]["errors"]["figures"]["rows"]
        found.append(row_of(rows, "forces")["rmse"]["value"])
    assert found[1] > found[0] + 1.0


def test_a_wrong_stress_fails(tmp_path, frames, mesobridge, monkeypatch):
    module = types.ModuleType("toy_argon")
    module.wrong = lambda: Argon(1.1)
    monkeypatch.setitem(sys.modules, "toy_argon", module)
    code, out, _ = mesobridge("validate", "toy_argon:wrong", "--data", frames, "--quiet")
    assert code == 1
    assert "FAILED" in out
    assert "stress" in out
    assert "FAILED" in (tmp_path / "validation/report.html").read_text()


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("temperature", "-3 K"),
        ("time", "0 ps"),
        ("timestep", "5"),
        ("temperature", "300"),
    ],
)
def test_dynamics_that_cannot_be_are_refused_first(tmp_path, frames, option, text):
    asked = request(
        tmp_path / "out", data=frames, **{"temperature": "20 K", option: text}
    )
    name = "--md" if option == "temperature" else f"--{option}"
    with pytest.raises(InputError, match=name):
        validate(asked, of_calculator(Argon(), "argon"))
    assert not (tmp_path / "out").exists()


def test_frames_of_npz_are_read(tmp_path, frames):
    atoms = read_frames(frames)
    np.savez(
        tmp_path / "frames.npz",
        Z=atoms[0].numbers,
        positions=[a.positions for a in atoms],
        cell=[a.cell.array for a in atoms],
        energy=[a.get_potential_energy() for a in atoms],
        forces=[a.get_forces() for a in atoms],
        stress=[a.get_stress() for a in atoms],
    )
    for one, two in zip(read_frames(tmp_path / "frames.npz"), atoms, strict=True):
        assert one.get_potential_energy() == pytest.approx(two.get_potential_energy())
        np.testing.assert_allclose(one.get_forces(), two.get_forces(), atol=1e-9)
        np.testing.assert_allclose(one.get_stress(), two.get_stress(), atol=1e-9)


def test_an_explosion_is_a_verdict(tmp_path):
    crystal = tmp_path / "cell.extxyz"
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = Argon()
    atoms.get_potential_energy()
    write(crystal, atoms)
    asked = request(tmp_path / "out", data=crystal, temperature="20 K", timestep="1 ps")
    found = validate(asked, of_calculator(Argon(), "argon"))
    assert {"temperature", "energy"} <= set(found["failed"])
    assert not found["ok"]


@pytest.fixture(scope="module")
def salt(tmp_path_factory):
    """Path of an untrained potential of Na and Cl with charges."""
    torch.manual_seed(0)
    settings = TrainingSettings(
        ("Na", "Cl"), 4e-10, channels=4, radial=4, hidden=8, charges=(1.0, -1.0)
    )
    model = new_model(settings)
    tensors = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    path = tmp_path_factory.mktemp("salt") / "potential.safetensors"
    save_potential(path, TrainingResult(settings, tensors, []), {})
    return path


@pytest.mark.parametrize("form", ["total_charge", "charge", "frames/1"])
def test_the_total_charge_of_frames_reaches_the_potential(tmp_path, salt, form):
    """Na2Cl of charge +1, labelled by the potential that is judged."""
    potential, rng, frames = load_potential(salt), np.random.default_rng(3), []
    for _ in range(4):
        x = np.array([[0, 0, 0], [2.6, 0, 0], [0, 2.6, 0]]) + rng.normal(0, 0.1, (3, 3))
        atoms = Atoms("ClNa2", x)
        found = potential.evaluate(x, atoms.symbols, np.eye(3), atoms.pbc, 1.0)
        atoms.calc = SinglePointCalculator(
            atoms, energy=found.energy, forces=found.forces, charges=found.charges
        )
        atoms.info["charge" if form == "charge" else "total_charge"] = 1
        frames.append(atoms)
    path = tmp_path / "frames.extxyz"
    write(path, frames)
    if form == "frames/1":
        path = tmp_path / "frames.nc"
        write_dataset(read_labelled(tmp_path / "frames.extxyz")[0], path, form)
    asked = request(tmp_path / "out", potential=str(salt), data=path)
    found = validate(asked)
    assert found["ok"]
    table = found["parts"]["errors"]["figures"]["rows"]
    errors = {name: row_of(table, name) for name in ("energy", "forces", "charge")}
    for name in ("forces", "charge"):
        assert errors[name]["rmse"]["value"] < 1e-3 < errors[name]["rms"]
    # Dynamics begin with the energy of the label.
    subject, (first, *_) = find_subject(str(salt)), read_frames(path)
    mover = subject.engine(thermal(first, 20.0, 1), MDSettings(20.0, 1e-15, 0.0, 1), 1)
    energy = frames[0].get_potential_energy()
    assert mover.observe()[0] == pytest.approx(energy, abs=1e-4)
    first.calc = subject.used
    assert first.get_potential_energy() == pytest.approx(energy, abs=1e-6)
    first.info.update(total_charge=0)  # ASE does not look there, and would keep the old
    assert abs(first.get_potential_energy() - energy) > 0.1
    first.calc = MesobridgeCalculator(potential, charge=1.0)
    assert first.get_potential_energy() == pytest.approx(energy, abs=1e-6)


def test_dipoles_are_compared(tmp_path, salt):
    """Of neutral molecules; those of an ion depend on the origin."""
    potential, rng, frames = load_potential(salt), np.random.default_rng(4), []
    for _ in range(3):
        x = np.array([[0, 0, 0], [2.6, 0, 0.4]]) + rng.normal(0, 0.1, (2, 3))
        found = potential.evaluate(x, ["Na", "Cl"])
        atoms = Atoms("NaCl", x)
        atoms.calc = SinglePointCalculator(
            atoms, energy=found.energy, forces=found.forces, dipole=found.charges @ x
        )
        frames.append(atoms)
    write(tmp_path / "frames.extxyz", frames)
    asked = request(tmp_path, potential=str(salt), data=tmp_path / "frames.extxyz")
    rows = validate(asked)["parts"]["errors"]["figures"]["rows"]
    dipole = row_of(rows, "dipole")
    assert dipole["rms"] > 1
    assert dipole["rmse"]["value"] < 1e-5
    assert "Dipoles" in (tmp_path / "report.html").read_text()
    atoms = frames[0].copy()
    atoms.calc = MesobridgeCalculator(potential, charge=1.0)
    with pytest.raises(PropertyNotImplementedError, match="neutral clusters"):
        atoms.get_dipole_moment()


def test_a_charged_crystal_is_refused(tmp_path, salt, mesobridge):
    crystal = bulk("NaCl", "rocksalt", 5.6)
    crystal.info["charge"] = 1
    write(tmp_path / "cell.extxyz", crystal)
    code, _, err = mesobridge("validate", salt, "--crystal", tmp_path / "cell.extxyz")
    assert code == 2
    assert "is charged" in err
    crystal.info["charge"] = "unknown"
    crystal.calc = MesobridgeCalculator(salt)
    with pytest.raises(InputError, match="total charge"):
        crystal.get_potential_energy()


def test_bad_input(tmp_path, mesobridge):
    for given, text in (
        (("nothing.safetensors", "--crystal", "Ar fcc 5.3"), "cannot be validated"),
        (("ase.calculators.emt:EMT",), "nothing to validate"),
        (("ase.calculators.emt:EMT", "--crystal", "Ar"), "crystal"),
        (("ase.calculators.emt:EMT", "--data", "none.xyz"), "none.xyz"),
    ):
        code, _, err = mesobridge("validate", *given)
        assert code == 2
        assert text in err


def test_a_potential_file_moves_in_openmm_as_its_calculator_says(tmp_path):
    torch.manual_seed(0)
    settings = TrainingSettings(("Ar",), 4e-10, channels=4, radial=4, hidden=8)
    model = new_model(settings)
    tensors = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    path = tmp_path / "potential.safetensors"
    save_potential(path, TrainingResult(settings, tensors, []), {})
    subject = find_subject(str(path))
    assert subject.exact.potential.model.dtype == torch.float64
    assert load_potential(path).model.dtype == torch.float32
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
    atoms.rattle(0.1, seed=1)
    mover = subject.engine(thermal(atoms, 20.0, 1), MDSettings(20.0, 1e-15, 0.0, 1), 1)
    energy, kinetic, x, _ = mover.observe()
    atoms.calc = subject.exact
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    assert kinetic > 0
    np.testing.assert_allclose(x, atoms.positions, atol=1e-5)
    stress = atoms.get_stress(voigt=False)
    np.testing.assert_allclose(stress, stress.T)
