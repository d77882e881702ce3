"""Parts of a validation by dynamics: energy, temperature, pressure, structure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units

from ...core.errors import InputError
from ...core.md import MDSettings
from ...core.units import FS, PS
from .canonical import CanonicalTest, canonical_test
from .checks import Check, at_most, between, probable
from .conservation import drift, order
from .consistency import pressures
from .dynamics import Run, run, thermal
from .static_parts import STRESS_FLOOR, part
from .structure import difference, radial_distribution
from .subject import Subject

Progress = Callable[[float, float, str], None]

#: Verdicts: drift, meV/atom/ps; level of all statistical tests; slope of dt^p.
DRIFT, LEVEL, SLOPE = 0.1, 0.01, (1.8, 2.2)
#: Largest difference of g(r) beyond noise.
STRUCTURE = 0.1
#: Friction (1/s, and times the step: Langevin integrators err with its square), settling
#: (s) and spacing of samples (s) of the canonical run.
FRICTION, FRICTION_STEP, SETTLE, SPACING = 20e12, 0.1, 1 * PS, 5 * FS
#: Time steps of the ladder over the one asked for, and its length over the run's.
LADDER, LADDER_SHARE = (1.0, 0.75, 0.5, 0.35), 0.1


@dataclass(frozen=True)
class Plan:
    """Molecular dynamics to run.

    Attributes
    ----------
    start
        Atoms; a cell that is `upright`.
    temperature, timestep, time
        K, s, s (of the NVT and of the NVE run).
    seed
        Of velocities and noise.
    """

    start: Atoms
    temperature: float
    timestep: float
    time: float
    seed: int = 0


def canonical_run(
    subject: Subject, plan: Plan, scratch: Path | None, progress: Progress
) -> Run:
    """Settle, then sample at constant temperature."""

    def settings(seed: int) -> MDSettings:
        friction = min(FRICTION, FRICTION_STEP / plan.timestep)
        return MDSettings(plan.temperature, plan.timestep, friction, seed)

    stride = max(1, round(SPACING / plan.timestep))
    settle = stride * max(1, round(SETTLE / plan.timestep / stride))
    steps = stride * max(2, round(plan.time / plan.timestep / stride))
    start = thermal(plan.start, plan.temperature, plan.seed)
    settled = run(
        subject.engine, start, settings(plan.seed), settle, stride=stride,
        scratch=scratch and scratch / "settle", progress=progress, text="NVT, settling",
    )  # fmt: skip
    return run(
        subject.engine, settled.final, settings(plan.seed + 1), steps, stride=stride,
        scratch=scratch and scratch / "nvt", progress=progress, text="NVT",
    )  # fmt: skip


def temperature_part(subject: Subject, plan: Plan, nvt: Run, progress: Progress) -> dict:
    """Kinetic energies and pressure of a canonical run."""
    kT = units.kB * plan.temperature
    allowance = step_error(subject, plan, nvt)
    tests = _partition(nvt, kT, allowance)
    whole, parts = tests["all"], {k: t for k, t in tests.items() if k != "all"}
    note = f"{whole.independent:.0f} independent samples"
    checks = [
        probable("NVT: mean kinetic energy", whole.mean_p, LEVEL, note),
        probable("NVT: variance of the kinetic energy", whole.variance_p, LEVEL, note),
    ]
    for name, test in parts.items():
        p = None if test.mean_p is None else min(1.0, test.mean_p * len(parts))
        note = f"{test.mean_ratio:.3f} of kT / 2 a degree of freedom"
        checks.append(probable(f"NVT: kinetic energy of {name}", p, LEVEL, note))
    figures: dict = {
        "temperature_K": plan.temperature * whole.mean_ratio,
        "temperature_error_K": plan.temperature * whole.mean_error,
        "step_error": allowance, "variance_ratio": whole.variance_ratio,
        "independent": whole.independent,
    }  # fmt: skip
    if nvt.final.pbc.all():
        found = pressures(
            subject.exact, nvt.frames(20), plan.temperature, progress=progress
        )
        figures["pressure_GPa"] = found
        gap = abs(found["difference"]["value"])
        limit = max(STRESS_FLOOR, 0.01 * abs(found["virial"]["value"]))
        checks.append(at_most("NVT: virial pressure against -dF/dV", gap, "GPa", limit))
    curves = {
        "time": nvt.time.tolist(), "kinetic": nvt.kinetic.tolist(), "kT": kT,
        "dof": 3 * len(nvt.final),
    }  # fmt: skip
    return part(figures, checks, curves)


def step_error(subject: Subject, plan: Plan, nvt: Run) -> float:
    """Relative error of a kinetic energy by the time step: mean of (omega dt)^2 / 4.

    The mean square frequency of a harmonic system is that of the forces over their
    masses and kT.
    """
    dt = plan.timestep / FS * units.fs
    square = []
    for atoms in nvt.frames(5):
        atoms.calc = subject.used
        square.append((atoms.get_forces() ** 2 / atoms.get_masses()[:, None]).mean())
    return float(dt**2 * np.mean(square) / (4 * units.kB * plan.temperature))


def _partition(nvt: Run, kT: float, allowance: float) -> dict[str, CanonicalTest]:
    """All atoms; the centre of mass; each species about it, if there are several."""
    mass = nvt.final.get_masses()
    symbols = np.array(nvt.final.get_chemical_symbols())
    tests = {
        "all": canonical_test(nvt.kinetic, 3 * len(mass), kT, allowance),
        "the centre of mass": canonical_test(nvt.centre, 3.0, kT, allowance),
    }
    for one, series in zip(nvt.species, nvt.by_species.T, strict=True):
        of = symbols == one
        # Momenta that add up to nothing lack a share of three degrees of freedom.
        dof = 3 * (of.sum() - mass[of].sum() / mass.sum())
        tests[one] = canonical_test(series, float(dof), kT, allowance)
    return tests


def energy_part(
    subject: Subject, plan: Plan, start: Atoms, scratch: Path | None, progress: Progress
) -> dict:
    """Drift of the energy without a thermostat, and its fluctuation against dt."""

    def nve(timestep: float, time: float, name: str) -> Run:
        settings = MDSettings(plan.temperature, timestep, 0.0, plan.seed)
        steps = max(50, round(time / timestep))
        return run(
            subject.engine, start, settings, steps, progress=progress,
            scratch=scratch and scratch / name, text=f"NVE, {timestep / FS:.3g} fs",
        )  # fmt: skip

    n = len(start)
    whole = nve(plan.timestep, plan.time, "nve")
    found = drift(whole.time, whole.total, n)
    steps = [f * plan.timestep for f in LADDER]
    share = max(LADDER_SHARE * plan.time, 200 * plan.timestep)
    ladder = []
    for i, timestep in enumerate(steps):
        short = nve(timestep, share, f"ladder-{i}")
        ladder.append(drift(short.time, short.total, n).fluctuation)
    slope = order(steps, ladder)
    checks = (
        _drift_check(found.drift, found.error),
        between("NVE: exponent of fluctuation against dt", slope, "1", *SLOPE),
    )
    figures = {
        "drift_meV_atom_ps": found.drift, "drift_error": found.error,
        "fluctuation_meV_atom": found.fluctuation, "exponent": slope,
    }  # fmt: skip
    every = max(1, len(whole.time) // 2000)
    curves = {
        "time": whole.time[::every].tolist(),
        "total": (1e3 * (whole.total - whole.total[0]) / n)[::every].tolist(),
        "timesteps_fs": [t / FS for t in steps], "fluctuations": ladder,
    }  # fmt: skip
    return part(figures, checks, curves)


def _drift_check(value: float, error: float) -> Check:
    name, note = "NVE: drift of the energy", f"standard error {error:.1g}"
    if DRIFT < abs(value) < DRIFT + 2.6 * error:
        return Check(name, abs(value), "meV/atom/ps", f"<= {DRIFT:g}", None,
                     note + ": run too short")  # fmt: skip
    if not math.isfinite(value):
        return Check(name, value, "meV/atom/ps", f"<= {DRIFT:g}", False, note)
    return at_most(name, abs(value), "meV/atom/ps", DRIFT, note)


def structure_part(nvt: Run, reference: Sequence[Atoms]) -> dict:
    """Radial distributions of the canonical run beside reference frames."""
    one = radial_distribution(nvt.frames(200))
    other = radial_distribution(reference, seed=1)
    if one.pairs != other.pairs:
        raise InputError(
            "radial distributions", wanted=f"reference frames of {', '.join(one.pairs)}",
            got=", ".join(other.pairs),
        )  # fmt: skip
    found = difference(one, other)
    checks = [
        at_most(
            f"g(r) of {pair}, difference beyond noise over g - 1", d["excess"], "1",
            STRUCTURE, f"p = {d['p']:.2g} of chance alone",
        )
        for pair, d in found.items()
    ]  # fmt: skip
    curves = {
        "r": one.r.tolist(), "pairs": list(one.pairs),
        "run": one.mean.tolist(), "run_error": one.half_width.tolist(),
        "reference": other.mean.tolist(), "reference_error": other.half_width.tolist(),
    }  # fmt: skip
    return part({"difference": found}, checks, curves)
