"""MD steps on a GPU: 192, 3000 and 30 000 atoms of water, what bounds them, and the gap.

    python benchmarks/potential_gpu.py --json FILE [--device cpu] [--quick]

A step is what an MD engine asks for: neighbour vectors from a kept list (CPU), the
network, forces back on the CPU. The ceiling is the network alone with its vectors on the
device; float32 means without, mixed with TF32 in matrix products. Energies are added in
float64.
Without a GPU there are no figures, unless `--device cpu` asks for them.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from figures import figure, machine, write  # noqa: E402
from potential_cost import network, water  # noqa: E402

from mesobridge.atomistic.potential import Potential, VerletList  # noqa: E402
from mesobridge.atomistic.potential.gradient import (  # noqa: E402
    Compiled,
    energies_and_slopes,
)

#: Repeats of the cell of 192 atoms: 192, 3072 and 30 720 atoms.
REPEATS = ((1, 1, 1), (4, 2, 2), (5, 4, 8))
#: Atom-steps per second, and seconds of a step of 192 atoms.
TARGET, STEP = 100_000, 2e-3
PERIODIC = (True, True, True)


def repeated(counts: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """Positions (A), species and box of so many cells of water."""
    x, species, box = water()
    shifts = np.indices(counts).reshape(3, -1).T @ box
    tiled = (shifts[:, None] + x).reshape(-1, 3)
    return tiled, np.tile(species, len(shifts)), box * np.array(counts)[:, None]


def seconds(job, rounds: int, device: str) -> float:
    """Median wall time, the device's work included."""
    times = []
    for _ in range(rounds + 2):
        begin = time.perf_counter()
        job()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return float(np.median(times[2:]))


def steps(potential: Potential, counts, rounds: int, device: str) -> tuple[float, float]:
    """Seconds of a step, and of the network alone."""
    x, species, box = repeated(counts)
    rng, kept = np.random.default_rng(0), VerletList(potential.model.cutoff, 1.0)

    def step():
        moved = x + rng.normal(0, 0.02, x.shape)
        potential.evaluate(moved, species, box, verlet=kept, stress=False)

    rows, index = kept.rows(x, box, PERIODIC)
    given = [torch.as_tensor(rows).float(), torch.from_numpy(species),
             torch.from_numpy(index)]  # fmt: skip
    given = [t.to(device) for t in given]

    def alone():
        energies_and_slopes(potential.model, *given, potential.run)

    return seconds(step, rounds, device), seconds(alone, rounds, device)


def figures(*, quick: bool, device: str = "cuda") -> list[dict]:
    """Time of a step and atom-steps per second; nothing without the device."""
    if device != "cpu" and not torch.cuda.is_available():
        return []
    found, rounds = [], 3 if quick else 20
    for counts in REPEATS[: 2 if quick else 3]:
        n = 192 * int(np.prod(counts))
        for precision in ("float32", "mixed") if device != "cpu" else ("float32",):
            torch.backends.cuda.matmul.allow_tf32 = precision == "mixed"
            plain = network(("O", "H"))
            plain.model.to(device)
            runs = {"by hand": plain}
            if device != "cpu":
                runs["compiled"] = network(("O", "H"), Compiled())
                runs["compiled"].model.to(device)
            timed = {k: steps(p, counts, rounds, device) for k, p in runs.items()}
            name, (step, alone) = min(timed.items(), key=lambda item: item[1][0])
            note = "; ".join(f"{k}: {1e3 * s:.2f} ms a step, network alone {1e3 * a:.2f}"
                             for k, (s, a) in timed.items())  # fmt: skip
            found.append(
                figure(f"{n} atoms, {precision}: atom-steps per second ({name})",
                       n / step, "1/s", ">=", TARGET if n > 192 else n / STEP,
                       f"ceiling {n / alone:.3g}, gap {100 * (1 - alone / step):.0f} %; "
                       f"{note}")
            )  # fmt: skip
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer, smaller systems")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--json", type=Path, required=True, help="where to write")
    args = parser.parse_args()
    write(args.json, machine(), figures(quick=args.quick, device=args.device))


if __name__ == "__main__":
    main()
