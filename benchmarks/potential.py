"""Figures of the potential: accuracy, silicon, charges, cost beside other codes.

``--quick`` trains for seconds, whose figures are not those that count. MACE and TensorNet
go into a virtual environment of their own, ``.dev/potential``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import potential_accuracy  # noqa: E402
import potential_charges  # noqa: E402
import potential_cost  # noqa: E402
import potential_gpu  # noqa: E402
import potential_race  # noqa: E402
import potential_silicon  # noqa: E402
from figures import machine, write  # noqa: E402

PARTS = (
    potential_cost, potential_charges, potential_silicon, potential_accuracy,
    potential_race, potential_gpu,
)  # fmt: skip


def main() -> None:
    """Measure one after the other and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer, shorter problems")
    parser.add_argument("--json", type=Path, required=True, help="where to write")
    args = parser.parse_args()
    before, found = machine(), []
    for part in PARTS:
        found += part.figures(quick=args.quick)
    write(args.json, before, found)


if __name__ == "__main__":
    main()
