"""Groups of particles in the one pass: nothing is lost, molecules whole, charge kept."""

from dataclasses import replace

import numpy as np
import pytest
from brownian import EDGE, WIDTH, diffusivity, walk, work
from universes import free, universe

from mesobridge.atomistic.profiles import (
    Cylindrical,
    Electrics,
    Planar,
    Resolution,
    Species,
    View,
    interface_profiles,
)
from mesobridge.atomistic.profiles.interface import _plan
from mesobridge.atomistic.profiles.particles import particles_of
from mesobridge.atomistic.profiles.parts import parts_of
from mesobridge.atomistic.profiles.source import Source
from mesobridge.atomistic.profiles.stream import collect
from mesobridge.core.stats import half_width95
from mesobridge.core.units import DALTON, ELEMENTARY_CHARGE, NM, PS, thermal_energy

ARM = np.array([0.0, 0.0, 0.08])
BOX = 2.0
HOW = Resolution(0.1 * NM, 0.2 * PS, None, 50, 1)
VIEW = View(300.0, electrics=Electrics("periodic"))
SPECIES = {
    "Na": "name Na",
    "Cl": "name Cl",
    "dipole": Species("resindex 0:59", "residues"),
}


@pytest.fixture(scope="module")
def solution():
    """Dipoles, 60 of a species and 40 of none, 12 Na, 12 Cl, and a pair of wall atoms."""
    centre = free(100, 240, BOX, 3)
    x = np.stack([centre - ARM, centre + ARM], axis=2).reshape(240, 200, 3)
    wall = np.zeros((240, 2, 3)) + [[0.1, 0.1, 0.1], [0.2, 0.2, 1.0]]
    names = ["A", "B"] * 100 + ["Na"] * 12 + ["Cl"] * 12 + ["W", "V"]
    charge = {"A": 0.5, "B": -0.5, "Na": 1.0, "Cl": -1.0, "W": 0.3, "V": -0.3}
    return universe(
        np.concatenate([x, free(24, 240, BOX, 4), wall], axis=1), 0.1, (BOX,) * 3, names,
        [charge[one] for one in names],
        residues=np.append(np.repeat(np.arange(100), 2), 100 + np.arange(26)), wrap=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def profiles(solution):
    return interface_profiles(solution, SPECIES, HOW, VIEW)


def summed(u, processes=1):
    source = Source(u, particles_of(u, SPECIES), Planar())
    plan = _plan(source, HOW, 0, len(u.trajectory))
    return collect(source, plan, processes), plan


@pytest.mark.parametrize("processes", [1, 2])
def test_groups_hold_what_times_hold(solution, processes):
    sums, plan = summed(solution, processes)
    assert (plan.groups, len(sums.frames)) == (12, plan.units + 12)
    for name in ("frames", "extent", "volume", "share", "counts", "charge", "mass",
                 "stayed", "growth", "spent"):  # fmt: skip
        value = getattr(sums, name)
        total = [value[part].sum(axis=0)
                 for part in (slice(plan.units), slice(plan.units, None))]  # fmt: skip
        assert total[0] == pytest.approx(total[1], rel=1e-9, abs=1e-9), name
    for counts in sums.transitions.values():
        halves = counts[:, : plan.units], counts[:, plan.units :]
        assert (halves[0].sum(axis=1) == halves[1].sum(axis=1)).all()
    assert sums.apart[:, :, :-1].sum(axis=1) == pytest.approx(sums.counts[: plan.units])
    assert (sums.counts.sum(axis=2)[plan.units :] == 240 * np.array([1, 1, 5])).all()


def test_molecules_stay_whole(solution):
    parts = parts_of(particles_of(solution, SPECIES), solution.atoms.resindices, None)
    assert parts.groups == 12
    group = parts.group[:200].reshape(100, 2)
    assert (group[:, 0] == group[:, 1]).all()
    assert (parts.group[-2:] == 12).all()  # too rare: in all of them
    assert (parts.followed == np.concatenate([parts.group[200:224], group[:60, 0]])).all()


def test_a_particle_below_the_border_of_a_box_that_varies():
    """In single precision, scaled to the first box, it came to lie in no cell."""
    height = np.append(3.8461551666259766, np.full(79, 3.151032638549805))
    x = np.full((80, 2, 3), 3.1510324)
    u = universe(x, 0.1, np.stack([np.full(80, 4.0)] * 2 + [height], axis=1))
    u.trajectory.get_array()[...] = np.float32(31.510324)
    source = Source(u, particles_of(u, {"Na": "name Na", "Cl": "name Cl"}), Planar())
    plan = replace(_plan(source, replace(HOW, block=PS), 0, 80), n=40)
    for counts in collect(source, plan).transitions.values():
        seen = np.argwhere(counts[:, 1:].sum(axis=1))
        assert (seen[:, 1:] == 39).all()
        assert (counts[0] == counts[1]).all()


def test_one_residue_is_no_molecule():
    """Files without residues: atoms are dealt out one by one."""
    u = universe(free(60, 4, BOX, 3), 0.1, (BOX,) * 3, residues=np.zeros(60, dtype=int))
    ions = {"Na": "name Na"}
    parts = parts_of(particles_of(u, ions), u.atoms.resindices, None)
    assert parts.groups == 24
    assert np.bincount(parts.group).max() == 4  # 30 Na of a species, 30 Cl of none


def test_a_rare_species_forbids_groups(solution):
    for few in ({"few": "index 200:208", "Cl": "name Cl"},
                {"A": "name A", "all but two": "name A and index 0:195"}):  # fmt: skip
        particles = particles_of(solution, few)
        assert parts_of(particles, solution.atoms.resindices, None).groups == 1


def test_every_replicate_has_the_charge_and_mass_of_the_system(profiles):
    assert "12 groups" in profiles.attrs["units"]
    h = np.diff(profiles["z_face"]) * (BOX * NM) ** 2
    charge = (profiles["charge_density"].values * h).sum(axis=1) / ELEMENTARY_CHARGE
    assert np.abs(charge).max() < 1e-9
    mass = (profiles["mass_density"].values * h).sum(axis=1) / DALTON
    assert mass == pytest.approx(np.full(51, 226 * 29.0))
    number = (profiles["number_density"].values * h).sum(axis=2)
    assert number == pytest.approx(np.tile([12.0, 12.0, 60.0], (51, 1)))
    assert np.ptp(profiles["charge_density"].values, axis=0).min() > 0


def test_densities_of_a_species_by_its_atoms(solution, profiles):
    """Of ions charge and mass are where they are; of dipoles at their ends."""
    z, cells = np.mod(solution.trajectory.timeseries(order="fac")[..., 2] / 10, BOX), 20
    cell = np.minimum((z[:, :120] * cells / BOX).astype(int), cells - 1)
    wanted = np.bincount(cell.ravel(), np.tile([0.5, -0.5], 240 * 60), minlength=cells)
    volume = BOX**3 / cells * NM**3
    got = profiles["species_charge_density"].values
    assert got[0, 2] * volume / ELEMENTARY_CHARGE == pytest.approx(wanted / 240, abs=0.01)
    density = profiles["number_density"].values
    for s, q in enumerate((1.0, -1.0)):
        assert got[:, s] == pytest.approx(q * ELEMENTARY_CHARGE * density[:, s])
    mass = profiles["species_mass_density"].values
    assert mass[:, 0] == pytest.approx(29 * DALTON * density[:, 0])
    assert mass[:, 2].mean(axis=-1) == pytest.approx(58 * DALTON * density[:, 2].mean(-1))


def test_groups_of_a_shell():
    """Particles come and go; densities are those of time blocks."""
    u = universe(free(100, 400, 3.0, 5), 0.1, (3.0,) * 3, wrap=True)
    view = replace(VIEW, coordinate=Cylindrical(1.4 * NM),
                   electrics=Electrics(reference="right"))  # fmt: skip
    species = {"Na": "name Na", "Cl": "name Cl"}
    one, other = (
        interface_profiles(u, species, replace(HOW, block=block), view)
        for block in (None, 2 * PS)
    )
    assert "groups" in one.attrs["units"]
    assert one["number_density"].values[0] == pytest.approx(
        other["number_density"].values[0]
    )


@pytest.mark.slow
def test_coverage_of_runs_that_are_shorter_than_their_memory():
    """95 % intervals of W, D_perp and D_par hold the truth in 88 to 99 % of points."""
    inside = np.mean([covered(1000 + seed) for seed in range(24)], axis=0)
    assert (inside > 0.88).all(), inside
    assert (inside < 0.99).all(), inside


def covered(seed):
    """Parts of the points whose intervals hold the truth: W, D_perp, D_par."""
    x = walk(96, 16.0, seed)["positions"].values / NM
    u = universe(x, 0.02, (EDGE, EDGE, 13.0), wrap=True)
    walls = Planar("z", 5.0 * NM, (5.0 + WIDTH) * NM)
    how = Resolution(0.0533 * NM, 0.2 * PS, None, 80, seed)
    ds = interface_profiles(
        u, {"Na": "name Na", "Cl": "name Cl"}, how, View(1200.0, walls)
    )
    z, face = ds["z"].values / NM - 5.0, ds["z_face"].values / NM - 5.0
    fine = (np.arange(50 * len(z)) + 0.5) * WIDTH / (50 * len(z))
    density = np.exp(-work(fine)).reshape(len(z), 50).mean(axis=1)
    W = -np.log(density / density[np.abs(z / WIDTH - 0.5) < 0.1].mean())
    found = []
    for name, place, truth in (
        ("pmf", z, thermal_energy(1200.0) * W),
        ("D_perp", face, NM**2 / PS * diffusivity(face)),
        ("D_par", z, NM**2 / PS * diffusivity(z)),
    ):
        half = half_width95(ds[name].values, ds.attrs["n_units"])
        held = np.abs(ds[name].values[0] - truth) <= half
        found.append(held[:, (place > 0.1) & (place < WIDTH - 0.1)].mean())
    return found
