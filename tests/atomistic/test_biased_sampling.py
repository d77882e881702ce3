"""A chain of four atoms whose torsion is known, and a peptide, sampled with a bias."""

from pathlib import Path

import numpy as np
import openmm
import pytest
from MDAnalysis.lib.distances import calc_dihedrals

from mesobridge.atomistic.biased_sampling import (
    Molecule,
    read_molecule,
    relaxed_surface,
    sample_biased,
)
from mesobridge.core.errors import InputError
from mesobridge.core.md import MDSettings
from mesobridge.core.units import AVOGADRO, NM, PS

ROOT = Path(__file__).resolve().parents[2]
PDB = (ROOT / "examples/alanine_dipeptide/alanine.pdb").read_text()
PHI, PSI = (4, 6, 8, 14), (6, 8, 14, 16)
T, KT = 300.0, 2.4943
BARRIER = 3 * KT


def dihedral(x, atoms):
    return calc_dihedrals(*(x[..., a, :].astype(np.float32) for a in atoms))


def torsion(energy, atoms):
    force = openmm.CustomTorsionForce(energy)
    for four in atoms:
        force.addTorsion(*four, [])
    return force


def chain(n):
    """Atoms in a row, bonds and angles stiff, 3 kT (1 + cos) on each dihedral."""
    system, angle = openmm.System(), 1.9
    bonds, bends = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    for _ in range(n):
        system.addParticle(20.0)
    for k in range(n - 1):
        bonds.addBond(k, k + 1, 0.15, 1e5)
    for k in range(n - 2):
        bends.addAngle(k, k + 1, k + 2, angle, 500.0)
    turns = [(k, k + 1, k + 2, k + 3) for k in range(n - 3)]
    for force in (bonds, bends, torsion(f"{BARRIER}*(1 + cos(theta))", turns)):
        system.addForce(force)
    x = np.zeros((n, 3))
    for k in range(1, n):
        way = 0.5 * (np.pi - angle) * (-1) ** k
        x[k] = x[k - 1] + 0.15 * np.array([np.cos(way), np.sin(way), 0.0])
    pairs = tuple((k, k + 1) for k in range(n - 1))
    return Molecule(("C",) * n, ("X",) * n, (0,) * n, pairs, system, x), turns


def settings(seed=1):
    return MDSettings(T, 4e-3 * PS, 2 / PS, seed)


@pytest.fixture(scope="module")
def flat():
    """The chain of four with a bias that flattens its torsion."""
    molecule, (four,) = chain(4)
    bias = torsion(f"-{BARRIER}*cos(theta)", [four])
    frames = sample_biased(
        molecule, bias, molecule.x, settings(), settle=1000, length=120_000, stride=20,
        segment=40_000,
    )  # fmt: skip
    return molecule, four, frames


def test_the_bias_moves_atoms_but_is_not_in_their_forces(flat):
    molecule, four, frames = flat
    x = frames["positions"].values / NM
    assert len(x) == 6000
    assert frames.attrs["bias"] == "not in forces and energies"
    context = openmm.Context(molecule.system, openmm.VerletIntegrator(1e-3))
    for k in (0, 2000, 5999):
        context.setPositions(x[k])
        wanted = context.getState(getForces=True).getForces(asNumpy=True)._value
        found = frames["forces"].values[k] * (NM * AVOGADRO / 1e3)
        assert found == pytest.approx(wanted, abs=0.02)
    q = dihedral(x, four)
    # Flat, so that cos and sin are zero; without the bias <cos> would be -0.81.
    for wave in (np.cos(q), np.sin(q), np.cos(2 * q)):
        parts = np.array([p.mean() for p in np.array_split(wave, 20)])
        assert abs(parts.mean()) < 4.5 * parts.std(ddof=1) / 20**0.5


def test_weights_give_what_the_torsion_alone_would(flat):
    _, four, frames = flat
    q = dihedral(frames["positions"].values / NM, four)
    weights = np.exp(-BARRIER / KT * np.cos(q))
    parts = np.array_split(np.arange(len(q)), 20)
    each = np.array([np.average(np.cos(q[p]), weights=weights[p]) for p in parts])
    line = np.linspace(-np.pi, np.pi, 2001)
    wanted = np.average(np.cos(line), weights=np.exp(-BARRIER / KT * np.cos(line)))
    assert wanted == pytest.approx(-0.81, abs=0.01)
    assert abs(each.mean() - wanted) < 5 * each.std(ddof=1) / 20**0.5 < 0.1


def test_a_killed_run_goes_on_bit_by_bit(tmp_path):
    molecule, (four,) = chain(4)

    def go(scratch, progress=None):
        return sample_biased(
            molecule, torsion("-3*cos(theta)", [four]), molecule.x, settings(5),
            settle=100, length=900, stride=20, segment=200, scratch=scratch,
            progress=progress,
        )  # fmt: skip

    def kill(done, total, text):
        if done >= 400:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, kill)
    assert len(list(tmp_path.iterdir())) == 2
    assert go(tmp_path).identical(go(None))


def test_steps_are_multiples_of_the_stride():
    molecule, (four,) = chain(4)
    for settle, length, segment in ((110, 200, 40), (100, 210, 40), (100, 200, 50)):
        with pytest.raises(InputError, match="multiples of the stride, 20"):
            sample_biased(
                molecule, torsion("0", [four]), molecule.x, settings(), settle=settle,
                length=length, stride=20, segment=segment,
            )  # fmt: skip


def test_surface_of_known_torsions():
    """Bonds and angles relax: what is left are the two torsions."""
    molecule, turns = chain(5)
    told = []
    found = relaxed_surface(molecule, tuple(turns), 6, lambda *a: told.append(a))
    line = -np.pi + np.arange(6) * np.pi / 3
    each = BARRIER * (1 + np.cos(line))
    assert found == pytest.approx(each[:, None] + each, abs=0.3)
    assert told[-1][:2] == (36, 36)


def test_peptide_is_turned_as_asked_and_stays_itself():
    molecule = read_molecule(PDB)
    assert (len(molecule.names), len(molecule.rigid)) == (22, 12)
    hand = []
    for angles in ((-1.4, 2.6), (1.0, 0.7), (3.0, -3.0)):
        x = molecule.turned((PHI, PSI), angles)
        assert dihedral(x, PHI) == pytest.approx(angles[0], abs=1e-4)
        assert dihedral(x, PSI) == pytest.approx(angles[1], abs=1e-4)
        for a, b in molecule.bonds:
            length = np.linalg.norm(x[a] - x[b])
            assert length == pytest.approx(
                np.linalg.norm(molecule.x[a] - molecule.x[b]), abs=1e-9
            )
        n, c, side = (x[k] - x[8] for k in (6, 14, 10))
        hand.append(np.sign(np.cross(n, c) @ side))
    assert len(set(hand)) == 1
    again = read_molecule(PDB, rigid=False)
    assert again.rigid == []
    assert again.masses.sum() == pytest.approx(144.17, abs=0.05)


def test_what_cannot_be_turned_or_read():
    molecule, (four,) = chain(4)
    ring = Molecule(molecule.names, molecule.residues, molecule.residue,
                    (*molecule.bonds, (3, 0)), molecule.system, molecule.x)  # fmt: skip
    with pytest.raises(InputError, match="a ring"):
        ring.turned((four,), (1.0,))
    with pytest.raises(InputError, match="no bond"):
        molecule.turned(((1, 0, 2, 3),), (1.0,))
    with pytest.raises(InputError, match="molecule in amber14-all.xml"):
        read_molecule(PDB.replace("ALA", "XYZ"))
    short = "\n".join(line for line in PDB.splitlines() if " HB3 " not in line)
    with pytest.raises(InputError, match="all their atoms"):
        read_molecule(short)
    with pytest.raises(InputError, match="nowhere.xml"):
        read_molecule(PDB, ("nowhere.xml",))
