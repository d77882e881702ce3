"""The interface job with a potential that predicts charges and holds Coulomb itself."""

import numpy as np
import openmm
import pytest
from openmm import unit

from mesobridge.atomistic.fumi_tosi import IonicCalculator
from mesobridge.atomistic.oracle import label
from mesobridge.atomistic.potential import (
    TrainingSettings,
    save_potential,
    train,
    without_baseline,
)
from mesobridge.atomistic.systems import lattice_start, make_system
from mesobridge.bridges.stages.common import learned_force, make_cell
from mesobridge.core.schema import dataset
from mesobridge.core.units import ANGSTROM, DALTON, NM

SETTINGS = {
    "ions": 64, "density": 1488.0, "width": 1.3e-9, "vacuum": 3.0, "temperature": 1200.0,
    "wall_epsilon": 1.66e-21, "wall_sigma": 0.25e-9, "surface_charge": -0.08,
}  # fmt: skip


def forces(system, state):
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU")
    )
    context.setPositions(state.positions)
    found = context.getState(getForces=True).getForces(asNumpy=True)
    return found.value_in_unit(unit.kilojoule_per_mole / unit.nanometer)


def untrained(folder, cell, *, charges):
    """One random network; its charges, where it has any, are still the formal ones."""
    state = lattice_start(cell, 0)
    positions = np.stack([state.positions, state.positions + 0.001]) * NM
    frames = dataset(
        "frames/1",
        {
            "positions": positions, "forces": np.zeros_like(positions),
            "box": np.repeat(cell.box[None], 2, axis=0) * NM,
            "species": np.array(cell.species), "mass": np.full(64, 29.0) * DALTON,
            "time": np.arange(2.0),
        },
        {"source": "lattice", "pbc": "TTF" if cell.walls else "TTT"},
    )  # fmt: skip
    learned = label(frames, IonicCalculator(0.55), source="Fumi-Tosi")
    if not charges:
        coulomb = IonicCalculator(0.55, short_range=False)
        learned = without_baseline(learned, coulomb, source="formal charges")
    settings = TrainingSettings(
        ("Na", "Cl"), 5 * ANGSTROM, channels=4, radial=4, hidden=8, steps=1, batch=2,
        learning_rate=1e-12, charges=(1.0, -1.0) if charges else None,
    )  # fmt: skip
    result = train([learned], [], settings)
    path = folder / f"{'predicted' if charges else 'formal'}.safetensors"
    save_potential(path, result, {})
    return path


@pytest.mark.parametrize("kind", ["bulk", "slab"])
def test_formal_charges_push_alike_in_the_engine_and_in_the_potential(tmp_path, kind):
    cell = make_cell(kind, SETTINGS)
    state = lattice_start(cell, 3)
    found = {}
    for electrostatics in ("formal", "predicted"):
        formal = electrostatics == "formal"
        path = untrained(tmp_path, cell, charges=not formal)
        force = learned_force(path, cell, {"electrostatics": electrostatics})
        system = make_system(cell, force, cutoff=0.55 if formal else None)
        found[electrostatics] = forces(system, state)
    scale = np.sqrt((found["formal"] ** 2).mean())
    assert scale > 10
    difference = found["predicted"] - found["formal"]
    assert np.sqrt((difference**2).mean()) < 2e-3 * scale
