"""Linear systems of the continuum in two dimensions: MUMPS against GMRES with multigrid.

A bottom of two halves, an electrode and an insulator, below a reservoir: at equilibrium
(ions of 0.75 % of the volume each above 20 kT) or permselective, with a current near and
above the limiting one. Times are of the CPU of this process, both solvers take turns on
the same systems. ``python benchmarks/continuum_scale.py --help``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py  # noqa: E402, F401 - before dolfinx, whose HDF5 is another one
import numpy as np  # noqa: E402
from figures import figure  # noqa: E402

from mesobridge.continuum import _dolfinx as fx  # noqa: E402
from mesobridge.continuum.closures import Bikerman, Closure  # noqa: E402
from mesobridge.continuum.domain import Domain  # noqa: E402
from mesobridge.continuum.linear import LinearSolver  # noqa: E402
from mesobridge.continuum.medium import Conditions, Medium  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402

#: Side, Poisson number, and sizes of cells at the edge and at the bottom, of 60 by 60.
KINDS = {
    "near": SimpleNamespace(side=20.0, poisson=2.0, edge=0.02, bottom=0.02),
    "far": SimpleNamespace(side=1.0, poisson=2e-4, edge=2e-3, bottom=5e-4),
}


def lines(length: float, first: float, cells: int) -> np.ndarray:
    """About so many cells that grow from the first one."""
    low, high = 1.0, 3.0
    for _ in range(60):
        growth = (low * high) ** 0.5
        many = len(graded(length, first, growth=growth)) - 1 > cells
        low, high = (growth, high) if many else (low, growth)
    return graded(length, first, growth=high)


def domain(kind: str, cells: int) -> Domain:
    """Square with an electrode on the left half of its bottom."""
    shape = KINDS[kind]
    half = lines(shape.side / 2, shape.edge * 60 / cells, cells // 2)
    x = np.concatenate([-half[:0:-1], half])
    y = lines(shape.side, shape.bottom * 60 / cells, cells)
    mesh = fx.rectangle(x, y, fx.MPI.COMM_WORLD)
    small = 1e-9 * shape.side
    markers = {
        "electrode": lambda p: (p[1] < 1e-12) & (p[0] < small),
        "insulator": lambda p: (p[1] < 1e-12) & (p[0] > -small),
        "top": lambda p: p[1] > shape.side - small,
    }
    return Domain(mesh, *fx.tag_borders(mesh, markers))


def problem(kind: str, potential: float, unknowns: int, degree: int, linear: str):
    """Model, medium and conditions; the potential in kT/e."""
    cells = int((unknowns / 3) ** 0.5 / degree)
    closure = Closure()
    held = {(0, "top"): 0.0, (1, "top"): 0.0}
    if kind == "far":  # the electrode takes up cations
        potential = -potential
        held[0, "electrode"] = potential
    elif potential > 20:
        closure = Bikerman([0.0075, 0.0075])
    place = domain(kind, cells)
    model = NernstPlanckPoisson(
        place, [1, -1], degree=degree, closure=closure, linear=linear
    )
    shape = (2, len(model.points))
    medium = Medium(
        np.zeros(shape), np.ones(shape), np.ones(2), KINDS[kind].poisson, closure=closure
    )
    return model, medium, Conditions(held, {"electrode": potential, "top": 0.0})


@contextlib.contextmanager
def watched(against: str | None = None) -> Iterator[SimpleNamespace]:
    """CPU times and iterations of all linear solves, of another method's as well."""
    seen = SimpleNamespace(iterations=[], seconds=[], against=[], others={})
    solve = LinearSolver.solve

    def watch(self, right, out, **options):
        if against is not None:
            if id(self) not in seen.others:
                seen.others[id(self)] = LinearSolver(self._matrix, against)
            begin, other = time.process_time(), out.duplicate()
            solve(seen.others[id(self)], right, other, **options)
            seen.against.append(time.process_time() - begin)
        begin = time.process_time()
        solve(self, right, out, **options)
        seen.seconds.append(time.process_time() - begin)
        seen.iterations.append(self.iterations)

    LinearSolver.solve = watch
    try:
        yield seen
    finally:
        LinearSolver.solve = solve


def iterations(kind: str, potential: float, unknowns: int, degree: int) -> dict:
    """Iterations of GMRES per Newton step on the way to a potential."""
    model, medium, conditions = problem(kind, potential, unknowns, degree, "fieldsplit")
    with watched() as seen:
        begin, clock = time.process_time(), time.perf_counter()
        report = solve_steady(model, medium, conditions).report
        whole = time.process_time() - begin
        wall = time.perf_counter() - clock
    space = model.newton.u.function_space
    return {
        "kind": kind, "potential": potential, "degree": degree,
        "unknowns": space.dofmap.index_map.size_global * 3,
        "solves": len(seen.iterations), "mean": float(np.mean(seen.iterations)),
        "most": max(seen.iterations), "rescues": model.newton.rescues,
        "newton": report.iterations, "rejected": report.rejected,
        "cpu_solve_s": float(np.mean(seen.seconds)), "cpu_s": whole,
        "wall_s": wall,
    }  # fmt: skip


def ratio(kind: str, potential: float, unknowns: int, degree: int) -> dict:
    """CPU time of a Newton step with MUMPS over that with GMRES and multigrid."""
    model, medium, conditions = problem(kind, potential, unknowns, degree, "fieldsplit")
    with watched("direct") as seen:
        begin = time.process_time()
        solve_steady(model, medium, conditions)
        rest = time.process_time() - begin - sum(seen.seconds) - sum(seen.against)
    each = rest / len(seen.seconds)  # assembly, most of it
    # The first factorisation has the analysis in it, and forms are compiled on the way.
    mumps, split = np.mean(seen.against[1:]), np.mean(seen.seconds[1:])
    return {
        "kind": kind, "potential": potential, "degree": degree,
        "unknowns": model.newton.n_owned, "mumps_s": float(mumps),
        "fieldsplit_s": float(split), "other_s": each,
        "solve_ratio": float(mumps / split),
        "step_ratio": float((mumps + each) / (split + each)),
        "mean": float(np.mean(seen.iterations)), "most": max(seen.iterations),
    }  # fmt: skip


def ranks(processes: int, *job) -> dict:
    """`iterations` of a job by several processes; CPU times are those of the first."""
    told = subprocess.run(["mpirun", "--version"], capture_output=True, text=True)  # noqa: S607
    own = ["--allow-run-as-root", "--oversubscribe"] if "Open MPI" in told.stdout else []
    command = ["mpirun", *own, "-n", str(processes)]
    command += [sys.executable, __file__, "--job", json.dumps(job)]
    found = subprocess.run(  # noqa: S603
        command,
        check=True,
        capture_output=True,
        text=True,
        env=dict(os.environ),  # without what Open MPI put into this process alone
    )
    return {"processes": processes, **json.loads(found.stdout.splitlines()[-1])}


def figures(*, quick: bool) -> list[dict]:
    """All figures of scale."""
    size, sizes = (20_000, (5_000, 20_000)) if quick else (250_000, (100_000, 1_000_000))
    one = ratio("near", 4.0, size, 1)
    note = (
        f"{one['unknowns']} unknowns, 4 kT, P1: MUMPS {one['mumps_s']:.2f} s, ours "
        f"{one['fieldsplit_s']:.3f} s, the rest of a step {one['other_s']:.2f} s"
    )
    found = [
        figure("linear systems in 2D, MUMPS / ours", one["solve_ratio"], "1", ">=", 10,
               note),
        figure("Newton steps in 2D, MUMPS / ours", one["step_ratio"], "1", ">=", 10,
               note),
    ]  # fmt: skip
    for kind in KINDS:
        for unknowns in sizes:
            job = ranks(1, kind, 40.0, unknowns, 1)
            note = (
                f"mean {job['mean']:.1f} of {job['solves']} solves, {job['rescues']} "
                f"left to MUMPS, {job['wall_s']:.0f} s for {job['newton']} Newton steps"
            )
            name = f"iterations at 40 kT, {kind}, {job['unknowns']} unknowns, most"
            found.append(figure(name, job["most"], "1", "<=", 10, note))
    alone, both = (ranks(n, "near", 40.0, size, 1) for n in (1, 2))
    note = (
        f"{both['unknowns']} unknowns: {alone['wall_s']:.1f} s and "
        f"{both['wall_s']:.1f} s, iterations {alone['mean']:.1f} and {both['mean']:.1f}"
    )
    faster = alone["wall_s"] / both["wall_s"]
    return [*found, figure("two ranks, speed-up", faster, "1", ">=", 1.0, note)]


def main() -> None:
    """Run what is asked for and write JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", help="JSON arguments of `iterations`")
    parser.add_argument("--ratio", help="JSON arguments of `ratio`")
    parser.add_argument("--ranks", help="JSON arguments of `ranks`")
    args = parser.parse_args()
    for call, given in ((iterations, args.job), (ratio, args.ratio), (ranks, args.ranks)):
        if given:
            found = call(*json.loads(given))
            if fx.MPI.COMM_WORLD.rank == 0:
                sys.stdout.write(json.dumps(found) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
