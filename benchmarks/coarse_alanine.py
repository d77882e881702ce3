"""Alanine dipeptide, five beads: fitted to half of the data, judged on the other half."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import alanine
import numpy as np
import torch
from alanine import BONDS, KCAL_MOL_ANGSTROM, NAMES, PHI, PSI
from figures import figure

from mesobridge.coarse import ArrayFrames, fit, match
from mesobridge.coarse.coordinates import dihedral
from mesobridge.coarse.gate import Observable, difference, judge, of_the_model_itself
from mesobridge.coarse.molecules import molecular_terms
from mesobridge.coarse.rounds import (
    Sampling,
    information,
    refine_in_rounds,
    sample,
)

T = 300.0
EDGES = np.linspace(-np.pi, np.pi, 37)
SURFACE = Observable("phi-psi", (EDGES, EDGES))


def turns(x: torch.Tensor) -> np.ndarray:
    """Both angles, shape (F, 2)."""
    return dihedral(x.double(), torch.tensor([PHI, PSI]))[0].numpy()


def memory(angles: np.ndarray) -> float:
    """Longest correlation time of cos and sin of angles (F, R, 2), frames."""
    longest = 1.0
    for values in (np.cos(angles), np.sin(angles)):
        for k in range(2):
            x = values[..., k] - values[..., k].mean()
            over = [
                float((x[lag:] * x[: len(x) - lag]).mean() / (x * x).mean())
                for lag in range(len(x) // 2)
            ]
            below = np.flatnonzero(np.array(over) < 0.02)
            end = below[0] if len(below) else len(over)
            longest = max(longest, 1 + 2 * float(np.sum(over[1:end])))
    return longest


def positive(angles: np.ndarray) -> tuple[float, float]:
    """Part of frames with phi > 0, and its standard error as of independent frames."""
    p = float((angles[:, 0] > 0).mean())
    return p, float(np.sqrt(max(p * (1 - p), 1 / len(angles)) / len(angles)))


def chance(density: np.ndarray, n: int) -> float:
    """MSE that a perfect model stays below in 19 of 20 sets of n frames."""
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(n, density.ravel(), size=400).reshape(-1, *density.shape)
    found = [difference(density, d / n, T).mse for d in drawn]
    return float(np.quantile(found, 0.95))


def figures(*, quick: bool) -> list[dict]:
    """Of the gate; nothing where the data are not there."""
    if not alanine.FILE.is_file():
        return []
    x, force = alanine.frames()
    masses = torch.tensor(alanine.MASSES)
    halves = [slice(0, None, 2), slice(1, None, 2)]
    first, second = (x[half] for half in halves)
    terms = molecular_terms(first, BONDS, NAMES, maps=[(PHI, PSI)])
    begun = time.process_time()
    equations = match(terms, [ArrayFrames(first, force[halves[0]])], block=100)
    matched = fit(equations, terms, 0 if quick else 20, 0)
    spent = time.process_time() - begun
    basin = np.flatnonzero((turns(torch.from_numpy(first)) > [-4, 1.5]).all(1))
    chosen = np.random.default_rng(0).choice(basin, 200 if quick else 1000)
    start = torch.from_numpy(first[chosen])
    how = Sampling(T, frames=50 if quick else 100)
    known = information(terms, equations, matched, first, len(first))
    begun = time.process_time()
    coefficients, history = refine_in_rounds(
        terms, matched.coefficients[0], known, start, masses, how,
        progress=lambda k, n, text: sys.stderr.write(f"round {k}: {text}\n"),
    )  # fmt: skip
    refined = time.process_time() - begun
    given = [{"phi-psi": turns(torch.from_numpy(part))} for part in (first, second)]
    long = Sampling(T, frames=60, seed=77)
    if not quick:  # few replicas, each for many times its memory
        start, long = start[:100], replace(long, frames=600, every=500)
    judged = []
    for c in (matched.coefficients[0], coefficients):
        frames, _ = sample(terms, c, start, masses, long)
        angles = turns(frames.flatten(0, 1))
        (verdict,) = judge([SURFACE], {"phi-psi": angles}, *given, T)
        judged.append((verdict, angles))
    (plain, _), (verdict, angles) = judged
    own, noise = verdict.found, verdict.noise
    perfect = of_the_model_itself(SURFACE.density(angles), len(second), T)
    highest = chance(SURFACE.density(angles), len(second))
    p, (q, error) = positive(angles)[0], positive(given[1]["phi-psi"])
    length = memory(angles.reshape(long.frames, -1, 2)) * long.every
    return [
        figure("free energy MSE / split noise", own.mse / noise.mse, "1", "<=", 1.5,
               f"{own.mse:.3f} and {noise.mse:.3f} (kcal/mol)^2; forces alone "
               f"{plain.found.mse:.3f}, a perfect model {perfect.mse:.3f} on average, up "
               f"to {highest:.3f} in 19 of 20 halves"),
        figure("JS / split noise", own.js / noise.js, "1", "<=", 1.0,
               f"{own.js:.4f} and {noise.js:.4f}; forces alone {plain.found.js:.4f}"),
        figure("P(phi > 0) off", abs(p - q) / error, "standard errors", "<=", 2.0,
               f"{p:.5f} and {q:.5f} +- {error:.5f}"),
        figure("run of each replica over its memory",
               (long.settle + long.frames * long.every) / length, "1", ">=", 50.0,
               f"{len(start)} replicas; memory {length * long.step:.1f} ps"),
        figure("force residual, held out", matched.held_out / KCAL_MOL_ANGSTROM,
               "kcal/mol/A", "<=", 19.9,
               f"matching {spent:.1f} CPU-s, {len(history)} rounds {refined:.0f}"),
    ]  # fmt: skip
