"""Two hundred random interfaces, solved unattended; an instantaneous step of 40 kT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from figures import figure

from mesobridge.continuum.audit import audit
from mesobridge.continuum.borders import Border, Stern
from mesobridge.continuum.closures import Bikerman, CarnahanStarling, Closure
from mesobridge.continuum.domain import interval
from mesobridge.continuum.medium import Conditions, Medium, Scales
from mesobridge.continuum.mesh import graded
from mesobridge.continuum.model import NernstPlanckPoisson
from mesobridge.continuum.states import Solution
from mesobridge.continuum.steady import solve_steady
from mesobridge.continuum.transient import solve_transient
from mesobridge.core.errors import MesobridgeError
from mesobridge.core.units import AVOGADRO

#: Relative permittivity of water.
WATER = 78.49


@dataclass(frozen=True)
class Draw:
    """A random electrolyte at a random electrode."""

    z: np.ndarray
    density: np.ndarray
    volts: float
    diffusivity: np.ndarray
    diameter: np.ndarray
    protection: str
    closure: str
    stern: float
    driven: int | None
    offset: float


def draw(rng: np.random.Generator) -> Draw:
    """1-4 species of charges up to 3, 1 mM-2 M, 0-1.5 V.

    Above 0.5 V ions have volumes or the electrode has a Stern layer. Every second problem
    carries a current: one species is held at the electrode too.
    """
    n = int(rng.integers(1, 5))
    z = rng.choice([-3, -2, -1, 1, 2, 3], n)
    while n > 1 and not z.min() < 0 < z.max():
        z = rng.choice([-3, -2, -1, 1, 2, 3], n)
    share = rng.uniform(0.2, 1.0, n)
    if n > 1:
        carried = z * share
        share[z < 0] *= carried[z > 0].sum() / -carried[z < 0].sum()
    density = share / share.max() * 10 ** rng.uniform(0, np.log10(2000)) * AVOGADRO
    volts = rng.uniform(0.0, 1.5)
    kinds = ["steric", "stern"] + (["none"] if volts <= 0.5 else [])
    return Draw(
        z,
        density,
        volts * rng.choice([-1, 1]),
        rng.uniform(0.3, 3.0, n) * 1e-9,
        rng.uniform(0.3, 0.6, n) * 1e-9,
        str(rng.choice(kinds)),
        str(rng.choice(["bikerman", "carnahan-starling"])),
        rng.uniform(0.05, 0.5),
        int(rng.integers(n)) if rng.random() < 0.5 else None,
        rng.uniform(-3.0, 3.0),
    )


def smooth(rng: np.random.Generator, x: np.ndarray, size: float) -> np.ndarray:
    """A random profile of a given largest value that is zero at the bulk's end."""
    f = np.zeros_like(x)
    for _ in range(4):
        wave = np.cos(rng.uniform(0, 3) * x + rng.uniform(0, 6))
        f += rng.normal() * np.exp(-x / rng.uniform(0.3, 3.0)) * wave
    rest = np.clip((x[-1] - x) / (0.3 * x[-1]), 0, 1)
    return size * f / np.abs(f).max() * rest**2 * (3 - 2 * rest)


def closure_of(one: Draw, scales: Scales) -> Closure:
    """Ions of their diameters, thinned out where the bulk would not hold them."""
    if one.protection != "steric":
        return Closure()
    volume = one.diameter**3 * scales.density
    filled = float((volume * one.density / scales.density).sum())
    volume *= min(1.0, 0.8 / filled)
    if one.closure == "bikerman":
        return Bikerman(volume)
    return CarnahanStarling(np.pi / 6 * volume)


def solve(seed: int) -> tuple[int, float, bool]:
    """Newton iterations, worst balance, and whether all is positive."""
    rng = np.random.default_rng(seed)
    one = draw(rng)
    n = len(one.z)
    scales = Scales(1e-9, one.density.max(), one.diffusivity.max(), 298.15)
    c_ref = one.density / scales.density
    debye = float(np.sqrt(WATER * scales.poisson / (one.z**2 * c_ref).sum()))
    zeta = one.volts / scales.potential
    closure = closure_of(one, scales)
    borders: tuple[Border, ...] = ()
    phi = {"right": 0.0}
    if one.protection == "stern":
        borders = (Stern("left", one.stern / scales.capacitance, zeta),)
    else:
        phi["left"] = zeta
    first = debye / 20 * np.exp(-min(abs(zeta), 10) / 4)
    domain = interval(graded(max(20 * debye, 10.0), first, growth=1.08))
    model = NernstPlanckPoisson(domain, one.z, closure=closure, borders=borders)
    x = model.x
    mu_ex = np.array([smooth(rng, x, rng.uniform(0, 8)) for _ in range(n)])
    ln_d = np.array([smooth(rng, x, rng.uniform(0, 2)) for _ in range(n)])
    medium = Medium(
        mu_ex,
        np.exp(ln_d) * (one.diffusivity / scales.diffusivity)[:, None],
        c_ref,
        scales.poisson,
        WATER,
        -one.z[0] * c_ref[0] if n == 1 else 0.0,
        closure,
    )
    psi = {(i, "right"): 0.0 for i in range(n)}
    if one.driven is not None:
        held = one.z[one.driven] * phi.get("left", 0.0)
        psi[one.driven, "left"] = held + one.offset
    found = solve_steady(model, medium, Conditions(psi, phi, borders=borders))
    good = bool((found.concentration > 0).all() and np.isfinite(found.state).all())
    return found.report.iterations, audit(model, found).worst, good


def random_problems(count: int) -> list[dict]:
    """Figures of problems with the seeds 0 to `count` - 1."""
    iterations, balances, failures, positive = [], [], [], True
    for seed in range(count):
        try:
            used, balance, good = solve(seed)
        except MesobridgeError as exc:
            failures.append(f"seed {seed}: {str(exc).splitlines()[2].strip()}")
            continue
        iterations.append(used)
        balances.append(balance)
        positive &= good
    done = 1 - len(failures) / count
    median, most = np.median(iterations), max(iterations)
    note = f"median {median:.0f}, at most {most} Newton iterations; {failures}"
    return [
        figure(f"of {count} random problems solved", done, "1", ">=", 0.99, note),
        figure("all concentrations positive", int(positive), "1", ">=", 1),
        figure("worst balance of mass, charge, current", max(balances), "1", "<=", 1e-10),
    ]  # fmt: skip


def step_40() -> dict:
    """Newton iterations of an instantaneous 40 kT step between blocking electrodes."""
    closure = Bikerman([0.0075, 0.0075])
    vertices = graded(20.0, 1e-3, growth=1.06, both=True)
    model = NernstPlanckPoisson(interval(vertices), [1, -1], closure=closure)
    ones = np.ones((2, len(model.points)))
    medium = Medium(0 * ones, ones, np.ones(2), 2.0, closure=closure)
    rest = Solution.at_rest(model, medium, Conditions())
    step = Conditions(phi={"left": 40.0, "right": 0.0})
    run = solve_transient(model, medium, step, 20.0, start=rest)
    note = f"{run.steps} steps, {run.rejected} rejected, gap of 20 Debye lengths, t = 20"
    return figure("Newton iterations of a 40 kT step", run.iterations, "1", "<=", 200,
                  note)  # fmt: skip


def figures(*, quick: bool) -> list[dict]:
    """All figures of robustness."""
    return [*random_problems(20 if quick else 200), step_40()]
