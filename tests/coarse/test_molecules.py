"""Terms that bonds ask for."""

import numpy as np
import pytest
import torch

from mesobridge.coarse.molecules import molecular_terms
from mesobridge.coarse.terms import Torsions
from mesobridge.core.errors import InputError

CHAIN = [(0, 1), (1, 2), (2, 3), (3, 4)]
NAMES = ("C", "N", "CA", "C", "N")


def frames(seed=0, n=50):
    rng = np.random.default_rng(seed)
    line = np.array(
        [[0, 0, 0], [1.2, 0.8, 0], [2.4, 0, 0.3], [3.6, 0.8, 0.3], [4.8, 0, 0]]
    )
    return line / 10 + rng.normal(0, 0.02, (n, 5, 3))


def names(terms):
    return [term.name for term in terms]


def test_a_chain_has_all_it_needs():
    terms = molecular_terms(frames(), CHAIN, NAMES)
    assert names(terms) == [
        "bond C0-N1", "bond N1-CA2", "bond CA2-C3", "bond C3-N4",
        "angle C0-N1-CA2", "angle N1-CA2-C3", "angle CA2-C3-N4",
        "dihedral C0-N1-CA2-C3", "dihedral N1-CA2-C3-N4",
        "distance C0-C3", "distance C0-N4", "distance N1-N4",
    ]  # fmt: skip


def test_a_map_takes_the_place_of_its_dihedrals():
    phi, psi = (0, 1, 2, 3), (1, 2, 3, 4)
    terms = molecular_terms(frames(), CHAIN, NAMES, maps=[(phi, psi)], order=3)
    (found,) = [term for term in terms if isinstance(term, Torsions)]
    assert found.beads == ((phi, psi),)
    assert found.size == 48
    assert not [name for name in names(terms) if name.startswith("dihedral")]


def test_lists_as_json_has_them_are_the_same():
    maps = [[[0, 1, 2, 3], [1, 2, 3, 4]]]
    lists = molecular_terms(frames(), [list(b) for b in CHAIN], NAMES, maps=maps)
    tuples = [((0, 1, 2, 3), (1, 2, 3, 4))]
    assert lists == molecular_terms(frames(), CHAIN, NAMES, maps=tuples)


def test_splines_reach_around_the_data():
    x = frames()
    for term in molecular_terms(x, CHAIN, NAMES):
        value, _ = term.coordinates(torch.from_numpy(x))
        assert term.basis.start < value.min()
        assert value.max() < term.basis.stop


def test_branches_and_rings():
    star = [(0, 1), (0, 2), (0, 3)]
    found = names(molecular_terms(frames()[:, :4], star, "ABCD"))
    assert [n for n in found if n.startswith("angle")] == [
        "angle B1-A0-C2", "angle B1-A0-D3", "angle C2-A0-D3"
    ]  # fmt: skip
    assert not [n for n in found if n.startswith(("dihedral", "distance"))]
    ring = [*CHAIN, (4, 0)]
    found = names(molecular_terms(frames(), ring, NAMES))
    assert sum(n.startswith("dihedral") for n in found) == 5
    assert not [n for n in found if n.startswith("distance")]


def test_bonds_may_be_an_array_as_mdanalysis_has_them():
    terms = molecular_terms(frames(), np.array(CHAIN, dtype=np.int32), NAMES)
    assert terms == molecular_terms(frames(), CHAIN, NAMES)
    assert type(terms[0].beads[0][0]) is int  # for the file of a model


def test_what_does_not_hold_together_is_refused():
    with pytest.raises(InputError, match="none to bead 4"):
        molecular_terms(frames(), CHAIN[:3], NAMES)
    for wrong in ([], [*CHAIN, (4, 5)]):
        with pytest.raises(InputError, match="pairs of beads, 0 to 4"):
            molecular_terms(frames(), wrong, NAMES)
    with pytest.raises(InputError, match="four bonded beads"):
        molecular_terms(frames(), CHAIN, NAMES, maps=[((0, 1, 2, 3), (0, 2, 3, 4))])
    for bonds in ([], [*CHAIN[:3], (3, 9)], [*CHAIN, (4, 4)]):
        with pytest.raises(InputError, match="pairs of beads, 0 to 4"):
            molecular_terms(frames(), bonds, NAMES)
    for x in (frames()[0], frames()[:0], frames()[:, :4], np.nan * frames()):
        with pytest.raises(InputError, match="frames of a molecule"):
            molecular_terms(x, CHAIN, NAMES)
