"""Production of ethanol that knows when it does not know: surprises, and oracle calls.

The truth is GFN2-xTB, which is cheap enough to be asked all the time; a potential learns
it at 300 K in half a CPU-minute. The error of the energy is that of the truth and of
motion, less the heat of the thermostat and less the same at the start: root mean square
over a run, meV per atom, and over those 40 fs of it where that is largest. The variance
of errors that add up at random grows evenly, so that corrections at a fixed interval are
as good as any for the mean over a run; a promise for every moment they do not keep.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed
from figures import figure

from mesobridge.atomistic.active import Motion, Trigger
from mesobridge.atomistic.active.walkers import (
    ACCELERATION,
    Mover,
    Walker,
    started,
    system_of,
)
from mesobridge.atomistic.labels import Labeller, LabelStore, labelled_frames
from mesobridge.atomistic.named_oracle import NamedOracle
from mesobridge.atomistic.potential import (
    CalculatorPotential,
    Potential,
    TrainingSettings,
    load_potential,
    save_potential,
    train,
)
from mesobridge.atomistic.production import ProductionSettings, produce
from mesobridge.atomistic.production.state import State, unpacked
from mesobridge.atomistic.production.steps import Steps
from mesobridge.atomistic.uncertainty import calibrate
from mesobridge.core.errors import StageError
from mesobridge.core.md import stored

XTB = NamedOracle(kind="xtb", method="GFN2-xTB")
ETHANOL = molecule("CH3CH2OH")
SYSTEM = system_of([ETHANOL])
T, STEP = 300.0, 0.5
#: What is asked of runs through surprises, and where calls are counted; meV per atom.
ASKED, BUDGETS = 2.0, (4.0, 2.0, 1.0)
KINDS = ("sudden heating", "close pair", "stretched bond")
#: Steps between corrections that are compared with; the last is longer than any run, so
#: that no error is compared with more calls than it takes.
INTERVALS = (1, 2, 4, 8, 16, 32, 64, 128, 512, 4096)
#: Of the parts of runs that are to be accurate one by one, fs.
PART = 40.0


class Truth(CalculatorPotential):
    """GFN2-xTB in the place of a potential that moves walkers."""

    model = SimpleNamespace(cutoff=4.0)

    def __init__(self):
        super().__init__(XTB())

    def numbers(self, species):
        """Symbols stay."""
        return np.array(species)

    def evaluate_many(self, positions, species, box, pbc, charge, **_):
        """One by one."""
        return [self.evaluate(x, species, box, pbc, charge) for x in positions]

    def label(self, walker: Walker):
        """Energy and forces; a new calculator where the last density misleads it."""
        where = walker.x, SYSTEM.species, SYSTEM.box, SYSTEM.pbc
        try:
            return self.evaluate(*where)
        except CalculationFailed:
            self.calculator = XTB()
            return self.evaluate(*where)

    def errors(self, walkers: Iterable[Walker]) -> np.ndarray:
        """Of the energy, meV per atom, against the first of these."""
        total = [self.label(w).energy + SYSTEM.kinetic(w.v) - w.heat for w in walkers]
        return 1e3 * (np.array(total) - total[0]) / len(SYSTEM.masses)


def dynamics(truth: Truth, n: int, every: int) -> list[Walker]:
    """Moments of the truth's own dynamics at 300 K."""
    mover = Mover(SYSTEM, truth, Motion(T, 1.0, 0.02))
    here = {0: started(SYSTEM, mover.motion, ETHANOL.positions, 0)}
    found, kept = mover.evaluate(here, False), []
    for k in range(n * every):
        here, found = mover.step(here, found, False)
        if (k + 1) % every == 0:
            kept.append(here[0])
    return kept


def moment(x: np.ndarray, v: np.ndarray) -> Atoms:
    """The molecule, positions (A) and velocities (A/fs)."""
    made = Atoms(ETHANOL.symbols, x)
    made.set_velocities(v / units.fs)
    return made


def learned(folder: Path, walkers: list[Walker], steps: int) -> Potential:
    """A potential of these moments, a quarter held out, calibrated."""
    frames = [SYSTEM.atoms(w.x) for w in walkers]
    labels = Labeller(XTB, LabelStore(folder / "labels")).label(frames)
    sets = [labelled_frames([a], [label], "GFN2-xTB")[0]
            for a, label in zip(frames, labels, strict=True)]  # fmt: skip
    known, held = [s for k, s in enumerate(sets) if k % 4], sets[::4]
    settings = TrainingSettings(("C", "H", "O"), 4e-10, channels=16, radial=6, hidden=16,
                                layers=2, steps=steps, batch=8, points=2)  # fmt: skip
    result, path = train(known, held, settings), folder / "p.safetensors"
    save_potential(path, result, {})
    u = calibrate(load_potential(path), known, held)
    save_potential(path, result, {}, u)
    return load_potential(path)


def surprise(kind: str, walker: Walker, rng: np.random.Generator) -> Atoms:
    """A moment with something planted in it."""
    x, v, names = walker.x.copy(), walker.v.copy(), np.array(ETHANOL.symbols)
    if kind == "sudden heating":
        return moment(x, rng.uniform(2.0, 2.8) * v)  # 1200 to 2400 K
    h = rng.choice(np.flatnonzero(names == "H"))
    apart = np.linalg.norm(x - x[h], axis=1)
    apart[h] = np.inf
    if kind == "stretched bond":
        other, length = apart.argmin(), apart.min() + rng.uniform(0.3, 0.6)
    else:  # to the nearest other hydrogen: closer, and many molecules break
        other, length = (
            np.where(names == "H", apart, np.inf).argmin(),
            rng.uniform(1, 1.3),
        )
    x[h] = x[other] + (x[h] - x[other]) * length / apart[other]
    return moment(x, v)


def watched(potential, start: Atoms, settings: ProductionSettings, truth: Truth):
    """Errors of a run with the guard, and its oracle calls."""
    with tempfile.TemporaryDirectory() as name:
        labeller = Labeller(XTB, LabelStore(Path(name) / "labels"))
        calls = produce(start, potential, settings, Path(name), labeller).calls
        paths = sorted((Path(name) / "segments").glob("*.npz"))
        path = [unpacked(stored(p))[0].walker for p in paths]  # type: ignore[arg-type]
        first = Walker(start.positions, start.get_velocities() * units.fs)
        return truth.errors([first, *path]), calls


def unwatched(potential, start: Atoms, motion: Motion, steps: int, truth: Truth, n=0,
              restored=True):  # fmt: skip
    """Errors without the guard, with a correction every `n` steps; ``None``: blown up.

    Corrections are those of runs with the guard, or forces alone.
    """
    moving = Steps(Mover(SYSTEM, potential, motion), ProductionSettings(motion, 1.0))
    state = moving.first(start)
    state = moving.referred(state, truth.label(state.walker)) if n else state
    path = [state.walker]
    for k in range(steps):
        there = moving.moved(state, motion.timestep, False)
        if there is None or moving.away(there):
            return None
        if n and (k + 1) % n == 0:
            there = corrected(moving, there, truth.label(there.walker), restored)
        state = there
        path.append(state.walker)
    try:
        return truth.errors(path[::3])  # no multiple of an interval
    except CalculationFailed:  # no molecule any more
        return None


def corrected(moving: Steps, state: State, label, restored: bool) -> State:
    """With forces of the oracle; energies are put right, or not."""
    found, _ = moving.corrected(state, label)
    if restored:
        return found
    half = 0.5 * state.timestep * ACCELERATION / SYSTEM.masses[:, None]
    v = state.walker.v + half * (label.forces - state.found.forces)
    return replace(found, walker=replace(state.walker, v=v))


def rms(x: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(x**2)))


def surprises(potential, walkers, truth: Truth, n: int, length: float) -> list[dict]:
    """Runs through planted surprises, with the guard and without."""
    rng, steps = np.random.default_rng(5), round(length / STEP)
    calls = unanswered = 0
    guarded, bare = [], []
    for k in range(n):
        start = surprise(KINDS[k % len(KINDS)], walkers[k % len(walkers)], rng)
        motion = Motion(T, STEP, 0.0, k)
        s = ProductionSettings(motion, length, "correct", budget=ASKED, segment=1)
        try:
            found, asked = watched(potential, start, s, truth)
            guarded.append(rms(found))
            calls += asked
        except StageError as exc:
            guarded.append(np.inf)
            unanswered += "oracle failed" in exc.what
        alone = unwatched(potential, start, motion, steps, truth)
        bare.append(np.inf if alone is None else rms(alone))
    both = np.array([guarded, bare])
    blown, over = np.isinf(both).sum(1), (both > ASKED).sum(1)
    ended = np.isfinite(both[0])
    each = ", ".join(
        f"{kind} {(both[0, i :: len(KINDS)] > ASKED).sum()} beside "
        f"{(both[1, i :: len(KINDS)] > ASKED).sum()}" for i, kind in enumerate(KINDS)
    )  # fmt: skip
    largest = float(both[0][ended].max())
    note = (f"{n} trials of {length:g} fs; without the guard {blown[1]}; with it "
            f"{unanswered} end where the oracle has no answer; oracle at "
            f"{100 * calls / (n * steps):.0f} % of the steps")  # fmt: skip
    return [
        figure("surprises, blow-ups", int(blown[0]) - unanswered, "1", "<=", 0, note),
        figure("surprises, runs of a larger energy error than asked",
               int(over[0]) - unanswered, "1", "<=", 0,
               f"asked {ASKED:g} meV/atom, median {np.median(both[0]):.2f}, "
               f"largest {largest:.2f}; without the guard {over[1]}, median "
               f"{np.median(both[1]):.1f}; {each}"),
    ]  # fmt: skip


def whole(errors: list[np.ndarray]) -> float:
    """Root mean square over all runs."""
    return rms(np.concatenate(errors))


def worst(errors: list[np.ndarray], parts: int) -> float:
    """The same over each of so many parts of the runs: the largest."""
    return max(whole(list(part)) for part in
               zip(*(np.array_split(e, parts) for e in errors), strict=True))  # fmt: skip


def at_equal_accuracy(calls: np.ndarray, errors: np.ndarray, wanted: float) -> float:
    """Calls of fixed intervals for an error, between those that were run."""
    calls, errors = calls[np.isfinite(errors)], errors[np.isfinite(errors)]
    order = np.argsort(errors)
    logs = np.interp(np.log(wanted), np.log(errors[order]), np.log(calls[order]))
    return float(np.exp(logs))


def compared(name: str, potential, starts, friction, length, truth: Truth) -> list[dict]:
    """Oracle calls of adaptive corrections over those of fixed intervals."""
    steps, parts = round(length / STEP), max(1, round(length / PART))
    pairs = [(a, Motion(T, STEP, friction, k)) for k, a in enumerate(starts)]
    rows = []

    def fixed(restored: bool) -> list[list[np.ndarray] | None]:
        found = [[unwatched(potential, a, m, steps, truth, n, restored) for a, m in pairs]
                 for n in INTERVALS]  # fmt: skip
        return [None if any(f is None for f in of) else of for of in found]

    others = {"a fixed interval": fixed(True), "forces at a fixed interval": fixed(False)}
    measures = {f"the worst {PART:g} fs": partial(worst, parts=parts), "the whole": whole}
    calls = np.array([len(starts) * (1 + steps // n) for n in INTERVALS])
    for budget in BUDGETS:
        runs = [
            watched(potential, a, ProductionSettings(
                m, length, "correct", Trigger(force=1e9), budget, segment=1), truth)
            for a, m in pairs
        ]  # fmt: skip
        errors, asked = [f for f, _ in runs], sum(c for _, c in runs)
        where = f"{name}, {budget:g} meV/atom asked"
        rows.append(figure(
            f"{where}, error over what was asked", whole(errors) / budget, "1", "<=", 2,
            f"{len(starts)} runs of {length:g} fs; in their worst {PART:g} fs "
            f"{worst(errors, parts) / budget:.2f}"))  # fmt: skip
        for kind, what in ((k, m) for k in others for m in measures):
            wanted = measures[what](errors)
            found = [np.inf if e is None else measures[what](e) for e in others[kind]]
            same = at_equal_accuracy(calls, np.array(found), wanted)
            rows.append(figure(
                f"{where}, oracle calls over those of {kind}, equal in {what}",
                asked / same, "1", "<=", 0.5, f"{asked} beside {same:.0f} for "
                f"{wanted:.2f} meV/atom, of {len(starts) * steps} steps"))  # fmt: skip
    return rows


def figures(*, quick: bool) -> list[dict]:
    """All figures of watched production; none where tblite is not."""
    if importlib.util.find_spec("tblite") is None:
        return []
    torch.set_num_threads(1)
    truth, n = Truth(), 80 if quick else 320
    walkers = dynamics(truth, n, 8)
    with tempfile.TemporaryDirectory() as name:
        potential = learned(Path(name), walkers, 300 if quick else 1200)
    trials, length = (6, 25.0) if quick else (50, 40.0)
    rows = surprises(potential, walkers[n // 2 :], truth, trials, length)
    rng = np.random.default_rng(6)
    # A thermostat takes the heat of the surprise away: unsure at first, sure later.
    runs, length = (1, 50.0) if quick else (2, 1600.0)
    struck = [surprise(KINDS[0], w, rng) for w in walkers[:runs]]
    rows += compared("heated, cooled", potential, struck, 0.02, length, truth)
    runs, length = (1, 50.0) if quick else (3, 200.0)
    calm = [moment(w.x, w.v) for w in walkers[: 40 * runs : 40]]
    return rows + compared("calm", potential, calm, 0.0, length, truth)
