"""Errors of MACE 64x0e after some CPU-minutes of training on one thread.

Called by `potential_race` in a virtual environment with MACE. The loss, the optimiser and
its learning rate are MACE's defaults (Batatia et al. 2022, arXiv:2206.07697); the rate
falls on a cosine over the given time, as ours does, in place of waiting for plateaus.
Writes errors as JSON.
"""

import json
import os
import sys
import time
import warnings

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # e3nn 0.4.4 loads its constants

import numpy as np
import torch
from e3nn import o3
from mace import data, modules
from mace.modules.loss import WeightedEnergyForcesLoss
from mace.tools import AtomicNumberTable, torch_geometric
from potential_accuracy import CASES
from torch_ema import ExponentialMovingAverage

from mesobridge.core.units import ANGSTROM, EV

warnings.simplefilter("ignore")
CUTOFF, WIDTH, RATE, WARM_UP = 5.0, 64, 0.01, 50


def configurations(sets, numbers: dict[str, int]) -> list[data.Configuration]:
    """MACE's view of data sets `frames/1`."""
    found = []
    for ds in sets:
        z = np.array([numbers[s] for s in ds["species"].values])
        periodic = tuple(flag == "T" for flag in ds.attrs["pbc"])
        for i in range(ds.sizes["frame"]):
            f = ds.isel(frame=i)
            labels = {
                "energy": float(f["energy"].values) / EV,
                "forces": f["forces"].values / (EV / ANGSTROM),
            }
            cell = f["box"].values / ANGSTROM if any(periodic) else None
            found.append(
                data.Configuration(
                    atomic_numbers=z, positions=f["positions"].values / ANGSTROM,
                    cell=cell, pbc=periodic, properties=labels,
                    property_weights={"energy": 1.0, "forces": 1.0},
                )
            )  # fmt: skip
    return found


def free_atoms(frames: list[data.Configuration], z: list[int]) -> np.ndarray:
    """Energies of atoms that fit total energies best."""
    counts = np.array([[(f.atomic_numbers == k).sum() for k in z] for f in frames], float)
    energies = np.array([f.properties["energy"] for f in frames])
    return np.linalg.lstsq(counts, energies, rcond=None)[0]


def network(frames: list[data.Configuration], batches, z: list[int]) -> torch.nn.Module:
    """Two layers, correlation 3, spherical harmonics to 3."""
    block = modules.interaction_classes
    pairs = sum(b.edge_index.shape[1] for b in batches)
    forces = np.concatenate([f.properties["forces"].ravel() for f in frames])
    return modules.ScaleShiftMACE(
        r_max=CUTOFF, num_bessel=8, num_polynomial_cutoff=5, max_ell=3,
        interaction_cls=block["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=block["RealAgnosticInteractionBlock"],
        num_interactions=2, num_elements=len(z), hidden_irreps=o3.Irreps(f"{WIDTH}x0e"),
        MLP_irreps=o3.Irreps("16x0e"), atomic_energies=free_atoms(frames, z),
        avg_num_neighbors=pairs / sum(b.num_nodes for b in batches), atomic_numbers=z,
        correlation=3, gate=torch.nn.functional.silu,
        atomic_inter_scale=float(np.sqrt((forces**2).mean())), atomic_inter_shift=0.0,
    )  # fmt: skip


def train(model, frames: list, size: int, seconds: float) -> int:
    """Steps of AMSGrad until the time is spent; leaves the averaged weights."""
    loader = torch_geometric.dataloader.DataLoader(
        frames, batch_size=size, shuffle=True, drop_last=True
    )
    loss = WeightedEnergyForcesLoss(energy_weight=1.0, forces_weight=100.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE, amsgrad=True)
    average = ExponentialMovingAverage(model.parameters(), decay=0.99)
    begun, step, fraction = time.process_time(), 0, 0.0
    while fraction < 1:
        for b in loader:
            fraction = (time.process_time() - begun) / seconds
            if fraction >= 1:
                break
            falling = 0.5 * (1 + np.cos(np.pi * fraction)) + 0.01
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / WARM_UP) * falling
            optimiser.zero_grad()
            loss(b, model(b.to_dict(), training=True, compute_force=True)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimiser.step()
            average.update()
            step += 1
    average.copy_to()
    return step


def judge(model, batches) -> dict:
    """Force (meV/A) and energy (meV/atom) errors, root of the mean square."""
    forces, energies = [], []
    for b in batches:
        found = model(b.to_dict(), training=False, compute_force=True)
        forces.append((found["forces"].detach() - b.forces).numpy().ravel())
        wrong = found["energy"].detach() - b.energy
        energies.append((wrong / (b.ptr[1:] - b.ptr[:-1])).numpy())
    return {
        name: 1e3 * float(np.sqrt((np.concatenate(parts) ** 2).mean()))
        for name, parts in (("force", forces), ("energy", energies))
    }


def main() -> None:
    """Train on one case and judge."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    case, minutes = CASES[sys.argv[1]], float(sys.argv[2])
    elements = {"H": 1, "C": 6, "O": 8}
    z = sorted(elements[s] for s in case.species)
    parts = [configurations(sets, elements) for sets in case.sets()]
    torch.set_default_dtype(torch.float32)
    table = AtomicNumberTable(z)
    graphs = [
        [data.AtomicData.from_config(f, z_table=table, cutoff=CUTOFF) for f in part]
        for part in parts
    ]
    batches = [
        list(torch_geometric.dataloader.DataLoader(part, batch_size=case.batch))
        for part in graphs
    ]
    model = network(parts[0], batches[0], z)
    steps = train(model, graphs[0], case.batch, 60 * minutes)
    sys.stdout.write(json.dumps(judge(model, batches[1]) | {"steps": steps}) + "\n")


if __name__ == "__main__":
    main()
