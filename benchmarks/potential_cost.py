"""What a potential costs: beside autograd, MACE and TensorNet; of replicas; in memory.

MACE and TensorNet (torchmd-net) are installed into a virtual environment of their own,
``.dev/potential``.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import venv
from pathlib import Path

import numpy as np
import torch
from figures import figure, in_turns

from mesobridge.atomistic.potential import Potential, VerletList
from mesobridge.atomistic.potential.gradient import (
    Compiled,
    by_autograd,
    by_hand,
    energies_and_slopes,
)
from mesobridge.atomistic.potential.model import CartesianACE

HERE = Path(__file__).resolve().parent
PEERS = ("mace-torch==0.3.16", "torchmd-net==3.1.0")
OWN = ("numpy<2", "ase", "openmm", "vesin", "xarray", "h5netcdf", "h5py", "pint",
       "safetensors")  # fmt: skip
ALL = (True, True, True)


def water() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """64 molecules at random turns on a grid: positions (A), species, box (A)."""
    rng = np.random.default_rng(0)
    grid = np.indices((4, 4, 4)).reshape(3, -1).T * 12.44 / 4
    shape = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    turns = np.linalg.qr(rng.normal(size=(64, 3, 3)))[0]
    x = grid[:, None] + np.einsum("ak,nkl->nal", shape, turns)
    return x.reshape(-1, 3), np.tile([0, 1, 1], 64), np.eye(3) * 12.44


def network(species: tuple[str, ...], run=by_hand) -> Potential:
    """Two layers of 32 channels, 5 A, random weights."""
    torch.manual_seed(0)
    model = CartesianACE(len(species), 5.0, 32, 8, 64, 2).requires_grad_(False)
    return Potential(model, species, {}, run=run)


def inference(rounds: int) -> list[dict]:
    """By autograd, by hand, compiled; neighbour lists new and kept."""
    x, numbers, box = water()
    plain, fast = network(("O", "H")), network(("O", "H"), Compiled())
    rows, index = VerletList(5.0).rows(x, box, ALL)
    given = (torch.as_tensor(rows).float(), torch.from_numpy(numbers),
             torch.from_numpy(index))  # fmt: skip
    kept = VerletList(5.0, 1.0)
    jobs = [
        lambda: by_autograd(plain.model, *given),
        lambda: energies_and_slopes(plain.model, *given, by_hand),
        lambda: energies_and_slopes(fast.model, *given, fast.run),
        lambda: VerletList(5.0).rows(x, box, ALL),
        lambda: kept.rows(x, box, ALL),
        lambda: plain.evaluate(x, numbers, box),
        lambda: fast.evaluate(x, numbers, box, verlet=kept),
    ]
    for job in jobs:
        job()
    times = 1e3 * np.median(in_turns(jobs, rounds), axis=0)
    auto, hand, compiled, new, old, whole, both = times
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    network_note = f"autograd {auto:.1f}, by hand {hand:.1f}, compiled {compiled:.1f} ms"
    return [
        figure("compiled / eager autograd, 192 atoms, speed-up", auto / compiled, "1",
               ">=", 1.7, network_note),
        figure("kept / new neighbour list, speed-up", new / old, "1", ">=", 2,
               f"new {new:.2f}, kept {old:.2f} ms"),
        figure("compiled with kept list / plain evaluate, speed-up", whole / both, "1",
               ">=", 1.7, f"plain {whole:.1f}, both {both:.1f} ms"),
        figure("peak memory", peak, "MiB", "<=", 1024, "with the compiler in process"),
    ]  # fmt: skip


def replicas(rounds: int) -> list[dict]:
    """A molecule of 9 atoms: time a replica of 64 at once over that alone."""
    rng, potential = np.random.default_rng(1), network(("C", "H", "O"))
    x = np.indices((3, 3, 1)).reshape(3, -1).T * 1.4 + rng.normal(0, 0.1, (64, 9, 3))
    kinds, sizes = np.tile([0, 1, 2], 3), (1, 4, 16, 64)
    many = [lambda b=b: potential.evaluate_many(x[:b], kinds) for b in sizes]
    one = [lambda: potential.evaluate(x[0], kinds, np.zeros((3, 3)), (False,) * 3)]
    jobs = one + many
    for job in jobs:
        job()
    alone, *each = 1e3 * np.median(in_turns(jobs, rounds), axis=0)
    costs = [t / b for t, b in zip(each, sizes, strict=True)]
    note = f"alone {alone:.2f} ms; a replica of " + ", ".join(
        f"{b}: {c:.2f}" for b, c in zip(sizes, costs, strict=True)
    )
    return [
        figure("64 replicas at once, speed-up", alone / costs[-1], "1", ">=", 4, note)
    ]


def peers_python() -> Path | None:
    """Interpreter with MACE and TensorNet; none where they cannot be installed."""
    place = HERE.parent / ".dev" / "potential"
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        done = subprocess.run(  # noqa: S603
            [str(python), "-m", "pip", "install", "-q", *PEERS, *OWN], check=False
        )
        if done.returncode:
            return None
    return python


def peers(rounds: int) -> list[dict]:
    """Beside MACE 64x0e and TensorNet, or nothing where they cannot be installed."""
    python = peers_python()
    if python is None:
        return []
    # The set-up links the repository there under the name of the package.
    paths = os.pathsep.join([str(HERE), str(HERE.parent / ".dev")])
    told = subprocess.run(  # noqa: S603
        [str(python), str(HERE / "peers" / "mace_tensornet.py"), str(rounds)],
        check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return compared(json.loads(told.stdout.splitlines()[-1]))


def compared(t: dict[str, float]) -> list[dict]:
    """Ratios at equal width, 64; with 32 channels in the note."""
    note = ", ".join(f"{name} {1e3 * value:.0f} ms" for name, value in t.items())
    mace, tensornet, by = t["MACE"], t["TensorNet"], t["ours 64, by hand"]
    return [
        figure("E+F speed / MACE 64x0e, by hand", mace / by, "1", ">=", 10, note),
        figure("E+F speed / MACE 64x0e, compiled", mace / t["ours 64, compiled"], "1",
               ">=", 10),
        figure("E+F speed / TensorNet, by hand", tensornet / by, "1", ">=", 3),
        figure("training step / MACE 64x0e", t["MACE, training"] / t["ours 64, training"],
               "1", ">=", 10),
    ]  # fmt: skip


def figures(*, quick: bool) -> list[dict]:
    """All figures of cost."""
    torch.set_num_threads(1)
    rounds = 5 if quick else 25
    return inference(rounds) + replicas(rounds) + peers(2 if quick else 5)
