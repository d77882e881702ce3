"""Oracles by name: strict, hashed by what matters, and the right calculator."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import cp2k_shell
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from potentials import untrained
from pydantic import ValidationError
from toy import TOY, Toy, cluster

from mesobridge.atomistic.cp2k import CP2K
from mesobridge.atomistic.labels import Labeller, LabelStore, label_key
from mesobridge.atomistic.named_oracle import CodeOracle, NamedOracle, canonical
from mesobridge.atomistic.potential import load_potential
from mesobridge.core.artefact import sha256
from mesobridge.core.errors import InputError, StageError

DOCS = (Path(__file__).resolve().parents[2] / "docs/trust.md").read_text()
INPUT = "&FORCE_EVAL" + DOCS.split("```\n&FORCE_EVAL")[1].split("```")[0]


def test_settings_are_all_that_labels_depend_on():
    pyscf = NamedOracle(kind="pyscf", xc="b3lyp")
    assert pyscf.settings() == {
        "kind": "pyscf", "xc": "b3lyp", "basis": "def2-svp", "charge": 0,
        "multiplicity": None, "density_fit": True, "conv_tol": 1e-9, "max_cycle": 50,
        "grid_level": 3,
    }  # fmt: skip
    assert pyscf.name == "b3lyp/def2-svp"
    changes = {"basis": "sto-3g", "charge": 1, "grid_level": 4, "conv_tol": 1e-8}
    named = [NamedOracle(kind="pyscf", **{k: v}) for k, v in changes.items()]
    named += [pyscf, *(NamedOracle(kind="xtb", method=f"GFN{n}-xTB") for n in (1, 2))]
    assert len({canonical(oracle.settings()) for oracle in named}) == len(named)
    assert TOY.settings() == {"kind": "code", "name": "toy", "version": "1"}


def test_a_file_counts_by_what_is_in_it(tmp_path):
    path = untrained(tmp_path / "p.safetensors")
    copy = shutil.copy(path, tmp_path / "q.safetensors")
    here, there = (NamedOracle(kind="potential", path=str(p)) for p in (path, copy))
    assert here.settings() == there.settings() == {
        "kind": "potential", "sha256": sha256(path)
    }  # fmt: skip
    untrained(path, scale=2.0)
    assert here.settings() != there.settings()
    known = NamedOracle(kind="potential", path=str(path), sha256=sha256(copy))
    with pytest.raises(InputError, match="not the file that the oracle names"):
        known.settings()


def test_a_potential_is_an_oracle(tmp_path):
    path = untrained(tmp_path / "p.safetensors")
    atoms = cluster(0, "OHH")
    oracle = NamedOracle(kind="potential", path=str(path))
    (label,) = Labeller(oracle, LabelStore(tmp_path / "store")).label([atoms])
    box = np.eye(3) * 30
    found = load_potential(path).evaluate(atoms.positions, ["O", "H", "H"], box, "FFF")
    assert label.energy == pytest.approx(found.energy, abs=1e-5)
    assert set(label.versions) >= {"torch", "ase"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "pyscf", "path": "a"}, "takes xc, basis.*not path"),
        ({"kind": "xtb", "xc": "pbe"}, "takes method, charge, multiplicity, not xc"),
        ({"kind": "cp2k"}, "needs a path"),
        ({"kind": "pyscf", "conv_tol": 0}, "conv_tol"),
        ({"kind": "pyscf", "grid_level": 10}, "grid_level"),
        ({"kind": "zbl"}, "'cp2k'"),
        ({"kind": "pyscf", "functional": "pbe"}, "functional"),
    ],
)
def test_names_are_strict(given, words):
    with pytest.raises(ValidationError, match=words):
        NamedOracle(**given)


def test_any_calculator_of_code(tmp_path):
    copper = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4]])
    by_text = CodeOracle("ase.calculators.emt:EMT", "EMT", "ase 3.29")
    by_class = CodeOracle(EMT, "EMT", "ase 3.29")
    store = LabelStore(tmp_path)
    (one,), (two,) = (Labeller(o, store).label([copper]) for o in (by_text, by_class))
    assert one.key == two.key
    assert one.energy == pytest.approx(EMT().get_potential_energy(copper))
    other = CodeOracle(EMT, "EMT", "another").settings()
    assert label_key(other, copper, 0.0) != one.key
    assert isinstance(TOY(), Toy)


def test_a_package_that_is_missing_is_told(monkeypatch):
    for package, kind, extra in (("pyscf", "pyscf", "dft"), ("tblite.ase", "xtb", "xtb")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(InputError, match=rf"(?s)cannot be imported.*\[{extra}\]"):
            NamedOracle(kind=kind)()


@pytest.mark.skipif(find_spec("tblite") is None, reason="needs tblite (extra xtb)")
def test_xtb_is_an_oracle(tmp_path):
    water = molecule("H2O")
    store = LabelStore(tmp_path)
    labels = [
        Labeller(NamedOracle(kind="xtb", method=method), store).label([water])[0]
        for method in ("GFN1-xTB", "GFN2-xTB")
    ]
    assert labels[0].energy != pytest.approx(labels[1].energy, abs=1.0)
    assert "tblite" in labels[0].versions


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A program in the place of CP2K; what it was told."""
    log = tmp_path / "told"
    command = f"env A=1 {sys.executable} {cp2k_shell.__file__} {log}"
    monkeypatch.setenv("ASE_CP2K_COMMAND", command)
    return log.read_text


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "method.inp"
    path.write_text(INPUT)
    return path


def salt(x=1.0):
    return Atoms("NaCl", [[x, 0, 0], [3.1, 0.2, 0]], cell=[6, 6, 6], pbc=True)


def test_cp2k_gets_the_method_of_the_template_and_the_atoms(shell, template, tmp_path):
    oracle = NamedOracle(kind="cp2k", path=str(template), charge=1, multiplicity=2)
    assert oracle.settings() == {
        "kind": "cp2k", "sha256": sha256(template), "charge": 1, "multiplicity": 2
    }  # fmt: skip
    frames = [salt(), salt(1.1)]
    for atoms in frames:
        atoms.info["charge"] = 1
    labels = Labeller(oracle, LabelStore(tmp_path / "store")).label(frames)
    for label, atoms in zip(labels, frames, strict=True):
        assert label.energy == pytest.approx(
            0.5 * cp2k_shell.SPRING * (atoms.positions**2).sum()
        )
        np.testing.assert_allclose(label.forces, -cp2k_shell.SPRING * atoms.positions)
        assert label.stress.shape == (6,)
        assert label.versions["cp2k_shell"] == "7.0"
    told = [line.strip() for line in shell().splitlines()]
    text = "\n".join(told[told.index("!!! Generated by ASE !!!") :])
    for line in INPUT.strip().split("\n"):
        assert line.strip() in told
    assert text.count("&KIND Na") == 1 == text.count("MINIMIZER DIIS")
    for wanted in (
        "CHARGE 1",
        "MULTIPLICITY 2",
        "PERIODIC XYZ",
        "A 6.0",
        "STRESS_TENSOR A",
    ):
        assert wanted in text, wanted
    for chosen in ("[eV]", "LS_SCF", "PSOLVER", "PADE", "GTH-PBE\n"):
        assert chosen not in text, chosen


def test_cp2k_that_did_not_converge_gives_no_label(shell, template):
    """Versions before 2024 go on with a warning."""
    calculator = CP2K(template)
    folder = Path(calculator._folder)
    calculator.get_forces(salt())
    with pytest.raises(StageError, match="(?s)SCF of ClNa does not converge"):
        calculator.get_potential_energy(salt(4.5))
    calculator.get_forces(salt(1.2))  # an old warning is not taken for a new one
    charged = salt()
    charged.info["charge"] = -1
    with pytest.raises(InputError, match="another total charge"):
        calculator.get_potential_energy(charged)
    with pytest.raises(InputError, match="without a cell"):
        calculator.get_potential_energy(Atoms("Na"))
    calculator.close()
    assert not folder.exists()


def test_without_cp2k_it_is_told(monkeypatch, template, tmp_path):
    monkeypatch.setenv("ASE_CP2K_COMMAND", "env OMP_NUM_THREADS=2 no-such-cp2k.psmp -s")
    oracle = NamedOracle(kind="cp2k", path=str(template))
    with pytest.raises(InputError, match="(?s)no-such-cp2k.psmp.*apt-get install cp2k"):
        Labeller(oracle, LabelStore(tmp_path / "store")).label([salt()])
    with pytest.raises(InputError, match="no file"):
        CP2K(tmp_path / "none.inp")
