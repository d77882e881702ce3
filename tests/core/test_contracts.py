"""Hand-overs are refused when they break their contract; files are whole or absent."""

import pickle

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from mesobridge.core.artefact import (
    existing,
    read_dataset,
    read_json,
    read_model,
    replacing,
    sweep,
    write_dataset,
    write_json,
    write_model,
)
from mesobridge.core.errors import InputError, SchemaError, StageError, UnitError
from mesobridge.core.schema import MODEL_KEYS, SCHEMAS, dataset, validate
from mesobridge.core.units import ELEMENTARY_CHARGE, UNITS, quantity, thermal_energy

SIZES = {
    "frame": 2, "atom": 3, "xyz": 3, "row": 3, "z": 4, "z_face": 5, "species": 2,
    "replicate": 3, "distance": 5, "r": 4, "pair": 3, "concentration": 4,
    "node": 6, "border": 2, "time": 4, "frequency": 3, "point": 4, "lag": 3,
    "other": 2,
}  # fmt: skip
ATTRS = {
    "temperature": 1200.0, "area": 1e-18, "surface_charge_left": 0.1,
    "surface_charge_right": -0.1, "phi_kind": "model_charge", "charge_model": "formal",
    "lag": 1e-12, "block_length": 5e-12, "seed": 1, "n_units": 8, "source": "made up",
    "surface_charge": 0.1, "taper_start": 1e-9, "bulk_plane": 2e-9, "coulomb": "none",
    "salt": "NaCl", "per": "m-2", "border": "anode", "method": "einstein",
    "frame": "lab", "volume": 1e-26, "lag_first": 1e-12, "lag_last": 3e-12,
    "boundary": "periodic", "relaxation_time": 1e-12, "blocks_too_short": 0,
    "kind": "continuous", "region": "0 to 1 nm of z", "tolerance": 0.0,
}  # fmt: skip


def example(name):
    """A data set that keeps the contract `name`."""
    schema, values = SCHEMAS[name], {}
    for key, var in schema.variables.items():
        shape = tuple(SIZES[d] for d in var.dims)
        if var.kind == "str":
            values[key] = np.array([f"s{k}" for k in range(shape[0])])
        elif var.kind == "int":
            values[key] = np.zeros(shape, dtype=int)
        elif var.sign == "increasing":
            values[key] = np.arange(shape[0]) - 0.5 * (key == "z_face")
        else:
            values[key] = np.ones(shape)
    if "charge_density" in values:
        values["charge_density"] = np.zeros_like(values["charge_density"])
    if name == "bulk-transport/1":  # of ones: what follows from them
        n = SIZES["species"]
        values["conductivity"] *= (n * ELEMENTARY_CHARGE) ** 2
        values["nernst_einstein"] *= n * ELEMENTARY_CHARGE**2 / thermal_energy(1200.0)
        values["transference"] /= n
    return dataset(name, values, {k: ATTRS[k] for k in schema.attrs})


def floats():
    for name, schema in SCHEMAS.items():
        for key, var in schema.variables.items():
            if var.kind == "float":
                yield name, key


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_good_data_set_survives_its_file(tmp_path, name):
    ds = example(name)
    write_dataset(ds, tmp_path / "x.nc", name)
    back = read_dataset(tmp_path / "x.nc", name)
    for key in ds.variables:
        assert np.array_equal(ds[key].values, back[key].values)
    assert [p.name for p in tmp_path.iterdir()] == ["x.nc"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("name", "key"), list(floats()))
def test_nan_is_refused_in_every_hand_over(tmp_path, name, key, bad):
    ds = example(name)
    values = ds[key].values.copy().astype(float)
    values.flat[-1] = bad
    broken = ds.assign({key: (ds[key].dims, values, ds[key].attrs)})
    with pytest.raises(SchemaError, match=f"{key} is not finite"):
        write_dataset(broken, tmp_path / "x.nc", name)
    assert list(tmp_path.iterdir()) == []
    broken.to_netcdf(tmp_path / "y.nc", engine="h5netcdf")
    with pytest.raises(SchemaError, match=f"{key} is not finite"):
        read_dataset(tmp_path / "y.nc", name)


@pytest.mark.parametrize(("name", "key"), list(floats()))
def test_a_wrong_unit_is_refused(name, key):
    ds = example(name)
    ds[key].attrs["units"] = "angstrom"
    with pytest.raises(SchemaError, match=f"unit of {key}"):
        validate(ds, name)


def test_frames_without_forces_are_refused():
    ds = example("frames/1").drop_vars("forces")
    with pytest.raises(SchemaError, match="forces is missing") as caught:
        validate(ds, "frames/1")
    assert "force matching" in caught.value.mend
    assert caught.value.exit_code == 2


def test_what_else_is_refused():
    profiles = example("interface-profiles/1")
    charged = profiles.copy(deep=True)
    charged["charge_density"].values[:] = 1e9
    falling = profiles.assign_coords(z=profiles["z"].values[::-1])
    falling["z"].attrs["units"] = "m"
    negative = profiles.copy(deep=True)
    negative["D_perp"].values[1, 0, 2] = -1.0
    for ds, words in (
        (charged, "not neutral"),
        (falling, "not increasing"),
        (negative, "D_perp out of range"),
        (profiles.assign(extra=("z", np.ones(4))), "unknown variables"),
        (profiles.transpose("z", ...), "dimensions of"),
        (profiles.assign_attrs(schema="frames/1"), "another contract"),
        (profiles.assign_attrs(temperature=np.nan), "temperature is not finite"),
        (profiles.drop_attrs().assign_attrs(schema="interface-profiles/1"), "missing"),
    ):
        with pytest.raises(SchemaError, match=words):
            validate(ds, "interface-profiles/1")
    with pytest.raises(SchemaError, match="unknown contract"):
        validate(profiles, "profiles/9")
    with pytest.raises(SchemaError, match="unknown variable"):
        dataset("pair-pmf/1", {"nonsense": 1}, {})
    with pytest.raises(SchemaError, match="shape of"):
        dataset("pair-pmf/1", {"r": [[1.0]]}, {})


def test_unreadable_files_are_named(tmp_path):
    path = tmp_path / "x.nc"
    with pytest.raises(InputError, match="no file"):
        read_dataset(path, "frames/1")
    path.write_bytes(b"\x89HDF\r\n\x1a\n but not really")
    with pytest.raises(SchemaError, match="cannot be read"):
        read_dataset(path, "frames/1")
    write_dataset(example("frames/1"), path, "frames/1")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SchemaError, match="cannot be read"):
        read_dataset(path, "frames/1")
    example("frames/1").drop_attrs().to_netcdf(path, engine="h5netcdf")
    with pytest.raises(SchemaError, match="names no contract"):
        read_dataset(path, "frames/1")


def test_a_file_that_points_elsewhere_is_refused(tmp_path):
    write_dataset(example("frames/1"), tmp_path / "x.nc", "frames/1")
    with h5py.File(tmp_path / "x.nc", "a") as handle:
        handle["leak"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(SchemaError, match="points outside itself"):
        read_dataset(tmp_path / "x.nc", "frames/1")


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("{")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}


def test_orphans_are_swept(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".x.nc.abc.tmp").write_text("half")
    (tmp_path / "kept.tmp").write_text("whole")
    assert sweep(tmp_path) == 1
    assert (tmp_path / "kept.tmp").is_file()


def test_json_that_is_none(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "b.json").write_text("{")
    for name in "ab":
        with pytest.raises(InputError, match="cannot be read"):
            read_json(tmp_path / f"{name}.json")
    with pytest.raises(InputError, match="no file"):
        existing(tmp_path / "c.json")


@pytest.mark.parametrize("schema", MODEL_KEYS)
def test_model_files(tmp_path, schema):
    path = tmp_path / "m.safetensors"
    header = dict.fromkeys(MODEL_KEYS[schema], "said")
    write_model(path, schema, header, {"w": np.arange(3.0)})
    back, tensors = read_model(path, schema)
    assert back == {"schema": schema, **header}
    assert np.array_equal(tensors["w"], np.arange(3.0))
    other = next(s for s in MODEL_KEYS if s != schema)
    with pytest.raises(SchemaError, match="another contract"):
        read_model(path, other)
    with pytest.raises(SchemaError, match="not finite"):
        write_model(path, schema, header, {"w": np.array([np.nan])})
    header.pop(MODEL_KEYS[schema][0])
    with pytest.raises(SchemaError, match=f"without {MODEL_KEYS[schema][0]}"):
        write_model(path, schema, header, {})
    written = path.read_bytes()
    for place in (written.index(b"said"), len(written) - 3):  # header, tensor
        altered = bytearray(written)
        altered[place] ^= 1
        path.write_bytes(altered)
        with pytest.raises(SchemaError, match="was altered"):
            read_model(path, schema)
    path.write_bytes(written[:20])
    with pytest.raises(SchemaError, match="cannot be read"):
        read_model(path, schema)
    save_file({"w": np.arange(3.0)}, path)
    with pytest.raises(SchemaError, match="another kind"):
        read_model(path, schema)


def test_a_pickle_is_never_opened(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(SchemaError, match="cannot be read"):
        read_model(path, "potential/1")


def test_errors_travel_between_processes():
    error = StageError("it broke", wanted="a", got="b", mend="c")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is StageError
    assert str(back) == str(error)
    assert [line.strip() for line in str(back).splitlines()] == [
        "it broke", "wanted: a", "got:    b", "mend:   c",
    ]  # fmt: skip
    assert (StageError.exit_code, InputError.exit_code) == (1, 2)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("10 nm", "m", 1e-8),
        ("1200 K", "K", 1200.0),
        ("-0.5 e / nm**2", "C/m**2", -0.0801088317),
        ("0.1 / ps", "1/s", 1e11),
        ("4 fs", "s", 4e-15),
        ("1.5 g/cm**3", "kg/m**3", 1500.0),
    ],
)
def test_quantities(text, unit, value):
    assert quantity(text, unit) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize(
    "text",
    [
        "10",
        "10 s",
        "ten nm",
        "",
        10,
        "nan nm",
        "1e999 nm",
        "1 2 nm",
        "1,3 nm",
        "nm",
        "10**10**10 nm",
    ],
)
def test_quantities_that_are_none(text):
    with pytest.raises(UnitError) as caught:
        quantity(text, "m")
    assert caught.value.wanted


def test_units_on_disk_are_spelt_for_udunits_readers():
    assert "C" not in {part for unit in UNITS for part in unit.split()}
    assert thermal_energy(1200.0) == pytest.approx(1.6567788e-20)


def test_transport_that_does_not_fit_together_is_refused():
    good = example("bulk-transport/1")
    for key, change, words in (
        ("conductivity", 1.01, "conductivity does not follow"),
        ("nernst_einstein", 1.01, "nernst_einstein does not follow"),
        ("transference", 1.01, "transference does not follow"),
    ):
        ds = good.copy(deep=True)
        ds[key].values[-1] *= change
        with pytest.raises(SchemaError, match=words):
            validate(ds, "bulk-transport/1")
    with pytest.raises(SchemaError, match="size of the box"):
        validate(good.drop_vars("viscosity"), "bulk-transport/1")
    alive = example("residence/1")
    alive["survival"].values[0, 0, 0] = 0.9
    with pytest.raises(SchemaError, match="survival at lag 0"):
        validate(alive, "residence/1")
