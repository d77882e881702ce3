"""SPC/E water between its vapours: a trajectory whose profiles are known.

Writes ``spce_slab.pqr`` (names, residues, charges) and ``spce_slab.xtc`` (molecules
whole) for checks of density, potential and dielectric profiles: the liquid has 0.98-1.00
g/cc and lies 0.55-0.6 V below the vapour. Heavy hydrogens allow steps of 4 fs; they do
not change averages in equilibrium, but the run must not be used for diffusion. 400 ps
(6 minutes on one thread) gave 0.986 +- 0.003 g/cc and -0.585 +- 0.014 V (95 %).
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import openmm
from openmm import app, unit

from mesobridge.atomistic.systems import slab_correction

EDGE, HEIGHT = 1.85, 7.0  # nm
THICKNESS = 2.65  # nm
STEP = 0.004  # ps
SAVE = 0.2  # ps


def simulation(seed: int, threads: int) -> app.Simulation:
    """Water of SPC/E (Berendsen, Grigera & Straatsma 1987) in the middle of the cell."""
    field = app.ForceField("spce.xml")
    modeller = app.Modeller(app.Topology(), [] * unit.nanometer)
    modeller.addSolvent(
        field, model="spce", boxSize=openmm.Vec3(EDGE, EDGE, THICKNESS) * unit.nanometer
    )
    x = np.array(modeller.positions.value_in_unit(unit.nanometer))
    x[:, 2] += HEIGHT / 2 - x[:, 2].mean()
    modeller.topology.setPeriodicBoxVectors(np.diag([EDGE, EDGE, HEIGHT]))
    system = field.createSystem(
        modeller.topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=0.9,
        rigidWater=True,
        hydrogenMass=3.0,
    )
    (nonbonded,) = (f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    nonbonded.setUseDispersionCorrection(False)
    system.addForce(slab_correction(charges_of(system), EDGE**2 * HEIGHT))
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, STEP)
    integrator.setRandomNumberSeed(seed)
    platform = openmm.Platform.getPlatformByName("CPU")
    options = {"Threads": str(threads)}
    run = app.Simulation(modeller.topology, system, integrator, platform, options)
    run.context.setPositions(x)
    return run


def charges_of(system: openmm.System) -> np.ndarray:
    """Charge of each atom, e."""
    (force,) = (f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    return np.array(
        [
            force.getParticleParameters(k)[0]._value
            for k in range(system.getNumParticles())
        ]
    )


def write_topology(run: app.Simulation, path: Path) -> None:
    """PQR: the simplest file of a topology with charges that MDAnalysis reads."""
    atoms = list(run.topology.atoms())
    universe = mda.Universe.empty(
        len(atoms),
        n_residues=run.topology.getNumResidues(),
        atom_resindex=[a.residue.index for a in atoms],
        trajectory=True,
    )
    universe.add_TopologyAttr("name", [a.name for a in atoms])
    universe.add_TopologyAttr("resname", ["SOL"] * run.topology.getNumResidues())
    universe.add_TopologyAttr("resid", np.arange(1, run.topology.getNumResidues() + 1))
    universe.add_TopologyAttr("charge", charges_of(run.system))
    universe.add_TopologyAttr("radius", np.ones(len(atoms)))
    state = run.context.getState(getPositions=True)
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    universe.atoms.positions = positions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # chain and record names that water has not
        universe.atoms.write(path)


def main() -> None:
    """Equilibrate, then write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/spce_slab"))
    parser.add_argument("--ps", type=float, default=200.0, help="length of the run")
    parser.add_argument("--settle", type=float, default=20.0, help="before it, ps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = simulation(options.seed, options.threads)
    run.minimizeEnergy(maxIterations=200)
    run.context.setVelocitiesToTemperature(300.0, options.seed)
    run.step(round(options.settle / STEP))
    write_topology(run, options.out / "spce_slab.pqr")
    run.reporters.append(
        app.XTCReporter(
            str(options.out / "spce_slab.xtc"),
            round(SAVE / STEP),
            enforcePeriodicBox=True,
        )
    )
    run.step(round(options.ps / STEP))


if __name__ == "__main__":
    main()
