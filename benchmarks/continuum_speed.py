"""Cells and time for the charge of a wall, beside a finite-volume solver.

Both solve the same problem in one process, in turns, each on the mesh that suits it best;
meshes are graded like ``(x + offset)**power`` and were optimised for each of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from figures import figure, in_turns
from peers.finite_volume import FiniteVolume, graded

from mesobridge.continuum.closures import Bikerman, Closure
from mesobridge.continuum.domain import interval
from mesobridge.continuum.impedance import impedance
from mesobridge.continuum.medium import Conditions, Medium
from mesobridge.continuum.model import NernstPlanckPoisson
from mesobridge.continuum.montecarlo import monte_carlo
from mesobridge.continuum.quantities import Inflow
from mesobridge.continuum.steady import solve_steady

LENGTH = 25.0  # Debye lengths
#: zeta, volume of an ion, then (cells, offset, power) of P2 and of finite volumes, each
#: the coarsest mesh whose charge is right to 1e-5.
CASES = (
    (4.0, 0.0, (16, 0.491, 1.712), (438, 0.572, 2.38)),
    (10.0, 0.0, (20, 0.01421, 1.416), (521, 0.0147, 1.72)),
    (20.0, 0.0075, (12, 33.2, 17.4), (221, 22.0, 23.6)),
    (40.0, 0.0075, (12, 21.2, 13.3), (204, 30.0, 24.0)),
)


def exact(zeta: float, volume: float) -> float:
    """Charge of the wall: Gouy and Chapman, or doi:10.1103/PhysRevE.75.021502."""
    if volume == 0.0:
        return float(4 * np.sinh(zeta / 2))
    nu = 2 * volume
    return float(2 * np.sqrt(2 / nu * np.log1p(2 * nu * np.sinh(zeta / 2) ** 2)))


def ours(zeta: float, volume: float, mesh: tuple) -> Callable[[], float]:
    """A cold solve that returns the charge; forms are compiled and meshes made."""
    closure = Bikerman([volume, volume]) if volume else Closure()
    domain = interval(graded(LENGTH, *mesh))
    model = NernstPlanckPoisson(domain, [1, -1], closure=closure)
    ones = np.ones((2, len(model.points)))
    medium = Medium(0 * ones, ones, np.ones(2), 2.0, closure=closure)
    bulk = {(0, "right"): 0.0, (1, "right"): 0.0}
    conditions = Conditions(bulk, {"left": zeta, "right": 0.0})
    return lambda: solve_steady(model, medium, conditions).charge["left"]


def peer(zeta: float, volume: float, mesh: tuple) -> Callable[[], float]:
    """The same by finite volumes with Scharfetter and Gummel's fluxes."""
    solver = FiniteVolume(graded(LENGTH, *mesh), [1, -1], poisson=2.0, volume=volume)
    return lambda: solver.solve(phi=(zeta, 0.0)).charge


def beside_finite_volumes(rounds: int) -> list[dict]:
    """Ratios of cells and of CPU times at a relative error of 1e-5 in the charge."""
    found = []
    for zeta, volume, mesh, other in CASES:
        solves = [ours(zeta, volume, mesh), peer(zeta, volume, other)]
        errors = [abs(solve() / exact(zeta, volume) - 1) for solve in solves]
        times = in_turns(solves, rounds)
        ratio = float(np.median(times[:, 0] / times[:, 1]))
        ms = 1e3 * np.median(times, axis=0)
        note = (
            f"errors {errors[0]:.1e} and {errors[1]:.1e} with {mesh[0]} and {other[0]} "
            f"cells, {ms[0]:.2f} and {ms[1]:.2f} ms"
        )
        name = f"zeta {zeta:.0f}{', volumes' if volume else ''}"
        found += [
            figure(f"charge error, {name}", errors[0], "1", "<=", 1e-5),
            figure(f"cells of the peer / ours, {name}", other[0] / mesh[0], "1", ">=", 10,
                   note),
            figure(f"CPU time, ours / the peer's, {name}", ratio, "1", "<=", 1.0, note),
        ]  # fmt: skip
    return found


def film() -> tuple[NernstPlanckPoisson, list[Medium], Conditions]:
    """A selective film of 200 quadratic elements and 200 replicates of its profiles.

    Noise of 0.2 kT in W and 10 % in D, correlated over half a Debye length.
    """
    vertices = graded(20.0, 200, 0.2, 1.0)
    model = NernstPlanckPoisson(interval(vertices), [1, -1])
    x, rng = model.x, np.random.default_rng(1)
    barrier = 3 * np.exp(-(((x - 1.2) / 0.4) ** 2))
    well = 1.5 * np.exp(-(((x - 0.4) / 0.25) ** 2))
    anion = 1.5 * np.exp(-(((x - 0.8) / 0.5) ** 2))
    slow = np.array([0.1 + 0.9 * (1 - np.exp(-x / width)) for width in (1.0, 0.8)])
    square = ((x[:, None] - x) / 0.5) ** 2
    root = np.linalg.cholesky(np.exp(-square / 2) + 1e-8 * np.eye(len(x)))
    media = []
    for replicate in range(201):
        noise = np.exp(-((x / 5) ** 2)) * (root @ rng.normal(size=(4, len(x), 1)))[..., 0]
        noise *= bool(replicate)
        mu_ex = np.array([barrier - well, anion]) + 0.2 * noise[:2]
        media.append(Medium(mu_ex, slow * np.exp(0.1 * noise[2:]), np.ones(2), 2.0))
    psi = {(0, "right"): 0.0, (1, "right"): 0.0, (0, "left"): -1.0}
    return model, media, Conditions(psi, {"left": -2.0, "right": 0.0})


def beside_one_solve(rounds: int) -> list[dict]:
    """Times of a spectrum and of 200 replicates, by that of one cold solve."""
    model, media, conditions = film()

    def cold() -> float:
        return solve_steady(model, media[0], conditions).charge["left"]

    state = solve_steady(model, media[0], conditions)
    omega = np.geomspace(1e-3, 1e3, 50)
    uptake = Inflow(0, "left")
    jobs = [
        cold,
        lambda: impedance(model, state, "left", omega),
        lambda: monte_carlo(model, media, conditions, uptake),
    ]
    for job in jobs:
        job()
    times = in_turns(jobs, rounds)
    base = times[:, 0]
    note = f"{1e3 * np.median(base):.1f} ms for {state.report.iterations} iterations"
    return [
        figure("50 frequencies / one cold solve", float(np.median(times[:, 1] / base)),
               "1", "<=", 20, note),
        figure("200 replicates / one cold solve", float(np.median(times[:, 2] / base)),
               "1", "<=", 40, note),
    ]  # fmt: skip


def figures(*, quick: bool) -> list[dict]:
    """All figures of speed in one dimension."""
    return [
        *beside_finite_volumes(5 if quick else 51),
        *beside_one_solve(1 if quick else 11),
    ]
