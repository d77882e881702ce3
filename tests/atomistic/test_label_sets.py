"""Labels become training data and one file; units that do not fit are told."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest
import toy
import xarray as xr
from ase import Atoms
from ase.calculators.lj import LennardJones
from toy import TOY, cluster

from mesobridge.atomistic.labels import (
    Failed,
    Labeller,
    LabelStore,
    check_oracle,
    labelled_frames,
    read_labels,
    succeeded,
    write_labels,
)
from mesobridge.atomistic.named_oracle import CodeOracle
from mesobridge.atomistic.potential import TrainingSettings, train
from mesobridge.atomistic.potential.labelled_frame import Keys
from mesobridge.atomistic.potential.reading import read_labelled, read_structures
from mesobridge.atomistic.validation.labels import read_frames
from mesobridge.core.artefact import read_model, write_dataset, write_model
from mesobridge.core.errors import InputError, SchemaError
from mesobridge.core.units import ANGSTROM, EV


@pytest.fixture
def made(tmp_path):
    """Frames of two compositions, one of which fails, and their labels."""
    frames = [cluster(i, "OHH") for i in range(4)] + [cluster(7, "NHHH")]
    frames.insert(2, cluster(9, "HHe"))
    frames[0].info["config_type"] = "first"
    return frames, Labeller(TOY, LabelStore(tmp_path / "store")).label(frames)


def crystal(seed):
    atoms = Atoms("Ar4", cell=[5.2, 5.3, 5.4], pbc=True)
    atoms.set_scaled_positions([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    atoms.rattle(0.1, seed=seed)
    return atoms


def lennard_jones():
    return LennardJones(rc=4.0, sigma=3.0, epsilon=0.1, smooth=True)


LJ = CodeOracle(lennard_jones, "LJ", "1")


def test_frames_are_grouped_by_composition_and_in_si(made):
    frames, labels = made
    sets = labelled_frames(frames, labels, "toy")
    assert [list(ds["species"].values) for ds in sets] == [
        ["O", "H", "H"], ["N", "H", "H", "H"]
    ]  # fmt: skip
    assert [ds.sizes["frame"] for ds in sets] == [4, 1]
    assert list(sets[0]["group"].values) == ["first", "all", "all", "all"]
    assert all(ds.attrs["source"] == "toy" and ds.attrs["pbc"] == "FFF" for ds in sets)
    for i, k in enumerate((0, 1, 3, 4)):
        row = sets[0].isel(frame=i)
        np.testing.assert_allclose(row["positions"], frames[k].positions * ANGSTROM)
        np.testing.assert_allclose(row["forces"], labels[k].forces * EV / ANGSTROM)
        assert float(row["energy"]) == pytest.approx(labels[k].energy * EV)
    with pytest.raises(InputError, match="label 0 is of other atoms"):
        labelled_frames(frames[::-1], labels, "toy")
    with pytest.raises(InputError, match="no frames"):
        labelled_frames(frames[2:3], labels[2:3], "toy")


def test_frames_of_a_crystal_have_stress_and_charge(tmp_path):
    frames = [crystal(i) for i in range(3)]
    frames[2].info["charge"] = 1
    labels = Labeller(LJ, LabelStore(tmp_path)).label(frames)
    sets = labelled_frames(frames, labels, "LJ")
    assert [ds.attrs.get("charge_number", 0) for ds in sets] == [0, 1]
    stress = sets[0]["stress"].values[1] / EV * ANGSTROM**3
    s = labels[1].stress
    np.testing.assert_allclose(
        stress, [[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]]
    )


def test_a_potential_learns_from_them(made):
    frames, labels = made
    settings = TrainingSettings(
        ("O", "H", "N"), 4 * ANGSTROM, channels=4, radial=4, hidden=8, steps=2
    )
    result = train(labelled_frames(frames, labels, "toy"), [], settings)
    assert result.tensors


def test_a_set_is_one_file_and_comes_back_to_the_bit(made, tmp_path):
    labels = [label for label in made[1] if not isinstance(label, Failed)]
    labels[3] = replace(labels[3], versions={"ase": "other"})
    path = tmp_path / "set.safetensors"
    write_labels(path, labels, structures="random")
    assert read_model(path, "labels/1")[0]["structures"] == "random"
    again = read_labels(path)
    assert len(again) == len(labels)
    for a, b in zip(again, labels, strict=True):
        for name, value in vars(b).items():
            np.testing.assert_array_equal(getattr(a, name), value, err_msg=name)
            assert type(getattr(a, name)) is type(value), name
    other = LabelStore(tmp_path / "other")
    for label in again:
        other.put(label)
    broken = CodeOracle("toy:broken", "toy", "1")  # not needed any more
    found = Labeller(broken, other).label([label.atoms() for label in labels])
    assert [label.energy for label in found] == [label.energy for label in labels]


def test_structures_need_no_labels(tmp_path):
    frames = [cluster(0, "OHH"), cluster(1, "OHH")]
    ase.io.write(tmp_path / "a.xyz", frames)
    x = np.array([atoms.positions for atoms in frames])
    np.savez(tmp_path / "a.npz", Z=frames[0].numbers, positions=x)
    made = labelled_frames(
        frames, Labeller(TOY, LabelStore(tmp_path)).label(frames), "toy"
    )
    write_dataset(made[0], tmp_path / "a.nc", "frames/1")
    for name in ("a.xyz", "a.npz", "a.nc"):
        for found, atoms in zip(read_structures(tmp_path / name), frames, strict=True):
            assert list(found.numbers) == list(atoms.numbers)
            np.testing.assert_allclose(found.positions, atoms.positions, atol=1e-7)
            assert not found.pbc.any()
    np.savez(tmp_path / "none.npz", Z=frames[0].numbers, positions=x[:0])
    with pytest.raises(InputError, match="holds no frames"):
        read_structures(tmp_path / "none.npz")


def test_a_set_is_training_data(made, tmp_path):
    """Read from the file as `labelled_frames` makes them; with stress where it has it."""
    path, labels = tmp_path / "set.safetensors", succeeded(made[1])
    ion = cluster(8, "OHHH")
    ion.info["total_charge"] = 1
    labels += Labeller(TOY, LabelStore(tmp_path / "ion")).label([ion])
    write_labels(path, labels)
    frames = [label.atoms() for label in labels]
    sets = read_labelled(path, Keys(energy="other"))
    assert [ds.attrs.get("charge_number", 0) for ds in sets] == [0, 0, 1]
    for found, wanted in zip(sets, labelled_frames(frames, labels, "toy"), strict=True):
        xr.testing.assert_equal(found, wanted)
    assert [len(atoms) for atoms in read_structures(path)] == [len(a) for a in frames]
    for atoms, label in zip(read_frames(path)[:4], labels[:4], strict=True):
        np.testing.assert_allclose(atoms.get_forces(), label.forces, atol=1e-9)
    solid = Labeller(LJ, LabelStore(tmp_path / "solid")).label([crystal(0)])
    write_labels(path, solid)
    (found,) = read_labelled(path, stress=True)
    stress = found["stress"].values[0] / (EV / ANGSTROM**3)
    xx, yy, zz, yz, xz, xy = solid[0].stress
    np.testing.assert_allclose(stress, [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def test_stress_and_cells_come_back(tmp_path):
    labels = Labeller(LJ, LabelStore(tmp_path)).label([crystal(i) for i in range(2)])
    write_labels(tmp_path / "set.safetensors", labels)
    for a, b in zip(read_labels(tmp_path / "set.safetensors"), labels, strict=True):
        np.testing.assert_array_equal(a.stress, b.stress)
        np.testing.assert_array_equal(a.cell, b.cell)
        assert a.key == b.key
        assert a.pbc.all()


def test_sets_that_are_no_set_are_refused(made, tmp_path):
    labels = [label for label in made[1] if not isinstance(label, Failed)]
    path = tmp_path / "set.safetensors"
    other = replace(labels[0], settings={"kind": "another"})
    with pytest.raises(InputError, match="2 oracles"):
        write_labels(path, [labels[0], other])
    with pytest.raises(InputError, match="0 labels"):
        write_labels(path, [])
    write_labels(path, labels)
    header, tensors = read_model(path, "labels/1")
    data = bytearray(path.read_bytes())
    at = data.find(np.float64(labels[1].energy).tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(SchemaError, match="altered"):
        read_labels(path)
    write_model(
        path, "labels/1", header, {k: v for k, v in tensors.items() if k != "pbc"}
    )
    with pytest.raises(SchemaError, match="broken"):
        read_labels(path)


class Scaled(LennardJones):
    """Results in other units than those of ASE."""

    def __init__(self, **factors):
        super().__init__(rc=4.0, sigma=3.0, epsilon=0.1, smooth=True)
        self.factors = factors

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        if "energy" in self.factors:
            self.results["free_energy"] *= self.factors["energy"]
        for name in set(self.results) & set(self.factors):
            self.results[name] = self.results[name] * self.factors[name]


def scaled(**factors):
    return CodeOracle(lambda: Scaled(**factors), "scaled", "1")


def test_an_oracle_in_ase_units_passes():
    found = check_oracle(LJ, crystal(1))
    assert found.forces == pytest.approx(1, abs=1e-3)
    assert found.stress == pytest.approx(1, abs=1e-3)
    found = check_oracle(TOY, cluster(1))
    assert found.forces == pytest.approx(1, abs=1e-6)
    assert found.stress is None


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ({"energy": 23.060548}, "kcal/mol beside forces in eV/A.*got: +23.06"),
        ({"energy": 96.485332}, "kJ/mol beside forces in eV/A.*got: +96.5"),
        ({"energy": 1 / 27.211386}, "energies in hartree.*27.21"),
        ({"forces": 1 / 51.42207}, "forces in hartree/bohr.*got: +51.4"),
        ({"forces": -1}, "gradients in place of forces.*got: +-1"),
        ({"forces": 1.3}, "factor of 0.769"),
        ({"stress": 160.21766}, "stress.*in GPa"),
        ({"stress": 2.0}, "another unit or order"),
        ({"stress": -1}, "in eV/A.3, compression positive.*got: +-1"),
    ],
)
def test_other_units_are_named_by_their_factor(factors, words):
    with pytest.raises(InputError, match=f"(?s){words}"):
        check_oracle(scaled(**factors), crystal(1))


def test_an_oracle_that_hangs_is_told():
    assert check_oracle(TOY, cluster(1), timeout=60.0).forces == pytest.approx(1)
    with pytest.raises(InputError, match="(?s)gives no label.*longer than 0.5 s"):
        check_oracle(TOY, cluster(1, "ArH"), timeout=0.5)


def test_what_cannot_be_told_is_told():
    still = Atoms("H2", [[0, 0, 0], [0, 0, 1.0]])
    with pytest.raises(InputError, match="nothing to tell units from"):
        check_oracle(scaled(), Atoms("H"))
    with pytest.raises(InputError, match="(?s)gives no label.*helium"):
        check_oracle(TOY, cluster(1, "HHe"))
    with pytest.raises(InputError, match="no licence"):
        check_oracle(CodeOracle(toy.broken, "x", "1"), still)

    class Rough(toy.Toy):
        """Energies with three digits."""

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["energy"] = np.round(self.results["energy"], 0)

    with pytest.raises(InputError, match="too rough"):
        check_oracle(CodeOracle(Rough, "rough", "1"), cluster(2))
