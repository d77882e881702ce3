"""Labelled frames from files, and what is refused about them."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write
from molecules import ions, springs

from mesobridge.atomistic.potential.consistency import check_units, compare
from mesobridge.atomistic.potential.data import load_frames
from mesobridge.atomistic.potential.linear import columns
from mesobridge.atomistic.potential.reading import Keys, read_labelled, split
from mesobridge.core.artefact import write_dataset
from mesobridge.core.errors import InputError
from mesobridge.core.units import ANGSTROM, ELEMENTARY_CHARGE, EV

DATA = Path(__file__).resolve().parents[3] / "shared/data"


@pytest.fixture
def frames():
    rng = np.random.default_rng(8)
    return [springs(rng) for _ in range(40)]


def with_labels(atoms, **changed):
    atoms = atoms.copy()
    labels = {"energy": -1.0, "forces": np.zeros((len(atoms), 3))} | changed
    kept = {k: v for k, v in labels.items() if v is not None}
    atoms.calc = SinglePointCalculator(atoms, **kept)
    return atoms


def test_every_format_gives_the_same_frames(frames, tmp_path):
    write(tmp_path / "a.extxyz", frames)
    write(tmp_path / "a.traj", frames)
    with connect(tmp_path / "a.db") as db:
        for atoms in frames:
            db.write(atoms, config_type="gas")
    np.savez(
        tmp_path / "a.npz", Z=frames[0].numbers, positions=[a.positions for a in frames],
        energy=[a.get_potential_energy() for a in frames],
        forces=[a.get_forces() for a in frames], config_type=["gas"] * len(frames),
    )  # fmt: skip
    (first,) = read_labelled(tmp_path / "a.extxyz")
    write_dataset(first, tmp_path / "a.nc", "frames/1")
    assert first.attrs["pbc"] == "FFF"
    assert list(first["species"].values) == ["O", "H", "H"]
    for name, close in (("a.traj", 1e-7), ("a.db", 1e-7), ("a.npz", 1e-7), ("a.nc", 0)):
        (other,) = read_labelled(tmp_path / name)
        for key, unit in (
            ("positions", ANGSTROM), ("forces", EV / ANGSTROM), ("energy", EV)
        ):  # fmt: skip
            np.testing.assert_allclose(
                other[key].values / unit, first[key].values / unit, atol=close, rtol=0
            )
        if name != "a.traj":  # which keeps no names
            assert set(other["group"].values) == {"gas"}


def test_frames_are_grouped_by_composition_and_periodicity(tmp_path):
    rng = np.random.default_rng(0)
    cell = np.eye(3) * 6
    frames = [springs(rng), springs(rng, pbc=True, cell=cell), springs(rng)]
    atom = Atoms("O", positions=[[0, 0, 0]])
    atom.calc = SinglePointCalculator(atom, energy=-430.0)
    write(tmp_path / "a.xyz", [*frames, atom], format="extxyz")
    sets = read_labelled(tmp_path / "a.xyz")
    assert [(ds.attrs["pbc"], ds.sizes["frame"], ds.sizes["atom"]) for ds in sets] == [
        ("FFF", 2, 3), ("TTT", 1, 3), ("FFF", 1, 1),
    ]  # fmt: skip
    # No forces were given for the atom: alone it feels none.
    assert not sets[2]["forces"].values.any()
    assert sets[2]["group"].values[0] == "isolated_atom"


def test_stress_and_virial_are_one_quantity(tmp_path):
    rng = np.random.default_rng(1)
    cell = np.diag([5.0, 6.0, 7.0])
    tensor = np.array([[1.0, 0.2, 0.3], [0.2, 2.0, 0.4], [0.3, 0.4, 3.0]]) * 0.01
    atoms = springs(rng, pbc=True, cell=cell)
    results = dict(atoms.calc.results)
    voigt = tensor[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    one = atoms.copy()
    one.calc = SinglePointCalculator(one, stress=voigt, **results)
    two = atoms.copy()
    two.calc = SinglePointCalculator(two, **results)
    two.info["virial"] = -tensor * 210.0
    three = two.copy()
    three.calc = two.calc
    three.info["virials"] = three.info.pop("virial")
    write(tmp_path / "a.xyz", [one, two, three], format="extxyz")
    (ds,) = read_labelled(tmp_path / "a.xyz", stress=True)
    found = ds["stress"].values / EV * ANGSTROM**3
    np.testing.assert_allclose(found, [tensor] * 3, atol=1e-9)


def test_other_keys_can_be_named(frames, tmp_path):
    for atoms in frames:
        atoms.info["REF_energy"] = atoms.get_potential_energy()
        atoms.arrays["REF_forces"] = atoms.get_forces()
        atoms.calc = None
    write(tmp_path / "a.xyz", frames, format="extxyz")
    with pytest.raises(InputError, match="frame 0 has no usable energy"):
        read_labelled(tmp_path / "a.xyz")
    (ds,) = read_labelled(tmp_path / "a.xyz", Keys("REF_energy", "REF_forces"))
    assert ds.sizes["frame"] == 40


def test_labels_of_charges_are_read_from_every_format(tmp_path):
    rng = np.random.default_rng(3)
    frames = [ions(rng) for _ in range(4)]
    charges = np.array([a.arrays["charges"] for a in frames])
    dipoles = np.array([a.calc.results["dipole"] for a in frames])
    born = rng.normal(size=(4, 2, 3, 3))
    for atoms, own in zip(frames, born, strict=True):
        atoms.arrays["born_effective_charges"] = own.reshape(2, 9)
    write(tmp_path / "a.xyz", frames, format="extxyz")
    np.savez(
        tmp_path / "a.npz", Z=frames[0].numbers, positions=[a.positions for a in frames],
        energy=[a.calc.results["energy"] for a in frames], dipole=dipoles,
        forces=[a.calc.results["forces"] for a in frames], charges=charges,
        born_effective_charges=born,
    )  # fmt: skip
    write_dataset(read_labelled(tmp_path / "a.npz")[0], tmp_path / "a.nc", "frames/1")
    for name in ("a.xyz", "a.npz", "a.nc"):
        (ds,) = read_labelled(tmp_path / name)
        assert "charge_number" not in ds.attrs
        system = load_frames([ds], ("Na", "Cl"), 4.0)[2].system
        np.testing.assert_allclose(system.charges, charges[2], atol=1e-7)
        np.testing.assert_allclose(system.dipole, dipoles[2], atol=1e-7)
        np.testing.assert_allclose(system.born, born[2], atol=1e-7)


@pytest.mark.parametrize("column", ["initial_charges", "charge", "Mulliken"])
def test_charges_under_other_names(tmp_path, column):
    """ASE calls a column `charge` `charges`."""
    frames = [ions(np.random.default_rng(0), name=column)]
    write(tmp_path / "a.xyz", frames, format="extxyz")
    for keys in (Keys(charge=column), Keys()):
        (ds,) = read_labelled(tmp_path / "a.xyz", keys)
        if column == "Mulliken" and keys == Keys():  # nobody said what this is
            assert "charge" not in ds
            continue
        found = ds["charge"].values[0] / ELEMENTARY_CHARGE
        np.testing.assert_allclose(found, [0.8, -0.8], atol=1e-7)


def test_frames_of_another_total_charge_are_another_set(tmp_path):
    rng = np.random.default_rng(4)
    frames = [ions(rng, total=total) for total in (0, 1, 0, -1, 1)]
    frames[4].info["charge"] = frames[4].info.pop("total_charge")
    cell = ions(rng)
    cell.set_cell(np.eye(3) * 9)
    cell.pbc = True
    write(tmp_path / "a.xyz", [*frames, cell], format="extxyz")
    sets = read_labelled(tmp_path / "a.xyz")
    found = [(ds.attrs.get("charge_number", 0), ds.sizes["frame"]) for ds in sets]
    assert found == [(0, 2), (1, 2), (-1, 1), (0, 1)]
    assert [load_frames([ds], ("Na", "Cl"), 4.0)[0].system.charge for ds in sets] == [
        0.0, 1.0, -1.0, 0.0,
    ]  # fmt: skip
    # Of ions and cells a dipole depends on the origin.
    assert ["dipole" in ds for ds in sets] == [True, False, False, False]
    (other, *_) = read_labelled(tmp_path / "a.xyz", Keys(total_charge="charge"))
    assert other.sizes["frame"] == 4  # all but one are neutral by this name
    with pytest.raises(InputError, match="no usable q"):
        read_labelled(tmp_path / "a.xyz", Keys(total_charge="q"))


def charged(where, key, value):
    """Ions with something wrong in their labels of charges."""

    def change(_):
        atoms = ions(np.random.default_rng(1))
        getattr(atoms, where)[key] = value
        return atoms

    return change


def nan(shape):
    value = np.zeros(shape)
    value.flat[-1] = np.nan
    return value


BAD = {
    "no forces": (lambda a: with_labels(a, forces=None), "frame 1 has no usable forces"),
    "no energy": (lambda a: with_labels(a, energy=None), "frame 1 has no usable energy"),
    "NaN forces": (lambda a: with_labels(a, forces=nan((3, 3))), "NaN"),
    "NaN energy": (lambda a: with_labels(a, energy=np.nan), "NaN"),
    "on top": (lambda a: with_labels(Atoms("OHH", np.eye(3) * 0.1)), "overlap"),
    "on top of an image": (
        lambda a: with_labels(Atoms("OHH", a.positions, cell=[9, 9, 0.2], pbc=True)),
        r"overlap(.|\n)*0.2 A between",
    ),
    "in nm": (lambda a: with_labels(Atoms("OHH", a.positions * 0.1)), "nm"),
    "no cell": (
        lambda a: with_labels(Atoms("OHH", a.positions, pbc=True)),
        "no usable cell",
    ),
    "NaN cell": (
        lambda a: with_labels(Atoms("OHH", a.positions, cell=nan(3), pbc=True)),
        "frame 1 has no usable cell",
    ),
    "a cell without volume": (
        lambda a: with_labels(Atoms("OHH", a.positions, cell=np.ones((3, 3)), pbc=True)),
        "frame 1 has no usable cell",
    ),
    "NaN charge": (charged("arrays", "charges", nan(2)), "charges(.|\n)*NaN"),
    "NaN total": (charged("info", "total_charge", np.nan), "total_charge(.|\n)*NaN"),
    "dipoles of atoms": (lambda a: with_labels(a, dipole=np.eye(3)), r"of shape \(3,"),
    "half a tensor": (
        charged("arrays", "born_effective_charges", np.zeros((2, 6))),
        r"no usable born_effective_charges(.|\n)*shape \(2, 3, 3\)",
    ),
    "charge in words": (charged("info", "total_charge", "none"), "no usable total"),
    "unknown": (lambda a: with_labels(Atoms("XHH", a.positions)), "no usable species"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_frame_is_named(frames, tmp_path, what):
    change, message = BAD[what]
    write(tmp_path / "a.xyz", [frames[0], change(frames[1])], format="extxyz")
    with pytest.raises(InputError, match=message):
        read_labelled(tmp_path / "a.xyz")


def test_missing_stress_where_it_is_asked_for(tmp_path):
    atoms = springs(np.random.default_rng(0), pbc=True, cell=np.eye(3) * 6)
    write(tmp_path / "a.xyz", atoms, format="extxyz")
    with pytest.raises(InputError, match="without stress"):
        read_labelled(tmp_path / "a.xyz", stress=True)


@pytest.mark.parametrize("name", ["a.xyz", "a.npz", "a.nc", "a.db"])
def test_rubbish_is_no_data(tmp_path, name):
    (tmp_path / name).write_bytes(b"5\nnothing\nH 0 0\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_labelled(tmp_path / name)
    with pytest.raises(InputError, match="no file"):
        read_labelled(tmp_path / "nothing.xyz")


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", Z=np.array([object()]), positions=np.zeros((1, 1, 3)))
    with pytest.raises(InputError, match="cannot be read"):
        read_labelled(tmp_path / "a.npz")


def test_the_last_frames_of_every_group_are_held_out(frames, tmp_path):
    for atoms in frames[30:]:
        atoms.info["config_type"] = "hot"
    write(tmp_path / "a.xyz", frames, format="extxyz")
    sets = read_labelled(tmp_path / "a.xyz")
    training, validation = split(sets, 0.1)
    assert list(validation[0]["group"].values) == ["gas"] * 3 + ["hot"]
    x = sets[0]["positions"].values
    np.testing.assert_array_equal(validation[0]["positions"], x[[27, 28, 29, 39]])
    assert training[0].sizes["frame"] == 36
    drawn = split(sets, 0.1, seed=3)[1][0]["positions"].values
    assert drawn.shape == (4, 3, 3)
    assert not np.array_equal(drawn, x[[27, 28, 29, 39]])
    with pytest.raises(InputError, match="hold out"):
        split(sets, 1.5)


def test_frames_of_many_compositions_are_held_out_together():
    """A tenth of the group, not none because every frame is alone in its set."""
    sets = [
        xr.Dataset(
            {"group": ("frame", ["all"] * n), "x": (("frame", "atom"), [[0, 0]] * n)}
        )
        for n in (1, 1, 2, *[1] * 36)
    ]
    training, held_out = split(sets, 0.1)
    assert sum(ds.sizes["frame"] for ds in training) == 36
    assert sum(ds.sizes["frame"] for ds in held_out) == 4
    (alone,) = split(sets[:1], 0.1)[0]
    assert alone.sizes["frame"] == 1


def scaled(sets, energy=1.0, forces=1.0, length=1.0):
    out = []
    for ds in sets:
        ds = ds.copy(deep=True)
        for key, factor in (
            ("energy", energy), ("forces", forces), ("positions", length), ("box", length)
        ):  # fmt: skip
            ds[key].values[:] *= factor
        out.append(ds)
    return out


def test_springs_have_a_slope_of_one(frames, tmp_path):
    """The fit holds pair potentials: of springs it leaves hardly anything."""
    write(tmp_path / "a.xyz", frames, format="extxyz")
    found = compare(read_labelled(tmp_path / "a.xyz"))
    assert found.explained > 0.999
    assert found.slope == pytest.approx(1, abs=0.02)


HARTREE, KCAL, KJ, BOHR = 27.211386, 23.060548, 96.485332, 0.529177
MIXED = {
    "energies in hartree": {"energy": 1 / HARTREE},
    "energies in kcal/mol": {"energy": KCAL},
    "energies in kJ/mol": {"energy": KJ},
    "forces in hartree/A": {"forces": 1 / HARTREE},
    "forces in kcal/mol": {"forces": KCAL},
    "forces in kJ/mol": {"forces": KJ},
    "forces in hartree/bohr beside": {"forces": BOHR / HARTREE},
    "lengths in bohr": {"length": 1 / BOHR},
    "beside energies in hartree": {"forces": BOHR / HARTREE, "energy": 1 / HARTREE},
    "bohr": {"length": 1 / BOHR, "forces": BOHR / HARTREE, "energy": 1 / HARTREE},
    "gradients in place of forces": {"forces": -1.0},
}


def test_mixed_units_are_named(frames, tmp_path):
    write(tmp_path / "a.xyz", frames, format="extxyz")
    sets = read_labelled(tmp_path / "a.xyz")
    assert check_units(sets) is not None
    for words, factors in MIXED.items():
        with pytest.raises(InputError, match=words):
            check_units(scaled(sets, **factors))


@pytest.mark.parametrize(
    "name", ["water_pbe0ts_320frames.npz", "acac_train_300K.xyz", "ethanol_train.xyz"]
)
def test_mixed_units_are_named_in_dft_data(name):
    if not (DATA / name).is_file():
        pytest.skip(f"no reference data: {name}")
    sets = [ds.isel(frame=slice(None, None, 16)) for ds in read_labelled(DATA / name)]
    assert check_units(sets) is not None
    for words in ("energies in hartree", "energies in kcal/mol", "lengths in bohr"):
        with pytest.raises(InputError, match=words):
            check_units(scaled(sets, **MIXED[words]))


def crystal(rng):
    """Copper, Lennard-Jones: nothing is nearer than 4.6 A when lengths are in bohr."""
    from ase.build import bulk
    from ase.calculators.lj import LennardJones

    atoms = bulk("Cu", "fcc", a=3.6, cubic=True).repeat(2)
    atoms.rattle(0.08, rng=rng)
    atoms.calc = LennardJones(sigma=2.29, epsilon=0.4, rc=4.5, smooth=True)
    labels = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=labels[0], forces=labels[1])
    return atoms


@pytest.fixture(scope="module")
def crystals(tmp_path_factory):
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("crystals") / "a.xyz"
    write(path, [crystal(rng) for _ in range(24)], format="extxyz")
    return read_labelled(path)


@pytest.mark.parametrize("words", MIXED)
def test_mixed_units_are_named_in_a_crystal(crystals, words):
    assert check_units(crystals) is not None
    with pytest.raises(InputError, match=words):
        check_units(scaled(crystals, **MIXED[words]))


def test_atoms_beyond_every_cutoff_tell_nothing(crystals):
    assert check_units(scaled(crystals, length=5.0)) is None


def test_columns_are_forces_of_their_energies(crystals):
    """Central differences of every column along one direction."""
    ds = crystals[0].isel(frame=slice(0, 1))
    rng = np.random.default_rng(0)
    way, h = rng.normal(size=ds["positions"].shape[1:]), 1e-5

    def at(shift):
        moved = ds.copy(deep=True)
        moved["positions"].values[0] += shift * way * ANGSTROM
        moved["species"] = ("atom", np.array(["Cu", "Au"] * 16))
        return columns(load_frames([moved], ("Au", "Cu"), 5.0), 2, 5.0)

    slope = (at(h)[0] - at(-h)[0])[0] / (2 * h)
    along = -(at(0.0)[1] * way.reshape(-1, 1)).sum(0)
    np.testing.assert_allclose(slope, along, atol=1e-6 * np.abs(along).max())


def test_too_few_frames_tell_nothing(frames, tmp_path):
    write(tmp_path / "a.xyz", frames[:4], format="extxyz")
    assert check_units(read_labelled(tmp_path / "a.xyz")) is None
