"""`mesobridge train` and `validate` with a baseline, from the command line."""

import json
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.io import read, write
from molecules import SMALL, pair, spring_energy, springs

from mesobridge.atomistic.calculators import ZBL
from mesobridge.atomistic.potential import MesobridgeCalculator, load_potential
from mesobridge.atomistic.potential.predictions import row_of
from mesobridge.bridges import baselines
from mesobridge.bridges.training import load_training

EXAMPLE = Path(__file__).resolve().parent.parent / "examples/delta_learning/train.toml"
CONFIG = SMALL + "steps = 10\n"
RUN = Path("runs/potential")


class Springs(Calculator):
    """Nine tenths of the springs between the atoms of a molecule."""

    implemented_properties = ["energy", "forces"]
    calls, dies_at, strength = 0, None, 0.9

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if type(self).calls == self.dies_at:
            raise KeyboardInterrupt
        type(self).calls += 1
        if len(self.atoms) != 3:
            raise RuntimeError("a molecule that is none")
        energy, forces = spring_energy(self.atoms.positions)
        self.results = {
            "energy": self.strength * energy, "forces": self.strength * forces
        }  # fmt: skip


def rms(values):
    return 1e3 * np.sqrt(np.mean(np.square(values)))


def deviation(frames, calculator):
    """Of forces from labels, meV/A."""
    return rms([calculator.get_forces(a) - a.get_forces() for a in frames])


def validated(folder):
    return json.loads((folder / "validation/validation.json").read_text())["parts"]


def force_row(folder):
    """Errors of all forces, as `validate` found them."""
    rows = validated(folder)["errors"]["figures"]["rows"]
    (row,) = (r for r in rows if r["quantity"] == "forces" and r["element"] is None)
    return row


@pytest.fixture
def toy(monkeypatch):
    """The springs as a module of the user's."""

    class Counted(Springs):
        pass

    module = types.ModuleType("toy_springs")
    module.make = Counted
    monkeypatch.setitem(sys.modules, "toy_springs", module)
    return Counted


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(4)
    frames = [springs(rng) for _ in range(30)]
    write(tmp_path / "frames.xyz", frames, format="extxyz")
    return tmp_path


def config(folder, text=""):
    (folder / "train.toml").write_text(CONFIG + text)
    return folder / "train.toml"


def test_a_named_baseline_from_config_to_use(data, mesobridge):
    """Cores below: three commands' worth of files that need no word about them."""
    code, out, err = mesobridge("train", config(data, '[baseline]\nkind = "zbl"\n'))
    assert code == 0, err
    path = data / RUN / "potential.safetensors"
    assert load_potential(path).header["baseline"]["spec"] == {"kind": "zbl"}
    curve = json.loads((data / RUN / "curve.json").read_text())
    held_out = read(data / "frames.xyz", "24:")
    assert rms([ZBL().get_forces(a) for a in held_out]) > 10
    alone, both = curve["baseline"]["errors"], curve["validation"]
    for errors, calculator in ((alone, ZBL()), (both, MesobridgeCalculator(path))):
        wanted = pytest.approx(deviation(held_out, calculator), rel=1e-4)
        assert row_of(errors, "forces")["rmse"]["value"] == wanted
    left = [a.get_potential_energy() - ZBL().get_potential_energy(a)
            for a in read(data / "frames.xyz", ":")]  # fmt: skip
    # One composition: the elements' energies take the mean of the training frames away.
    wanted = rms(np.array(left[24:]) - np.mean(left[:24])) / 3
    assert row_of(alone, "energy")["rmse"]["value"] == pytest.approx(wanted, rel=1e-6)
    page = (data / RUN / "report.html").read_text()
    for words in (
        "The baseline ZBL was subtracted",
        "by ZBL and fitted energies of the elements",
    ):
        assert words in page
    mesobridge("validate", path, "--data", data / "frames.xyz", "--quiet")
    every = read(data / "frames.xyz", ":")
    assert force_row(data)["rmse"]["value"] == pytest.approx(
        deviation(every, MesobridgeCalculator(path)), rel=1e-4
    )
    checks = validated(data)["derivatives"]["checks"]
    assert checks
    assert all(c["ok"] for c in checks), checks


def test_a_baseline_of_ones_own(data, mesobridge, toy):
    """What is left of the springs is a tenth of them; only its owner can use the file."""
    given = ("--baseline", "toy_springs:make")
    code, out, err = mesobridge("train", config(data), *given)
    assert code == 0, err
    curve = json.loads((data / RUN / "curve.json").read_text())
    whole = [a.get_forces() for a in read(data / "frames.xyz", "24:")]
    alone = row_of(curve["baseline"]["errors"], "forces")["rmse"]["value"]
    assert alone == pytest.approx(0.1 * rms(whole), rel=1e-5)
    path = data / RUN / "potential.safetensors"
    asked = ("validate", path, "--data", data / "frames.xyz", "--quiet")
    code, _, err = mesobridge(*asked)
    assert code == 2
    assert "toy_springs:make" in err
    assert "--baseline" in err
    mesobridge(*asked, *given)
    force = force_row(data)
    every = read(data / "frames.xyz", ":")
    assert force["rms"] == pytest.approx(rms([a.get_forces() for a in every]), rel=1e-6)
    assert force["rmse"]["value"] == pytest.approx(
        deviation(every, MesobridgeCalculator(path, baseline=toy)), rel=1e-4
    )
    toy.strength = 0.8
    code, _, err = mesobridge(*asked, *given)
    assert code == 2
    assert "another baseline" in err


def test_killed_while_labelling_it_labels_the_rest(data, mesobridge, toy, monkeypatch):
    monkeypatch.setattr(baselines, "STORE_EVERY", 0.0)
    asked = ("train", config(data), "--baseline", "toy_springs:make")
    toy.dies_at = 2 + 20  # the first frame of two sets is tried
    assert mesobridge(*asked)[0] == 130
    assert not (data / RUN / "potential.safetensors").exists()
    toy.dies_at, toy.calls = None, 0
    assert mesobridge(*asked)[0] == 0
    assert toy.calls == 2 + 30 - 18  # the two and whole eights are kept
    toy.calls = 0
    assert mesobridge(*asked)[0] == 0
    assert toy.calls == 2
    undisturbed = mesobridge(*asked, "--out", "undisturbed")
    assert undisturbed[0] == 0
    one, two = (
        (data / out / "potential/potential.safetensors").read_bytes()
        for out in ("runs", "undisturbed")
    )
    assert one == two


def test_labels_of_another_baseline_are_not_used(data, mesobridge, toy):
    """The same name, other code; and a training with none."""
    asked = ("train", config(data), "--baseline", "toy_springs:make")
    assert mesobridge(*asked)[0] == 0
    toy.strength = 0.5
    code, _, err = mesobridge(*asked)
    assert code == 2
    assert "labels in the run folder were made with" in err
    code, _, err = mesobridge("train", config(data))
    assert (code, "other settings or data" in err) == (2, True)
    text = CONFIG.replace("hold_out = 0.2", "hold_out = 0.3")
    (data / "train.toml").write_text(text)
    toy.calls = 0
    code, _, err = mesobridge(*asked)
    assert (code, "other settings or data" in err) == (2, True)
    assert toy.calls == 0  # before it labels
    config(data)
    assert mesobridge(*asked, "--fresh")[0] == 0
    curve = json.loads((data / RUN / "curve.json").read_text())
    whole = [a.get_forces() for a in read(data / "frames.xyz", "24:")]
    alone = row_of(curve["baseline"]["errors"], "forces")["rmse"]["value"]
    assert alone == pytest.approx(0.5 * rms(whole), rel=1e-5)


BAD = {
    "a typing error": ('kind = "xtb"\nmetod = "GFN2-xTB"', "did you mean method"),
    "no kind": ('method = "GFN2-xTB"', "baseline.kind"),
    "another kind": ('kind = "dftb"', "'zbl'"),
    "a key of another": ('kind = "zbl"\npath = "a"', "takes nothing else"),
    "no path": ('kind = "openmm"', "needs a path"),
    "no file": ('kind = "potential"\npath = "none.safetensors"', "no file"),
    "code": ('kind = "toy_springs:make"', "'zbl'"),
    "no system": ('kind = "openmm"\npath = "frames.xyz"', "OpenMM system"),
    "another hash": (
        f'kind = "openmm"\npath = "frames.xyz"\nsha256 = "{64 * "0"}"', "not the file"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_sections_are_refused(data, mesobridge, what):
    text, words = BAD[what]
    code, out, err = mesobridge("train", config(data, f"[baseline]\n{text}\n"))
    assert (code, out) == (2, "")
    assert words in err
    assert not (data / "runs").exists()


def test_bad_baselines_are_refused(data, mesobridge, toy):
    named = '[baseline]\nkind = "zbl"\n'
    code, _, err = mesobridge(
        "train", config(data, named), "--baseline", "toy_springs:make"
    )
    assert (code, "two baselines" in err) == (2, True)
    code, _, err = mesobridge("train", config(data), "--baseline", "toy_springs:none")
    assert (code, "gives no ASE calculator" in err) == (2, True)
    code, _, err = mesobridge("validate", "a:b", "--data", "f", "--baseline", "c:d")
    assert (code, "could lack a baseline" in err) == (2, True)
    frames = [*read(data / "frames.xyz", ":"), pair(np.random.default_rng(0))]
    write(data / "frames.xyz", frames, format="extxyz")
    code, _, err = mesobridge("train", config(data), "--baseline", "toy_springs:make")
    assert code == 2
    assert "cannot label frames of HO" in err
    assert "a molecule that is none" in err


def test_a_module_in_the_working_folder_is_found(data, mesobridge, monkeypatch):
    """Of the installed command the folder is not on the path."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(data))])
    (data / "own_cores.py").write_text(
        "from mesobridge.atomistic.calculators import ZBL as make\n"
    )
    code, _, err = mesobridge("train", config(data), "--baseline", "own_cores:make")
    assert code == 0, err
    assert str(data) not in sys.path
    sys.modules.pop("own_cores")


def test_stress_that_the_baseline_lacks_is_told_before_labelling(data, mesobridge, toy):
    rng = np.random.default_rng(0)
    frames = [springs(rng, pbc=True, cell=np.eye(3) * 8) for _ in range(10)]
    for atoms in frames:
        atoms.calc.results["stress"] = np.zeros(6)
    write(data / "frames.xyz", frames, format="extxyz")
    code, _, err = mesobridge("train", config(data), "--baseline", "toy_springs:make")
    assert code == 2
    assert "baseline has no stress" in err
    assert toy.calls == 1


def test_the_example(data, mesobridge):
    assert load_training(EXAMPLE).baseline.name == "GFN2-xTB"
    frames = [springs(np.random.default_rng(i)) for i in range(20)]
    write(data / "frames.xyz", frames, format="extxyz")
    (data / "train.toml").write_text(EXAMPLE.read_text().replace("10.0", "0.01"))
    code, _, err = mesobridge("train", "train.toml", "--quiet")
    if find_spec("tblite") is None:
        assert code == 2
        assert "mesobridge[xtb]" in err
        return
    assert code == 0, err
    water = Atoms("OH2", read(data / "frames.xyz", 0).positions)
    water.calc = MesobridgeCalculator(data / RUN / "potential.safetensors")
    assert np.isfinite(water.get_potential_energy())


def test_ions_need_the_charge_of_the_method(data, mesobridge):
    """Frames of a charge, a method of none."""
    from mesobridge.atomistic.potential.reading import read_labelled
    from mesobridge.core.artefact import write_dataset

    if find_spec("tblite") is None:
        pytest.skip("tblite is not installed")
    (ds,) = read_labelled(data / "frames.xyz")
    write_dataset(ds.assign_attrs(charge_number=1), data / "frames.nc", "frames/1")
    text = CONFIG.replace("frames.xyz", "frames.nc") + '[baseline]\nkind = "xtb"\n'
    (data / "train.toml").write_text(text)
    code, _, err = mesobridge("train", "train.toml")
    assert code == 2
    assert "another charge than that of frames of H2O" in err
