"""Baselines that a file names are made again from it, the right ones only."""

import pickle
import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import openmm
import pytest
from ase import Atoms
from potentials import CUTOFF, frames, molecules, untrained
from pydantic import ValidationError

from mesobridge.atomistic.calculators import ZBL, OpenMMCalculator, read_system
from mesobridge.atomistic.oracle import label
from mesobridge.atomistic.potential import (
    CalculatorPotential,
    MesobridgeCalculator,
    NamedBaseline,
    TrainingSettings,
    load_potential,
    save_potential,
    to_openmm,
    train,
    without_baseline,
)
from mesobridge.core.artefact import (
    read_dataset,
    read_model,
    sha256,
    write_dataset,
    write_model,
)
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.units import ANGSTROM

SETTINGS = TrainingSettings(
    ("O", "H"), CUTOFF * ANGSTROM, channels=4, radial=4, hidden=8, steps=2, batch=2
)


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(0)
    x, symbols, box = molecules(8)
    many = [x + rng.normal(0, 0.06, x.shape) for _ in range(4)]
    none = np.zeros((4, *x.shape))
    return label(frames(many, symbols, box, "TTT", np.zeros(4), none), ZBL(), source="-")


def springs(n):
    """An OpenMM system of bonds between successive particles, and a force of its own."""
    system, bonds = openmm.System(), openmm.HarmonicBondForce()
    well = openmm.CustomExternalForce("k*step(1-x)*x^2; k=0.5")  # written as text
    for i in range(n):
        system.addParticle(1.0)
        well.addParticle(i)
        if i:
            bonds.addBond(i - 1, i, 0.1, 500.0)
    bonds.setUsesPeriodicBoundaryConditions(True)
    system.addForce(bonds)
    system.addForce(well)
    system.setDefaultPeriodicBoxVectors(*np.eye(3))
    return system


def written(path, system):
    path.write_text(openmm.XmlSerializer.serialize(system))
    return path


def trained(path, labels, named):
    """File of a potential trained on what a baseline leaves."""
    left = without_baseline(labels, named)
    save_potential(path, train([left], [left], SETTINGS), {})
    return path


def first(labels):
    return (
        labels["positions"].values[0] / ANGSTROM, list(labels["species"].values),
        labels["box"].values[0] / ANGSTROM,
    )  # fmt: skip


@pytest.fixture
def files(tmp_path, labels):
    """A named baseline of each kind that is at hand."""
    other = untrained(tmp_path / "other.safetensors", scale=0.1)
    system = written(tmp_path / "springs.xml", springs(labels.sizes["atom"]))
    named = {
        "zbl": NamedBaseline(kind="zbl"),
        "potential": NamedBaseline(kind="potential", path=str(other)),
        "openmm": NamedBaseline(kind="openmm", path=str(system)),
    }
    if find_spec("tblite") is not None:
        named["xtb"] = NamedBaseline(kind="xtb", method="GFN1-xTB")
    return named


def test_a_file_makes_its_baseline_by_itself(files, labels, tmp_path):
    """In Python, in ASE and in OpenMM: the network and the baseline."""
    x, symbols, box = first(labels)
    for kind, named in files.items():
        path = trained(tmp_path / f"runs/{kind}.safetensors", labels, named)
        net = load_potential(path, baseline="engine").evaluate(x, symbols, box)
        base = CalculatorPotential(named).evaluate(x, symbols, box, stress=False)
        wanted, forces = net.energy + base.energy, net.forces + base.forces
        near = 1e-4 if kind == "xtb" else 1e-6  # its own convergence
        for given in (None, named, named()):
            found = load_potential(path, baseline=given)
            found = found.evaluate(x, symbols, box, stress=False)
            assert found.energy == pytest.approx(wanted, abs=near)
            np.testing.assert_allclose(found.forces, forces, atol=near)
        atoms = Atoms(symbols, x, cell=box, pbc=True)
        atoms.calc = MesobridgeCalculator(path)
        assert atoms.get_potential_energy() == pytest.approx(wanted, abs=near)
        text = openmm.XmlSerializer.serialize(to_openmm(path, symbols))
        system = openmm.System()
        for _ in symbols:
            system.addParticle(6.0)
        system.setDefaultPeriodicBoxVectors(*(box / 10))
        system.addForce(openmm.XmlSerializer.deserialize(text))
        context = openmm.Context(system, openmm.VerletIntegrator(0.001))
        context.setPositions(x / 10)
        energy = context.getState(getEnergy=True).getPotentialEnergy()._value
        assert energy / 96.485332 == pytest.approx(wanted, abs=10 * near)


def test_a_folder_can_be_moved_and_its_files_are_checked(files, labels, tmp_path):
    named = files["potential"]
    path = trained(tmp_path / "runs/potential.safetensors", labels, named)
    spec = read_model(path, "potential/1")[0]["baseline"]["spec"]
    other = tmp_path / "other.safetensors"
    assert spec == {
        "kind": "potential", "path": "../other.safetensors", "sha256": sha256(other)
    }  # fmt: skip
    moved = shutil.move(tmp_path / "runs", tmp_path / "far/away")
    with pytest.raises(InputError, match="(?s)no file.*other.safetensors"):
        load_potential(moved / path.name)
    shutil.copy(other, moved)  # beside it
    load_potential(moved / path.name)
    untrained(moved / "other.safetensors", scale=0.2)
    with pytest.raises(InputError, match="(?s)not the file that the baseline names"):
        load_potential(moved / path.name)


def test_an_unnamed_baseline_is_not_made_up(labels, tmp_path):
    left = without_baseline(labels, ZBL(), source="my.module:cores")
    path = tmp_path / "p.safetensors"
    result = train([left], [left], SETTINGS)
    save_potential(path, result, {})
    for record in (result.baseline, {**result.baseline}):
        assert record.pop("spec", None) is None  # the second as older files have it
        save_potential(path, replace(result, baseline=record), {})
        with pytest.raises(SchemaError, match="(?s)my.module:cores.*--baseline"):
            load_potential(path)
        load_potential(path, baseline=ZBL())
        load_potential(path, baseline="engine")


def test_another_baseline_than_the_name_says_is_found_out(files, labels, tmp_path):
    left = without_baseline(labels, files["potential"])
    result = train([left], [left], SETTINGS)
    wrong = {**result.baseline, "spec": {"kind": "zbl"}}
    path = tmp_path / "p.safetensors"
    save_potential(path, replace(result, baseline=wrong), {})
    with pytest.raises(SchemaError, match="another baseline"):
        load_potential(path)


def test_a_file_without_its_hash_is_not_followed(files, labels, tmp_path):
    """It could be any file: of itself there would be no end."""
    result = train([without_baseline(labels, files["potential"])], [], SETTINGS)
    path = tmp_path / "p.safetensors"
    spec = {"kind": "potential", "path": str(path)}
    save_potential(path, replace(result, baseline={**result.baseline, "spec": spec}), {})
    with pytest.raises(SchemaError, match="(?s)no hash.*p.safetensors"):
        load_potential(path)


def test_a_name_that_is_not_known_is_refused(labels, tmp_path):
    record = train([without_baseline(labels, NamedBaseline(kind="zbl"))], [], SETTINGS)
    path = untrained(tmp_path / "p.safetensors", baseline=record.baseline)
    header, tensors = read_model(path, "potential/1")
    header["baseline"]["spec"]["kind"] = "sbl"
    write_model(path, "potential/1", header, tensors)
    with pytest.raises(InputError, match="(?s)its baseline.*'zbl'"):
        load_potential(path)


def test_frames_on_disk_keep_the_name(labels, tmp_path):
    named = NamedBaseline(kind="zbl")
    write_dataset(without_baseline(labels, named), tmp_path / "left.nc", "frames/1")
    left = read_dataset(tmp_path / "left.nc", "frames/1")
    assert train([left], [left], SETTINGS).baseline["spec"] == {"kind": "zbl"}
    unnamed = without_baseline(labels, ZBL(), source="ZBL")
    with pytest.raises(SchemaError, match="different baselines"):
        train([left], [unnamed], SETTINGS)


def test_the_energy_that_is_kept_is_not_that_of_a_single_atom(labels):
    """Most baselines give one atom nothing, so it could not tell them apart."""
    alone = labels.isel(frame=[0, 1], atom=[0]).assign_attrs(pbc="FFF")
    left = [without_baseline(ds.drop_vars("stress"), NamedBaseline(kind="zbl"))
            for ds in (alone, labels)]  # fmt: skip
    record = train(left, [], SETTINGS).baseline
    assert len(record["species"]) == labels.sizes["atom"]
    assert abs(record["energy"]) > 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "zbl", "path": "a"}, "takes nothing else, not path"),
        ({"kind": "openmm"}, "needs a path"),
        ({"kind": "potential", "path": "a", "method": "GFN1-xTB"}, "path, sha256, not"),
        ({"kind": "potential", "path": "a", "sha256": "12"}, "sha256"),
        ({"kind": "xtb", "method": "AM1"}, "GFN2-xTB"),
        ({"kind": "lj"}, "'zbl'"),
    ],
)
def test_names_are_strict(given, words):
    with pytest.raises(ValidationError, match=words):
        NamedBaseline(**given)


class Payload:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_an_openmm_system_that_holds_code_is_not_opened(tmp_path):
    """However the type is spelt: OpenMM itself would open it."""
    trace = tmp_path / "opened"
    plain = openmm.XmlSerializer.serialize(springs(3))
    force = (
        f'<Force forceGroup="0" function="{pickle.dumps(Payload(trace)).hex()}" name="P" '
        'type="PythonForce" usesPeriodic="0" version="2"><GlobalParameters/><Particles/>'
        "</Force>"
    )
    code = plain.replace("<Forces>", "<Forces>" + force)
    collective = openmm.CustomCVForce("a")
    collective.addCollectiveVariable("a", openmm.HarmonicBondForce())
    nested = openmm.XmlSerializer.serialize(with_force(springs(3), collective))
    start = nested.index("<Force", nested.index('<CollectiveVariable name="a">'))
    end = nested.index("</Force>", start) + len("</Force>")
    spelt = [
        code,
        code.replace('"PythonForce"', "'PythonForce'"),
        code.replace('"PythonForce"', '"&#80;ythonForce"'),
        code.replace('"PythonForce"', '"&#x50;ythonForce"'),
        code.replace('type="PythonForce"', 'type\n= "PythonForce"'),
        nested[:start] + force + nested[end:],
    ]
    path = tmp_path / "system.xml"
    for text in spelt:
        assert text != plain
        path.write_text(text)
        with pytest.raises(InputError, match="(?s)PythonForce.*without forces in Python"):
            read_system(path)
        assert not trace.exists()
    openmm.XmlSerializer.deserialize(code)
    assert trace.exists()  # so that it was worth refusing


def with_force(system, force):
    system.addForce(force)
    return system


def test_what_is_no_openmm_system_is_told(tmp_path):
    path, plain = tmp_path / "system.xml", openmm.XmlSerializer.serialize(springs(3))
    entity = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>'
    force = openmm.XmlSerializer.serialize(openmm.HarmonicBondForce())
    for text in ("", "no XML", plain[:400], force, entity + plain.split("?>", 1)[1],
                 plain.replace("HarmonicBondForce", "TorchForce")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(InputError, match="cannot be used as an OpenMM system"):
            read_system(path)
    path.write_bytes(plain.encode("utf-16"))
    with pytest.raises(InputError, match="cannot be used"):
        read_system(path)


def test_a_system_is_read_as_it_was_written(tmp_path):
    system = springs(4)
    table = openmm.CustomNonbondedForce("f(r)")
    table.setName('a < b & "c"\n')
    table.addTabulatedFunction("f", openmm.Continuous1DFunction([0, 1, 3, 2], 0, 2))
    for _ in range(4):
        table.addParticle()
    read = read_system(written(tmp_path / "s.xml", with_force(system, table)))
    assert read.getForce(2).getName() == table.getName()
    rng = np.random.default_rng(0)
    atoms = Atoms("H4", rng.uniform(0, 5, (4, 3)), cell=[9, 9, 9], pbc=True)
    energies = [OpenMMCalculator(s).get_potential_energy(atoms) for s in (system, read)]
    assert energies[0] == energies[1] != 0
