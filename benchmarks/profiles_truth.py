"""Profiles beside synthetic truth: errors, coverage of their bars, time."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from figures import figure
from langevin import INERTIAL, SHAPES, Shape, Walk, walk, walk_underdamped

from mesobridge.atomistic.profiles.blocks import Units, choose_units
from mesobridge.atomistic.profiles.lagscan import scan_lags
from mesobridge.atomistic.profiles.parallel import (
    Survivors,
    count_survivors,
    estimate_parallel,
    lay_windows,
)
from mesobridge.atomistic.profiles.perpendicular import (
    estimate_biased,
    estimate_perpendicular,
)
from mesobridge.atomistic.profiles.pmf import (
    density_pmf,
    harmonic_bias,
    umbrella_pmf,
    window_weights,
)
from mesobridge.core.stats import bootstrap_weights, half_width95

#: Cells of the slab; particle groups and base blocks that statistics are kept for.
CELLS, GROUPS, BASE_BLOCKS = 100, 25, 50
#: Width of the windows for D_par, nm, and what is left out beside the walls, as in all
#: figures of errors: D is not seen where nobody is.
WINDOW, EDGE = 0.4, 0.1
#: Visits below which a cell does not count for the coverage of W.
VISITED = 50
#: Springs (kT/nm2) and number of umbrella windows.
SPRING, WINDOWS = 60.0, 20


@dataclass(frozen=True)
class Found:
    """One synthetic set: relative errors of replicates, and where they count.

    Attributes
    ----------
    perpendicular, parallel
        ln(D / truth), shape (R + 1, points).
    work
        W less the truth, kT, shape (R + 1, cells).
    units
        What was resampled.
    """

    perpendicular: np.ndarray
    parallel: np.ndarray
    work: np.ndarray
    units: Units


def places(shape: Shape, frames: int, ions: int, blocks: int, groups: int) -> np.ndarray:
    """Unit of each (frame, ion), shape (F, N)."""
    block, group = np.arange(frames) * blocks // frames, np.arange(ions) * groups // ions
    return block[:, None] * groups + group


def count(motion: Walk, shape: Shape, unit: np.ndarray, lags: list[int], n=CELLS):
    """Visits (U, n) and for each lag transitions (U, n, n)."""
    cell = np.minimum((motion.z * (n / shape.width)).astype(int), n - 1)
    units = int(unit.max()) + 1
    visits = np.bincount((unit * n + cell).ravel(), minlength=units * n)
    transitions = []
    for lag in lags:
        flat = ((unit[:-lag] * n + cell[:-lag]) * n + cell[lag:]).ravel()
        seen = np.bincount(flat, minlength=units * n * n).astype(np.float32)
        transitions.append(seen.reshape(units, n, n))
    return visits.reshape(units, n), transitions


def units_of(motion: Walk, shape: Shape, lag: int) -> tuple[Units, np.ndarray]:
    """Chosen units, and the unit of each (frame, ion)."""
    frames, ions = motion.z.shape
    groups = min(ions, GROUPS)
    base = places(shape, frames, ions, BASE_BLOCKS, groups)
    visits, _ = count(motion, shape, base, [], n=CELLS // 4)
    block, group = np.divmod(np.arange(BASE_BLOCKS * groups), groups)
    shortest = -(-4 * lag * BASE_BLOCKS // frames)
    chosen = choose_units(visits, np.zeros_like(block), block, group, shortest)
    return chosen, chosen.index[base]


def survivors(motion: Walk, unit: np.ndarray, windows: np.ndarray, lag: int) -> Survivors:
    """Sums of all units, block by block."""
    starts = np.flatnonzero(np.diff(unit[:, 0], prepend=-1))
    ends = np.append(starts[1:], len(unit))
    parts = []
    for start, end in zip(starts, ends, strict=True):
        rows = slice(start, min(end + lag, len(unit)))
        group = unit[start] - unit[start].min()
        parts.append(
            count_survivors(
                motion.z[rows], motion.xy[rows], windows, lag, motion.save, group
            )
        )
    names = ("number", "growth", "time")
    return Survivors(*(np.concatenate([getattr(p, k) for p in parts]) for k in names))


def true_work(shape: Shape, n: int = CELLS) -> np.ndarray:
    """W of the mean density of each cell, kT, shape (n,)."""
    fine = (np.arange(50 * n) + 0.5) * shape.width / (50 * n)
    return -np.log(np.exp(-shape.work(fine)).reshape(n, 50).mean(axis=1))


def analyse(motion: Walk, shape: Shape, lag: int, replicates: int, seed: int) -> Found:
    """Everything from one table of weights, as errors."""
    h = shape.width / CELLS
    units, unit = units_of(motion, shape, lag)
    visits, (transitions,) = count(motion, shape, unit, [lag])
    weights = bootstrap_weights(units.n, replicates, seed)
    across = estimate_perpendicular(
        transitions, visits, weights, h, lag * motion.save, lag
    )
    face = across.faces * h
    inner = (face > EDGE) & (face < shape.width - EDGE)
    windows = lay_windows(0.0, shape.width, WINDOW)
    z = (np.arange(CELLS) + 0.5) * h
    middle = (z > EDGE) & (z < shape.width - EDGE)
    along = estimate_parallel(
        survivors(motion, unit, windows, lag), windows, weights, z[middle], lag
    )
    exact = density_pmf(np.exp(-true_work(shape)))
    visited = visits.sum(axis=0) > VISITED
    work = density_pmf(weights @ visits)
    return Found(
        np.log(across.D / shape.perpendicular(face))[:, inner],
        np.log(along.D / shape.parallel(z[middle])),
        (work - exact)[:, visited],
        units,
    )


def coverage(errors: np.ndarray, n_units: int) -> float:
    """Part of the points whose 95 % interval holds the truth."""
    return float((np.abs(errors[0]) <= half_width95(errors, n_units)).mean())


def rms(errors: list[np.ndarray]) -> float:
    """Root mean square of relative errors of point estimates, all sets together."""
    return float(np.sqrt(np.mean(np.concatenate([np.expm1(e[0]) for e in errors]) ** 2)))


def moved(shape: Shape, points: int, seed: int) -> tuple[Walk, int]:
    """A set of so many saved positions, and the lag for it in frames."""
    walkers, frames = (500, points // 500) if points > 300_000 else (100, points // 100)
    if shape is INERTIAL:
        motion = walk_underdamped(
            shape, walkers, frames, seed, save=0.5, dt=0.005, kT_m=0.434
        )
        return motion, 4
    return walk(shape, walkers, frames, seed, save=0.5, dt=0.05), 4


def accuracy(points: int, seeds: int, limit: float) -> list[dict]:
    """Errors of D_perp and D_par at a number of saved positions, shape by shape."""
    out = []
    for shape in (*SHAPES.values(), INERTIAL):
        found = [
            analyse(*_swap(moved(shape, points, s), shape), 0, s) for s in range(seeds)
        ]
        note = f"{shape.name}, {seeds} sets of {points:g} positions"
        across = rms([f.perpendicular for f in found])
        along = rms([f.parallel for f in found])
        out += [
            figure(
                f"D_perp rms, {shape.name}, {points:g}", across, "1", "<=", limit, note
            ),
            figure(f"D_par rms, {shape.name}, {points:g}", along, "1", "<=", limit, note),
        ]
    return out


def _swap(pair: tuple[Walk, int], shape: Shape) -> tuple[Walk, Shape, int]:
    return pair[0], shape, pair[1]


def covered(shape: Shape, sets: list[tuple[Walk, int]], replicates: int) -> list[dict]:
    """Coverage of 95 % intervals over sets, for D_perp, D_par and W."""
    found = [
        analyse(motion, shape, lag, replicates, s) for s, (motion, lag) in enumerate(sets)
    ]
    n = [f.units.n for f in found]
    what = found[0].units
    together = [max(f.units.coupling) for f in found]
    note = (
        f"{len(sets)} sets, mostly {what.n} "
        f"{'time blocks' if what.groups == 1 else 'groups of particles'}, "
        f"coupling {np.mean(together):.2f}"
    )
    out = []
    for name in ("perpendicular", "parallel", "work"):
        parts = [coverage(getattr(f, name), u) for f, u in zip(found, n, strict=True)]
        value = float(np.mean(parts))
        extra = f"{note}; sets {min(parts):.2f} to {max(parts):.2f}"
        for op, limit in ((">=", 0.88), ("<=", 0.99)):
            label = f"coverage of {name}, {shape.name}"
            out.append(figure(label, value, "1", op, limit, extra))
    return out


def umbrella(shape: Shape, seed: int, frames: int, replicates: int):
    """Errors of W (kT) and of ln D_perp from umbrella windows, with replicates."""
    centres = np.linspace(EDGE, shape.width - EDGE, WINDOWS)
    bias = harmonic_bias(centres, SPRING, np.linspace(0, shape.width, CELLS + 1))
    visits, transitions, lag, ions = [], [], 4, 20
    for k, centre in enumerate(centres):
        motion = walk(
            shape, ions, frames, 1000 * seed + k, save=0.5, dt=0.05,
            bias=lambda z, c=centre: 0.5 * SPRING * (z - c) ** 2,
        )  # fmt: skip
        seen, (moves,) = count(motion, shape, places(shape, frames, ions, 1, ions), [lag])
        visits.append(seen)
        transitions.append(moves)
    weights = window_weights([ions] * WINDOWS, replicates, seed)
    found = umbrella_pmf(visits, bias, weights)
    exact = density_pmf(np.exp(-true_work(shape)), found.visited)
    h = shape.width / CELLS
    fit = estimate_biased(transitions, found.W, bias, weights, h, 0.5 * lag, lag)
    face = fit.faces * h
    inner = (face > EDGE) & (face < shape.width - EDGE)
    often = sum(v.sum(axis=0) for v in visits) > 2 * VISITED
    D = np.log(fit.D / shape.perpendicular(face))
    return (found.W - exact)[:, often], D[:, inner]


def umbrellas(sets: int, frames: int, replicates: int) -> list[dict]:
    """Errors and coverage of W and D_perp from biased windows."""
    out = []
    for name in ("barrier", "layers, dip 0.6"):
        work, D = zip(
            *(umbrella(SHAPES[name], s, frames, replicates) for s in range(sets)),
            strict=True,
        )
        points = 20 * WINDOWS * frames
        note = f"{sets} sets of {WINDOWS} windows, {points:g} positions together"
        out.append(figure(f"D_perp rms, umbrella, {name}", rms(list(D)), "1", "<=", 0.06,
                          note))  # fmt: skip
        error = float(np.sqrt(np.mean(np.concatenate([w[0] for w in work]) ** 2)))
        out.append(figure(f"W rms (kT), umbrella, {name}", error, "1", "<=", 0.25, note))
        for what, errors in (("W", work), ("D_perp", D)):
            # Each of the 20 units of a window is one of many: no Student factor.
            value = float(np.mean([coverage(e, 20 * WINDOWS) for e in errors]))
            for op, limit in ((">=", 0.88), ("<=", 0.99)):
                label = f"coverage of {what}, umbrella, {name}"
                out.append(figure(label, value, "1", op, limit, note))
    return out


#: Quick ions in a narrow slab: a run has many relaxations, so that blocks are the units.
FAST = Shape(
    "fast", 1.6,
    lambda z: -0.8 * np.exp(-z / 0.25) * np.cos(2 * np.pi * (z - 0.05) / 0.4)
    - 0.8 * np.exp(-(1.6 - z) / 0.25) * np.cos(2 * np.pi * (1.55 - z) / 0.4),
    lambda z: 5e-2 * (1 - 0.45 * np.exp(-z / 0.3) - 0.45 * np.exp(-(1.6 - z) / 0.3)),
    lambda z: 6e-2 * (1 - 0.3 * np.exp(-z / 0.3) - 0.3 * np.exp(-(1.6 - z) / 0.3)),
)  # fmt: skip


def fast(seed: int, frames: int = 12_000, clones: int = 1) -> tuple[Walk, int]:
    """A long run of few quick ions; `clones` of each move together."""
    motion = walk(FAST, 32 // clones, frames, seed, save=0.05, dt=0.01)
    # Shifted, so that clones belong to different groups of particles.
    z, xy = (np.tile(a, (1, clones) + (1,) * (a.ndim - 2)) for a in (motion.z, motion.xy))
    return Walk(z, xy, motion.save), 4


def speed(replicates: int = 200) -> list[dict]:
    """Time of D_perp with replicates, and the scan of lags, at 1e6 positions."""
    shape = SHAPES["layers, dip 0.6"]
    motion, lag = moved(shape, 1_000_000, 0)
    _, unit = units_of(motion, shape, lag)
    lags = [1, 2, 4, 8]
    visits, transitions = count(motion, shape, unit, lags)
    weights, h = bootstrap_weights(len(visits), replicates, 0), shape.width / CELLS
    begin = time.process_time()
    estimate_perpendicular(transitions[2], visits, weights, h, 2.0, lag)
    one = time.process_time() - begin
    begin = time.process_time()
    scan = scan_lags(
        transitions, [k * motion.save for k in lags], lags, visits, weights, h
    )
    note = f"{replicates} replicates, {CELLS} cells; lag {scan.lags[scan.chosen]:g} ps"
    return [
        figure("CPU time of a fit of D_perp", one, "s", "<=", 60, note),
        figure("CPU time of the scan of four lags", time.process_time() - begin, "s",
               "<=", 240, note),
    ]  # fmt: skip


def figures(*, quick: bool) -> list[dict]:
    """All figures of the profile estimators."""
    sets, replicates = (4, 60) if quick else (24, 200)
    out = accuracy(100_000, 2 if quick else 10, 0.06)
    out += accuracy(1_000_000, 1 if quick else 3, 0.03)
    for shape in list(SHAPES.values())[: 1 if quick else None]:
        motions = [moved(shape, 100_000, 100 + s) for s in range(sets)]
        out += covered(shape, motions, replicates)
    for clones in (1,) if quick else (1, 4):
        found = covered(FAST, [fast(300 + s, clones=clones) for s in range(sets)],
                        replicates)  # fmt: skip
        for f in found:
            f["name"] += f", {clones} move together"
        out += found
    out += umbrellas(2 if quick else 20, 500, replicates)
    return out + speed(50 if quick else 200)
