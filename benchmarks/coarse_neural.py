"""Networks beside the linear fit: what training costs, what is left of held-out forces.

The alanine dipeptide of five beads in ``../shared/data``, fitted on every second frame,
judged on the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import alanine
import numpy as np
import torch
from alanine import KCAL_MOL_ANGSTROM, NAMES
from coarse_alanine import SURFACE, T, turns
from figures import figure

from mesobridge.coarse.gate import Verdict, judge
from mesobridge.coarse.langevin import Langevin
from mesobridge.coarse.linear_forces import LinearForces
from mesobridge.coarse.linear_model import LinearModel
from mesobridge.coarse.molecules import molecular_terms
from mesobridge.coarse.networks import Architecture
from mesobridge.coarse.neural import NeuralForces, NeuralModel
from mesobridge.coarse.neural_training import NeuralSettings, train
from mesobridge.coarse.normal_equations import accumulate, joined
from mesobridge.coarse.recording import run
from mesobridge.coarse.solving import fit

#: What the time of a network is told for.
EPOCHS, BLOCKS = 100, 10
#: Replicas of a gate, frames of each, and steps of 2 fs between them.
REPLICAS, KEPT, EVERY = 200, 30, 200

Frames = tuple[torch.Tensor, torch.Tensor]


def frames() -> tuple[Frames, Frames]:
    """Positions, nm, and forces, kJ/mol/nm: to fit, and to judge."""
    x, forces = map(torch.from_numpy, alanine.frames())
    return (x[::2], forces[::2]), (x[1::2], forces[1::2])


def linear(x: torch.Tensor, forces: torch.Tensor, bare: bool = False) -> LinearModel:
    """One pass over the frames; `bare` of bonds and angles alone."""
    terms = molecular_terms(x, alanine.BONDS, NAMES, maps=[(alanine.PHI, alanine.PSI)])
    if bare:
        terms = tuple(term for term in terms if term.name.startswith(("bond", "angle")))
    parts = zip(x.chunk(BLOCKS), forces.chunk(BLOCKS), strict=True)
    equations = [accumulate(terms, [(y.numpy(), f.numpy(), None)]) for y, f in parts]
    found = fit(joined(equations), terms, 0, 0)
    masses = np.array(alanine.MASSES)
    return LinearModel(
        NAMES, masses, terms, found.coefficients, found.n_units, {}, found.ranges
    )


def left(model, x: torch.Tensor, forces: torch.Tensor) -> float:
    """Root mean square force that a model leaves, kcal/mol/A."""
    return float((forces - model.forces(x)).pow(2).mean().sqrt()) / KCAL_MOL_ANGSTROM


def seconds(job: Callable[[], object]) -> tuple[float, object]:
    """Of processor time, and what the job gives."""
    begin = time.process_time()
    found = job()
    return time.process_time() - begin, found


def epoch(kind: str, prior: LinearModel, data: Frames, epochs: int) -> float:
    """Seconds of one epoch of a training, without those for held-out frames."""
    one, few = ((data[0][:n], data[1][:n]) for n in (1, 128))
    settings = NeuralSettings(Architecture(kind), epochs=epochs, patience=epochs)
    train(prior, few, one, settings)  # which imports
    return seconds(lambda: train(prior, data, one, settings))[0] / epochs


def learned(
    prior: LinearModel, data: Frames, held_out: Frames, epochs: int
) -> NeuralModel:
    """SchNet on a prior; a fifth of the held-out frames choose its weights."""
    settings = NeuralSettings(epochs=epochs, patience=epochs, learning_rate=3e-3)
    fifth = held_out[0][::5], held_out[1][::5]
    return train(prior, data, fifth, settings).model


def figures(*, quick: bool) -> list[dict]:
    """All figures; none without the data."""
    if not alanine.FILE.is_file():
        return []
    torch.set_num_threads(1)
    data, held_out = frames()
    linear(*data)
    once, model = seconds(lambda: linear(*data))
    measured, long = (1, 2) if quick else (3, 20)
    cost = {kind: epoch(kind, model, data, measured) for kind in ("schnet", "painn")}
    bare = linear(*data, bare=True)
    on_linear, on_bare = (learned(p, data, held_out, long) for p in (model, bare))
    found = ratios(once, cost, measured, len(data[0]))
    found += residuals((model, bare), (on_linear, on_bare), held_out, long)
    return found if quick else found + gates(model, bare, on_bare, data, held_out)


def ratios(once: float, cost: dict[str, float], measured: int, n: int) -> list[dict]:
    """A fit of networks over the pass of the linear one."""
    note = f"{n} frames; {measured} epochs measured, times {EPOCHS}; frames per CPU-s: "
    note += f"linear {n / once:.0f} with its choice of roughness, " + ", ".join(
        f"{kind} {n / value:.0f} an epoch" for kind, value in cost.items()
    )
    return [
        figure(f"{kind} of {EPOCHS} epochs / linear fit, CPU time", EPOCHS * value / once,
               "1", ">=", 100, note)
        for kind, value in cost.items()
    ]  # fmt: skip


def residuals(linears, networks, held_out: Frames, epochs: int) -> list[dict]:
    """Held-out forces that are left by the linear models, and by networks on them."""
    alone, start = (left(model, *held_out) for model in linears)
    both, other = (left(model, *held_out) for model in networks)
    note = f"linear {alone:.3f}, bonds and angles {start:.3f}; SchNet of {epochs} epochs "
    note += f"on linear {both:.3f}, on bonds and angles {other:.3f} kcal/mol/A"
    return [
        figure("held-out force left, linear / SchNet on bonds and angles", alone / other,
               "1", "<=", 1.0, note),
        figure("held-out force left, SchNet on linear / linear", both / alone, "1", "<=",
               1.0),
    ]  # fmt: skip


def surface(forces, first: torch.Tensor, second: torch.Tensor) -> Verdict:
    """Of free energy, from replicas that start where frames of the first half lie."""
    rng = np.random.default_rng(0)
    start = first[rng.choice(len(first), REPLICAS)]
    start = (start - start.mean(1, keepdim=True)).float()
    engine = Langevin(forces, start, torch.tensor(alanine.MASSES), temperature=T,
                      friction=1.0, step=0.002, seed=5)  # fmt: skip
    engine.advance(3000)
    kept: list[torch.Tensor] = []
    run(engine, KEPT, EVERY, lambda k, x: kept.append(x.clone()))
    own = {SURFACE.name: turns(torch.stack(kept).flatten(0, 1))}
    given = [{SURFACE.name: turns(part)} for part in (first, second)]
    return judge([SURFACE], own, *given, T)[0]


def gates(model, bare, network, data: Frames, held_out: Frames) -> list[dict]:
    """Free energy surfaces of forces alone: linear beside SchNet on bonds and angles."""
    runs = LinearForces.of(model), NeuralForces(LinearForces.of(bare), network)
    one, other = (surface(forces, data[0], held_out[0]).found for forces in runs)
    return [
        figure("free energy MSE, linear / SchNet on bonds and angles",
               one.mse / other.mse, "1", "<=", 1.0,
               f"{one.mse:.3f} and {other.mse:.3f} (kcal/mol)^2"),
        figure("JS, linear / SchNet on bonds and angles", one.js / other.js, "1", "<=",
               1.0, f"{one.js:.3f} and {other.js:.3f}"),
    ]  # fmt: skip
