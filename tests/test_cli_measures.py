"""`mesobridge transport`, `dielectric`, `residence`, and profiles anchored to a bulk."""

import numpy as np
import pytest
from brownian import EDGE, walk
from universes import free, universe

from mesobridge.atomistic.profiles import with_bulk
from mesobridge.core.artefact import read_dataset
from mesobridge.core.errors import InputError
from mesobridge.core.stats import half_width95
from mesobridge.core.units import NM

IONS = ["--species", "Na=name Na", "--species", "Cl=name Cl"]
CHARGED = [*IONS, "--charge", "name Na=1", "--charge", "name Cl=-1"]
WARM = ["--temperature", "1200 K", "--quiet"]


def written(u, folder, name):
    u.add_TopologyAttr("resids", range(1, len(u.residues) + 1))
    for suffix, frames in (("gro", None), ("xtc", "all")):
        path = str(folder / f"{name}.{suffix}")
        u.atoms.write(path, frames=frames) if frames else u.atoms.write(path)
    return [folder / f"{name}.xtc", "--topology", folder / f"{name}.gro"]


@pytest.fixture(scope="module")
def bulk(tmp_path_factory):
    """Free ions of a cubic box."""
    folder = tmp_path_factory.mktemp("bulk")
    u = universe(free(40, 501, 3.0, 2, D=0.05), 0.1, (3.0,) * 3, wrap=True)
    u.add_TopologyAttr("resnames", ["ION"] * 40)
    return written(u, folder, "salt")


@pytest.fixture(scope="module")
def slab(tmp_path_factory):
    """Ions between walls."""
    x = walk(64, 20.0, 4)["positions"].values / NM
    u = universe(x, 0.02, (EDGE, EDGE, 13.0))
    u.add_TopologyAttr("resnames", ["ION"] * 64)
    return written(u, tmp_path_factory.mktemp("slab"), "slab")


def profiles(mesobridge, slab, *more):
    return mesobridge(
        "profiles", *slab, *CHARGED, *WARM, "--lag", "0.2 ps", "--block", "5 ps",
        "--bin", "0.05 nm", "--left", "5 nm", "--right", "6.6 nm", "--replicates", "50",
        "--out", "p.nc", *more,
    )  # fmt: skip


def test_transport_into_a_file_a_picture_and_a_table(mesobridge, bulk, tmp_path):
    code, out, err = mesobridge(
        "transport", *bulk, *CHARGED, *WARM, "--lags", "1 ps", "3 ps", "--viscosity",
        "0.7 mPa s", "--out", "t.nc", "--plot", "t.png",
    )  # fmt: skip
    assert (code, err) == (0, "")
    ds = read_dataset(tmp_path / "t.nc", "bulk-transport/1")
    assert ds.attrs["trajectory"] == "salt.xtc"
    assert ds.attrs["lag_last"] == pytest.approx(3e-12)
    assert (tmp_path / "t.png").read_bytes()[:4] == b"\x89PNG"
    assert "t.nc: 10 blocks of 5 ps" in out
    half = half_width95(ds["D"].values[:, 0], 10) * 1e9
    low, high = (ds["D"].values[0, 0] * 1e9 + sign * half for sign in (-1, 1))
    assert f"[{low:.0f}, {high:.0f}] 1e-9 m2/s" in out.splitlines()[1]
    for words in ("D of an infinite box Na", "conductivity", "transference Cl", "Haven"):
        assert words in out


def test_residence_and_dielectric(mesobridge, slab, tmp_path):
    code, out, err = mesobridge(
        "residence", *slab, *IONS, "--quiet", "--between", "5 nm", "5.3 nm", "--out",
        "r.nc", "--plot", "r.pdf", "--longest", "1.6 ps",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "continuous, 5 to 5.3 nm along z" in out
    assert read_dataset(tmp_path / "r.nc", "residence/1").sizes["lag"] == 81
    assert (tmp_path / "r.pdf").stat().st_size > 1000
    code, out, err = mesobridge(
        "residence", *slab, "--species", "Na=name Na", "--quiet", "--around", "name Cl",
        "--within", "0.35 nm", "--kind", "intermittent", "--out", "s.nc",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "intermittent, within 0.35 nm of name Cl" in out
    # Each ion a molecule of its own: no dipoles, but a current.
    code, _, err = mesobridge(
        "dielectric", *slab, "--charge", "all=1", *WARM, "--boundary", "slab"
    )
    assert code == 2
    assert "charged molecules" in err


@pytest.mark.parametrize(
    ("verb", "change", "text"),
    [
        ("transport", ["--block", "9 nm"], "9 nm"),
        ("transport", ["--species", "Na"], "NAME=SELECTION"),
        ("transport", ["--green-kubo"], "without velocities"),
        ("transport", ["--block", "0.15 ps"], "does not fit the trajectory"),
        ("transport", ["--stop", "20"], "too few frames to choose blocks"),
        ("transport", ["--plot", "t.docx"], "cannot be drawn"),
        ("transport", ["--out", "nowhere/t.nc"], "cannot be written"),
        ("transport", ["--topology", "other.gro"], "not there"),
        ("residence", [], "--between LOW HIGH, or --around"),
        ("residence", ["--around", "name Cl"], "--within RADIUS"),
        ("residence", ["--between", "1 nm", "2 nm", "--pairs"], "--pairs with --around"),
        ("residence", ["--between", "1 nm", "2 nm", "--around", "all"], "--between LOW"),
        ("transport", ["--solvent", "Na"], "do nothing here"),
        ("dielectric", ["--boundary", "open"], "boundary of the run"),
    ],
)
def test_bad_input(mesobridge, bulk, tmp_path, verb, change, text):
    given = {
        "transport": [*CHARGED, *WARM],
        "residence": [*IONS, "--quiet"],
        "dielectric": [*WARM, "--charge", "all=0"],
    }[verb]
    code, _, err = mesobridge(verb, *bulk, *given, *change)
    assert code == 2
    assert text in err
    assert not list(tmp_path.iterdir())


def test_profiles_take_their_bulk_from_another_run(mesobridge, bulk, slab, tmp_path):
    kept = ["transport", *bulk, *CHARGED, "--quiet", "--replicates", "90"]
    hot = ["--temperature", "1205 K", "--viscosity", "0.7 mPa s", "--out", "t.nc"]
    assert mesobridge(*kept, *hot)[0] == 0
    assert profiles(mesobridge, slab, "--bulk", "t.nc", "--plot", "p.svg")[0] == 0
    assert "bulk" in (tmp_path / "p.svg").read_text()
    found = read_dataset(tmp_path / "p.nc", "interface-profiles/1")
    run = read_dataset(tmp_path / "t.nc", "bulk-transport/1")
    assert found["D_bulk"].dims == ("replicate", "species")
    assert found["D_bulk"].values[0] == pytest.approx(run["D_infinite"].values[0])
    # Four units here and ten there: nothing is widened, replicates are those of the run.
    n = found.attrs["n_units"]
    assert n == 4
    for s in range(2):
        drawn, known = found["D_bulk"].values[:, s], run["D_infinite"].values[:, s]
        assert np.isclose(drawn[:, None], known, rtol=1e-9, atol=0).any(axis=1).all()
    assert profiles(mesobridge, slab, "--bulk", "nothing.nc")[0] == 2
    cold = ["--temperature", "1000 K", "--out", "t.nc"]
    assert mesobridge(*kept, *cold)[0] == 0
    code, _, err = profiles(mesobridge, slab, "--bulk", "t.nc")
    assert code == 2
    assert "different temperatures" in err
    still = ["--left", "5 nm", "--right", "6.6 nm", "--bulk", "t.nc"]
    code, _, err = mesobridge("profiles", *slab, *CHARGED, *WARM, *still)
    assert code == 2
    assert "--lag with --bulk" in err


def test_bulk_replicates_are_paired_at_random():
    """Units that are fewer widen; equal tables of weights do not pair."""
    rng = np.random.default_rng(3)
    D = np.exp(0.05 * rng.standard_normal((401, 1)))
    D[0] = 1.0
    bulk = made_bulk(2e-9 * D, n_units=5)
    ds = with_bulk(made_profiles(401, n_units=40), bulk)
    found = ds["D_bulk"].values[:, 0]
    assert found[0] == 2e-9
    truth = half_width95(2e-9 * D[:, 0], 5)
    assert half_width95(found, 40) == pytest.approx(truth, rel=0.03)
    assert abs(np.corrcoef(found[1:], D[1:, 0])[0, 1]) < 0.2
    fewer = with_bulk(made_profiles(51, n_units=40), bulk)
    more = with_bulk(made_profiles(1001, n_units=40), bulk)
    assert fewer.sizes["replicate"] == 51
    assert len(np.unique(more["D_bulk"].values)) > 300
    with pytest.raises(InputError, match="species that the bulk run does not have"):
        with_bulk(made_profiles(51, n_units=40, name="K"), bulk)


def made_bulk(D, n_units):
    from mesobridge.core.schema import dataset

    values = {
        "species": ["Na"], "charge_number": [0.0], "number_density": [1e27], "D": D,
        "regime": ["diffusive"], "lag": [1e-12, 2e-12],
    }  # fmt: skip
    attrs = {
        "method": "einstein", "frame": "barycentric", "temperature": 300.0,
        "volume": 1e-26, "lag_first": 1e-12, "lag_last": 2e-12, "block_length": 1e-11,
        "n_units": n_units, "seed": 0,
    }  # fmt: skip
    return dataset("bulk-transport/1", values, attrs)


def made_profiles(replicates, n_units, name="Na"):
    from mesobridge.core.schema import SCHEMAS, dataset

    schema = SCHEMAS["interface-profiles/1"]
    sizes = {"z": 4, "z_face": 5, "species": 1, "replicate": replicates}
    values = {
        key: np.ones([sizes[d] for d in var.dims])
        for key, var in schema.variables.items()
        if not var.optional and var.kind == "float"
    }
    values |= {
        "z": np.arange(4.0), "z_face": np.arange(5.0) - 0.5, "species": [name],
        "quality_flag": np.zeros((1, 4), int),
        "charge_density": np.zeros((replicates, 4)),
    }  # fmt: skip
    attrs = dict.fromkeys(schema.attrs, 0.0) | {
        "temperature": 300.0, "area": 1e-18, "n_units": n_units, "seed": 0
    }  # fmt: skip
    return dataset("interface-profiles/1", values, attrs)
