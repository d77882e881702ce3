"""Structure of one-site water: matched forces and Boltzmann inversion beside all atoms.

Half of the 300 frames in ``../shared/data/spce510`` makes the models, the other half
judges them: root mean square differences of g(r) up to 1.2 nm.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from coarse_matching import BEADS, FRAMES, MASSES, NAMES, WATER, water
from figures import figure

from mesobridge.coarse import ArrayFrames, Pairs, Spline, fit, match
from mesobridge.coarse.boltzmann_inversion import iterate
from mesobridge.coarse.distributions import Distribution, radial_distributions
from mesobridge.coarse.linear_model import LinearModel
from mesobridge.coarse.openmm_forces import linear_system
from mesobridge.coarse.rounds import Sampling
from mesobridge.coarse.structure_gate import judge_structure
from mesobridge.core.md import MDSettings, MDState, run_segments
from mesobridge.core.units import NM

PAIRS = Pairs(("W",) * BEADS, Spline(0.24, 0.9, 44, "zero"))
T, HALF, ROUNDS = 300.0, FRAMES // 2, 14
#: Reach of g, nm; frames per block, 1.5 ps of all atoms.
REACH, BINS, BLOCK = 1.2, 120, 15
#: Steps of 4 fs before and between frames of a run.
SETTLE, EVERY = 1500, 25


def radial(x: np.ndarray, box: np.ndarray) -> list[Distribution]:
    """Of frames of beads."""
    return radial_distributions(PAIRS, x, box, reach=REACH, bins=BINS, block=BLOCK)


def sampled(model: LinearModel, start: MDState, seed: int) -> list[Distribution]:
    """Of a run of as many frames as judge it."""
    run = run_segments(
        linear_system(model, start.box), model.beads, start,
        MDSettings(T, 4e-15, 5e12, seed), n_steps=SETTLE + HALF * EVERY, stride=EVERY,
        segment_steps=SETTLE + HALF * EVERY, source="beads",
    )  # fmt: skip
    kept = run.frames.isel(frame=slice(-HALF, None))
    return radial(kept["positions"].values / NM, kept["box"].values / NM)


def told(found: Distribution) -> str:
    """First peak, and the minimum behind it."""
    g, r = found.values(), found.centres
    valley = g[(r > 0.30) & (r < 0.40)].min()
    return f"peak {g.max():.2f} at {r[g.argmax()]:.3f} nm, then {valley:.2f}"


def figures(*, quick: bool) -> list[dict]:
    """Differences of both models, where the data are."""
    torch.set_num_threads(1)
    if not WATER.is_dir():
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in NAMES.values():  # readers write their offsets beside
            (folder / file).symlink_to((WATER / file).resolve())
        parts = zip(*water(folder, 1)[0].chunks(0, FRAMES), strict=True)
        x, force, box = (np.concatenate(part) for part in parts)
    training, held_out = radial(x[:HALF], box[:HALF]), radial(x[HALF:], box[HALF:])
    start = MDState(x[HALF - 1], box[HALF - 1])
    frames = ArrayFrames(x[:HALF], force[:HALF], box[:HALF])
    matched = fit(match([PAIRS], [frames], block=10), [PAIRS], 0, 0)
    model = LinearModel(
        PAIRS.species, np.full(BEADS, MASSES.sum()), (PAIRS,), matched.coefficients,
        matched.n_units, {}, matched.ranges,
    )  # fmt: skip
    how = Sampling(T, 0.004, 5.0, 1000, HALF, 20, 5)
    inverted, history = iterate(model, training, start, how, tolerance=0.01,
                                rounds=2 if quick else ROUNDS)  # fmt: skip
    runs = [sampled(one, start, seed) for seed, one in enumerate((model, inverted), 1)]
    forces, structure = (judge_structure(run, training, held_out)[0] for run in runs)
    noise = f"halves of the data {structure.noise:.4f}, limit {structure.limit:.4f}"
    return [
        figure("g(r) of water, inverted model / matched forces, rms differences",
               structure.found / forces.found, "1", "<=", 0.5,
               f"matched: {forces.found:.4f}, {told(runs[0][0])}"),
        figure("g(r) of water, inverted model / limit of halves", structure.found
               / structure.limit, "1", "<=", 1,
               f"{structure.found:.4f} after {len(history)} rounds; {noise}; "
               f"{told(runs[1][0])}; all atoms: {told(held_out[0])}"),
    ]  # fmt: skip
