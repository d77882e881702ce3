"""Maps of positions: by hand, symmetries, whole molecules, presets, files."""

import numpy as np
import pytest
from universes import universe

from mesobridge.coarse import (
    Atoms,
    BeadMap,
    Template,
    backbone,
    c_alpha,
    load_map,
    map_of_residues,
    map_of_selections,
    one_bead_per_atom,
    one_bead_per_molecule,
)
from mesobridge.core.artefact import read_model, write_model
from mesobridge.core.errors import InputError, SchemaError

WATER = np.array([15.999, 1.008, 1.008])


def water(n):
    """Topology of n waters, then a sodium ion, then n waters."""
    names = ["OW", "HW1", "HW2"] * n + ["NA"] + ["OW", "HW1", "HW2"] * n
    number = np.concatenate(
        [np.repeat(np.arange(n), 3), [n], np.repeat(n + 1 + np.arange(n), 3)]
    )
    kinds = np.where(number == n, "NA", "SOL")
    masses = np.concatenate([np.tile(WATER, n), [22.99], np.tile(WATER, n)])
    return Atoms(np.array(names), kinds, number, np.zeros(len(names), int), masses)


def peptide(copies=1):
    """ACE-ALA-NME without most hydrogens, then a calcium ion called CA."""
    ala = ["N", "H", "CA", "CB", "C", "O"]
    residues = [("ACE", ["CH3", "C", "O"]), ("ALA", ala), ("GLY", ["N", "CA", "C", "O"])]
    residues = (residues + [("NME", ["N", "H", "C"])]) * copies + [("CA", ["CA"])]
    names = [n for _, atoms in residues for n in atoms]
    kinds = [kind for kind, atoms in residues for _ in atoms]
    number = [k for k, (_, atoms) in enumerate(residues) for _ in atoms]
    masses = [{"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999}[n[0]] for n in names]
    chain = np.zeros(len(names), dtype=int)
    return Atoms(
        np.array(names), np.array(kinds), np.array(number), chain, np.array(masses)
    )


def test_positions_by_hand():
    """An atom in two beads, one in none; molecules out of order in the system."""
    weights = np.array([[0.25, 0.75, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]])
    pair = Template(
        "AB", ("A", "B"), ("a", "b", "c", "d"), weights, np.array([[5, 4, 3, 2]])
    )
    ion = Template("Na", ("Na",), ("Na",), np.ones((1, 1)), np.array([[6], [0]]))
    beads = BeadMap((pair, ion), 7)
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3))
    wanted = np.stack(
        [
            x[..., 0, :],
            0.25 * x[..., 5, :] + 0.75 * x[..., 4, :],
            0.5 * (x[..., 4, :] + x[..., 3, :]),
            x[..., 6, :],
        ],
        axis=-2,
    )
    assert beads.species == ("Na", "A", "B", "Na")
    assert beads.positions(x) == pytest.approx(wanted, abs=1e-14)
    assert beads.positions(x[0, 0]) == pytest.approx(wanted[0, 0], abs=1e-14)


def test_ions_keep_the_order_of_atoms():
    species = ["Na", "Cl", "Cl", "Na"]
    beads = one_bead_per_atom(species)
    x = np.random.default_rng(0).normal(size=(3, 4, 3))
    assert beads.species == tuple(species)
    assert (beads.positions(x) == x).all()


def test_a_liquid_is_never_dense():
    """20 000 waters: as many numbers are stored as there are atoms."""
    beads = one_bead_per_molecule(water(10_000))
    assert beads.matrix.shape == (20_001, 60_001)
    assert beads.matrix.nnz == 60_001
    assert sum(t.weights.size for t in beads.templates) == 4


def test_masses():
    """Centre of mass: the sum; slice: the atom; half of two: 4 m m' / (m + m')."""
    top = water(2)
    beads = one_bead_per_molecule(top)
    wanted = [WATER.sum()] * 2 + [22.99] + [WATER.sum()] * 2
    assert beads.masses(top.masses) == pytest.approx(wanted)
    kinds = {"SOL": {"O": ["OW"], "H": {"HW1": 0.5, "HW2": 0.5}}}
    parts = map_of_residues(top, kinds, "slice")
    assert parts.species == ("O", "H") * 4
    assert parts.masses(top.masses) == pytest.approx([15.999, 2.016] * 4)
    with pytest.raises(InputError, match="masses of atoms in beads"):
        parts.masses(0 * top.masses)


def test_rotated_and_shifted_atoms_give_rotated_and_shifted_beads():
    rng = np.random.default_rng(1)
    beads = one_bead_per_molecule(water(3))
    x, shift = rng.normal(size=(4, 19, 3)), rng.normal(size=3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    wanted = beads.positions(x) @ turn + shift
    assert beads.positions(x @ turn + shift) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("tilt", [0.0, 0.7])
def test_broken_molecules_are_made_whole(tilt):
    """Chains longer than the box, cut at each face, box changing from frame to frame."""
    rng = np.random.default_rng(2)
    step = rng.normal(size=(6, 4, 12, 3))
    step *= 0.5 / np.linalg.norm(step, axis=-1, keepdims=True)
    step[..., 0] = np.abs(step[..., 0])
    chains = np.cumsum(step, axis=2)
    box = np.array([np.diag([2.0, 2.2, 2.4])] * 6) * rng.uniform(1, 1.1, (6, 1, 1))
    box[:, 1, 0] = tilt
    x = chains.reshape(6, 48, 3)
    wrapped = (x @ np.linalg.inv(box)) % 1.0 @ box
    names = tuple(f"C{k}" for k in range(12))
    weights = np.full((1, 12), 1 / 12)
    chain = Template("chain", ("X",), names, weights, np.arange(48).reshape(4, 12))
    beads = BeadMap((chain,), 48)
    assert np.ptp(chains[..., 0], axis=2).max() > box[:, 0, 0].max()
    off = (beads.positions(wrapped, box) - chains.mean(axis=2)) @ np.linalg.inv(box)
    assert off == pytest.approx(np.round(off), abs=1e-10)
    one = beads.positions(wrapped[0], box[0])
    assert one == pytest.approx(beads.positions(wrapped, box)[0], abs=1e-12)
    first = beads.whole(wrapped, box)[:, ::12]
    assert (first == wrapped[:, ::12]).all()


def test_selections():
    """A molecule among others: its atoms only, weights by each rule."""
    residues = [0, 0, 0, 1, 1, 2]
    u = universe(np.zeros((1, 6, 3)), 1.0, [5.0] * 3, list("ABCABD"), residues=residues)
    u.atoms.masses = [1.0, 3.0, 2.0, 1.0, 3.0, 5.0]
    u.add_TopologyAttr("resnames", ["X", "Y", "Z"])
    chosen = {"P": "resname X and name A B", "Q": "resname X and name B C"}
    beads = map_of_selections(u, chosen)
    assert beads.n_atoms == 6
    assert beads.templates[0].atoms.tolist() == [[0, 1, 2]]
    assert beads.templates[0].weights.tolist() == [[0.25, 0.75, 0.0], [0.0, 0.6, 0.4]]
    wide = map_of_selections(u, chosen, "geometric", molecule="resname X Z")
    assert wide.templates[0].atom_names == ("A", "B", "C", "D")
    assert wide.templates[0].weights[0].tolist() == [0.5, 0.5, 0.0, 0.0]
    given = map_of_selections(u, chosen, {"P": [0.1, 0.9], "Q": [2.0, -1.0]})
    assert given.templates[0].weights[1].tolist() == [0.0, 2.0, -1.0]
    for weights, words in (
        ("slice", "wanted: one atom"),
        ("centre", "weights of beads"),
        ({"P": [1.0], "Q": [0.5, 0.5]}, "bead P"),
        ({"P": [0.5, 0.6], "Q": [0.5, 0.5]}, "sum to one"),
    ):
        with pytest.raises(InputError, match=words):
            map_of_selections(u, chosen, weights)
    with pytest.raises(InputError, match="bead P is empty"):
        map_of_selections(u, {"P": "name nothing"})
    with pytest.raises(InputError, match="outside the molecule"):
        map_of_selections(u, chosen, molecule="resname Y")
    with pytest.raises(InputError, match="a bead at least"):
        map_of_selections(u, {})
    u.del_TopologyAttr("masses")
    with pytest.raises(InputError, match="no masses"):
        Atoms.of(u)


def test_backbone_and_c_alpha():
    """Two chains that caps part; the calcium ion is none of them."""
    top = peptide(2)
    five = backbone(top)
    assert five.species == ("C", "N", "CA", "C", "N", "CA", "C", "N") * 2
    assert len(five.templates) == 1
    picked = top.names[five.matrix.indices]
    assert tuple(picked) == five.species
    alpha = c_alpha(top)
    assert alpha.species == ("ALA", "GLY") * 2
    assert set(top.names[alpha.matrix.indices]) == {"CA"}
    assert alpha.templates[0].atoms.shape == (2, 16)
    assert (np.sort(alpha.matrix.indices) != len(top.names) - 1).all()
    with pytest.raises(InputError, match="N, CA and C"):
        backbone(water(1))


def test_chains_without_caps_are_parted_by_their_numbers():
    top = peptide()
    inside = np.isin(top.residues, ["ALA", "GLY"])
    names, kinds = top.names[inside], top.residues[inside]
    number = np.concatenate([top.residue[inside], top.residue[inside] + 10])
    chain = np.repeat([0, 1], inside.sum())
    twice = Atoms(
        np.tile(names, 2), np.tile(kinds, 2), number, chain, np.ones(len(number))
    )
    assert backbone(twice).species == ("N", "CA", "C") * 4
    assert backbone(twice).templates[0].atoms.shape == (2, 10)


def test_maps_survive_a_file(tmp_path):
    beads = map_of_residues(
        water(2), {"SOL": {"W": ["OW", "HW1", "HW2"]}, "NA": {"Na": ["NA"]}}
    )
    header = {
        "map": beads.as_json(), "basis": {}, "pairs": [], "units": {}, "cutoff": 1.0,
        "coulomb": "", "validity": {}, "n_units": 1,
    }  # fmt: skip
    write_model(tmp_path / "m.safetensors", "cg-model/1", header, beads.tensors())
    header, tensors = read_model(tmp_path / "m.safetensors", "cg-model/1")
    again = load_map(header["map"], tensors)
    assert again.species == beads.species
    assert [t.atom_names for t in again.templates] == [
        t.atom_names for t in beads.templates
    ]
    x = np.random.default_rng(0).normal(size=(2, 13, 3))
    assert (again.positions(x) == beads.positions(x)).all()
    tensors.pop("map.1.atoms")
    with pytest.raises(SchemaError, match="the map of a model file"):
        load_map(header["map"], tensors)


def test_refusals():
    top = water(2)
    one = Template("A", ("A",), ("a",), np.ones((1, 1)), np.array([[3]]))
    with pytest.raises(InputError, match="one molecule at most"):
        BeadMap((one, one), 4)
    with pytest.raises(InputError, match="0 to 2"):
        BeadMap((one,), 3)
    with pytest.raises(InputError, match="without molecules"):
        BeadMap((), 3)
    with pytest.raises(InputError, match="shapes of the map"):
        Template("A", ("A",), ("a",), np.ones((1, 2)), np.array([[0, 1]]))
    with pytest.raises(InputError, match="bead A of A is empty"):
        Template("A", ("A",), ("a",), np.zeros((1, 1)), np.array([[0]]))
    with pytest.raises(InputError, match=r"shape \(\.\.\., 13, 3\)"):
        one_bead_per_molecule(top).positions(np.zeros((2, 12, 3)))
    for box in ([3.0, 3.0, 3.0, 90, 90, 90], np.zeros((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(InputError, match="triclinic_dimensions"):
            one_bead_per_molecule(top).positions(np.zeros((2, 13, 3)), box)
    with pytest.raises(InputError, match="masses of atoms"):
        one_bead_per_molecule(top).masses(top.masses[:5])
    with pytest.raises(InputError, match="residues DME"):
        one_bead_per_molecule(top, ["DME"])
    with pytest.raises(InputError, match="atom M of residue SOL"):
        map_of_residues(top, {"SOL": {"W": ["M"]}})
    with pytest.raises(InputError, match="masses of bead"):
        map_of_residues(
            Atoms(**{**top.__dict__, "masses": 0 * top.masses}), {"SOL": {"W": ["OW"]}}
        )
    top.names[3] = "O"
    with pytest.raises(InputError, match="residues SOL differ"):
        one_bead_per_molecule(top)
