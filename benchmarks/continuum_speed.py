"""Cells and time for the charge of a wall, beside a finite-volume solver.

Both solve the same problem in one process, in turns, each on the mesh that suits it best;
meshes are graded like ``(x + offset)**power`` and were optimised for each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from figures import figure
from peers.finite_volume import FiniteVolume, graded

from mesobridge.continuum.closures import Bikerman, Closure
from mesobridge.continuum.domain import interval
from mesobridge.continuum.medium import Conditions, Medium
from mesobridge.continuum.model import NernstPlanckPoisson
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


def in_turns(solves: list[Callable[[], float]], rounds: int) -> np.ndarray:
    """CPU seconds of each, shape (rounds, n)."""
    times = np.empty((rounds, len(solves)))
    for row in times:
        for j, solve in enumerate(solves):
            begin = time.process_time()
            solve()
            row[j] = time.process_time() - begin
    return times


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


def figures(*, quick: bool) -> list[dict]:
    """All figures of speed in one dimension."""
    return beside_finite_volumes(5 if quick else 51)
