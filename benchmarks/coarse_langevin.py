"""Langevin dynamics of coarse-grained replicas: cost beside SchNet, and what it samples.

The molecule is that of alanine dipeptide's five backbone beads, with about 150 functions.
SchNet is PyTorch Geometric's, with random weights: cost does not ask what it learned.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from figures import figure, in_turns
from torch import Tensor

from mesobridge.coarse.bases import Spline
from mesobridge.coarse.langevin import GAS_CONSTANT, Langevin
from mesobridge.coarse.linear_forces import (
    AutogradForces,
    BatchedPotential,
    LinearForces,
)
from mesobridge.coarse.recording import run
from mesobridge.coarse.terms import Bonded, Torsions

T = 300.0
MASSES = torch.tensor([12.0, 14.0, 12.0, 12.0, 14.0])
START = torch.tensor(
    [[0, 0, 0], [0.133, 0, 0], [0.2, 0.12, 0], [0.33, 0.12, 0.05], [0.4, 0.22, 0.1]]
)


def backbone() -> LinearForces:
    """Four bonds, three angles, a torsion map of order three, three distances."""
    chain, far = range(4), ((0, 3), (1, 4), (0, 4))
    terms: list = [Bonded(f"bond {i}", "distance", ((i, i + 1),), Spline(0.1, 0.18, 10))
                   for i in chain]  # fmt: skip
    terms += [Bonded(f"angle {i}", "angle", ((i, i + 1, i + 2),), Spline(1.4, 2.7, 10))
              for i in range(3)]  # fmt: skip
    terms += [Bonded(f"far {p}", "distance", (p,), Spline(0.22, 0.6, 6)) for p in far]
    given = [parabola(term) for term in terms]
    generator = torch.Generator().manual_seed(0)
    turns = Torsions("phi-psi", (((0, 1, 2, 3), (1, 2, 3, 4)),), 3)
    given.append(torch.randn(turns.size, generator=generator).double())
    return LinearForces([*terms, turns], given, 5)


def parabola(term: Bonded) -> Tensor:
    """Coefficients of a spring in the middle of the range of a basis."""
    basis = term.basis
    assert isinstance(basis, Spline)  # noqa: S101
    q = torch.linspace(basis.start, basis.stop, 100, dtype=torch.float64)
    k = {"bond": 1.5e5, "angle": 300.0, "far": 200.0}[term.name.split()[0]]
    wanted = 0.5 * k * (q - q.mean()).unsqueeze(1) ** 2
    return torch.linalg.lstsq(basis.dense(q)[0], wanted).solution[:, 0]


def schnet(replicas: int) -> AutogradForces:
    """Two layers of 64 channels on all pairs of five beads; positions go in in A."""
    from torch_geometric.nn import SchNet

    first, second = (~torch.eye(5, dtype=torch.bool)).nonzero().T
    shift = 5 * torch.arange(replicas).view(-1, 1)
    edges = torch.stack([(side + shift).flatten() for side in (first, second)])

    def graph(x: Tensor, batch: Tensor):
        return edges, (x[edges[0]] - x[edges[1]]).norm(dim=1)

    torch.manual_seed(0)
    net = SchNet(64, 64, 2, 50, interaction_graph=graph).requires_grad_(False)
    kinds = torch.tensor([6, 7, 6, 6, 7]).repeat(replicas)
    batch = torch.arange(replicas).repeat_interleave(5)
    return AutogradForces(lambda x: net(kinds, 10 * x.reshape(-1, 3), batch)[:, 0])


def engine(potential: BatchedPotential, replicas: int) -> Langevin:
    """All from one configuration, 2 fs steps."""
    return Langevin(potential, START.expand(replicas, 5, 3), MASSES, temperature=T,
                    friction=5.0, step=0.002, seed=1)  # fmt: skip


def throughput(replicas: int, rounds: int) -> dict:
    """Replica-steps per second of processor time beside SchNet's, in turns."""
    linear, network = engine(backbone(), replicas), engine(schnet(replicas), replicas)
    steps = 200, 5
    jobs: list[Callable] = [lambda: linear.advance(steps[0]),
                            lambda: network.advance(steps[1])]  # fmt: skip
    for job in jobs:
        job()
    times = np.median(in_turns(jobs, rounds), axis=0)
    ours, theirs = (replicas * n / t for n, t in zip(steps, times, strict=True))
    note = f"{ours:,.0f} beside {theirs:,.0f} replica-steps per CPU-second"
    return figure(f"Langevin, linear / SchNet, {replicas} replicas, speed-up",
                  ours / theirs, "1", ">=", 10, note)  # fmt: skip


def sampling(frames: int) -> list[dict]:
    """Temperature of the backbone, and variance of springs at a long step."""
    chain = engine(backbone(), 1000)
    chain.advance(1000)
    chain.forget()
    run(chain, frames, 50)
    ratio, error = chain.kinetic_temperature()
    k, masses = 5000.0, torch.tensor([12.0])
    step = 1.4 * (12.0 / k) ** 0.5
    springs = AutogradForces(lambda x: 0.5 * k * x.square().sum((1, 2)))
    loose = Langevin(springs, torch.zeros(4000, 1, 3), masses, temperature=T,
                     friction=10.0, step=step, seed=2)  # fmt: skip
    loose.advance(200)
    squares: list[float] = []
    run(loose, frames, 20, lambda _, x: squares.append(float(x.square().mean())))
    variance = np.mean(squares) * k / (GAS_CONSTANT * T)
    return [
        figure("Langevin, kinetic temperature, off by", abs(ratio - 1), "1", "<=", 0.01,
               f"five beads at 2 fs, error {error:.1e}"),
        figure("Langevin, harmonic variance, off by", abs(variance - 1), "1", "<=", 0.02,
               "omega step = 1.4"),
    ]  # fmt: skip


def figures(*, quick: bool) -> list[dict]:
    """All figures of the Langevin engine; cost only where PyTorch Geometric is."""
    torch.set_num_threads(1)
    rounds = 3 if quick else 9
    there = importlib.util.find_spec("torch_geometric") is not None
    cost = [throughput(replicas, rounds) for replicas in (100, 1000) if there]
    return cost + sampling(20 if quick else 100)
