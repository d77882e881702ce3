"""Alanine dipeptide, all atoms: the noise that basic and optimal force maps leave.

Map and potential are made from one half of the frames and judged on the other.
"""

from __future__ import annotations

import numpy as np
from alanine import BONDS, DATA, KCAL_MOL_ANGSTROM, PHI, PSI
from figures import figure, in_turns

from mesobridge.coarse import (
    ArrayFrames,
    Atoms,
    ForceCovariance,
    backbone,
    basic_force_map,
    fit,
    match,
    optimal_force_map,
    rigid_pairs,
)
from mesobridge.coarse.molecules import molecular_terms

RUNS = {"free bonds": "noconstr_1fs", "rigid X-H bonds": "hbonds_2fs"}


def topology(data) -> Atoms:
    """Names and residues; masses do not matter to beads on single atoms."""
    residues = data["res"]
    number = np.cumsum(np.concatenate([[0], residues[1:] != residues[:-1]]))
    n = len(residues)
    return Atoms(data["names"], residues, number, np.zeros(n, int), np.ones(n))


def left(beads, force_map, x, force, halves) -> tuple[float, float]:
    """Mean square force beside a fit to the first half, in the second; and of forces."""
    (x, other), f = (beads.positions(x[h]) for h in halves), force_map.forces(force)
    terms = molecular_terms(x, BONDS, beads.species, maps=[(PHI, PSI)])
    seen, new = (
        match(terms, [ArrayFrames(part, f[h])], block=200)
        for part, h in zip((x, other), halves, strict=True)
    )
    found = fit(seen, terms, 0, 0)
    return new.mean_square(found.coefficients[0]), float((f[halves[1]] ** 2).mean())


def figures(*, quick: bool) -> list[dict]:
    """For both runs; nothing where the data are not there."""
    found = []
    for name, run in RUNS.items():
        path = DATA / f"ala2_obc2_amber14_{run}_openmm.npz"
        if not path.is_file():
            continue
        data = np.load(path)
        every = 8 if quick else 1
        x, force = (data[k][::every] for k in ("coords_nm", "forces_kJ_mol_nm"))
        x, force = x.astype(float), force.astype(float)
        n = len(x) // 2
        halves = slice(n), slice(n, 2 * n)
        beads = backbone(topology(data))
        rigid = rigid_pairs(beads, x)
        covariance = ForceCovariance.of(beads, force[halves[0]])
        maps = basic_force_map(beads, rigid), optimal_force_map(beads, covariance, rigid)
        basic, optimal = (left(beads, m, x, force, halves) for m in maps)
        worst = max(
            np.abs(w @ t.weights.T - np.eye(len(t.beads))).max()
            for m in maps for w, t in zip(m.blocks, beads.templates, strict=True)
        )  # fmt: skip
        note = "{:.2f} and {:.2f} kcal/mol/A".format(
            *(np.sqrt(part[0]) / KCAL_MOL_ANGSTROM for part in (basic, optimal))
        )
        jobs = (
            lambda b=beads, f=force: ForceCovariance.of(b, f),
            lambda w=maps[1], f=force: w.forces(f),
        )
        slow = float(np.median(in_turns(jobs, 5), 0).max())
        found += [
            figure(f"{name}: sums and mapping", len(force) / slow / 1e3,
                   "1000 frames per CPU-second", ">=", 40.0, "the slower of both"),
            figure(f"{name}: residual variance, basic / optimal", basic[0] / optimal[0],
                   "1", ">=", 5.0, note),
            figure(f"{name}: mean square force, optimal / basic", optimal[1] / basic[1],
                   "1", "<=", 1.0, f"{len(rigid)} rigid bonds"),
            figure(f"{name}: W C^T beside 1", float(worst), "1", "<=", 1e-12),
        ]  # fmt: skip
    return found
