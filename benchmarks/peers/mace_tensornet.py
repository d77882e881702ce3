"""Seconds of energy and forces, and of a training step, beside MACE and TensorNet.

Called by `potential_cost` in a virtual environment with both; all in this one process, on
one thread, in turns. Neighbour lists are made before. Writes medians as JSON.
"""

import json
import os
import sys
import warnings

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # e3nn 0.4.4 loads its constants

import numpy as np
import torch
from e3nn import o3
from figures import in_turns
from mace import data, modules
from mace.tools import AtomicNumberTable, torch_geometric
from potential_cost import water
from torchmdnet.models.model import create_model

from mesobridge.atomistic.potential import VerletList
from mesobridge.atomistic.potential.data import Batch
from mesobridge.atomistic.potential.derivatives import derivatives
from mesobridge.atomistic.potential.gradient import (
    Compiled,
    by_hand,
    energies_and_slopes,
)
from mesobridge.atomistic.potential.model import CartesianACE

warnings.simplefilter("ignore")
CUTOFF, WIDTH = 5.0, 64


def ours(channels: int, x, numbers, box) -> dict:
    """Jobs of Cartesian ACE with two layers, 64 hidden."""
    torch.manual_seed(0)
    model = CartesianACE(2, CUTOFF, channels, 8, 64, 2)
    rows, index = VerletList(CUTOFF).rows(x, box, (True,) * 3)
    vectors, index = torch.as_tensor(rows).float(), torch.from_numpy(index)
    species = torch.from_numpy(numbers)
    n = len(species)
    batch = Batch(
        vectors=vectors, species=species, index=index, centre=None,
        frame=torch.zeros(n, dtype=torch.int64), atoms=torch.tensor([float(n)]),
        energy=torch.zeros(1, dtype=torch.float64), forces=torch.zeros(n, 3),
        virial=torch.zeros(1, 3, 3), has_virial=torch.zeros(1),
        volume=torch.ones(1),
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-6)
    compiled = Compiled()

    def step():
        energy, forces, _ = derivatives(model, batch, training=True)
        learn(optimiser, energy, forces)

    def run(how):
        energies_and_slopes(model, vectors, species, index, how)

    name = f"ours {channels}"
    return {
        f"{name}, by hand": lambda: run(by_hand),
        f"{name}, compiled": lambda: run(compiled),
        f"{name}, training": step,
    }


def learn(optimiser, energy, forces) -> None:
    """One step of Adam on squared forces and energy."""
    optimiser.zero_grad()
    (forces.pow(2).mean() + 1e-6 * energy.pow(2).mean()).backward()
    optimiser.step()


def mace(x, numbers, box) -> dict:
    """MACE 64x0e: correlation 3, spherical harmonics to 3, two layers."""
    table = AtomicNumberTable([1, 8])
    block = modules.interaction_classes
    model = modules.ScaleShiftMACE(
        r_max=CUTOFF, num_bessel=8, num_polynomial_cutoff=5, max_ell=3,
        interaction_cls=block["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=block["RealAgnosticInteractionBlock"],
        num_interactions=2, num_elements=2, hidden_irreps=o3.Irreps(f"{WIDTH}x0e"),
        MLP_irreps=o3.Irreps("16x0e"), atomic_energies=np.zeros(2),
        avg_num_neighbors=50.0, atomic_numbers=[1, 8], correlation=3,
        gate=torch.nn.functional.silu, atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )  # fmt: skip
    configuration = data.Configuration(
        atomic_numbers=numbers, positions=x, cell=box, pbc=(True,) * 3,
        properties={}, property_weights={},
    )  # fmt: skip
    one = data.AtomicData.from_config(configuration, z_table=table, cutoff=CUTOFF)
    batch = next(iter(torch_geometric.dataloader.DataLoader([one], batch_size=1)))
    given = batch.to_dict()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-6)

    def step():
        found = model(given, training=True, compute_force=True)
        learn(optimiser, found["energy"], found["forces"])

    return {
        "MACE": lambda: model(given, training=False, compute_force=True),
        "MACE, training": step,
    }


def tensornet(x, numbers, box) -> dict:
    """TensorNet of torchmd-net, two layers."""
    model = create_model(
        {
            "precision": 32, "embedding_dimension": WIDTH, "num_layers": 2, "num_rbf": 32,
            "rbf_type": "expnorm", "trainable_rbf": False, "activation": "silu",
            "cutoff_lower": 0.0, "cutoff_upper": CUTOFF, "max_z": 10,
            "max_num_neighbors": 80, "model": "tensornet", "static_shapes": False,
            "equivariance_invariance_group": "O(3)", "prior_model": None,
            "atom_filter": -1, "derivative": True, "output_model": "Scalar",
            "reduce_op": "add",
        }
    )  # fmt: skip
    z, positions = torch.as_tensor(numbers), torch.as_tensor(x).float()
    cell, batch = torch.as_tensor(box).float(), torch.zeros(len(z), dtype=torch.int64)
    return {"TensorNet": lambda: model(z, positions.clone(), batch, box=cell)}


def main() -> None:
    """Time all in turns."""
    torch.set_num_threads(1)
    x, species, box = water()
    jobs = ours(32, x, species, box) | ours(WIDTH, x, species, box)
    elements = np.array([8, 1])[species]
    jobs |= mace(x, elements, box) | tensornet(x, elements, box)
    rounds = int(sys.argv[1])
    for job in jobs.values():
        job()
    times = np.median(in_turns(list(jobs.values()), rounds), axis=0)
    found = dict(zip(jobs, times.tolist(), strict=True))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
