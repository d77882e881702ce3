"""Figures of predicted charges: with and without, on tails, melts and charged dimers.

Two ions with an exact Coulomb tail; molten NaCl labelled with the full Fumi-Tosi model,
nothing subtracted; guanidinium beside ammonium, labelled with GFN2-xTB (needs the package
tblite, left out without it); and what charges cost. ``--quick`` trains shorter, and does
not count.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from ase.data import atomic_numbers  # noqa: E402
from ase.units import Bohr, Hartree  # noqa: E402
from figures import figure, in_turns  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402

from mesobridge.atomistic.fumi_tosi import IonicCalculator, short_range_force  # noqa: E402
from mesobridge.atomistic.oracle import label  # noqa: E402
from mesobridge.atomistic.potential import (  # noqa: E402
    Potential,
    TrainingSettings,
    errors,
    train,
)
from mesobridge.atomistic.potential.ewald import COULOMB  # noqa: E402
from mesobridge.atomistic.potential.model import CartesianACE  # noqa: E402
from mesobridge.atomistic.potential.train import build_model  # noqa: E402
from mesobridge.atomistic.systems import (  # noqa: E402
    bulk_cell,
    lattice_start,
    make_system,
    number_density,
)
from mesobridge.core.md import MDSettings, run_segments  # noqa: E402
from mesobridge.core.schema import dataset  # noqa: E402
from mesobridge.core.units import ANGSTROM, EV  # noqa: E402

CUTOFF = 5.0  # A
NONE = (False,) * 3


def frames_of(species, positions, box, energy, forces, source, pbc) -> object:
    """`frames/1` from eV and A."""
    n = len(positions)
    values = {
        "positions": np.asarray(positions) * ANGSTROM,
        "forces": np.asarray(forces) * EV / ANGSTROM,
        "box": np.broadcast_to(box, (n, 3, 3)) * ANGSTROM,
        "species": np.asarray(species),
        "mass": np.full(len(species), 1e-26),
        "time": np.arange(n) * 1e-12,
        "energy": np.asarray(energy) * EV,
    }
    return dataset("frames/1", values, {"source": source, "pbc": pbc})


def both(frames, settings) -> list[Potential]:
    """Trained with charges and without."""
    found = []
    for each in (settings, replace(settings, charges=None)):
        result = train([frames], [], each)
        tensors = {k: torch.from_numpy(v) for k, v in result.tensors.items()}
        found.append(Potential(build_model(each, tensors), each.species, {}))
    return found


def two_ions(quick: bool) -> list[dict]:
    """Force at twice the cut-off, trained up to 1.5 times of it."""
    r = np.linspace(2.6, 1.5 * CUTOFF, 80)
    inside = np.clip(1 - (r / CUTOFF) ** 2, 0, 1)
    push = 2000 * np.exp(-r / 0.32) * inside**2
    along = -COULOMB / r**2 + push * (inside / 0.32 + 6 * r / CUTOFF**2)
    way = Rotation.random(len(r), random_state=1).as_matrix()[:, 0]
    arms, forces = r[:, None] * way, along[:, None] * way
    frames = frames_of(
        ["Na", "Cl"], np.stack([0 * arms, arms], 1), np.eye(3) * 100,
        -COULOMB / r + push * inside, np.stack([-forces, forces], 1), "two ions", "FFF",
    )  # fmt: skip
    settings = TrainingSettings(
        ("Na", "Cl"), CUTOFF * ANGSTROM, channels=4, hidden=16, batch=8,
        steps=100 if quick else 600, learning_rate=0.02, energy_weight=1.0,
        charges=(0.6, -0.8),
    )  # fmt: skip
    x = np.array([[0.0, 0, 0], [2 * CUTOFF, 0, 0]])
    exact = -COULOMB / (2 * CUTOFF) ** 2
    off = [
        abs(p.evaluate(x, ["Na", "Cl"], np.eye(3), NONE).forces[1, 0] / exact - 1)
        for p in both(frames, settings)
    ]
    return [
        figure("two ions: force at twice the cut-off, with charges", 100 * off[0], "%",
               "<=", 1.0, "relative error; trained up to 1.5 cut-offs"),
        figure("two ions: the same without", 100 * off[1], "%", ">=", 99.0,
               "a short-ranged model has no force there"),
    ]  # fmt: skip


def melt(n_ions: int, n_frames: int) -> object:
    """Frames of molten NaCl at 1200 K, 0.2 ps apart, with all of their energy."""
    cell = bulk_cell(n_ions, number_density(1500.0))
    system = make_system(cell, short_range_force(cell.species, 0.6), cutoff=0.6)
    run = run_segments(
        system, cell.species, lattice_start(cell, 1), MDSettings(1200, 2e-15, 1e12, 1),
        n_steps=100 * (n_frames + 50), stride=100, segment_steps=100 * (n_frames + 50),
        source="Fumi-Tosi",
    )  # fmt: skip
    frames = run.frames.isel(frame=slice(50, None))
    return label(frames, IonicCalculator(0.6), source="Fumi-Tosi, all of it")


def molten_salt(quick: bool) -> list[dict]:
    """Forces, energies and stress of 64 held-out frames."""
    n, held = (24, 8) if quick else (160, 40)
    frames = melt(64, n + held)
    settings = TrainingSettings(
        ("Na", "Cl"), CUTOFF * ANGSTROM, channels=16, batch=2, learning_rate=0.01,
        steps=60 if quick else 1500, energy_weight=1.0, charges=(1.0, -1.0),
    )  # fmt: skip
    test = frames.isel(frame=slice(n, None))
    reports = [errors(p, [test]) for p in both(frames.isel(frame=slice(0, n)), settings)]
    out = []
    for name, unit in (("force_rmse", "eV/A"), ("energy_rmse", "meV/atom"),
                       ("stress_rmse", "GPa")):  # fmt: skip
        with_, without = (report[name] for report in reports)
        out.append(figure(f"molten NaCl: {name}, with charges / without",
                          with_ / without, "1", "<=", 0.9,
                          f"{with_:.4g} and {without:.4g} {unit}"))  # fmt: skip
    return out


def charged_dimers(distances, seed: int) -> object:
    """Guanidinium and ammonium, turned and shaken, their middles so far apart (A)."""
    from tblite.interface import Calculator

    arm = np.array([[0, 1.33, 0], [0.87, 1.83, 0], [-0.87, 1.83, 0]])
    arms = [
        arm @ Rotation.from_euler("z", angle, degrees=True).as_matrix()
        for angle in (0, 120, 240)
    ]
    cation = np.concatenate([np.zeros((1, 3)), *arms])
    edge = 1.03 / np.sqrt(3)
    corners = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    other = edge * np.array([[0, 0, 0], *corners])
    species = ["C", *("N", "H", "H") * 3, "N", *"HHHH"]
    numbers = np.array([atomic_numbers[s] for s in species])
    turns = Rotation.random(2 * len(distances), random_state=seed).as_matrix()
    rng, rows = np.random.default_rng(seed), []
    for d, one, two in zip(distances, turns[::2], turns[1::2], strict=True):
        x = np.concatenate([cation @ one.T, other @ two.T + [d, 0, 0]])
        x = x + rng.normal(0, 0.04, x.shape)
        calculator = Calculator("GFN2-xTB", numbers, x / Bohr, 2.0)
        calculator.set("verbosity", 0)
        calculator.set("guess", 1)  # charges that know the total: others do not converge
        found = calculator.singlepoint()
        forces = -found.get("gradient") * Hartree / Bohr
        rows.append((x, found.get("energy") * Hartree, forces))
    x, energy, forces = (np.array(column) for column in zip(*rows, strict=True))
    box = np.eye(3) * 100
    frames = frames_of(species, x, box, energy, forces, "GFN2-xTB", "FFF")
    return frames.assign_attrs(charge_number=2)


def push(forces) -> np.ndarray:
    """Force on the guanidinium along the axis, eV/A."""
    return np.asarray(forces)[..., :10, 0].sum(-1)


def two_cations(quick: bool) -> list[dict]:
    """Trained up to 9 A, asked for the push between 9 and 15 A."""
    try:
        import tblite  # noqa: F401
    except ImportError:
        return []
    frames = charged_dimers(np.linspace(5.0, 9.0, 40 if quick else 300), 1)
    test = charged_dimers(np.linspace(9.0, 15.0, 12 if quick else 60), 2)
    settings = TrainingSettings(
        ("H", "C", "N"), CUTOFF * ANGSTROM, channels=16, batch=5,
        steps=60 if quick else 2000, learning_rate=0.01, energy_weight=0.1,
        charges=(0.3, 0.2, -0.3),
    )  # fmt: skip
    exact = push(test["forces"].values / (EV / ANGSTROM))
    off, whole = [], []
    for p in both(frames, settings):
        report = errors(p, [test])
        found = push(report["forces_predicted"].reshape(test["forces"].shape))
        off.append(np.sqrt(((found - exact) ** 2).mean() / (exact**2).mean()))
        whole.append(report["force_rmse"])
    note = f"force RMSE {1e3 * whole[0]:.1f} and {1e3 * whole[1]:.1f} meV/A"
    return [
        figure("two cations: error of the push beyond training, with charges",
               100 * off[0], "%", "<=", 10.0, note),
        figure("two cations: the same without", 100 * off[1], "%", ">=", 50.0, note),
    ]  # fmt: skip


def cost(quick: bool) -> list[dict]:
    """Energy and forces of water-like cells, two layers, with charges over without."""
    return [_cost(cells, 3 if quick else 9) for cells in (4, 8)]


def _cost(cells: int, rounds: int) -> dict:
    grid = np.indices((cells,) * 3).reshape(3, -1).T * 3.1
    water = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    x = (grid[:, None] + water).reshape(-1, 3)
    kinds, box = np.tile([0, 1, 1], cells**3), np.eye(3) * 3.1 * cells

    def job(charges):
        torch.manual_seed(0)
        model = CartesianACE(2, CUTOFF, 32, 8, 64, 2, charges).requires_grad_(False)
        return partial(Potential(model, ("O", "H"), {}).evaluate, x, kinds, box)

    jobs = [job((-0.8, 0.4)), job(None)]
    in_turns(jobs, 1)
    with_, without = np.median(in_turns(jobs, rounds), axis=0)
    note = f"{1e3 * with_:.1f} and {1e3 * without:.1f} ms"
    name = f"cost of charges, {len(x)} atoms"
    return figure(name, with_ / without, "1", "<=", 1.5, note)


def figures(*, quick: bool) -> list[dict]:
    """All figures of predicted charges."""
    torch.set_num_threads(1)
    found = []
    for part in (cost, two_ions, molten_salt, two_cations):
        found += part(quick)
    return found
