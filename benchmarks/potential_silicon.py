"""Silicon: elastic constants and phonons of a quickly trained potential beside DFT.

Data: mlearn (Zuo et al. 2020, doi:10.1021/acs.jpca.9b08723), VASP PBE.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import GPa
from figures import figure

from mesobridge.atomistic.potential import TrainingSettings, save_potential, train
from mesobridge.atomistic.potential.predictions import error_table
from mesobridge.atomistic.validation.accuracy import predict_with
from mesobridge.atomistic.validation.elastic import elastic_constants
from mesobridge.atomistic.validation.equation_of_state import equation_of_state
from mesobridge.atomistic.validation.phonons import phonons
from mesobridge.atomistic.validation.subject import find_subject
from mesobridge.core.schema import dataset
from mesobridge.core.units import ANGSTROM, DALTON, EV

#: PBE, mlearn's paper (GPa), and the lattice constant of PBE (A).
DFT = {"C11": 156.0, "C12": 65.0, "C44": 76.0}
LATTICE = 5.469
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
#: VASP gives pressures: positive when compressed, kbar, order xx yy zz xy yz zx.
VOIGT = (0, 1, 2, 4, 5, 3)


def read_mlearn(path: Path) -> list[Atoms]:
    """Labelled frames, energies in eV."""
    frames = []
    for entry in json.loads(path.read_text()):
        structure, labels = entry["structure"], entry["outputs"]
        atoms = Atoms(
            [s["species"][0]["element"] for s in structure["sites"]],
            [s["xyz"] for s in structure["sites"]],
            cell=structure["lattice"]["matrix"], pbc=True,
        )  # fmt: skip
        stress = -0.1 * GPa * np.array(labels["virial_stress"])[list(VOIGT)]
        atoms.calc = SinglePointCalculator(
            atoms, energy=labels["energy"], forces=np.array(labels["forces"]),
            stress=stress,
        )  # fmt: skip
        atoms.info["config_type"] = entry["group"]
        frames.append(atoms)
    return frames


def uniaxial(frames: list[Atoms]) -> dict[str, float]:
    """C11 and C12 (GPa) of the labels: cells stretched by -2 and +2 % along x."""
    side, found = 2 * LATTICE, []
    for atoms in frames:
        strain = atoms.cell.array / side - np.eye(3)
        along = strain[0, 0]
        strain[0, 0] = 0
        small = 0.01 < abs(along) < 0.03 and np.abs(strain).max() < 1e-3
        if atoms.info["config_type"] == "Elastic" and small:
            found.append((along, *atoms.get_stress()[:3] / GPa))
    (one, *stress), (other, *against) = sorted(found)
    slope = (np.array(against) - stress) / (other - one)
    return {"C11": float(slope[0]), "C12": float(slope[1:].mean())}


def as_dataset(atoms: Atoms):
    """One frame as `frames/1`."""
    stress = atoms.get_stress(voigt=False)
    return dataset(
        "frames/1",
        {
            "positions": atoms.positions[None] * ANGSTROM,
            "forces": atoms.get_forces()[None] * EV / ANGSTROM,
            "box": atoms.cell.array[None] * ANGSTROM,
            "species": np.array(atoms.get_chemical_symbols()),
            "mass": atoms.get_masses() * DALTON,
            "time": np.zeros(1),
            "energy": np.array([atoms.get_potential_energy()]) * EV,
            "stress": stress[None] * EV / ANGSTROM**3,
        },
        {"source": "VASP PBE", "pbc": "TTT"},
    )


def trained(frames: list[Atoms], steps: int, path: Path) -> float:
    """Train on all but every tenth frame; CPU seconds."""
    held_out = frames[::10]
    rest = [a for i, a in enumerate(frames) if i % 10]
    settings = TrainingSettings(
        ("Si",), 5.0 * ANGSTROM, channels=24, hidden=48, layers=2, steps=steps, batch=2,
        learning_rate=0.005, energy_weight=5.0, stress_weight=5000.0,
    )  # fmt: skip
    begin = time.process_time()
    result = train(
        [as_dataset(a) for a in rest], [as_dataset(a) for a in held_out], settings
    )
    spent = time.process_time() - begin
    save_potential(path, result, {"data": "mlearn Si"})
    return spent


def judge(path: Path, data: Path, spent: float) -> list[dict]:
    """Figures of a potential."""
    subject = find_subject(str(path))
    found = [figure("training", spent / 60, "CPU-min", "<=", 10.0)]
    frames = read_mlearn(data)
    rows = error_table(predict_with(subject.used, frames[::10]))
    limits = {"energy": 10.0, "stress": 1.0}
    for row in (r for r in rows if r["group"] == "all"):
        name, value = f"held out {row['quantity']} RMSE", row["rmse"]["value"]
        if row["quantity"] in limits:
            limit = limits[row["quantity"]]
            found.append(figure(name, value, row["unit"], "<=", limit))
        else:
            note = f"{value:.0f} meV/A"
            name += " over their rms"
            found.append(figure(name, value / row["rms"], "1", "<=", 0.25, note))
    crystal = bulk("Si", "diamond", a=LATTICE)
    elastic = elastic_constants(crystal, subject.exact)
    cubic = elastic.cubic(tolerance=math.inf)
    for name, wanted in DFT.items():
        error = abs(cubic[name] / wanted - 1)
        note = f"{cubic[name]:.1f} GPa beside {wanted:g}"
        found.append(figure(f"{name}, relative error", error, "1", "<=", 0.08, note))
    for name, own in uniaxial(frames).items():
        note = f"{cubic[name]:.1f} GPa beside {own:.1f}"
        title = f"{name}, relative error beside the labels' own"
        found.append(figure(title, abs(cubic[name] / own - 1), "1", "<=", 0.08, note))
    found.append(
        figure("C, stress against energy", elastic.disagreement, "1", "<=", 0.01)
    )
    found.append(figure("C, smallest eigenvalue", elastic.stability, "GPa", ">=", 0.0))
    state = equation_of_state(crystal, subject.exact)
    a = (8 * state.volume) ** (1 / 3)
    error = abs(a / LATTICE - 1)
    note = f"{a:.3f} A; B0 {state.bulk_modulus:.1f} GPa, B0' {state.derivative:.2f}"
    found.append(
        figure("lattice constant, relative error", error, "1", "<=", 0.005, note)
    )
    waves = phonons(crystal, subject.exact)
    note = f"highest {waves.bands.max():.2f} THz"
    found.append(figure("lowest phonon", waves.lowest, "THz", ">=", -0.05, note))
    return found


def figures(*, quick: bool) -> list[dict]:
    """Train and judge; nothing where the data are not there."""
    data = DATA / "si_mlearn_training.json"
    if not data.is_file():
        return []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "silicon.safetensors"
        spent = trained(read_mlearn(data), 300 if quick else 3000, path)
        return judge(path, data, spent)
